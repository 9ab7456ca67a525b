/* The options of CLIENT LIST and CLIENT KILL: which clients are meant. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asker;
struct call;
struct client;

enum client_type { CLIENT_ANY, CLIENT_NORMAL, CLIENT_PUBSUB, CLIENT_OTHER /* masters, replicas */ };

/* Texts are borrowed from the command; NULL: any will do. */
struct client_filter {
    enum client_type type;
    int64_t *ids; /* owned */
    uint32_t id_count; /* 0: any */
    const char *address, *own_address, *user;
    size_t address_size, own_address_size, user_size;
    bool skip_asker;
};

/* Reads the options of a command, which is answered with an error when they are
 * wrong (false), unless it is a neighbour's: its worker has done that. */
bool client_filter_list(struct client_filter *filter, const struct call *call);
bool client_filter_kill(struct client_filter *filter, const struct call *call);
void client_filter_deinit(struct client_filter *filter);

bool client_filter_fits(const struct client_filter *filter, const struct client *client,
                        const struct asker *asker);

/* Both ends of its connection as Redis writes them; returns text. */
const char *client_filter_peer(const struct client *client, char *text, size_t size);
const char *client_filter_own(const struct client *client, char *text, size_t size);
