/* The log: one line per event, to stderr or a file that SIGUSR1 reopens. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Sends the log to a file (appending), or to stderr when path is NULL.
 * false with errno when the file cannot be opened; the old target stays. */
bool log_open(const char *path) __attribute__((warn_unused_result));

/* Opens the same path again, for log rotation. */
bool log_reopen(void) __attribute__((warn_unused_result));

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Who speaks, in each line: "master", "worker 2". Copied. */
void log_set_name(const char *name);

/* One line; a newline is added, control characters are escaped. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...)                         \
    do {                                       \
        if (log_enabled(LOG_DEBUG))            \
            log_write(LOG_DEBUG, __VA_ARGS__); \
    } while (0)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* At most `burst` lines a second of one kind; what was left out is counted
 * and said with the next line that passes. Zero the struct to begin. */
struct log_limit {
    long second;
    unsigned said, left_out;
};
bool log_limit_pass(struct log_limit *limit, unsigned burst);
