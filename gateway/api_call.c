/* SPDX-License-Identifier: Apache-2.0
 *
 * api_call.c - the way of a call: worker, control, worker.
 *
 *   api_desk_take        on_arrival          control_change        on_home
 *   worker: shape  --->  control: act  --->  store, workers  --->  worker: answer
 *                              |                                      ^
 *                              +-------------- only read -------------+
 *
 * The call owns all it needs, so that neither thread looks into the other's memory: the request
 * stays with the worker, the input's tree and the arena travel along.  A worker has a bounded
 * number of calls under way, and each account a part of them, so that nobody's changes keep others
 * waiting.
 */
#include "gateway/api_call.h"

#include "core/check.h"
#include "core/utf8.h"
#include "gateway/api.h"
#include "gateway/control.h"

enum { OPEN_MAX = 64, OPEN_PER_ACCOUNT_MAX = 4, MESSAGE_CHARS_MAX = 4096 };

struct api_desk {
    struct control *control;
    struct mailbox *home;
    const struct config *config;
    struct list open; /* struct trip */
};

/* A call on its way. */
struct trip {
    struct api_call call; /* first: api_fail() finds the trip */
    struct list node;     /* of the desk; the worker's */
    struct api_desk *desk;
    struct request *request;
    const struct api_action *action;
    json_t *input;
    struct mail mail;
    struct control_change change;
    struct store_archive_sizes sizes;
    enum err err;
    const char *code;
    char message[MESSAGE_CHARS_MAX];
};

enum err api_fail(struct api_call *call, const char *code, const char *format, ...)
{
    struct trip *trip = CONTAINER_OF(call, struct trip, call);
    va_list arguments;

    trip->code = code;
    va_start(arguments, format);
    (void)vsnprintf(trip->message, sizeof(trip->message), format, arguments);
    va_end(arguments);
    utf8_mend(trip->message);
    return ERR_BAD_REQUEST;
}

/* ---- input and output --------------------------------------------------------------------- */

struct slice api_text(const struct api_call *call, const char *member)
{
    return json_member_text(call->input, member);
}

bool api_flag(const struct api_call *call, const char *member)
{
    return json_is_true(json_object_get(call->input, member));
}

uint64_t api_number(const struct api_call *call, const char *member, uint64_t fallback)
{
    const json_t *value = json_object_get(call->input, member);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : fallback;
}

void api_put_text(json_t *object, const char *member, struct slice text)
{
    if (text.len > 0) {
        CHECK(json_object_set_new(object, member, json_stringn_nocheck(text.data, text.len)) == 0);
    }
}

void api_put_moment(json_t *object, const char *member, uint64_t ms)
{
    if (ms > 0) {
        CHECK(json_object_set_new(object, member, json_real((double)ms / 1e3)) == 0);
    }
}

void api_change_text(const struct api_call *call, const char *member, json_t *document,
                     const char *key)
{
    if (json_is_string(json_object_get(call->input, member))) {
        json_object_del(document, key);
        api_put_text(document, key, api_text(call, member));
    }
}

enum err api_refuse_members(struct api_call *call, const char *const *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(call->input, members[i]);

        if (value != NULL && !json_is_null(value)) {
            return api_fail(call, "ValidationException",
                            "Parameter %s is not valid. Reason: this gateway does not offer it.",
                            members[i]);
        }
    }
    return ERR_OK;
}

/* ---- home again: the worker's thread ------------------------------------------------------ */

static void respond_output(struct trip *trip)
{
    char *text = trip->call.output != NULL ? json_dumps(trip->call.output, JSON_COMPACT) : NULL;

    if (text == NULL) {
        api_respond(trip->request, SLICE("{}"));
        return;
    }
    api_respond(trip->request, arena_copy(&trip->request->arena, slice_of(text)));
    xfree(text);
}

static void respond(struct trip *trip)
{
    if (trip->err == ERR_OK) {
        respond_output(trip);
    } else if (trip->code != NULL) {
        api_respond_error(trip->request, 400, trip->code, trip->message);
    } else if (err_class(trip->err) == ERR_CLASS_LOCAL) {
        api_respond_error(trip->request, 500, "InternalException", err_text(trip->err));
    } else {
        api_respond_error(trip->request, trip->err == ERR_CONFLICT ? 400 : err_status(trip->err),
                          err_code(trip->err),
                          trip->change.why.text[0] != '\0' ? trip->change.why.text
                                                           : err_text(trip->err));
    }
}

static void finish(struct trip *trip)
{
    list_remove(&trip->node);
    respond(trip);
    json_decref(trip->call.output);
    json_decref(trip->input);
    store_archive_sizes_clean_up(&trip->sizes);
    arena_clean_up(&trip->call.arena);
    xfree(trip);
}

static void on_home(struct mail *mail)
{
    finish(CONTAINER_OF(mail, struct trip, mail));
}

/* ---- control's thread --------------------------------------------------------------------- */

static enum err act(struct trip *trip, const struct catalog *catalog, struct catalog_edit *edit)
{
    json_decref(trip->call.output); /* of a run that another change has overtaken */
    trip->call.output = NULL;
    trip->code = NULL;
    return trip->action->act(&trip->call, catalog, edit);
}

static enum err plan(struct control_change *change, const struct catalog *catalog,
                     struct catalog_edit *edit)
{
    return act(change->context, catalog, edit);
}

static void send_home(struct trip *trip, enum err err)
{
    trip->err = err;
    trip->mail.on_arrival = on_home;
    mailbox_send(trip->desk->home, &trip->mail);
}

static void on_changed(struct control_change *change, enum err err)
{
    send_home(change->context, err);
}

/* Who changes what: the object is what the action's first member names, which is there unless it is
 * a bus: the default one then. */
static void fill_note(const struct trip *trip, struct audit_note *note)
{
    const struct slice object = api_text(&trip->call, trip->action->input[0].name);

    audit_fill(note->actor, sizeof(note->actor), slice_of(trip->call.caller.credential));
    audit_fill(note->from, sizeof(note->from), slice_of(trip->call.caller.peer));
    audit_fill(note->action, sizeof(note->action), trip->action->name);
    audit_fill(note->object, sizeof(note->object), object.len > 0 ? object : SLICE("default"));
}

static void on_sizes(struct store_op *op)
{
    struct trip *trip = CONTAINER_OF(op, struct trip, sizes.op);

    trip->call.sizes = &trip->sizes;
    send_home(trip,
              op->err == ERR_OK ? act(trip, control_catalog(trip->desk->control), NULL) : op->err);
}

static void ask_for_sizes(struct trip *trip)
{
    struct control *control = trip->desk->control;

    trip->sizes.op = (struct store_op){
        .kind = STORE_ARCHIVE_SIZES, .home = control_mailbox(control), .on_done = on_sizes};
    store_submit(control_store(control), &trip->sizes.op);
}

static void on_arrival(struct mail *mail)
{
    struct trip *trip = CONTAINER_OF(mail, struct trip, mail);
    struct control *control = trip->desk->control;

    if (trip->action->kind == API_CHANGES) {
        trip->change =
            (struct control_change){.plan = plan, .on_done = on_changed, .context = trip};
        fill_note(trip, &trip->change.note);
        control_submit(control, &trip->change);
    } else if (trip->action->kind == API_READS_SIZES) {
        ask_for_sizes(trip);
    } else {
        send_home(trip, act(trip, control_catalog(control), NULL));
    }
}

/* ---- setting out: the worker's thread ----------------------------------------------------- */

static bool has_room_for(const struct api_desk *desk, struct slice account)
{
    size_t all = 0;
    size_t own = 0;

    LIST_FOREACH (node, &desk->open) {
        const struct trip *trip = CONTAINER_OF(node, struct trip, node);

        all++;
        own += slice_eq(slice_of(trip->call.caller.account), account) ? 1 : 0;
    }
    return all < OPEN_MAX && own < OPEN_PER_ACCOUNT_MAX;
}

static enum err read_input(const struct request *request, const struct api_action *action,
                           json_t **input, struct err_why *why)
{
    json_error_t fault;

    *input = json_loadb(request->body.data != NULL ? request->body.data : "", request->body.len,
                        JSON_REJECT_DUPLICATES, &fault);
    if (*input == NULL) {
        return err_because(ERR_BAD_JSON, why, "byte %d: %s", fault.position, fault.text);
    }
    return api_shape_check(*input, action->input, why);
}

static void fill_caller(struct api_caller *caller, const struct request *request,
                        const struct principal *principal)
{
    const struct slice account = principal->account->id;

    (void)snprintf(caller->account, sizeof(caller->account), "%.*s", SLICE_ARG(account));
    caller->is_operator = principal->credential->is_operator;
    audit_fill(caller->credential, sizeof(caller->credential), principal->credential->id);
    audit_fill(caller->peer, sizeof(caller->peer), request->peer);
    (void)snprintf(caller->manager, sizeof(caller->manager), "api:%.*s",
                   SLICE_ARG(caller->is_operator ? SLICE("operator") : account));
}

/* Does the caller say that it knows this extension of EventBridge's interface? */
static bool has_extension(const struct request *request, struct slice name)
{
    struct slice rest = request_header(request, SLICE("x-weir-extensions"));

    while (rest.data != NULL) {
        if (slice_eq(slice_trim(slice_cut(&rest, ',')), name)) {
            return true;
        }
    }
    return false;
}

void api_desk_take(struct api_desk *desk, struct request *request,
                   const struct principal *principal, const struct partner_lists *lists,
                   const struct api_action *action)
{
    struct err_why why = {.text = ""};
    struct trip *trip;
    json_t *input = NULL;
    enum err err;

    if (!has_room_for(desk, principal->account->id)) {
        api_respond_error(request, 400, "ThrottlingException", "Rate exceeded");
        return;
    }
    err = read_input(request, action, &input, &why);
    if (err != ERR_OK) {
        json_decref(input);
        api_respond_error(request, 400, err_code(err), why.text);
        return;
    }
    trip = xcalloc(1, sizeof(*trip));
    fill_caller(&trip->call.caller, request, principal);
    trip->call.action = action->name;
    trip->call.config = desk->config;
    trip->call.seal_key = control_seal_key(desk->control);
    trip->call.input = input;
    trip->call.may_ask_lists = has_extension(request, SLICE("in-list"));
    trip->input = input;
    trip->desk = desk;
    trip->request = request;
    trip->action = action;
    list_append(&desk->open, &trip->node);
    if (action->kind == API_COMPUTES) {
        trip->call.lists = lists;
        trip->err = act(trip, NULL, NULL);
        finish(trip);
        return;
    }
    trip->mail.on_arrival = on_arrival;
    mailbox_send(control_mailbox(desk->control), &trip->mail);
}

bool api_desk_is_idle(const struct api_desk *desk)
{
    return list_is_empty(&desk->open);
}

struct api_desk *api_desk_new(struct control *control, struct mailbox *home,
                              const struct config *config)
{
    struct api_desk *desk = xcalloc(1, sizeof(*desk));

    desk->control = control;
    desk->home = home;
    desk->config = config;
    list_init(&desk->open);
    return desk;
}

void api_desk_destroy(struct api_desk *desk)
{
    if (desk != NULL) {
        CHECK(list_is_empty(&desk->open));
        xfree(desk);
    }
}
