/* A build; see build.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/build.h"

#include "base/memory.h"
#include "proxy/account.h"
#include "proxy/proxy.h"
#include "script/script.h"

#include <lua.h>
#include <stdlib.h>
#include <string.h>

/* STEP_HOSTS: so many are looked for, or made, in one step of a build. */
enum { GENERATION_ERROR = 1024, STEP_HOSTS = 256 };

/* Nanoseconds of Lua in one step, in a worker that serves. */
#define STEP_LUA UINT64_C(200000)

/* What a build works on. */
struct build {
    const char *path;
    struct proxy *proxy;
    struct packed packed;
    size_t step, part; /* the next one, and how far it has come */
    struct script *script;
    struct config *config;
    struct generation *generation;
    char *problems; /* lines, or NULL */
};

/* Adds the lines of `text`, each after "config.lua: clusters.main.router: ". */
static void build_problem(struct build *build, const char *place, const char *text)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        char *longer = xformat("%s%s%s: %s: %.*s", build->problems ? build->problems : "",
                               build->problems ? "\n" : "", build->path, place, (int)length, line);
        free(build->problems);
        build->problems = longer;
        line += length + (line[length] == '\n');
    }
}

static void build_router_problem(struct build *build, const struct cluster *cluster, const char *text)
{
    char *place = xformat("clusters.%s.router", cluster->name);
    build_problem(build, place, text);
    free(place);
}

/* Under a pcall: the state's memory is limited. */
static int read_config(struct lua_State *L)
{
    struct build *build = lua_touserdata(L, 1);
    script_push_config(build->script);
    build->config = config_read(L, -1);
    return 0;
}

/* ---- steps: each says whether it is done, or wants to be called once more ---- */

static bool step_script(struct build *build)
{
    if (!build->script) {
        const char *lua_dir = generation_lua_dir(&build->problems);
        bool serving = build->proxy && build->proxy->generation;
        struct script_options options = {.lua_dir = lua_dir, .slice = serving ? STEP_LUA : 0};
        if (lua_dir)
            build->script = script_create(&options);
        return !lua_dir;
    }
    return script_open_step(build->script, &build->problems) != SCRIPT_MORE;
}

static bool step_load(struct build *build)
{
    const struct packed *packed = &build->packed;
    enum script_progress progress =
        script_load_step(build->script, build->path, packed->bytes, packed->size, &build->problems);
    if (progress == SCRIPT_FAILED && !build->problems)
        build->problems = xformat("%s: cannot be loaded", build->path);
    return progress != SCRIPT_MORE;
}

static bool step_read(struct build *build)
{
    struct lua_State *L = script_state(build->script);
    if (lua_cpcall(L, read_config, build) != 0) {
        build_problem(build, "config", lua_tostring(L, -1) ? lua_tostring(L, -1) : "cannot be read");
        lua_pop(L, 1);
        return true;
    }
    script_set_memory_limit(build->script, build->config->router_memory);
    return true;
}

static struct host_options host_options_of(const struct cluster_config *cluster,
                                           const struct host_config *host)
{
    return (struct host_options){
        .cluster = cluster->name,
        .identifier = host->identifier,
        .named = host->named,
        .host = host->host,
        .unix_socket_path = host->unix_socket_path,
        .address = host->address,
        .user = host->user,
        .password = host->password,
        .key = host->key,
        .port = host->port,
        .db = host->db,
        .weight = host->weight,
        .connections = host->connections,
        .timeout = host->timeout,
        .connect_timeout = host->connect_timeout,
        .retry_timeout = cluster->retry_timeout,
        .failure_limit = cluster->failure_limit,
    };
}

static void build_account(struct accounts *accounts, const struct user_config *config)
{
    struct account *account = accounts_add(accounts, config->name, config->open ? NULL : config->digest);
    account->all_keys = config->all_keys;
    for (size_t i = 0; i < config->command_count; i++)
        command_set_apply(&account->commands, config->commands[i]);
    for (size_t i = 0; i < config->key_count; i++)
        account_add_key(account, config->keys[i]);
}

/* NULL: everybody may do everything. */
static struct accounts *build_accounts(const struct cluster_config *config)
{
    static char everything[] = "+@all", *rules[] = {everything}, name[] = "default";
    static const struct user_config anybody = {
        .name = name, .open = true, .commands = rules, .command_count = 1, .all_keys = true};
    if (!config->user_count && !config->deny_count)
        return NULL;
    struct accounts *accounts = accounts_create();
    for (size_t i = 0; i < config->user_count; i++)
        build_account(accounts, &config->users[i]);
    if (!config->user_count)
        build_account(accounts, &anybody);
    for (size_t i = 0; i < config->deny_count; i++)
        command_set_apply(&accounts->denied, config->deny[i]);
    return accounts;
}

static void build_cluster(struct build *build, const struct cluster_config *config)
{
    struct cluster *cluster = cluster_create(build->generation, config->name);
    cluster->max_connection_retries = config->max_connection_retries;
    cluster->max_clients = config->max_clients;
    cluster->max_request = config->max_request;
    cluster->max_reply_buffer = config->max_reply_buffer;
    cluster->client_timeout = config->client_timeout;
    cluster->accounts = build_accounts(config);
}

static void build_hosts(struct build *build, const struct cluster_config *config, size_t begin, size_t end)
{
    struct cluster *cluster = build->generation->clusters[build->generation->count - 1];
    for (size_t i = begin; i < end; i++) {
        struct host_options options = host_options_of(config, &config->hosts[i]);
        cluster_add_host(cluster, host_acquire(build->proxy, &options));
    }
}

static struct target *build_builtin(struct build *build, struct cluster *cluster,
                                    const struct router_config *config)
{
    uint32_t *indexes = xmalloc(cluster->count * sizeof *indexes);
    for (uint32_t i = 0; i < cluster->count; i++)
        indexes[i] = i;
    char error[GENERATION_ERROR];
    bool eject = build->config->clusters[cluster->index].eject;
    struct target *target =
        cluster_router(cluster, &config->options, eject, indexes, cluster->count, error, sizeof error);
    free(indexes);
    if (!target)
        build_router_problem(build, cluster, error);
    return target;
}

static bool build_scripted(struct build *build, struct cluster *cluster, const struct router_config *config)
{
    char *error = NULL;
    enum script_progress progress = script_router_step(build->script, cluster, config->path, &error);
    if (progress == SCRIPT_FAILED)
        build_router_problem(build, cluster, error ? error : "the script gave no reason");
    free(error);
    return progress != SCRIPT_MORE;
}

/* Returns whether it is done. */
static bool build_root(struct build *build, struct cluster *cluster)
{
    const struct router_config *config = &build->config->clusters[cluster->index].router;
    switch (config->form) {
    case ROUTER_ALL:
        cluster->root = cluster_all(cluster);
        break;
    case ROUTER_BUILTIN:
        cluster->root = build_builtin(build, cluster, config);
        break;
    case ROUTER_SCRIPT:
        return build_scripted(build, cluster, config);
    }
    return true;
}

static bool step_checks(struct build *build)
{
    char *error = NULL;
    if (!script_finish(build->script, &error))
        build_problem(build, "clusters", error ? error : "they do not fit together");
    free(error);
    for (uint32_t i = 0; i < build->generation->count && !build->problems; i++) {
        const struct cluster *cluster = build->generation->clusters[i];
        const struct target *at = target_find_cycle(cluster->root);
        if (!at)
            continue;
        char *text = xformat("the targets form a cycle through a %s", target_kind_name(at->kind));
        build_router_problem(build, cluster, text);
        free(text);
    }
    return true;
}

/* The scripts' own, in a state that nobody will be served by. */
static bool step_trials(struct build *build)
{
    if (build->proxy)
        return true;
    for (uint32_t i = 0; i < build->generation->count && !build->problems; i++) {
        struct cluster *cluster = build->generation->clusters[i];
        const struct router_config *config = &build->config->clusters[i].router;
        char *error = NULL;
        if (config->form != ROUTER_SCRIPT || script_check(build->script, cluster, config->path, &error))
            continue;
        char *text = xformat("its check refuses it: %s", error ? error : "it gave no reason");
        build_router_problem(build, cluster, text);
        free(text);
        free(error);
    }
    return true;
}

/* One after the other, each in a turn of its own. */
static bool generation_destroy(struct generation *generation)
{
    if (generation->script) {
        script_destroy(generation->script);
        generation->script = NULL;
    } else if (generation->count) {
        cluster_destroy(generation->clusters[--generation->count]);
    } else if (generation->set) {
        target_set_destroy(generation->set);
        generation->set = NULL;
    } else {
        config_destroy(generation->config);
        free(generation->clusters);
        free(generation);
        return true;
    }
    return false;
}

static bool step_clusters(struct build *build)
{
    struct generation *generation = build->generation;
    const struct config *config = build->config;
    if (!generation) {
        generation = build->generation = xcalloc(1, sizeof *generation);
        generation->refs = 1;
        generation->set = target_set_create();
        generation->script = build->script;
        generation->config = build->config;
        generation->destroy = generation_destroy;
    } else {
        const struct cluster_config *last = &config->clusters[generation->count - 1];
        size_t begin = build->part, end = begin + STEP_HOSTS;
        build->part = end < last->host_count ? end : last->host_count;
        build_hosts(build, last, begin, build->part);
        if (build->part < last->host_count)
            return false;
    }
    if (generation->count == config->cluster_count)
        return true;
    build_cluster(build, &config->clusters[generation->count]);
    build->part = 0;
    return false;
}

static bool step_bind(struct build *build)
{
    script_bind(build->script, build->generation);
    if (build->proxy && build->proxy->generation)
        script_inherit(build->script, build->proxy->generation->script, false);
    build->part = 0;
    return true;
}

static bool step_routers(struct build *build)
{
    build->part += build_root(build, build->generation->clusters[build->part]);
    return build->part == build->generation->count;
}

static bool (*const steps[])(struct build *build) = {step_script, step_load,    step_read,   step_clusters,
                                                     step_bind,   step_routers, step_checks, step_trials};
enum { STEPS = sizeof steps / sizeof *steps };

struct build *build_begin(struct proxy *proxy, const char *path, const struct packed *packed)
{
    struct build *build = xcalloc(1, sizeof *build);
    build->path = path;
    build->proxy = proxy;
    if (packed)
        build->packed = *packed;
    return build;
}

bool build_step(struct build *build)
{
    bool done = steps[build->step](build);
    build->step += done;
    bool routing = !done && steps[build->step] == step_routers; /* the problems of all of them are told */
    if (build->problems && !routing)
        build->step = STEPS;
    return build->step < STEPS;
}

void build_cancel(struct build *build)
{
    if (build->generation && build->proxy) {
        generation_leave(build->generation);
    } else if (build->generation) {
        generation_unref(build->generation);
    } else {
        script_destroy(build->script);
        config_destroy(build->config);
    }
    free(build->problems);
    free(build);
}

struct generation *build_end(struct build *build, char **problems)
{
    struct generation *generation = build->problems ? NULL : build->generation;
    if (generation) {
        free(build);
        return generation;
    }
    *problems = build->problems;
    build->problems = NULL;
    build_cancel(build);
    return NULL;
}
