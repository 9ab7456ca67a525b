/* The sections of INFO, one function each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/info.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/board.h"
#include "base/crowd.h"
#include "base/series.h"
#include "base/stats.h"
#include "base/tally.h"
#include "base/tile.h"
#include "base/usage.h"
#include "base/version.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/connection.h"
#include "proxy/databases.h"
#include "proxy/listener.h"
#include "proxy/measure.h"
#include "proxy/proxy.h"
#include "proxy/subscription.h"

static time_t started; /* of the first process: workers are forked from it */

__attribute__((constructor)) static void info_setup(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    started = now.tv_sec;
}

static long long uptime(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)(now.tv_sec - started);
}

/* The port in "127.0.0.1:6380"; a unix socket has none. */
static int port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return strncmp(address, "unix:", 5) != 0 && colon ? atoi(colon + 1) : 0;
}

/* Who asks, and what the hosts have said. */
struct inquiry {
    const struct client *client;
    const struct join *join; /* of databases_ask; NULL: they were not asked */
};

static void section_server(struct writer *out, const struct inquiry *inquiry)
{
    struct utsname os;
    uname(&os);
    writer_format(out, "redis_version:%s\r\nredis_mode:standalone\r\n", CONNECTION_REDIS_VERSION);
    writer_format(out, "nydus_version:%s\r\n", NYDUS_VERSION);
    writer_format(out, "os:%s %s %s\r\narch_bits:%zu\r\n", os.sysname, os.release, os.machine,
                  8 * sizeof(void *));
    writer_format(out, "multiplexing_api:libev\r\nprocess_id:%d\r\n", (int)getpid());
    writer_format(out, "tcp_port:%d\r\nlisten:%s\r\n", port_of(inquiry->client->listener->text),
                  inquiry->client->listener->text);
    writer_format(out, "uptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n", uptime(), uptime() / 86400);
}

static void section_clients(struct writer *out, const struct inquiry *inquiry)
{
    const struct cluster *cluster = client_cluster(inquiry->client);
    writer_format(out, "connected_clients:%llu\r\n", (unsigned long long)stats_clients());
    writer_format(out, "maxclients:%u\r\nblocked_clients:%llu\r\ntracking_clients:0\r\n",
                  cluster ? cluster->max_clients : 0, (unsigned long long)stats_blocked());
    writer_format(out, "worker_clients:%llu\r\n", (unsigned long long)inquiry->client->proxy->client_count);
}

/* Of all workers; of this process where there are none. */
static struct usage usage_of_workers(void)
{
    struct usage sum = {0};
    for (uint32_t i = 0; i < board->workers; i++) {
        if (board->worker[i].pid != 0) {
            usage_add(&sum, (pid_t)board->worker[i].pid);
        }
    }
    if (sum.resident == 0) {
        usage_add(&sum, getpid());
    }
    return sum;
}

/* As Redis writes a size for people. */
static void write_size(struct writer *out, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && unit + 2 < sizeof units) {
        size /= 1024;
        unit++;
    }
    writer_format(out, "%s:%llu\r\n%s_human:%.*f%c\r\n", name, (unsigned long long)bytes, name,
                  unit > 0 ? 2 : 0, size, units[unit]);
}

static void section_memory(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    const struct usage usage = usage_of_workers();
    write_size(out, "used_memory", usage.own);
    write_size(out, "used_memory_rss", usage.resident);
    write_size(out, "maxmemory", 0);
    writer_format(out, "maxmemory_policy:noeviction\r\nmem_allocator:libc\r\n");
}

/* ioredis waits until loading is 0. */
static void section_persistence(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    writer_format(out, "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\n");
}

static void section_stats(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    struct stats sum;
    struct tally_error errors[TALLY_ERRORS];
    uint64_t error_replies = 0;
    stats_since(&sum);
    for (size_t i = 0, count = tally_errors(errors); i < count; i++) {
        error_replies += errors[i].count;
    }
    const struct {
        const char *name;
        uint64_t value;
    } redis[] = {
        {"total_connections_received", sum.clients_accepted}, {"total_commands_processed", sum.requests},
        {"total_net_input_bytes", sum.input_bytes},           {"total_net_output_bytes", sum.output_bytes},
        {"rejected_connections", sum.clients_refused},        {"total_error_replies", error_replies},
        {"pubsub_channels", crowd_names(SUBSCRIPTION_CHANNEL)},
        {"pubsub_patterns", crowd_names(SUBSCRIPTION_PATTERN)},
        {"pubsubshard_channels", crowd_names(SUBSCRIPTION_SHARD)},
    };
    for (size_t i = 0; i < sizeof redis / sizeof *redis; i++) {
        writer_format(out, "%s:%llu\r\n", redis[i].name, (unsigned long long)redis[i].value);
    }
    writer_format(out, "nydus_cache_bytes:%llu\r\n", (unsigned long long)stats_cache_bytes());
#define STAT(name, help) writer_format(out, "nydus_" #name ":%llu\r\n", (unsigned long long)sum.name);
#include "base/stats.def"
#undef STAT
}

static void section_replication(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    writer_format(out, "role:master\r\nconnected_slaves:0\r\n");
}

static void section_cpu(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    const struct usage usage = usage_of_workers();
    writer_format(out, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", usage.system, usage.user);
}

static void section_modules(struct writer *out, const struct inquiry *inquiry)
{
    (void)out;
    (void)inquiry;
}

/* ---- what commands did ---- */

static void section_commandstats(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    for (uint32_t place = 0; place < TALLY_COMMANDS; place++) {
        const struct tally_count count = tally_counts(place);
        const char *name = measure_name(place);
        if (!name || (count.calls == 0 && count.rejected == 0)) {
            continue;
        }
        double each = count.calls > 0 ? (double)count.usec / (double)count.calls : 0;
        writer_format(out,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                      "failed_calls=%llu\r\n",
                      name, (unsigned long long)count.calls, (unsigned long long)count.usec,
                      each, (unsigned long long)count.rejected, (unsigned long long)count.failed);
    }
}

static void section_errorstats(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    struct tally_error errors[TALLY_ERRORS];
    size_t count = tally_errors(errors);
    for (size_t i = 0; i < count; i++) {
        writer_format(out, "errorstat_%s:count=%llu\r\n", errors[i].name,
                      (unsigned long long)errors[i].count);
    }
}

/* The duration that a share of the calls did not exceed, µs. */
static uint64_t percentile(const struct tally_times *times, uint64_t calls, double share)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < TALLY_BUCKETS; i++) {
        seen += times->at[i];
        if ((double)seen >= (double)calls * share) {
            return tally_bucket_end(i);
        }
    }
    return tally_bucket_end(TALLY_BUCKETS - 1);
}

static void section_latencystats(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    for (uint32_t place = 0; place < TALLY_COMMANDS; place++) {
        const struct tally_times times = tally_times(place);
        const char *name = measure_name(place);
        uint64_t calls = 0;
        for (uint32_t i = 0; i < TALLY_BUCKETS; i++) {
            calls += times.at[i];
        }
        if (name && calls > 0) {
            writer_format(out, "latency_percentiles_usec_%s:p50=%llu.000,p99=%llu.000,p99.9=%llu.000\r\n",
                          name, (unsigned long long)percentile(&times, calls, 0.5),
                          (unsigned long long)percentile(&times, calls, 0.99),
                          (unsigned long long)percentile(&times, calls, 0.999));
        }
    }
}

static void section_cluster(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    writer_format(out, "cluster_enabled:0\r\n");
}

/* ---- hosts ---- */

/* Texts of others on a line of commas. */
static void write_plain(struct writer *out, const char *text)
{
    for (; *text; text++) {
        bool plain = (unsigned char)*text >= ' ' && *text != ',';
        writer_raw(out, plain ? text : " ", 1);
    }
}

/* The best state among the links of the host's own database, and why there is none better. */
static void write_host(struct writer *out, uint32_t number, const struct host *host)
{
    const struct host_report report = host_report(host);
    writer_format(out, "host%u:identifier=", number);
    write_plain(out, host->options.identifier);
    writer_format(out, ",address=");
    write_plain(out, host->options.address);
    writer_format(out, ",db=%d,weight=%u,state=%s,links=%u,depth=%u,failures=%u,reason=", host->options.db,
                  host->options.weight, report.state, report.links, report.pending, report.failures);
    write_plain(out, report.reason);
    writer_raw(out, "\r\n", 2);
}

static void write_quarantine(struct writer *out, const struct quarantine *quarantine)
{
    writer_format(out, "router_quarantined:%d\r\n", quarantine->since != 0);
    if (quarantine->since)
        writer_format(out, "router_quarantined_since:%lld\r\nrouter_quarantined_reason:%s\r\n",
                      (long long)quarantine->since, quarantine->reason);
}

static void section_hosts(struct writer *out, const struct inquiry *inquiry)
{
    const struct cluster *cluster = client_cluster(inquiry->client);
    writer_format(out, "cluster:%s\r\nhosts:%u\r\n", cluster ? cluster->name : "",
                  cluster ? cluster->count : 0);
    if (cluster)
        write_quarantine(out, &cluster->quarantine);
    for (uint32_t i = 0; cluster && i < cluster->count; i++) {
        write_host(out, i, cluster->hosts[i]);
    }
}

static void section_nydus(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    char reason[BOARD_REASON];
    board_reason(reason, sizeof reason);
    for (char *c = reason; *c; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    writer_format(out,
                  "nydus_workers:%u\r\nnydus_config_generation:%u\r\nnydus_config_hash:%016llx\r\n"
                  "nydus_config_reloads:%u\r\nnydus_config_last_reload_success:%d\r\n"
                  "nydus_config_last_reload_error:%s\r\n",
                  board->workers, board->generation, (unsigned long long)board->config_hash, board->reloads,
                  board->last_reload_success, reason);
}

/* As few digits as say it exactly. */
static void write_number(struct writer *out, const char *name, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    writer_format(out, "%s%s", name, text);
}

static void write_series(struct writer *out, const struct series *series)
{
    struct series_histogram sum;
    writer_format(out, "%s:", series->name);
    if (series->kind != AREA_HISTOGRAM) {
        write_number(out, "", series_sum(series->place));
    } else {
        series_histogram(series->place, &sum);
        writer_format(out, "count=%llu", (unsigned long long)series_count(&sum));
        write_number(out, ",sum=", sum.sum);
        writer_format(out, ",p50=%.3g,p99=%.3g,p99.9=%.3g", series_quantile(&sum, 0.5),
                      series_quantile(&sum, 0.99), series_quantile(&sum, 0.999));
    }
    writer_raw(out, "\r\n", 2);
}

/* What router scripts count. */
static void section_router(struct writer *out, const struct inquiry *inquiry)
{
    (void)inquiry;
    struct series series;
    for (uint32_t index = 0; series_next(&index, &series);)
        write_series(out, &series);
}

static void section_keyspace(struct writer *out, const struct inquiry *inquiry)
{
    if (inquiry->join) {
        databases_write(out, inquiry->join);
    }
}

/* ---- INFO ---- */

enum { ASKED_FOR = 1, ASKS_HOSTS = 2 };

/* Redis's sections in its order, then our own. */
static const struct section {
    const char *name; /* as its head is written; asked for in any case */
    void (*write)(struct writer *out, const struct inquiry *inquiry);
    int traits; /* ASKED_FOR: not there by itself; ASKS_HOSTS: needs databases_ask */
} sections[] = {
    {"Server", section_server, 0},
    {"Clients", section_clients, 0},
    {"Memory", section_memory, 0},
    {"Persistence", section_persistence, 0},
    {"Stats", section_stats, 0},
    {"Replication", section_replication, 0},
    {"CPU", section_cpu, 0},
    {"Modules", section_modules, 0},
    {"Commandstats", section_commandstats, ASKED_FOR},
    {"Errorstats", section_errorstats, 0},
    {"Latencystats", section_latencystats, ASKED_FOR},
    {"Cluster", section_cluster, 0},
    {"Keyspace", section_keyspace, ASKS_HOSTS},
    {"Hosts", section_hosts, 0},
    {"Nydus", section_nydus, 0},
    {"Router", section_router, ASKED_FOR},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

/* The bits of the sections that have none of these traits. */
static uint32_t sections_without(int traits)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!(sections[i].traits & traits)) {
            bits |= 1u << i;
        }
    }
    return bits;
}

static uint32_t section_bits(const char *name, size_t size)
{
    if (call_word_is(name, size, "default")) {
        return sections_without(ASKED_FOR);
    }
    if (call_word_is(name, size, "all") || call_word_is(name, size, "everything")) {
        return sections_without(0);
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        if (call_word_is(name, size, sections[i].name)) {
            return 1u << i;
        }
    }
    return 0; /* Redis, too, has nothing to say of a section it does not know */
}

static uint32_t sections_asked(const struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 1);
    struct resp_arg arg;
    uint32_t asked = call_argc(call) == 1 ? sections_without(ASKED_FOR) : 0;
    while (resp_cursor_next(&cursor, &arg)) {
        asked |= section_bits(bytes + arg.at, arg.size);
    }
    return asked;
}

static void info_write(struct request *request, uint32_t asked, const struct join *join)
{
    const struct inquiry inquiry = {.client = request->client, .join = join};
    struct writer text = {0}, reply = {.resp = request->query.resp};
    for (size_t i = 0; inquiry.client && i < SECTIONS; i++) {
        if (asked >> i & 1) {
            writer_format(&text, "%s# %s\r\n", text.size > 0 ? "\r\n" : "", sections[i].name);
            sections[i].write(&text, &inquiry);
        }
    }
    writer_verbatim(&reply, text.size > 0 ? text.data : "", text.size);
    request_answer(request, reply.data, reply.size);
    writer_deinit(&text);
    writer_deinit(&reply);
}

static void info_finish(struct join *join)
{
    info_write(join->whole.request, join->place, join);
}

void info_answer(struct call *call)
{
    uint32_t asked = sections_asked(call);
    if (asked & ~sections_without(ASKS_HOSTS)) {
        databases_ask(call->request, asked, info_finish);
    } else {
        info_write(call->request, asked, NULL);
    }
}

/* ---- MEMORY, TIME and ROLE ---- */

void info_memory_doctor(struct call *call)
{
    struct writer text = call_writer(call);
    struct mallinfo2 heap = mallinfo2();
    writer_format(&text,
                  "Nydus keeps no data; ask MEMORY DOCTOR of each host. This worker has allocated %zu bytes, "
                  "%zu more are free in its heap; all workers together have %llu in memory.\n",
                  heap.uordblks + heap.hblkhd + tile_used(), heap.fordblks,
                  (unsigned long long)usage_of_workers().resident);
    call_verbatim(call, &text);
}

void info_memory_purge(struct call *call)
{
    proxy_purge();
    call_ok(call);
}

void info_time(struct call *call)
{
    struct timeval now;
    char text[32];
    struct writer reply = call_writer(call);
    gettimeofday(&now, NULL);
    writer_array(&reply, 2);
    snprintf(text, sizeof text, "%lld", (long long)now.tv_sec);
    writer_text(&reply, text);
    snprintf(text, sizeof text, "%ld", (long)now.tv_usec);
    writer_text(&reply, text);
    call_reply(call, &reply);
}

void info_role(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_array(&reply, 3);
    writer_text(&reply, "master");
    writer_integer(&reply, 0);
    writer_array(&reply, 0);
    call_reply(call, &reply);
}
