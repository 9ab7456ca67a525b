/* An admission: SUBSCRIBE of a client, until the hosts of all its channels
 * have confirmed. Then the client becomes a member and is told so, in the
 * order of its words: what is published after that, it gets. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/subscription.h"

struct admission;
struct request;

/* One channel of it. */
struct admission_item {
    struct admission_item *next; /* among those that wait for the subscription */
    struct admission *admission;
    struct subscription *subscription; /* pinned; NULL: the router names no host */
    char *error;                       /* an error line's text, or NULL */
};

/* Admits the request's client, which is held, to all that the request names.
 * The request is answered now or later, through session_answered. */
void admission_begin(struct client *client, struct request *request, enum subscription_kind kind);
/* The hosts of a subscription have decided: empties the list of those who wait. */
void admission_wake(struct admission_item **waiting);
