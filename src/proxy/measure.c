/* Measuring; see measure.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/measure.h"

#include "proxy/client.h"
#include "proxy/host.h"
#include "proxy/join.h"
#include "proxy/link.h"
#include "proxy/policy.h"
#include "proxy/profile.h"
#include "resp/resp.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Redis's limits for an entry of its slow log. */
enum { WORDS_MAX = 32, WORD_MAX = 128 };
/* A turn is never longer than this, but for a stopped process or a clock that is set. */
static const double TURN_MAX = 1.0;
/* What took long only because others did is logged once in this time, so that
 * it does not push out those others. */
enum { QUEUED_EVERY = 1000000 };

uint64_t measure_clock = 1;

void measure_turn(double now)
{
    static double before;
    double passed = now - before;
    before = now;
    if (passed > TURN_MAX)
        passed = TURN_MAX;
    if (passed > 0)
        measure_clock += (uint64_t)(passed * 1e6 + 0.5);
}

/* ---- what is rare ---- */

uint32_t measure_rows;

/* Before main. */
__attribute__((constructor)) static void measure_setup(void)
{
    measure_rows = (uint32_t)command_count();
    assert(measure_rows <= TALLY_TABLE);
}

const char *measure_name(uint32_t place)
{
    return place < measure_rows ? command_row(place)->name : tally_name(place);
}

/* Numbers of learned commands differ from worker to worker, their places do not. */
static uint32_t place_of(const struct command *command)
{
    static uint16_t places[COMMAND_IDS]; /* 0: not asked for yet */
    if (command->id < measure_rows)
        return command->id;
    if (!places[command->id])
        places[command->id] = (uint16_t)tally_place(command->name);
    return places[command->id];
}

/* Has it run, or may it have? What Nydus answers itself, it runs. */
static bool has_run(const struct request *request, const struct reply *reply)
{
    const struct command *command = request->query.command;
    if (reply->failure == FAILURE_NONE || reply->failure == FAILURE_LOST || reply->failure == FAILURE_TIMEOUT)
        return true;
    const struct policy *policy = policy_of(command);
    return policy->answer && !policy->sends && command_arity_fits(command, request->query.argc);
}

void measure_rare(const struct request *request, const struct reply *reply)
{
    const struct command *command = request->query.command;
    bool failed = reply->bytes[0] == '-';
    if (failed)
        tally_error(reply->bytes + 1, reply->size - 1);
    uint32_t place = command ? place_of(command) : TALLY_COMMANDS;
    if (place >= TALLY_COMMANDS)
        return;
    if (failed && !has_run(request, reply)) {
        tally_rejected(place);
        return;
    }
    tally_call(place, measure_clock - request->arrived);
    if (failed)
        tally_failed(place);
}

/* ---- what took long ---- */

static size_t cut(size_t size, size_t most)
{
    return size < most ? size : most;
}

/* The arguments of a transaction are those of all its commands in turn. */
struct walk {
    const char *bytes;
    size_t size, at;
    struct resp_cursor cursor;
};

static bool walk_next(struct walk *walk, const char **word, size_t *size)
{
    struct resp_arg arg;
    while (!resp_cursor_next(&walk->cursor, &arg)) {
        if (walk->at >= walk->size)
            return false;
        walk->bytes += walk->at;
        walk->size -= walk->at;
        walk->at = 0;
        resp_cursor_init(&walk->cursor, walk->bytes);
    }
    walk->at = (size_t)arg.at + arg.size + 2;
    *word = walk->bytes + arg.at;
    *size = arg.size;
    return true;
}

static struct walk walk_begin(const struct query *query)
{
    struct walk walk = {.bytes = query->bytes, .size = query->size};
    resp_cursor_init(&walk.cursor, query->bytes);
    return walk;
}

static uint32_t count_words(const struct query *query)
{
    struct walk walk = walk_begin(query);
    const char *word;
    size_t size;
    uint32_t count = 0;
    while (walk_next(&walk, &word, &size))
        count++;
    return count;
}

static void add_word(struct slowlog_entry *entry, const char *word, size_t size)
{
    char text[WORD_MAX + 64];
    size_t length = cut(size, WORD_MAX);
    memcpy(text, word, length);
    if (size > WORD_MAX)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "... (%zu more bytes)", size - WORD_MAX);
    entry->size += (uint32_t)resp_write_bulk(entry->words + entry->size, text, length);
    entry->argc++;
}

_Static_assert(WORDS_MAX *(WORD_MAX + 40 + 8) <= SLOWLOG_WORDS, "every word has room");

static void add_words(struct slowlog_entry *entry, const struct query *query)
{
    uint32_t count = count_words(query), whole = count > WORDS_MAX ? WORDS_MAX - 1 : count;
    struct walk walk = walk_begin(query);
    const char *word;
    size_t size;
    entry->argc = entry->size = 0;
    while (entry->argc < whole && walk_next(&walk, &word, &size))
        add_word(entry, word, size);
    if (whole < count) {
        char more[64];
        int length = snprintf(more, sizeof more, "... (%u more arguments)", count - whole);
        add_word(entry, more, (size_t)length);
    }
}

static void log_request(const struct link *link, const struct request *request, uint64_t at_host)
{
    struct client *client = request_client(request);
    const char *name = client ? profile_word(client, PROFILE_NAME) : NULL;
    struct slowlog_entry *entry = slowlog_begin();
    entry->time = time(NULL);
    entry->usec = measure_clock - request->arrived;
    entry->at_host = at_host < entry->usec ? at_host : entry->usec;
    snprintf(entry->host, sizeof entry->host, "%s", link->host->options.identifier);
    snprintf(entry->cluster, sizeof entry->cluster, "%s", link->host->options.cluster);
    entry->client[0] = '\0';
    if (client)
        client_address(client, entry->client, sizeof entry->client);
    snprintf(entry->name, sizeof entry->name, "%s", name ? name : "");
    add_words(entry, &request->query);
    slowlog_end(entry);
}

/* Requests of Nydus's own have no arrival or no command; what blocks is
 * supposed to wait; where one logs in, words are secret. */
static bool is_loggable(const struct link *link, const struct request *request)
{
    const struct command *command = request->query.command;
    return command && request->arrived && link->allowance <= 0 && !(command->flags & COMMAND_NO_AUTH);
}

void measure_slow(const struct link *link, const struct request *request)
{
    static uint64_t queued_again;
    uint64_t at_host = measure_clock - link->begun;
    bool queued = at_host < SLOWLOG_USEC;
    /* first: under load these are many */
    if ((queued && measure_clock < queued_again) || !is_loggable(link, request))
        return;
    if (queued)
        queued_again = measure_clock + QUEUED_EVERY;
    log_request(link, request, at_host);
}
