/* The relay: questions that workers ask each other go through the master, with
 * the bytes in a memfd beside the message, and so do the answers.
 *
 *   worker ─ ASK ─► master ─ QUESTION ─► the others
 *   worker ◄─ ASKED, PART ─ master ◄─ PART ─ the others */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew;
struct proxy;

/* In a worker. Asks all others by its end of the channel; false: the master does not hear. */
bool relay_ask(int channel, uint32_t ticket, const char *bytes, size_t size);
/* A message of these kinds has come, with its memfd. */
void relay_obey(struct proxy *proxy, int channel, const struct message *message, int memory);

/* In the master. Passes on what the worker in `slot` has sent; who leaves RELAY_PATIENCE questions
 * unanswered gets no more of them, so that its channel does not fill up. */
enum { RELAY_PATIENCE = 16 };
void relay_forward(struct crew *crew, uint32_t slot, const struct message *message, int memory);
