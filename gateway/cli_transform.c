/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_transform.c - `weir transform`: what a target would get, without a gateway.
 *
 * The target is written as in the catalog, or as EventBridge prints it (aws events
 * list-targets-by-rule); of the latter only Input, InputPath and InputTransformer are looked at.
 * It passes the same check as a catalog file, so what is refused here is refused by apply, with the
 * same words.
 *
 * Memory: one event at a time.
 */
#include <ctype.h>
#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/moment.h"
#include "gateway/api_spelling.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check.h"
#include "gateway/cli.h"
#include "gateway/cli_lines.h"
#include "gateway/input_config.h"

enum {
    TARGET_FILE_BYTES_MAX = 1 << 20,
    EVENT_LINE_BYTES_MAX = 64 << 20,
    INPUT_BYTES_MAX = 256 << 10, /* the default of limits.target_input */
};

#define EXAMPLE_QUEUE "arn:aws:sqs:us-east-1:999999999999:example.fifo"
#define EXAMPLE_RULE  "arn:aws:events:us-east-1:999999999999:rule/central/example"

static const char usage[] =
    "usage: weir transform --target TARGET.json [--rule-arn ARN] [EVENTS.ndjson]\n"
    "\n"
    "Print what the target would get of each event, a line each (a template may give more than\n"
    "one).  Without a file, events come from standard input.  TARGET.json is a target as in the\n"
    "catalog or as EventBridge prints it.  An event that cannot be rendered prints\n"
    "{\"error\": …}, and the exit code is 1 at the end.\n";

/* ---- the target ---------------------------------------------------------------------------- */

static bool is_of_the_api(json_t *target)
{
    const char *key;
    json_t *value;

    json_object_foreach(target, key, value)
    {
        if (isupper((unsigned char)key[0])) {
            return true;
        }
    }
    return false;
}

/* The target in the catalog's form, with what this command can do without filled in; the caller's
 * reference. */
static json_t *catalog_form(json_t *target)
{
    static const char *const kept[] = {"input", "input_path", "input_transformer"};
    json_t *form = json_deep_copy(target);

    if (is_of_the_api(target)) {
        json_t *renamed = api_to_catalog(target);

        json_object_clear(form);
        for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
            if (json_object_get(renamed, kept[i]) != NULL) {
                json_object_set(form, kept[i], json_object_get(renamed, kept[i]));
            }
        }
        json_decref(renamed);
    }
    if (json_object_get(form, "id") == NULL) {
        json_object_set_new(form, "id", json_string("example"));
    }
    if (json_object_get(form, "arn") == NULL) {
        json_object_set_new(form, "arn", json_string(EXAMPLE_QUEUE));
    }
    return form;
}

/* Print each mistake with its place in the target. */
static bool is_well_formed(json_t *form)
{
    static const struct slice prefix = SLICE_INIT("rules[0].targets[0]");
    json_t *file = json_pack("{s:[{s:s, s:s, s:s, s:[O]}]}", "rules", "bus", "central", "name",
                             "example", "pattern", "{\"source\":[\"example\"]}", "targets", form);
    json_t *mistakes = catalog_check(file);
    const size_t count = json_array_size(mistakes);

    CHECK(file != NULL);
    for (size_t i = 0; i < count; i++) {
        const json_t *mistake = json_array_get(mistakes, i);
        struct slice path = json_member_text(mistake, "path");

        path = slice_from(path, slice_has_prefix(path, prefix) ? prefix.len : 0);
        path = slice_from(path, slice_has_prefix(path, SLICE(".")) ? 1 : 0);
        (void)fprintf(stderr, "weir: target%s%.*s: %s\n", path.len > 0 ? ": " : "", SLICE_ARG(path),
                      json_string_value(json_object_get(mistake, "message")));
    }
    json_decref(mistakes);
    json_decref(file);
    return count == 0;
}

/* NULL transform: the event itself. */
static bool read_target(const char *path, struct arena *arena, const struct transform **transform)
{
    struct err_why why = {.text = ""};
    json_error_t fault = {.line = 0};
    json_t *target = NULL;
    json_t *form = NULL;
    struct buf text;
    bool is_good = false;

    buf_init(&text, TARGET_FILE_BYTES_MAX);
    if (file_read(path, &text, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
    } else {
        target = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &fault);
        if (!json_is_object(target)) {
            (void)fprintf(stderr, "weir: %s: %s\n", path,
                          target != NULL ? "must be an object" : fault.text);
        } else {
            form = catalog_form(target);
            is_good = is_well_formed(form);
        }
    }
    if (is_good) {
        CHECK(input_config_read(form, arena, transform, &why) == ERR_OK);
    }
    json_decref(form);
    json_decref(target);
    buf_clean_up(&text);
    return is_good;
}

/* ---- events -------------------------------------------------------------------------------- */

/* The input for one event into `out`, which is empty. */
static enum err render(const struct transform *transform, struct slice event, struct slice rule_arn,
                       struct arena *arena, struct buf *out, struct err_why *why)
{
    struct transform_source source = {
        .event = event, .rule_arn = rule_arn, .accepted_ms = moment_now_ms()};

    for (struct slice rest = rule_arn; rest.data != NULL;) {
        source.rule_name = slice_cut(&rest, '/');
    }
    TRY(json_check(event, JSON_DEPTH_MAX, why));
    if (transform == NULL) {
        return buf_append(out, event);
    }
    return transform_render(transform, &source, arena, out, why);
}

static int render_lines(const struct transform *transform, struct slice rule_arn, FILE *events)
{
    struct arena arena = {0};
    struct buf line;
    struct buf out;
    int code = CLI_DONE;

    buf_init(&line, EVENT_LINE_BYTES_MAX);
    for (;;) {
        struct err_why why = {.text = "the line is too long"};
        const enum cli_line result = cli_read_line(events, &line);

        if (result == CLI_LINE_END) {
            break;
        }
        buf_init(&out, transform != NULL ? INPUT_BYTES_MAX : EVENT_LINE_BYTES_MAX);
        if (result != CLI_LINE_READ ||
            render(transform, buf_slice(&line), rule_arn, &arena, &out, &why) != ERR_OK) {
            out.max = EVENT_LINE_BYTES_MAX;
            cli_put_error(why.text, &out);
            code = CLI_FAILED;
        }
        cli_print_line(&out);
        buf_clean_up(&out);
        arena_reset(&arena);
    }
    arena_clean_up(&arena);
    buf_clean_up(&line);
    return code;
}

int cli_transform(int argc, char **argv)
{
    struct cli_common common = {0};
    const char *target = NULL;
    const char *rule_arn = EXAMPLE_RULE;
    const char *path = NULL;
    const struct cli_option options[] = {
        {"--target", &target, NULL}, {"--rule-arn", &rule_arn, NULL}, {NULL, NULL, NULL}};
    const struct transform *transform = NULL;
    struct arena arena = {0};
    size_t operand_count;
    FILE *events = stdin;
    int code;

    if (!cli_parse(argc, argv, options, &common, &path, 1, &operand_count, usage, &code)) {
        return code;
    }
    if (target == NULL) {
        (void)fprintf(stderr, "weir: --target TARGET.json is needed\n%s", usage);
        return CLI_USAGE;
    }
    code = CLI_FAILED;
    if (path != NULL && strcmp(path, "-") != 0) {
        events = fopen(path, "rb");
    }
    if (events == NULL) {
        (void)fprintf(stderr, "weir: cannot open %s\n", path);
    } else if (read_target(target, &arena, &transform)) {
        code = cli_finish(render_lines(transform, slice_of(rule_arn), events));
    }
    if (events != NULL && events != stdin) {
        (void)fclose(events);
    }
    arena_clean_up(&arena);
    return code;
}
