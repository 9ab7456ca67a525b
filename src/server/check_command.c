/* nydus --check; see check_command.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/check_command.h"

#include "proxy/remarks.h"
#include "proxy/tree.h"
#include "script/script.h"
#include "server/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_listen(const struct cluster_config *config)
{
    printf("  listen  ");
    for (size_t i = 0; i < config->listen_count; i++)
        printf("%s%s", i ? ", " : "", config->listen[i].text);
    printf("%s\n", config->listen_count ? "" : "nowhere: other clusters' scripts reach it");
}

/* How many, and no secret. Nothing where clients need no password and may do everything. */
static void print_users(const struct cluster_config *config)
{
    bool open = false, has_default = false;
    for (size_t i = 0; i < config->user_count; i++) {
        open |= config->users[i].open;
        has_default |= strcmp(config->users[i].name, "default") == 0;
    }
    if (config->user_count)
        printf("  users   %zu; clients %s\n", config->user_count,
               open          ? "that do not log in are the user default"
               : has_default ? "have to log in"
                             : "have to log in, the user default is off");
    if (config->deny_count)
        printf("  deny    %zu rule%s for everybody\n", config->deny_count,
               config->deny_count == 1 ? "" : "s");
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

/* What is slow in a router script, each on a line of its own. */
static void print_notes(const struct generation *generation, const struct cluster *cluster)
{
    char *notes = script_notes(generation->script, cluster);
    for (const char *line = strtok(notes, "\n"); line; line = strtok(NULL, "\n"))
        printf("    %s\n", line);
    free(notes);
}

static void print_remark(void *context, const char *text)
{
    (void)context;
    printf("    note: %s\n", text);
}

static void print_cluster(const struct generation *generation, const struct cluster_config *config)
{
    printf("cluster %s\n", config->name);
    print_listen(config);
    print_users(config);
    print_hosts(config);
    printf("  router%s%s\n", config->router.text ? "  " : "", config->router.text ? config->router.text : "");
    const struct cluster *cluster = generation_find(generation, config->name);
    tree_print(stdout, cluster->root);
    if (cluster->quarantine.fallback) {
        printf("  fallback\n");
        tree_print(stdout, cluster->quarantine.fallback);
    }
    remarks_make(cluster, print_remark, NULL);
    print_notes(generation, cluster);
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
