/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_explain.c - `weir explain`: why an event does not match a rule.
 *
 * A pattern in a file is judged here, without a gateway; a rule that the gateway has in force, and
 * the nearest misses among all of them, are asked for over its admin listener.  "central/NAME" and
 * "ACCOUNT/BUS/NAME" name rules; any other text is a path.
 *
 * Memory: the event and the pattern, whole.
 */
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/json_write.h"
#include "gateway/cli.h"
#include "gateway/cli_lines.h"
#include "gateway/cli_lists.h"
#include "routing/event_tree.h"
#include "routing/explain.h"

enum { EVENT_BYTES_MAX = 16 << 20, ACCOUNT_DIGITS = 12 };

static const char explain_usage[] =
    "usage: weir explain --rule RULE --event FILE|- [--lists FILE] [--admin URL] [--config FILE]\n"
    "       weir explain --all --event FILE|- [--bus NAME] [--admin URL] [--config FILE]\n"
    "\n"
    "Print why an event does not match, as one JSON object: the path, the operator, the value\n"
    "wanted and the value seen of the first condition that fails; \"reason\" is missing, differs,\n"
    "elements (the value lies in another element of an array) or exhausted.\n"
    "\n"
    "  --rule RULE   a file with a pattern, or a rule of the running gateway: central/NAME or\n"
    "                ACCOUNT/BUS/NAME (write ./central/NAME for a file of that name)\n"
    "  --event FILE  one event; - is standard input\n"
    "  --all         of all rules of the event's bus and of the central bus: which match, and "
    "which\n"
    "                fail by the fewest conditions\n"
    "  --bus NAME    the bus of the event's account that it would be sent to; default: default\n"
    "\n"
    "With a pattern from a file, " CLI_LISTS_HELP;

struct explain_options {
    const char *rule;
    const char *event;
    const char *bus;
    const char *lists;
    bool is_all;
};

static bool is_label(struct slice rule)
{
    const struct slice first = slice_cut(&rule, '/');
    uint64_t account;

    return rule.data != NULL && (slice_eq(first, SLICE("central")) ||
                                 (first.len == ACCOUNT_DIGITS && slice_to_u64(first, &account)));
}

static bool read_text(const char *path, const char *what, struct buf *text)
{
    struct err_why why = {.text = ""};
    size_t count = 1;
    char *room;

    buf_init(text, EVENT_BYTES_MAX);
    if (strcmp(path, "-") != 0) {
        if (file_read(path, text, &why) == ERR_OK) {
            return true;
        }
        (void)fprintf(stderr, "weir: %s: %s\n", what, why.text);
        return false;
    }
    while (count > 0) {
        if (buf_reserve(text, 65536, &room) != ERR_OK) {
            (void)fprintf(stderr, "weir: %s: is too large\n", what);
            return false;
        }
        count = fread(room, 1, 65536, stdin);
        text->len += count;
    }
    return true;
}

/* ---- here ---------------------------------------------------------------------------------- */

static enum err explain_here(struct slice rule, struct slice event,
                             const struct partner_lists *lists, struct arena *arena,
                             struct buf *out, struct err_why *why)
{
    size_t steps_left = PATTERN_STEPS_MAX;
    struct pattern *pattern = NULL;
    struct event_tree *tree;
    struct explanation explanation;
    struct json_writer writer;
    enum err err;

    TRY(pattern_compile(slice_trim(rule), &pattern, why));
    err = cli_lists_check(lists, pattern, why);
    if (err == ERR_OK) {
        err = event_tree_read(event, arena, &tree, why);
    }
    if (err == ERR_OK) {
        event_tree_use_lists(tree, lists);
        explain(pattern, tree, &steps_left, &explanation);
        buf_init(out, SIZE_MAX / 2);
        json_write_begin(&writer, out);
        json_write_object_begin(&writer);
        explain_write(&explanation, &writer);
        json_write_object_end(&writer);
        err = json_write_end(&writer);
    }
    pattern_release(pattern);
    return err;
}

static int explain_file(const struct explain_options *options, struct slice event, struct buf *out)
{
    struct err_why why = {.text = ""};
    struct partner_lists *lists = NULL;
    struct arena arena = {0};
    struct buf rule = {0};
    int code = CLI_FAILED;

    if (cli_lists_read(options->lists, &lists) && read_text(options->rule, "the rule", &rule)) {
        if (explain_here(buf_slice(&rule), event, lists, &arena, out, &why) == ERR_OK) {
            code = CLI_DONE;
        } else {
            (void)fprintf(stderr, "weir: %s\n", why.text);
        }
    }
    partner_lists_release(lists);
    arena_clean_up(&arena);
    buf_clean_up(&rule);
    return code;
}

/* ---- there --------------------------------------------------------------------------------- */

static int explain_there(const struct cli_common *common, const struct explain_options *options,
                         struct slice event, struct buf *out)
{
    struct err_why why = {.text = ""};
    struct json_writer writer;
    struct buf body;
    int code;

    if (json_check(event, JSON_DEPTH_MAX, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: the event: %s\n", why.text);
        return CLI_FAILED;
    }
    buf_init(&body, SIZE_MAX / 2);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    if (options->is_all) {
        json_write_key_bool(&writer, SLICE("all"), true);
    } else {
        json_write_key_string(&writer, SLICE("rule"), slice_of(options->rule));
    }
    if (options->bus != NULL) {
        json_write_key_string(&writer, SLICE("bus"), slice_of(options->bus));
    }
    json_write_key(&writer, SLICE("event"));
    json_write_raw(&writer, slice_trim(event));
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    code = cli_ask(common, "POST", "/v1/explain", buf_slice(&body), out);
    buf_clean_up(&body);
    return code;
}

static const char *find_misuse(const struct explain_options *options)
{
    if (options->event == NULL) {
        return "--event is needed";
    }
    if ((options->rule != NULL) == options->is_all) {
        return "--rule or --all is needed, and not both";
    }
    if (options->rule != NULL && strcmp(options->rule, "-") == 0) {
        return "--rule must be a file or a rule";
    }
    if (options->lists != NULL && (options->is_all || is_label(slice_of(options->rule)))) {
        return "--lists goes with a pattern from a file";
    }
    return options->bus != NULL && !options->is_all ? "--bus goes with --all" : NULL;
}

int cli_explain(int argc, char **argv)
{
    struct cli_common common = {0};
    struct explain_options chosen = {0};
    const struct cli_option options[] = {
        {"--rule", &chosen.rule, NULL},  {"--event", &chosen.event, NULL},
        {"--bus", &chosen.bus, NULL},    {"--lists", &chosen.lists, NULL},
        {"--all", NULL, &chosen.is_all}, {NULL, NULL, NULL},
    };
    struct buf out = {0};
    struct buf event;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, explain_usage, &code)) {
        return code;
    }
    if (find_misuse(&chosen) != NULL) {
        (void)fprintf(stderr, "weir: %s\n%s", find_misuse(&chosen), explain_usage);
        return CLI_USAGE;
    }
    code = CLI_FAILED;
    if (read_text(chosen.event, "the event", &event)) {
        code = chosen.is_all || is_label(slice_of(chosen.rule))
                   ? explain_there(&common, &chosen, buf_slice(&event), &out)
                   : explain_file(&chosen, buf_slice(&event), &out);
    }
    if (code == CLI_DONE) {
        cli_print_line(&out);
    }
    buf_clean_up(&event);
    buf_clean_up(&out);
    return cli_finish(code);
}
