/* The subcommands of LATENCY. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/latency_command.h"

#include <string.h>
#include <strings.h>

#include "base/tally.h"
#include "proxy/call.h"
#include "proxy/measure.h"

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

/* ---- HISTOGRAM ---- */

/* For each power of two of microseconds, how many calls took no longer; only
 * where there are more than for the one before, as Redis leaves them out. */
static void write_histogram(struct writer *out, const struct tally_times *times, uint64_t *calls)
{
    struct writer edges = {.resp = out->resp};
    uint64_t seen = 0, told = 0, edge = 1;
    size_t count = 0;
    for (uint32_t i = 0; i < TALLY_BUCKETS; i++) {
        seen += times->at[i];
        bool last = i + 1 == TALLY_BUCKETS || tally_bucket_end(i + 1) > edge;
        if (last && seen > told) {
            writer_integer(&edges, (int64_t)edge);
            writer_integer(&edges, (int64_t)seen);
            told = seen;
            count++;
        }
        edge = last ? edge * 2 : edge;
    }
    writer_map(out, count);
    writer_raw(out, edges.data, edges.size);
    writer_deinit(&edges);
    *calls = seen;
}

/* Nothing when the command never ran. Returns how many were written. */
static size_t write_place(struct writer *out, uint32_t place)
{
    const char *name = measure_name(place);
    if (!name || tally_counts(place).calls == 0) {
        return 0;
    }
    struct writer histogram = {.resp = out->resp};
    const struct tally_times times = tally_times(place);
    uint64_t calls;
    write_histogram(&histogram, &times, &calls);
    writer_text(out, name);
    writer_map(out, 2);
    writer_text(out, "calls");
    writer_integer(out, (int64_t)calls);
    writer_text(out, "histogram_usec");
    writer_raw(out, histogram.data, histogram.size);
    writer_deinit(&histogram);
    return 1;
}

/* A command and its subcommands: "config" and "config|get". */
static size_t write_named(struct writer *out, const char *word, size_t size)
{
    size_t count = 0;
    for (uint32_t place = 0; place < TALLY_COMMANDS; place++) {
        const char *name = measure_name(place);
        bool fits = name && strlen(name) >= size && strncasecmp(name, word, size) == 0;
        if (fits && (name[size] == '\0' || name[size] == '|')) {
            count += write_place(out, place);
        }
    }
    return count;
}

void latency_command_histogram(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg arg;
    struct writer pairs = call_writer(call), reply = call_writer(call);
    size_t count = 0;
    while (resp_cursor_next(&cursor, &arg)) {
        count += write_named(&pairs, bytes + arg.at, arg.size);
    }
    for (uint32_t place = 0; call_argc(call) == 2 && place < TALLY_COMMANDS; place++) {
        count += write_place(&pairs, place);
    }
    writer_map(&reply, count);
    writer_raw(&reply, pairs.data, pairs.size);
    writer_deinit(&pairs);
    call_reply(call, &reply);
}
