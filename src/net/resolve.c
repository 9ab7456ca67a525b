/* Names to addresses by c-ares; see resolve.h.
 *
 * All lookups of a loop share one c-ares channel, which lives while somebody
 * waits: idle, nothing is open, and the next lookup reads resolv.conf afresh.
 * c-ares may answer at once or in the middle of its own work; `done` is always
 * called from the lookup's own timer, so owners never run inside c-ares. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolve.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DEADLINE 3.0 /* seconds for a lookup, whatever c-ares is at */
#define TRIES 2
/* Milliseconds for all servers' first tries; the second takes twice as long.
 * Together below the deadline: a server that answers for IPv4 and is mute for
 * IPv6 makes c-ares hold the answer back until its own end. */
#define FIRST_TRIES 900

/* A socket of c-ares. */
struct resolver_socket {
    ev_io io;
    struct resolver *resolver;
    struct resolver_socket *next;
};

/* The channel of a loop. */
struct resolver {
    struct ev_loop *loop;
    ares_channel channel; /* NULL: it could not be made */
    int status;           /* why not */
    unsigned users;       /* lookups with an owner who waits */
    ev_timer timer;       /* the next thing c-ares wants to do by itself */
    struct resolver_socket *sockets;
    struct resolver *next;
};

/* A lookup; ends when it has neither an owner nor a query. */
struct resolve {
    struct ev_loop *loop;
    struct resolver *resolver; /* NULL: the name is numeric */
    ev_timer timer;            /* the deadline, then (at zero) the call of `done` */
    resolve_done *done;        /* NULL: called or cancelled */
    void *owner;
    char *name;
    bool asking; /* c-ares will call resolve_answered */
    int status;  /* of c-ares, when it is not asking */
    struct address *addresses;
    size_t count;
};

static struct resolver *resolvers;

/* Says when c-ares must be called though no socket is ready. */
static void resolver_schedule(struct resolver *resolver)
{
    struct timeval wait;
    ev_timer_stop(resolver->loop, &resolver->timer);
    if (!ares_timeout(resolver->channel, NULL, &wait))
        return;
    ev_timer_set(&resolver->timer, (double)wait.tv_sec + (double)wait.tv_usec / 1e6, 0.);
    ev_timer_start(resolver->loop, &resolver->timer);
}

static void resolver_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    struct resolver *resolver = w->data;
    (void)loop, (void)events;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolver_schedule(resolver);
}

static void resolver_ready(struct ev_loop *loop, ev_io *w, int events)
{
    struct resolver_socket *s = w->data;
    struct resolver *resolver = s->resolver;
    (void)loop;
    /* This may close the socket and free s. */
    ares_process_fd(resolver->channel, events & EV_READ ? w->fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? w->fd : ARES_SOCKET_BAD);
    resolver_schedule(resolver);
}

/* c-ares says what it waits for on a socket; nothing: it closes it. */
static void resolver_watch(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = data;
    struct resolver_socket **at = &resolver->sockets;
    while (*at && (*at)->io.fd != fd)
        at = &(*at)->next;
    struct resolver_socket *s = *at;
    if (s)
        ev_io_stop(resolver->loop, &s->io);
    if (!readable && !writable) {
        if (s)
            *at = s->next;
        free(s);
        return;
    }
    if (!s) {
        s = *at = xcalloc(1, sizeof *s);
        s->resolver = resolver;
        ev_init(&s->io, resolver_ready);
        s->io.data = s;
    }
    ev_io_set(&s->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    ev_io_start(resolver->loop, &s->io);
}

/* How many servers resolv.conf names: they are asked one after the other. */
static int resolver_servers(void)
{
    ares_channel channel;
    struct ares_addr_port_node *servers = NULL;
    int count = 0;
    if (ares_init(&channel) != ARES_SUCCESS)
        return 1;
    ares_get_servers_ports(channel, &servers);
    for (struct ares_addr_port_node *server = servers; server; server = server->next)
        count++;
    ares_free_data(servers);
    ares_destroy(channel);
    return count ? count : 1;
}

static void resolver_open(struct resolver *resolver)
{
    static char hosts_then_dns[] = "fb";
    struct ares_options options = {
        .tries = TRIES,
        .timeout = FIRST_TRIES / resolver_servers(),
        .lookups = hosts_then_dns,
        .sock_state_cb = resolver_watch,
        .sock_state_cb_data = resolver,
    };
    resolver->status =
        ares_init_options(&resolver->channel, &options,
                          ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    if (resolver->status != ARES_SUCCESS)
        resolver->channel = NULL;
}

/* The resolver of a loop, made when there is none; resolver_leave it. */
static struct resolver *resolver_join(struct ev_loop *loop)
{
    struct resolver *resolver = resolvers;
    while (resolver && resolver->loop != loop)
        resolver = resolver->next;
    if (!resolver) {
        resolver = xmalloc(sizeof *resolver);
        *resolver = (struct resolver){.loop = loop, .next = resolvers};
        resolvers = resolver;
        ev_init(&resolver->timer, resolver_timeout);
        /* After a pause of the loop, what came meanwhile is read before time is up. */
        ev_set_priority(&resolver->timer, EV_MINPRI);
        resolver->timer.data = resolver;
        ares_library_init(ARES_LIB_INIT_ALL);
        resolver_open(resolver);
    }
    resolver->users++;
    return resolver;
}

static void resolver_leave(struct resolver *resolver)
{
    if (!resolver || --resolver->users)
        return;
    struct resolver **at = &resolvers;
    while (*at != resolver)
        at = &(*at)->next;
    *at = resolver->next;
    if (resolver->channel) {
        /* Ends the queries nobody waits for. ares_destroy would as well, but
         * with both families under way it had its bugs there. */
        ares_cancel(resolver->channel);
        ares_destroy(resolver->channel);
    }
    ares_library_cleanup();
    ev_timer_stop(resolver->loop, &resolver->timer);
    free(resolver);
}

static void resolve_free(struct resolve *resolve)
{
    free(resolve->addresses);
    free(resolve->name);
    free(resolve);
}

static void resolve_arm(struct resolve *resolve, double seconds)
{
    ev_timer_stop(resolve->loop, &resolve->timer);
    ev_timer_set(&resolve->timer, seconds, 0.);
    ev_timer_start(resolve->loop, &resolve->timer);
}

static void resolve_add(struct resolve *resolve, const struct ares_addrinfo *answer, int family)
{
    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next) {
        struct address *address = &resolve->addresses[resolve->count];
        if (node->ai_family != family || node->ai_addrlen > sizeof address->storage)
            continue;
        memcpy(&address->storage, node->ai_addr, node->ai_addrlen);
        address->size = node->ai_addrlen;
        resolve->count++;
    }
}

/* Most hosts of Redis listen on IPv4, and many networks have no route for IPv6. */
static void resolve_keep(struct resolve *resolve, const struct ares_addrinfo *answer)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
        count++;
    resolve->addresses = xcalloc(count + 1, sizeof *resolve->addresses);
    resolve_add(resolve, answer, AF_INET);
    resolve_add(resolve, answer, AF_INET6);
}

/* c-ares has an answer: now, within ares_getaddrinfo, or ECANCELLED. */
static void resolve_answered(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct resolve *resolve = arg;
    (void)timeouts;
    resolve->asking = false;
    if (resolve->done) {
        resolve->status = status;
        if (status == ARES_SUCCESS && answer)
            resolve_keep(resolve, answer);
        resolve_arm(resolve, 0.);
    } else {
        resolve_free(resolve);
    }
    if (answer)
        ares_freeaddrinfo(answer);
}

static const char *resolve_reason(const struct resolve *resolve)
{
    switch (resolve->asking ? ARES_ETIMEOUT : resolve->status) {
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
        return "domain name not found";
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return "the domain name has no address";
    case ARES_EBADNAME:
        return "not a domain name";
    case ARES_ETIMEOUT:
        return "no answer from DNS in time";
    /* Also when all of them failed or refused. */
    case ARES_ECONNREFUSED:
        return "no DNS server gives an answer";
    default:
        return ares_strerror(resolve->status);
    }
}

/* The answer is here, or the deadline. */
static void resolve_finish(struct ev_loop *loop, ev_timer *w, int events)
{
    struct resolve *resolve = w->data;
    struct resolver *resolver = resolve->resolver;
    resolve_done *done = resolve->done;
    (void)loop, (void)events;
    resolve->done = NULL;
    if (resolve->count) {
        done(resolve->owner, resolve->addresses, resolve->count, NULL);
    } else {
        char error[400];
        snprintf(error, sizeof error, "cannot resolve '%.256s': %s", resolve->name, resolve_reason(resolve));
        done(resolve->owner, NULL, 0, error);
    }
    if (!resolve->asking)
        resolve_free(resolve);
    resolver_leave(resolver);
}

static void resolve_ask(struct resolve *resolve, uint16_t port)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT | ARES_AI_ENVHOSTS,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct resolver *resolver = resolve->resolver = resolver_join(resolve->loop);
    char service[8];
    if (!resolver->channel) {
        resolve->status = resolver->status;
        resolve_arm(resolve, 0.);
        return;
    }
    snprintf(service, sizeof service, "%u", port);
    resolve->asking = true;
    resolve_arm(resolve, DEADLINE);
    ares_getaddrinfo(resolver->channel, resolve->name, service, &hints, resolve_answered, resolve);
    resolver_schedule(resolver);
}

struct resolve *resolve_start(struct ev_loop *loop, const char *name, uint16_t port, resolve_done *done,
                              void *owner)
{
    struct resolve *resolve = xmalloc(sizeof *resolve);
    struct address numeric;
    *resolve = (struct resolve){.loop = loop, .done = done, .owner = owner, .name = xstrdup(name)};
    ev_init(&resolve->timer, resolve_finish);
    ev_set_priority(&resolve->timer, EV_MINPRI);
    resolve->timer.data = resolve;
    ev_now_update(loop); /* a loop that was busy, or does not run yet, has an old clock */
    /* c-ares 1.18 takes "10.0.0.1" for a name too when both families are wanted, and asks DNS for it. */
    if (address_numeric(&numeric, name, port)) {
        resolve->addresses = xmalloc(sizeof numeric);
        resolve->addresses[0] = numeric;
        resolve->count = 1;
        resolve_arm(resolve, 0.);
    } else {
        resolve_ask(resolve, port);
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve || !resolve->done)
        return;
    struct resolver *resolver = resolve->resolver;
    resolve->done = NULL;
    ev_timer_stop(resolve->loop, &resolve->timer);
    if (!resolve->asking)
        resolve_free(resolve);
    resolver_leave(resolver);
}
