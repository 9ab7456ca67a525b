/* A plan; see plan.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/plan.h"

#include "base/board.h"
#include "base/log.h"
#include "base/memory.h"
#include "proxy/remarks.h"
#include "script/script.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* The CPUs this process may use, which may be fewer than the machine has. */
static uint32_t count_cpus(void)
{
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    return count > 0 ? (uint32_t)count : 1;
}

static bool plan_add_cluster(struct plan *plan, const struct cluster_config *cluster, const char *path,
                             char **problems)
{
    plan->clusters++;
    plan->hosts += (uint32_t)cluster->host_count;
    plan->max_clients += cluster->listen_count ? cluster->max_clients : 0;
    for (size_t i = 0; i < cluster->host_count; i++)
        plan->links += cluster->hosts[i].connections;
    for (size_t i = 0; i < cluster->listen_count; i++) {
        char *error = NULL;
        if (sockets_add(plan->sockets, cluster->listen[i].text, cluster->name, &error))
            continue;
        *problems = xformat("%s: clusters.%s.listen: %s", path, cluster->name, error);
        free(error);
        return false;
    }
    return true;
}

static struct plan *plan_create(const struct config *config, const char *path, char **problems)
{
    struct plan *plan = xcalloc(1, sizeof *plan);
    plan->sockets = sockets_create();
    plan->log_level = config->log_level;
    plan->log_file = config->log_file ? xstrdup(config->log_file) : NULL;
    plan->workers = config->workers ? config->workers : count_cpus();
    if (plan->workers > BOARD_WORKERS)
        plan->workers = BOARD_WORKERS;
    for (size_t i = 0; i < config->cluster_count; i++) {
        if (!plan_add_cluster(plan, &config->clusters[i], path, problems)) {
            plan_destroy(plan);
            return NULL;
        }
    }
    return plan;
}

static void log_remark(void *context, const char *text)
{
    const struct cluster *cluster = context;
    log_warn("clusters.%s.router: %s", cluster->name, text);
}

struct plan *plan_load(const char *path, char **problems)
{
    struct generation *generation = generation_build(NULL, path, NULL, problems);
    if (!generation)
        return NULL;
    struct plan *plan = plan_create(generation_config(generation), path, problems);
    if (plan) {
        for (uint32_t i = 0; i < generation->count; i++)
            remarks_make(generation->clusters[i], log_remark, generation->clusters[i]);
        plan->packed = generation_pack(generation);
        size_t size;
        const char *files = script_packed_files(plan->packed.bytes, plan->packed.size, &size);
        plan->hash = XXH64(files, size, 0);
    }
    generation_unref(generation);
    return plan;
}

/* ---- as bytes: 64-bit numbers, and texts behind their length ---- */

static void put_number(FILE *out, uint64_t number)
{
    fwrite(&number, sizeof number, 1, out);
}

static void put_bytes(FILE *out, const void *bytes, size_t size)
{
    put_number(out, size);
    fwrite(bytes, 1, size, out);
}

/* What is left to read; `failed` once something was missing. */
struct cursor {
    const char *at;
    size_t left;
    bool failed;
};

static const char *get(struct cursor *cursor, uint64_t size)
{
    const char *bytes = cursor->at;
    if (cursor->failed || size > cursor->left) {
        cursor->failed = true;
        return NULL;
    }
    cursor->at += size;
    cursor->left -= size;
    return bytes;
}

static uint64_t get_number(struct cursor *cursor)
{
    uint64_t number = 0;
    const char *bytes = get(cursor, sizeof number);
    if (bytes)
        memcpy(&number, bytes, sizeof number);
    return number;
}

/* Fresh memory with a NUL behind it, or NULL. */
static char *get_bytes(struct cursor *cursor, size_t *size)
{
    uint64_t length = get_number(cursor);
    const char *bytes = get(cursor, length);
    if (!bytes)
        return NULL;
    char *copy = xmalloc(length + 1);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    if (size)
        *size = length;
    return copy;
}

void plan_write(const struct plan *plan, FILE *out)
{
    put_number(out, plan->hash);
    put_number(out, plan->workers);
    put_number(out, plan->log_level);
    put_number(out, plan->clusters);
    put_number(out, plan->hosts);
    put_number(out, plan->links);
    put_number(out, plan->max_clients);
    put_bytes(out, plan->log_file ? plan->log_file : "", plan->log_file ? strlen(plan->log_file) : 0);
    put_bytes(out, plan->packed.bytes, plan->packed.size);
    put_number(out, plan->sockets->count);
    for (uint32_t i = 0; i < plan->sockets->count; i++) {
        const struct socket_address *address = &plan->sockets->items[i];
        put_bytes(out, address->text, strlen(address->text));
        put_bytes(out, address->cluster, strlen(address->cluster));
        put_bytes(out, &address->address, address->size);
    }
}

static void get_socket(struct cursor *cursor, struct sockets *sockets)
{
    size_t size = 0;
    char *text = get_bytes(cursor, NULL), *cluster = get_bytes(cursor, NULL),
         *address = get_bytes(cursor, &size);
    if (address)
        sockets_put(sockets, text, cluster, address, (socklen_t)size);
    free(text);
    free(cluster);
    free(address);
}

struct plan *plan_read(const char *bytes, size_t size)
{
    struct cursor cursor = {.at = bytes, .left = size};
    struct plan *plan = xcalloc(1, sizeof *plan);
    plan->hash = get_number(&cursor);
    plan->workers = (uint32_t)get_number(&cursor);
    plan->log_level = (enum log_level)get_number(&cursor);
    plan->clusters = (uint32_t)get_number(&cursor);
    plan->hosts = (uint32_t)get_number(&cursor);
    plan->links = get_number(&cursor);
    plan->max_clients = get_number(&cursor);
    plan->log_file = get_bytes(&cursor, NULL);
    plan->packed.bytes = get_bytes(&cursor, &plan->packed.size);
    plan->sockets = sockets_create();
    for (uint64_t left = get_number(&cursor); left > 0 && !cursor.failed; left--)
        get_socket(&cursor, plan->sockets);
    if (cursor.failed || cursor.left) {
        plan_destroy(plan);
        return NULL;
    }
    if (!*plan->log_file) {
        free(plan->log_file);
        plan->log_file = NULL;
    }
    return plan;
}

void plan_destroy(struct plan *plan)
{
    if (!plan)
        return;
    sockets_destroy(plan->sockets);
    /* The files may hold passwords. */
    if (plan->packed.bytes)
        explicit_bzero(plan->packed.bytes, plan->packed.size);
    free(plan->packed.bytes);
    free(plan->log_file);
    free(plan);
}

static bool cannot_log(const struct plan *plan, char **error)
{
    *error = xformat("cannot open the log file %s: %s", plan->log_file, strerror(errno));
    return false;
}

bool plan_check_log(const struct plan *plan, char **error)
{
    if (!plan->log_file)
        return true;
    int fd = open(plan->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return cannot_log(plan, error);
    close(fd);
    return true;
}

bool plan_open_log(const struct plan *plan, char **error)
{
    if (!log_open(plan->log_file))
        return cannot_log(plan, error);
    log_set_level(plan->log_level);
    return true;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

char *plan_summary(const struct plan *plan)
{
    char *text = xformat("%u cluster%s, %u host%s, %u worker%s", plan->clusters, plural(plan->clusters),
                         plan->hosts, plural(plan->hosts), plan->workers, plural(plan->workers));
    for (uint32_t i = 0; i < plan->sockets->count; i++) {
        const struct socket_address *address = &plan->sockets->items[i];
        const char *joint = i ? ", " : ", listening on ";
        char *longer = xformat("%s%s%s (%s)", text, joint, address->text, address->cluster);
        free(text);
        text = longer;
    }
    return text;
}
