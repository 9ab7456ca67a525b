/* Claims; see claim.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/claim.h"

#include "base/area.h"
#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>
#include <xxhash.h>

struct claim {
    uint64_t key, token; /* token 0: free */
    uint64_t until;      /* nanoseconds of the monotonic clock */
    int64_t pid;
};

struct claims {
    struct lock lock;
    uint64_t last_token;
    struct claim sets[CLAIM_SETS][CLAIM_WAYS];
};

static void make(void *memory, const struct area_wish *wish)
{
    (void)wish;
    lock_make(&((struct claims *)memory)->lock);
}

/* Looked up each time: another area may have been entered. */
static struct claims *claims_get(void)
{
    char error[128];
    const struct area_wish wish = {
        .kind = AREA_CLAIMS, .name = "claims", .name_size = 6, .size = sizeof(struct claims), .make = make};
    const struct area_thing *thing = area_find(&wish, error, sizeof error);
    return thing ? area_memory(thing) : NULL;
}

/* What tests skip counts. */
static uint64_t now_ns(void)
{
    return clock_ns() + clock_skipped;
}

uint64_t claim_key(const char *name, size_t name_size, const char *key, size_t key_size)
{
    return XXH64(key, key_size, XXH64(name, name_size, 0));
}

/* Is it held? One that died with it holds nothing. */
static bool is_held(const struct claim *claim, uint64_t now)
{
    return claim->token && claim->until > now && (kill((pid_t)claim->pid, 0) == 0 || errno != ESRCH);
}

static struct claim *set_of(struct claims *claims, uint64_t key)
{
    return claims->sets[key % CLAIM_SETS];
}

/* Where it may be put; NULL: it is held, or all places are. */
static struct claim *find_place(struct claim *set, uint64_t key, uint64_t now)
{
    struct claim *place = NULL;
    for (int i = 0; i < CLAIM_WAYS; i++) {
        bool held = is_held(&set[i], now);
        if (held && set[i].key == key)
            return NULL;
        if (!held)
            place = &set[i];
    }
    return place;
}

uint64_t claim_take(uint64_t key, double seconds)
{
    struct claims *claims = claims_get();
    if (!claims)
        return 0;
    uint64_t now = now_ns(), token = 0;
    lock_take(&claims->lock); /* who died with it has left one claim half written, at worst */
    struct claim *place = find_place(set_of(claims, key), key, now);
    if (place) {
        token = ++claims->last_token;
        *place = (struct claim){
            .key = key, .token = token, .until = now + (uint64_t)(seconds * 1e9), .pid = getpid()};
    }
    lock_give(&claims->lock);
    return token;
}

bool claim_give(uint64_t key, uint64_t token)
{
    struct claims *claims = claims_get();
    bool held = false;
    if (!claims)
        return false;
    lock_take(&claims->lock);
    struct claim *set = set_of(claims, key);
    for (int i = 0; i < CLAIM_WAYS; i++) {
        if (set[i].token != token)
            continue;
        held = set[i].until > now_ns();
        set[i].token = 0;
    }
    lock_give(&claims->lock);
    return held;
}
