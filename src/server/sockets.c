/* The listening sockets; see sockets.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/sockets.h"

#include "base/memory.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKETS_BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

struct sockets *sockets_create(void)
{
    return xcalloc(1, sizeof(struct sockets));
}

bool sockets_is_unix(const struct socket_address *address)
{
    return address->address.ss_family == AF_UNIX;
}

static const char *unix_path(const struct socket_address *address)
{
    return ((const struct sockaddr_un *)&address->address)->sun_path;
}

/* A file that somebody else put in the place of ours stays. */
static void unix_remove(const struct socket_address *address)
{
    struct stat file;
    if (address->inode && stat(unix_path(address), &file) == 0 && file.st_dev == address->device &&
        file.st_ino == address->inode)
        unlink(unix_path(address));
}

static void address_close(struct socket_address *address)
{
    for (uint32_t i = 0; i < address->count; i++) {
        if (address->fds[i] < 0 || address->borrowed[i])
            continue;
        if (sockets_is_unix(address))
            unix_remove(address);
        close(address->fds[i]);
    }
}

void sockets_destroy(struct sockets *sockets)
{
    if (!sockets)
        return;
    for (uint32_t i = 0; i < sockets->count; i++) {
        struct socket_address *address = &sockets->items[i];
        address_close(address);
        free(address->text);
        free(address->cluster);
        free(address->fds);
        free(address->borrowed);
    }
    free(sockets->items);
    free(sockets);
}

static bool parse_unix(struct socket_address *address, const char *path, char **error)
{
    struct sockaddr_un *target = (struct sockaddr_un *)&address->address;
    if (strlen(path) >= sizeof target->sun_path) {
        *error = xformat("the path of the socket is longer than %zu bytes", sizeof target->sun_path - 1);
        return false;
    }
    target->sun_family = AF_UNIX;
    snprintf(target->sun_path, sizeof target->sun_path, "%s", path);
    address->size = sizeof *target;
    return true;
}

/* ":6380": IPv6 that takes IPv4 too, or IPv4 alone where the kernel has no IPv6. */
static void parse_any(struct socket_address *address, uint16_t port)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
        struct sockaddr_in6 *target = (struct sockaddr_in6 *)&address->address;
        *target = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        target->sin6_addr = in6addr_any;
        address->size = sizeof *target;
        return;
    }
    struct sockaddr_in *target = (struct sockaddr_in *)&address->address;
    *target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    address->size = sizeof *target;
}

/* A name stands for one address, an IPv4 one if it has any: "localhost" is
 * 127.0.0.1, where clients look first, also where it is ::1 as well. */
static bool parse_name(struct socket_address *address, const char *name, const char *port, char **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    int status = getaddrinfo(name, port, &hints, &found);
    if (status != 0) {
        *error = xstrdup(gai_strerror(status));
        return false;
    }
    const struct addrinfo *best = found;
    while (best && best->ai_family != AF_INET)
        best = best->ai_next;
    if (!best)
        best = found;
    memcpy(&address->address, best->ai_addr, best->ai_addrlen);
    address->size = best->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool parse_tcp(struct socket_address *address, const char *text, char **error)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || *end != '\0' || port < 1 || port > 65535) {
        *error = xstrdup("the address has no port (1-65535)");
        return false;
    }
    size_t length = (size_t)(colon - text);
    if (length == 0 || (length == 1 && *text == '*')) {
        parse_any(address, (uint16_t)port);
        return true;
    }
    if (*text == '[' && length > 2 && colon[-1] == ']') {
        text++;
        length -= 2;
    }
    char *name = xstrndup(text, length);
    bool parsed = parse_name(address, name, colon + 1, error);
    free(name);
    return parsed;
}

/* "cannot listen on <text>: <reason>" in place of the bare reason. */
static bool cannot_listen(const char *text, char *reason, char **error)
{
    *error = xformat("cannot listen on %s: %s", text, reason);
    free(reason);
    return false;
}

static bool same_address(const struct socket_address *a, const struct socket_address *b)
{
    return a->size == b->size && !memcmp(&a->address, &b->address, a->size) &&
           (strchr(a->text, '[') != NULL) == (strchr(b->text, '[') != NULL);
}

/* The one that listens on the same address already, whatever its cluster. */
static const struct socket_address *find_same(const struct sockets *current,
                                              const struct socket_address *address)
{
    for (uint32_t i = 0; current && i < current->count; i++) {
        if (same_address(&current->items[i], address))
            return &current->items[i];
    }
    return NULL;
}

bool sockets_add(struct sockets *sockets, const char *text, const char *cluster, char **error)
{
    struct socket_address address = {.size = 0};
    char *reason = NULL;
    bool parsed = !strncmp(text, "unix:", 5) ? parse_unix(&address, text + 5, &reason)
                                             : parse_tcp(&address, text, &reason);
    if (!parsed)
        return cannot_listen(text, reason, error);
    address.text = (char *)text;
    if (find_same(sockets, &address))
        return cannot_listen(text, xstrdup("the address is given twice"), error);
    sockets_put(sockets, text, cluster, &address.address, address.size);
    return true;
}

void sockets_put(struct sockets *sockets, const char *text, const char *cluster, const void *address,
                 socklen_t size)
{
    sockets->items = xrealloc(sockets->items, (sockets->count + 1) * sizeof *sockets->items);
    struct socket_address *item = &sockets->items[sockets->count++];
    *item = (struct socket_address){.text = xstrdup(text), .cluster = xstrdup(cluster)};
    item->size = size < sizeof item->address ? size : sizeof item->address;
    memcpy(&item->address, address, item->size);
}

static int open_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
}

/* "[::]:6380" is IPv6 alone, so that "0.0.0.0:6380" may stand beside it; ":6380" is both. */
static void set_dual(int fd, const struct socket_address *address)
{
    int only = strchr(address->text, '[') != NULL;
    if (address->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
}

static int bind_tcp(const struct socket_address *address, bool shared)
{
    int fd = open_socket(address->address.ss_family), on = 1;
    if (fd < 0)
        return -1;
    set_dual(fd, address);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&address->address, address->size) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* With SO_REUSEPORT a second server of the same user could sit on the same
 * port and silently take half of the clients: ask once without it. */
static bool probe_tcp(const struct socket_address *address)
{
    int fd = bind_tcp(address, false);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* A socket file without a process behind it is left over and goes; false with errno. */
static bool unix_clear(const struct socket_address *address)
{
    struct stat file;
    if (lstat(unix_path(address), &file) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(file.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = open_socket(AF_UNIX);
    if (fd < 0)
        return false;
    int status = connect(fd, (const struct sockaddr *)&address->address, address->size);
    int error = errno;
    close(fd);
    if (status == 0 || error != ECONNREFUSED) {
        errno = status == 0 || error == EAGAIN ? EADDRINUSE : error;
        return false;
    }
    return unlink(unix_path(address)) == 0;
}

static int bind_unix(struct socket_address *address)
{
    if (!unix_clear(address))
        return -1;
    int fd = open_socket(AF_UNIX);
    if (fd < 0)
        return -1;
    struct stat file;
    if (bind(fd, (const struct sockaddr *)&address->address, address->size) == 0 &&
        stat(unix_path(address), &file) == 0) {
        address->device = file.st_dev;
        address->inode = file.st_ino;
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool bind_address(struct socket_address *address, const struct socket_address *same, uint32_t workers)
{
    address->count = sockets_is_unix(address) ? 1 : workers;
    address->fds = xmalloc(address->count * sizeof *address->fds);
    memset(address->fds, -1, address->count * sizeof *address->fds);
    address->borrowed = xcalloc(address->count, sizeof *address->borrowed);
    if (same) {
        address->device = same->device;
        address->inode = same->inode;
    } else if (!sockets_is_unix(address) && !probe_tcp(address)) {
        return false;
    }
    for (uint32_t i = 0; i < address->count; i++) {
        address->borrowed[i] = same && i < same->count && same->fds[i] >= 0;
        if (address->borrowed[i])
            address->fds[i] = same->fds[i];
        else
            address->fds[i] = sockets_is_unix(address) ? bind_unix(address) : bind_tcp(address, true);
        if (address->fds[i] < 0)
            return false;
    }
    return true;
}

bool sockets_bind(struct sockets *sockets, const struct sockets *current, uint32_t workers, char **error)
{
    for (uint32_t i = 0; i < sockets->count; i++) {
        struct socket_address *address = &sockets->items[i];
        if (!bind_address(address, find_same(current, address), workers))
            return cannot_listen(address->text, xstrdup(strerror(errno)), error);
    }
    return true;
}

/* What the new set borrowed is its own now; the old one forgets it. */
static void take_over(struct socket_address *address, struct sockets *current)
{
    struct socket_address *same = (struct socket_address *)find_same(current, address);
    for (uint32_t i = 0; i < address->count; i++) {
        if (!address->borrowed[i])
            continue;
        address->borrowed[i] = false;
        same->fds[i] = -1;
    }
}

bool sockets_listen(struct sockets *sockets, struct sockets *current, char **error)
{
    bool listening = true;
    for (uint32_t i = 0; i < sockets->count; i++) {
        struct socket_address *address = &sockets->items[i];
        take_over(address, current);
        for (uint32_t k = 0; k < address->count; k++) {
            /* On a socket that listens already this only sets the backlog. */
            if (listen(address->fds[k], SOCKETS_BACKLOG) == 0 || !listening)
                continue;
            listening = cannot_listen(address->text, xstrdup(strerror(errno)), error);
        }
    }
    return listening;
}

int sockets_fd(const struct socket_address *address, uint32_t worker)
{
    uint32_t place = sockets_is_unix(address) ? 0 : worker;
    return place < address->count ? address->fds[place] : -1;
}

const struct socket_address *sockets_find(const struct sockets *sockets, const char *text,
                                          const char *cluster)
{
    for (uint32_t i = 0; i < sockets->count; i++) {
        const struct socket_address *address = &sockets->items[i];
        if (!strcmp(address->text, text) && !strcmp(address->cluster, cluster))
            return address;
    }
    return NULL;
}

void sockets_keep(struct sockets *sockets, uint32_t worker)
{
    for (uint32_t i = 0; sockets && i < sockets->count; i++) {
        struct socket_address *address = &sockets->items[i];
        int kept = sockets_fd(address, worker);
        for (uint32_t k = 0; k < address->count; k++) {
            if (address->fds[k] < 0 || address->fds[k] == kept)
                continue;
            if (!address->borrowed[k])
                close(address->fds[k]);
            address->fds[k] = -1;
        }
    }
}
