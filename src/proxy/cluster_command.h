/* CLUSTER for clients that probe it: one shard that has all slots and is the
 * address that the client has connected to. The rest is answered as by a Redis
 * that is no cluster, NODES above all: StackExchange.Redis takes a server that
 * answers it for a cluster, and refuses keys of different slots by itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void cluster_command_info(struct call *call);
void cluster_command_myid(struct call *call);
void cluster_command_slots(struct call *call);
void cluster_command_shards(struct call *call);
void cluster_command_keyslot(struct call *call);
