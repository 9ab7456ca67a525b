/* Scrap: texts and replies that a decision made up and that nobody frees.
 *
 * They are good until the query is answered, which is at the end of the same
 * loop turn; scrap keeps them for some seconds at least, then frees them
 * together when new ones come. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

struct scrap_block;

/* Zero it to begin. */
struct scrap {
    struct scrap_block *young, *old;
    size_t size; /* bytes of the young ones */
    long since;  /* when the first young one came, seconds */
};

/* A copy of the text with a NUL; NULL when too much has been kept in the last seconds. */
const char *scrap_text(struct scrap *scrap, const char *text, size_t size);
/* A TARGET_REPLY that is in no set; NULL likewise. */
const struct target *scrap_reply(struct scrap *scrap, const char *bytes, size_t size);
void scrap_deinit(struct scrap *scrap);
