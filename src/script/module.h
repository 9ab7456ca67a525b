/* Our own Lua modules: read and compiled once, so that a reload neither parses
 * them again nor meets other ones than this program began with. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <lua.h>

/* Compiles all modules in a folder, for this process and those that it forks: that takes 10 ms, which so
 * neither a worker nor the loader of each reload needs. What cannot be compiled is left to who needs it. */
void module_prepare(const char *dir);

/* Pushes the chunk of a file, as luaL_loadfile does, with its status. */
int module_load(lua_State *L, const char *path);
