/* Commands about the client's own connection: PING, ECHO, QUIT, RESET, AUTH, HELLO. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct call;

/* Will they change over which links the client's commands go? */
bool connection_reset_switches(const struct call *call);
bool connection_hello_switches(const struct call *call);

void connection_ping(struct call *call);
void connection_echo(struct call *call);
void connection_quit(struct call *call);
void connection_reset(struct call *call);
void connection_auth(struct call *call);
void connection_hello(struct call *call);

/* The Redis whose words and formats Nydus speaks. */
#define CONNECTION_REDIS_VERSION "7.0.15"
