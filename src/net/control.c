/* A question on its way; see control.h.
 *
 *   resolve ─► connect ─► AUTH, question ─► replies ─► done()        one timer over all of it */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/control.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/address.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "resp/resp.h"

enum { READ_SIZE = 16 * 1024, REPLY_MAX = 8 * 1024 * 1024 }; /* all of a Redis's COMMAND is 200 kB */
enum { VALUES_MAX = 256 * 1024 };                            /* and 30,000 values */

/* ---- reading ---- */

/* hiredis allocates an array at the mere announcement of its length. */
struct control_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions *plain; /* its own makers of values */
    size_t bytes;                     /* that have been read */
    int values;                       /* that may still be made, places in arrays included */
};

static const redisReplyObjectFunctions *plain_of(const redisReadTask *task, int values)
{
    struct control_reader *reader = task->privdata;
    reader->values -= reader->values < values ? reader->values + 1 : values;
    return reader->values < 0 ? NULL : reader->plain;
}

static void *make_string(const redisReadTask *task, char *text, size_t size)
{
    const redisReplyObjectFunctions *plain = plain_of(task, 1);
    return plain ? plain->createString(task, text, size) : NULL;
}

static void *make_array(const redisReadTask *task, int count)
{
    const redisReplyObjectFunctions *plain = plain_of(task, count < VALUES_MAX ? count + 1 : VALUES_MAX + 1);
    return plain ? plain->createArray(task, count) : NULL;
}

static void *make_integer(const redisReadTask *task, long long number)
{
    const redisReplyObjectFunctions *plain = plain_of(task, 1);
    return plain ? plain->createInteger(task, number) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
    const redisReplyObjectFunctions *plain = plain_of(task, 1);
    return plain ? plain->createNil(task) : NULL;
}

struct control_reader *control_reader_create(void)
{
    static redisReplyObjectFunctions limited = {make_string, make_array, make_integer, make_nil,
                                                freeReplyObject};
    struct control_reader *reader = xcalloc(1, sizeof *reader);
    reader->hiredis = redisReaderCreate();
    if (!reader->hiredis) {
        abort(); /* out of memory, as in xmalloc */
    }
    reader->plain = reader->hiredis->fn;
    reader->values = VALUES_MAX;
    reader->hiredis->fn = &limited;
    reader->hiredis->privdata = reader;
    return reader;
}

void control_reader_free(struct control_reader *reader)
{
    redisReaderFree(reader->hiredis);
    free(reader);
}

void control_reader_feed(struct control_reader *reader, const char *bytes, size_t size)
{
    reader->bytes += size;
    if (reader->bytes <= REPLY_MAX) {
        redisReaderFeed(reader->hiredis, bytes, size);
    }
}

enum control_read control_reader_next(struct control_reader *reader, redisReply **reply, const char **error)
{
    void *made = NULL;
    *reply = NULL;
    if (reader->bytes > REPLY_MAX || reader->values < 0) {
        *error = "its reply is too long";
        return CONTROL_BROKEN;
    }
    if (redisReaderGetReply(reader->hiredis, &made) != REDIS_OK) {
        *error = reader->values < 0 ? "its reply is too long" : reader->hiredis->errstr;
        return CONTROL_BROKEN;
    }
    *reply = made;
    return made ? CONTROL_REPLY : CONTROL_MORE;
}

/* ---- the link ---- */

struct control {
    struct stream stream;
    struct resolve *resolve; /* while the name is looked up */
    ev_timer timer;
    control_done *done;
    void *owner;
    struct control_reader *reader;
    unsigned greetings; /* replies that come before the answer */
    bool connected;
    const char *error; /* what the timer will say; NULL: that the time is over */
};

static void control_free(struct control *control)
{
    if (control->resolve) {
        resolve_cancel(control->resolve);
    }
    ev_timer_stop(control->stream.loop, &control->timer);
    stream_close(&control->stream);
    chain_clear(&control->stream.out);
    control_reader_free(control->reader);
    free(control);
}

void control_cancel(struct control *control)
{
    if (control) {
        control_free(control);
    }
}

/* The error may lie in the reader, so it is told before all is freed. */
static void control_end(struct control *control, const redisReply *reply, const char *error)
{
    stream_close(&control->stream);
    control->done(control->owner, reply, error);
    control_free(control);
}

static void on_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control *control = timer->data;
    (void)loop;
    (void)events;
    control_end(control, NULL, control->error ? control->error : "no answer in time");
}

/* Tells it later, from the loop. */
static void fail_soon(struct control *control, const char *error)
{
    stream_close(&control->stream);
    control->error = error;
    ev_timer_stop(control->stream.loop, &control->timer);
    ev_timer_set(&control->timer, 0, 0);
    ev_timer_start(control->stream.loop, &control->timer);
}

/* false: the control is gone. */
static bool take_reply(struct control *control, redisReply *reply)
{
    if (control->greetings == 0) {
        control_end(control, reply, NULL);
        return false;
    }
    control->greetings--;
    if (reply->type != REDIS_REPLY_ERROR) {
        return true;
    }
    char why[256];
    snprintf(why, sizeof why, "AUTH refused: %s", reply->str);
    control_end(control, NULL, why);
    return false;
}

static void read_some(struct control *control)
{
    static char bytes[READ_SIZE]; /* one thread */
    size_t got;
    redisReply *reply;
    const char *error;
    enum stream_status status = stream_read(&control->stream, bytes, sizeof bytes, &got);
    if (status == STREAM_AGAIN) {
        return;
    }
    if (status != STREAM_OK) {
        control_end(control, NULL, status == STREAM_END ? "it closed the connection" : strerror(errno));
        return;
    }
    control_reader_feed(control->reader, bytes, got);
    enum control_read read;
    while ((read = control_reader_next(control->reader, &reply, &error)) == CONTROL_REPLY) {
        bool goes_on = take_reply(control, reply);
        freeReplyObject(reply);
        if (!goes_on) {
            return;
        }
    }
    if (read == CONTROL_BROKEN) {
        control_end(control, NULL, error);
    }
}

static void write_some(struct control *control)
{
    size_t written = 0;
    if (!control->connected) {
        int why = address_connect_result(stream_fd(&control->stream));
        if (why != 0) {
            control_end(control, NULL, strerror(why));
            return;
        }
        control->connected = true;
    }
    switch (stream_flush(&control->stream, &written)) {
    case STREAM_OK:
        stream_watch(&control->stream, EV_READ);
        break;
    case STREAM_AGAIN:
        stream_watch(&control->stream, EV_READ | EV_WRITE);
        break;
    case STREAM_END:
    case STREAM_BROKEN:
        control_end(control, NULL, strerror(errno));
        break;
    }
}

static void on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control *control = watcher->data;
    (void)loop;
    if (events & EV_READ && control->connected) {
        read_some(control);
    } else if (events & EV_WRITE) {
        write_some(control);
    }
}

static void connect_to(struct control *control, const struct address *address)
{
    int fd = address_connect(address);
    if (fd < 0) {
        fail_soon(control, strerror(errno));
        return;
    }
    stream_open(&control->stream, fd, on_event, control);
    stream_watch(&control->stream, EV_WRITE);
}

static void on_resolved(void *owner, const struct address *addresses, size_t count, const char *error)
{
    struct control *control = owner;
    (void)count;
    control->resolve = NULL;
    if (error) {
        control_end(control, NULL, error);
    } else {
        connect_to(control, &addresses[0]);
    }
}

struct control *control_ask(struct ev_loop *loop, const struct control_question *question, control_done *done,
                            void *owner)
{
    struct control *control = xcalloc(1, sizeof *control);
    struct address address;
    control->done = done;
    control->owner = owner;
    control->reader = control_reader_create();
    stream_init(&control->stream, loop);
    ev_timer_init(&control->timer, on_time, question->seconds, 0);
    control->timer.data = control;
    ev_timer_start(loop, &control->timer);
    if (question->password) {
        resp_say_auth(&control->stream.out, question->user, question->password);
        control->greetings = 1;
    }
    resp_say(&control->stream.out, question->words, question->count);
    if (question->unix_socket_path) {
        if (address_unix(&address, question->unix_socket_path)) {
            connect_to(control, &address);
        } else {
            fail_soon(control, "the socket's path is too long");
        }
    } else if (address_numeric(&address, question->host, question->port)) {
        connect_to(control, &address);
    } else {
        control->resolve = resolve_start(loop, question->host, question->port, on_resolved, control);
    }
    return control;
}
