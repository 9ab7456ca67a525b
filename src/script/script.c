/* The script layer; see script.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/script.h"

#include "base/memory.h"
#include "proxy/proxy.h"
#include "script/bindings.h"
#include "script/heirloom.h"
#include "script/plain.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* OPEN_LIMIT: milliseconds; our own modules end, however slow the machine is. */
enum { SCRIPT_MEMORY = 64 * 1024 * 1024, OPEN_LIMIT = 1000 * 1000 };

/* ---- calls into nydus.runtime ---- */

void script_push_runtime(struct script *script, const char *name)
{
    lua_State *L = script->state.L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->runtime);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* What a function of ours said that the script called in tail position, so that
 * the line is the runtime's: only the file is left of the place. */
static char *tail_problem(const char *file, const char *said)
{
    static const char runtime[] = "nydus/runtime.lua:";
    const char *place = strstr(said, runtime), *colon = strchr(said, ':');
    if (!place || colon != place + strlen(runtime) - 1)
        return xformat("%s", said);
    return xformat("%s%s", file, colon + 1 + strspn(colon + 1, "0123456789"));
}

/* What went wrong in a call, in words, for the caller of the script layer to free. */
static char *call_problem(struct script *script, const char *file, int status)
{
    struct state *state = &script->state;
    const char *said = state_error(state);
    if (state->stopped && !strstr(said, "stopped: "))
        return xformat("%s: stopped: it ran for more than %d s", file, GUARD_LOAD_LIMIT / 1000);
    if (status == LUA_ERRMEM)
        return xformat("%s: not enough memory (router_memory is %zu bytes)", file, state->limit);
    if (lua_type(state->L, -1) == LUA_TSTRING)
        return tail_problem(file, said);
    return xformat("%s: %s", file, said);
}

/* Calls with the function and its arguments on the stack, or goes on where slices are under way. Done when
 * it returned something but nil and false, which is then left on the stack. Otherwise it returned nil and a
 * message, or raised. */
static enum script_progress runtime_step(struct script *script, int arguments, const char *file,
                                         char **problem)
{
    enum { RESULTS = 2 };
    struct state *state = &script->state;
    struct slices *slices = &script->slices;
    lua_State *L = state->L;
    int32_t most = script->stage < SCRIPT_STARTED ? OPEN_LIMIT : GUARD_LOAD_LIMIT;
    int status = slices_under_way(slices) ? slices_go_on(slices, state, RESULTS, most)
                                          : slices_begin(slices, state, arguments, RESULTS, most);
    if (status == LUA_YIELD)
        return SCRIPT_MORE;
    if (!status && state->stopped) { /* its pcall has swallowed that */
        lua_pushnil(L);
        *problem = call_problem(script, file, LUA_ERRRUN);
    } else if (!status && lua_toboolean(L, -2)) {
        lua_pop(L, 1);
        return SCRIPT_DONE;
    } else {
        *problem = call_problem(script, file, status);
    }
    lua_settop(L, 0);
    heap_collect(state); /* a script that was refused may have left much behind */
    return SCRIPT_FAILED;
}

static bool runtime_call(struct script *script, int arguments, const char *file, char **problem)
{
    enum script_progress progress = runtime_step(script, arguments, file, problem);
    while (progress == SCRIPT_MORE)
        progress = runtime_step(script, 0, file, problem);
    return progress == SCRIPT_DONE;
}

/* ---- life ---- */

struct script *script_create(const struct script_options *options)
{
    struct script *script = xcalloc(1, sizeof *script);
    script->runtime = script->config = LUA_NOREF;
    size_t limit = options->memory_limit ? options->memory_limit : SCRIPT_MEMORY;
    if (state_init(&script->state, options->lua_dir, limit))
        script->stage = SCRIPT_STATE;
    script->slices.length = options->slice;
    decider_init(&script->decider, &script->state);
    callbacks_init(script);
    hooks_init(script);
    return script;
}

/* What the next stage calls: require("nydus.runtime"), then its start(bindings). */
static void push_stage(struct script *script)
{
    lua_State *L = script->state.L;
    if (script->stage == SCRIPT_STATE) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "nydus.runtime");
    } else {
        script_push_runtime(script, "start");
        bindings_push(script);
    }
}

enum script_progress script_open_step(struct script *script, char **problem)
{
    lua_State *L = script->state.L;
    const char *dir = script->state.lua_dir;
    char *said = NULL;
    if (script->stage == SCRIPT_NEW) {
        *problem = xformat("the Lua modules in %s: %s", dir,
                         L ? state_error(&script->state) : "not enough memory");
        return SCRIPT_FAILED;
    }
    if (!slices_under_way(&script->slices))
        push_stage(script);
    enum script_progress progress = runtime_step(script, 1, dir, &said);
    if (progress == SCRIPT_FAILED)
        *problem = xformat("the Lua modules in %s: %s", dir, said);
    free(said);
    if (progress != SCRIPT_DONE)
        return progress;
    luaL_unref(L, LUA_REGISTRYINDEX, script->runtime); /* both return the module */
    script->runtime = luaL_ref(L, LUA_REGISTRYINDEX);
    return ++script->stage == SCRIPT_STARTED ? SCRIPT_DONE : SCRIPT_MORE;
}

void script_destroy(struct script *script)
{
    if (!script)
        return;
    callbacks_wake(&script->callbacks, INFINITY);
    news_deinit(&script->news);
    flows_deinit(&script->flows);
    state_deinit(&script->state);
    decider_deinit(&script->decider);
    free(script);
}

void script_set_memory_limit(struct script *script, size_t bytes)
{
    script->state.limit = bytes;
}

size_t script_memory_used(const struct script *script)
{
    return script->state.used;
}

struct lua_State *script_state(struct script *script)
{
    return script->state.L;
}

const struct script_counters *script_counters(const struct script *script)
{
    return &script->decider.counters;
}

/* ---- configuration ---- */

/* What is packed: a head, the files, the normalised configuration as a plain value or nothing. That spares a
 * worker to evaluate and check it again, which takes 9 ms with 300 hosts, where this takes one. */
struct packed_head {
    uint64_t files_size;
};

const char *script_packed_files(const char *packed, size_t size, size_t *files_size)
{
    struct packed_head head = {0};
    if (size >= sizeof head)
        memcpy(&head, packed, sizeof head);
    bool whole = size >= sizeof head && head.files_size <= size - sizeof head;
    *files_size = whole ? head.files_size : 0;
    return whole ? packed + sizeof head : packed;
}

struct unpacking {
    struct script *script;
    struct plain config;
};

/* Under a pcall: the state's memory is limited. */
static int unpack_config(lua_State *L)
{
    struct unpacking *unpacking = lua_touserdata(L, 1);
    size_t at = 0;
    plain_push(&unpacking->config, &at, L);
    unpacking->script->config = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* Pushes the configuration that is packed behind the files, or nil. */
static void push_packed_config(struct script *script, const char *bytes, size_t size)
{
    lua_State *L = script->state.L;
    struct unpacking unpacking = {.script = script,
                                  .config = {.bytes = (char *)(uintptr_t)bytes, .size = size}};
    if (size && lua_cpcall(L, unpack_config, &unpacking) != 0)
        lua_pop(L, 1);
    script_push_config(script); /* of no reference: nil */
}

static void push_load_config(struct script *script, const char *path, const char *packed, size_t size)
{
    lua_State *L = script->state.L;
    size_t files_size = 0;
    const char *files = packed ? script_packed_files(packed, size, &files_size) : NULL;
    script_push_runtime(script, "load_config");
    lua_pushstring(L, path);
    if (files) {
        lua_pushlstring(L, files, files_size);
        push_packed_config(script, files + files_size, (size_t)(packed + size - files) - files_size);
    } else {
        lua_pushnil(L);
        lua_pushnil(L);
    }
}

enum script_progress script_load_step(struct script *script, const char *path, const char *packed,
                                      size_t size, char **problems)
{
    lua_State *L = script->state.L;
    if (!slices_under_way(&script->slices))
        push_load_config(script, path, packed, size);
    enum script_progress progress = runtime_step(script, 3, path, problems);
    if (progress != SCRIPT_DONE)
        return progress;
    luaL_unref(L, LUA_REGISTRYINDEX, script->config);
    script->config = luaL_ref(L, LUA_REGISTRYINDEX);
    return SCRIPT_DONE;
}

void script_push_config(struct script *script)
{
    lua_rawgeti(script->state.L, LUA_REGISTRYINDEX, script->config);
}

/* Nothing when there is a function in it, or the like. */
static void add_config(struct script *script, struct plain *packed)
{
    script_push_config(script);
    plain_add(packed, script->state.L, SCRIPT_MEMORY);
    lua_pop(script->state.L, 1);
}

char *script_pack(struct script *script, size_t *size)
{
    lua_State *L = script->state.L;
    char *problem = NULL;
    struct plain packed = {0};
    script_push_runtime(script, "pack");
    if (runtime_call(script, 0, "pack", &problem)) {
        struct packed_head head;
        const char *files = lua_tolstring(L, -1, size);
        head.files_size = *size;
        packed.size = sizeof head + *size;
        packed.room = packed.size;
        packed.bytes = xmalloc(packed.room);
        memcpy(packed.bytes, &head, sizeof head);
        memcpy(packed.bytes + sizeof head, files, *size);
        add_config(script, &packed);
        *size = packed.size;
        lua_settop(L, 0);
    }
    free(problem);
    return packed.bytes;
}

/* ---- routers ---- */

/* Whom the generation serves, or NULL. */
static struct proxy *generation_proxy(const struct generation *generation)
{
    if (!generation->count || !generation->clusters[0]->count)
        return NULL;
    return generation->clusters[0]->hosts[0]->proxy;
}

void script_bind(struct script *script, struct generation *generation)
{
    guard_setup(); /* this may be another process than the one that made the state */
    script->generation = generation;
    script->decider.set = generation->set;
    script->proxy = script->flows.proxy = generation_proxy(generation);
    script->decider.loop = script->callbacks.loop = script->proxy ? script->proxy->loop : NULL;
    generation->set->decide = decide;
    generation->set->context = &script->decider;
}

static void push_load_router(struct script *script, struct cluster *cluster, const char *path)
{
    script->routes = true;
    script->decider.owner = cluster;
    cluster->quarantine.file = xstrdup(path + (strncmp(path, "./", 2) == 0 ? 2 : 0));
    script_push_runtime(script, "load_router");
    lua_pushinteger(script->state.L, (lua_Integer)cluster->index);
    lua_pushstring(script->state.L, path);
}

enum script_progress script_router_step(struct script *script, struct cluster *cluster, const char *path,
                                        char **problem)
{
    lua_State *L = script->state.L;
    if (!slices_under_way(&script->slices))
        push_load_router(script, cluster, path);
    enum script_progress progress = runtime_step(script, 2, path, problem);
    if (progress != SCRIPT_DONE)
        return progress;
    cluster->root = script->decider.set->targets[lua_tointeger(L, -1)];
    lua_settop(L, 0);
    return SCRIPT_DONE;
}

char *script_notes(struct script *script, const struct cluster *cluster)
{
    lua_State *L = script->state.L;
    char *text = NULL;
    script_push_runtime(script, "notes");
    lua_pushinteger(L, (lua_Integer)cluster->index);
    if (!runtime_call(script, 1, cluster->name, &text))
        return text;
    text = xstrdup(lua_tostring(L, -1));
    lua_settop(L, 0);
    return text;
}

bool script_finish(struct script *script, char **error)
{
    const struct generation *generation = script->generation;
    for (uint32_t i = 0; generation && i < generation->count; i++) {
        struct cluster *cluster = generation->clusters[i];
        const struct target *at = cluster->root ? target_find_cycle(cluster->root) : NULL;
        if (at) {
            *error = xformat("clusters.%s.router: it leads back to itself through a %s%s%s", cluster->name,
                             target_kind_name(at->kind), at->kind == TARGET_CLUSTER ? " " : "",
                             at->kind == TARGET_CLUSTER ? at->cluster.name : "");
            return false;
        }
        if (!quarantine_setup(cluster)) {
            *error = xformat("clusters.%s.router: its fallback leads back to itself", cluster->name);
            return false;
        }
    }
    if (script->routes && script->decider.loop)
        heap_start(&script->state, script->decider.loop);
    return true;
}

bool script_check(struct script *script, struct cluster *cluster, const char *path, char **error)
{
    lua_State *L = script->state.L;
    script->check_began = clock();
    bool *marks = news_marks(script);
    script_push_runtime(script, "check");
    lua_pushinteger(L, (lua_Integer)cluster->index);
    bool fine = runtime_call(script, 1, path, error);
    lua_settop(L, 0);
    news_restore(script, marks);
    return fine;
}

void script_turn_end(struct script *script)
{
    struct state *state = &script->state;
    if (state->heap.begin == SIZE_MAX)
        heap_start(state, NULL);
    heap_turn(state);
}

/* ---- time ---- */

void script_inherit(struct script *script, struct script *from, bool last)
{
    heirloom_hand(from, script, last);
}

void script_begin(struct script *script)
{
    script->in_force = true;
    callbacks_begin(script);
    flows_begin(&script->flows);
    news_begin(script);
}

void script_leave(struct script *script)
{
    if (!script->in_force)
        return;
    script->in_force = false;
    news_end(script);
    callbacks_end(script);
    flows_leave(&script->flows);
}

void script_leave_all(void)
{
    flows_end_all();
}

void script_advance(struct script *script, double seconds)
{
    news_look(script);
    callbacks_advance(script, seconds);
}
