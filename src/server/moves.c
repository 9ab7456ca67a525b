/* Moves; see moves.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/moves.h"

#include "base/memory.h"

#include <stdlib.h>

enum { MOVES_ROOM = 1 << 12 };

static int order_by_pair(const void *a, const void *b)
{
    const struct move *left = a, *right = b;
    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    return (left->to > right->to) - (left->to < right->to);
}

static int order_by_keys(const void *a, const void *b)
{
    const struct move *left = a, *right = b;
    if (left->keys != right->keys)
        return left->keys > right->keys ? -1 : 1;
    return order_by_pair(a, b);
}

void moves_order(struct moves *moves)
{
    uint32_t kept = 0;
    if (!moves->count)
        return;
    qsort(moves->list, moves->count, sizeof *moves->list, order_by_pair);
    for (uint32_t i = 1; i < moves->count; i++) {
        if (order_by_pair(&moves->list[i], &moves->list[kept]))
            moves->list[++kept] = moves->list[i];
        else
            moves->list[kept].keys += moves->list[i].keys;
    }
    moves->count = kept + 1;
}

void moves_add(struct moves *moves, uint32_t from, uint32_t to, uint64_t keys)
{
    if (moves->count == moves->room) {
        moves_order(moves);
        if (moves->count >= moves->room / 2) {
            moves->room = moves->room ? 2 * moves->room : MOVES_ROOM;
            moves->list = xrealloc(moves->list, moves->room * sizeof *moves->list);
        }
    }
    moves->list[moves->count++] = (struct move){.from = from, .to = to, .keys = keys};
    moves->keys += keys;
    moves->moved += from == to ? 0 : keys;
}

void moves_seal(struct moves *moves)
{
    moves_order(moves);
    if (moves->count)
        qsort(moves->list, moves->count, sizeof *moves->list, order_by_keys);
}

void moves_deinit(struct moves *moves)
{
    free(moves->list);
    *moves = (struct moves){0};
}

struct occupants moves_at(const struct moves *moves, uint32_t place)
{
    struct occupants sum = {0};
    for (uint32_t i = 0; i < moves->count; i++) {
        sum.before += moves->list[i].from == place ? moves->list[i].keys : 0;
        sum.after += moves->list[i].to == place ? moves->list[i].keys : 0;
    }
    return sum;
}

bool moves_equal(const struct moves *a, const struct moves *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (order_by_keys(&a->list[i], &b->list[i]))
            return false;
    return true;
}
