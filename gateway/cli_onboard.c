/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_onboard.c - `weir onboard`: an account of the catalog, a credential, and what the member
 * deploys.
 *
 * The template is the same for every member (deploy/cloudformation/member.json, or the Terraform
 * module beside it), so a StackSet can carry it; what is the account's own is in a file of
 * parameters: where weir is, the API key, the role that weir runs as, and the external id.  The key
 * stands in that file alone (0600), as the value of a NoEcho parameter or a sensitive variable.
 *
 * Running it again issues a new key and leaves the old one as it is, so that the member can change
 * over before it is revoked; the external id stays.  A dispatch role that somebody chose in the
 * catalog is never put over: what is deployed makes role/weir-dispatch, so another is refused.
 */
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/file.h"
#include "core/random.h"
#include "gateway/cli.h"
#include "gateway/config.h"
#include "gateway/member_cloudformation.inc"
#include "gateway/member_terraform.inc"

enum { PATH_CHARS_MAX = 1024, TEXT_CHARS_MAX = 2100, EXTERNAL_ID_BYTES = 16 };

static const char onboard_usage[] =
    "usage: weir onboard ACCOUNT [--format cloudformation|terraform] [--out DIR]\n"
    "                    [--url URL] [--weir-role ARN] [--region REGION]\n"
    "                    [--admin URL] [--config FILE]\n"
    "\n"
    "Make ACCOUNT in the catalog if it is not there, issue an API key for it, and write what the\n"
    "member deploys into DIR (onboard-ACCOUNT): rules for GuardDuty, Security Hub, Macie, "
    "CloudTrail,\n"
    "Access Analyzer and Config, the way to weir with a dead-letter queue, and the role weir "
    "assumes.\n"
    "URL is where members reach the data listener (public_url of the configuration), ARN the role\n"
    "that weir runs as (role/weir of the central account), REGION where global roles are made "
    "(the\n"
    "configuration's).  The key is in the file of parameters alone; guard it.\n";

struct member {
    struct cli_common common;
    const char *account;
    const char *format;
    const char *out;
    const char *url;
    const char *weir_role;
    const char *region;
    char text[3][TEXT_CHARS_MAX]; /* of what was not given */
    char folder[PATH_CHARS_MAX];
    json_t *shown;  /* the account */
    json_t *issued; /* its key */
};

static bool complain(const char *what)
{
    (void)fprintf(stderr, "weir: onboard: %s\n", what);
    return false;
}

/* ---- what is known ------------------------------------------------------------------------ */

/* What was not given comes from the configuration. */
static bool fill_in(struct member *member)
{
    struct config config;

    if (member->url != NULL && member->weir_role != NULL && member->region != NULL) {
        return true;
    }
    if (!cli_config(&member->common, &config)) {
        return complain("without a configuration --url, --weir-role and --region are needed");
    }
    (void)snprintf(member->text[0], TEXT_CHARS_MAX, "%.*s", SLICE_ARG(config.public_url));
    (void)snprintf(member->text[1], TEXT_CHARS_MAX, "arn:aws:iam::%.*s:role/weir",
                   SLICE_ARG(config.central_account));
    (void)snprintf(member->text[2], TEXT_CHARS_MAX, "%.*s", SLICE_ARG(config.region));
    config_clean_up(&config);
    member->url = member->url != NULL ? member->url : member->text[0];
    member->weir_role = member->weir_role != NULL ? member->weir_role : member->text[1];
    member->region = member->region != NULL ? member->region : member->text[2];
    return true;
}

static bool is_usable(const struct member *member)
{
    const struct slice url = slice_of(member->url);
    uint64_t number;

    if (strlen(member->account) != 12 || !slice_to_u64(slice_of(member->account), &number)) {
        return complain("ACCOUNT must be a 12-digit account id");
    }
    if (strcmp(member->format, "cloudformation") != 0 && strcmp(member->format, "terraform") != 0) {
        return complain("--format must be cloudformation or terraform");
    }
    if (!slice_has_prefix(url, SLICE("https://")) || url.len <= 8 ||
        slice_find(slice_from(url, 8), '/') != url.len - 8) {
        return complain("members need an https:// URL without a path: public_url, or --url");
    }
    return true;
}

/* ---- account and key ---------------------------------------------------------------------- */

/* One call whose answer is an object; NULL after the reason was printed, or for a 404 that is
 * welcome. */
static json_t *call(const struct member *member, const char *method, const char *path, json_t *body,
                    bool *is_missing)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct buf answer;
    json_t *tree = NULL;
    unsigned status = 0;

    buf_init(&answer, 1 << 20);
    if (cli_call(&member->common, method, path, slice_of(text != NULL ? text : ""), &status,
                 &answer)) {
        if (status == 200) {
            tree = json_loadb(answer.data, answer.len, 0, NULL);
        } else if (is_missing != NULL && status == 404) {
            *is_missing = true;
        } else {
            cli_print_error(status, buf_slice(&answer));
        }
    }
    buf_wipe(&answer);
    xfree(text);
    json_decref(body);
    return tree;
}

static const char *role_member(const struct member *member, const char *name)
{
    return json_string_value(
        json_object_get(json_object_get(member->shown, "dispatch_role"), name));
}

/* A role that somebody chose is theirs to change: what is deployed has `arn` and no other. */
static bool may_write_role(const struct member *member, const char *arn)
{
    const char *kept = role_member(member, "arn");
    char text[TEXT_CHARS_MAX];

    if (kept == NULL || strcmp(kept, arn) == 0) {
        return true;
    }
    (void)snprintf(text, sizeof(text),
                   "account %s has the dispatch role %.512s, without an external id; what is "
                   "deployed would make %s. Set dispatch_role.arn of the account to that, take "
                   "dispatch_role away, or give the role an external_id",
                   member->account, kept, arn);
    return complain(text);
}

/* The account, with a dispatch role that no account but this can be made to lend. */
static bool make_account(struct member *member)
{
    uint8_t bytes[EXTERNAL_ID_BYTES];
    char id[2 * EXTERNAL_ID_BYTES + 1];
    char path[64];
    char arn[64];
    json_t *body;
    bool is_missing = false;

    (void)snprintf(arn, sizeof(arn), "arn:aws:iam::%.12s:role/weir-dispatch", member->account);
    (void)snprintf(path, sizeof(path), "/v1/accounts/%.12s", member->account);
    member->shown = call(member, "GET", path, NULL, &is_missing);
    if (member->shown == NULL && !is_missing) {
        return false;
    }
    if (role_member(member, "external_id") != NULL) {
        return true;
    }
    if (!may_write_role(member, arn)) {
        return false;
    }
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    }
    body = is_missing ? json_pack("{s:[s]}", "sources", "aws.*") : json_incref(member->shown);
    json_object_set_new(body, "dispatch_role",
                        json_pack("{s:s, s:s}", "arn", arn, "external_id", id));
    json_decref(is_missing ? NULL : member->shown);
    member->shown = call(member, "PUT", path, body, NULL);
    return member->shown != NULL;
}

static bool issue_key(struct member *member)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/v1/accounts/%.12s/credentials", member->account);
    member->issued = call(member, "POST", path, json_pack("{s:s}", "kind", "api-key"), NULL);
    return member->issued != NULL;
}

/* ---- files -------------------------------------------------------------------------------- */

static bool write_file(const struct member *member, const char *name, struct slice text,
                       json_t *files)
{
    struct err_why why = {.text = ""};
    char path[2 * PATH_CHARS_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", member->folder, name);
    if (file_write_private(path, text, &why) != ERR_OK) {
        return complain(why.text);
    }
    json_array_append_new(files, json_string(path));
    return true;
}

/* The values that only this account has, by the names that the format gives them. */
static json_t *make_parameters(const struct member *member, bool is_terraform)
{
    const struct {
        const char *cloudformation;
        const char *terraform;
        const char *value;
    } values[] = {
        {"WeirUrl", "weir_url", member->url},
        {"WeirApiKeyHeader", "weir_api_key_header",
         json_string_value(json_object_get(member->issued, "header"))},
        {"WeirApiKey", "weir_api_key", json_string_value(json_object_get(member->issued, "key"))},
        {"WeirRoleArn", "weir_role_arn", member->weir_role},
        {"ExternalId", "external_id", role_member(member, "external_id")},
        {"HomeRegion", NULL, member->region},
    };
    json_t *parameters = is_terraform ? json_object() : json_array();

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (!is_terraform) {
            json_array_append_new(parameters,
                                  json_pack("{s:s, s:s}", "ParameterKey", values[i].cloudformation,
                                            "ParameterValue", values[i].value));
        } else if (values[i].terraform != NULL) {
            json_object_set_new(parameters, values[i].terraform, json_string(values[i].value));
        }
    }
    return parameters;
}

static bool write_files(const struct member *member, json_t *files)
{
    const bool is_terraform = strcmp(member->format, "terraform") == 0;
    json_t *parameters = make_parameters(member, is_terraform);
    char *text = json_dumps(parameters, JSON_INDENT(2));
    bool is_written;

    CHECK(text != NULL);
    is_written =
        write_file(member, is_terraform ? "main.tf.json" : "member.json",
                   slice_of(is_terraform ? member_terraform : member_cloudformation), files) &&
        write_file(member, is_terraform ? "terraform.tfvars.json" : "parameters.json",
                   slice_of(text), files);
    xfree(text);
    json_decref(parameters);
    return is_written;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void print_summary(const struct member *member, json_t *files)
{
    json_t *summary =
        json_pack("{s:s, s:O, s:O, s:o, s:O}", "account", member->account, "credential",
                  json_object_get(member->issued, "credential"), "dispatch_role",
                  json_object_get(json_object_get(member->shown, "dispatch_role"), "arn"), "format",
                  json_string(member->format), "files", files);
    char *text = json_dumps(summary, JSON_COMPACT);

    CHECK(text != NULL);
    cli_print_json(slice_of(text));
    xfree(text);
    json_decref(summary);
}

static bool onboard(struct member *member)
{
    json_t *files = json_array();
    bool is_done;

    (void)snprintf(member->folder, sizeof(member->folder), "%s%s",
                   member->out != NULL ? member->out : "onboard-",
                   member->out != NULL ? "" : member->account);
    if (mkdir(member->folder, 0700) != 0 && errno != EEXIST) {
        json_decref(files);
        return complain("the folder of --out cannot be made");
    }
    is_done = make_account(member) && issue_key(member) && write_files(member, files);
    if (is_done) {
        print_summary(member, files);
    }
    json_decref(files);
    json_decref(member->shown);
    json_decref(member->issued);
    return is_done;
}

int cli_onboard(int argc, char **argv)
{
    struct member member = {.format = "cloudformation"};
    const struct cli_option options[] = {
        {"--format", &member.format, NULL}, {"--out", &member.out, NULL},
        {"--url", &member.url, NULL},       {"--weir-role", &member.weir_role, NULL},
        {"--region", &member.region, NULL}, {NULL, NULL, NULL},
    };
    const char *operands[1] = {NULL};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &member.common, operands, 1, &operand_count, onboard_usage,
                   &code)) {
        return code;
    }
    if (operand_count == 0) {
        (void)fprintf(stderr, "%s", onboard_usage);
        return CLI_USAGE;
    }
    member.account = operands[0];
    if (!fill_in(&member) || !is_usable(&member)) {
        return CLI_USAGE;
    }
    return onboard(&member) ? CLI_DONE : CLI_FAILED;
}
