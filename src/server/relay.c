/* Questions between workers; see relay.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "proxy/neighbours.h"
#include "resp/writer.h"
#include "server/crew.h"

/* -1: there is no descriptor or no memory left. */
static int memory_of(const char *bytes, size_t size)
{
    int memory = memfd_create("nydus", MFD_CLOEXEC);
    for (size_t at = 0; memory >= 0 && at < size;) {
        ssize_t wrote = write(memory, bytes + at, size - at);
        if (wrote > 0) {
            at += (size_t)wrote;
        } else if (errno != EINTR) {
            close(memory);
            memory = -1;
        }
    }
    return memory;
}

/* NULL: they cannot be read. */
static char *bytes_of(int memory, size_t size)
{
    char *bytes = xmalloc(size + 1);
    size_t at = 0;
    while (memory >= 0 && at < size) {
        ssize_t got = pread(memory, bytes + at, size - at, (off_t)at);
        if (got > 0) {
            at += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            break;
        }
    }
    if (at < size) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static bool send_with(int channel, const struct message *message, const char *bytes)
{
    if (message->size == 0) {
        return channel_send(channel, message, -1);
    }
    int memory = memory_of(bytes, message->size);
    if (memory < 0) {
        log_error("a question among workers is lost: %s", strerror(errno));
        return false;
    }
    bool sent = channel_send(channel, message, memory);
    close(memory);
    return sent;
}

bool relay_ask(int channel, uint32_t ticket, const char *bytes, size_t size)
{
    const struct message ask = {.kind = MESSAGE_ASK, .generation = ticket, .size = size};
    return send_with(channel, &ask, bytes);
}

/* Every question is answered, if only with nothing: the master counts on it. */
static void answer(struct proxy *proxy, int channel, const struct message *message, const char *bytes)
{
    struct writer part = {0};
    if (bytes) {
        neighbours_answer(proxy, bytes, message->size, &part);
    }
    const struct message reply = {
        .kind = MESSAGE_PART, .slot = message->slot, .generation = message->generation, .size = part.size};
    const struct message nothing = {
        .kind = MESSAGE_PART, .slot = message->slot, .generation = message->generation};
    if (!send_with(channel, &reply, part.data) && !channel_send(channel, &nothing, -1)) {
        log_warn("another worker's question goes unanswered");
    }
    writer_deinit(&part);
}

void relay_obey(struct proxy *proxy, int channel, const struct message *message, int memory)
{
    if (message->kind == MESSAGE_ASKED) {
        neighbours_asked(proxy, message->generation, message->size);
        return;
    }
    char *bytes = bytes_of(memory, message->size);
    if (!bytes) {
        log_error("a message of another worker cannot be read: %s",
                  memory < 0 ? "no file descriptor is free" : strerror(errno));
    }
    if (message->kind == MESSAGE_QUESTION) {
        answer(proxy, channel, message, bytes);
    } else {
        neighbours_heard(proxy, message->generation, bytes, bytes ? message->size : 0);
    }
    free(bytes);
}

/* ---- in the master ---- */

/* Also to one that just starts: it may have clients before the master has read that it is ready. */
static bool pass_on(const struct crew *crew, uint32_t slot, const struct message *message, int memory)
{
    const struct hand *hand = &crew->hands[slot];
    return hand->pid && hand->channel >= 0 && channel_send(hand->channel, message, memory);
}

static void pass_answer(struct crew *crew, uint32_t slot, const struct message *message, int memory)
{
    crew->hands[slot].asked -= crew->hands[slot].asked > 0;
    if (message->slot < BOARD_WORKERS && !pass_on(crew, message->slot, message, memory)) {
        log_debug("worker %u does not get the answer to its question", message->slot + 1);
    }
}

static bool pass_question(struct crew *crew, uint32_t slot, const struct message *message, int memory)
{
    struct hand *hand = &crew->hands[slot];
    if (hand->asked >= RELAY_PATIENCE || !pass_on(crew, slot, message, memory)) {
        return false;
    }
    hand->asked++;
    return true;
}

void relay_forward(struct crew *crew, uint32_t slot, const struct message *message, int memory)
{
    if (message->kind == MESSAGE_PART) {
        pass_answer(crew, slot, message, memory);
        return;
    }
    struct message question = *message;
    question.kind = MESSAGE_QUESTION;
    question.slot = slot;
    struct message asked = {.kind = MESSAGE_ASKED, .generation = message->generation};
    for (uint32_t i = 0; i < board->workers; i++) {
        asked.size += i != slot && pass_question(crew, i, &question, memory);
    }
    if (!pass_on(crew, slot, &asked, -1)) {
        log_debug("worker %u does not get the number of those it asked", slot + 1);
    }
}
