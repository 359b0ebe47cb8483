/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_accounts.c - operators look at accounts, make them, replace, suspend and remove them.
 *
 * An account that is shown can be sent back: `rev` stands in for If-Match; `credentials`, `manager`
 * and the health of its role are passed over.  Suspending and removing say what the account still
 * owes at that moment, because it will not go away by itself: a suspended account's deliveries are
 * held, a removed one's become dead letters.
 */
#include "gateway/admin_edit.h"

#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog_check.h"

enum { ACCOUNTS_PAGE_DEFAULT = 100, ACCOUNTS_PAGE_MAX = 1000 };

/* ---- looking ------------------------------------------------------------------------------ */

/* The credentials of the catalog, grouped by account: one walk for a whole page of accounts. */
struct grouping {
    struct map by_account; /* id -> json_t array, whose references end with it */
    struct arena arena;
};

/* A credential as it may be shown: nothing that makes it secret. */
static json_t *describe_credential(const json_t *credential)
{
    static const char *const members[] = {"id",         "kind",      "expires_ms",
                                          "created_ms", "forwarder", "operator",
                                          "header",     "role",      "principal"};
    json_t *shown = json_object();

    for (size_t k = 0; k < ARRAY_LEN(members); k++) {
        json_t *member = json_object_get(credential, members[k]);

        if (member != NULL) {
            json_object_set(shown, members[k], member);
        }
    }
    return shown;
}

static void group_credentials(const struct catalog *catalog, struct grouping *grouping)
{
    size_t count;
    const struct catalog_document **documents;

    *grouping = (struct grouping){0};
    documents = catalog_of_kind(catalog, SLICE("credential"), &grouping->arena, &count);
    for (size_t i = 0; i < count; i++) {
        const struct slice account = json_member_text(documents[i]->value, "account");
        json_t *group = map_get(&grouping->by_account, account);

        if (group == NULL) {
            group = json_array();
            CHECK(group != NULL);
            (void)map_put(&grouping->by_account, account, group);
        }
        json_array_append_new(group, describe_credential(documents[i]->value));
    }
}

static void ungroup(struct grouping *grouping)
{
    json_t *group;
    size_t cursor = 0;

    while ((group = map_next(&grouping->by_account, &cursor)) != NULL) {
        json_decref(group);
    }
    map_clean_up(&grouping->by_account);
    arena_clean_up(&grouping->arena);
}

static json_t *describe_moment(uint64_t ms)
{
    char iso[MOMENT_ISO_CHARS];

    if (ms == 0) {
        return json_null();
    }
    moment_to_iso(ms, iso);
    return json_stringn(iso, sizeof(iso));
}

/* {"state","checked_at","since","error"}; null without a role. */
static json_t *describe_role(struct control *control, struct slice account)
{
    struct control_description process;
    struct role_health health;

    control_describe(control, &process);
    if (!role_watch_read(process.roles, account, &health)) {
        return json_null();
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "state", role_state_name(health.state), "checked_at",
                     describe_moment(health.checked_ms), "since", describe_moment(health.since_ms),
                     "error",
                     health.err == ERR_OK ? json_null()
                                          : json_pack("{s:s, s:s}", "code", err_name(health.err),
                                                      "message", health.message));
}

static json_t *describe_account(struct control *control, const struct catalog_document *account,
                                const struct grouping *grouping)
{
    json_t *description = json_deep_copy(account->value);
    json_t *credentials = map_get(&grouping->by_account, json_member_text(account->value, "id"));

    if (credentials != NULL) {
        json_object_set(description, "credentials", credentials);
    } else {
        json_object_set_new(description, "credentials", json_array());
    }
    json_object_set_new(description, "suspended",
                        json_boolean(json_is_true(json_object_get(description, "is_suspended"))));
    json_object_del(description, "is_suspended");
    json_object_set_new(description, "dispatch_role_health",
                        describe_role(control, json_member_text(account->value, "id")));
    json_object_set_new(description, "rev", json_integer((json_int_t)account->rev));
    return description;
}

json_t *admin_account_describe(struct control *control, const struct catalog_document *account)
{
    struct grouping grouping;
    json_t *description;

    group_credentials(control_catalog(control), &grouping);
    description = describe_account(control, account, &grouping);
    ungroup(&grouping);
    return description;
}

/* `limit` and `next` of the query: how many accounts, after which id. */
static enum err read_page(const struct admin_call *call, size_t *count_max, struct slice *after,
                          struct err_why *why)
{
    const struct slice limit = admin_parameter(call, SLICE("limit"));
    uint64_t number = ACCOUNTS_PAGE_DEFAULT;

    if (limit.data != NULL && (!slice_to_u64(limit, &number) || number == 0)) {
        return err_because(ERR_BAD_REQUEST, why, "limit: must be a number of at least 1");
    }
    *count_max = (size_t)MIN_OF(number, (uint64_t)ACCOUNTS_PAGE_MAX);
    *after = admin_parameter(call, SLICE("next"));
    return ERR_OK;
}

void admin_account_list(struct admin_call *call)
{
    const struct catalog *catalog = control_catalog(call->control);
    struct err_why why = {.text = ""};
    struct grouping grouping;
    json_t *list;
    json_t *answer;
    struct slice after;
    size_t count_max;
    size_t count;
    const struct catalog_document **documents;
    const enum err err = read_page(call, &count_max, &after, &why);

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
        return;
    }
    list = json_array();
    answer = json_pack("{s:o}", "accounts", list);
    documents = catalog_of_kind(catalog, SLICE("account"), &call->request->arena, &count);
    group_credentials(catalog, &grouping);
    for (size_t i = 0; i < count; i++) {
        const struct slice id = json_member_text(documents[i]->value, "id");

        if (slice_compare(id, after) <= 0) {
            continue;
        }
        if (json_array_size(list) == count_max) {
            const json_t *last = json_array_get(list, count_max - 1);

            json_object_set(answer, "next", json_object_get(last, "id"));
            break;
        }
        json_array_append_new(list, describe_account(call->control, documents[i], &grouping));
    }
    ungroup(&grouping);
    admin_respond_tree(call->request, 200, answer);
}

void admin_account_show(struct admin_call *call)
{
    const struct catalog *catalog = control_catalog(call->control);
    const struct catalog_document *account = catalog_get(catalog, admin_account_name(call));

    if (account == NULL) {
        admin_respond_error(call->request, ERR_NOT_FOUND, NULL);
        return;
    }
    admin_edit_set_tag(call->request, account->rev);
    admin_respond_tree(call->request, 200, admin_account_describe(call->control, account));
}

/* ---- what only an operator may ------------------------------------------------------------ */

bool admin_credential_is_for_operators(const json_t *credential)
{
    return slice_eq(json_member_text(credential, "kind"), SLICE("operator")) ||
           json_is_true(json_object_get(credential, "operator"));
}

/* Whoever administrates accounts shuts no operator out by the account that his token belongs to. */
static enum err check_lock_out(struct admin_edit *edit, const struct catalog *catalog)
{
    struct arena arena = {0};
    enum err err = ERR_OK;
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("credential"), &arena, &count);

    for (size_t i = 0; i < count && !edit->is_by_operator; i++) {
        if (slice_eq(json_member_text(documents[i]->value, "account"), edit->debtor) &&
            admin_credential_is_for_operators(documents[i]->value)) {
            err = err_because(ERR_ACCESS_DENIED, &edit->change.why,
                              "operators' credentials belong to this account: only an operator "
                              "may suspend or remove it");
        }
    }
    arena_clean_up(&arena);
    return err;
}

/* ---- suspend and resume ------------------------------------------------------------------- */

static enum err plan_suspension(struct admin_edit *edit, const struct catalog *catalog,
                                const struct catalog_document *old, struct catalog_edit *changes)
{
    const bool is_suspended = json_is_true(json_object_get(edit->answer, "suspended"));
    json_t *value;

    TRY(is_suspended ? check_lock_out(edit, catalog) : ERR_OK);
    value = json_deep_copy(old->value);
    json_object_set_new(value, "is_suspended", json_boolean(is_suspended));
    if (!json_equal(value, old->value)) {
        catalog_edit_put(changes, catalog, edit->name, value);
    }
    json_decref(value);
    return ERR_OK;
}

static void set_suspension(struct admin_call *call, bool is_suspended)
{
    struct admin_edit *edit = admin_edit_new(call, admin_account_name(call), plan_suspension);

    edit->must_exist = true;
    edit->tells_debts = is_suspended;
    edit->answer = json_pack("{s:s%, s:b}", "account", call->rest.data, call->rest.len, "suspended",
                             is_suspended ? 1 : 0);
    admin_edit_submit(edit, edit->answer != NULL ? ERR_OK : ERR_NOT_FOUND);
}

void admin_account_suspend(struct admin_call *call)
{
    set_suspension(call, true);
}

void admin_account_resume(struct admin_call *call)
{
    set_suspension(call, false);
}

/* ---- make and replace --------------------------------------------------------------------- */

/* ERR_BAD_CATALOG with the first mistake of the account in `why`. */
static enum err check_account(json_t *value, struct err_why *why)
{
    json_t *file = json_pack("{s:[O]}", "accounts", value);
    json_t *mistakes = catalog_check(file);
    const json_t *first = json_array_get(mistakes, 0);
    const struct slice path = json_member_text(first, "path");
    enum err err = ERR_OK;

    if (first != NULL) {
        err = err_because(ERR_BAD_CATALOG, why, "%.*s: %.*s",
                          SLICE_ARG(slice_from(path, strlen("accounts[0]."))),
                          SLICE_ARG(json_member_text(first, "message")));
    }
    json_decref(mistakes);
    json_decref(file);
    return err;
}

/* What was shown beside the account and is not its own. */
static enum err take_apart(struct admin_edit *edit, const struct admin_call *call,
                           struct err_why *why)
{
    const json_t *rev = json_object_get(edit->value, "rev");
    const json_t *suspended = json_object_get(edit->value, "suspended");
    const struct slice id = json_member_text(edit->value, "id");

    if (id.len > 0 && !slice_eq(id, call->rest)) {
        return err_because(ERR_BAD_REQUEST, why, "id: is not the account of the path");
    }
    if (suspended != NULL && !json_is_boolean(suspended)) {
        return err_because(ERR_BAD_REQUEST, why, "suspended: must be true or false");
    }
    if (json_is_integer(rev) && !edit->has_condition) {
        edit->has_condition = true;
        edit->wanted_rev = (uint64_t)json_integer_value(rev);
    }
    edit->sets_suspension = suspended != NULL;
    edit->is_suspended = json_is_true(suspended);
    json_object_set_new(edit->value, "id", json_stringn(call->rest.data, call->rest.len));
    json_object_del(edit->value, "rev");
    json_object_del(edit->value, "suspended");
    json_object_del(edit->value, "credentials");
    json_object_del(edit->value, "dispatch_role_health");
    json_object_del(edit->value, "manager");
    return check_account(edit->value, why);
}

static enum err plan_account(struct admin_edit *edit, const struct catalog *catalog,
                             const struct catalog_document *old, struct catalog_edit *changes)
{
    const bool was_suspended =
        old != NULL && json_is_true(json_object_get(old->value, "is_suspended"));
    const struct slice manager =
        old != NULL ? json_member_text(old->value, "manager") : SLICE("api:");
    json_t *value;

    if (old != NULL && !edit->has_condition) {
        return err_because(ERR_EXISTS, &edit->change.why,
                           "it exists; name its revision %" PRIu64 " in If-Match to replace it",
                           old->rev);
    }
    if (!slice_has_prefix(manager, SLICE("api:")) && !edit->takes_over) {
        return err_because(ERR_CONFLICT, &edit->change.why,
                           "it is managed by %.*s; take_over=true makes it yours",
                           SLICE_ARG(manager));
    }
    if (edit->is_suspended && !was_suspended) {
        TRY(check_lock_out(edit, catalog));
    }
    value = json_deep_copy(edit->value);
    json_object_set_new(value, "manager", json_string(edit->manager));
    if (edit->sets_suspension ? edit->is_suspended : was_suspended) {
        json_object_set_new(value, "is_suspended", json_true());
    }
    catalog_edit_put(changes, catalog, edit->name, value);
    json_decref(value);
    return ERR_OK;
}

static json_t *show_account(struct admin_edit *edit, const struct catalog *catalog)
{
    const struct catalog_document *account = catalog_get(catalog, edit->name);

    if (account == NULL) { /* another replica removed it since */
        return json_object();
    }
    admin_edit_set_tag(edit->request, account->rev);
    return admin_account_describe(edit->control, account);
}

void admin_account_put(struct admin_call *call)
{
    struct admin_edit *edit = admin_edit_new(call, admin_account_name(call), plan_account);
    enum err err = admin_edit_read_body(edit);

    edit->describe = show_account;
    edit->takes_over = admin_is_on(admin_parameter(call, SLICE("take_over")));
    if (err == ERR_OK) {
        err = take_apart(edit, call, &edit->change.why);
    }
    admin_edit_submit(edit, err);
}

/* ---- remove ------------------------------------------------------------------------------- */

/* The account, and whatever opens in its name: keys must not come back to life when an account of
 * that id is made again. */
static enum err plan_removal(struct admin_edit *edit, const struct catalog *catalog,
                             const struct catalog_document *old, struct catalog_edit *changes)
{
    const struct slice id = json_member_text(old->value, "id");
    const struct catalog_document **documents;
    struct arena arena = {0};
    json_t *revoked;
    size_t count;

    TRY(check_lock_out(edit, catalog));
    revoked = json_array();
    documents = catalog_of_kind(catalog, SLICE("credential"), &arena, &count);
    catalog_edit_put(changes, catalog, edit->name, NULL);
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(json_member_text(documents[i]->value, "account"), id)) {
            catalog_edit_put(changes, catalog, slice_of(documents[i]->name), NULL);
            json_array_append(revoked, json_object_get(documents[i]->value, "id"));
        }
    }
    arena_clean_up(&arena);
    json_object_set_new(edit->answer, "credentials_revoked", revoked);
    json_object_set(edit->answer, "manager", json_object_get(old->value, "manager"));
    return ERR_OK;
}

void admin_account_remove(struct admin_call *call)
{
    struct admin_edit *edit = admin_edit_new(call, admin_account_name(call), plan_removal);

    edit->must_exist = true;
    edit->tells_debts = true;
    edit->answer =
        json_pack("{s:s%, s:b}", "account", call->rest.data, call->rest.len, "removed", 1);
    admin_edit_submit(edit, edit->answer != NULL ? ERR_OK : ERR_NOT_FOUND);
}
