/* SCRIPT KILL and FUNCTION KILL: each host that is asked gets it on a private
 * link, for the script that is to end has shared ones blocked. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void kill_script(struct call *call);
