/* CONFIG GET: what programs ask a Redis for before they trust it; and RESETSTAT. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void config_command_get(struct call *call);
/* What INFO, LATENCY HISTOGRAM and NYDUS STATS show begins anew, for all workers. */
void config_command_resetstat(struct call *call);
