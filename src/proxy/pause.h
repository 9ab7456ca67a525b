/* CLIENT PAUSE: the commands of a cluster's clients wait for its end, all of
 * them or those that write. Each worker holds the clients of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/proxy.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct asker;
struct call;
struct client;
struct request;
struct writer;

enum pause_kind { PAUSE_NONE, PAUSE_WRITE, PAUSE_ALL };

void pause_begin(struct call *call);
void pause_end(struct call *call);

void pause_begin_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part);
void pause_end_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                    struct writer *part);
void pause_finish(struct call *call, const struct writer *parts);

/* Keeps a command that has to wait, and everything behind it. false: it need not. */
bool pause_holds(struct client *client, struct request *request);
/* The client has gone. */
void pause_leave(struct client *client);
/* A reload is over: nobody waits for a cluster that it has dropped. */
void pause_adopt(struct proxy *proxy);

/* For a worker that starts: goes along with the pause of the others. */
void pause_join(struct proxy *proxy);
void pause_deinit(struct proxy *proxy);
