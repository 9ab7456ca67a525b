/* The turnout; see turnout.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/turnout.h"

#include <stdlib.h>
#include <string.h>

#include "base/crowd.h"
#include "proxy/call.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/glob.h"
#include "proxy/link.h"
#include "proxy/proxy.h"
#include "resp/writer.h"

/* ---- telling ---- */

static uint64_t key_at(uint64_t place, const struct subscription *subscription)
{
    return crowd_key(place + (uint64_t)subscription->kind, subscription->name, subscription->size);
}

static uint64_t place_of_cluster(const char *name)
{
    return crowd_key(0, name, strlen(name));
}

static uint64_t place_of_host(const struct host *host)
{
    return crowd_key(0, host->fingerprint.bytes, host->fingerprint.size);
}

void turnout_update(const struct subscription *subscription)
{
    const struct hub *hub = subscription->hub;
    int32_t count = (int32_t)subscription->count, active = 0;
    if (subscription->kind == SUBSCRIPTION_PATTERN) {
        hub->proxy->patterns_stale = true;
        return;
    }
    for (const struct ear *ear = subscription->ears; ear; ear = ear->next) {
        bool heard = ear->state == EAR_ACTIVE;
        active += heard;
        crowd_set(key_at(place_of_host(ear->feed->host), subscription), heard ? count - 1 : 0);
    }
    int32_t overlap = active > 1 ? count * (active - 1) : 0;
    crowd_set(key_at(place_of_cluster(hub->cluster_name), subscription), -overlap);
}

void turnout_forget(const struct ear *ear)
{
    const struct subscription *subscription = ear->subscription;
    if (subscription->kind != SUBSCRIPTION_PATTERN)
        crowd_set(key_at(place_of_host(ear->feed->host), subscription), 0);
}

/* ---- patterns ---- */

struct pattern_head {
    uint64_t place; /* of the cluster */
    int32_t more;
    uint32_t size; /* of the pattern, which follows */
};

static void tell_patterns(const struct hub *hub, struct writer *out)
{
    const struct subscription *pattern = hub->patterns;
    for (; pattern; pattern = pattern->next_pattern) {
        struct pattern_head head = {.place = place_of_cluster(hub->cluster_name),
                                    .more = (int32_t)pattern->count - 1,
                                    .size = pattern->size};
        if (head.more <= 0 || out->size + sizeof head + head.size > CROWD_PATTERNS)
            continue;
        writer_raw(out, (const char *)&head, sizeof head);
        writer_raw(out, pattern->name, pattern->size);
    }
}

void turnout_turn_end(struct proxy *proxy)
{
    struct writer out = {0};
    if (!proxy->patterns_stale)
        return;
    proxy->patterns_stale = false;
    for (const struct hub *hub = proxy->hubs; hub; hub = hub->next)
        tell_patterns(hub, &out);
    crowd_set_patterns(out.data ? out.data : "", out.size);
    writer_deinit(&out);
}

static int64_t patterns_of(uint32_t row, uint64_t place, const char *channel, size_t size)
{
    static char text[CROWD_PATTERNS];
    size_t end = crowd_patterns(row, text);
    struct pattern_head head;
    int64_t sum = 0;
    for (size_t at = 0; at + sizeof head <= end; at += sizeof head + head.size) {
        memcpy(&head, text + at, sizeof head);
        if (head.place == place && glob_fits_key(text + at + sizeof head, head.size, channel, size))
            sum += head.more;
    }
    return sum;
}

/* ---- asking ---- */

int64_t turnout_subscribers(const struct host *host, enum subscription_kind kind, const char *channel,
                            size_t size)
{
    return crowd_sum(crowd_key(place_of_host(host) + (uint64_t)kind, channel, size));
}

int64_t turnout_receivers(const struct host *host, enum subscription_kind kind, const char *channel,
                          size_t size)
{
    int64_t sum = turnout_subscribers(host, kind, channel, size);
    uint64_t place = place_of_cluster(host->options.cluster);
    for (uint32_t row = 0; kind == SUBSCRIPTION_CHANNEL && row < crowd_rows(); row++)
        sum += patterns_of(row, place, channel, size);
    return sum;
}

int64_t turnout_overlap(const char *cluster_name, enum subscription_kind kind, const char *channel,
                        size_t size)
{
    return crowd_sum(crowd_key(place_of_cluster(cluster_name) + (uint64_t)kind, channel, size));
}

/* ---- PUBLISH ---- */

bool turnout_amend(const struct request *request, struct reply *reply, char *line)
{
    const struct query *query = &request->query;
    if (reply->bytes[0] != ':' || !request->link)
        return false;
    enum subscription_kind kind = query->command->name[0] == 's' ? SUBSCRIPTION_SHARD : SUBSCRIPTION_CHANNEL;
    int64_t more = turnout_receivers(request->link->host, kind, query_key(query), query->key.size);
    int64_t number = strtoll(reply->bytes + 1, NULL, 10) + more;
    reply->size = resp_write_header(line, ':', number > 0 ? number : 0);
    reply->bytes = line;
    reply->give = NULL;
    return true;
}

static void published(struct request *request, const struct reply *reply)
{
    struct reply amended = *reply;
    char line[RESP_HEADER_SIZE];
    turnout_amend(request, &amended, line);
    client_done(request, &amended);
}

void turnout_see_publish(const struct call *call)
{
    call->request->done = published;
}
