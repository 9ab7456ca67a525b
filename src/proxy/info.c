/* The sections of INFO, one function each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/info.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/board.h"
#include "base/stats.h"
#include "base/version.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/connection.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"

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

static void section_server(struct writer *out, const struct client *client)
{
    struct utsname os;
    uname(&os);
    writer_format(out, "redis_version:%s\r\nredis_mode:standalone\r\n", CONNECTION_REDIS_VERSION);
    writer_format(out, "nydus_version:%s\r\n", NYDUS_VERSION);
    writer_format(out, "os:%s %s %s\r\narch_bits:%zu\r\n", os.sysname, os.release, os.machine,
                  8 * sizeof(void *));
    writer_format(out, "multiplexing_api:libev\r\nprocess_id:%d\r\n", (int)getpid());
    writer_format(out, "tcp_port:%d\r\nlisten:%s\r\n", port_of(client->listener->text),
                  client->listener->text);
    writer_format(out, "uptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n", uptime(), uptime() / 86400);
}

static void section_clients(struct writer *out, const struct client *client)
{
    const struct cluster *cluster = client_cluster(client);
    writer_format(out, "connected_clients:%llu\r\n", (unsigned long long)stats_clients());
    writer_format(out, "maxclients:%u\r\nblocked_clients:%llu\r\ntracking_clients:0\r\n",
                  cluster ? cluster->max_clients : 0, (unsigned long long)stats_blocked());
    writer_format(out, "worker_clients:%llu\r\n", (unsigned long long)client->proxy->client_count);
}

/* Bytes of this process in memory, 0 when the system does not say. */
static unsigned long long resident(void)
{
    unsigned long long all, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%llu %llu", &all, &pages) != 2) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void section_memory(struct writer *out, const struct client *client)
{
    (void)client;
    struct mallinfo2 heap = mallinfo2();
    writer_format(out, "used_memory:%zu\r\nused_memory_rss:%llu\r\n", heap.uordblks + heap.hblkhd,
                  resident());
    writer_format(out, "maxmemory:0\r\nmaxmemory_policy:noeviction\r\nmem_allocator:libc\r\n");
}

/* ioredis waits until loading is 0. */
static void section_persistence(struct writer *out, const struct client *client)
{
    (void)client;
    writer_format(out, "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\n");
}

static void section_stats(struct writer *out, const struct client *client)
{
    (void)client;
    struct stats sum;
    stats_sum(&sum);
    const struct {
        const char *name;
        uint64_t value;
    } redis[] = {
        {"total_connections_received", sum.clients_accepted}, {"total_commands_processed", sum.requests},
        {"total_net_input_bytes", sum.input_bytes},           {"total_net_output_bytes", sum.output_bytes},
        {"rejected_connections", sum.clients_refused},        {"total_error_replies", sum.errors},
    };
    for (size_t i = 0; i < sizeof redis / sizeof *redis; i++) {
        writer_format(out, "%s:%llu\r\n", redis[i].name, (unsigned long long)redis[i].value);
    }
#define STAT(name, help) writer_format(out, "nydus_" #name ":%llu\r\n", (unsigned long long)sum.name);
#include "base/stats.def"
#undef STAT
}

static void section_replication(struct writer *out, const struct client *client)
{
    (void)client;
    writer_format(out, "role:master\r\nconnected_slaves:0\r\n");
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void section_cpu(struct writer *out, const struct client *client)
{
    (void)client;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    writer_format(out, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", seconds(used.ru_stime),
                  seconds(used.ru_utime));
}

static void section_cluster(struct writer *out, const struct client *client)
{
    (void)client;
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

static void section_hosts(struct writer *out, const struct client *client)
{
    const struct cluster *cluster = client_cluster(client);
    writer_format(out, "cluster:%s\r\nhosts:%u\r\n", cluster ? cluster->name : "",
                  cluster ? cluster->count : 0);
    for (uint32_t i = 0; cluster && i < cluster->count; i++) {
        write_host(out, i, cluster->hosts[i]);
    }
}

static void section_nydus(struct writer *out, const struct client *client)
{
    (void)client;
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

static void section_keyspace(struct writer *out, const struct client *client)
{
    (void)out;
    (void)client; /* only the hosts know: INFO keyspace of theirs */
}

/* ---- INFO ---- */

static const struct section {
    const char *name; /* as its head is written; asked for in any case */
    void (*write)(struct writer *out, const struct client *client);
} sections[] = {
    {"Server", section_server},
    {"Clients", section_clients},
    {"Memory", section_memory},
    {"Persistence", section_persistence},
    {"Stats", section_stats},
    {"Replication", section_replication},
    {"CPU", section_cpu},
    {"Hosts", section_hosts},
    {"Nydus", section_nydus},
    {"Cluster", section_cluster},
    {"Keyspace", section_keyspace},
};
enum { SECTIONS = sizeof sections / sizeof *sections, ALL_SECTIONS = (1 << SECTIONS) - 1 };

static uint32_t section_bits(const char *name, size_t size)
{
    static const char *const all[] = {"all", "everything", "default"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (call_word_is(name, size, all[i])) {
            return ALL_SECTIONS;
        }
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        if (call_word_is(name, size, sections[i].name)) {
            return 1u << i;
        }
    }
    return 0; /* Redis, too, has nothing to say of a section it does not know */
}

void info_answer(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 1);
    struct resp_arg arg;
    struct writer text = {0};
    uint32_t asked = call_argc(call) == 1 ? ALL_SECTIONS : 0;
    while (resp_cursor_next(&cursor, &arg)) {
        asked |= section_bits(bytes + arg.at, arg.size);
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        if (asked >> i & 1) {
            writer_format(&text, "%s# %s\r\n", text.size > 0 ? "\r\n" : "", sections[i].name);
            sections[i].write(&text, call->client);
        }
    }
    call_verbatim(call, &text);
}

/* ---- MEMORY, TIME and ROLE ---- */

void info_memory_doctor(struct call *call)
{
    struct writer text = call_writer(call);
    struct mallinfo2 heap = mallinfo2();
    writer_format(&text,
                  "Nydus keeps no data; ask MEMORY DOCTOR of each host. This worker has allocated %zu bytes, "
                  "%zu more are free in its heap, and %llu are in memory.\n",
                  heap.uordblks + heap.hblkhd, heap.fordblks, resident());
    call_verbatim(call, &text);
}

void info_memory_purge(struct call *call)
{
    malloc_trim(0);
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
