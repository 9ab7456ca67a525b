/* A listening address: accepts clients for one cluster. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct proxy;

struct listener {
    struct proxy *proxy;
    struct listener *next;
    char *text; /* the address as in config.lua */
    char *cluster_name;
    struct cluster *cluster; /* of the current generation; NULL when it has none of that name */
    ev_io accept;
    ev_timer pause; /* runs while there are no descriptors to accept with */
    uint32_t clients;
    bool closed; /* no socket any more; freed with its last client */
};

struct listener *listener_create(struct proxy *proxy, int fd, const char *text, const char *cluster_name);
/* Takes the connections that wait: a socket that is closed resets them. */
void listener_accept_waiting(struct listener *listener);
/* Closes the socket; the object lives as long as its clients. */
void listener_close(struct listener *listener);
/* A client of a listener has gone. */
void listener_release(struct listener *listener);
