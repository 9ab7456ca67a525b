/* nydus --check; see check_command.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/check_command.h"

#include "proxy/tree.h"
#include "server/generation.h"

#include <stdio.h>
#include <stdlib.h>

static void print_listen(const struct cluster_config *config)
{
    printf("  listen  ");
    for (size_t i = 0; i < config->listen_count; i++)
        printf("%s%s", i ? ", " : "", config->listen[i].text);
    printf("%s\n", config->listen_count ? "" : "nowhere: other clusters' scripts reach it");
}

static void print_hosts(const struct cluster_config *config)
{
    printf("  hosts\n");
    for (size_t i = 0; i < config->host_count; i++) {
        const struct host_config *host = &config->hosts[i];
        printf("    [%lld]  %s  at %s db %d  weight %u\n", (long long)host->key, host->identifier,
               host->address, host->db, host->weight);
    }
}

static void print_cluster(const struct generation *generation, const struct cluster_config *config)
{
    printf("cluster %s\n", config->name);
    print_listen(config);
    print_hosts(config);
    printf("  router%s%s\n", config->router.text ? "  " : "", config->router.text ? config->router.text : "");
    tree_print(stdout, generation_find(generation, config->name)->root);
}

int check_command(const char *path)
{
    char *problems = NULL;
    struct generation *generation = generation_build(NULL, path, NULL, &problems);
    if (!generation) {
        fprintf(stderr, "%s\n", problems);
        free(problems);
        return 1;
    }
    const struct config *config = generation_config(generation);
    for (size_t i = 0; i < config->cluster_count; i++)
        print_cluster(generation, &config->clusters[i]);
    printf("%s: no problems\n", path);
    generation_unref(generation);
    return 0;
}
