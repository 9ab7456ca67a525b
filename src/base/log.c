/* The log: one write(2) per line, so that lines of several processes on one
 * file or pipe never mix.
 *
 *   2026-11-22 21:50:01.123 worker 1 warn message
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE = 4096, LOG_MESSAGE = 3072, LOG_NAME = 32 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static int log_fd = STDERR_FILENO;
static char *log_path; /* NULL: stderr */
static enum log_level log_least = LOG_INFO;
static char log_name[LOG_NAME] = "nydus";

/* Opens first and closes then: a failure leaves the old file in use. */
static bool log_switch(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0) {
        return false;
    }
    if (log_fd != STDERR_FILENO) {
        close(log_fd);
    }
    log_fd = fd;
    return true;
}

bool log_open(const char *path)
{
    if (!path) {
        if (log_fd != STDERR_FILENO) {
            close(log_fd);
        }
        log_fd = STDERR_FILENO;
        free(log_path);
        log_path = NULL;
        return true;
    }
    char *copy = xstrdup(path);
    if (!log_switch(copy)) {
        int error = errno;
        free(copy);
        errno = error;
        return false;
    }
    free(log_path);
    log_path = copy;
    return true;
}

bool log_reopen(void)
{
    return !log_path || log_switch(log_path);
}

void log_set_level(enum log_level level)
{
    log_least = level;
}

bool log_enabled(enum log_level level)
{
    return level >= log_least;
}

void log_set_name(const char *name)
{
    snprintf(log_name, sizeof log_name, "%s", name);
}

/* The date changes once a second: localtime is not asked for every line. */
static size_t log_stamp(char *out, size_t room)
{
    static time_t second = -1;
    static char date[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        struct tm local;
        localtime_r(&now.tv_sec, &local);
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
        second = now.tv_sec;
    }
    int length = snprintf(out, room, "%s.%03ld ", date, now.tv_nsec / 1000000);
    return length > 0 ? (size_t)length : 0;
}

/* Copies a message so that it stays one line and cannot steer a terminal.
 * Bytes from 0x80 up pass: they are UTF-8 more often than not. */
static size_t log_escape(char *out, size_t room, const char *message)
{
    size_t used = 0;
    for (const unsigned char *byte = (const unsigned char *)message; *byte && used + 5 < room; byte++) {
        if (*byte == '\n') {
            memcpy(out + used, "\\n", 2);
            used += 2;
        } else if (*byte < 0x20 || *byte == 0x7f) {
            used += (size_t)snprintf(out + used, room - used, "\\x%02x", *byte);
        } else {
            out[used++] = (char)*byte;
        }
    }
    return used;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved = errno;
    char message[LOG_MESSAGE], line[LOG_LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    size_t used = log_stamp(line, sizeof line);
    used += (size_t)snprintf(line + used, sizeof line - used, "%s %s ", log_name, level_names[level]);
    used += log_escape(line + used, sizeof line - used - 1, message);
    line[used++] = '\n';
    /* A log that cannot be written must not stop the server. */
    ssize_t ignored = write(log_fd, line, used);
    (void)ignored;
    errno = saved;
}

bool log_limit_pass(struct log_limit *limit, unsigned burst)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec != limit->second) {
        limit->second = now.tv_sec;
        limit->said = 0;
    }
    if (limit->said >= burst) {
        limit->left_out++;
        return false;
    }
    limit->said++;
    if (limit->left_out) {
        log_write(LOG_WARN, "%u lines like the next were left out", limit->left_out);
        limit->left_out = 0;
    }
    return true;
}
