/* The command line; see options.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/options.h"

#include "base/memory.h"
#include "base/version.h"

#include <ev.h>
#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "Usage: nydus [options] [config.lua]\n"
                           "\n"
                           "Nydus stands between Redis clients and Redis servers: a router, built in or a\n"
                           "Lua script, decides which server each command goes to. Without options it\n"
                           "serves as config.lua says (default: ./config.lua) until it is told to stop.\n"
                           "\n"
                           "  --check            load everything and print the hosts and the compiled tree\n"
                           "                     of each router, or all problems; exit 0 or 1\n"
                           "  --route COMMAND    print where a command would go and why, for example\n"
                           "                     --route 'GET user:1'; may be repeated; - reads commands\n"
                           "                     from standard input, one per line\n"
                           "  --diff OLD.lua     print what share of the keys config.lua moves, per cluster\n"
                           "                     and from where to where, and which hosts come and go;\n"
                           "                     exact for rings, else from 100,000 sampled keys\n"
                           "  --version          print the version and those of the libraries\n"
                           "  --help             print this\n"
                           "\n"
                           "Signals\n"
                           "  HUP                read the configuration again: all workers take it, or none\n"
                           "  TERM, INT          answer what is under way and leave; twice: leave at once\n"
                           "  USR1               open the log file again\n"
                           "\n"
                           "Environment\n"
                           "  NYDUS_LUA_PATH     the folder of the Lua modules, when not the installed one\n"
                           "  NOTIFY_SOCKET      systemd is told about start, reload and stop (Type=notify)\n"
                           "\n"
                           "Exit codes: 0 stopped as asked, 1 the configuration or the start failed,\n"
                           "2 the command line is wrong.\n";

void options_print_help(void)
{
    fputs(help, stdout);
}

void options_print_version(void)
{
    printf("nydus %s (%s, libev %d.%d)\n", NYDUS_VERSION, LUAJIT_VERSION, ev_version_major(),
           ev_version_minor());
}

static bool wrong(const char *format, const char *what)
{
    fputs("nydus: ", stderr);
    fprintf(stderr, format, what);
    fputs(" (nydus --help lists the options)\n", stderr);
    return false;
}

static void add_command(struct options *options, const char *text)
{
    options->action = OPTIONS_ROUTE;
    options->commands = xrealloc(options->commands, (options->command_count + 1) * sizeof *options->commands);
    options->commands[options->command_count++] = text;
}

static void add_old(struct options *options, const char *text)
{
    options->action = OPTIONS_DIFF;
    options->old_path = text;
}

static bool add_path(struct options *options, const char *text)
{
    if (options->path)
        return wrong("one configuration file is enough, \"%s\" is one too many", text);
    options->path = text;
    return true;
}

/* Options that have a value: "--route COMMAND" or "--route=COMMAND". */
static const struct valued {
    const char *name;
    void (*add)(struct options *options, const char *text);
    const char *missing; /* a sentence for "%s" */
} valued[] = {
    {"--route", add_command, "%s needs a command, as in --route 'GET user:1'"},
    {"--diff", add_old, "%s needs the old configuration, as in --diff old.lua config.lua"},
};

static bool read_valued(struct options *options, const char *text, const char **next)
{
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
        size_t size = strlen(valued[i].name);
        if (strncmp(text, valued[i].name, size) != 0 || (text[size] && text[size] != '='))
            continue;
        if (!text[size] && !*next)
            return wrong(valued[i].missing, text);
        valued[i].add(options, text[size] ? text + size + 1 : *next);
        if (!text[size])
            *next = NULL;
        return true;
    }
    return wrong("unknown option %s", text);
}

/* An option; *next is the argument after it, and NULL once it was used. */
static bool read_option(struct options *options, const char *text, const char **next)
{
    if (!strcmp(text, "--check")) {
        options->action = OPTIONS_CHECK;
    } else if (!strcmp(text, "--version") || !strcmp(text, "-V")) {
        options->action = OPTIONS_VERSION;
    } else if (!strcmp(text, "--help") || !strcmp(text, "-h")) {
        options->action = OPTIONS_HELP;
    } else {
        return read_valued(options, text, next);
    }
    return true;
}

bool options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.action = OPTIONS_RUN};
    bool only_paths = false;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool had_next = next != NULL, fine = true;
        if (!only_paths && !strcmp(text, "--"))
            only_paths = true;
        else if (only_paths || text[0] != '-')
            fine = add_path(options, text);
        else
            fine = read_option(options, text, &next);
        if (!fine)
            return false;
        i += had_next && !next;
        /* These two ask for nothing else, whatever follows. */
        if (options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION)
            break;
    }
    if (!options->path)
        options->path = "config.lua";
    return true;
}

void options_deinit(struct options *options)
{
    free(options->commands);
}
