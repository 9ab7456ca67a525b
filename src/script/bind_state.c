/* For Lua: what scripts share with all workers (series, limiters, dictionaries),
 * the clock, random numbers, the log. Lua calls most of it by FFI, in compiled code. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include "base/clock.h"
#include "base/dictionary.h"
#include "base/limiter.h"
#include "base/log.h"
#include "base/random.h"
#include "base/series.h"

#include <lauxlib.h>
#include <string.h>
#include <xxhash.h>

enum { ERROR_SIZE = 200 };

/* ---- time ---- */

/* The clocks of one call into Lua, which guard.calls counts: what a decision asks is asked at one time. */
static struct {
    uint32_t call;
    bool read;
    double unix_time;
    uint64_t monotonic;
} clocks;

static void clocks_read(void)
{
    if (clocks.read && clocks.call == guard.calls)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    clocks.unix_time = (double)now.tv_sec + ((double)now.tv_nsec + (double)clock_skipped) / 1e9;
    clocks.monotonic = limiter_now();
    clocks.call = guard.calls;
    clocks.read = true;
}

static double unix_time(void)
{
    clocks_read();
    return clocks.unix_time;
}

static double random_part(void)
{
    return (double)(random_next() >> 11) * 0x1p-53;
}

/* ---- series ---- */

static double histogram_count(uint32_t place)
{
    struct series_histogram sum;
    series_histogram(place, &sum);
    return (double)series_count(&sum);
}

static double histogram_sum(uint32_t place)
{
    struct series_histogram sum;
    series_histogram(place, &sum);
    return sum.sum;
}

static double histogram_quantile(uint32_t place, double part)
{
    struct series_histogram sum;
    series_histogram(place, &sum);
    return series_quantile(&sum, part);
}

static int push_refusal(lua_State *L, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
}

/* A table of numbers, which have been checked. */
static void read_bounds(lua_State *L, int i, struct series_bounds *bounds)
{
    size_t count = lua_objlen(L, i);
    luaL_argcheck(L, count > 0 && count < SERIES_BUCKETS, i, "too many buckets");
    *bounds = (struct series_bounds){.count = (uint32_t)count};
    for (size_t n = 0; n < count; n++) {
        lua_rawgeti(L, i, (int)n + 1);
        bounds->ends[n] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
}

/* series("counter", name, { ends of buckets } or nil) -> place, or nil and why not */
static int series(lua_State *L)
{
    static const char *const words[] = {"counter", "gauge", "histogram", NULL};
    static const enum area_kind kinds[] = {AREA_COUNTER, AREA_GAUGE, AREA_HISTOGRAM};
    struct series_wish wish = {.kind = kinds[luaL_checkoption(L, 1, NULL, words)]};
    wish.name = luaL_checklstring(L, 2, &wish.name_size);
    struct series_bounds bounds;
    if (lua_istable(L, 3)) {
        read_bounds(L, 3, &bounds);
        wish.bounds = &bounds;
    }
    char error[ERROR_SIZE];
    uint32_t place;
    if (!series_find(&wish, &place, error, sizeof error))
        return push_refusal(L, error);
    lua_pushinteger(L, (lua_Integer)place);
    return 1;
}

/* ---- limiters ---- */

static double allow(const struct nydus_limiter *limiter, const char *key, size_t size, double cost)
{
    const struct limiter asked = {
        .buckets = limiter->buckets_,
        .interval = limiter->interval_,
        .depth = limiter->depth_,
    };
    clocks_read();
    return limiter_allow(&asked, key, size, cost, clocks.monotonic);
}

/* limiter(name, rate, burst) -> buckets, interval, depth, or nil and why not */
static int limiter(lua_State *L)
{
    size_t size;
    const char *name = luaL_checklstring(L, 1, &size);
    char error[ERROR_SIZE];
    struct limiter found;
    if (!limiter_find(&found, name, size, luaL_checknumber(L, 2), luaL_checknumber(L, 3), error,
                      sizeof error))
        return push_refusal(L, error);
    lua_pushlightuserdata(L, found.buckets);
    lua_pushnumber(L, found.interval);
    lua_pushnumber(L, found.depth);
    return 3;
}

/* ---- dictionaries ---- */

static struct dictionary_key key_now(const char *bytes, size_t size)
{
    clocks_read();
    return (struct dictionary_key){.bytes = bytes, .size = size, .now = clocks.monotonic};
}

static uint64_t life_of(double ttl)
{
    return ttl > 0 ? (uint64_t)(ttl * 1e9) + 1 : 0;
}

static bool shared_get(struct dictionary *it, const char *bytes, size_t size, struct nydus_value *out)
{
    struct dictionary_key key = key_now(bytes, size);
    struct dictionary_value value;
    if (!dictionary_get(it, &key, &value))
        return false;
    out->type = (int32_t)value.type;
    out->number = value.number;
    out->bytes = value.bytes;
    out->size = value.size;
    return true;
}

static int32_t shared_set(struct dictionary *it, const char *bytes, size_t size, int32_t type, double number,
                          const char *value_bytes, size_t value_size, double ttl, bool only_new)
{
    struct dictionary_key key = key_now(bytes, size);
    const struct dictionary_value value = {
        .type = (enum dictionary_type)type,
        .number = number,
        .bytes = value_bytes,
        .size = value_size,
    };
    return (int32_t)dictionary_set(it, &key, &value, life_of(ttl), only_new);
}

static int32_t shared_incr(struct dictionary *it, const char *bytes, size_t size, double number, double init,
                           double ttl, struct nydus_value *out)
{
    struct dictionary_key key = key_now(bytes, size);
    return (int32_t)dictionary_add(it, &key, number, init == init ? &init : NULL, life_of(ttl), &out->number);
}

static bool shared_remove(struct dictionary *it, const char *bytes, size_t size)
{
    struct dictionary_key key = key_now(bytes, size);
    return dictionary_delete(it, &key);
}

static double shared_count(struct dictionary *it)
{
    clocks_read();
    return dictionary_count(it, clocks.monotonic);
}

/* dictionary(name, size) -> it, or nil and why not */
static int dictionary(lua_State *L)
{
    size_t name_size;
    const char *name = luaL_checklstring(L, 1, &name_size);
    size_t size = (size_t)luaL_checknumber(L, 2);
    char error[ERROR_SIZE];
    struct dictionary *it = dictionary_find(name, name_size, size, error, sizeof error);
    if (!it)
        return push_refusal(L, error);
    if (dictionary_size(it) != size)
        log_warn("shared dictionary %s: it keeps its size of %zu bytes, not %zu, until the server ends", name,
                 dictionary_size(it), size);
    lua_pushlightuserdata(L, it);
    return 1;
}

/* ---- the log ---- */

/* LOG_PLACES: what lines of scripts are limited apart from each other, as good as always. */
enum { LOG_PLACES = 256, LOG_BURST = 5, LOG_TEXT = 1000 };

static struct log_place {
    uint64_t key;
    time_t second;
    uint32_t said, left_out;
} log_places[LOG_PLACES];

/* May one more line be written here? *left_out: so many before it were not. */
static bool log_pass(struct log_place *place, uint64_t key, uint32_t *left_out)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    *left_out = place->key == key && place->second != now.tv_sec ? place->left_out : 0;
    if (place->key != key || place->second != now.tv_sec)
        *place = (struct log_place){.key = key, .second = now.tv_sec};
    bool pass = place->said < LOG_BURST;
    place->said += pass;
    place->left_out += !pass;
    return pass;
}

/* The text for one line: without control characters, not too long. Returns its size. */
static size_t log_text(char out[LOG_TEXT + 4], const char *text, size_t size)
{
    size_t used = size < LOG_TEXT ? size : LOG_TEXT;
    for (size_t i = 0; i < used; i++)
        out[i] = (char)((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    memcpy(out + used, "...", 4);
    return used < size ? used + 3 : used;
}

/* log_line(level, place, text): of one place and level at most five a second */
static int log_line(lua_State *L)
{
    enum log_level level = (enum log_level)luaL_checkinteger(L, 1);
    size_t place_size, size;
    const char *place = luaL_checklstring(L, 2, &place_size), *text = luaL_checklstring(L, 3, &size);
    uint64_t key = XXH64(place, place_size, (XXH64_hash_t)level) | 1;
    uint32_t left_out;
    if (!log_pass(&log_places[key / 2 % LOG_PLACES], key, &left_out))
        return 0;
    char line[LOG_TEXT + 4];
    size_t used = log_text(line, text, size);
    if (left_out)
        log_write(level, "%.200s: %u more like this were left out", place, left_out);
    log_write(level, "%.200s: %.*s", place, (int)used, line);
    return 0;
}

static bool log_is_enabled(int32_t level)
{
    return log_enabled((enum log_level)level);
}

void bind_state(struct script *script)
{
    static struct nydus_state state;
    state = (struct nydus_state){
        .numbers = series_own(),
        .sum = series_sum,
        .observe = series_observe,
        .histogram_count = histogram_count,
        .histogram_sum = histogram_sum,
        .histogram_quantile = histogram_quantile,
        .allow = allow,
        .get = shared_get,
        .set = shared_set,
        .incr = shared_incr,
        .remove = shared_remove,
        .flush = dictionary_flush,
        .count = shared_count,
        .now = unix_time,
        .random = random_part,
        .log_enabled = log_is_enabled,
    };
    bind_add(script, "series", series);
    bind_add(script, "limiter", limiter);
    bind_add(script, "dictionary", dictionary);
    bind_add(script, "log_line", log_line);
    lua_pushlightuserdata(script->state.L, &state);
    lua_setfield(script->state.L, -2, "state");
}
