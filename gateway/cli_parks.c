/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_parks.c - `weir parks`: what is set aside because its target keeps failing, and the hand that
 * lifts it.
 */
#include "core/check.h"
#include "gateway/cli.h"

enum { PATH_BYTES_MAX = 8192, VALUE_BYTES_MAX = 2048 };

static const char parks_usage[] =
    "usage: weir parks list [FILTER]\n"
    "       weir parks lift FILTER|--all\n"
    "       each with [--admin URL] [--config FILE]\n"
    "FILTER: --account A --rule BUS/RULE --target ARN, as `weir stats` names them\n"
    "\n"
    "An account's deliveries to a target that keeps failing are set aside, for a quarter of an "
    "hour\n"
    "at most.  lift sends what waits at once, for whoever has just mended the target; a delivery\n"
    "that failed itself still waits for its next attempt.  Of several replicas the one that is\n"
    "asked tells of its own.\n";

struct parks_options {
    const char *account;
    const char *rule;
    const char *target;
    bool is_all;
};

static void add_filter(struct buf *path, const char *name, const char *value)
{
    if (value != NULL) {
        CHECK(buf_printf(path, "&%s=", name) == ERR_OK);
        CHECK(cli_encode(slice_first(slice_of(value), VALUE_BYTES_MAX), path) == ERR_OK);
    }
}

static int ask_parks(const struct cli_common *common, bool lifts,
                     const struct parks_options *options)
{
    struct buf answer = {0};
    struct buf path;
    int code;

    buf_init(&path, (size_t)3 * (3 * VALUE_BYTES_MAX) + PATH_BYTES_MAX);
    CHECK(buf_printf(&path, "/v1/parks%s?%s", lifts ? "/lift" : "",
                     !lifts            ? ""
                     : options->is_all ? "all=true"
                                       : "all=false") == ERR_OK);
    add_filter(&path, "account", options->account);
    add_filter(&path, "rule", options->rule);
    add_filter(&path, "target", options->target);
    CHECK(buf_append_byte(&path, '\0') == ERR_OK);
    code = cli_ask(common, lifts ? "POST" : "GET", path.data, (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE) {
        cli_print_json(buf_slice(&answer));
    }
    buf_clean_up(&answer);
    buf_clean_up(&path);
    return code;
}

int cli_parks(int argc, char **argv)
{
    struct cli_common common = {0};
    struct parks_options parks = {0};
    const struct cli_option options[] = {{"--account", &parks.account, NULL},
                                         {"--rule", &parks.rule, NULL},
                                         {"--target", &parks.target, NULL},
                                         {"--all", NULL, &parks.is_all},
                                         {NULL, NULL, NULL}};
    const char *verb = NULL;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, &verb, 1, &operand_count, parks_usage, &code)) {
        return code;
    }
    if (operand_count == 1 && strcmp(verb, "list") == 0 && !parks.is_all) {
        return ask_parks(&common, false, &parks);
    }
    if (operand_count == 1 && strcmp(verb, "lift") == 0) {
        return ask_parks(&common, true, &parks);
    }
    (void)fprintf(stderr, "%s", parks_usage);
    return CLI_USAGE;
}
