/* COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of a command that is not run. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/writer.h"

#include <stdint.h>

struct call;

void command_keys_get(struct call *call);
void command_keys_get_flags(struct call *call);

/* enum key_flag in words. */
void command_keys_write_flags(struct writer *out, uint32_t flags);
