/* Where the keys of a request are. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"
#include "resp/resp.h"

/* All keys of a request in argument order, without duplicates of position.
 * `list` is reused from call to call; free its `at` when done with it. */
struct key_list {
    struct resp_arg *at;
    uint32_t *arg;       /* the argument number of each key */
    uint32_t count, room;
    const char *error;   /* KEYS_INVALID: what Redis answers, "ERR syntax error" …; static */
};

enum keys_status {
    KEYS_FOUND,   /* count may be 0 */
    KEYS_INVALID  /* the arguments contradict the specification (numkeys too large …) */
};

/* scan has just returned RESP_DONE for `start`. */
enum keys_status keys_find(const struct command *command, const char *start,
                           const struct resp_request *scan, struct key_list *list);

/* The same of a command with simple_keys, without a look at its bytes: sets only the count and the error. */
enum keys_status keys_count(const struct command *command, uint32_t argc, struct key_list *list);

/* The argument number of the first key when it is fixed (one look, the hot
 * path: GET, SET, INCR …), or 0 when keys_find has to be asked. */
static inline uint32_t keys_fixed_single(const struct command *command)
{
    return command->simple_keys && command->first_key > 0 && command->first_key == command->last_key
               ? (uint32_t)command->first_key : 0;
}
void key_list_deinit(struct key_list *list);
