/* Makes a generation; see generation.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/generation.h"

#include "base/memory.h"
#include "proxy/proxy.h"
#include "script/script.h"
#include "server/build.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef NYDUS_LUA_DIR
#define NYDUS_LUA_DIR "lua"
#endif

const char *generation_lua_dir(char **error)
{
    const char *dir = getenv("NYDUS_LUA_PATH");
    if (!dir || !*dir)
        dir = NYDUS_LUA_DIR;
    char *module = xformat("%s/nydus/config.lua", dir);
    bool found = access(module, R_OK) == 0;
    free(module);
    if (found)
        return dir;
    *error = xformat("nydus: cannot read the Lua modules in %s: %s "
                     "(NYDUS_LUA_PATH names the lua folder when Nydus runs from its source tree)",
                     dir, strerror(errno));
    return NULL;
}

struct generation *generation_build(struct proxy *proxy, const char *path, const struct packed *packed,
                                    char **problems)
{
    struct build *build = build_begin(proxy, path, packed);
    while (build_step(build))
        continue;
    return build_end(build, problems);
}

void generation_retire(struct proxy *proxy)
{
    if (proxy->generation)
        script_leave(proxy->generation->script);
}

void generation_adopt(struct proxy *proxy, struct generation *generation)
{
    generation_retire(proxy);
    if (proxy->generation)
        script_inherit(generation->script, proxy->generation->script, true);
    proxy_adopt(proxy, generation);
    script_begin(generation->script);
}

const struct config *generation_config(const struct generation *generation)
{
    return generation->config;
}

struct packed generation_pack(const struct generation *generation)
{
    struct packed packed;
    packed.bytes = script_pack(generation->script, &packed.size);
    return packed;
}
