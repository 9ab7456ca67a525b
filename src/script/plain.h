/* Plain values (nil, booleans, numbers, strings, tables of these) that one Lua
 * state hands to another: bytes in between. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <lua.h>
#include <stddef.h>

enum { PLAIN_DEPTH = 16, PLAIN_SIZE = 1024 * 1024 };

/* Zero it to begin; `bytes` is owned. */
struct plain {
    char *bytes;
    size_t size, room;
};

/* Adds the value at the top of the stack, which stays. Returns NULL, or what is wrong with it ("it has a
 * function"), and then nothing is added. Raises nothing, calls nothing. `limit`: bytes it may take. */
const char *plain_add(struct plain *plain, lua_State *L, size_t limit);
/* Pushes the value that begins at *at, and goes behind it. It may raise: not enough memory. */
void plain_push(const struct plain *plain, size_t *at, lua_State *L);
void plain_deinit(struct plain *plain);
