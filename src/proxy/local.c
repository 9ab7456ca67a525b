/* Asks the table of policies what becomes of a command. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/local.h"

#include "proxy/call.h"
#include "proxy/policy.h"
#include "proxy/session.h"

/* All before it are answered. */
static void go_on(struct client *client, struct request *request)
{
    struct resp_request scan;
    struct call call = call_again(request, &scan);
    session_settle(client);
    client_release(client);
    policy_of(request->query.command)->answer(&call);
}

enum local_verdict local_handle(struct client *client, struct request *request,
                                const struct resp_request *scan)
{
    const struct policy *policy = policy_of(request->query.command);
    struct call call = {.client = client, .request = request, .scan = scan};
    if (policy->when && !policy->when(&call)) {
        return LOCAL_ROUTE;
    }
    if (policy->waits && client->head != request && policy->waits(&call)) {
        session_get(client);
        session_alone(client, request, go_on);
        return LOCAL_ANSWERED;
    }
    if (policy->answer) {
        policy->answer(&call);
        return LOCAL_ANSWERED;
    }
    if (policy->refusal) {
        call_fail(&call, "%s", policy->refusal);
        return LOCAL_ANSWERED;
    }
    if (policy->seen) {
        policy->seen(&call);
    }
    return LOCAL_ROUTE;
}

const char *local_refusal(const struct command *command)
{
    const struct policy *policy = policy_of(command);
    return policy->when ? NULL : policy->refusal;
}

bool local_answers(const struct command *command)
{
    const struct policy *policy = policy_of(command);
    bool for_hosts = policy->sends && (policy->inside == INSIDE_SENT || command->spec_count > 0);
    return policy->answer && !policy->when && !for_hosts;
}

bool local_is_http(const char *name, size_t size)
{
    return call_word_is(name, size, "post") || call_word_is(name, size, "host:");
}
