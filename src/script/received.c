/* Received replies; see received.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/received.h"

#include "resp/resp.h"

#include <stdlib.h>
#include <string.h>

/* How far somebody has got in an array: loops go on from there. */
struct place {
    const char *bytes;
    uint32_t number;
    double i;
    size_t at;
};

enum { PLACES = 16 };

static bool has_items(int32_t kind)
{
    return kind == '*' || kind == '%' || kind == '~' || kind == '>';
}

uint32_t received_number(void)
{
    static uint32_t number;
    if (++number == 0)
        number = 1;
    return number;
}

static void received_value(const struct nydus_reply *reply, struct nydus_look *value)
{
    const char *start = reply->bytes_ + resp_attributes(reply->bytes_, reply->size_);
    const char *end = reply->bytes_ + reply->size_;
    const char *line = memchr(start, '\r', (size_t)(end - start));
    *value = (struct nydus_look){.kind = '_', .text = ""};
    if (!line)
        return;
    long number = strtol(start + 1, NULL, 10);
    bool bulk = *start == '$' || *start == '=' || *start == '!';
    if ((bulk || has_items(*start)) && number < 0)
        return;
    value->kind = *start == '!' ? '-' : *start;
    if (has_items(*start)) {
        value->items = line + 2;
        value->count = *start == '%' ? (double)number * 2 : (double)number;
        return;
    }
    size_t head = *start == '=' && number >= 4 ? 4 : 0; /* "txt:" */
    value->text = bulk ? line + 2 + head : start + 1;
    value->size = bulk ? (size_t)number - head : (size_t)(line - start - 1);
}

static bool received_item(const struct nydus_reply *reply, double i, struct nydus_text *item)
{
    static struct place places[PLACES]; /* one thread */
    struct place *place = &places[(uintptr_t)reply->bytes_ / 4 % PLACES];
    struct nydus_look value;
    received_value(reply, &value);
    if (!(i >= 0 && i < value.count))
        return false;
    if (place->bytes != reply->bytes_ || place->number != reply->number_ || place->i > i)
        *place = (struct place){.bytes = reply->bytes_, .number = reply->number_};
    const char *at = place->at ? reply->bytes_ + place->at : value.items, *end = reply->bytes_ + reply->size_;
    for (;;) {
        struct resp_reply scan = {0};
        if (at >= end || resp_scan_reply(&scan, at, (size_t)(end - at)) != RESP_DONE)
            return false;
        *item = (struct nydus_text){at, scan.size};
        if (place->i >= i)
            break;
        place->i++;
        at += scan.size;
    }
    place->at = (size_t)(at - reply->bytes_);
    return true;
}

void received_setup(struct nydus_batch *batch)
{
    batch->value = received_value;
    batch->item = received_item;
}
