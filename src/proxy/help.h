/* HELP of the commands that have subcommands, made from the command table. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

/* CONTAINER HELP: the subcommands that do not end in a refusal. */
void help_answer(struct call *call);
