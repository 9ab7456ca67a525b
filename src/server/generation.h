/* Makes a generation: a configuration with its clusters, hosts, routers and
 * script state, ready to be adopted. Master and workers make it alike. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/cluster.h"
#include "server/config.h"

#include <stddef.h>

struct proxy;

/* The bytes of all files of a configuration, as the master read them. */
struct packed {
    char *bytes; /* NULL: read from disk */
    size_t size;
};

/* Where the Lua modules are: NYDUS_LUA_PATH, or the folder of the
 * installation. NULL when it holds none; *error is a sentence for the caller to free. */
const char *generation_lua_dir(char **error);

/* Builds from `packed`, or from disk when it has no bytes; `path` is config.lua
 * as the operator calls it. proxy NULL: for a look only, nothing will connect.
 * Returns a generation with one reference and no number; or NULL with all
 * problems in *problems, one per line with file and path, for the caller to free. */
struct generation *generation_build(struct proxy *proxy, const char *path, const struct packed *packed,
                                    char **problems) __attribute__((warn_unused_result));

/* Puts it in force in a worker, in place of the one before; takes over the reference. */
void generation_adopt(struct proxy *proxy, struct generation *generation);
/* The worker leaves: its generation is in force no longer. */
void generation_retire(struct proxy *proxy);

const struct config *generation_config(const struct generation *generation);

/* Every file that the generation was made of; the caller frees the bytes. */
struct packed generation_pack(const struct generation *generation);
