/* The command line. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum options_action {
    OPTIONS_RUN,   /* serve */
    OPTIONS_CHECK, /* --check */
    OPTIONS_ROUTE, /* --route, once or more */
    OPTIONS_DIFF,  /* --diff */
    OPTIONS_VERSION,
    OPTIONS_HELP
};

struct options {
    enum options_action action;
    const char *path;      /* config.lua */
    const char *old_path;  /* of --diff, or NULL */
    const char **commands; /* of --route, in order; owned array of borrowed texts */
    size_t command_count;
};

/* false: a line on stderr has said what is wrong with the command line. */
bool options_parse(struct options *options, int argc, char **argv) __attribute__((warn_unused_result));
void options_deinit(struct options *options);

void options_print_help(void);
void options_print_version(void);
