/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_trace.c - `weir trace EVENT_ID`: one line for each decision.
 */
#include <jansson.h>

#include "core/check.h"
#include "gateway/cli.h"

static const char trace_usage[] =
    "usage: weir trace EVENT_ID [--json] [--admin URL] [--config FILE]\n"
    "\n"
    "What was decided about one of the latest events, in the order of time: received, matched,\n"
    "committed, duplicates, attempts, delivered or dead.  Kept in memory, without payloads; of\n"
    "several replicas the one that is asked tells its own part.\n";

/* "name value" for every member that the head of the line has not said. */
static void print_rest(json_t *step)
{
    static const char *const said[] = {"time", "at_ms", "account", "step"};
    const char *key;
    json_t *value;

    json_object_foreach(step, key, value)
    {
        bool is_said = false;

        for (size_t i = 0; i < ARRAY_LEN(said); i++) {
            is_said = is_said || strcmp(said[i], key) == 0;
        }
        if (!is_said && json_is_string(value)) {
            (void)printf("  %s %s", key, json_string_value(value));
        } else if (!is_said) {
            (void)printf("  %s %lld", key, (long long)json_integer_value(value));
        }
    }
}

static void print_trace(struct slice answer)
{
    json_t *trace = json_loadb(answer.data, answer.len, 0, NULL);
    json_t *steps = json_object_get(trace, "steps");
    const json_int_t omitted = json_integer_value(json_object_get(trace, "omitted"));

    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *step = json_array_get(steps, i);

        (void)printf("%s  %s  %-10s", json_string_value(json_object_get(step, "time")),
                     json_string_value(json_object_get(step, "account")),
                     json_string_value(json_object_get(step, "step")));
        print_rest(step);
        (void)printf("\n");
    }
    (void)printf("stands for %lld\n",
                 (long long)json_integer_value(json_object_get(trace, "stands_for")));
    if (omitted > 0) {
        (void)printf("%lld decisions between are not kept\n", (long long)omitted);
    }
    json_decref(trace);
}

int cli_trace(int argc, char **argv)
{
    struct cli_common common = {0};
    bool is_json = false;
    const struct cli_option options[] = {{"--json", NULL, &is_json}, {NULL, NULL, NULL}};
    const char *event_id = NULL;
    struct buf answer = {0};
    struct buf path;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, &event_id, 1, &operand_count, trace_usage,
                   &code)) {
        return code;
    }
    if (operand_count != 1 || event_id[0] == '\0') {
        (void)fprintf(stderr, "weir: an EventId is needed\n%s", trace_usage);
        return CLI_USAGE;
    }
    buf_init(&path, 4096);
    CHECK(buf_append(&path, SLICE("/v1/trace/")) == ERR_OK);
    CHECK(cli_encode(slice_first(slice_of(event_id), 512), &path) == ERR_OK);
    CHECK(buf_append_byte(&path, '\0') == ERR_OK);
    code = cli_ask(&common, "GET", path.data, (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE && is_json) {
        cli_print_json(buf_slice(&answer));
    } else if (code == CLI_DONE) {
        print_trace(buf_slice(&answer));
    }
    buf_clean_up(&answer);
    buf_clean_up(&path);
    return code;
}
