/* Received replies as scripts look at them: nothing is parsed before it is
 * asked for. The bytes are whole replies that the scanner has passed. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "script/abi.h"

/* A number for nydus_reply.number_ that no other reply has; never 0. */
uint32_t received_number(void);

/* Puts what replies are asked into the batch. */
void received_setup(struct nydus_batch *batch);
