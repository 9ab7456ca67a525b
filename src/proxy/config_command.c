/* The settings that Nydus has an answer for; their names are Redis's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/config_command.h"

#include <stdio.h>
#include <string.h>

#include "base/slowlog.h"
#include "base/stats.h"
#include "base/tally.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/glob.h"

enum { VALUE_SIZE = 32 };

struct setting {
    const char *name;
    const char *value; /* NULL: `number` says it */
    unsigned long long (*number)(const struct cluster *cluster);
};

static unsigned long long max_clients(const struct cluster *cluster)
{
    return cluster ? cluster->max_clients : 0;
}

static unsigned long long max_request(const struct cluster *cluster)
{
    return cluster && cluster->max_request < RESP_MAX_BULK ? cluster->max_request : RESP_MAX_BULK;
}

static unsigned long long timeout(const struct cluster *cluster)
{
    return cluster ? (unsigned long long)cluster->client_timeout : 0;
}

static unsigned long long slow_usec(const struct cluster *cluster)
{
    (void)cluster;
    return SLOWLOG_USEC;
}

static unsigned long long slow_entries(const struct cluster *cluster)
{
    (void)cluster;
    return SLOWLOG_ENTRIES;
}

static const struct setting settings[] = {
    {"appendonly", "no", NULL},
    {"databases", "16", NULL}, /* Redis's default: only the hosts know */
    {"latency-monitor-threshold", "0", NULL},
    {"latency-tracking", "yes", NULL},
    {"latency-tracking-info-percentiles", "50 99 99.9", NULL},
    {"maxclients", NULL, max_clients},
    {"maxmemory", "0", NULL},
    {"maxmemory-policy", "noeviction", NULL},
    {"proto-max-bulk-len", NULL, max_request},
    {"save", "", NULL},
    {"slowlog-log-slower-than", NULL, slow_usec},
    {"slowlog-max-len", NULL, slow_entries},
    {"timeout", NULL, timeout},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* Under which names the settings are to be told; size 0: not asked for. */
struct asked {
    struct {
        const char *name;
        size_t size;
    } settings[SETTINGS];
    size_t count;
};

static bool is_pattern(const char *text, size_t size)
{
    return memchr(text, '*', size) || memchr(text, '?', size) || memchr(text, '[', size);
}

/* As in Redis, a plain name comes back as it was written. */
static void ask(struct asked *asked, const char *text, size_t size)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *name = settings[i].name;
        if (asked->settings[i].size == 0 && glob_fits(text, size, name, strlen(name))) {
            bool pattern = is_pattern(text, size);
            asked->settings[i].name = pattern ? name : text;
            asked->settings[i].size = pattern ? strlen(name) : size;
            asked->count++;
        }
    }
}

static void write_value(struct writer *reply, const struct setting *setting, const struct cluster *cluster)
{
    char value[VALUE_SIZE];
    if (setting->number) {
        snprintf(value, sizeof value, "%llu", setting->number(cluster));
    }
    writer_text(reply, setting->number ? value : setting->value);
}

void config_command_get(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg arg;
    struct asked asked = {0};
    struct writer reply = call_writer(call);
    while (resp_cursor_next(&cursor, &arg)) {
        ask(&asked, bytes + arg.at, arg.size);
    }
    writer_map(&reply, asked.count);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (asked.settings[i].size > 0) {
            writer_bulk(&reply, asked.settings[i].name, asked.settings[i].size);
            write_value(&reply, &settings[i], client_cluster(call->client));
        }
    }
    call_reply(call, &reply);
}

void config_command_resetstat(struct call *call)
{
    stats_reset();
    tally_reset();
    call_ok(call);
}
