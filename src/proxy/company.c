/* Company; see company.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/company.h"

#include "base/memory.h"
#include "proxy/client.h"

#include <stdlib.h>

/* Seconds; epoll_wait makes a millisecond of it. */
static const double COMPANY_LOOK = 0.0005;

static void company_start(struct company *company, struct ev_loop *loop)
{
    ev_timer_set(&company->timer, COMPANY_LOOK, 0.);
    ev_timer_start(loop, &company->timer);
}

static void company_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct company *company = timer->data;
    uint32_t stay = 0;
    for (uint32_t i = 0; i < company->count; i++)
        if (client_stays_held(company->clients[i]))
            company->clients[stay++] = company->clients[i];
    company->count = stay;
    if (stay)
        company_start(company, loop);
}

void company_init(struct company *company)
{
    ev_init(&company->timer, company_look);
    company->timer.data = company;
}

void company_deinit(struct company *company, struct ev_loop *loop)
{
    ev_timer_stop(loop, &company->timer);
    free(company->clients);
    *company = (struct company){0};
}

void company_add(struct company *company, struct ev_loop *loop, struct client *client)
{
    if (company->count == company->room) {
        company->room = company->room ? company->room * 2 : 64;
        company->clients = xrealloc(company->clients, company->room * sizeof(struct client *));
    }
    company->clients[company->count++] = client;
    if (!ev_is_active(&company->timer))
        company_start(company, loop);
}

void company_remove(struct company *company, const struct client *client)
{
    uint32_t i = 0;
    while (i < company->count && company->clients[i] != client)
        i++;
    if (i < company->count)
        company->clients[i] = company->clients[--company->count];
}
