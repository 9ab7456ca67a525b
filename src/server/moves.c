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

/* Leaves one entry per pair, sorted by pair. */
static void moves_unite(struct moves *moves)
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
        moves_unite(moves);
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
    moves_unite(moves);
    if (moves->count)
        qsort(moves->list, moves->count, sizeof *moves->list, order_by_keys);
}

void moves_deinit(struct moves *moves)
{
    free(moves->list);
    *moves = (struct moves){0};
}

static uint64_t change_of(const struct occupants *at)
{
    return at->before > at->after ? at->before - at->after : at->after - at->before;
}

static int order_by_change(const void *a, const void *b)
{
    const struct occupants *left = a, *right = b;
    if (change_of(left) != change_of(right))
        return change_of(left) > change_of(right) ? -1 : 1;
    return (left->place > right->place) - (left->place < right->place);
}

struct occupants *moves_changes(const struct moves *moves, uint32_t *count)
{
    uint32_t size = 0, kept = 0;
    for (uint32_t i = 0; i < moves->count; i++) {
        const struct move *move = &moves->list[i];
        uint32_t last = move->from > move->to ? move->from : move->to;
        size = last >= size ? last + 1 : size;
    }
    struct occupants *list = xcalloc(size + 1, sizeof *list);
    for (uint32_t i = 0; i < moves->count; i++) {
        list[moves->list[i].from].before += moves->list[i].keys;
        list[moves->list[i].to].after += moves->list[i].keys;
    }
    for (uint32_t place = 0; place < size; place++) {
        list[place].place = place;
        if (change_of(&list[place]))
            list[kept++] = list[place];
    }
    qsort(list, kept, sizeof *list, order_by_change);
    *count = kept;
    return list;
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
