/* What Nydus says of itself: INFO, MEMORY, TIME and ROLE. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

/* INFO [section …]: the fields of Redis that programs look for, and Nydus's
 * own, of all workers; worker_clients and the section of hosts are as the
 * worker sees it that was asked. Keyspace asks the hosts, so that INFO answers
 * when they have. Passwords are in none of it. */
void info_answer(struct call *call);
/* What Nydus's own memory is like; and gives back what it does not need. */
void info_memory_doctor(struct call *call);
void info_memory_purge(struct call *call);
void info_time(struct call *call);
/* A master without replicas, whatever stands behind. */
void info_role(struct call *call);
