/* A sample; see sample.h.
 *
 * A decision may be made by chance or in turns. So some keys, and those that
 * seem to move, are asked again, several times in a row. Once one of them
 * got two answers, every key is asked so often that it is found out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/sample.h"

#include "base/hash.h"
#include "base/memory.h"
#include "proxy/dispatch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 126,
    PROBED = 2000, /* keys that are asked again in any case, spread over all of them, */
    MOVED = 10000, /* and of those that seem to move; */
    AGAIN = 2,     /* so often in a row, */
    ROUNDS = 4,    /* and so many times when nearly all is chance */
    NOISE = 5,     /* so many standard deviations are no difference */
    DIGITS = 12,   /* of a key's number */
    VALUE_ARGUMENTS = 3
};

struct asking {
    const struct sample_plan *plan;
    struct sample_request first; /* what all requests look like, but for the number of the key */
    struct sample *sample;
    uint32_t *places[SIDES]; /* of each key at the first asking */
    bool *loose[SIDES];
    struct sample_request asked[BATCH];
    uint32_t keys[BATCH]; /* whose they are */
    uint32_t count;       /* that wait to be asked */
};

/* ---- one request ---- */

/* Keys have numbers of one length, so that requests differ in nothing else. */
void sample_request_write(struct sample_request *request, const struct sample_plan *plan)
{
    const struct command *command = command_find(plan->command, strlen(plan->command));
    bool has_value = command->flags & COMMAND_WRITE;
    uint32_t argc = has_value ? VALUE_ARGUMENTS : VALUE_ARGUMENTS - 1;
    size_t key_size = strlen(plan->prefix) + DIGITS, room = sizeof request->bytes;
    int at = snprintf(request->bytes, room, "*%u\r\n$%zu\r\n%s\r\n$%zu\r\n", argc, strlen(plan->command),
                      plan->command, key_size);
    int size = at + snprintf(request->bytes + at, room - (size_t)at, "%s%0*d\r\n%s", plan->prefix, DIGITS, 0,
                             has_value ? "$5\r\nvalue\r\n" : "");
    request->query = (struct query){
        .command = command,
        .bytes = request->bytes,
        .size = (uint32_t)size,
        .argc = argc,
        .nkeys = 1,
        .key = {.at = (uint32_t)at, .size = (uint32_t)key_size},
        .db = plan->db,
        .resp = 2,
    };
}

static void asked_write(struct sample_request *asked, const struct asking *asking, uint32_t number)
{
    const struct query *query = &asking->first.query;
    uint64_t rest = hash_mix(number);
    memcpy(asked->bytes, asking->first.bytes, query->size);
    asked->query = *query;
    asked->query.bytes = asked->bytes;
    char *key_end = asked->bytes + query->key.at + query->key.size;
    for (int i = 1; i <= DIGITS; i++, rest /= 10)
        key_end[-i] = (char)((i == DIGITS ? '1' : '0') + rest % (i == DIGITS ? 9 : 10));
}

/* ---- a batch ---- */

/* It is the query's, or a reply that the router makes. */
static void note_error(struct sample *sample, enum side side, const struct query *query)
{
    const struct target *leaf = query->target;
    const char *text = query->error;
    if (!text && leaf && leaf->kind == TARGET_REPLY)
        text = leaf->reply.bytes + 1;
    sample->errors[side]++;
    if (!sample->error[side])
        sample->error[side] = text ? xstrndup(text, strcspn(text, "\r\n")) : xstrdup("ERR");
}

typedef void asking_answer(struct asking *asking, enum side side, uint32_t key, uint32_t place,
                           const struct query *query);

static void asking_flush(struct asking *asking, enum side side, asking_answer *answer)
{
    struct query *queries[BATCH];
    const struct sample_plan *plan = asking->plan;
    for (uint32_t i = 0; i < asking->count; i++) {
        queries[i] = &asking->asked[i].query;
        queries[i]->target = plan->sides[side]->root;
    }
    target_draw++;
    dispatch_settle(queries, asking->count, false);
    for (uint32_t i = 0; i < asking->count; i++) {
        uint32_t place = places_find(plan->places, side, queries[i]->target, queries[i]);
        answer(asking, side, asking->keys[i], place, queries[i]);
    }
    asking->count = 0;
}

static void asking_add(struct asking *asking, enum side side, uint32_t key, asking_answer *answer)
{
    asking->keys[asking->count] = key;
    asked_write(&asking->asked[asking->count++], asking, key);
    if (asking->count == BATCH)
        asking_flush(asking, side, answer);
}

static void answer_first(struct asking *asking, enum side side, uint32_t key, uint32_t place,
                         const struct query *query)
{
    asking->places[side][key] = place;
    asking->sample->lost[side] += place == PLACE_NO_ROUTE;
    if (place == PLACE_ERROR)
        note_error(asking->sample, side, query);
}

static void answer_again(struct asking *asking, enum side side, uint32_t key, uint32_t place,
                         const struct query *query)
{
    (void)query;
    if (asking->loose[side][key] || place == asking->places[side][key])
        return;
    asking->loose[side][key] = true;
    asking->sample->loose_at[side]++;
}

/* ---- the passes ---- */

static void ask_first(struct asking *asking, enum side side)
{
    for (uint32_t key = 0; key < asking->plan->keys; key++)
        asking_add(asking, side, key, answer_first);
    asking_flush(asking, side, answer_first);
}

static bool seems_to_move(const struct asking *asking, uint32_t key)
{
    return asking->places[SIDE_OLD][key] != asking->places[SIDE_NEW][key];
}

/* Every `stride`th key, and some that seem to move. */
static void ask_again(struct asking *asking, enum side side, uint32_t stride)
{
    uint32_t moved = 0;
    for (uint32_t key = 0; key < asking->plan->keys; key++) {
        bool wanted = key % stride == 0 || (seems_to_move(asking, key) && moved++ < MOVED);
        for (int i = 0; wanted && !asking->loose[side][key] && i < AGAIN; i++)
            asking_add(asking, side, key, answer_again);
    }
    asking_flush(asking, side, answer_again);
}

/* Few keys of a router that goes by chance seem to have a fixed place after that. */
static void ask_often(struct asking *asking, enum side side)
{
    const uint32_t *loose = &asking->sample->loose_at[side];
    for (int round = 0; round < ROUNDS && *loose > (round ? asking->plan->keys / 2 : 0); round++)
        ask_again(asking, side, 1);
}

static void asking_conclude(struct asking *asking)
{
    struct sample *sample = asking->sample;
    for (uint32_t key = 0; key < asking->plan->keys; key++) {
        if (asking->loose[SIDE_OLD][key] || asking->loose[SIDE_NEW][key])
            sample->loose++;
        else
            moves_add(&sample->moves, asking->places[SIDE_OLD][key], asking->places[SIDE_NEW][key], 1);
    }
    moves_seal(&sample->moves);
}

struct sample sample_take(const struct sample_plan *plan)
{
    struct sample sample = {.keys = plan->keys};
    struct asking *asking = xcalloc(1, sizeof *asking);
    asking->plan = plan;
    asking->sample = &sample;
    sample_request_write(&asking->first, plan);
    for (int side = 0; side < SIDES; side++) {
        asking->places[side] = xcalloc(plan->keys, sizeof *asking->places[side]);
        asking->loose[side] = xcalloc(plan->keys, sizeof *asking->loose[side]);
        ask_first(asking, side);
    }
    for (int side = 0; side < SIDES; side++)
        ask_again(asking, side, plan->keys / PROBED + 1);
    for (int side = 0; side < SIDES; side++)
        ask_often(asking, side);
    asking_conclude(asking);
    for (int side = 0; side < SIDES; side++) {
        free(asking->places[side]);
        free(asking->loose[side]);
    }
    free(asking);
    return sample;
}

void sample_deinit(struct sample *sample)
{
    moves_deinit(&sample->moves);
    for (int side = 0; side < SIDES; side++)
        free(sample->error[side]);
}

/* Where chance decides, two samples differ a little. */
static bool nearly_equal(const struct sample *a, const struct sample *b)
{
    double keys = (double)a->keys;
    double loose = ((double)a->loose - b->loose) / keys;
    double moved = ((double)a->moves.moved - (double)b->moves.moved) / keys;
    double noise = NOISE * sqrt(0.5 / keys); /* of a difference, at most */
    return fabs(loose) < noise && fabs(moved) < noise;
}

bool sample_equal(const struct sample *a, const struct sample *b)
{
    bool chance = a->loose && b->loose;
    if (a->exact != b->exact)
        return false;
    bool same = chance ? nearly_equal(a, b) : a->loose == b->loose && moves_equal(&a->moves, &b->moves);
    for (int side = 0; side < SIDES; side++)
        same = same && a->errors[side] == b->errors[side];
    return same;
}
