/* Pinning: the one host of a command that cannot be spread over several, as
 * those of a transaction and those that block. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

#include <stdbool.h>

/* Routes every key of a request, from query.target on, and puts their host into
 * *host; NULL there before: any host will do, else it has to be that one. A
 * request without keys leaves *host alone. false: it has been failed, with
 * CROSSSLOT or because the router names no single host. */
bool pin_request(struct request *request, const struct resp_request *scan, struct host **host);
