/* Our own Lua modules; see module.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/module.h"

#include "base/memory.h"

#include <glob.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

struct module {
    struct module *next;
    char *path;
    char *code; /* compiled */
    size_t size;
};

static struct module *modules;

static void __attribute__((destructor)) module_teardown(void)
{
    while (modules) {
        struct module *next = modules->next;
        free(modules->path);
        free(modules->code);
        free(modules);
        modules = next;
    }
}

static int append(lua_State *L, const void *bytes, size_t size, void *context)
{
    (void)L;
    struct module *module = context;
    module->code = xrealloc(module->code, module->size + size);
    memcpy(module->code + module->size, bytes, size);
    module->size += size;
    return 0;
}

int module_load(lua_State *L, const char *path)
{
    for (const struct module *module = modules; module; module = module->next)
        if (!strcmp(module->path, path))
            return luaL_loadbuffer(L, module->code, module->size, path);
    int status = luaL_loadfile(L, path);
    if (status)
        return status;
    struct module *module = xcalloc(1, sizeof *module);
    module->path = xstrdup(path);
    lua_dump(L, append, module);
    module->next = modules;
    modules = module;
    return 0;
}

static void prepare(lua_State *L, const char *dir, const char *pattern)
{
    glob_t found;
    char *text = xformat("%s/%s", dir, pattern);
    if (glob(text, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            module_load(L, found.gl_pathv[i]);
            lua_settop(L, 0);
        }
        globfree(&found);
    }
    free(text);
}

void module_prepare(const char *dir)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return;
    prepare(L, dir, "nydus/*.lua");
    prepare(L, dir, "nydus/*/*.lua");
    lua_close(L);
}
