/* Transactions: commands between MULTI and EXEC are checked and kept here; EXEC
 * sends them to their host in one piece, so that nothing can come between.
 *
 *   MULTI ─► +OK      SET a 1 ─► +QUEUED      EXEC ─► MULTI, SET a 1, EXEC ─► host
 *                     (kept in client->session)   └◄─ the host's reply to EXEC
 *
 * The first key fixes the host. Nothing has been sent before EXEC, so a client
 * that leaves leaves nothing behind; what EXEC has sent is never sent again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct call;
struct client;
struct command;
struct request;
struct resp_request;

void transaction_multi(struct call *call);
void transaction_exec(struct call *call);
void transaction_discard(struct call *call);

/* Takes a command of a client whose transaction is open, to be answered with
 * +QUEUED or an error. false: there is none open, or the command is to be
 * answered at once in spite of it. */
bool transaction_takes(struct client *client, struct request *request, const struct resp_request *scan);

/* Is it the EXEC of a transaction that writes? */
bool transaction_would_write(const struct client *client, const struct command *command);

/* A command whose arguments are wrong: is it EXEC? Then the transaction is over, as in Redis. */
bool transaction_aborts(struct client *client, const struct command *command);
/* A command that was refused before it got here: EXEC will be refused, too. */
void transaction_spoil(struct client *client);
/* Forgets it, and what is watched, without an answer. */
void transaction_drop(struct client *client);
