/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - the table of actions, and the JSON protocol's way to say yes and no.
 *
 * Whatever the action, the caller is proven first: by SigV4 over the exact bytes that arrived, or
 *by the token of a principal of AWS. PutEvents then walks through ingest; everything else is a call
 *to the catalog's thread.
 *
 *= https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
 */
#include "gateway/api.h"

#include "core/check.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "core/random.h"
#include "gateway/api_archives.h"
#include "gateway/api_buses.h"
#include "gateway/api_connections.h"
#include "gateway/api_destinations.h"
#include "gateway/api_patterns.h"
#include "gateway/api_replays.h"
#include "gateway/api_permissions.h"
#include "gateway/api_rules.h"
#include "gateway/api_tags.h"
#include "gateway/api_targets.h"
#include "gateway/put_events.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"

enum {
    ESCAPED_BYTES_MAX = 6, /* of one byte of a string */
    ERROR_BYTES = 256,     /* of an error answer beside its message */
};

#define TARGET_PREFIX "AWSEvents."

/* All but PutEvents, which has a way of its own: no event waits for the catalog's thread. */
static const struct api_action *const actions[] = {
    &api_put_rule,
    &api_delete_rule,
    &api_describe_rule,
    &api_list_rules,
    &api_enable_rule,
    &api_disable_rule,
    &api_put_targets,
    &api_remove_targets,
    &api_list_targets,
    &api_test_pattern,
    &api_list_rules_of_target,
    &api_create_bus,
    &api_update_bus,
    &api_delete_bus,
    &api_describe_bus,
    &api_list_buses,
    &api_tag_resource,
    &api_untag_resource,
    &api_list_tags,
    &api_put_permission,
    &api_remove_permission,
    &api_create_connection,
    &api_update_connection,
    &api_describe_connection,
    &api_delete_connection,
    &api_deauthorize_connection,
    &api_list_connections,
    &api_create_destination,
    &api_update_destination,
    &api_describe_destination,
    &api_delete_destination,
    &api_list_destinations,
    &api_create_archive,
    &api_describe_archive,
    &api_update_archive,
    &api_delete_archive,
    &api_list_archives,
    &api_start_replay,
    &api_describe_replay,
    &api_cancel_replay,
    &api_list_replays,
};

/* The name behind "AWSEvents."; empty if X-Amz-Target is not of this API. */
static struct slice action_name(const struct request *request)
{
    const struct slice target = request_header(request, SLICE("x-amz-target"));

    return slice_has_prefix(target, SLICE(TARGET_PREFIX))
               ? slice_from(target, strlen(TARGET_PREFIX))
               : (struct slice){NULL, 0};
}

static bool is_put_events(const struct request *request)
{
    return slice_eq(action_name(request), SLICE("PutEvents"));
}

static const struct api_action *action_of(const struct request *request)
{
    const struct slice name = action_name(request);

    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (slice_eq(name, actions[i]->name)) {
            return actions[i];
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

    buf_init(&body, ESCAPED_BYTES_MAX * strlen(message) + ERROR_BYTES);
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
    if (!is_put_events(request) && action_of(request) == NULL) {
        return err_because(
            ERR_UNKNOWN_ACTION, why,
            "The action that X-Amz-Target names is not known; AWSEvents.PutEvents "
            "is, and those that manage rules, targets, buses, archives, replays, tags, "
            "connections and API destinations.");
    }
    return ingest_check_api(ingest, request, why);
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
    struct err_why why = {.text = ""};
    struct principal principal;
    enum err err;

    err = ingest_prove_api(ingest, request, &principal, &why);
    if (err != ERR_OK) {
        fill_refusal(ingest, request, err, &why);
        request_respond(request);
        return;
    }
    if (is_put_events(request)) {
        put_events_handle(ingest, request, &principal);
    } else {
        api_desk_take(ingest_api_desk(ingest), request, &principal,
                      ruleset_lists(ingest_snapshot(ingest)->ruleset), action_of(request));
    }
}
