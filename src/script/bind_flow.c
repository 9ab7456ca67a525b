/* For Lua: what flows ask for. Targets and times have been checked by nydus.flow. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/claim.h"
#include "base/memory.h"
#include "resp/resp.h"
#include "script/bindings.h"
#include "script/sending.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* CASTS_MOST: commands on their way that nobody waits for. SPAWNED_MOST: commands of one flow. */
enum { CASTS_MOST = 10 * 1000, SPAWNED_MOST = 10 * 1000 };

/* The flow whose code calls. */
static struct flow *check_flow(lua_State *L)
{
    struct flow *flow = bind_script(L)->flows.now;
    if (!flow)
        luaL_error(L, "only inside nydus.flow (or nydus.task)");
    return flow;
}

/* The same, as it is about to wait. */
static struct flow *check_waiting(lua_State *L)
{
    struct flow *flow = check_flow(L);
    if (flow->L != L)
        luaL_error(L, "only in the flow's own coroutine");
    return flow;
}

static double opt_seconds(lua_State *L, int i)
{
    return lua_isnoneornil(L, i) ? (double)INFINITY : luaL_checknumber(L, i);
}

/* ---- targets ---- */

/* flow(function, "file:line", order, reads, finishes) -> id, or nil when there is no such order */
static int flow(lua_State *L)
{
    struct flow_rules rules = {.reads = lua_toboolean(L, 4), .finishes = lua_toboolean(L, 5)};
    struct flows *flows = &bind_script(L)->flows;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    bind_set(L);
    if (!order_parse(luaL_checkstring(L, 3), &rules.order))
        return 0;
    const char *name = luaL_checkstring(L, 2);
    lua_pushvalue(L, 1);
    return bind_push_target(L, flow_target(flows, luaL_ref(L, LUA_REGISTRYINDEX), name, rules));
}

static struct cluster *present_cluster(const struct script *script)
{
    return script->flows.now ? script->flows.now->cluster : script->decider.owner;
}

/* task(function) */
static int task(lua_State *L)
{
    struct script *script = bind_script(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (script->flows.count >= FLOWS_MOST)
        return luaL_error(L, "too many flows are open (%d)", (int)script->flows.count);
    lua_settop(L, 1);
    flow_task(&script->flows, L, present_cluster(script));
    return 0;
}

/* ---- commands ---- */

/* Numbers as Redis reads them: without an exponent, where that is exact. */
static const char *argument(lua_State *L, int i, char *digits, size_t room, size_t *size)
{
    if (lua_type(L, i) == LUA_TNUMBER) {
        double number = lua_tonumber(L, i);
        bool whole = number >= -0x1p53 && number <= 0x1p53 && number == floor(number);
        *size = (size_t)snprintf(digits, room, whole ? "%.0f" : "%.17g", number);
        return digits;
    }
    if (lua_type(L, i) == LUA_TSTRING)
        return lua_tolstring(L, i, size);
    const struct answer *answer = answer_at(&bind_script(L)->flows.answers, L, i);
    return answer && answer->bytes ? answer_text(answer, size) : NULL;
}

/* The words from argument `first` on as a request, in a userdata on top of the stack: an error may pass. */
static const char *command_bytes(lua_State *L, int first, size_t *size)
{
    char digits[64];
    int last = lua_gettop(L) - lua_istable(L, -1); /* options */
    size_t room = RESP_HEADER_SIZE, word_size;
    for (int i = first; i <= last; i++) {
        if (!argument(L, i, digits, sizeof digits, &word_size))
            luaL_error(L, "word %d of the command is no string and no number", i - first + 1);
        room += RESP_HEADER_SIZE + word_size;
    }
    if (last < first)
        luaL_error(L, "a command is expected: nydus.call(target, \"GET\", \"key\")");
    if (room > UINT32_MAX)
        luaL_error(L, "the command is larger than 4 GB");
    char *bytes = lua_newuserdata(L, room), *at = bytes;
    at += resp_write_header(at, '*', last - first + 1);
    for (int i = first; i <= last; i++) {
        const char *word = argument(L, i, digits, sizeof digits, &word_size);
        at += resp_write_bulk(at, word, word_size);
    }
    *size = (size_t)(at - bytes);
    return bytes;
}

static int wait_for(lua_State *L, struct flow *own, struct sending *sending)
{
    own->awaited = sending;
    return flow_yield(own, L, FLOW_REPLY, INFINITY);
}

static int spawned(lua_State *L, struct flow *own, struct sending *sending)
{
    sending->object = answer_push_open(&own->flows->answers, L, sending, own->query.resp);
    return 1;
}

/* send(id, seconds) -> answer */
static int send(lua_State *L)
{
    struct flow *own = check_waiting(L);
    return wait_for(L, own, sending_copy(own, bind_target(L, 1), opt_seconds(L, 2)));
}

static void check_spawning(lua_State *L, struct flow *own)
{
    if (own->sending_count >= SPAWNED_MOST)
        luaL_error(L, "%d commands of this flow are open", SPAWNED_MOST);
}

/* spawn(id, seconds) -> answer that has not come */
static int spawn(lua_State *L)
{
    struct flow *own = check_flow(L);
    check_spawning(L, own);
    return spawned(L, own, sending_copy(own, bind_target(L, 1), opt_seconds(L, 2)));
}

static struct sending *make(lua_State *L, struct flow *own)
{
    size_t size;
    const struct target *target = bind_target(L, 1);
    double seconds = opt_seconds(L, 2);
    const char *bytes = command_bytes(L, 3, &size);
    char *copy = xmalloc(size);
    memcpy(copy, bytes, size);
    return sending_make(own, target, copy, size, seconds);
}

/* call(id, seconds, word …) -> answer */
static int call(lua_State *L)
{
    struct flow *own = check_waiting(L);
    return wait_for(L, own, make(L, own));
}

/* call_later(id, seconds, word …) -> answer that has not come */
static int call_later(lua_State *L)
{
    struct flow *own = check_flow(L);
    check_spawning(L, own);
    return spawned(L, own, make(L, own));
}

/* cast(id, word …) -> true; false: too many are on their way */
static int cast(lua_State *L)
{
    size_t size;
    struct script *script = bind_script(L);
    struct flows *flows = &script->flows;
    const struct target *target = bind_target(L, 1);
    const char *bytes = command_bytes(L, 2, &size);
    bool room = flows->casts < CASTS_MOST && flows->proxy;
    if (room) {
        char *copy = xmalloc(size);
        memcpy(copy, bytes, size);
        sending_cast(flows, flows->now, present_cluster(script), target, copy, size);
    }
    lua_pushboolean(L, room);
    return 1;
}

/* ---- waiting ---- */

/* sleep(seconds) */
static int sleep_for(lua_State *L)
{
    return flow_yield(check_waiting(L), L, FLOW_TIME, luaL_checknumber(L, 1));
}

/* wait({ answer, … }, all, seconds) -> have they (has one of them) come in time? */
static int wait_some(lua_State *L)
{
    struct flow *own = check_waiting(L);
    bool all = lua_toboolean(L, 2);
    uint32_t open = 0, count = (uint32_t)lua_objlen(L, 1);
    for (struct sending *sending = own->sendings; sending; sending = sending->next)
        sending->counts = false;
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (int)i);
        struct answer *answer = answer_at(&own->flows->answers, L, -1);
        lua_pop(L, 1);
        if (answer && answer->sending && answer->sending->flow != own)
            return luaL_error(L, "item %d belongs to another flow", (int)i);
        bool fresh = answer && answer->sending && !answer->sending->counts;
        if (fresh)
            answer->sending->counts = true;
        open += fresh;
        if (answer && !answer->sending && !all) {
            lua_pushboolean(L, 1);
            return 1;
        }
    }
    own->left = all || !open ? open : 1;
    if (!open) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return flow_yield(own, L, FLOW_SOME, opt_seconds(L, 3));
}

/* inside() -> does a flow call? */
static int inside(lua_State *L)
{
    lua_pushboolean(L, bind_script(L)->flows.now != NULL);
    return 1;
}

/* is_answer(value) */
static int is_answer(lua_State *L)
{
    lua_pushboolean(L, answer_at(&bind_script(L)->flows.answers, L, 1) != NULL);
    return 1;
}

/* ---- its request ---- */

/* reply(bytes or answer) */
static int reply(lua_State *L)
{
    struct flow *own = check_waiting(L);
    const struct answer *answer = answer_at(&own->flows->answers, L, 1);
    if (!answer)
        luaL_checkstring(L, 1);
    if (answer && !answer->bytes)
        return luaL_error(L, answer->sending ? "the reply has not come" : "reply is over");
    if (!own->whole.request)
        return luaL_error(L, own->target ? "the request has been answered already" : "a task has no request");
    lua_settop(L, 1);
    own->wait = FLOW_ANSWER;
    return lua_yield(L, 1);
}

/* ---- locks ---- */

/* claim(name, key, seconds) -> did it get it in time? */
static int claim(lua_State *L)
{
    struct flow *own = check_waiting(L);
    size_t name_size, key_size;
    const char *name = luaL_checklstring(L, 1, &name_size), *key = luaL_checklstring(L, 2, &key_size);
    if (own->claim_count >= FLOW_CLAIMS)
        return luaL_error(L, "a flow may have %d locks", FLOW_CLAIMS);
    own->wanted = claim_key(name, name_size, key, key_size);
    own->seconds = luaL_checknumber(L, 3);
    if (!flow_claim(own))
        return flow_yield(own, L, FLOW_CLAIM, own->seconds);
    lua_pushboolean(L, 1);
    return 1;
}

/* last_claim() -> the number of the lock that it has just got */
static int last_claim(lua_State *L)
{
    const struct flow *own = check_flow(L);
    lua_pushnumber(L, own->claim_count ? (lua_Number)own->claims[own->claim_count - 1].number : 0);
    return 1;
}

/* unclaim(number) -> did it have it all the time? */
static int unclaim(lua_State *L)
{
    struct flow *own = bind_script(L)->flows.now;
    double number = luaL_checknumber(L, 1);
    bool had = false;
    for (uint32_t i = 0; own && i < own->claim_count; i++) {
        if ((double)own->claims[i].number == number) {
            had = flow_unclaim(own, i);
            break;
        }
    }
    lua_pushboolean(L, had);
    return 1;
}

void bind_flow(struct script *script)
{
    lua_State *L = script->state.L;
    flows_init(&script->flows, &script->decider);
    bind_add(script, "flow", flow);
    bind_add(script, "task", task);
    bind_add(script, "send", send);
    bind_add(script, "spawn", spawn);
    bind_add(script, "call", call);
    bind_add(script, "call_later", call_later);
    bind_add(script, "cast", cast);
    bind_add(script, "sleep", sleep_for);
    bind_add(script, "wait", wait_some);
    bind_add(script, "inside", inside);
    bind_add(script, "is_answer", is_answer);
    bind_add(script, "answer", reply);
    bind_add(script, "claim", claim);
    bind_add(script, "last_claim", last_claim);
    bind_add(script, "unclaim", unclaim);
    answers_init(&script->flows.answers, &script->state);
    lua_setfield(L, -2, "answer_methods");
}
