/* Targets: what a router decides, as a tree in C.
 *
 *   host      one host
 *   router    a built-in router picks one of its hosts by key
 *   list      every child gets the command; the client gets an array
 *   reply     answered here
 *   prefix    by the longest prefix of the key
 *   command   by command name, or by class (read, write)
 *   cluster   another cluster's own target
 *   function  Lua decides: the walk stops there and the script layer is asked
 *
 * Everything is made at load and owned by the set of its generation; the walk
 * allocates nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/query.h"
#include "route/router.h"

struct host; /* proxy/host.h; only carried here */

enum target_kind {
    TARGET_HOST,
    TARGET_ROUTER,
    TARGET_LIST,
    TARGET_REPLY,
    TARGET_PREFIX,
    TARGET_COMMAND,
    TARGET_CLUSTER,
    TARGET_FUNCTION,
    TARGET_KINDS
};

struct target_name {
    char *name; /* lower case, owned */
    struct target *next;
};

struct target {
    enum target_kind kind;
    uint32_t id; /* its place in the set: what Lua holds */
    struct target_set *set;
    union {
        struct {
            struct host *host;
            const char *name; /* the identifier, for --check and errors; owned by the host */
        } host;
        struct {
            struct router *router; /* owned */
            struct target **hosts; /* TARGET_HOST of each index, owned array */
            struct target *all;    /* TARGET_LIST of them: where a command without key goes */
            struct target **groups; /* per index: list of those that share its identifier, or NULL */
            uint32_t count;
            bool eject; /* a host that is down leaves the ring */
        } router;
        struct {
            struct target **items; /* owned array */
            uint32_t count;
        } list;
        struct {
            char *bytes; /* RESP, owned */
            size_t size;
        } reply;
        struct {
            struct prefix_node *root; /* owned */
            struct target *otherwise; /* no prefix fits, or no key; may be NULL */
        } prefix;
        struct {
            struct target **by_id; /* per command row, NULL where only the class decides; owned */
            struct target_name *names; /* of commands that the table lacks and hosts may teach; owned */
            uint32_t name_count;
            struct target *read, *write, *otherwise; /* may be NULL */
        } command;
        struct {
            struct target *const *root; /* the other cluster's root, filled in when all are loaded */
            const char *name;           /* owned by the cluster */
        } cluster;
        struct {
            int ref;    /* the script layer's handle of the Lua function */
            char *name; /* file:line, owned */
        } function;
    };
};

/* All targets of one generation; ids are 0 .. count-1. */
struct target_set {
    struct target **targets;
    uint32_t count, room;
    /* Asks Lua for `count` queries that stand at one TARGET_FUNCTION. It puts the
     * next target into each query->target (any kind of this set), or NULL and maybe an error. */
    void (*decide)(void *context, const struct target *function, struct query **queries, size_t count);
    void *context;
    /* Clients that have left, by id, and for which a script keeps values: decide forgets those first. */
    uint64_t *left;
    uint32_t left_count, left_room;
};

struct target_set *target_set_create(void);
void target_set_destroy(struct target_set *set);
/* Notes that a client has left whose values a script keeps. */
void target_set_leave(struct target_set *set, uint64_t client);

/* Makers: each adds to the set, which owns what it is given. */
struct target *target_host(struct target_set *set, struct host *host, const char *name);
/* Takes the router; hosts are `count` TARGET_HOSTs in the router's order (copied). */
struct target *target_router(struct target_set *set, struct router *router, struct target **hosts,
                             bool eject);
struct target *target_list(struct target_set *set, struct target **items, uint32_t count);
struct target *target_reply(struct target_set *set, const char *bytes, size_t size);
struct target *target_prefix(struct target_set *set, struct target *otherwise);
/* false when the prefix is there already. The empty prefix fits every key. */
bool target_prefix_add(struct target *prefix, const char *text, size_t size, struct target *next);
struct target *target_command(struct target_set *set);
/* name: a command ("get", any case; a container is for its subcommands that are not named themselves), or
 * "read", "write", "default". false: there is no such command in the table. */
bool target_command_add(struct target *command, const char *name, struct target *next);
/* name: a command that is not in the table; whoever routes may have learned it from a host. */
void target_command_add_learned(struct target *command, const char *name, struct target *next);
/* What the target has for exactly this command, or its container; NULL: only its class decides. */
const struct target *target_command_own(const struct target *target, const struct command *command);
struct target *target_cluster(struct target_set *set, struct target *const *root, const char *name);
struct target *target_function(struct target_set *set, int ref, const char *name);

/* Walks from query->target to where no table or router decides any more, and
 * leaves that in query->target: a TARGET_HOST, TARGET_LIST, TARGET_REPLY or
 * TARGET_FUNCTION; NULL: no route; a TARGET_ROUTER: every host it knows is
 * down (HostListExhausted). Bounded in steps: a cycle gives NULL with an error. */
void target_walk(struct query *query);

/* One target may stand in itself only through a function. The name of a
 * target on a cycle that has none, or NULL. For the checks at load. */
const struct target *target_find_cycle(const struct target *root);

const char *target_kind_name(enum target_kind kind);
