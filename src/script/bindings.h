/* What Lua acts through: C functions for the runtime modules in lua/nydus.
 * Router scripts never see them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/cluster.h"
#include "script/callbacks.h"
#include "script/decide.h"
#include "script/flow.h"
#include "script/hook.h"
#include "script/news.h"
#include "script/slices.h"

/* A script is opened in this order. */
enum script_stage {
    SCRIPT_NEW,      /* there is no state to work in */
    SCRIPT_STATE,    /* one with nothing of ours in it */
    SCRIPT_MODULES,  /* nydus.runtime is loaded, with all that it requires */
    SCRIPT_STARTED,
};

/* The script layer's parts, as the C functions need them. */
struct script {
    struct state state;
    struct decider decider;
    struct callbacks callbacks;
    struct news news;
    struct hooks hooks;
    struct flows flows;
    struct generation *generation; /* NULL until script_bind */
    struct proxy *proxy;           /* NULL: the generation serves nobody (checks, specs) */
    struct slices slices;          /* of what is called until it is in force */
    enum script_stage stage;       /* how far it is open */
    int runtime;                   /* references in the registry: nydus.runtime, */
    int config;                    /* the normalised configuration */
    bool routes;                   /* there is a router script, which may make garbage */
    clock_t check_began;           /* CPU time */
    bool in_force;                 /* between script_begin and script_leave */
};

/* Pushes a function of nydus.runtime; its arguments follow. */
void script_push_runtime(struct script *script, const char *name);

/* Pushes a table with all functions. */
void bindings_push(struct script *script);

/* Each adds its functions to the table on top of the stack; they find the
 * script in their first upvalue. */
void bind_add(struct script *script, const char *name, lua_CFunction function);
struct script *bind_script(lua_State *L);
void bind_actions(struct script *script);
void bind_targets(struct script *script);
void bind_routers(struct script *script);
void bind_facts(struct script *script);
void bind_hooks(struct script *script);
void bind_hosts(struct script *script);
void bind_strings(struct script *script);
void bind_time(struct script *script);
void bind_trial(struct script *script);
void bind_state(struct script *script);
void bind_flow(struct script *script);

/* The target whose number is argument `i`. */
struct target *bind_target(lua_State *L, int i);
/* Pushes the number of a target; returns 1. */
int bind_push_target(lua_State *L, const struct target *target);
/* The set that targets are made in, or an error: nothing is made before script_bind. */
struct target_set *bind_set(lua_State *L);
