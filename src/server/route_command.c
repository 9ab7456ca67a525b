/* nydus --route; see route_command.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/route_command.h"

#include "base/memory.h"
#include "proxy/explanation.h"
#include "resp/resp.h"
#include "resp/writer.h"
#include "server/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that clients can reach, or the only one. Returns how many. */
static uint32_t choose_clusters(const struct generation *generation, const struct cluster **clusters)
{
    const struct config *config = generation_config(generation);
    uint32_t count = 0;
    for (uint32_t i = 0; i < generation->count; i++) {
        const struct cluster *cluster = generation->clusters[i];
        if (generation->count == 1 || config_find(config, cluster->name)->listen_count)
            clusters[count++] = cluster;
    }
    return count;
}

static bool route_request(const char *bytes, size_t size, const struct generation *generation)
{
    struct writer out = {.resp = 2};
    const struct cluster **clusters = xcalloc(generation->count, sizeof *clusters);
    const struct question question = {
        .bytes = bytes,
        .size = size,
        .clusters = clusters,
        .cluster_count = choose_clusters(generation, clusters),
    };
    bool fine = explanation_write(&out, &question);
    fwrite(out.data, 1, out.size, stdout);
    writer_deinit(&out);
    free(clusters);
    return fine;
}

/* false: the text is no command. An empty line is none, but no mistake. */
static bool route_text(const char *text, const struct generation *generation)
{
    char *bytes;
    size_t size;
    printf("%s\n", text);
    if (!resp_inline(text, strlen(text), &bytes, &size)) {
        printf("    error    unbalanced quotes\n");
        return false;
    }
    bool fine = size == 0 || route_request(bytes, size, generation);
    free(bytes);
    return fine;
}

static bool route_stdin(const struct generation *generation)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool fine = true;
    while ((length = getline(&line, &room, stdin)) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            fine = route_text(line, generation) && fine;
    }
    free(line);
    return fine;
}

int route_command(const char *path, const char *const *commands, size_t count)
{
    char *problems = NULL;
    struct generation *generation = generation_build(NULL, path, NULL, &problems);
    if (!generation) {
        fprintf(stderr, "%s\n", problems);
        free(problems);
        return 1;
    }
    bool fine = true;
    for (size_t i = 0; i < count; i++) {
        bool done = strcmp(commands[i], "-") ? route_text(commands[i], generation) : route_stdin(generation);
        fine = done && fine;
    }
    generation_unref(generation);
    return fine ? 0 : 1;
}
