/* What --diff prints; see diff_report.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/diff_report.h"

#include "base/memory.h"
#include "proxy/tree.h"
#include "server/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of a table. */
enum { REPORT_LINES = 20, REPORT_TEXT = 512 };

/* Keys and where they go: all of them, or sampled ones. */
struct count {
    const struct moves *moves;
    uint64_t keys; /* those without a fixed place included */
    bool exact;
    const char *what; /* "", "reads, " or "writes, " */
};

static void label(const char *word)
{
    printf("  %-7s  ", word);
}

static const char *share(const struct count *count, uint64_t keys, char text[SHARE_TEXT])
{
    return share_text(keys, count->keys, count->exact, text);
}

/* "100,000" */
static const char *thousands(uint64_t number, char text[SHARE_TEXT])
{
    if (number < 1000)
        snprintf(text, SHARE_TEXT, "%u", (unsigned)number);
    else
        snprintf(text, SHARE_TEXT, "%u,%03u", (unsigned)(number / 1000), (unsigned)(number % 1000));
    return text;
}

/* ---- routers ---- */

static void print_router(const char *word, const struct target *root)
{
    char text[REPORT_TEXT];
    label(word);
    printf("%-3s  %s\n", tree_language(root), tree_describe(root, text, sizeof text));
}

static void print_routers(const struct diff *diff)
{
    const struct target *old = diff->roots[SIDE_OLD], *new = diff->roots[SIDE_NEW];
    char old_text[REPORT_TEXT], new_text[REPORT_TEXT];
    bool same = !strcmp(tree_describe(old, old_text, sizeof old_text),
                        tree_describe(new, new_text, sizeof new_text));
    print_router(same ? "router" : "old", old);
    if (!same)
        print_router("new", new);
}

/* ---- hosts ---- */

static const struct host *find_name(const struct cluster *cluster, const struct host *host)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (!strcmp(cluster->hosts[i]->options.identifier, host->options.identifier))
            return cluster->hosts[i];
    return NULL;
}

/* The host at the same place that only has another name now. */
static const struct host *find_renamed(const struct diff *diff, enum side side, const struct host *host)
{
    enum side other = side == SIDE_OLD ? SIDE_NEW : SIDE_OLD;
    uint32_t place = places_of_host(diff->places, side, host);
    const struct host *found = places_host(diff->places, other, diff->name, place);
    return found && !find_name(diff->sides[side], found) ? found : NULL;
}

static void print_host(const char *word, const struct host *host)
{
    label(word);
    printf("%s at %s db %d\n", host->options.identifier, host->options.address, host->options.db);
}

/* Keys that are looked for at a host that has another address now. */
static uint64_t keys_that_stay(const struct moves *moves, uint32_t place)
{
    for (uint32_t i = 0; i < moves->count; i++)
        if (moves->list[i].from == place && moves->list[i].to == place)
            return moves->list[i].keys;
    return 0;
}

static void print_address(const struct diff *diff, const struct count *count, const struct host *old,
                          const struct host *new)
{
    char text[SHARE_TEXT];
    uint32_t place = places_of_host(diff->places, SIDE_OLD, old);
    label("address");
    printf("%s: %s db %d -> %s db %d: data does not move with it", new->options.identifier,
           old->options.address, old->options.db, new->options.address, new->options.db);
    if (places_of_host(diff->places, SIDE_NEW, new) == place)
        printf(", %s of the keys stay with the name",
               share(count, keys_that_stay(count->moves, place), text));
    printf("\n");
}

static void print_same_name(const struct diff *diff, const struct count *count, const struct host *old,
                            const struct host *new)
{
    if (old->options.db != new->options.db || strcmp(old->options.address, new->options.address) != 0)
        print_address(diff, count, old, new);
    if (old->options.weight != new->options.weight) {
        label("weight");
        printf("%s: %u -> %u\n", new->options.identifier, old->options.weight, new->options.weight);
    }
}

static void print_hosts(const struct diff *diff, const struct count *count)
{
    const struct cluster *old = diff->sides[SIDE_OLD], *new = diff->sides[SIDE_NEW];
    for (uint32_t i = 0; i < old->count; i++) {
        const struct host *same = find_name(new, old->hosts[i]);
        const struct host *renamed = same ? NULL : find_renamed(diff, SIDE_OLD, old->hosts[i]);
        if (same) {
            print_same_name(diff, count, old->hosts[i], same);
        } else if (renamed) {
            label("name");
            printf("%s -> %s: the same host, %s db %d\n", old->hosts[i]->options.identifier,
                   renamed->options.identifier, renamed->options.address, renamed->options.db);
        } else {
            print_host("goes", old->hosts[i]);
        }
    }
    for (uint32_t i = 0; i < new->count; i++)
        if (!find_name(old, new->hosts[i]) && !find_renamed(diff, SIDE_NEW, new->hosts[i]))
            print_host("comes", new->hosts[i]);
}

/* ---- where keys go ---- */

static const char *name_of(const struct diff *diff, enum side side, uint32_t place, char text[REPORT_TEXT])
{
    return places_name(diff->places, side, diff->name, place, text, REPORT_TEXT);
}

static void print_share(const struct diff *diff, const struct count *count, const struct occupants *at)
{
    char text[REPORT_TEXT], before[SHARE_TEXT], after[SHARE_TEXT];
    label("share");
    printf("%s%s: %s -> %s\n", count->what, name_of(diff, at->after ? SIDE_NEW : SIDE_OLD, at->place, text),
           share(count, at->before, before), share(count, at->after, after));
}

static void print_shares(const struct diff *diff, const struct count *count)
{
    uint32_t changes;
    struct occupants *list = moves_changes(count->moves, &changes);
    for (uint32_t i = 0; i < changes && i < REPORT_LINES; i++)
        print_share(diff, count, &list[i]);
    if (changes > REPORT_LINES) {
        label("share");
        printf("%sand %u others\n", count->what, changes - REPORT_LINES);
    }
    free(list);
}

static void print_move(const struct diff *diff, const struct count *count, const struct move *move)
{
    char from[REPORT_TEXT], to[REPORT_TEXT], text[SHARE_TEXT];
    label("move");
    printf("%s%s -> %s: %s\n", count->what, name_of(diff, SIDE_OLD, move->from, from),
           name_of(diff, SIDE_NEW, move->to, to), share(count, move->keys, text));
}

/* The largest ones, then what the others are together. */
static void print_moves(const struct diff *diff, const struct count *count)
{
    uint32_t lines = 0, left_out = 0;
    uint64_t keys = 0;
    char text[SHARE_TEXT];
    for (uint32_t i = 0; i < count->moves->count; i++) {
        const struct move *move = &count->moves->list[i];
        if (move->from == move->to)
            continue;
        if (lines++ < REPORT_LINES) {
            print_move(diff, count, move);
        } else {
            left_out++;
            keys += move->keys;
        }
    }
    if (left_out) {
        label("move");
        printf("%sand %u others: %s together\n", count->what, left_out, share(count, keys, text));
    }
}

static void print_tables(const struct diff *diff, const struct count *count)
{
    print_shares(diff, count);
    print_moves(diff, count);
}

/* ---- samples ---- */

static struct count count_of(const struct sample *sample, const char *what)
{
    return (struct count){
        .moves = &sample->moves, .keys = sample->keys, .exact = sample->exact, .what = what};
}

/* "12.4 % ± 0.2 of the keys move", or that none has a place to move from. */
static void write_moved(const struct sample *sample, char text[REPORT_TEXT])
{
    char percent[SHARE_TEXT], loose[SHARE_TEXT];
    if (sample->loose == sample->keys) {
        snprintf(text, REPORT_TEXT, "no key has a fixed host");
        return;
    }
    share_text(sample->moves.moved, sample->keys, sample->exact, percent);
    share_text(sample->loose, sample->keys, false, loose);
    snprintf(text, REPORT_TEXT, "%s of the keys move%s%s%s", percent, sample->loose ? ", " : "",
             sample->loose ? loose : "", sample->loose ? " have no fixed host" : "");
}

/* The two kinds of commands apart when they differ. */
static void print_headline(const struct sample *reads, const struct sample *writes)
{
    char text[REPORT_TEXT], other[REPORT_TEXT];
    write_moved(reads, text);
    write_moved(writes, other);
    if (!strcmp(text, other) || sample_equal(reads, writes))
        printf("%s", text);
    else
        printf("%s for reads, %s for writes", text, other);
}

static void print_about(const char *word, const char *what, enum side side, uint32_t part, uint64_t keys,
                        const char *text)
{
    char percent[SHARE_TEXT];
    if (!part)
        return;
    label(word);
    printf("%s%s: %s of the keys %s\n", what, side == SIDE_OLD ? "old" : "new",
           share_text(part, keys, false, percent), text);
}

/* Decisions made by chance or in turns, and those that failed. */
static void print_loose(const struct sample *sample, const char *what)
{
    for (int i = 0; i < SIDES; i++) {
        enum side side = (enum side)i;
        print_about("random", what, side, sample->loose_at[i], sample->keys, "have no fixed host");
        print_about("error", what, side, sample->lost[i], sample->keys, "have no route");
        if (sample->error[i]) {
            char *text = xformat("get -%s", sample->error[i]);
            print_about("error", what, side, sample->errors[i], sample->keys, text);
            free(text);
        }
    }
}

static void print_sample(const struct diff *diff, const struct sample *sample, const char *what)
{
    struct count count = count_of(sample, what);
    print_loose(sample, what);
    print_tables(diff, &count);
}

/* ---- the report ---- */

void report_lone(const char *word, const struct cluster *cluster)
{
    printf("cluster %s: %s, with %u host%s\n", cluster->name, word, cluster->count,
           cluster->count == 1 ? "" : "s");
}

void report_cluster(const struct diff *diff, const struct sample *reads, const struct sample *writes)
{
    char text[SHARE_TEXT];
    const struct count count = count_of(reads, "");
    bool alike = sample_equal(reads, writes);
    printf("cluster %s: ", diff->name);
    print_headline(reads, writes);
    if (reads->exact && writes->exact)
        printf(" (exactly)\n");
    else
        printf(" (%s keys sampled)\n", thousands(reads->exact ? writes->keys : reads->keys, text));
    print_routers(diff);
    print_hosts(diff, &count);
    print_sample(diff, reads, alike ? "" : "reads, ");
    if (!alike)
        print_sample(diff, writes, "writes, ");
}

void report_prefix(const char *prefix, const struct sample *reads, const struct sample *writes)
{
    char quoted[REPORT_TEXT];
    label("prefix");
    printf("%s: ", tree_quote(prefix, strlen(prefix), quoted, sizeof quoted));
    print_headline(reads, writes);
    printf("\n");
}

void report_more_prefixes(size_t count)
{
    label("prefix");
    printf("and %zu others, which were not sampled\n", count);
}

void report_database(int32_t db, const struct sample *reads)
{
    label("db");
    printf("%d: ", db);
    print_headline(reads, reads);
    printf("\n");
}

void report_quarantine(const struct diff *diff)
{
    for (int side = 0; side < SIDES; side++) {
        const struct quarantine *quarantine = &diff->sides[side]->quarantine;
        if (!quarantine->since)
            continue;
        label("error");
        printf("%s: the router is quarantined after a while, what follows is its fallback's: %s\n",
               side == SIDE_OLD ? "old" : "new", quarantine->reason ? quarantine->reason : "it kept failing");
    }
}

void report_end(uint32_t both, uint32_t moving)
{
    printf("keys move in %u of %u cluster%s\n", moving, both, both == 1 ? "" : "s");
}
