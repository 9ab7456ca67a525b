/* COMMAND: the command table in Redis's own reply format. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void command_command_all(struct call *call);
void command_command_count(struct call *call);
void command_command_info(struct call *call);
void command_command_list(struct call *call);
/* Nothing is told of any command: redis-cli's hints get by with the empty list. */
void command_command_docs(struct call *call);
void command_command_getkeys(struct call *call);
