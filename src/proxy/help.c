/* Lists the subcommands of a container: its rows follow it in the table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/help.h"

#include <ctype.h>
#include <string.h>

#include "proxy/call.h"
#include "proxy/policy.h"

enum { NAME_SIZE = 32 };

static const char *upper(const char *name, size_t size, char text[NAME_SIZE])
{
    size_t i = 0;
    for (i = 0; i < size && i < NAME_SIZE - 1; i++) {
        text[i] = (char)toupper((unsigned char)name[i]);
    }
    text[i] = '\0';
    return text;
}

/* "config|get": "config" is 6 bytes. */
static size_t container_size(const struct command *command)
{
    return strcspn(command->name, "|");
}

void help_answer(struct call *call)
{
    const struct command *command = call->request->query.command;
    size_t size = container_size(command), count = 0;
    char name[NAME_SIZE];
    struct writer lines = call_writer(call), reply = call_writer(call);
    for (size_t id = 0; id < command_count(); id++) {
        const struct command *row = command_row(id);
        bool ours = (row->flags & COMMAND_SUBCOMMAND) && container_size(row) == size &&
                    memcmp(row->name, command->name, size) == 0;
        if (ours && !policy_of(row)->refusal) {
            writer_status(&lines, upper(row->name + size + 1, strlen(row->name + size + 1), name));
            count++;
        }
    }
    writer_array(&reply, count + 1);
    writer_format(&reply, "+%s <subcommand> [<argument> ...], of these:\r\n",
                  upper(command->name, size, name));
    writer_raw(&reply, lines.data, lines.size);
    writer_deinit(&lines);
    call_reply(call, &reply);
}
