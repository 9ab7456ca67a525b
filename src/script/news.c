/* News of hosts; see news.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/news.h"

#include "base/memory.h"
#include "proxy/proxy.h"
#include "script/bindings.h"

#include <math.h>
#include <stdlib.h>

static void on_look(void *owner)
{
    news_look(owner);
}

static void news_add(struct news *news, const struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        news->items[news->count++] = (struct news_item){.host = cluster->hosts[i],
                                                        .target = cluster->host_targets[i]->id,
                                                        .told = host_state(cluster->hosts[i]),
                                                        .mark = NAN};
}

/* All hosts of the generation, in order. */
static struct news *news_of(struct script *script)
{
    struct news *news = &script->news;
    const struct generation *generation = script->generation;
    uint32_t count = 0;
    if (news->items)
        return news;
    for (uint32_t i = 0; i < generation->count; i++)
        count += generation->clusters[i]->count;
    news->items = xcalloc(count, sizeof *news->items);
    for (uint32_t i = 0; i < generation->count; i++)
        news_add(news, generation->clusters[i]);
    alarm_init(&news->look, on_look, script);
    return news;
}

void news_want(struct script *script)
{
    news_of(script)->wanted = true;
}

static void mark(struct host *host, double seconds)
{
    if (seconds > 0)
        host_put_down(host, seconds, "a router script says so");
    else
        host_take_back(host);
}

void news_mark(struct script *script, struct host *host, double seconds)
{
    if (!script->proxy || script->in_force) {
        mark(host, seconds);
        return;
    }
    struct news *news = news_of(script);
    for (uint32_t i = 0; i < news->count; i++)
        if (news->items[i].host == host)
            news->items[i].mark = seconds;
}

bool *news_marks(struct script *script)
{
    const struct news *news = news_of(script);
    bool *marks = xcalloc(news->count + 1, sizeof *marks);
    for (uint32_t i = 0; i < news->count; i++)
        marks[i] = news->items[i].host->down;
    return marks;
}

void news_restore(struct script *script, bool *marks)
{
    const struct news *news = &script->news;
    for (uint32_t i = 0; i < news->count; i++)
        if (news->items[i].host->down != marks[i])
            mark(news->items[i].host, marks[i] ? INFINITY : 0);
    free(marks);
}

static void news_tell(struct script *script, const struct news_item *item, const char *why)
{
    lua_State *L = script->state.L;
    script_push_runtime(script, "host_changed");
    lua_pushinteger(L, (lua_Integer)item->target);
    lua_pushstring(L, host_state_name(item->told));
    lua_pushstring(L, why);
    callbacks_tell(script, 3);
}

/* Nobody is told of the way up. */
static bool is_news(const struct news_item *item, enum host_state state)
{
    return state != item->told && state != HOST_CONNECTING && state != HOST_IDLE;
}

static const char *reason_of(const struct news_item *item, enum host_state state)
{
    if (state == HOST_UP)
        return item->told == HOST_DOWN ? "taken back" : "connected";
    const char *reason = state == HOST_DOWN ? item->host->reason : host_away(item->host);
    return reason ? reason : "";
}

void news_look(struct script *script)
{
    struct news *news = &script->news;
    for (uint32_t i = 0; script->in_force && news->wanted && i < news->count; i++) {
        struct news_item *item = &news->items[i];
        enum host_state state = host_state(item->host);
        if (!is_news(item, state))
            continue;
        const char *why = reason_of(item, state);
        item->told = state;
        news_tell(script, item, why);
    }
}

void news_begin(struct script *script)
{
    struct news *news = &script->news;
    for (uint32_t i = 0; i < news->count; i++)
        if (!isnan(news->items[i].mark))
            mark(news->items[i].host, news->items[i].mark);
    if (!script->proxy || !news->wanted)
        return;
    script->proxy->host_watch = &news->look;
    news_look(script);
}

/* A mark that has no end ends with the script that gave it. */
static void unmark(struct host *host)
{
    if (host->down && host->down_until == INFINITY)
        host->down_until = host->failed_at;
}

void news_end(struct script *script)
{
    struct news *news = &script->news;
    const struct generation *generation = script->generation;
    for (uint32_t i = 0; i < generation->count; i++)
        for (uint32_t h = 0; h < generation->clusters[i]->count; h++)
            unmark(generation->clusters[i]->hosts[h]);
    if (!script->proxy)
        return;
    if (script->proxy->host_watch == &news->look)
        script->proxy->host_watch = NULL;
    if (news->items)
        alarm_stop(script->proxy->loop, &news->look);
}

void news_deinit(struct news *news)
{
    free(news->items);
}
