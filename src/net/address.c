/* An address to connect to; see address.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

bool address_unix(struct address *address, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t size = strlen(path);
    if (size >= sizeof un->sun_path)
        return false;
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(un->sun_path, path, size + 1);
    address->size = sizeof *un;
    return true;
}

bool address_numeric(struct address *address, const char *host, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    address->size = sizeof *in;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1)
        return true;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    address->size = sizeof *in6;
    return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

const char *address_text(const struct address *address, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    if (address->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(text, size, "%s:%u", ip, ntohs(in->sin_port));
    } else if (address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        /* it came by IPv4, to a socket that takes both: Redis has two sockets there */
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], ip, sizeof ip);
        snprintf(text, size, "%s:%u", ip, ntohs(in6->sin6_port));
    } else if (address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(text, size, "[%s]:%u", ip, ntohs(in6->sin6_port));
    } else {
        snprintf(text, size, "%s", address->size > sizeof(sa_family_t) ? un->sun_path : "");
    }
    return text;
}

int address_connect(const struct address *address)
{
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* A firewall may forget an idle connection without telling either side. */
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (!connect(fd, (const struct sockaddr *)&address->storage, address->size) || errno == EINPROGRESS)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int address_connect_result(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) ? errno : error;
}
