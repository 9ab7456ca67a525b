/* Fuzzes what hosts teach: the input's bytes are a host's reply to COMMAND. The
 * rows that come of it find the keys of a few requests. Checked: the table keeps
 * its rows, a name leads to its own row, keys lie inside of their request. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#include "net/control.h"
#include "resp/keys.h"
#include "resp/lexicon.h"
#include "resp/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keys(const struct command *row)
{
    static const char *const requests[] = {
        "*1\r\n$1\r\nx\r\n",
        "*2\r\n$1\r\nx\r\n$1\r\n1\r\n",
        "*4\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*6\r\n$1\r\nx\r\n$1\r\na\r\n$7\r\nstreams\r\n$1\r\n3\r\n$1\r\nb\r\n$19\r\n9223372036854775807\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct key_list keys = {0};
        struct resp_request scan = {0};
        size_t size = strlen(requests[i]);
        CHECK(resp_scan_request(&scan, requests[i], size, UINT32_MAX) == RESP_DONE);
        if (keys_find(row, requests[i], &scan, &keys) == KEYS_INVALID) {
            CHECK(keys.error);
            keys.count = 0;
        }
        for (uint32_t k = 0; k < keys.count; k++) {
            CHECK(keys.arg[k] > 0 && keys.arg[k] < scan.argc && keys.at[k].at + keys.at[k].size + 2 <= size);
        }
        key_list_deinit(&keys);
    }
}

static void check_lexicon(const struct lexicon *lexicon)
{
    for (size_t i = 0; i < lexicon->count; i++) {
        const struct command *row = lexicon->rows[i];
        const char *sub = strchr(row->name, '|');
        CHECK(row->id >= command_count() && row->id < COMMAND_IDS && command_row(row->id) == row);
        CHECK(i == 0 || strcmp(lexicon->rows[i - 1]->name, row->name) < 0);
        if (!sub) {
            CHECK(!command_find(row->name, strlen(row->name)));
            CHECK(lexicon_find(lexicon, row->name, strlen(row->name)) == row);
        }
        check_keys(row);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_reader *reader = control_reader_create();
    struct lexicon lexicon = {0};
    struct redisReply *reply;
    const char *error;
    size_t half = size / 2;
    control_reader_feed(reader, (const char *)data, half);
    enum control_read read = control_reader_next(reader, &reply, &error);
    if (read == CONTROL_MORE) {
        control_reader_feed(reader, (const char *)data + half, size - half);
        read = control_reader_next(reader, &reply, &error);
    }
    if (read == CONTROL_REPLY) {
        lexicon_learn(&lexicon, reply);
        check_lexicon(&lexicon);
        CHECK(lexicon_learn(&lexicon, reply) == 0 || lexicon.count > 0); /* the same name twice takes turns */
        freeReplyObject(reply);
    }
    lexicon_deinit(&lexicon);
    command_unlearn();
    control_reader_free(reader);
    return 0;
}
