/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - the table of actions, and the JSON protocol's way to say yes and no.
 *
 * An action is a name and a handler.  Whatever the action, the caller is proven first, by SigV4
 * over the exact bytes that arrived.
 *
 *= https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
 */
#include "gateway/api.h"

#include "core/check.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "core/random.h"
#include "gateway/put_events.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"

struct action {
    struct slice target;
    void (*handle)(struct ingest *ingest, struct request *request,
                   const struct principal *principal);
};

static const struct action actions[] = {
    {SLICE_INIT("AWSEvents.PutEvents"), put_events_handle},
};

static const struct action *action_of(const struct request *request)
{
    const struct slice target = request_header(request, SLICE("x-amz-target"));

    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (slice_eq(target, actions[i].target)) {
            return &actions[i];
        }
    }
    return NULL;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void fill_response(struct request *request, unsigned status, struct slice body)
{
    char *id = arena_alloc(&request->arena, 36);

    random_uuid(id);
    request->response.status = status;
    request->response.content_type = SLICE(CONTENT_TYPE);
    request->response.body = body;
    request->response.headers[0] =
        (struct header){SLICE("x-amzn-requestid"), (struct slice){id, 36}};
    request->response.header_count = 1;
}

static void fill_error(struct request *request, unsigned status, const char *code,
                       const char *message)
{
    struct json_writer writer;
    struct buf body;

    buf_init(&body, 16384);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("__type"), slice_of(code));
    json_write_key_string(&writer, SLICE("message"), slice_of(message));
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    fill_response(request, status, arena_copy(&request->arena, buf_slice(&body)));
    buf_clean_up(&body);
}

void api_respond_error(struct request *request, unsigned status, const char *code,
                       const char *message)
{
    fill_error(request, status, code, message);
    request_respond(request);
}

void api_respond(struct request *request, struct slice json)
{
    fill_response(request, 200, json);
    request_respond(request);
}

/* ---- the two moments of a request --------------------------------------------------------- */

static bool has_json_body(const struct request *request)
{
    struct slice type = request_header(request, SLICE("content-type"));

    return slice_eq_ignore_case(slice_trim(slice_cut(&type, ';')), SLICE(CONTENT_TYPE));
}

static enum err check_head(struct ingest *ingest, struct request *request, struct err_why *why)
{
    if (!slice_eq(request->method, SLICE("POST"))) {
        return err_because(ERR_BAD_METHOD, why, "The EventBridge API takes POST requests.");
    }
    if (!has_json_body(request)) {
        return err_because(ERR_BAD_MEDIA_TYPE, why,
                           "The Content-Type of an EventBridge request is " CONTENT_TYPE ".");
    }
    if (action_of(request) == NULL) {
        return err_because(
            ERR_UNKNOWN_ACTION, why,
            "The action that X-Amz-Target names is not known; AWSEvents.PutEvents is.");
    }
    return ingest_check_sigv4(ingest, request, why);
}

static void fill_refusal(struct ingest *ingest, struct request *request, enum err err,
                         const struct err_why *why)
{
    ingest_count_refused(ingest, err);
    fill_error(request, err_status(err), err_code(err),
               why->text[0] != '\0' ? why->text : err_text(err));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is request_handler's */
enum err api_check_head(struct ingest *ingest, struct request *request, size_t *body_max)
{
    struct err_why why = {.text = ""};
    const enum err err = check_head(ingest, request, &why);

    (void)body_max;
    if (err != ERR_OK) {
        fill_refusal(ingest, request, err, &why);
    }
    return err;
}

void api_handle(struct ingest *ingest, struct request *request)
{
    const struct action *action = action_of(request);
    struct err_why why = {.text = ""};
    struct principal principal;
    enum err err;

    CHECK(action != NULL);
    err = ingest_prove_sigv4(ingest, request, &principal, &why);
    if (err != ERR_OK) {
        fill_refusal(ingest, request, err, &why);
        request_respond(request);
        return;
    }
    action->handle(ingest, request, &principal);
}
