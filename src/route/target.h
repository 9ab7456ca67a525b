/* Targets: what a router decides, as a tree in C.
 *
 *   host      one host
 *   router    a built-in router picks one of its hosts by key
 *   list      every child gets the command; the client gets an array
 *   reply     answered here
 *   prefix    by the longest prefix of the key
 *   command   by command name, or by class (read, write)
 *   split     by weight: at random, by key or by client
 *   cluster   another cluster's own target
 *   function  Lua decides: the walk stops there and the script layer is asked
 *   action    does something with the command beside sending it (failover, shadow …)
 *
 * Everything is made at load and owned by the set of its generation; the walk
 * allocates nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/query.h"
#include "route/router.h"

struct client;  /* proxy/client.h, */
struct cluster; /* proxy/cluster.h, */
struct host;    /* proxy/host.h, */
struct request; /* proxy/request.h, */
struct mishap;  /* proxy/dispatch.h; only carried here */

enum target_kind {
    TARGET_HOST,
    TARGET_ROUTER,
    TARGET_LIST,
    TARGET_REPLY,
    TARGET_PREFIX,
    TARGET_COMMAND,
    TARGET_SPLIT,
    TARGET_CLUSTER,
    TARGET_FUNCTION,
    TARGET_ACTION,
    TARGET_KINDS
};

/* How the replies of a list become one; LIST_ARRAY is Nydus's broadcast. */
enum list_reply {
    LIST_ARRAY,
    LIST_SUM,
    LIST_MIN,
    LIST_MAX,
    LIST_ALL_SUCCEEDED,
    LIST_ONE_SUCCEEDED,
    LIST_AND,
    LIST_OR,
    LIST_MERGE,
    LIST_FIRST,  /* the first that is no error, as soon as it is there */
    LIST_QUORUM, /* what more than half of them say, as soon as so many do */
    LIST_REPLIES
};
const char *list_reply_name(enum list_reply reply);
/* Is the reply that of one of the list's items? */
static inline bool list_reply_is_one(enum list_reply reply)
{
    return reply == LIST_ALL_SUCCEEDED || reply == LIST_ONE_SUCCEEDED || reply == LIST_FIRST ||
           reply == LIST_QUORUM;
}

bool list_reply_parse(const char *name, enum list_reply *reply);

/* What a split is stable by. */
enum split_by { SPLIT_RANDOM, SPLIT_KEY, SPLIT_CLIENT };

typedef void action_send(struct host *host, struct request *request);

/* What is done with a request that has come to a target of kind TARGET_ACTION.
 * The layers above make them; each kind is one static struct. */
struct action {
    const char *name;     /* "failover" */
    const char *language; /* "C", "Lua" or "flow": what runs for each request */
    const char *const *labels; /* of its items, for people; NULL: 1, 2 … */
    /* Goes on with a request whose query.target is the target; it ends it, or sends it or parts of it on
     * (proxy/dispatch.h). `send`: hosts get it by that instead of host_send; NULL: the usual way. */
    void (*run)(struct request *request, action_send *send);
    /* What needs one host (a transaction, a command that blocks, a subscription) is sent to where its first
     * item leads, as if the action were not there. */
    bool transparent;
    /* Of one that is transparent: what is done to a request that needs one host, on its way through; it
     * leaves in query.target where to go on. false: it has failed the request. NULL: nothing. */
    bool (*pass)(struct request *request);
    bool pure; /* it changes nothing but the request, so that it can be asked what it would do */
    /* Not NULL: the walk goes through to the first item, as if the action were not there, and this is called
     * when the host that it led to is away or lost, or its router has none that is up. true: it goes on with
     * the request, or has ended it. */
    bool (*failed)(const struct target *target, struct request *request, const struct mishap *mishap);
    /* Not NULL: `run` may have sent the request itself to a host, with its own place in query.watcher. Makes
     * the part of it to which happens from now on what happens there. */
    struct request *(*divide)(const struct target *target, struct request *request);
    /* The options, for people, each with ", " in front; NULL: there are none. */
    void (*describe)(const struct target *target, char *text, size_t size);
    void (*destroy)(void *state); /* NULL: free */
};

struct target_name {
    char *name; /* lower case, owned */
    struct target *next;
};

/* A default that a function below `node` leads to when it knows no way. */
struct target_default {
    const struct target *node;
    uint16_t outer; /* the default above the node; 0: none */
    uint16_t next;  /* the next one of this node, below another default */
};

struct target {
    enum target_kind kind;
    uint32_t id; /* its place in the set: what Lua holds */
    struct target_set *set;
    uint16_t place; /* of a prefix or command: the first of set->defaults that is its own; 0: none yet;
                     * of an action that is told what happens at the host: in set->watchers; 0: no room */
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
            struct target **ends;   /* per index: what gets the keys that are the host's, or NULL: it does */
            uint32_t count;
            bool eject; /* a host that is down leaves the ring */
        } router;
        struct {
            struct target **items; /* owned array */
            uint32_t count;
            enum list_reply reply;
        } list;
        struct {
            struct target **items; /* owned array */
            uint32_t count;
            enum split_by by;
            double *ends; /* item i has from ends[i - 1] to ends[i] of 0 … 1; owned */
        } split;
        struct {
            struct target **items; /* owned array; it may be empty */
            uint32_t count;
            const struct action *action;
            void *state; /* the action's, owned */
        } action;
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
            struct cluster *owner; /* whose script it came with */
            bool spare; /* it decides for the fallback */
        } function;
    };
};

/* All targets of one generation; ids are 0 .. count-1. */
struct target_set {
    struct target **targets;
    uint32_t count, room;
    uint32_t functions; /* how many of them are TARGET_FUNCTIONs */
    struct target_default *defaults; /* those that walks have met; [0] is none of them */
    uint16_t default_count;
    bool passes; /* some action has `pass` */
    struct target **watchers; /* actions with `failed` or `divide`; [0] is none of them */
    uint16_t watcher_count;
    /* Asks Lua for `count` queries that stand at one TARGET_FUNCTION. It puts the
     * next target into each query->target (any kind of this set), or NULL and maybe an error. */
    void (*decide)(void *context, const struct target *function, struct query **queries, size_t count);
    void *context;
    /* The id of the client that asks, for split by client; 0: nobody. */
    uint64_t (*client_id)(const struct client *client);
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
/* Keys that the router (of target_router) gives to one host go to another target instead. */
void target_router_end(struct target *router, uint32_t index, struct target *end);
struct target *target_list(struct target_set *set, struct target **items, uint32_t count);
struct target *target_reply(struct target_set *set, const char *bytes, size_t size);
/* weights: `count` numbers above 0. */
struct target *target_split(struct target_set *set, struct target **items, const double *weights,
                            uint32_t count, enum split_by by);
/* Takes the state. One with `failed` has to be among the first 65,535 of the set. */
struct target *target_action(struct target_set *set, const struct action *action, struct target **items,
                             uint32_t count, void *state);
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
 * leaves that in query->target: a TARGET_HOST, TARGET_LIST, TARGET_REPLY, TARGET_ACTION or
 * TARGET_FUNCTION; NULL: no route; a TARGET_ROUTER: every host it knows is
 * down (HostListExhausted). Bounded in steps: a cycle gives NULL with an error. */
void target_walk(struct query *query);
/* The same for each of many: keys that meet a router with md5 are hashed side by side. */
void target_walk_many(struct query **queries, size_t count);

/* The same for many keys of one command, where nothing but one built-in router decides: leaves[i] is where
 * the walk with keys[i] ends. Returns that router; NULL: each key has to be walked for itself. */
const struct target *target_walk_keys(const struct query *query, const struct resp_arg *keys, uint32_t count,
                                      const struct target **leaves);

/* The walk went from a prefix or command to `next`: a function below that knows no way leads to the node's
 * default, if it has one, and then to those above. */
void target_note_default(const struct target *node, const struct target *next, struct query *query);
/* A function of this set knew no way: the default that is next in turn, or NULL. */
const struct target *target_take_default(const struct target_set *set, struct query *query);

/* What a built-in router picks: a host, the list of those that share its identifier, or what stands for
 * it; all of them for a command without a key; the router itself when all are down. */
const struct target *target_router_next(const struct target *router, struct query *query);
/* A split at random is the same for all keys of one command: dispatch counts the commands. */
extern uint64_t target_draw __attribute__((visibility("hidden")));
/* Which item of a split gets the query. */
uint32_t target_split_pick(const struct target *split, const struct query *query);

/* How a target below another is reached: "user:", "read", "2", "95 %". */
struct target_way {
    const char *text;
    size_t size;
    bool is_prefix; /* it is bytes of a key */
};

/* Calls visit with all targets right below one. A visit that returns true
 * ends it: so does this function, then. A cluster has its root below. */
typedef bool target_visit(void *context, const struct target *below, const struct target_way *way);
bool target_each(const struct target *target, target_visit *visit, void *context);

/* One target may stand in itself only through a function. The name of a
 * target on a cycle that has none, or NULL. For the checks at load. */
const struct target *target_find_cycle(const struct target *root);

const char *target_kind_name(enum target_kind kind);
