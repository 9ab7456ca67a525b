/* A lexicon: the commands that the hosts of a cluster know and the table does
 * not, learned from their replies to COMMAND. A name of the table is never
 * learned, but a container of the table may get more subcommands.
 *
 * Nothing in such a reply is believed: what is malformed is passed over, and
 * whatever comes, a row can be asked for the keys of any request. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"

struct redisReply;

/* Zero it to begin. The rows are those of command_learn. */
struct lexicon {
    const struct command **rows; /* sorted by name, owned array */
    size_t count, room;
    bool full; /* a row found no place among all that have been learned */
    bool told_any;
    uint64_t told[COMMAND_IDS / 64]; /* a bit for each row of the table that a host knows, too */
};

void lexicon_deinit(struct lexicon *lexicon);

/* Takes in a reply to COMMAND. Returns how many rows are new, or other than before. */
size_t lexicon_learn(struct lexicon *lexicon, const struct redisReply *reply);

/* Does a host know it? Yes, as long as none has told of any row of the table. */
bool lexicon_has(const struct lexicon *lexicon, const struct command *command);

/* By name in any case; NULL: it is not in there. */
const struct command *lexicon_find(const struct lexicon *lexicon, const char *name, size_t size);
/* A subcommand of a command of the table, or of one that has been learned. */
const struct command *lexicon_find_sub(const struct lexicon *lexicon, const struct command *container,
                                       const char *sub, size_t size);
