/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_catalog.c - operators change and read the catalog: apply, export, accounts, credentials.
 *
 * Each change is a control_change: planned against the catalog as it is when its turn comes, and
 * answered when every worker uses the outcome.
 */
#include "gateway/admin.h"

#include <openssl/crypto.h>

#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog_check.h"
#include "gateway/catalog_file.h"
#include "gateway/catalog_plan.h"
#include "gateway/issue.h"

enum { ACCOUNTS_PAGE_DEFAULT = 100, ACCOUNTS_PAGE_MAX = 1000 };
enum { BODY_DEPTH_MAX = 32, NAME_CHARS_MAX = 128, SHOWN_BYTES_MAX = 4096 };

/* ---- apply and export --------------------------------------------------------------------- */

struct application {
    struct control_change change;
    struct request *request;
    json_t *file;
    json_t *changes;
    char manager[CATALOG_MANAGER_CHARS_MAX + 8];
    bool is_dry_run;
    bool take_over;
};

/* The answer: {"changes":[…],"applied":BOOL,"rev":N}, or {"error":…,"mistakes":[…]}. */
static void respond_tree(struct request *request, unsigned status, json_t *tree)
{
    char *text = json_dumps(tree, JSON_COMPACT);

    CHECK(text != NULL);
    request->response.status = status;
    request->response.content_type = SLICE("application/json");
    request->response.body = arena_copy(&request->arena, slice_of(text));
    xfree(text);
    json_decref(tree);
    request_respond(request);
}

static enum err plan_application(struct control_change *change, const struct catalog *catalog,
                                 struct catalog_edit *edit)
{
    struct application *application = change->context;
    const struct catalog_plan_options options = {
        .manager = slice_of(application->manager),
        .take_over = application->take_over,
    };
    enum err err;

    json_decref(application->changes); /* of a plan that another replica's change has overtaken */
    application->changes = NULL;
    err = catalog_plan(catalog, application->file, &options, edit, &application->changes,
                       &change->why);
    if (err == ERR_OK && application->is_dry_run) {
        catalog_edit_clean_up(edit);
        catalog_edit_init(edit);
    }
    return err;
}

static void on_applied(struct control_change *change, enum err err)
{
    struct application *application = change->context;

    if (err != ERR_OK) {
        admin_respond_error(application->request, err, &change->why);
    } else {
        respond_tree(application->request, 200,
                     json_pack("{s:O, s:b, s:I}", "changes", application->changes, "applied",
                               application->is_dry_run ? 0 : 1, "rev", (json_int_t)change->rev));
    }
    json_decref(application->changes);
    json_decref(application->file);
    xfree(application);
}

static bool is_on(struct slice value)
{
    return slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("1"));
}

static void respond_mistakes(struct request *request, json_t *mistakes)
{
    respond_tree(request, 400,
                 json_pack("{s:{s:s, s:s}, s:o}", "error", "code", err_code(ERR_BAD_CATALOG),
                           "message", err_text(ERR_BAD_CATALOG), "mistakes", mistakes));
}

void admin_catalog_apply(struct admin_call *call)
{
    struct request *request = call->request;
    struct slice name = admin_parameter(call, SLICE("name"));
    struct application *application;
    struct err_why why = {.text = ""};
    json_t *file = NULL;
    json_t *mistakes;
    enum err err;

    name = name.data != NULL ? name : SLICE("default");
    err = catalog_name_check(name, &why);
    if (err == ERR_OK) {
        err = catalog_file_read(buf_slice(&request->body), &file, &why);
    }
    if (err != ERR_OK) {
        admin_respond_error(request, err, &why);
        return;
    }
    mistakes = catalog_check(file);
    if (json_array_size(mistakes) > 0) {
        json_decref(file);
        respond_mistakes(request, mistakes);
        return;
    }
    json_decref(mistakes);
    application = xcalloc(1, sizeof(*application));
    application->request = request;
    application->file = file;
    application->is_dry_run = is_on(admin_parameter(call, SLICE("dry_run")));
    application->take_over = is_on(admin_parameter(call, SLICE("take_over")));
    (void)snprintf(application->manager, sizeof(application->manager), "apply:%.*s",
                   SLICE_ARG(name));
    application->change = (struct control_change){
        .plan = plan_application, .on_done = on_applied, .context = application};
    control_submit(call->control, &application->change);
}

void admin_catalog_export(struct admin_call *call)
{
    struct buf out;
    enum err err;

    buf_init(&out, CATALOG_FILE_BYTES_MAX);
    err = catalog_file_write(control_catalog(call->control), &out);
    if (err == ERR_OK) {
        admin_respond_json(call->request, buf_slice(&out));
    } else {
        admin_respond_error(call->request, err, NULL);
    }
    buf_clean_up(&out);
}

/* ---- accounts ----------------------------------------------------------------------------- */

static struct slice account_document(struct admin_call *call, struct slice id)
{
    return arena_printf(&call->request->arena, "account/%.*s", SLICE_ARG(id));
}

/* The credentials of the catalog, grouped by account: one walk for a whole page of accounts. */
struct grouping {
    struct map by_account; /* id -> json_t array, whose references end with it */
    struct arena arena;
};

/* A credential as it may be shown: nothing that makes it secret. */
static json_t *describe_credential(const json_t *credential)
{
    static const char *const members[] = {"id",        "kind",     "expires_ms", "created_ms",
                                          "forwarder", "operator", "header"};
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

static json_t *describe_account(const struct admin_call *call,
                                const struct catalog_document *account,
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
                        describe_role(call->control, json_member_text(account->value, "id")));
    json_object_set_new(description, "rev", json_integer((json_int_t)account->rev));
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
        json_array_append_new(list, describe_account(call, documents[i], &grouping));
    }
    ungroup(&grouping);
    respond_tree(call->request, 200, answer);
}

void admin_account_show(struct admin_call *call)
{
    const struct catalog *catalog = control_catalog(call->control);
    const struct catalog_document *account =
        catalog_get(catalog, account_document(call, call->rest));
    struct grouping grouping;

    if (account == NULL) {
        admin_respond_error(call->request, ERR_NOT_FOUND, NULL);
        return;
    }
    group_credentials(catalog, &grouping);
    respond_tree(call->request, 200, describe_account(call, account, &grouping));
    ungroup(&grouping);
}

/* ---- one document at a time --------------------------------------------------------------- */

/* A change of one existing or new document, answered with `answer`. */
struct edit_of_one {
    struct control_change change;
    struct request *request;
    struct slice name;    /* in the request's arena */
    struct slice account; /* must exist as well, if not empty */
    bool must_exist;
    bool must_be_new;
    json_t *value; /* NULL with must_exist: delete, or see is_suspended */
    bool changes_suspension;
    bool is_suspended;
    struct buf answer;
};

static enum err plan_one(struct control_change *change, const struct catalog *catalog,
                         struct catalog_edit *edit)
{
    struct edit_of_one *one = change->context;
    const struct catalog_document *old = catalog_get(catalog, one->name);

    if ((one->must_exist && old == NULL) ||
        (one->account.len > 0 && catalog_get(catalog, one->account) == NULL)) {
        return err_because(ERR_NOT_FOUND, &change->why, "%.*s does not exist",
                           SLICE_ARG(one->must_exist ? one->name : one->account));
    }
    if (one->must_be_new && old != NULL) {
        return err_because(ERR_EXISTS, &change->why, "%.*s exists already", SLICE_ARG(one->name));
    }
    if (one->changes_suspension) {
        json_t *value = json_deep_copy(old->value);

        json_object_set_new(value, "is_suspended", json_boolean(one->is_suspended));
        catalog_edit_put(edit, catalog, one->name, value);
        json_decref(value);
        return ERR_OK;
    }
    catalog_edit_put(edit, catalog, one->name, one->value);
    return ERR_OK;
}

static void on_one_done(struct control_change *change, enum err err)
{
    struct edit_of_one *one = change->context;

    if (err == ERR_OK) {
        admin_respond_json(one->request, buf_slice(&one->answer));
    } else {
        admin_respond_error(one->request, err, &change->why);
    }
    json_decref(one->value);
    buf_wipe(&one->answer);
    xfree(one);
}

static struct edit_of_one *edit_new(struct admin_call *call, struct slice name)
{
    struct edit_of_one *one = xcalloc(1, sizeof(*one));

    one->request = call->request;
    one->name = name;
    buf_init(&one->answer, SHOWN_BYTES_MAX);
    one->change = (struct control_change){.plan = plan_one, .on_done = on_one_done, .context = one};
    return one;
}

static void set_suspension(struct admin_call *call, bool is_suspended)
{
    struct edit_of_one *one = edit_new(call, account_document(call, call->rest));

    one->must_exist = true;
    one->changes_suspension = true;
    one->is_suspended = is_suspended;
    CHECK(buf_printf(&one->answer, "{\"account\":\"%.*s\",\"suspended\":%s}",
                     SLICE_ARG(slice_first(call->rest, ACCOUNT_ID_CHARS)),
                     is_suspended ? "true" : "false") == ERR_OK);
    control_submit(call->control, &one->change);
}

void admin_account_suspend(struct admin_call *call)
{
    set_suspension(call, true);
}

void admin_account_resume(struct admin_call *call)
{
    set_suspension(call, false);
}

/* ---- credentials -------------------------------------------------------------------------- */

static enum err read_issue(struct admin_call *call, json_t *body, struct issue_options *options,
                           struct err_why *why)
{
    static const char *const known[] = {"kind",     "header",  "forwarder",
                                        "operator", "expires", "pin"};
    const struct slice expires = json_member_text(body, "expires");
    uint64_t span_ms = 0;
    const char *key;
    json_t *member;

    json_object_foreach(body, key, member)
    {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            is_known = is_known || strcmp(key, known[i]) == 0;
        }
        if (!is_known) {
            return err_because(ERR_BAD_REQUEST, why, "%.64s: unknown member", key);
        }
    }
    if (expires.len > 0 && moment_parse_span(expires, &span_ms) != ERR_OK) {
        return err_because(ERR_BAD_REQUEST, why,
                           "expires: must be a span of time such as \"90d\" or \"24h\"");
    }
    *options = (struct issue_options){
        .seal_key = control_seal_key(call->control),
        .account = call->rest,
        .kind = json_member_text(body, "kind"),
        .header = json_member_text(body, "header"),
        .pin = json_member_text(body, "pin"),
        .is_forwarder = json_is_true(json_object_get(body, "forwarder")),
        .is_operator = json_is_true(json_object_get(body, "operator")),
        .now_ms = moment_now_ms(),
    };
    options->expires_ms = span_ms > 0 ? options->now_ms + span_ms : 0;
    return ERR_OK;
}

void admin_credential_issue(struct admin_call *call)
{
    struct request *request = call->request;
    json_t *body = json_loadb(request->body.data != NULL ? request->body.data : "",
                              request->body.len, JSON_REJECT_DUPLICATES, NULL);
    struct edit_of_one *one = edit_new(call, (struct slice){NULL, 0});
    struct issue_options options;
    enum err err = ERR_OK;

    if (!json_is_object(body)) {
        err = err_because(ERR_BAD_REQUEST, &one->change.why, "the body must be a JSON object");
    }
    if (err == ERR_OK) {
        err = read_issue(call, body, &options, &one->change.why);
    }
    if (err == ERR_OK) {
        err = issue_credential(&options, &one->value, &one->answer, &one->change.why);
    }
    if (err != ERR_OK) {
        on_one_done(&one->change, err);
    } else {
        one->must_be_new = true;
        one->account = account_document(call, call->rest);
        one->name = arena_printf(&request->arena, "credential/%.*s",
                                 SLICE_ARG(json_member_text(one->value, "id")));
        control_submit(call->control, &one->change);
    }
    json_decref(body);
}

void admin_credential_revoke(struct admin_call *call)
{
    struct edit_of_one *one = edit_new(
        call, arena_printf(&call->request->arena, "credential/%.*s", SLICE_ARG(call->rest)));

    one->must_exist = true;
    CHECK(buf_printf(&one->answer, "{\"credential\":\"%.*s\",\"revoked\":true}",
                     SLICE_ARG(slice_first(call->rest, NAME_CHARS_MAX))) == ERR_OK);
    control_submit(call->control, &one->change);
}
