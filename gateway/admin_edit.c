/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_edit.c - optimistic versions: a change says which revision it was made for.
 *
 * Whoever read revision 7 and sends If-Match: "7" changes nothing once somebody else has made it 8.
 * The condition is asked where the change is planned, on the control thread and, with a shared
 * store, against what the store holds then, so that no change slips in between.
 *
 * Memory: the edit owns its trees and frees itself with the answer; names are in the request's
 * arena.
 */
#include "gateway/admin_edit.h"

#include "core/check.h"
#include "core/moment.h"

enum { SECRET_BYTES_MAX = 4096 };

struct slice admin_account_name(const struct admin_call *call)
{
    return arena_printf(&call->request->arena, "account/%.*s", SLICE_ARG(call->rest));
}

void admin_edit_set_tag(struct request *request, uint64_t rev)
{
    request->response.headers[0] =
        (struct header){SLICE("etag"), arena_printf(&request->arena, "\"%" PRIu64 "\"", rev)};
    request->response.header_count = 1;
}

/* ---- the answer --------------------------------------------------------------------------- */

static void finish(struct admin_edit *edit, enum err err)
{
    if (err != ERR_OK) {
        admin_respond_error(edit->request, err, &edit->change.why);
    } else if (edit->secret.len > 0) {
        admin_respond_json(edit->request, buf_slice(&edit->secret));
    } else {
        admin_respond_tree(edit->request, 200, json_incref(edit->answer));
    }
    json_decref(edit->value);
    json_decref(edit->answer);
    buf_wipe(&edit->secret);
    xfree(edit);
}

/* What the account owes: without the answer of a store that fails just now, nothing is told. */
static void on_tally(struct store_op *op)
{
    struct admin_edit *edit = CONTAINER_OF(op, struct admin_edit, tally.op);
    uint64_t live = 0;
    uint64_t dead = 0;

    for (size_t i = 0; op->err == ERR_OK && i < edit->tally.row_count; i++) {
        if (slice_eq(slice_of(edit->tally.rows[i].account), edit->debtor)) {
            live = edit->tally.rows[i].live;
            dead = edit->tally.rows[i].dead;
        }
    }
    if (op->err == ERR_OK) {
        json_object_set_new(edit->answer, "queued", json_integer((json_int_t)live));
        json_object_set_new(edit->answer, "dead", json_integer((json_int_t)dead));
        store_tally_clean_up(&edit->tally);
    }
    finish(edit, ERR_OK);
}

static void on_changed(struct control_change *change, enum err err)
{
    struct admin_edit *edit = change->context;

    admin_act_take_back(edit->request, change);
    if (err == ERR_OK && edit->describe != NULL) {
        edit->answer = edit->describe(edit, control_catalog(edit->control));
    }
    if (err != ERR_OK || !edit->tells_debts || control_store(edit->control) == NULL) {
        finish(edit, err);
        return;
    }
    edit->tally.op = (struct store_op){
        .kind = STORE_TALLY, .home = control_mailbox(edit->control), .on_done = on_tally};
    store_submit(control_store(edit->control), &edit->tally.op);
}

/* ---- the change --------------------------------------------------------------------------- */

static enum err plan(struct control_change *change, const struct catalog *catalog,
                     struct catalog_edit *changes)
{
    struct admin_edit *edit = change->context;
    const struct catalog_document *old = catalog_get(catalog, edit->name);

    if (old == NULL && (edit->must_exist || edit->has_condition)) {
        return err_because(edit->must_exist ? ERR_NOT_FOUND : ERR_STALE, &change->why,
                           "%.*s does not exist", SLICE_ARG(edit->name));
    }
    if (old != NULL && edit->has_condition && !edit->matches_any && old->rev != edit->wanted_rev) {
        return err_because(ERR_STALE, &change->why, "%.*s is at revision %" PRIu64,
                           SLICE_ARG(edit->name), old->rev);
    }
    return edit->plan(edit, catalog, old, changes);
}

/* If-Match: `"7"`, `7` or `*`. */
static enum err read_condition(struct admin_edit *edit)
{
    struct slice value = slice_trim(request_header(edit->request, SLICE("if-match")));

    if (value.len == 0) {
        return ERR_OK;
    }
    edit->has_condition = true;
    edit->matches_any = slice_eq(value, SLICE("*"));
    if (value.len > 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value = slice_first(slice_from(value, 1), value.len - 2);
    }
    return edit->matches_any || slice_to_u64(value, &edit->wanted_rev)
               ? ERR_OK
               : err_because(ERR_BAD_REQUEST, &edit->change.why,
                             "If-Match: must be a revision or *");
}

struct admin_edit *admin_edit_new(struct admin_call *call, struct slice name,
                                  enum err (*plan_it)(struct admin_edit *edit,
                                                      const struct catalog *catalog,
                                                      const struct catalog_document *old,
                                                      struct catalog_edit *changes))
{
    struct admin_edit *edit = xcalloc(1, sizeof(*edit));

    edit->control = call->control;
    edit->request = call->request;
    edit->name = name;
    edit->debtor = call->rest;
    edit->plan = plan_it;
    (void)snprintf(edit->manager, sizeof(edit->manager), "api:%s", call->caller.name);
    edit->is_by_operator = admin_may(&call->caller, ADMIN_RIGHT_OPERATE);
    buf_init(&edit->secret, SECRET_BYTES_MAX);
    edit->change = (struct control_change){.plan = plan, .on_done = on_changed, .context = edit};
    return edit;
}

enum err admin_edit_read_body(struct admin_edit *edit)
{
    const struct buf *body = &edit->request->body;

    edit->value =
        json_loadb(body->data != NULL ? body->data : "", body->len, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(edit->value)
               ? ERR_OK
               : err_because(ERR_BAD_REQUEST, &edit->change.why, "the body must be a JSON object");
}

void admin_edit_submit(struct admin_edit *edit, enum err err)
{
    if (err == ERR_OK) {
        err = read_condition(edit);
    }
    if (err != ERR_OK) {
        finish(edit, err);
        return;
    }
    admin_act_lend(edit->request, &edit->change);
    control_submit(edit->control, &edit->change);
}
