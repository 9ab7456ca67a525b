/* Copies what nydus.config checked into C structs. A field that is missing
 * here is a bug of ours, not of the operator: config_read asserts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/memory.h"

#include <assert.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

/* The readers of one field of the table on top of the stack. */

static double get_number(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    assert(lua_type(L, -1) == LUA_TNUMBER);
    double number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

static bool get_bool(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* A copy, or NULL when the field is nil. */
static char *get_string(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    const char *text = lua_tostring(L, -1);
    char *copy = text ? xstrdup(text) : NULL;
    lua_pop(L, 1);
    return copy;
}

/* Is the field this text? */
static bool get_is(lua_State *L, const char *name, const char *text)
{
    lua_getfield(L, -1, name);
    bool same = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), text) == 0;
    lua_pop(L, 1);
    return same;
}

/* Calls read() with each item of the list in field `name` on top of the stack. */
static void *get_list(lua_State *L, const char *name, size_t item_size, size_t *count,
                      void (*read)(lua_State *L, void *item))
{
    lua_getfield(L, -1, name);
    *count = lua_objlen(L, -1);
    char *items = xcalloc(*count ? *count : 1, item_size);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        read(L, items + i * item_size);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return items;
}

static void read_listen(lua_State *L, void *item)
{
    struct listen_config *listen = item;
    listen->path = get_string(L, "path");
    listen->text = get_string(L, "text");
    if (!listen->path) {
        listen->host = get_string(L, "host");
        listen->port = (uint16_t)get_number(L, "port");
    }
}

static void read_host(lua_State *L, void *item)
{
    struct host_config *host = item;
    host->key = (int64_t)get_number(L, "key");
    host->host = get_string(L, "host");
    host->port = (uint16_t)get_number(L, "port");
    host->unix_socket_path = get_string(L, "unix_socket_path");
    host->db = (int32_t)get_number(L, "db");
    host->user = get_string(L, "user");
    host->password = get_string(L, "password");
    host->timeout = get_number(L, "timeout");
    host->connect_timeout = get_number(L, "connect_timeout");
    host->weight = (uint32_t)get_number(L, "weight");
    host->identifier = get_string(L, "identifier");
    host->named = get_bool(L, "named");
    host->connections = (uint32_t)get_number(L, "connections");
    host->address = get_string(L, "address");
}

static void read_string(lua_State *L, void *item)
{
    char **text = item;
    *text = xstrdup(lua_tostring(L, -1));
}

static void free_secret(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

static uint8_t hex_digit(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* "sha256:" and lower-case digits, or the password itself. */
static void read_digest(const char *password, uint8_t digest[ACCOUNT_DIGEST])
{
    static const char prefix[] = "sha256:";
    const char *hex = password + sizeof prefix - 1;
    if (strncmp(password, prefix, sizeof prefix - 1) != 0) {
        account_hash(password, strlen(password), digest);
        return;
    }
    assert(strlen(hex) == ACCOUNT_DIGEST * 2);
    for (size_t i = 0; i < ACCOUNT_DIGEST; i++) {
        digest[i] = (uint8_t)(hex_digit(hex[i * 2]) << 4 | hex_digit(hex[i * 2 + 1]));
    }
}

static void read_user(lua_State *L, void *item)
{
    struct user_config *user = item;
    user->name = get_string(L, "name");
    char *password = get_string(L, "password");
    user->open = !password;
    if (password) {
        read_digest(password, user->digest);
    }
    free_secret(password);
    user->commands = get_list(L, "commands", sizeof *user->commands, &user->command_count, read_string);
    lua_getfield(L, -1, "keys");
    user->all_keys = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!user->all_keys) {
        user->keys = get_list(L, "keys", sizeof *user->keys, &user->key_count, read_string);
    }
}

/* Reads a field as the name of something that parse() knows. */
#define GET_NAMED(L, name, parse, where)                     \
    do {                                                     \
        char *text_ = get_string(L, name);                   \
        bool known_ = text_ && parse(text_, where);          \
        assert(known_);                                      \
        (void)known_;                                        \
        free(text_);                                         \
    } while (0)

static void read_router_options(lua_State *L, struct router_options *options)
{
    GET_NAMED(L, "name", router_kind_parse, &options->kind);
    GET_NAMED(L, "compat", router_compat_parse, &options->compat);
    lua_getfield(L, -1, "hash");
    bool hashes = !lua_isnil(L, -1); /* round_robin and others do not */
    lua_pop(L, 1);
    if (hashes) {
        GET_NAMED(L, "hash", hash_kind_parse, &options->hash);
    }
    options->unsigned_bytes = !get_bool(L, "signed");
    char *tag = get_string(L, "hash_tag");
    if (tag) {
        memcpy(options->hash_tag, tag, sizeof options->hash_tag);
    }
    free(tag);
}

static void read_router(lua_State *L, struct router_config *router)
{
    lua_getfield(L, -1, "router");
    if (get_is(L, "kind", "builtin")) {
        router->form = ROUTER_BUILTIN;
        read_router_options(L, &router->options);
    } else if (get_is(L, "kind", "script")) {
        router->form = ROUTER_SCRIPT;
        router->path = get_string(L, "path");
        router->text = get_string(L, "text");
    } else {
        router->form = ROUTER_ALL;
    }
    lua_pop(L, 1);
}

static void read_cluster(lua_State *L, void *item)
{
    struct cluster_config *cluster = item;
    cluster->name = get_string(L, "name");
    cluster->engine = get_string(L, "engine");
    cluster->listen = get_list(L, "listen", sizeof *cluster->listen, &cluster->listen_count, read_listen);
    read_router(L, &cluster->router);
    cluster->hosts = get_list(L, "hosts", sizeof *cluster->hosts, &cluster->host_count, read_host);
    cluster->eject = get_bool(L, "eject");
    cluster->max_connection_retries = (uint32_t)get_number(L, "max_connection_retries");
    cluster->retry_timeout = get_number(L, "retry_timeout");
    cluster->failure_limit = (uint32_t)get_number(L, "failure_limit");
    cluster->max_clients = (uint32_t)get_number(L, "max_clients");
    cluster->max_request = (uint32_t)get_number(L, "max_request");
    cluster->max_reply_buffer = (size_t)get_number(L, "max_reply_buffer");
    cluster->client_timeout = get_number(L, "client_timeout");
    cluster->users = get_list(L, "users", sizeof *cluster->users, &cluster->user_count, read_user);
    cluster->deny = get_list(L, "deny", sizeof *cluster->deny, &cluster->deny_count, read_string);
}

static enum log_level parse_level(lua_State *L)
{
    static const char *const names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (get_is(L, "level", names[i])) {
            return (enum log_level)i;
        }
    }
    return LOG_INFO;
}

struct config *config_read(lua_State *L, int index)
{
    luaL_checkstack(L, 16, "config");
    struct config *config = xcalloc(1, sizeof *config);
    lua_pushvalue(L, index);
    config->workers = (uint32_t)get_number(L, "workers");
    config->router_memory = (size_t)get_number(L, "router_memory");
    lua_getfield(L, -1, "log");
    config->log_level = parse_level(L);
    config->log_file = get_string(L, "file");
    lua_pop(L, 1);
    config->clusters = get_list(L, "clusters", sizeof *config->clusters, &config->cluster_count,
                                read_cluster);
    for (size_t i = 0; i < config->cluster_count; i++) {
        config->clusters[i].index = (uint32_t)i;
    }
    lua_pop(L, 1);
    return config;
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i]);
    }
    free(list);
}

static void user_deinit(struct user_config *user)
{
    free_list(user->commands, user->command_count);
    free_list(user->keys, user->key_count);
    explicit_bzero(user->digest, sizeof user->digest);
    free(user->name);
}

static void host_deinit(struct host_config *host)
{
    free(host->host);
    free(host->unix_socket_path);
    free_secret(host->user);
    free_secret(host->password);
    free(host->identifier);
    free(host->address);
}

static void cluster_deinit(struct cluster_config *cluster)
{
    for (size_t i = 0; i < cluster->listen_count; i++) {
        free(cluster->listen[i].host);
        free(cluster->listen[i].path);
        free(cluster->listen[i].text);
    }
    for (size_t i = 0; i < cluster->host_count; i++) {
        host_deinit(&cluster->hosts[i]);
    }
    for (size_t i = 0; i < cluster->user_count; i++) {
        user_deinit(&cluster->users[i]);
    }
    free(cluster->users);
    free_list(cluster->deny, cluster->deny_count);
    free(cluster->listen);
    free(cluster->hosts);
    free(cluster->router.path);
    free(cluster->router.text);
    free(cluster->engine);
    free(cluster->name);
}

void config_destroy(struct config *config)
{
    if (!config) {
        return;
    }
    for (size_t i = 0; i < config->cluster_count; i++) {
        cluster_deinit(&config->clusters[i]);
    }
    free(config->clusters);
    free(config->log_file);
    free(config);
}

const struct cluster_config *config_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->cluster_count; i++) {
        if (strcmp(config->clusters[i].name, name) == 0) {
            return &config->clusters[i];
        }
    }
    return NULL;
}
