/* Nydus, a routing server for Redis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/check_command.h"
#include "server/diff_command.h"
#include "server/master.h"
#include "server/options.h"
#include "server/route_command.h"

static int run(const struct options *options)
{
    switch (options->action) {
    case OPTIONS_CHECK:
        return check_command(options->path);
    case OPTIONS_ROUTE:
        return route_command(options->path, options->commands, options->command_count);
    case OPTIONS_DIFF:
        return diff_command(options->old_path, options->path);
    case OPTIONS_VERSION:
        options_print_version();
        return 0;
    case OPTIONS_HELP:
        options_print_help();
        return 0;
    case OPTIONS_RUN:
        break;
    }
    return master_run(options->path);
}

int main(int argc, char **argv)
{
    struct options options;
    int code = 2;
    if (options_parse(&options, argc, argv))
        code = run(&options);
    options_deinit(&options);
    return code;
}
