/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_catalog.c - `weir apply`, `weir export`, `weir account`.
 */
#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "core/tls.h"
#include "gateway/catalog.h"
#include "gateway/cli.h"

enum { PATH_BYTES_MAX = 8192, OPERANDS_MAX = 2 };

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

/* ---- account ------------------------------------------------------------------------------ */

static const char account_usage[] =
    "usage: weir account list\n"
    "       weir account show|suspend|resume ACCOUNT\n"
    "       weir account issue ACCOUNT --kind sigv4|api-key|basic|oauth|certificate\n"
    "                                  [--expires 90d] [--header NAME] [--certificate FILE]\n"
    "                                  [--forwarder] [--operator]\n"
    "       weir account revoke CREDENTIAL\n"
    "       each with [--admin URL] [--config FILE]\n"
    "\n"
    "issue prints the new credential as one JSON object, once; it cannot be shown again.\n"
    "--certificate FILE: whose key speaks for the account; renewals with that key do as well.\n"
    "--forwarder: it may send aws.* sources.  --operator (sigv4): through the EventBridge API it\n"
    "manages the buses of every account and the central one, not its own account's alone.\n";

struct account_options {
    const char *kind;
    const char *expires;
    const char *header;
    const char *certificate;
    char pin[DIGEST_HEX_CHARS + 1]; /* of that certificate's key */
    bool is_forwarder;
    bool is_operator;
};

static struct slice issue_body(const struct account_options *options, struct buf *body)
{
    json_t *tree =
        json_pack("{s:s, s:b, s:b}", "kind", options->kind, "forwarder",
                  options->is_forwarder ? 1 : 0, "operator", options->is_operator ? 1 : 0);
    char *text;

    CHECK(tree != NULL);
    if (options->expires != NULL) {
        json_object_set_new(tree, "expires", json_string(options->expires));
    }
    if (options->header != NULL) {
        json_object_set_new(tree, "header", json_string(options->header));
    }
    if (options->pin[0] != '\0') {
        json_object_set_new(tree, "pin", json_string(options->pin));
    }
    text = json_dumps(tree, JSON_COMPACT);
    CHECK(text != NULL);
    CHECK(buf_append(body, slice_of(text)) == ERR_OK);
    xfree(text);
    json_decref(tree);
    return buf_slice(body);
}

static bool read_pin(struct account_options *options)
{
    struct err_why why = {.text = ""};
    struct digest pin;

    if (options->certificate == NULL) {
        return true;
    }
    digest_init();
    if (tls_pin_of_file(options->certificate, &pin, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    digest_hex(&pin, options->pin);
    return true;
}

/* What each verb asks the gateway. */
static const struct verb {
    const char *name;
    const char *method;
    const char *before; /* path before the operand */
    const char *after;
    bool needs_operand;
} verbs[] = {
    {"list", "GET", "/v1/accounts", "", false},
    {"show", "GET", "/v1/accounts/", "", true},
    {"suspend", "POST", "/v1/accounts/", "/suspend", true},
    {"resume", "POST", "/v1/accounts/", "/resume", true},
    {"issue", "POST", "/v1/accounts/", "/credentials", true},
    {"revoke", "DELETE", "/v1/credentials/", "", true},
};

static int run_verb(const struct cli_common *common, const struct verb *verb, const char *operand,
                    const struct account_options *options)
{
    const bool is_issue = strcmp(verb->name, "issue") == 0;
    struct buf path;
    struct buf body;
    struct buf answer = {0};
    int code;

    buf_init(&path, PATH_BYTES_MAX);
    buf_init(&body, PATH_BYTES_MAX);
    CHECK(buf_append(&path, slice_of(verb->before)) == ERR_OK);
    CHECK(cli_encode(slice_first(slice_of(operand), 256), &path) == ERR_OK);
    CHECK(buf_printf(&path, "%s%c", verb->after, '\0') == ERR_OK);
    code = cli_ask(common, verb->method, path.data,
                   is_issue ? issue_body(options, &body) : (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE) {
        cli_print_json(buf_slice(&answer));
    }
    buf_wipe(&answer);
    buf_clean_up(&body);
    buf_clean_up(&path);
    return code;
}

/* Every page of the list, as one. */
static int list_accounts(const struct cli_common *common)
{
    json_t *all = json_array();
    json_t *whole = json_pack("{s:o}", "accounts", all);
    char path[64] = "/v1/accounts?limit=1000";
    char *text;
    int code = CLI_DONE;

    while (code == CLI_DONE && path[0] != '\0') {
        struct buf answer = {0};
        json_t *page;
        const char *next;

        code = cli_ask(common, "GET", path, (struct slice){NULL, 0}, &answer);
        page = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
        next = json_string_value(json_object_get(page, "next"));
        (void)json_array_extend(all, json_object_get(page, "accounts"));
        path[0] = '\0';
        if (next != NULL) {
            (void)snprintf(path, sizeof(path), "/v1/accounts?limit=1000&next=%.12s", next);
        }
        json_decref(page);
        buf_clean_up(&answer);
    }
    text = json_dumps(whole, JSON_COMPACT);
    CHECK(text != NULL);
    if (code == CLI_DONE) {
        cli_print_json(slice_of(text));
    }
    xfree(text);
    json_decref(whole);
    return code;
}

int cli_account(int argc, char **argv)
{
    struct cli_common common = {0};
    struct account_options account = {0};
    const struct cli_option options[] = {
        {"--kind", &account.kind, NULL},
        {"--expires", &account.expires, NULL},
        {"--header", &account.header, NULL},
        {"--certificate", &account.certificate, NULL},
        {"--forwarder", NULL, &account.is_forwarder},
        {"--operator", NULL, &account.is_operator},
        {NULL, NULL, NULL},
    };
    const char *operands[OPERANDS_MAX] = {NULL, NULL};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, operands, OPERANDS_MAX, &operand_count,
                   account_usage, &code)) {
        return code;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs) && operand_count > 0; i++) {
        if (strcmp(verbs[i].name, operands[0]) == 0 &&
            verbs[i].needs_operand == (operand_count == 2) &&
            (strcmp(verbs[i].name, "issue") != 0 || account.kind != NULL)) {
            if (!verbs[i].needs_operand) {
                return list_accounts(&common);
            }
            return read_pin(&account) ? run_verb(&common, &verbs[i], operands[1], &account)
                                      : CLI_FAILED;
        }
    }
    (void)fprintf(stderr, "%s", account_usage);
    return CLI_USAGE;
}
