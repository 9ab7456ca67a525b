/* An address to connect to, and the connecting. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* false: the path is too long for a unix socket. */
bool address_unix(struct address *address, const char *path);
/* false: not a numeric IPv4 or IPv6 address; ask resolve. */
bool address_numeric(struct address *address, const char *host, uint16_t port);
/* "10.0.0.1:6379", "[::1]:6379" or the path; returns text. */
const char *address_text(const struct address *address, char *text, size_t size);
/* A non-blocking socket on its way to the address, or -1 with errno. The
 * outcome is known when it becomes writable: address_connect_result. */
int address_connect(const struct address *address);
/* 0, or the errno with which a connect ended. */
int address_connect_result(int fd);
