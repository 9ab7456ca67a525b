/* For Lua: the clusters and hosts of the generation, the commands, the hash
 * functions, the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include "base/hash.h"
#include "base/log.h"

#include <lauxlib.h>

static void set_string(lua_State *L, const char *key, const char *value)
{
    if (value) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, key);
    }
}

static void set_number(lua_State *L, const char *key, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void push_host(lua_State *L, const struct cluster *cluster, uint32_t index)
{
    const struct host_options *host = &cluster->hosts[index]->options;
    lua_newtable(L);
    set_number(L, "id", cluster->host_targets[index]->id);
    set_number(L, "index", index);
    set_number(L, "key", (lua_Number)host->key);
    set_string(L, "identifier", host->identifier);
    set_string(L, "host", host->host);
    set_string(L, "unix_socket_path", host->unix_socket_path);
    set_number(L, "port", host->port);
    set_number(L, "db", host->db);
    set_number(L, "weight", host->weight);
}

/* clusters() -> { { name =, hosts = { { id =, index =, key =, … }, … } }, … } in order */
static int clusters(lua_State *L)
{
    const struct generation *generation = bind_script(L)->generation;
    lua_newtable(L);
    for (uint32_t i = 0; generation && i < generation->count; i++) {
        const struct cluster *cluster = generation->clusters[i];
        lua_newtable(L);
        set_string(L, "name", cluster->name);
        set_number(L, "index", i);
        lua_createtable(L, (int)cluster->count, 0);
        for (uint32_t h = 0; h < cluster->count; h++) {
            push_host(L, cluster, h);
            lua_rawseti(L, -2, (int)h + 1);
        }
        lua_setfield(L, -2, "hosts");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* commands() -> { [row] = name }; rows begin with 0, subcommands are called "config|get" */
static int commands(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < command_count(); i++) {
        lua_pushstring(L, command_row(i)->name);
        lua_rawseti(L, -2, (int)i);
    }
    return 1;
}

/* categories() -> { "keyspace", "read", … } */
static int categories(lua_State *L)
{
    const char *name;
    lua_newtable(L);
    for (int i = 0; (name = command_category_name((unsigned)i)); i++) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* command_name(row) -> name, or nil: also of those that hosts have taught since */
static int command_name(lua_State *L)
{
    const struct command *row = command_row((size_t)luaL_checkinteger(L, 1));
    if (row)
        lua_pushstring(L, row->name);
    else
        lua_pushnil(L);
    return 1;
}

/* hashes() -> { name = number } */
static int hashes(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; i < HASH_KINDS; i++)
        set_number(L, hash_kind_name((enum hash_kind)i), i);
    return 1;
}

/* flags() -> { name = bit } */
static int flags(lua_State *L)
{
    lua_newtable(L);
    set_number(L, "write", COMMAND_WRITE);
    set_number(L, "may_replicate", COMMAND_MAY_REPLICATE);
    set_number(L, "read", COMMAND_READONLY);
    set_number(L, "admin", COMMAND_ADMIN);
    set_number(L, "blocking", COMMAND_BLOCKING);
    set_number(L, "pubsub", COMMAND_PUBSUB);
    return 1;
}

/* slots(table): where request.lua keeps what scripts keep for clients, by client id */
static int slots(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bind_script(L)->decider.slots = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* log(text) */
static int write_log(lua_State *L)
{
    static struct log_limit limit;
    const char *text = luaL_checkstring(L, 1);
    if (log_limit_pass(&limit, 20))
        log_info("script: %s", text);
    return 0;
}

void bind_facts(struct script *script)
{
    bind_add(script, "clusters", clusters);
    bind_add(script, "commands", commands);
    bind_add(script, "categories", categories);
    bind_add(script, "command_name", command_name);
    bind_add(script, "hashes", hashes);
    bind_add(script, "flags", flags);
    bind_add(script, "slots", slots);
    bind_add(script, "log", write_log);
}
