/* SLOWLOG, and NYDUS SLOWLOG: the latest slow commands of all workers, those of
 * the asking client's cluster.
 *
 * SLOWLOG GET has Redis's six fields and no more: go-redis, for one, reads
 * exactly those, and would take a seventh for the next entry. Where the time
 * went is in NYDUS SLOWLOG. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void slowlog_command_get(struct call *call);
void slowlog_command_len(struct call *call);
void slowlog_command_reset(struct call *call);
/* NYDUS SLOWLOG [count]: maps, with the host and the time in the queue and there. */
void slowlog_command_detailed(struct call *call);
