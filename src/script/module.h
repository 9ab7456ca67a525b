/* Our own Lua modules: read and compiled once per process, so that a reload
 * neither parses them again nor meets other ones than this program began with. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <lua.h>

/* Pushes the chunk of a file, as luaL_loadfile does, with its status. */
int module_load(lua_State *L, const char *path);
