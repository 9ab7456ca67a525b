/* Intake: a client's bytes become requests. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/client.h"

enum intake_status { INTAKE_OK, INTAKE_END, INTAKE_BROKEN };

/* Reads once, and scans, routes and sends every whole command that has come. */
enum intake_status intake_read(struct client *client);
/* Reads once, and only keeps what has come: a command blocks. */
enum intake_status intake_gather(struct client *client);
/* May it keep more? */
bool intake_has_room(const struct client *client);
/* Sets a command on its way that had to wait, with its client held, before anything was done for it,
 * and lets the client go on; one that has no row yet is looked up again. */
void intake_again(struct client *client, struct request *request);
/* Goes on with input that was held back. */
void intake_resume(struct client *client);
/* Forgets input that will not be looked at any more. */
void intake_drop(struct client *client);
