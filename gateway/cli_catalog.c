/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_catalog.c - `weir apply`, `weir export`.
 */
#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "gateway/catalog.h"
#include "gateway/cli.h"

enum { PATH_BYTES_MAX = 8192 };

/* ---- apply -------------------------------------------------------------------------------- */

static const char apply_usage[] =
    "usage: weir apply -f CATALOG.json [--name NAME] [--dry-run] [--take-over]\n"
    "                  [--admin URL] [--config FILE]\n"
    "\n"
    "Make what NAME manages (`default`) equal to the file: accounts, buses, rules.  A section "
    "that\n"
    "the file lacks is left alone, and so is what others manage unless --take-over is given.\n"
    "--dry-run shows the changes and makes none.\n";

static void print_changes(struct slice answer, bool is_dry_run)
{
    json_t *tree = json_loadb(answer.data, answer.len, 0, NULL);
    const json_t *changes = json_object_get(tree, "changes");

    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);

        (void)printf("%-6s %s\n", json_string_value(json_object_get(change, "op")),
                     json_string_value(json_object_get(change, "name")));
    }
    (void)printf("%zu change%s%s, revision %lld\n", json_array_size(changes),
                 json_array_size(changes) == 1 ? "" : "s", is_dry_run ? " (dry run)" : " in force",
                 (long long)json_integer_value(json_object_get(tree, "rev")));
    json_decref(tree);
}

static int send_catalog(const struct cli_common *common, const char *file, const char *name,
                        bool is_dry_run, bool take_over)
{
    struct err_why why = {.text = ""};
    struct buf text;
    struct buf path;
    struct buf answer = {0};
    int code = CLI_FAILED;

    buf_init(&text, CATALOG_FILE_BYTES_MAX);
    buf_init(&path, PATH_BYTES_MAX);
    if (file_read(file, &text, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
    } else {
        CHECK(buf_append(&path, SLICE("/v1/catalog?name=")) == ERR_OK);
        CHECK(cli_encode(slice_of(name), &path) == ERR_OK);
        CHECK(buf_printf(&path, "&dry_run=%d&take_over=%d%c", is_dry_run, take_over, '\0') ==
              ERR_OK);
        code = cli_ask(common, "POST", path.data, buf_slice(&text), &answer);
    }
    if (code == CLI_DONE) {
        print_changes(buf_slice(&answer), is_dry_run);
    }
    buf_clean_up(&answer);
    buf_clean_up(&path);
    buf_clean_up(&text);
    return code;
}

int cli_apply(int argc, char **argv)
{
    struct cli_common common = {0};
    const char *file = NULL;
    const char *name = "default";
    bool is_dry_run = false;
    bool take_over = false;
    const struct cli_option options[] = {
        {"-f", &file, NULL},
        {"--name", &name, NULL},
        {"--dry-run", NULL, &is_dry_run},
        {"--take-over", NULL, &take_over},
        {NULL, NULL, NULL},
    };
    struct err_why why = {.text = ""};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, apply_usage, &code)) {
        return code;
    }
    if (catalog_name_check(slice_of(name), &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: --%s\n", why.text);
        return CLI_USAGE;
    }
    if (file == NULL) {
        (void)fprintf(stderr, "weir: -f CATALOG.json is needed\n%s", apply_usage);
        return CLI_USAGE;
    }
    return send_catalog(&common, file, name, is_dry_run, take_over);
}

/* ---- export ------------------------------------------------------------------------------- */

static const char export_usage[] = "usage: weir export [--admin URL] [--config FILE]\n"
                                   "\n"
                                   "Print the whole catalog as `weir apply` reads it.\n";

int cli_export(int argc, char **argv)
{
    struct cli_common common = {0};
    const struct cli_option options[] = {{NULL, NULL, NULL}};
    struct buf answer = {0};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, export_usage, &code)) {
        return code;
    }
    code = cli_ask(&common, "GET", "/v1/catalog", (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE) {
        /* as it came: a pattern's numbers must keep their spelling */
        (void)printf("%.*s\n", SLICE_ARG(buf_slice(&answer)));
    }
    buf_clean_up(&answer);
    return code;
}
