/* Views: the queries of a batch as Lua reads them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/query.h"
#include "script/abi.h"

/* Puts what views are asked into the batch. */
void view_setup(struct nydus_batch *batch);

/* handle: a number that no other view ever has. */
void view_fill(struct nydus_view *view, const struct query *query, uint64_t handle);
