/* Tiles: 16 KB of memory each, for what holds many small things of one kind.
 *
 * They come in fields of 64 from the system, not from the heap: what the heap
 * frees around a block of its own that stays does not go back to the system, up
 * to 200 bytes for each of 2,000 clients after a moment of traffic. A free tile
 * costs nothing once tile_trim has seen it, wherever it lies. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

enum { TILE_SIZE = 16 * 1024 };

/* At a multiple of TILE_SIZE, with any content; aborts when there is no memory. */
void *tile_get(void) __attribute__((malloc, returns_nonnull));
void tile_put(void *tile);
/* Gives the memory of free tiles back to the system: a call for each field at most 64 times,
 * so to be called when a peak is over (base/peak.h). */
void tile_trim(void);
/* Bytes of tiles that are in use. */
size_t tile_used(void);
