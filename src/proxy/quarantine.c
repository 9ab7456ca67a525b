/* Routers out of service; see quarantine.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/quarantine.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/cluster.h"
#include "proxy/proxy.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The counts are those of one to two periods, so that a period that has just begun does not judge. */
#define QUARANTINE_PERIOD UINT64_C(10000000000) /* nanoseconds */
enum { QUARANTINE_STOPS = 3, QUARANTINE_MANY_STOPS = 100, QUARANTINE_DECISIONS = 1000 };

void quarantine_deinit(struct quarantine *quarantine)
{
    free(quarantine->file);
    free(quarantine->reason);
}

/* ---- the fallback's tree ---- */

struct marking {
    struct cluster *cluster;
    bool *seen;
};

static bool mark(void *context, const struct target *at, const struct target_way *way)
{
    (void)way;
    struct marking *marking = context;
    if (marking->seen[at->id])
        return false;
    marking->seen[at->id] = true;
    if (at->kind == TARGET_FUNCTION && at->function.owner == marking->cluster)
        at->set->targets[at->id]->function.spare = true;
    return target_each(at, mark, marking);
}

bool quarantine_setup(struct cluster *cluster)
{
    struct target *fallback = cluster->quarantine.fallback, *root = cluster->root;
    if (!fallback)
        return true;
    cluster->root = fallback;
    bool circle = target_find_cycle(fallback) != NULL;
    cluster->root = root;
    if (circle)
        return false;
    struct marking marking = {.cluster = cluster, .seen = xcalloc(fallback->set->count, sizeof(bool))};
    mark(&marking, fallback, NULL);
    free(marking.seen);
    return true;
}

/* ---- judging ---- */

bool quarantine_retired(const struct target *function)
{
    const struct cluster *owner = function->function.owner;
    return owner && owner->quarantine.since && (owner->quarantine.spent || !function->function.spare);
}

void quarantine_asked(struct cluster *cluster, uint32_t count, uint64_t now)
{
    struct quarantine *quarantine = &cluster->quarantine;
    uint64_t passed = now - quarantine->begun;
    if (passed > QUARANTINE_PERIOD) {
        quarantine->before = passed < 2 * QUARANTINE_PERIOD ? quarantine->now : (struct quarantine_count){0};
        quarantine->now = (struct quarantine_count){0};
        quarantine->begun = now;
    }
    quarantine->now.asked += count;
}

static bool is_hopeless(const struct quarantine *quarantine)
{
    const struct quarantine_count *now = &quarantine->now, *before = &quarantine->before;
    uint32_t asked = now->asked + before->asked, failed = now->failed + before->failed;
    uint32_t stopped = now->stopped + before->stopped;
    return stopped >= QUARANTINE_MANY_STOPS || (stopped >= QUARANTINE_STOPS && stopped >= asked / 4.0 * 3) ||
           (asked >= QUARANTINE_DECISIONS && failed >= asked / 10.0 * 9);
}

/* The error without "ERR router: ". */
static const char *words_of(const char *error)
{
    static const char head[] = "ERR router: ";
    return error + (strncmp(error, head, sizeof head - 1) == 0 ? sizeof head - 1 : 0);
}

/* What is answered when there is no fallback. */
static struct target *make_refusal(const struct cluster *cluster)
{
    const struct quarantine *quarantine = &cluster->quarantine;
    char since[32];
    time_t seconds = (time_t)quarantine->since;
    struct tm local;
    localtime_r(&seconds, &local);
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &local);
    char *text = xformat("-ERR router: %s is quarantined since %s until the next reload: %s\r\n",
                         quarantine->file, since, quarantine->reason);
    struct target *refusal = target_reply(cluster->generation->set, text, strlen(text));
    free(text);
    return refusal;
}

static void isolate(struct cluster *cluster, const char *error)
{
    struct quarantine *quarantine = &cluster->quarantine;
    bool again = quarantine->since != 0, fallback = quarantine->fallback && !again;
    quarantine->since = time(NULL);
    quarantine->spent = !fallback;
    free(quarantine->reason);
    quarantine->reason = xstrdup(words_of(error));
    cluster->root = fallback ? quarantine->fallback : make_refusal(cluster);
    quarantine->now = quarantine->before = (struct quarantine_count){0};
    stats->routers_quarantined++;
    log_error("clusters.%s.router: %s%s is quarantined until the next reload, %s: %s", cluster->name,
              again ? "the fallback of " : "", quarantine->file,
              fallback ? "its fallback answers" : "clients get an error", quarantine->reason);
    struct proxy *proxy = cluster->count ? cluster->hosts[0]->proxy : NULL;
    if (proxy)
        proxy->hubs_stale = true; /* channels may have moved */
}

bool quarantine_failed(struct cluster *cluster, bool stopped, const char *error)
{
    struct quarantine *quarantine = &cluster->quarantine;
    quarantine->now.failed++;
    quarantine->now.stopped += stopped;
    if (quarantine->spent || !is_hopeless(quarantine))
        return false;
    isolate(cluster, error);
    return true;
}
