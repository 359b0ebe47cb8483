/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_audit.c - `weir audit`: who did what, and whether the log still says so.
 */
#include <jansson.h>

#include "core/check.h"
#include "gateway/cli.h"

enum { PATH_CHARS = 64, LINES_DEFAULT = 100, PAGE = 1000 };

static const char audit_usage[] =
    "usage: weir audit list [--limit N] [--json]\n"
    "       weir audit verify\n"
    "       each with [--admin URL] [--config FILE]\n"
    "\n"
    "list prints the newest N records (100), newest first.  verify reads the whole log from the\n"
    "store and names each record that was changed, moved or taken out; it ends with 1 if there is\n"
    "one.  What the log keeps is set by limits.audit_records.\n";

static void print_record(const json_t *record)
{
    static const char *const members[] = {"at", "actor", "from", "action", "object", "result"};

    (void)printf("%lld", (long long)json_integer_value(json_object_get(record, "seq")));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = json_string_value(json_object_get(record, members[i]));

        (void)printf("  %s", text != NULL && text[0] != '\0' ? text : "-");
    }
    (void)printf("\n");
}

static int list(const struct cli_common *common, uint64_t count, bool is_json)
{
    json_t *all = json_array();
    uint64_t next = 0;
    int code = CLI_DONE;

    while (code == CLI_DONE && json_array_size(all) < count) {
        struct buf answer = {0};
        char path[PATH_CHARS];
        json_t *page;

        (void)snprintf(path, sizeof(path), "/v1/audit?limit=%" PRIu64 "&next=%" PRIu64,
                       MIN_OF(count - json_array_size(all), (uint64_t)PAGE), next);
        code = cli_ask(common, "GET", path, (struct slice){NULL, 0}, &answer);
        page = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
        (void)json_array_extend(all, json_object_get(page, "records"));
        next = (uint64_t)json_integer_value(json_object_get(page, "next"));
        json_decref(page);
        buf_clean_up(&answer);
        if (next == 0) {
            break;
        }
    }
    for (size_t i = 0; code == CLI_DONE && !is_json && i < json_array_size(all); i++) {
        print_record(json_array_get(all, i));
    }
    if (code == CLI_DONE && is_json) {
        char *text = json_dumps(all, JSON_COMPACT);

        CHECK(text != NULL);
        cli_print_json(slice_of(text));
        xfree(text);
    }
    json_decref(all);
    return code;
}

static int verify(const struct cli_common *common)
{
    struct buf answer = {0};
    int code = cli_ask(common, "GET", "/v1/audit/verify", (struct slice){NULL, 0}, &answer);
    json_t *tree = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
    const json_t *mistakes = json_object_get(tree, "mistakes");

    for (size_t i = 0; i < json_array_size(mistakes); i++) {
        const json_t *mistake = json_array_get(mistakes, i);

        (void)fprintf(stderr, "weir: audit: record %lld %s\n",
                      (long long)json_integer_value(json_object_get(mistake, "record")),
                      json_string_value(json_object_get(mistake, "problem")));
        code = CLI_FAILED;
    }
    if (code == CLI_DONE) {
        cli_print_json(buf_slice(&answer));
    }
    json_decref(tree);
    buf_clean_up(&answer);
    return code;
}

int cli_audit(int argc, char **argv)
{
    struct cli_common common = {0};
    const char *limit = NULL;
    bool is_json = false;
    const struct cli_option options[] = {
        {"--limit", &limit, NULL}, {"--json", NULL, &is_json}, {NULL, NULL, NULL}};
    const char *operands[1] = {NULL};
    uint64_t count = LINES_DEFAULT;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, operands, 1, &operand_count, audit_usage, &code)) {
        return code;
    }
    if (operand_count == 1 && (limit == NULL || slice_to_u64(slice_of(limit), &count))) {
        if (strcmp(operands[0], "list") == 0) {
            return list(&common, count, is_json);
        }
        if (strcmp(operands[0], "verify") == 0 && limit == NULL && !is_json) {
            return verify(&common);
        }
    }
    (void)fprintf(stderr, "%s", audit_usage);
    return CLI_USAGE;
}
