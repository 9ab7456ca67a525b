/* Scrap; see scrap.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/scrap.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { SCRAP_MAX = 64 * 1024 * 1024 }; /* bytes in one turn */

struct scrap_block {
    struct scrap_block *next;
    struct target target;
    char bytes[];
};

static void scrap_free(struct scrap_block *block)
{
    while (block) {
        struct scrap_block *next = block->next;
        free(block);
        block = next;
    }
}

void scrap_turn(struct scrap *scrap, unsigned turn)
{
    if (turn == scrap->turn)
        return;
    scrap_free(scrap->old);
    scrap->old = scrap->young;
    scrap->young = NULL;
    scrap->size = 0;
    scrap->turn = turn;
}

static struct scrap_block *scrap_add(struct scrap *scrap, const char *bytes, size_t size)
{
    if (scrap->size + size > SCRAP_MAX)
        return NULL;
    struct scrap_block *block = xmalloc(sizeof *block + size + 1);
    memcpy(block->bytes, bytes, size);
    block->bytes[size] = '\0';
    block->next = scrap->young;
    scrap->young = block;
    scrap->size += sizeof *block + size;
    return block;
}

const char *scrap_text(struct scrap *scrap, const char *text, size_t size)
{
    struct scrap_block *block = scrap_add(scrap, text, size);
    return block ? block->bytes : NULL;
}

const struct target *scrap_reply(struct scrap *scrap, const char *bytes, size_t size)
{
    struct scrap_block *block = scrap_add(scrap, bytes, size);
    if (!block)
        return NULL;
    block->target = (struct target){.kind = TARGET_REPLY, .id = UINT32_MAX};
    block->target.reply.bytes = block->bytes;
    block->target.reply.size = size;
    return &block->target;
}

void scrap_deinit(struct scrap *scrap)
{
    scrap_free(scrap->young);
    scrap_free(scrap->old);
    *scrap = (struct scrap){0};
}
