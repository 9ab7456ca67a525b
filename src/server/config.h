/* One configuration as C reads it: a copy of what nydus.config returned, with
 * every default filled in. The names are those of config.lua. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/log.h"
#include "proxy/account.h"
#include "route/router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_State;

/* Where clients connect. */
struct listen_config {
    char *host;    /* "127.0.0.1", "::1", a name; "": all addresses, IPv4 and IPv6; NULL: a unix socket */
    uint16_t port; /* 0: a unix socket */
    char *path;    /* of the unix socket, or NULL */
    char *text;    /* "127.0.0.1:6380", ":6380", "[::1]:6380", "unix:/path": one spelling per address */
};

struct host_config {
    int64_t key;            /* as in `hosts = { [0] = … }` */
    char *host;             /* NULL: a unix socket */
    uint16_t port;          /* 0: a unix socket */
    char *unix_socket_path; /* or NULL */
    int32_t db;
    char *user, *password;  /* NULL: none. Secrets: never log them */
    double timeout, connect_timeout; /* seconds, above 0 */
    uint32_t weight;
    char *identifier;       /* never NULL */
    bool named;             /* the operator wrote the identifier */
    uint32_t connections;   /* links per worker */
    char *address;          /* "host:port", "[::1]:port" or the path */
};

enum router_form {
    ROUTER_BUILTIN, /* `options` and `eject` say which */
    ROUTER_ALL,     /* every command goes to every host */
    ROUTER_SCRIPT   /* `path`; its options stay in Lua: clusters[index + 1].router.options */
};

struct router_config {
    enum router_form form;
    struct router_options options; /* ROUTER_BUILTIN */
    char *path;                    /* ROUTER_SCRIPT: as the bundle knows it, else NULL */
    char *text;                    /* ROUTER_SCRIPT: as written in config.lua, else NULL */
};

struct user_config {
    char *name;
    uint8_t digest[ACCOUNT_DIGEST]; /* SHA-256 of the password */
    bool open;                      /* nobody asks for a password: it is the default user's */
    char **commands;                /* rules: "+@read", "-keys", in order */
    size_t command_count;
    bool all_keys;
    char **keys;                    /* patterns, unless all_keys */
    size_t key_count;
};

struct cluster_config {
    uint32_t index;                /* in struct config, from 0; sorted by name */
    char *name;
    char *engine;                  /* "redis" */
    struct listen_config *listen;
    size_t listen_count;           /* 0: only other clusters' scripts reach it */
    struct router_config router;
    struct host_config *hosts;     /* in routing order, at least one */
    size_t host_count;
    bool eject;                    /* hosts that are down leave the choice */
    uint32_t max_connection_retries;
    double retry_timeout;          /* seconds */
    uint32_t failure_limit;
    uint32_t max_clients;
    uint32_t max_request;          /* bytes */
    size_t max_reply_buffer;       /* bytes */
    double client_timeout;         /* seconds; 0: never */
    struct user_config *users;     /* sorted by name */
    size_t user_count;             /* 0: clients need no password */
    char **deny;                   /* "+flushall": what nobody may run */
    size_t deny_count;
};

struct config {
    uint32_t workers;              /* 0: "auto" */
    enum log_level log_level;
    char *log_file;                /* NULL: stderr */
    size_t router_memory;          /* bytes, per worker */
    struct cluster_config *clusters;
    size_t cluster_count;          /* at least 1 */
};

/* Copies the normalised table at `index` of the stack, which stays as it is.
 * The table comes from nydus.config and is not checked again. A Lua error
 * (out of memory) may pass through; call it under a pcall if that is limited. */
struct config *config_read(struct lua_State *L, int index)
    __attribute__((returns_nonnull, warn_unused_result));
/* Secrets are wiped before they are freed. NULL is fine. */
void config_destroy(struct config *config);

/* By name, or NULL. */
const struct cluster_config *config_find(const struct config *config, const char *name);
