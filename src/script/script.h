/* The script layer: one LuaJIT state that reads config.lua and runs the
 * router scripts of one generation.
 *
 *   script_create ─► script_open_step ─► script_load_step, from disk or bytes
 *                 ─► script_push_config: the server builds clusters and hosts
 *                 ─► script_bind(generation) ─► script_router_step for each scripted cluster
 *                 ─► script_finish: cross-checks when every root is set
 *                 ─► script_begin … script_leave: in force
 *
 * The master does the same for its checks, without loop or links. Everything
 * that Lua code does here is bounded in time and memory; an error of a script
 * is an answer, never the end of the process. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/cluster.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_State;
struct script;

struct script_options {
    const char *lua_dir; /* the folder that holds the folder nydus; copied */
    size_t memory_limit; /* bytes the state may hold (router_memory); 0: 64 MB */
    uint64_t slice;      /* nanoseconds of the steps below, about; 0: each takes as long as it takes */
};

/* How far a function is whose name ends in _step: a worker serves between two steps. Call it with the same
 * arguments until it says something else than SCRIPT_MORE; when that is SCRIPT_FAILED, it has put a sentence
 * or some lines into its last argument, for the caller to free, and the script is still to be destroyed. */
enum script_progress { SCRIPT_MORE, SCRIPT_DONE, SCRIPT_FAILED };

/* One state with its own memory limit; nothing is in it yet. */
struct script *script_create(const struct script_options *options);
/* Loads the runtime modules. */
enum script_progress script_open_step(struct script *script, char **problem);
/* The generation may not ask for decisions any more. NULL is fine. */
void script_destroy(struct script *script);

/* Sets the memory limit once config.lua has said it. */
void script_set_memory_limit(struct script *script, size_t bytes);
size_t script_memory_used(const struct script *script);

/* Reads config.lua and what it requires from disk, once, and checks it: a problem per line. With `packed`,
 * the bytes of script_pack, the same from these: nothing is read from disk, nothing is run or checked again
 * when the configuration is plain data, and `path` is only what messages call the file. */
enum script_progress script_load_step(struct script *script, const char *path, const char *packed,
                                      size_t size, char **problems);
/* Every file that was read so far, router scripts included, and the normalised configuration unless there is
 * a function in it, in one piece for the caller to free: pack after the last script_router_step. */
char *script_pack(struct script *script, size_t *size) __attribute__((warn_unused_result));
/* The files' part of it. */
const char *script_packed_files(const char *packed, size_t size, size_t *files_size);

/* The state, and the normalised configuration (config.lua with all defaults
 * filled in) as a table on top of its stack. */
struct lua_State *script_state(struct script *script);
void script_push_config(struct script *script);

/* The clusters and hosts that scripts see. Fills in the set's decide and
 * context; generation->script is the caller's to set. */
void script_bind(struct script *script, struct generation *generation);

/* Runs the router script of a cluster, whose root is then what it returned; `path` as in config.lua, relative
 * to it. The options are those of clusters[cluster->index + 1].router.options in the configuration. */
enum script_progress script_router_step(struct script *script, struct cluster *cluster, const char *path,
                                        char **problem);

/* What makes the functions of that cluster's router slow, one note per line with
 * file and line, for the caller to free; "" when nothing does. Not for workers:
 * the code for it stays in memory. */
char *script_notes(struct script *script, const struct cluster *cluster) __attribute__((warn_unused_result));

/* To be called when the root of every cluster is set: clusters that are named
 * by each other in a circle are refused. */
bool script_finish(struct script *script, char **error) __attribute__((warn_unused_result));

/* Runs the hook check of a cluster's script, when script_finish has said yes. Only for a generation that
 * serves nobody. false: it refuses the configuration, with a sentence in *error for the caller to free. */
bool script_check(struct script *script, struct cluster *cluster, const char *path, char **error)
    __attribute__((warn_unused_result));

/* What the end of each turn of the loop does, where there is no loop (specs): some garbage is collected. From
 * the first call on none is collected during decisions. */
void script_turn_end(struct script *script);

/* Takes over what the scripts of the generation before hand on: before any router is run, and once
 * more when that has left, which is the last time. */
void script_inherit(struct script *script, struct script *from, bool last);

/* The generation is in force: its timers run. */
void script_begin(struct script *script);
/* It has been replaced, or the worker leaves: no timer goes on, its scripts are told. It may still be
 * asked for decisions. Nothing happens to one that is not in force. */
void script_leave(struct script *script);
/* The worker leaves: no flow of any generation goes on. */
void script_leave_all(void);
/* For a generation without a loop: so many seconds go by. */
void script_advance(struct script *script, double seconds);

/* How often scripts were asked, raised an error, were stopped, ran out of
 * memory: for INFO and the specs. Counted in `stats` as well. */
struct script_counters {
    uint64_t batches, queries, errors, stops, memory_errors;
};
const struct script_counters *script_counters(const struct script *script);
