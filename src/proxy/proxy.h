/* What one worker's data path shares: the loop, its clock, the read buffer,
 * the lists of what is to be written before the loop sleeps again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"
#include "proxy/company.h"
#include "proxy/neighbours.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alarm;
struct client;
struct generation;
struct host;
struct hub;
struct lesson;
struct link;
struct listener;
struct pause;
struct request;

/* One read, and so one fair turn of a connection. A value of 64 KB comes in one piece with its command. */
enum { PROXY_READ_SIZE = 68 * 1024 };
#define PROXY_CLOCK_STEP 0.05          /* seconds between two steps of the clock */

/* What is to be done once, before the replies of this turn are written. Stands in what its maker keeps. */
struct errand {
    struct errand *next;
    void (*run)(struct errand *errand);
    bool waits;
};

struct proxy {
    struct ev_loop *loop;
    struct generation *generation; /* the current one */
    struct host *hosts;            /* registry: all, */
    struct set host_set;           /* and by fingerprint */
    struct host *leaving_hosts;    /* no longer configured, their links are still to be closed */
    struct settling {
        struct errand errand;
        struct proxy *proxy;
        uint32_t cluster, host; /* of the generation: the next whose links are to be opened */
    } settling;
    struct alarm *host_watch;      /* is set when a host may have changed; NULL: nobody wants to know */
    double host_news;              /* clock when it was set last, */
    uint32_t host_news_count;      /* and how often in that step of the clock */
    struct lesson *lessons;        /* what has been learned, by cluster */
    struct listener *listeners;
    struct hub *hubs; /* what clients listen to, one for each cluster where anybody has */
    bool patterns_stale; /* they are to be told to the other workers */
    uint32_t moves;   /* times that a host went down or came back: keys may have moved */
    bool hubs_stale;  /* a host went down or came back: channels may have moved */
    struct client *clients; /* all, doubly linked */
    uint64_t client_count;
    uint64_t next_client_id;
    uint64_t client_id_step;      /* workers count in steps, so that ids are unique among them */
    struct client *late_clients;  /* dirty ones that have to wait for the next turn, first in, first out */
    struct client *dirty_clients; /* have something to write or to decide at the turn's end */
    struct link *dirty_links;
    struct errand *errands;
    struct company company;      /* those whose replies are held back */
    struct client *dead_clients; /* freed at the turn's end */
    struct link *dead_links;
    uint32_t slot; /* of its worker: its row on the board */
    struct pause *pauses; /* CLIENT PAUSE of its clusters; NULL: none */
    bool draining; /* no new clients; leave when the last is gone */
    void (*drained)(struct proxy *proxy);
    ev_check check; /* first of a turn */
    ev_prepare prepare; /* last of a turn */
    ev_idle spin; /* keeps the loop from sleeping while there is more to do */
    ev_timer janitor;
    double clock; /* seconds this loop has been awake: what deadlines of hosts are measured by */
    double ticked; /* loop time of the janitor's last round */
    uint32_t ticks; /* of the janitor */
    struct client *tick_next; /* whom it looks at next, */
    uint64_t tick_share;      /* and at how many in one step */
    ev_timer drain;
    char *scratch; /* PROXY_READ_SIZE bytes, and REST_SHORT in front: nearly every read lands here first */
    struct request *reloads;              /* they wait for the end of a reload, by link_next */
    uint32_t reload_number;               /* of the last one that asked; in its request's `part` */
    void (*reload)(struct proxy *proxy, uint32_t number); /* asks for one; NULL: there is no master */
    struct neighbours *neighbours;        /* questions to them; NULL: none yet */
    neighbours_send *ask;                 /* sends one; NULL: there is no master */
    void *server;  /* the worker's, for INFO and the like */
};

/* The memory that scratch lies in, from malloc: who takes it has another one made. */
char *proxy_scratch_memory(const struct proxy *proxy);
void proxy_make_scratch(struct proxy *proxy);
struct proxy *proxy_create(struct ev_loop *loop);
void proxy_destroy(struct proxy *proxy);

/* Makes a generation current: listeners point to its clusters (by name), its
 * hosts connect, the old one ends when its last request does. Takes over the reference. */
void proxy_adopt(struct proxy *proxy, struct generation *generation);

/* A little in each turn: links of hosts that are new are opened, of those that are gone closed. */
void proxy_settle(struct proxy *proxy);
/* Gives all free memory back to the system: about 0.1 ms for each megabyte. */
void proxy_purge(void);

/* Serves clients of the cluster `name` on a listening socket (non-blocking; the
 * fd is the listener's now). `text` is the address as written in config.lua. */
void proxy_listen(struct proxy *proxy, int fd, const char *text, const char *cluster);
/* Stops accepting on the address; its clients stay. */
void proxy_unlisten(struct proxy *proxy, const char *text);

/* One that waits already is fine; so is taking back one that does not. */
void proxy_run_errand(struct proxy *proxy, struct errand *errand);
void proxy_drop_errand(struct proxy *proxy, struct errand *errand);

/* Stops accepting, answers what is in flight, closes idle clients; calls
 * `drained` when none is left, or after `deadline` seconds with what is left closed. */
void proxy_drain(struct proxy *proxy, double deadline, void (*drained)(struct proxy *proxy));

/* For tests: the clock that hosts are measured by goes on by so much, at once. */
void proxy_skip(struct proxy *proxy, double seconds);
