/* COMMAND: what this cluster can do, in Redis's own reply format. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void command_command_all(struct call *call);
void command_command_count(struct call *call);
void command_command_info(struct call *call);
void command_command_list(struct call *call);
/* Asked of a host that is up. A Redis before 7 gives an error; redis-cli then helps from its own texts. */
void command_command_docs(struct call *call);
