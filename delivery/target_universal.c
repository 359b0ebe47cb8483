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
 * S3 answers 404 where nothing is configured: for a question that is an answer.  Some calls take
 * many things and say 200 although they did not do each: a table knows them, and what they say of
 * the first that was not done is judged as an error of the whole would be.
 *
 *= https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
 */
#include "core/check.h"
#include "core/json.h"
#include "delivery/aws_call.h"
#include "delivery/step_result.h"
#include "delivery/target_wire.h"
#include "routing/event.h"
#include "routing/path.h"

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

static struct slice reply_lists(const struct target *target)
{
    const struct aws_call *call = universal_of(target)->operation.call;

    return call != NULL ? slice_of(call->lists) : SLICE("");
}

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
    /* ECS: why a task was not started */
    TARGET_RETRIED("RESOURCE:CPU", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("RESOURCE:MEMORY", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("AGENT", ERR_REMOTE_FAILED),
    TARGET_BURIED("MISSING", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    /* many */
    TARGET_BURIED("ResourceNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("InternalException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("InternalServerException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ConflictException", ERR_REMOTE_FAILED),
};

/* Calls that are answered 200 although something of them was not done: where the codes of the
 * entries that failed are, and their messages.  Without codes, any entry there is a failure, and
 * `otherwise` its code.  The whole call is repeated: an entry that was done is done again. */
static const struct partial {
    const char *service;
    const char *action;
    const char *codes;
    const char *messages;
    const char *otherwise;
} partials[] = {
    {"securityhub", "BatchUpdateFindings", "$.UnprocessedFindings[*].ErrorCode",
     "$.UnprocessedFindings[*].ErrorMessage", NULL},
    {"securityhub", "BatchImportFindings", "$.FailedFindings[*].ErrorCode",
     "$.FailedFindings[*].ErrorMessage", NULL},
    {"sns", "PublishBatch", "$.PublishBatchResult.Failed[*].Code",
     "$.PublishBatchResult.Failed[*].Message", NULL},
    {"eventbridge", "PutEvents", "$.Entries[*].ErrorCode", "$.Entries[*].ErrorMessage", NULL},
    {"eventbridge", "PutTargets", "$.FailedEntries[*].ErrorCode", "$.FailedEntries[*].ErrorMessage",
     NULL},
    {"eventbridge", "RemoveTargets", "$.FailedEntries[*].ErrorCode",
     "$.FailedEntries[*].ErrorMessage", NULL},
    {"kinesis", "PutRecords", "$.Records[*].ErrorCode", "$.Records[*].ErrorMessage", NULL},
    {"firehose", "PutRecordBatch", "$.RequestResponses[*].ErrorCode",
     "$.RequestResponses[*].ErrorMessage", NULL},
    {"dynamodb", "BatchWriteItem", "$.UnprocessedItems", NULL,
     "ProvisionedThroughputExceededException"},
    {"ecs", "RunTask", "$.failures[*].reason", "$.failures[*].detail", NULL},
    {"configservice", "StartRemediationExecution", "$.FailedItems", "$.FailureMessage",
     "FailedItems"},
};

static const struct partial *find_partial(const struct aws_operation *operation)
{
    for (size_t i = 0; i < ARRAY_LEN(partials); i++) {
        if (strcmp(partials[i].service, operation->service->name) == 0 &&
            slice_eq(operation->action, slice_of(partials[i].action))) {
            return &partials[i];
        }
    }
    return NULL;
}

/* The text of a value, or the first text in an array; empty: there is none.  Is there anything? */
static struct slice first_text(struct slice json, struct arena *arena, bool *is_any)
{
    struct json_reader reader;
    struct json_token token;
    enum json_type type;

    json_reader_init(&reader, json, JSON_DEPTH_MAX);
    type = json_next(&reader, &token);
    if (type == JSON_TYPE_ARRAY_BEGIN || type == JSON_TYPE_OBJECT_BEGIN) {
        type = json_next(&reader, &token);
    }
    *is_any = type != JSON_TYPE_ARRAY_END && type != JSON_TYPE_OBJECT_END &&
              type != JSON_TYPE_END && type != JSON_TYPE_ERROR;
    while (type != JSON_TYPE_STRING && type != JSON_TYPE_END && type != JSON_TYPE_ERROR) {
        type = json_next(&reader, &token);
    }
    return type == JSON_TYPE_STRING ? json_token_text(&token, arena) : (struct slice){NULL, 0};
}

/* The first that such a call did not do, if there is one. */
static bool find_undone(const struct universal *universal, struct slice body, struct arena *arena,
                        struct target_fault *fault)
{
    const struct partial *partial = find_partial(&universal->operation);
    struct slice values[2] = {{NULL, 0}, {NULL, 0}};
    struct json_path paths[2];
    size_t count = 1;
    bool is_any;

    if (partial == NULL) {
        return false;
    }
    CHECK(path_compile(slice_of(partial->codes), arena, &paths[0], NULL) == ERR_OK);
    if (partial->messages != NULL) {
        CHECK(path_compile(slice_of(partial->messages), arena, &paths[count++], NULL) == ERR_OK);
    }
    if (path_find(paths, count, step_result(body, reply_lists(&universal->target), arena),
                  UNIVERSAL_BODY_BYTES_MAX, arena, values) != ERR_OK ||
        values[0].data == NULL) {
        return false;
    }
    fault->code = first_text(values[0], arena, &is_any);
    if (partial->otherwise != NULL) {
        fault->code = slice_of(partial->otherwise);
    }
    if (!is_any || fault->code.len == 0) {
        return false;
    }
    fault->message = first_text(values[1], arena, &is_any);
    return true;
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    const struct universal *universal = universal_of(target);
    struct target_fault fault = {0};

    (void)items;
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (find_undone(universal, reply->body, arena, &fault)) {
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
    .reply_lists = reply_lists,
    .classify = classify,
};
