/* Tells systemd how the server is doing (Type=notify), without its library:
 * one datagram to the socket named in NOTIFY_SOCKET. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `state` is one or several lines, "READY=1". Without NOTIFY_SOCKET, or when
 * nobody listens there, nothing happens. */
void notify_send(const char *state);

/* RELOADING=1 with the time stamp that Type=notify-reload asks for. */
void notify_reloading(void);
