/* Views: a query as Lua reads it, which is in place (struct nydus_query), and
 * what it asks beyond the fields. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/query.h"
#include "script/abi.h"

/* Puts what is asked about queries into the batch. */
void view_setup(struct nydus_batch *batch);

static inline const struct nydus_query *view_of(const struct query *query)
{
    return (const struct nydus_query *)query;
}
