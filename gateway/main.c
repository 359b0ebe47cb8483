/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - one binary, many commands: the table of them.
 */
#include <curl/curl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "core/digest.h"
#include "core/random.h"
#include "gateway/cli.h"
#include "gateway/cli_match.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* arguments after the command's name */
    const char *sentence;
} commands[] = {
    {"serve", cli_serve, "run the gateway"},
    {"apply", cli_apply, "make the catalog equal to a file"},
    {"export", cli_export, "print the catalog"},
    {"account", cli_account,
     "list, show, put, suspend and remove accounts; issue and revoke credentials"},
    {"onboard", cli_onboard, "make a member account, and what it deploys on its side"},
    {"audit", cli_audit, "who did what; whether the log still says so"},
    {"stats", cli_stats, "what came in, what went out, what is stuck"},
    {"trace", cli_trace, "what was decided about one event"},
    {"explain", cli_explain, "why an event does not match a rule"},
    {"dead", cli_dead, "list, show, redrive and drop dead letters"},
    {"parks", cli_parks, "list what is set aside because its target fails; lift it by hand"},
    {"backup", cli_backup, "copy the embedded store, or the catalog, while the gateway works"},
    {"restore", cli_restore, "give a store that lost it the catalog back"},
    {"match", cli_match, "hold events against patterns, offline"},
    {"transform", cli_transform, "what a target would get of events, offline"},
    {"test-pattern", cli_test_pattern, "try patterns on events, line by line, offline"},
};

/* Names that a later version will know: whoever reads of them elsewhere is told so. */
static const char *const later[] = {"list", "top"};

static int refuse(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(later); i++) {
        if (strcmp(later[i], name) == 0) {
            (void)fprintf(stderr, "weir: %s: not in this version\n", name);
            return CLI_USAGE;
        }
    }
    (void)fprintf(stderr, "weir: unknown command %s; `weir help` lists them\n", name);
    return CLI_USAGE;
}

static void print_usage(FILE *out)
{
    (void)fprintf(out, "usage: weir COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].sentence);
    }
    (void)fprintf(out, "\nEach command explains itself with --help.\n");
}

int main(int argc, char **argv)
{
    (void)umask(077);
    json_object_seed((size_t)random_u64());
    digest_init();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return CLI_DONE;
    }
    for (size_t i = 0; argc >= 2 && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    if (argc >= 2) {
        return refuse(argv[1]);
    }
    print_usage(stderr);
    return CLI_USAGE;
}
