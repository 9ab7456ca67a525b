/* A control link: one connection for one question of Nydus's own to a server,
 * closed with the answer. hiredis reads the reply; what a server may make it
 * allocate is limited. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <ev.h>
#include <stddef.h>
#include <stdint.h>

struct control;
struct redisReply;

/* Everything is copied, or used up, by control_ask. */
struct control_question {
    const char *host; /* name or address; NULL with unix_socket_path */
    const char *unix_socket_path;
    uint16_t port;
    const char *user, *password; /* NULL: none */
    const char *const *words;    /* the command and its arguments */
    size_t count;
    double seconds; /* for all of it, connecting included */
};

/* reply: the server's, maybe an error of its own, good during the call; or NULL and why not, in words. */
typedef void control_done(void *owner, const struct redisReply *reply, const char *error);

/* `done` is called once, later, from the loop, unless cancelled; the control is gone then. */
struct control *control_ask(struct ev_loop *loop, const struct control_question *question, control_done *done,
                            void *owner);
/* `done` will not be called. NULL is fine. */
void control_cancel(struct control *control);

/* A reader of replies with the limits of a control link. A reply is freed by
 * freeReplyObject, the reader by control_reader_free. */
struct control_reader;
enum control_read { CONTROL_REPLY, CONTROL_MORE, CONTROL_BROKEN };
struct control_reader *control_reader_create(void);
void control_reader_free(struct control_reader *reader);
void control_reader_feed(struct control_reader *reader, const char *bytes, size_t size);
/* The next reply, or NULL with CONTROL_MORE; CONTROL_BROKEN: *error says why, no more will come. */
enum control_read control_reader_next(struct control_reader *reader, struct redisReply **reply,
                                      const char **error);
