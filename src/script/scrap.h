/* Scrap: texts and replies that a decision made up and that nobody frees.
 *
 * They are good until the query is answered, which is before the loop's turn
 * ends; scrap keeps them through the turn after that, then frees them together. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

struct scrap_block;

/* Zero it to begin. */
struct scrap {
    struct scrap_block *young, *old; /* of this turn, of the one before */
    size_t size;                     /* bytes of the young ones */
    unsigned turn;
};

/* `turn` is another number in every turn of the loop. */
void scrap_turn(struct scrap *scrap, unsigned turn);

/* A copy of the text with a NUL; NULL when this turn has made too much already. */
const char *scrap_text(struct scrap *scrap, const char *text, size_t size);
/* A TARGET_REPLY that is in no set; NULL likewise. */
const struct target *scrap_reply(struct scrap *scrap, const char *bytes, size_t size);
void scrap_deinit(struct scrap *scrap);
