/* PUBSUB: what is listened to at all hosts of the cluster, as one answer. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void pubsub_command_channels(struct call *call);
void pubsub_command_numsub(struct call *call);
void pubsub_command_numpat(struct call *call);
