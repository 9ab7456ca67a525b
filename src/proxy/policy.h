/* Policies: what Nydus does with a command besides routing it by the command
 * table. The rows are policy.def; what has no row is routed. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"

#include <stdbool.h>
#include <stdint.h>

struct call;
struct reply;
struct request;
struct target;
struct writer;

typedef void policy_answer(struct call *call);
typedef bool policy_condition(const struct call *call);
typedef bool policy_learned(const struct command *command);
typedef void policy_seen(const struct call *call);
typedef uint32_t policy_kept(const struct call *call, struct writer *ahead);
typedef bool policy_amend(const struct request *request, struct reply *reply, char *line);
typedef bool policy_mend(struct request *request, const struct reply *reply);
typedef void policy_keyless(struct request *request, const struct target *router);

/* What becomes of a command that is answered here, between MULTI and EXEC. */
enum policy_inside {
    INSIDE_REFUSED, /* it would change the state of a connection that others share */
    INSIDE_SENT,    /* the host answers it, as one of the transaction */
    INSIDE_AT_ONCE  /* it is about the transaction, or ends it */
};

struct policy {
    const char *name;       /* "config|get"; a container's refusal covers its subcommands that have no row */
    policy_answer *answer;  /* answers it here, now or later (client held); NULL: it does not */
    const char *refusal;    /* the error line "ERR …" instead of an answer or a route; NULL: none */
    policy_condition *when; /* the answer or refusal holds only then; NULL: always */
    uint32_t key;           /* the argument that routes it as its only key; 0: the command table says */
    policy_keyless *keyless; /* serves it, when it has no key and came to a built-in router with several
                              * hosts; NULL: all hosts get it if its tips say so, else the first that is up */
    policy_learned *learned; /* the row is not one command's: it is for those that a host has taught, of
                              * which this holds; NULL: it is `name`'s */
    policy_seen *seen;       /* looks at it before it is routed */
    policy_kept *kept;       /* looks at it when a transaction keeps it; may add commands to be sent ahead of
                              * that one, and says how many */
    policy_amend *amend;     /* corrects one host's part of a joined reply, into line (RESP_HEADER_SIZE) */
    policy_mend *mend;       /* looks at a host's error reply; true: it has sent the request again */
    policy_condition *waits; /* when it holds, it is answered after all that came before it, for it changes
                              * over which links its client's commands go; NULL: never */
    bool sends;             /* its answer sends to a host, or tells scripts of another user: what came before
                             * it has to be sent first */
    enum policy_inside inside;
    bool listener;          /* a client that listens to channels may send it, too, in RESP2 */
};

/* By the row of the command: 0 is "routed", for most. */
extern const struct policy policies[];
extern uint8_t policy_index[];
/* By the row of the command, too: the argument that is its only key; 0: keys_find has to be asked. */
extern uint8_t policy_keys[] __attribute__((visibility("hidden")));

/* Never NULL. One load for the hot path. */
static inline const struct policy *policy_of(const struct command *command)
{
    return &policies[policy_index[command->id]];
}
static inline bool policy_routes(const struct command *command)
{
    return policy_index[command->id] == 0;
}
/* Finds the row for a command that has been learned; to be called before it is used. */
void policy_learn(const struct command *command);
/* How many rows there are, the first one included. For the specs. */
uint32_t policy_count(void);
