/* The channel between master and worker; see channel.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

bool channel_open(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

/* Room for one descriptor, aligned as the kernel wants it. */
union passenger {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void passenger_put(struct msghdr *header, union passenger *passenger, int passed)
{
    memset(passenger, 0, sizeof *passenger);
    header->msg_control = passenger->bytes;
    header->msg_controllen = sizeof passenger->bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &passed, sizeof passed);
}

static int passenger_take(struct msghdr *header)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
        return -1;
    int passed;
    memcpy(&passed, CMSG_DATA(control), sizeof passed);
    return passed;
}

bool channel_send(int end, const struct message *message, int passed)
{
    /* The text stands last: only as much of it travels as is used. */
    size_t size = offsetof(struct message, text) + strnlen(message->text, MESSAGE_TEXT - 1) + 1;
    struct iovec part = {.iov_base = (void *)message, .iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    union passenger passenger;
    if (passed >= 0)
        passenger_put(&header, &passenger, passed);
    ssize_t sent;
    do {
        sent = sendmsg(end, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)size;
}

enum channel_status channel_receive(int end, struct message *message, int *passed)
{
    memset(message, 0, offsetof(struct message, text) + 1);
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    union passenger passenger;
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = passenger.bytes,
        .msg_controllen = sizeof passenger.bytes,
    };
    ssize_t size;
    do {
        size = recvmsg(end, &header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    *passed = -1;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return CHANNEL_EMPTY;
    if (size <= 0)
        return CHANNEL_CLOSED;
    *passed = passenger_take(&header);
    message->cluster[MESSAGE_CLUSTER - 1] = '\0';
    message->text[MESSAGE_TEXT - 1] = '\0';
    return CHANNEL_MESSAGE;
}
