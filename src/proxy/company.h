/* Company: clients whose replies are held back for those that follow.
 *
 * Commands that come in one read are mostly answered by several hosts, at
 * different moments. Their replies leave in one write: when the last of them is
 * there, or after a millisecond. One timer looks after all who wait, for an
 * epoll_wait with a timeout is all that it costs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <ev.h>
#include <stdint.h>

struct client;

struct company {
    struct client **clients; /* those with client->listed, owned here */
    uint32_t count, room;
    ev_timer timer; /* runs while there are any */
};

void company_init(struct company *company);
void company_deinit(struct company *company, struct ev_loop *loop);
/* Looks after a client until client_stays_held says no. */
void company_add(struct company *company, struct ev_loop *loop, struct client *client);
/* It leaves. */
void company_remove(struct company *company, const struct client *client);
