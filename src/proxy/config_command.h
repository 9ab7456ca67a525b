/* CONFIG GET: what programs ask a Redis for before they trust it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void config_command_get(struct call *call);
