/* For Lua: the state of hosts, and marking them down. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>

static int32_t state_of(const void *owner, int32_t target)
{
    const struct script *script = owner;
    const struct target_set *set = script->decider.set;
    bool is_host = target >= 0 && (uint32_t)target < set->count && set->targets[target]->kind == TARGET_HOST;
    return is_host ? (int32_t)host_state(set->targets[target]->host.host) : HOST_IDLE;
}

static struct host *check_host(lua_State *L)
{
    const struct target *target = bind_target(L, 1);
    luaL_argcheck(L, target->kind == TARGET_HOST, 1, "no host");
    return target->host.host;
}

/* host_down(id, seconds or nil): for its retry_timeout */
static int host_down(lua_State *L)
{
    struct host *host = check_host(L);
    news_mark(bind_script(L), host, luaL_optnumber(L, 2, host->options.retry_timeout));
    return 0;
}

/* host_up(id) */
static int host_up(lua_State *L)
{
    news_mark(bind_script(L), check_host(L), 0);
    return 0;
}

/* host_states() -> { [number] = "up", … } */
static int host_states(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; i < HOST_STATES; i++) {
        lua_pushstring(L, host_state_name((enum host_state)i));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* watch_hosts(): runtime.host_changed is to be called from now on */
static int watch_hosts(lua_State *L)
{
    news_want(bind_script(L));
    return 0;
}

void bind_hosts(struct script *script)
{
    struct nydus_batch *batch = script->decider.batch;
    batch->owner = script;
    batch->host_state = state_of;
    bind_add(script, "host_down", host_down);
    bind_add(script, "host_up", host_up);
    bind_add(script, "host_states", host_states);
    bind_add(script, "watch_hosts", watch_hosts);
}
