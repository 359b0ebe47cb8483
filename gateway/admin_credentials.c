/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_credentials.c - operators issue and revoke credentials.
 *
 * Who administrates accounts issues what their senders use.  What opens more than an account's own
 * door, an operator's token or a SigV4 key that manages every bus, is for operators to issue and to
 * revoke, or an administrator of accounts could make itself more.
 */
#include "gateway/admin_edit.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/issue.h"

/* ---- issue -------------------------------------------------------------------------------- */

static enum err check_members(json_t *body, struct err_why *why)
{
    static const struct {
        const char *name;
        json_type type;
    } known[] = {
        {"pin", JSON_STRING},    {"kind", JSON_STRING},      {"header", JSON_STRING},
        {"role", JSON_STRING},   {"expires", JSON_STRING},   {"forwarder", JSON_TRUE},
        {"operator", JSON_TRUE}, {"principal", JSON_STRING},
    };
    const char *key;
    json_t *member;

    json_object_foreach(body, key, member)
    {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            const bool is_flag = known[i].type == JSON_TRUE;

            if (strcmp(key, known[i].name) == 0) {
                is_known = true;
                if (is_flag ? !json_is_boolean(member) : !json_is_string(member)) {
                    return err_because(ERR_BAD_REQUEST, why, "%s: must be %s", known[i].name,
                                       is_flag ? "true or false" : "a string");
                }
            }
        }
        if (!is_known) {
            return err_because(ERR_BAD_REQUEST, why, "%.64s: unknown member", key);
        }
    }
    return ERR_OK;
}

static enum err read_issue(const struct admin_call *call, const struct admin_edit *edit,
                           json_t *body, struct issue_options *options, struct err_why *why)
{
    const struct slice expires = json_member_text(body, "expires");
    uint64_t span_ms = 0;

    TRY(check_members(body, why));
    if (expires.len > 0 && (moment_parse_span(expires, &span_ms) != ERR_OK || span_ms == 0)) {
        return err_because(ERR_BAD_REQUEST, why,
                           "expires: must be a span of time such as \"90d\" or \"24h\"");
    }
    if (admin_credential_is_for_operators(body) && !admin_may(&call->caller, ADMIN_RIGHT_OPERATE)) {
        return err_because(ERR_ACCESS_DENIED, why, "only an operator makes operators");
    }
    *options = (struct issue_options){
        .seal_key = control_seal_key(call->control),
        .account = call->rest,
        .kind = json_member_text(body, "kind"),
        .header = json_member_text(body, "header"),
        .role = json_member_text(body, "role"),
        .pin = json_member_text(body, "pin"),
        .principal = json_member_text(body, "principal"),
        .is_forwarder = json_is_true(json_object_get(body, "forwarder")),
        .is_operator = json_is_true(json_object_get(body, "operator")),
        .manager = slice_of(edit->manager),
        .now_ms = moment_now_ms(),
    };
    options->expires_ms = span_ms > 0 ? options->now_ms + span_ms : 0;
    return ERR_OK;
}

/* For an account of the catalog; an operator's token also for the central one. */
static enum err plan_issue(struct admin_edit *edit, const struct catalog *catalog,
                           const struct catalog_document *old, struct catalog_edit *changes)
{
    const struct slice account = json_member_text(edit->value, "account");
    char name[32];

    (void)snprintf(name, sizeof(name), "account/%.*s", SLICE_ARG(slice_first(account, 12)));
    if (catalog_get(catalog, slice_of(name)) == NULL &&
        !(slice_eq(json_member_text(edit->value, "kind"), SLICE("operator")) &&
          slice_eq(account, control_config(edit->control)->central_account))) {
        return err_because(ERR_NOT_FOUND, &edit->change.why, "%s does not exist", name);
    }
    if (old != NULL) {
        return err_because(ERR_EXISTS, &edit->change.why, "%.*s exists already",
                           SLICE_ARG(edit->name));
    }
    catalog_edit_put(changes, catalog, edit->name, edit->value);
    return ERR_OK;
}

static bool is_account_id(struct slice text)
{
    uint64_t number;

    return text.len == ACCOUNT_ID_CHARS && slice_to_u64(text, &number);
}

void admin_credential_issue(struct admin_call *call)
{
    struct admin_edit *edit = admin_edit_new(call, (struct slice){NULL, 0}, plan_issue);
    struct issue_options options;
    json_t *body = NULL;
    enum err err = is_account_id(call->rest) ? admin_edit_read_body(edit) : ERR_NOT_FOUND;

    if (err == ERR_OK) {
        body = edit->value;
        edit->value = NULL;
        err = read_issue(call, edit, body, &options, &edit->change.why);
    }
    if (err == ERR_OK) {
        err = issue_credential(&options, &edit->value, &edit->secret, &edit->change.why);
    }
    if (err == ERR_OK) {
        edit->name = arena_printf(&call->request->arena, "credential/%.*s",
                                  SLICE_ARG(json_member_text(edit->value, "id")));
    }
    json_decref(body);
    admin_edit_submit(edit, err);
}

/* ---- revoke ------------------------------------------------------------------------------- */

static enum err plan_revocation(struct admin_edit *edit, const struct catalog *catalog,
                                const struct catalog_document *old, struct catalog_edit *changes)
{
    if (admin_credential_is_for_operators(old->value) && !edit->is_by_operator) {
        return err_because(ERR_ACCESS_DENIED, &edit->change.why,
                           "only an operator revokes an operator's credential");
    }
    catalog_edit_put(changes, catalog, edit->name, NULL);
    return ERR_OK;
}

void admin_credential_revoke(struct admin_call *call)
{
    struct admin_edit *edit = admin_edit_new(
        call, arena_printf(&call->request->arena, "credential/%.*s", SLICE_ARG(call->rest)),
        plan_revocation);

    edit->must_exist = true;
    edit->answer =
        json_pack("{s:s%, s:b}", "credential", call->rest.data, call->rest.len, "revoked", 1);
    admin_edit_submit(edit, edit->answer != NULL ? ERR_OK : ERR_NOT_FOUND);
}
