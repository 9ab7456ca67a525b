/* For Lua: where a command would go, for the hook check. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include "base/memory.h"
#include "proxy/explanation.h"
#include "resp/writer.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>

/* What was found goes into Lua, and out of C. */
static int push_results(lua_State *L, struct destinations *found, struct writer *text)
{
    lua_createtable(L, (int)found->count, 0);
    for (uint32_t i = 0; i < found->count; i++) {
        lua_pushinteger(L, found->hosts[i]->id);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushlstring(L, text->data ? text->data : "", text->size);
    free(found->hosts);
    writer_deinit(text);
    return 2;
}

/* trial(cluster index, request in RESP) -> { host id, … }, the decision in words; nil when a check has taken
 * too long already: each decision has its own limit, and the check's time begins anew with each. */
static int trial(lua_State *L)
{
    struct script *script = bind_script(L);
    const struct generation *generation = script->generation;
    lua_Integer index = luaL_checkinteger(L, 1);
    luaL_argcheck(L, generation && index >= 0 && (uint64_t)index < generation->count, 1, "no such cluster");
    if (clock() - script->check_began > CLOCKS_PER_SEC / 1000 * GUARD_LOAD_LIMIT)
        return 0;
    const struct cluster *cluster = generation->clusters[index];
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    char *copy = xstrndup(bytes, size); /* a decision clears the stack */
    struct destinations found = {0};
    struct writer text = {.resp = 2};
    const struct question question = {
        .bytes = copy, .size = size, .clusters = &cluster, .cluster_count = 1, .destinations = &found};
    explanation_write(&text, &question);
    free(copy);
    return push_results(L, &found, &text);
}

void bind_trial(struct script *script)
{
    bind_add(script, "trial", trial);
}
