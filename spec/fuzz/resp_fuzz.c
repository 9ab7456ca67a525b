/* Fuzzes the scanners of requests and replies, inline lines and the key
 * finder. The first byte chooses what the others are; the second one where
 * they are cut. Every step runs on a copy of exactly its size, so that the
 * address sanitizer sees a look beyond the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#include "resp/command.h"
#include "resp/keys.h"
#include "resp/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that the fuzzer gets there. */
enum { MAX_REQUEST = 3000 };

static char *copy_of(const char *bytes, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    CHECK(copy);
    memcpy(copy, bytes, size);
    return copy;
}

/* What a scan found out, of either kind. */
struct outcome {
    enum resp_status status;
    uint64_t size;
    const char *error;
    uint32_t argc;
};

static void check_same(const struct outcome *a, const struct outcome *b)
{
    CHECK(a->status == b->status);
    if (a->status == RESP_ERROR) {
        CHECK(a->error && b->error && strcmp(a->error, b->error) == 0);
    } else if (a->status != RESP_MORE) {
        CHECK(a->size == b->size && a->argc == b->argc);
    }
}

static void check_args(const struct resp_request *scan, const char *start)
{
    struct resp_cursor cursor;
    struct resp_arg arg;
    uint32_t count = 0, end = 0;
    for (resp_cursor_init(&cursor, start); resp_cursor_next(&cursor, &arg); count++) {
        CHECK(arg.at > end && arg.size <= scan->size && arg.at + arg.size + 2 <= scan->size);
        CHECK(count >= RESP_ARGS || (scan->args[count].at == arg.at && scan->args[count].size == arg.size));
        end = arg.at + arg.size;
    }
    CHECK(count == scan->argc);
    CHECK(count == 0 || end + 2 == scan->size);
}

static void check_keys(const struct command *command, const struct resp_request *scan, const char *start)
{
    static struct key_list list;
    if (keys_find(command, start, scan, &list) == KEYS_INVALID) {
        CHECK(list.error);
        return;
    }
    for (uint32_t i = 0; i < list.count; i++) {
        struct resp_arg arg;
        CHECK(list.arg[i] < scan->argc && (i == 0 || list.arg[i] > list.arg[i - 1]));
        CHECK(resp_args(start, scan->size, list.arg[i], 1, &arg) == 1);
        CHECK(arg.at == list.at[i].at && arg.size == list.at[i].size);
    }
}

/* The command the request names, and one that it does not. */
static void check_command(const struct resp_request *scan, const char *start)
{
    if (scan->argc == 0) {
        return;
    }
    const struct command *command = command_find(start + scan->args[0].at, scan->args[0].size);
    if (command) {
        check_keys(command, scan, start);
        if (scan->argc > 1) {
            const struct command *sub =
                command_find_sub(command, start + scan->args[1].at, scan->args[1].size);
            if (sub) {
                check_keys(sub, scan, start);
            }
        }
    }
    if (scan->argc < 20) {
        check_keys(command_row(scan->size % command_count()), scan, start);
    }
}

static struct outcome request_outcome(const struct resp_request *scan, enum resp_status status, size_t size)
{
    if (status == RESP_MORE) {
        CHECK(scan->want >= 1);
    } else if (status != RESP_ERROR) {
        CHECK(scan->size >= 1 && scan->size <= size && scan->size <= MAX_REQUEST);
    }
    return (struct outcome){status, scan->size, scan->error, status == RESP_DONE ? scan->argc : 0};
}

static size_t first_cut(size_t size, size_t step)
{
    return step < size ? step : size;
}

/* Scans up to each multiple of `step`, then the whole. */
static struct outcome scan_request(const char *bytes, size_t size, size_t step)
{
    struct resp_request scan = {0};
    enum resp_status status = RESP_MORE;
    for (size_t at = first_cut(size, step); status == RESP_MORE; at += first_cut(size - at, step)) {
        char *copy = copy_of(bytes, at);
        status = resp_scan_request(&scan, copy, at, MAX_REQUEST);
        if (status == RESP_DONE) {
            check_args(&scan, copy);
            check_command(&scan, copy);
        }
        free(copy);
        if (at == size) {
            break;
        }
    }
    return request_outcome(&scan, status, size);
}

static void fuzz_requests(const char *bytes, size_t size, size_t step)
{
    for (;;) {
        struct outcome whole = scan_request(bytes, size, size + 1);
        struct outcome cut = scan_request(bytes, size, step);
        check_same(&whole, &cut);
        if (whole.status == RESP_MORE || whole.status == RESP_ERROR) {
            return;
        }
        bytes += whole.size;
        size -= whole.size;
    }
}

static struct outcome scan_reply(const char *bytes, size_t size, size_t step)
{
    struct resp_reply scan = {0};
    enum resp_status status = RESP_MORE;
    for (size_t at = first_cut(size, step); status == RESP_MORE; at += first_cut(size - at, step)) {
        char *copy = copy_of(bytes, at);
        status = resp_scan_reply(&scan, copy, at);
        free(copy);
        if (at == size) {
            break;
        }
    }
    CHECK(status != RESP_INLINE);
    CHECK(status != RESP_MORE || scan.want >= 1);
    CHECK(status != RESP_DONE || (scan.size >= 3 && scan.size <= size && scan.left == 0));
    return (struct outcome){status, scan.size, scan.error, 0};
}

static void fuzz_replies(const char *bytes, size_t size, size_t step)
{
    for (;;) {
        struct outcome whole = scan_reply(bytes, size, size + 1);
        struct outcome cut = scan_reply(bytes, size, step);
        check_same(&whole, &cut);
        if (whole.status != RESP_DONE) {
            return;
        }
        bytes += whole.size;
        size -= whole.size;
    }
}

static void fuzz_inline(const char *bytes, size_t size)
{
    struct resp_request scan = {0};
    char *copy = copy_of(bytes, size), *request;
    size_t request_size;
    bool balanced = resp_inline(copy, size, &request, &request_size);
    free(copy);
    CHECK(balanced || !request);
    if (!request) {
        CHECK(request_size == 0);
        return;
    }
    char *exact = copy_of(request, request_size);
    free(request);
    CHECK(resp_scan_request(&scan, exact, request_size, UINT32_MAX) == RESP_DONE);
    CHECK(scan.size == request_size && scan.argc > 0);
    check_args(&scan, exact);
    check_command(&scan, exact);
    free(exact);
}

/* Words, parted by newlines, as the arguments of a request. */
static void fuzz_words(const char *bytes, size_t size)
{
    size_t count = 1, at = RESP_HEADER_SIZE;
    char *request = malloc(2 * RESP_HEADER_SIZE + (size + 1) * RESP_HEADER_SIZE);
    CHECK(request);
    const char *end = bytes + size, *newline;
    for (; (newline = memchr(bytes, '\n', (size_t)(end - bytes))); bytes = newline + 1, count++) {
        at += resp_write_bulk(request + at, bytes, (size_t)(newline - bytes));
    }
    at += resp_write_bulk(request + at, bytes, (size_t)(end - bytes));
    size_t header = resp_write_header(request, '*', (int64_t)count);
    memmove(request + header, request + RESP_HEADER_SIZE, at - RESP_HEADER_SIZE);
    size_t total = header + at - RESP_HEADER_SIZE;
    char *exact = copy_of(request, total);
    free(request);
    struct resp_request scan = {0};
    CHECK(resp_scan_request(&scan, exact, total, UINT32_MAX) == RESP_DONE);
    CHECK(scan.size == total && scan.argc == count);
    check_args(&scan, exact);
    check_command(&scan, exact);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *bytes = (const char *)data + 2;
    size_t step = (size_t)data[1] % 64 + 1;
    size -= 2;
    switch (data[0]) {
    case 'q': fuzz_requests(bytes, size, step); break;
    case 'r': fuzz_replies(bytes, size, step); break;
    case 'i': fuzz_inline(bytes, size); break;
    case 'w': fuzz_words(bytes, size); break;
    default: break;
    }
    return 0;
}
