/* Scripts: the bodies that clients have sent with EVAL and SCRIPT LOAD.
 *
 * A worker remembers them by their SHA1, so that a host which has lost its
 * scripts (it restarted, or joined the cluster later) is given them again
 * before a client hears of it. Bounded: the one not used for longest goes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct reply;
struct request;
struct writer;

enum { SCRIPTS_MEMORY = 16 * 1024 * 1024, SCRIPTS_BIGGEST = 1024 * 1024, SCRIPTS_SHA = 40 };

/* Remembers a body (copied), but for one above SCRIPTS_BIGGEST. A body that is known costs no SHA1. */
void scripts_learn(const char *body, size_t size);
/* The body to a SHA1 of SCRIPTS_SHA hexadecimal digits in any case, or NULL.
 * Good until the next call of scripts_learn or scripts_forget. */
const char *scripts_find(const char *sha, size_t *size);
/* All of them: a client flushed the scripts of its hosts, and wants them gone. */
void scripts_forget(void);
/* Bytes in use, at most SCRIPTS_MEMORY. */
size_t scripts_memory(void);

/* For the rows of policy.def: EVAL and SCRIPT LOAD are remembered, SCRIPT FLUSH forgets. */
void scripts_see_eval(const struct call *call);
void scripts_see_load(const struct call *call);
void scripts_see_flush(const struct call *call);
/* For those in a transaction, which runs too late to be mended: EVAL is
 * remembered, EVALSHA's script is loaded ahead of the transaction, once. */
uint32_t scripts_keep_eval(const struct call *call, struct writer *ahead);
uint32_t scripts_keep_evalsha(const struct call *call, struct writer *ahead);
/* A host's NOSCRIPT for a script that is known: SCRIPT LOAD, then the request
 * again, on the same link. What the client sent behind it may have run before. */
bool scripts_mend(struct request *request, const struct reply *reply);
