/* SPDX-License-Identifier: Apache-2.0
 *
 * target_universal.c - any call of the AWS API: arn:aws:scheduler:::aws-sdk:SERVICE:ACTION.
 *
 * The input is the call's own input as JSON, with the members that the SDKs have; aws_call knows
 * the call and writes it in its protocol.  An unknown service or action is refused at apply, an
 * input that the call cannot have is a dead letter before anything is sent.
 *
 * The call goes to the Region of the event, or to REGION in arn:aws:scheduler:REGION::aws-sdk:...;
 * a service that is one for all Regions has its own.  The Region comes from the event and becomes
 * part of a host's name, so it must be a label.  Where a call has a member that makes a repeat
 * harmless, it gets the identity of the delivery, unless the input sets it.
 *
 * S3 answers 404 where nothing is configured: for a question that is an answer.  Security Hub says
 * 200 and names the findings that it did not update.
 *
 *= https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
 */
#include "core/check.h"
#include "core/json.h"
#include "delivery/aws_call.h"
#include "delivery/target_wire.h"
#include "routing/event.h"

enum {
    UNIVERSAL_INPUT_BYTES_MAX = 262144,
    UNIVERSAL_BODY_BYTES_MAX = 1 << 20,
    UNIVERSAL_TOKEN_CHARS = 36,
    UNIVERSAL_REGION_CHARS_MAX = 32,
};

_Static_assert(AWS_WRITTEN_HEADERS_MAX + 3 <= TARGET_HEADERS_MAX, "those of a call and ours");

struct universal {
    struct target target;
    struct arena arena;
    struct aws_operation operation;
    struct slice partition;
    struct slice region;   /* of the ARN; empty: the event's */
    struct slice endpoint; /* override, or empty */
};

static const struct universal *universal_of(const struct target *target)
{
    CHECK(target->ops == &target_universal);
    return (const struct universal *)(const void *)target;
}

static bool is_region(struct slice text)
{
    return target_name_is(text, UNIVERSAL_REGION_CHARS_MAX, "") &&
           slice_find(text, '_') == text.len;
}

static enum err open_call(const struct target_options *options, struct slice arn,
                          struct target **target, struct err_why *why)
{
    struct aws_operation operation;
    struct universal *universal;
    struct arn parts;
    struct slice rest;
    struct slice service;

    if (!arn_split(arn, &parts) || !slice_eq(parts.service, SLICE("scheduler")) ||
        parts.account.len > 0 || (parts.region.len > 0 && !is_region(parts.region))) {
        parts.resource = (struct slice){NULL, 0};
    }
    rest = parts.resource;
    if (!slice_eq(slice_cut(&rest, ':'), SLICE("aws-sdk"))) {
        return err_because(ERR_BAD_VALUE, why,
                           "an ARN of an AWS call is arn:aws:scheduler:::aws-sdk:SERVICE:ACTION, "
                           "such as arn:aws:scheduler:::aws-sdk:securityhub:batchUpdateFindings");
    }
    service = slice_cut(&rest, ':');
    TRY(aws_operation_find(service, rest, &operation, why));
    if (operation.service->global_host != NULL && !slice_eq(parts.partition, SLICE("aws"))) {
        return err_because(ERR_BAD_VALUE, why, "%s can be called in partition aws only",
                           operation.service->name);
    }
    universal = xcalloc(1, sizeof(*universal));
    universal->target.ops = &target_universal;
    universal->operation = operation;
    universal->partition = arena_copy(&universal->arena, parts.partition);
    universal->region = arena_copy(&universal->arena, parts.region);
    universal->endpoint = arena_copy(
        &universal->arena, target_endpoint(options, slice_of(operation.service->signing)));
    *target = &universal->target;
    return ERR_OK;
}

static void close_call(struct target *target)
{
    struct universal *universal = (struct universal *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_universal);
    arena_clean_up(&universal->arena);
    xfree(universal);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return UNIVERSAL_INPUT_BYTES_MAX;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* The Region that signs and, unless the service has one host for all, is called. */
static enum err choose_region(const struct universal *universal, const struct target_item *item,
                              struct arena *arena, struct slice *region)
{
    struct event_draft draft;

    if (universal->operation.service->global_region != NULL) {
        *region = slice_of(universal->operation.service->global_region);
        return ERR_OK;
    }
    *region = universal->region;
    if (region->len == 0) {
        TRY(event_read_envelope(item->event, arena, &draft, NULL));
        *region = draft.region;
    }
    return is_region(*region) ? ERR_OK : ERR_BAD_VALUE;
}

static void choose_place(const struct universal *universal, struct slice region,
                         struct arena *arena, struct target_place *place)
{
    const struct aws_service *service = universal->operation.service;
    const char *suffix = slice_eq(universal->partition, SLICE("aws-cn")) ? ".cn" : "";
    struct slice url = universal->endpoint;

    *place = (struct target_place){.service = slice_of(service->signing), .region = region};
    if (url.len == 0 && service->global_host != NULL) {
        url = arena_printf(arena, "https://%s", service->global_host);
    } else if (url.len == 0) {
        url = arena_printf(arena, "https://%s.%.*s.amazonaws.com%s", service->host_prefix,
                           SLICE_ARG(region), suffix);
    }
    target_place_set(place, url, arena);
}

static enum err write_call(const struct universal *universal, const struct target_item *item,
                           struct arena *arena, struct aws_written *written, struct err_why *why)
{
    struct digest digest;
    char hex[DIGEST_HEX_CHARS];
    char token[UNIVERSAL_TOKEN_CHARS + 1];

    target_identity(item, &digest);
    digest_hex(&digest, hex);
    (void)snprintf(token, sizeof(token), "%.8s-%.4s-8%.3s-8%.3s-%.12s", hex, hex + 8, hex + 12,
                   hex + 15, hex + 18);
    return aws_operation_write(&universal->operation, item->body, slice_of(token), arena, written,
                               why);
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    const struct universal *universal = universal_of(target);
    struct err_why why = {.text = ""};
    struct aws_written written = {0};
    struct arena arena = {0};
    struct slice region;
    struct buf body;
    bool may = true;

    if (item->body.len > UNIVERSAL_INPUT_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large", SLICE("ValidationError"),
                             SLICE("the input is over 256 KiB"));
    }
    buf_init(&body, UNIVERSAL_BODY_BYTES_MAX);
    written.body = &body;
    if (choose_region(universal, item, &arena, &region) != ERR_OK) {
        may = target_refuse(verdict, ERR_REMOTE_REJECTED, "invalid-message", SLICE(""),
                            SLICE("the event's region is none"));
    } else if (write_call(universal, item, &arena, &written, &why) != ERR_OK) {
        may = target_refuse(verdict, ERR_REMOTE_REJECTED, "invalid-input",
                            universal->operation.action, slice_of(why.text));
    }
    buf_clean_up(&body);
    arena_clean_up(&arena);
    return may;
}

static void add_header(struct target_request *request, struct slice name, struct slice value)
{
    CHECK(request->header_count < TARGET_HEADERS_MAX);
    request->headers[request->header_count++] = (struct header){name, value};
}

/* What each protocol has in its headers. */
static void write_headers(const struct aws_operation *operation, struct arena *arena,
                          struct target_request *request)
{
    const struct aws_service *service = operation->service;
    struct digest digest;
    char hex[DIGEST_HEX_CHARS];

    switch (service->protocol) {
    case AWS_JSON:
        add_header(request, SLICE("content-type"),
                   arena_printf(arena, "application/x-amz-json-%s", service->version));
        add_header(
            request, SLICE("x-amz-target"),
            arena_printf(arena, "%s.%.*s", service->target_prefix, SLICE_ARG(operation->action)));
        break;
    case AWS_QUERY:
    case AWS_EC2:
        add_header(request, SLICE("content-type"),
                   SLICE("application/x-www-form-urlencoded; charset=utf-8"));
        break;
    case AWS_REST_JSON:
        add_header(request, SLICE("content-type"), SLICE("application/json"));
        break;
    case AWS_REST_XML:
    default:
        digest_sha256(buf_slice(request->body), &digest);
        digest_hex(&digest, hex);
        add_header(request, SLICE("x-amz-content-sha256"),
                   arena_copy(arena, (struct slice){hex, sizeof(hex)}));
        break;
    }
}

static enum err build_call(const struct target *target, const struct target_item *items,
                           size_t count, struct arena *arena, struct target_request *request)
{
    const struct universal *universal = universal_of(target);
    struct aws_written written = {.body = request->body};
    struct target_place place;
    struct slice region;
    struct slice url;

    CHECK(count == 1);
    TRY(choose_region(universal, &items[0], arena, &region));
    TRY(write_call(universal, &items[0], arena, &written, NULL));
    choose_place(universal, arena_copy(arena, region), arena, &place);
    url = arena_printf(arena, "%s%.*s", place.url, SLICE_ARG(written.path));
    if (written.query.len > 0) {
        url = arena_printf(arena, "%.*s?%.*s", SLICE_ARG(url), SLICE_ARG(written.query));
    }
    request->method = written.method;
    request->url = url.data;
    request->host = place.host;
    request->path = arena_printf(arena, "%.*s%.*s", SLICE_ARG(place.path), SLICE_ARG(written.path));
    request->query = written.query;
    request->service = place.service;
    request->region = place.region;
    request->header_count = 0;
    write_headers(&universal->operation, arena, request);
    for (size_t i = 0; i < written.header_count; i++) {
        add_header(request, written.headers[i].name, written.headers[i].value);
    }
    return ERR_OK;
}

/* ---- replies ------------------------------------------------------------------------------ */

static const struct target_error own_errors[] = {
    /* S3: nothing is configured, which is what was asked */
    {SLICE_INIT("NoSuchPublicAccessBlockConfiguration"), TARGET_SETTLE, ERR_OK, NULL},
    {SLICE_INIT("NoSuchBucketPolicy"), TARGET_SETTLE, ERR_OK, NULL},
    {SLICE_INIT("ReplicationConfigurationNotFoundError"), TARGET_SETTLE, ERR_OK, NULL},
    {SLICE_INIT("NoSuchTagSet"), TARGET_SETTLE, ERR_OK, NULL},
    /* services that recognise a repetition */
    {SLICE_INIT("ExecutionAlreadyExists"), TARGET_SETTLE, ERR_OK, NULL},
    {SLICE_INIT("IdempotentParameterMismatch"), TARGET_SETTLE, ERR_OK, NULL},
    /* Security Hub */
    TARGET_RETRIED("ConcurrentUpdateError", ERR_REMOTE_FAILED),
    TARGET_BURIED("FindingNotFound", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidAccessException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    /* EC2 */
    TARGET_BURIED("UnauthorizedOperation", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("InvalidInstanceID.NotFound", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("Unavailable", ERR_REMOTE_FAILED),
    TARGET_RETRIED("InsufficientInstanceCapacity", ERR_REMOTE_FAILED),
    /* IAM */
    TARGET_BURIED("NoSuchEntity", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("ServiceFailure", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ConcurrentModification", ERR_REMOTE_FAILED),
    /* many */
    TARGET_BURIED("ResourceNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("InternalException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("InternalServerException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ConflictException", ERR_REMOTE_FAILED),
};

/* The first finding that Security Hub did not update, if there is one. */
static bool find_unprocessed(struct slice body, struct arena *arena, struct target_fault *fault)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;
    bool is_list = false;

    *fault = (struct target_fault){0};
    json_reader_init(&reader, body, 32);
    for (enum json_type type = json_next(&reader, &token);
         type != JSON_TYPE_END && type != JSON_TYPE_ERROR; type = json_next(&reader, &token)) {
        const struct slice key = token.raw;

        if (type != JSON_TYPE_KEY) {
            continue;
        }
        if (!is_list) {
            is_list = slice_eq(key, SLICE("UnprocessedFindings")) &&
                      json_next(&reader, &token) == JSON_TYPE_ARRAY_BEGIN;
        } else if (json_next(&reader, &token) != JSON_TYPE_STRING) {
            if (json_read_value(&reader, &token, &skipped) != ERR_OK) {
                return false;
            }
        } else if (slice_eq(key, SLICE("ErrorCode"))) {
            fault->code = json_token_text(&token, arena);
        } else if (slice_eq(key, SLICE("ErrorMessage"))) {
            fault->message = json_token_text(&token, arena);
        }
    }
    return fault->code.len > 0;
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    const struct universal *universal = universal_of(target);
    const bool is_hub = strcmp(universal->operation.service->name, "securityhub") == 0;
    struct target_fault fault;

    (void)items;
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (is_hub && find_unprocessed(reply->body, arena, &fault)) {
        target_code_judge(&fault, true, own_errors, ARRAY_LEN(own_errors), &verdicts[0]);
    } else {
        target_settle(&verdicts[0]);
    }
}

const struct target_ops target_universal = {
    .service = SLICE_INIT("scheduler"),
    .batch_count_max = 1,
    .open = open_call,
    .close = close_call,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_call,
    .classify = classify,
};
