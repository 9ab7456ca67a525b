/* The board; see board.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/board.h"

#include "base/area.h"
#include "base/crowd.h"
#include "base/tally.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static struct board private_board = {.last_reload_success = true};
struct board *board = &private_board;

bool board_share(void)
{
    struct board *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    shared->last_reload_success = true;
    shared->started_at = time(NULL);
    board = shared;
    stats_share(board->stats, &board->workers, &board->stats_base);
    slowlog_share(&board->slowlog);
    return tally_share(BOARD_WORKERS, &board->workers) && crowd_share(&board->workers) &&
           area_share(BOARD_WORKERS, &board->workers);
}

void board_set_reason(const char *text)
{
    __atomic_fetch_add(&board->reason_turn, 1, __ATOMIC_ACQ_REL);
    snprintf(board->reason, sizeof board->reason, "%s", text);
    __atomic_fetch_add(&board->reason_turn, 1, __ATOMIC_RELEASE);
}

void board_reason(char *out, size_t size)
{
    char copy[BOARD_REASON];
    /* A master that died while writing leaves the turn odd: give up then. */
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t turn = __atomic_load_n(&board->reason_turn, __ATOMIC_ACQUIRE);
        memcpy(copy, board->reason, sizeof copy);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(turn & 1) && turn == __atomic_load_n(&board->reason_turn, __ATOMIC_RELAXED))
            break;
    }
    copy[sizeof copy - 1] = '\0';
    snprintf(out, size, "%s", copy);
}
