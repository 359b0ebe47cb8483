/* SPDX-License-Identifier: Apache-2.0
 *
 * control_authorize.c - a connection with OAuth is AUTHORIZED when its token endpoint says so.
 *
 * A connection that is made or changed begins AUTHORIZING.  Control asks its endpoint for a token
 * at once, throws the token away, and puts what came of it into the document: AUTHORIZED, or why
 * not, and then asks again, each time twice as long later, up to a minute.  So an operator sees a
 * wrong secret before the first event meets it.  Deliveries do not wait for that: each worker gets
 * tokens of its own when it needs them.
 *
 * Replicas all ask; the first whose word is stored ends it, for the others then find nothing to
 * change.  A connection's place in the queue is known by its name and the time of its last change:
 * one that was changed again is asked for again.
 *
 * The endpoint is whatever a member wrote, so its address is guarded as a target's is.  What it
 * answers is not repeated: it may hold the secret.
 */
#include <openssl/crypto.h>

#include "accounts/oauth.h"
#include "core/check.h"
#include "core/egress.h"
#include "core/http.h"
#include "core/moment.h"
#include "gateway/catalog_secrets.h"
#include "gateway/config.h"
#include "gateway/control_internal.h"
#include "gateway/snapshot_api.h"

enum {
    CALLS_MAX = 8,
    CALL_MS = 5000,
    REPLY_BYTES_MAX = 64 * 1024,
    AGAIN_FIRST_MS = 1000,
    AGAIN_MOST_MS = 60 * 1000,
    REASON_CHARS_MAX = 160,
};

static const double look_s = 0.25;

struct authorizer {
    struct control *control;
    struct http_client *http;
    struct egress egress;
    struct map waiting; /* document's name -> struct authorization */
    unsigned call_count;
    ev_timer look;
};

/* One connection that is AUTHORIZING. */
struct authorization {
    struct authorizer *authorizer;
    char *name;
    json_int_t modified_ms; /* of the document that is asked for */
    uint64_t due_ms;        /* steady */
    uint64_t again_ms;
    bool is_busy;                  /* a call or a change is under way */
    bool is_seen;                  /* by the walk over the catalog */
    bool is_orphan;                /* its connection is gone: ends with what is under way */
    char reason[REASON_CHARS_MAX]; /* of the last answer; empty: authorized */
    struct http_call call;
    struct control_change change;
    struct arena arena;
    struct buf body;
};

static void free_authorization(struct authorization *one)
{
    CHECK(!one->is_busy);
    xfree(one->name);
    xfree(one);
}

/* ---- the answer --------------------------------------------------------------------------- */

/* The document as it is now, if it is still the one that was asked for. */
static const struct catalog_document *document_of(const struct authorization *one,
                                                  const struct catalog *catalog)
{
    const struct catalog_document *document = catalog_get(catalog, slice_of(one->name));

    return document != NULL && !document->is_absent &&
                   slice_eq(json_member_text(document->value, "auth_state"),
                            SLICE("AUTHORIZING")) &&
                   json_integer_value(json_object_get(document->value, "modified_ms")) ==
                       one->modified_ms
               ? document
               : NULL;
}

static enum err plan_result(struct control_change *change, const struct catalog *catalog,
                            struct catalog_edit *edit)
{
    const struct authorization *one = change->context;
    const struct catalog_document *document = document_of(one, catalog);
    json_t *value;

    if (document == NULL) {
        return ERR_OK;
    }
    value = json_deep_copy(document->value);
    if (one->reason[0] == '\0') {
        json_object_del(value, "auth_reason");
        json_object_set_new(value, "auth_state", json_string("AUTHORIZED"));
        json_object_set_new(value, "authorized_ms", json_integer((json_int_t)moment_now_ms()));
    } else {
        json_object_set_new(value, "auth_reason", json_string(one->reason));
    }
    if (!json_equal(value, document->value)) {
        catalog_edit_put(edit, catalog, slice_of(one->name), value);
    }
    json_decref(value);
    return ERR_OK;
}

static void on_result(struct control_change *change, enum err err)
{
    struct authorization *one = change->context;

    (void)err; /* what could not be stored is found again */
    one->is_busy = false;
    one->due_ms = moment_steady_ms() + one->again_ms;
    one->again_ms = MIN_OF(one->again_ms * 2, (uint64_t)AGAIN_MOST_MS);
    if (one->is_orphan) {
        free_authorization(one);
    }
}

static void read_reply(struct authorization *one)
{
    const struct http_call *call = &one->call;
    struct err_why why = {.text = ""};
    struct oauth_token token;

    one->reason[0] = '\0';
    if (call->err != ERR_OK) {
        (void)snprintf(one->reason, sizeof(one->reason), "The token endpoint cannot be asked: %s",
                       err_text(call->err));
    } else if (call->status < 200 || call->status > 299) {
        (void)snprintf(one->reason, sizeof(one->reason), "The token endpoint answered HTTP %u",
                       call->status);
    } else if (oauth_read_token(buf_slice(&call->response), &one->arena, &token, &why) != ERR_OK) {
        (void)snprintf(one->reason, sizeof(one->reason), "The token endpoint's answer: %.100s",
                       why.text);
    }
}

static void on_reply(struct http_call *call)
{
    struct authorization *one = CONTAINER_OF(call, struct authorization, call);
    const bool is_stopping = call->err == ERR_STOPPING;

    read_reply(one);
    OPENSSL_cleanse(call->response.data, call->response.len);
    http_call_clean_up(call);
    arena_wipe(&one->arena);
    buf_wipe(&one->body);
    one->authorizer->call_count--;
    if (is_stopping) {
        one->is_busy = false;
        return;
    }
    one->change =
        (struct control_change){.plan = plan_result, .on_done = on_result, .context = one};
    control_submit(one->authorizer->control, &one->change);
}

/* ---- the question ------------------------------------------------------------------------- */

static enum err write_call(struct authorization *one, const json_t *connection)
{
    struct oauth_request request;
    struct api_oauth oauth;
    json_t *secrets;
    enum err err;

    TRY(catalog_secrets_open(control_seal_key(one->authorizer->control), connection, &secrets));
    api_oauth_read(connection, secrets, &one->arena, &oauth);
    err = oauth_write_request(&oauth, &one->arena, &one->body, &request);
    catalog_secrets_wipe(secrets);
    TRY(err);
    one->call = (struct http_call){
        .method = request.method,
        .url = request.url,
        .headers = request.headers,
        .header_count = request.header_count,
        .body = buf_slice(&one->body),
        .timeout_ms = CALL_MS,
        .response_max = REPLY_BYTES_MAX,
        .fresh_connection = true,
        .on_done = on_reply,
    };
    return ERR_OK;
}

static void ask(struct authorization *one)
{
    struct authorizer *authorizer = one->authorizer;
    const struct catalog_document *document =
        document_of(one, control_catalog(authorizer->control));

    if (document == NULL) {
        return;
    }
    buf_init(&one->body, OAUTH_BODY_BYTES_MAX);
    if (write_call(one, document->value) != ERR_OK) { /* one that does not compile: another time */
        arena_wipe(&one->arena);
        buf_wipe(&one->body);
        one->due_ms = moment_steady_ms() + AGAIN_MOST_MS;
        return;
    }
    one->is_busy = true;
    authorizer->call_count++;
    http_start(authorizer->http, &one->call);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct authorizer *authorizer = timer->data;
    const uint64_t now_ms = moment_steady_ms();
    size_t cursor = 0;
    struct authorization *one;

    (void)loop;
    (void)events;
    if (authorizer->control->is_stopping) {
        return;
    }
    while (authorizer->call_count < CALLS_MAX &&
           (one = map_next(&authorizer->waiting, &cursor)) != NULL) {
        if (!one->is_busy && now_ms >= one->due_ms) {
            ask(one);
        }
    }
}

/* ---- who is waiting ----------------------------------------------------------------------- */

static void add_or_keep(struct authorizer *authorizer, const struct catalog_document *document)
{
    const json_int_t modified_ms =
        json_integer_value(json_object_get(document->value, "modified_ms"));
    struct authorization *one = map_get(&authorizer->waiting, slice_of(document->name));

    if (one == NULL) {
        one = xcalloc(1, sizeof(*one));
        one->authorizer = authorizer;
        one->name = xstrndup(document->name, strlen(document->name));
        (void)map_put(&authorizer->waiting, slice_of(one->name), one);
    }
    one->is_seen = true;
    if (one->modified_ms != modified_ms) {
        one->modified_ms = modified_ms;
        one->due_ms = moment_steady_ms();
        one->again_ms = AGAIN_FIRST_MS;
    }
}

static void sweep(struct authorizer *authorizer)
{
    size_t cursor = 0;
    struct authorization *one;

    while ((one = map_next(&authorizer->waiting, &cursor)) != NULL) {
        if (one->is_seen) {
            one->is_seen = false;
            continue;
        }
        (void)map_remove(&authorizer->waiting, slice_of(one->name));
        one->is_orphan = true;
        if (!one->is_busy) {
            free_authorization(one);
        }
    }
}

void control_authorize_use(struct control *control)
{
    struct authorizer *authorizer = control->authorizer;
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents;

    if (authorizer == NULL) { /* not yet while starting */
        return;
    }
    documents = catalog_of_kind(&control->catalog, SLICE("connection"), &arena, &count);
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(json_member_text(documents[i]->value, "auth_state"), SLICE("AUTHORIZING"))) {
            add_or_keep(authorizer, documents[i]);
        }
    }
    sweep(authorizer);
    arena_clean_up(&arena);
}

/* ---- life --------------------------------------------------------------------------------- */

static bool may_connect(void *context, const char *url, const struct sockaddr *address)
{
    return egress_may_dial(context, url, address);
}

void control_authorize_start(struct control *control)
{
    struct authorizer *authorizer = xcalloc(1, sizeof(*authorizer));
    const struct http_client_options options = {
        .loop = control->loop,
        .ca_path = control->config->egress_ca,
        .connections_max = CALLS_MAX,
        .host_connections_max = CALLS_MAX,
        .may_connect = may_connect,
        .context = &authorizer->egress,
    };

    config_fill_egress(control->config, &authorizer->egress);
    authorizer->control = control;
    authorizer->http = http_client_new(&options);
    control->authorizer = authorizer;
    ev_timer_init(&authorizer->look, on_look, 0, look_s);
    authorizer->look.data = authorizer;
    ev_timer_start(control->loop, &authorizer->look);
    control_authorize_use(control);
}

void control_authorize_stop(struct control *control)
{
    struct authorizer *authorizer = control->authorizer;

    if (authorizer != NULL) {
        ev_timer_stop(control->loop, &authorizer->look);
        http_client_destroy(authorizer->http); /* what is under way ends as nothing */
        authorizer->http = NULL;
    }
}

void control_authorize_destroy(struct control *control)
{
    struct authorizer *authorizer = control->authorizer;
    size_t cursor = 0;
    struct authorization *one;

    if (authorizer == NULL) {
        return;
    }
    while ((one = map_next(&authorizer->waiting, &cursor)) != NULL) {
        (void)map_remove(&authorizer->waiting, slice_of(one->name));
        one->is_busy = false; /* whoever was to end it has ended */
        free_authorization(one);
    }
    map_clean_up(&authorizer->waiting);
    control->authorizer = NULL;
    xfree(authorizer);
}
