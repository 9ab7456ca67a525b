/* The listening sockets. The master opens and keeps them all, so that none
 * closes with clients waiting on it when a worker ends:
 *
 *   TCP    one SO_REUSEPORT socket per address and worker
 *   unix   one socket per path, shared by all workers
 *
 * A set belongs to one configuration. The next set borrows what stays from
 * the current one and takes it over only when the reload is committed. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* One address of one cluster. */
struct socket_address {
    /* Set by config */
    char *text;    /* as written in config.lua; owned */
    char *cluster; /* owned */
    struct sockaddr_storage address;
    socklen_t size;

    /* Changing at run time */
    int *fds;       /* per worker slot, -1: none; unix: one. Owned */
    bool *borrowed; /* per fd: still the current set's */
    uint32_t count; /* of fds */
    dev_t device;   /* unix: our socket file, so that nobody else's is removed */
    ino_t inode;
};

struct sockets {
    struct socket_address *items; /* owned */
    uint32_t count;
};

struct sockets *sockets_create(void);
/* Closes what it owns and removes its socket files; NULL is fine. */
void sockets_destroy(struct sockets *sockets);

/* Adds "127.0.0.1:6380", "[::1]:6380", ":6380" (every address, IPv6 and IPv4),
 * "name:6380" or "unix:/path". false: *error is a sentence for the caller to free. */
bool sockets_add(struct sockets *sockets, const char *text, const char *cluster, char **error)
    __attribute__((warn_unused_result));

/* The same for an address that sockets_add has understood before. */
void sockets_put(struct sockets *sockets, const char *text, const char *cluster, const void *address,
                 socklen_t size);

/* Binds what is missing for `workers` workers; what `current` (NULL at the start)
 * has of it is borrowed. Nobody can connect to the new ones yet. false: *error
 * is "cannot listen on …", and sockets_destroy puts all back. */
bool sockets_bind(struct sockets *sockets, const struct sockets *current, uint32_t workers, char **error)
    __attribute__((warn_unused_result));

/* Makes the set the current one: takes over what it borrowed from `current`
 * (NULL at the start), whose rest sockets_destroy then closes, and opens the
 * new ones for clients. false with *error when one cannot be opened: the others are. */
bool sockets_listen(struct sockets *sockets, struct sockets *current, char **error)
    __attribute__((warn_unused_result));

/* The socket of an address for a worker, or -1. */
int sockets_fd(const struct socket_address *address, uint32_t worker);
bool sockets_is_unix(const struct socket_address *address);
/* The address written like this and served for that cluster, or NULL. */
const struct socket_address *sockets_find(const struct sockets *sockets, const char *text,
                                          const char *cluster);

/* In a fresh worker: closes its copies of all sockets but those of its slot
 * (BOARD_WORKERS: of none); files stay. Another worker's socket kept open here
 * would go on attracting clients after the master closed it. */
void sockets_keep(struct sockets *sockets, uint32_t worker);
