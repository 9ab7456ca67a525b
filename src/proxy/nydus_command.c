/* The subcommands of NYDUS, one function each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/nydus_command.h"

#include <stdio.h>
#include <string.h>

#include "base/board.h"
#include "base/stats.h"
#include "base/version.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/explanation.h"
#include "proxy/host.h"
#include "proxy/proxy.h"

/* ---- pairs of a map ---- */

static void write_text(struct writer *out, const char *name, const char *text)
{
    writer_text(out, name);
    writer_text(out, text);
}

static void write_number(struct writer *out, const char *name, uint64_t number)
{
    writer_text(out, name);
    writer_integer(out, (int64_t)number);
}

/* ---- HOSTS ---- */

static void write_host(struct writer *out, const struct host *host)
{
    const struct host_report report = host_report(host);
    writer_map(out, 9);
    write_text(out, "identifier", host->options.identifier);
    write_text(out, "address", host->options.address);
    writer_text(out, "db");
    writer_integer(out, host->options.db);
    write_number(out, "weight", host->options.weight);
    write_text(out, "state", report.state);
    write_text(out, "reason", report.reason);
    write_number(out, "links", report.links);
    write_number(out, "pending", report.pending);
    write_number(out, "failures", report.failures);
}

void nydus_command_hosts(struct call *call)
{
    const struct cluster *cluster = client_cluster(call->client);
    struct writer reply = call_writer(call);
    writer_array(&reply, cluster->count);
    for (uint32_t i = 0; i < cluster->count; i++) {
        write_host(&reply, cluster->hosts[i]);
    }
    call_reply(call, &reply);
}

/* ---- ROUTE ---- */

/* Each line as a value of an array: so they stay lines in every client. */
static void write_lines(struct writer *out, const struct writer *text)
{
    const char *at = text->data, *end = at + text->size;
    size_t count = 0;
    for (size_t i = 0; i < text->size; i++) {
        count += text->data[i] == '\n';
    }
    writer_array(out, count);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        writer_bulk(out, at, (size_t)(newline - at));
        at = newline + 1;
    }
}

void nydus_command_route(struct call *call)
{
    const struct cluster *cluster = client_cluster(call->client);
    struct writer inner = {.resp = 2}, text = {.resp = 2}, reply = call_writer(call);
    call_write_inner(call, &inner);
    const struct question question = {
        .bytes = inner.data,
        .size = inner.size,
        .clusters = &cluster,
        .cluster_count = 1,
        .client = call->client,
    };
    explanation_write(&text, &question);
    write_lines(&reply, &text);
    writer_deinit(&inner);
    writer_deinit(&text);
    call_reply(call, &reply);
}

/* ---- STATS and GENERATION ---- */

void nydus_command_stats(struct call *call)
{
    struct stats sum;
    struct writer reply = call_writer(call);
    stats_since(&sum);
    writer_map(&reply, stats_field_count);
#define STAT(name, help) write_number(&reply, #name, sum.name);
#include "base/stats.def"
#undef STAT
    call_reply(call, &reply);
}

void nydus_command_generation(struct call *call)
{
    char reason[BOARD_REASON], hash[24];
    struct writer reply = call_writer(call);
    board_reason(reason, sizeof reason);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)board->config_hash);
    writer_map(&reply, 8);
    write_text(&reply, "version", NYDUS_VERSION);
    write_number(&reply, "generation", board->generation);
    write_text(&reply, "config-hash", hash);
    write_number(&reply, "workers", board->workers);
    write_number(&reply, "reloads", board->reloads);
    write_number(&reply, "last-reload-at", (uint64_t)board->last_reload_at);
    writer_text(&reply, "last-reload-success");
    writer_boolean(&reply, board->last_reload_success);
    write_text(&reply, "last-reload-error", reason);
    call_reply(call, &reply);
}

/* ---- RELOAD ---- */

void nydus_command_reload(struct call *call)
{
    struct proxy *proxy = call->client->proxy;
    if (!proxy->reload) {
        call_fail(call, "ERR there is no master to reload for");
        return;
    }
    client_hold(call->client);
    call->request->part = ++proxy->reload_number;
    call->request->link_next = proxy->reloads;
    proxy->reloads = call->request;
    proxy->reload(proxy, proxy->reload_number);
}

static void answer_reload(struct request *request, const char *refusal)
{
    struct client *client = request->client;
    if (refusal) {
        request_fail(request, FAILURE_LOCAL, "ERR the reload was refused, everything stays as it was: %s",
                     refusal);
    } else {
        request_answer(request, "+OK\r\n", 5);
    }
    if (client && !client->dead) {
        client_release(client);
    }
}

void nydus_command_reloaded(struct proxy *proxy, uint32_t last, const char *refusal)
{
    struct request **place = &proxy->reloads;
    while (*place) {
        struct request *request = *place;
        if (request->part > last) { /* it asked when the reload had begun */
            place = &request->link_next;
            continue;
        }
        *place = request->link_next;
        request->link_next = NULL;
        answer_reload(request, refusal);
    }
}

/* ---- HELP ---- */

void nydus_command_help(struct call *call)
{
    static const char *const lines[] = {
        "NYDUS <subcommand> [<argument> ...], of these:",
        "GENERATION",
        "    The configuration in force: its number and hash, and how the last reload went.",
        "HOSTS",
        "    The hosts of this cluster, as the worker sees them that serves this connection.",
        "RELOAD",
        "    Reads the configuration again, as SIGHUP does; answers when that is over.",
        "ROUTE <command> [<argument> ...]",
        "    Where the command would go, and why. It is not sent.",
        "SLOWLOG [<count>]",
        "    The entries of SLOWLOG GET, with the host and the microseconds in the queue and there.",
        "STATS",
        "    The counters of all workers, since the start or CONFIG RESETSTAT.",
        "HELP",
        "    This help.",
    };
    enum { LINES = sizeof lines / sizeof *lines };
    struct writer reply = call_writer(call);
    writer_array(&reply, LINES);
    for (size_t i = 0; i < LINES; i++) {
        writer_status(&reply, lines[i]);
    }
    call_reply(call, &reply);
}
