/* The channel between the master and one worker: whole messages over a
 * socketpair, each with a file descriptor beside it if need be. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum message_kind {
    /* master to worker */
    MESSAGE_BUILD,    /* make generation `generation` from `size` packed bytes in the memfd, and vote */
    MESSAGE_COMMIT,   /* adopt what was built */
    MESSAGE_ABORT,    /* throw away what was built */
    MESSAGE_LISTEN,   /* serve cluster `cluster` on the socket, written `text` in config.lua */
    MESSAGE_UNLISTEN, /* no more clients on `text` */
    MESSAGE_REOPEN,   /* open the log again */
    MESSAGE_DRAIN,    /* finish and leave within `size` seconds */
    MESSAGE_QUESTION, /* a question of the worker in `slot`: likewise */
    MESSAGE_ASKED,    /* `size` workers have got question `generation` */
    MESSAGE_RELOADED, /* a reload is over, for askers up to `generation`: `yes`, or why not in `text` */
    /* worker to master */
    MESSAGE_READY, /* the first generation serves clients */
    MESSAGE_VOTE,  /* generation `generation` is built: `yes`, or why not in `text` */
    MESSAGE_RELOAD, /* a client asks for a reload, as number `generation` of the worker's */
    MESSAGE_ASK,   /* question `generation` for all other workers: `size` bytes in the memfd */
    /* both ways */
    MESSAGE_PART, /* what a worker has to say to that question of the one in `slot`: likewise */
    MESSAGE_DONE, /* say so when everything up to here is done; and the worker's echo */
};

enum { MESSAGE_CLUSTER = 256, MESSAGE_TEXT = 4096 };

/* Fields that a kind does not use are 0. */
struct message {
    enum message_kind kind;
    bool yes;
    uint32_t generation;
    uint32_t slot;
    uint64_t size;
    char cluster[MESSAGE_CLUSTER];
    char text[MESSAGE_TEXT]; /* cut to fit */
};

enum channel_status {
    CHANNEL_MESSAGE, /* one was received */
    CHANNEL_EMPTY,   /* nothing there now */
    CHANNEL_CLOSED   /* the other process is gone */
};

/* Two non-blocking ends, closed on exec. false with errno. */
bool channel_open(int ends[2]) __attribute__((warn_unused_result));

/* Sends a message and, unless `passed` is -1, a copy of that descriptor. false
 * when the other end is gone or has not read for long. */
bool channel_send(int end, const struct message *message, int passed) __attribute__((warn_unused_result));

/* *passed is -1 or a descriptor that is the caller's now. */
enum channel_status channel_receive(int end, struct message *message, int *passed);
