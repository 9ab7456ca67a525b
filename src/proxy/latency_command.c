/* The subcommands of LATENCY. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/latency_command.h"

#include "proxy/call.h"

static void answer_nothing(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_array(&reply, 0);
    call_reply(call, &reply);
}

void latency_command_latest(struct call *call)
{
    answer_nothing(call);
}

void latency_command_history(struct call *call)
{
    answer_nothing(call);
}

/* How many events had samples. */
void latency_command_reset(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_integer(&reply, 0);
    call_reply(call, &reply);
}

void latency_command_graph(struct call *call)
{
    size_t size;
    const char *event = call_arg(call, 2, &size);
    call_fail(call, "ERR No samples available for event '%.*s'", call_quote(size), event);
}

void latency_command_doctor(struct call *call)
{
    struct writer text = call_writer(call);
    writer_format(&text, "Nydus watches no latency events. Ask SLOWLOG GET or NYDUS SLOWLOG what was slow, "
                         "LATENCY HISTOGRAM how long commands take, and INFO hosts how the hosts are.\n");
    call_verbatim(call, &text);
}
