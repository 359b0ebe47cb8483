/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_account.c - `weir account`: accounts and their credentials.
 */
#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "core/tls.h"
#include "gateway/catalog.h"
#include "gateway/cli.h"

enum { PATH_BYTES_MAX = 8192, OPERANDS_MAX = 2 };

static const char account_usage[] =
    "usage: weir account list\n"
    "       weir account show|suspend|resume|remove ACCOUNT\n"
    "       weir account put ACCOUNT -f FILE [--rev REV]\n"
    "       weir account issue ACCOUNT --kind sigv4|api-key|basic|oauth|certificate|\n"
    "                                         aws-identity\n"
    "                                  [--expires 90d] [--header NAME] [--certificate FILE]\n"
    "                                  [--principal ARN] [--forwarder] [--operator]\n"
    "       weir account issue ACCOUNT --kind operator --role ROLE [--expires 90d]\n"
    "       weir account revoke CREDENTIAL\n"
    "       each with [--admin URL] [--config FILE]\n"
    "\n"
    "put makes an account from FILE, or replaces revision REV of it: what show prints can be "
    "changed\n"
    "and put again.  suspend and remove say what the account still owes: deliveries of a "
    "suspended\n"
    "account are held until resume, those of a removed one become dead letters.\n"
    "\n"
    "issue prints the new credential as one JSON object, once; it cannot be shown again.\n"
    "--certificate FILE: whose key speaks for the account; renewals with that key do as well.\n"
    "--principal ARN (aws-identity): a role, user or root of the account; whoever proves by STS "
    "to\n"
    "be it is given tokens, and there is no secret to hand over.\n"
    "--forwarder: it may send aws.* sources.  --operator (sigv4): through the EventBridge API it\n"
    "manages the buses of every account and the central one, not its own account's alone.\n"
    "A token of kind operator opens the admin listener (WEIR_TOKEN); ROLE is viewer (all but the\n"
    "content of events), payload-viewer (that too), account-admin (accounts and their senders'\n"
    "credentials) or operator (everything).\n";

struct account_options {
    const char *kind;
    const char *expires;
    const char *header;
    const char *certificate;
    char pin[DIGEST_HEX_CHARS + 1]; /* of that certificate's key */
    const char *role;
    const char *principal;
    const char *file;
    const char *rev;
    bool is_forwarder;
    bool is_operator;
};

static void issue_body(const struct account_options *options, struct buf *body)
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
    if (options->role != NULL) {
        json_object_set_new(tree, "role", json_string(options->role));
    }
    if (options->principal != NULL) {
        json_object_set_new(tree, "principal", json_string(options->principal));
    }
    text = json_dumps(tree, JSON_COMPACT);
    CHECK(text != NULL);
    CHECK(buf_append(body, slice_of(text)) == ERR_OK);
    xfree(text);
    json_decref(tree);
}

/* The account of the file; --rev stands in it as the `rev` that it was shown with. */
static bool account_body(const struct account_options *options, struct buf *body)
{
    struct err_why why = {.text = ""};
    json_error_t fault;
    json_t *tree;
    uint64_t rev = 0;
    char *text;

    if (file_read(options->file, body, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    tree =
        json_loadb(body->data != NULL ? body->data : "", body->len, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(tree) ||
        (options->rev != NULL && !slice_to_u64(slice_of(options->rev), &rev))) {
        (void)fprintf(stderr, "weir: %s\n",
                      tree == NULL ? fault.text
                                   : "the file must hold an object, and --rev is a number");
        json_decref(tree);
        return false;
    }
    if (options->rev != NULL) {
        json_object_set_new(tree, "rev", json_integer((json_int_t)rev));
    }
    text = json_dumps(tree, JSON_COMPACT);
    CHECK(text != NULL);
    buf_clear(body);
    CHECK(buf_append(body, slice_of(text)) == ERR_OK);
    xfree(text);
    json_decref(tree);
    return true;
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
    {"put", "PUT", "/v1/accounts/", "", true},
    {"remove", "DELETE", "/v1/accounts/", "", true},
    {"issue", "POST", "/v1/accounts/", "/credentials", true},
    {"revoke", "DELETE", "/v1/credentials/", "", true},
};

static int run_verb(const struct cli_common *common, const struct verb *verb, const char *operand,
                    const struct account_options *options)
{
    bool is_ready = true;
    struct buf path;
    struct buf body;
    struct buf answer = {0};
    int code;

    buf_init(&path, PATH_BYTES_MAX);
    buf_init(&body, CATALOG_DOCUMENT_BYTES_MAX);
    if (strcmp(verb->name, "issue") == 0) {
        issue_body(options, &body);
    } else if (strcmp(verb->name, "put") == 0) {
        is_ready = account_body(options, &body);
    }
    CHECK(buf_append(&path, slice_of(verb->before)) == ERR_OK);
    CHECK(cli_encode(slice_first(slice_of(operand), 256), &path) == ERR_OK);
    CHECK(buf_printf(&path, "%s%c", verb->after, '\0') == ERR_OK);
    code =
        is_ready ? cli_ask(common, verb->method, path.data, buf_slice(&body), &answer) : CLI_FAILED;
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
        {"--role", &account.role, NULL},
        {"--principal", &account.principal, NULL},
        {"-f", &account.file, NULL},
        {"--rev", &account.rev, NULL},
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
            (strcmp(verbs[i].name, "issue") != 0 || account.kind != NULL) &&
            (strcmp(verbs[i].name, "put") != 0 || account.file != NULL)) {
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
