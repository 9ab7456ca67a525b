/* What C and Lua look at together. C includes this file; Lua gives its text
 * to ffi.cdef (see abi.c), so it holds plain declarations only.
 *
 * Lua reads these fields and calls the function pointers; none of them ever
 * comes back into Lua. What a script gets its hands on is a handle, never one
 * of these structs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most queries that Lua is asked for at once. */
enum { NYDUS_BATCH = 128 };

/* What a decision can be, beside the number of a target (0 and up). */
enum { NYDUS_NO_ROUTE = -1, NYDUS_LOOSE = -2 };

/* A router script's `req` and `req.client`: never dereferenced. The address is
 * a number that is used once, so that one kept too long is recognised. */
struct nydus_req;
struct nydus_client;

/* A target as Lua holds it: its place in the set of its generation. */
struct nydus_target {
    const int32_t id_;
};

/* Watches over the time that Lua code takes; see guard.h. */
struct nydus_guard {
    int32_t stop;        /* not 0: whatever runs has to end */
    int32_t limit;       /* milliseconds of CPU time that one step may take; 0: no Lua runs */
    uint32_t calls;      /* counts the calls into Lua */
    int32_t *barrier;    /* a store through it keeps a compiled loop from remembering `stop` */
    const int32_t *step; /* what changes with every step of a call: nydus_batch.cur */
};

struct nydus_text {
    const char *bytes;
    size_t size;
};

/* A reply, or a value in one, as scripts hold it. The bytes are good while *alive_ is number_. */
struct nydus_reply {
    const char *const bytes_;
    const size_t size_;
    const uint32_t *const alive_;
    const uint32_t number_;
};

/* What such a value is. */
struct nydus_look {
    int32_t kind; /* '+' '-' ':' '$' '*' … of RESP; '_': null; '-' for both errors */
    const char *text; /* of what has no items */
    size_t size;
    const char *items; /* where the first begins */
    double count;      /* items: both sides of a map's pairs */
};

/* Who asks. */
struct nydus_facts {
    const char *address, *name, *user, *listen; /* name NULL: none */
};

/* struct command and struct query, which say what the fields are: Lua reads them in place, as to fill in a
 * copy for each query took 31 instructions. view.c asserts that the layouts are the same. */
struct nydus_command {
    const char *name;
    int32_t arity;
    uint32_t flags, categories;
    int32_t request_policy, response_policy;
    const char *tips;
    int32_t first_key, last_key, key_step;
    const void *specs;
    uint8_t spec_count;
    bool simple_keys;
    uint16_t id;
};
struct nydus_query {
    const char *bytes;
    uint32_t size, argc, nkeys;
    uint32_t key_at, key_size;
    int32_t db;
    uint8_t attempt, resp;
    uint16_t otherwise, watcher;
    uint8_t flows;
    bool pinned;
    const void *target, *router;
    const char *error;
    const struct nydus_command *command;
    const void *client;
};

struct nydus_batch {
    struct nydus_req *handle; /* whose turn it is; NULL outside of the driver */
    uint64_t first;           /* the handle of the first query; those of the others follow */
    int32_t cur, count;       /* whose turn it is: place in queries, and how many there are */
    const struct nydus_query *const *queries;
    const struct nydus_query *flow; /* the only query, when a flow runs */
    /* Argument i (0 is the command) or key i (from 0) of a query; false: there are not so many. */
    bool (*arg)(const struct nydus_query *query, uint32_t i, struct nydus_text *text);
    bool (*key)(const struct nydus_query *query, uint32_t i, struct nydus_text *text);
    /* The part of the key between { and } where Redis would hash only that; else the whole key. */
    void (*tag)(const struct nydus_query *query, struct nydus_text *text);
    uint32_t (*hash)(const struct nydus_query *query, int32_t kind);
    /* The first digits in the key behind so many bytes, as a number; -1: there are none. */
    double (*number)(const struct nydus_query *query, uint32_t behind);
    bool (*client)(const struct nydus_query *query, struct nydus_facts *facts);
    const char *(*user)(const struct nydus_query *query); /* as of client(), at less cost; NULL: no client */
    double (*client_id)(const struct nydus_query *query); /* the same; 0: there is none */
    /* The id of the client, which has values to be forgotten when it leaves from now on; 0: there is none. */
    double (*slotted)(const struct nydus_query *query);
    /* What hooks are told beside the query: the host that failed it (the number of its target; -1: none), and
     * why; or the reply, which is alive as long as reply_number does not change. */
    int32_t failed;
    struct nydus_text said;
    uint32_t reply_number;
    bool as_is; /* out: what it gave instead is in the client's protocol already */
    void (*value)(const struct nydus_reply *reply, struct nydus_look *value);
    /* Item i, from 0; false: there are not so many. */
    bool (*item)(const struct nydus_reply *reply, double i, struct nydus_text *item);
    /* The state of a host (enum host_state) by the number of its target; owner: the batch's. */
    const void *owner;
    int32_t (*host_state)(const void *owner, int32_t target);
    int32_t out[NYDUS_BATCH];
};

/* ---- what scripts share with all workers, and the clock; see base/series.h, base/limiter.h ---- */

/* Counters, gauges and histograms as Lua holds them. */
struct nydus_counter {
    const uint32_t place_;
};
struct nydus_gauge {
    const uint32_t place_;
};
struct nydus_histogram {
    const uint32_t place_;
};

/* struct limiter */
struct limiter_buckets;
struct nydus_limiter {
    struct limiter_buckets *const buckets_;
    const double interval_, depth_;
};

/* A dictionary of base/dictionary.h, and a value of it; type: enum dictionary_type. */
struct dictionary;
struct nydus_shared {
    struct dictionary *const it_;
};
struct nydus_value {
    int32_t type;
    double number;
    const char *bytes;
    size_t size;
};

struct nydus_state {
    double *numbers; /* series_own */
    double (*sum)(uint32_t place);
    void (*observe)(uint32_t place, double value);
    double (*histogram_count)(uint32_t place);
    double (*histogram_sum)(uint32_t place);
    double (*histogram_quantile)(uint32_t place, double part);
    double (*allow)(const struct nydus_limiter *limiter, const char *key, size_t size, double cost);
    /* Of dictionaries; ttl in seconds, 0: none. Results: enum dictionary_result. */
    bool (*get)(struct dictionary *it, const char *key, size_t key_size, struct nydus_value *out);
    int32_t (*set)(struct dictionary *it, const char *key, size_t key_size, int32_t type, double number,
                   const char *bytes, size_t size, double ttl, bool only_new);
    /* init: NaN: there is none. out->number is what it is then. */
    int32_t (*incr)(struct dictionary *it, const char *key, size_t key_size, double number, double init,
                    double ttl, struct nydus_value *out);
    bool (*remove)(struct dictionary *it, const char *key, size_t key_size);
    void (*flush)(struct dictionary *it);
    double (*count)(struct dictionary *it);
    double (*now)(void);    /* Unix time in seconds, the same throughout a call into Lua */
    double (*random)(void); /* from 0 up to, but without, 1 */
    bool (*log_enabled)(int32_t level);
};
