/* The CLIENT family: what a client may know and change of its own connection.
 *
 * A worker knows its own clients only: CLIENT LIST shows those. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct call;

void client_command_id(struct call *call);
void client_command_getname(struct call *call);
void client_command_setname(struct call *call);
void client_command_setinfo(struct call *call);
void client_command_info(struct call *call);
void client_command_list(struct call *call);
/* NO-EVICT and NO-TOUCH: nothing to switch here, but the words are checked. */
void client_command_switch(struct call *call);
void client_command_reply(struct call *call);
void client_command_tracking(struct call *call);
void client_command_trackinginfo(struct call *call);
void client_command_caching(struct call *call);
void client_command_getredir(struct call *call);
void client_command_unblock(struct call *call);

/* Names the client, for CLIENT SETNAME and HELLO. false: the call has been answered with an error. */
bool client_command_rename(struct call *call, const char *name, size_t size);
