/* The CLIENT family: what a client may know and change of its own connection.
 * Those about other clients ask all workers: what each does is the part, what
 * the client gets the finish; see neighbours.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asker;
struct call;
struct client;
struct proxy;
struct writer;

void client_command_id(struct call *call);
void client_command_getname(struct call *call);
void client_command_setname(struct call *call);
void client_command_setinfo(struct call *call);
void client_command_info(struct call *call);
void client_command_list(struct call *call);
void client_command_kill(struct call *call);
/* Shown by CLIENT LIST, and nothing else: a shared link cannot switch them. */
void client_command_no_evict(struct call *call);
void client_command_no_touch(struct call *call);
void client_command_reply(struct call *call);
void client_command_tracking(struct call *call);
void client_command_trackinginfo(struct call *call);
void client_command_caching(struct call *call);
void client_command_getredir(struct call *call);
void client_command_unblock(struct call *call);

/* For CLIENT SETNAME and HELLO. false: it is no name, and the call has been answered with an error. */
bool client_command_name_fits(const struct call *call, const char *name, size_t size);
/* Names the client; size 0: it has no name. */
void client_command_rename(struct client *client, const char *name, size_t size);

void client_list_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part);
void client_list_finish(struct call *call, const struct writer *parts);
void client_kill_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part);
void client_kill_finish(struct call *call, const struct writer *parts);
void client_unblock_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                         struct writer *part);
void client_unblock_finish(struct call *call, const struct writer *parts);
