/* Databases; see databases.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/databases.h"

#include "base/memory.h"
#include "proxy/cluster.h"
#include "resp/writer.h"

#include <stdlib.h>
#include <string.h>

static const char words[] = "*2\r\n$4\r\nINFO\r\n$8\r\nkeyspace\r\n";
enum { DATABASES_MAX = 1 << 20 }; /* what a host says of later ones is not believed */

struct database {
    uint64_t keys, expires;
    double lives; /* milliseconds that those which expire have left, all together */
};

struct sums {
    struct database *at;
    uint32_t count;
};

void databases_ask(struct request *request, uint32_t note, join_finish *finish)
{
    const struct cluster *cluster = request->cluster;
    request->query.db = 0; /* it is not about one of them: any link will do */
    uint32_t count = cluster->count;
    struct join *join = join_create_asking(request, NULL, count, finish);
    join->place = note;
    for (uint32_t i = 0; i < count; i++) /* the join is gone after the last */
        join_ask(join, i, cluster->host_targets[i], xstrndup(words, sizeof words - 1), sizeof words - 1);
}

static struct database *sum_of(struct sums *sums, uint32_t number)
{
    if (number >= sums->count) {
        sums->at = xrealloc(sums->at, (number + 1) * sizeof *sums->at);
        memset(sums->at + sums->count, 0, (number + 1 - sums->count) * sizeof *sums->at);
        sums->count = number + 1;
    }
    return &sums->at[number];
}

/* The number behind `name` on a line, 0 when it is not there. */
static uint64_t field(const char *line, const char *end, const char *name)
{
    const char *at = memmem(line, (size_t)(end - line), name, strlen(name));
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* "db3:keys=1,expires=0,avg_ttl=0" of a host whose databases begin at `base`. */
static void add_line(struct sums *sums, const char *line, const char *end, int32_t base)
{
    char *colon;
    long number = strtol(line + 2, &colon, 10) - base;
    if (*colon != ':' || number < 0 || number >= DATABASES_MAX)
        return;
    struct database *database = sum_of(sums, (uint32_t)number);
    uint64_t expires = field(line, end, "expires=");
    database->keys += field(line, end, "keys=");
    database->expires += expires;
    database->lives += (double)expires * (double)field(line, end, "avg_ttl=");
}

/* The reply of a host: a bulk or a verbatim string of lines, with a NUL behind it. */
static void add_reply(struct sums *sums, const struct join_part *part, int32_t base)
{
    const char *end = part->bytes + part->size;
    for (const char *at = part->bytes; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        if (line_end - at > 2 && !memcmp(at, "db", 2))
            add_line(sums, at, line_end, base);
        at = line_end + 1;
    }
}

void databases_write(struct writer *out, const struct join *join)
{
    const struct cluster *cluster = join->whole.request->cluster;
    struct sums sums = {0};
    uint32_t missing = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        if (join->parts[i].bytes[0] == '-')
            missing++;
        else
            add_reply(&sums, &join->parts[i], cluster->hosts[i]->options.db);
    }
    for (uint32_t i = 0; i < sums.count; i++) {
        const struct database *database = &sums.at[i];
        double lives = database->expires ? database->lives / (double)database->expires : 0;
        if (database->keys)
            writer_format(out, "db%u:keys=%llu,expires=%llu,avg_ttl=%llu\r\n", i,
                          (unsigned long long)database->keys, (unsigned long long)database->expires,
                          (unsigned long long)lives);
    }
    if (missing)
        writer_format(out, "hosts_missing:%u\r\n", missing);
    free(sums.at);
}
