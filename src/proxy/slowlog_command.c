/* The subcommands of SLOWLOG. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/slowlog_command.h"

#include <string.h>

#include "base/slowlog.h"
#include "proxy/call.h"
#include "proxy/cluster.h"

enum { COUNT_USUAL = 10 };

typedef void write_entry(struct writer *out, const struct slowlog_entry *entry);

static void write_words(struct writer *out, const struct slowlog_entry *entry)
{
    writer_array(out, entry->argc);
    writer_raw(out, entry->words, entry->size);
}

static void write_as_redis(struct writer *out, const struct slowlog_entry *entry)
{
    writer_array(out, 6);
    writer_integer(out, (int64_t)entry->id);
    writer_integer(out, entry->time);
    writer_integer(out, (int64_t)entry->usec);
    write_words(out, entry);
    writer_text(out, entry->client);
    writer_text(out, entry->name);
}

static void write_number(struct writer *out, const char *name, uint64_t number)
{
    writer_text(out, name);
    writer_integer(out, (int64_t)number);
}

static void write_detailed(struct writer *out, const struct slowlog_entry *entry)
{
    writer_map(out, 9);
    write_number(out, "id", entry->id);
    write_number(out, "time", (uint64_t)entry->time);
    write_number(out, "usec", entry->usec);
    write_number(out, "usec-in-queue", entry->usec - entry->at_host);
    write_number(out, "usec-at-host", entry->at_host);
    writer_text(out, "host");
    writer_text(out, entry->host);
    writer_text(out, "arguments");
    write_words(out, entry);
    writer_text(out, "client");
    writer_text(out, entry->client);
    writer_text(out, "name");
    writer_text(out, entry->name);
}

typedef bool visit_entry(const struct slowlog_entry *entry, void *context);

/* Shows each entry of the client's cluster to `visit`, newest first, until that
 * has enough (false). One that is being written right now is left out. */
static void visit_entries(const struct call *call, visit_entry *visit, void *context)
{
    static struct slowlog_entry entry; /* large; one thread */
    const char *cluster = client_cluster(call->client)->name;
    uint64_t first, next;
    slowlog_range(&first, &next);
    for (uint64_t id = next; id > first; id--) {
        bool ours =
            slowlog_read(id - 1, &entry) && strncmp(entry.cluster, cluster, sizeof entry.cluster - 1) == 0;
        if (ours && !visit(&entry, context)) {
            return;
        }
    }
}

struct page {
    struct writer entries;
    write_entry *write;
    uint64_t count, most;
};

static bool visit_to_write(const struct slowlog_entry *entry, void *context)
{
    struct page *page = context;
    if (page->count == page->most) {
        return false;
    }
    page->write(&page->entries, entry);
    page->count++;
    return true;
}

static void answer_entries(struct call *call, uint64_t most, write_entry *write)
{
    struct page page = {.entries = call_writer(call), .write = write, .most = most};
    struct writer reply = call_writer(call);
    visit_entries(call, visit_to_write, &page);
    writer_array(&reply, page.count);
    writer_raw(&reply, page.entries.data, page.entries.size);
    writer_deinit(&page.entries);
    call_reply(call, &reply);
}

/* The count, in argument 2 if there is one. */
static void answer_counted(struct call *call, write_entry *write, const char *container)
{
    int64_t count = COUNT_USUAL;
    if (call_argc(call) > 3) {
        size_t word_size;
        const char *word = call_arg(call, 1, &word_size);
        call_fail(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                  call_quote(word_size), word, container);
        return;
    }
    if (call_argc(call) == 3) {
        size_t size;
        const char *text = call_arg(call, 2, &size);
        if (!call_integer(text, size, &count) || count < -1) {
            call_fail(call, "ERR count should be greater than or equal to -1");
            return;
        }
    }
    answer_entries(call, count < 0 ? UINT64_MAX : (uint64_t)count, write);
}

void slowlog_command_get(struct call *call)
{
    answer_counted(call, write_as_redis, "SLOWLOG");
}

void slowlog_command_detailed(struct call *call)
{
    answer_counted(call, write_detailed, "NYDUS");
}

static bool visit_to_count(const struct slowlog_entry *entry, void *context)
{
    (void)entry;
    ++*(int64_t *)context;
    return true;
}

void slowlog_command_len(struct call *call)
{
    int64_t count = 0;
    struct writer reply = call_writer(call);
    visit_entries(call, visit_to_count, &count);
    writer_integer(&reply, count);
    call_reply(call, &reply);
}

static bool visit_to_forget(const struct slowlog_entry *entry, void *context)
{
    (void)context;
    slowlog_forget(entry->id);
    return true;
}

void slowlog_command_reset(struct call *call)
{
    visit_entries(call, visit_to_forget, NULL);
    call_ok(call);
}
