/* NYDUS: what an operator asks Nydus about itself, and a reload. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

struct call;
struct proxy;

/* The hosts of the client's cluster, as this worker sees them. */
void nydus_command_hosts(struct call *call);
/* Where a command would go, and why: the lines of nydus --route. */
void nydus_command_route(struct call *call);
/* The counters of base/stats.def, over all workers, since CONFIG RESETSTAT. */
void nydus_command_stats(struct call *call);
void nydus_command_generation(struct call *call);
/* Asks the master for a reload; the client waits until nydus_command_reloaded. */
void nydus_command_reload(struct call *call);
void nydus_command_help(struct call *call);

/* A reload is over: those who asked as number `last` or before are answered.
 * refusal: why everything stays as it was; NULL: the new configuration is in force. */
void nydus_command_reloaded(struct proxy *proxy, uint32_t last, const char *refusal);
