/* SPDX-License-Identifier: Apache-2.0
 *
 * target_ssm.c - a Systems Manager Automation runbook: one event starts one execution.
 *
 * The ARN is arn:aws:ssm:REGION:ACCOUNT:automation-definition/NAME[:VERSION], as EventBridge writes
 * it; the runbook is then called by name, as one of the account that signs or of AWS.  One that
 * another account shares is arn:aws:ssm:REGION:ACCOUNT:document/NAME[:VERSION] and is called by
 *ARN.
 *
 * What the target's input becomes:
 *
 *   the event itself (no input was configured)     no parameters
 *   {"InstanceId": "i-1", "Ids": ["a", "b"]}       Parameters; each a text or a list of texts
 *   {"Parameters": {...}, "TargetLocations": ...}  these members of the request, as they are
 *
 * The last form is meant if any of the members in request_members stands there.  Numbers, true and
 * false are written as texts, because parameters know nothing else.
 *
 * The client token is the identity of the delivery in the form of a UUID, so a repeated attempt
 * gets the first execution again; IdempotentParameterMismatch says that it was started with other
 * parameters, before somebody changed the rule, and counts as taken.
 *
 *=
 *https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "delivery/target_wire.h"

enum {
    SSM_INPUT_BYTES_MAX = 131072,
    SSM_INPUT_DEPTH_MAX = 16,
    SSM_UUID_CHARS = 36,
};

struct runbook {
    struct target target;
    struct arena arena;
    struct target_place place;
    struct slice document; /* name or ARN */
    struct slice version;  /* empty: the default */
};

/* Members of StartAutomationExecution that an input may set. */
static const struct slice request_members[] = {
    SLICE_INIT("Parameters"), SLICE_INIT("TargetLocations"),
    SLICE_INIT("Targets"),    SLICE_INIT("TargetParameterName"),
    SLICE_INIT("TargetMaps"), SLICE_INIT("MaxConcurrency"),
    SLICE_INIT("MaxErrors"),  SLICE_INIT("Mode"),
    SLICE_INIT("Tags"),
};

static const struct runbook *runbook_of(const struct target *target)
{
    CHECK(target->ops == &target_ssm);
    return (const struct runbook *)(const void *)target;
}

/* "KIND/NAME" or "KIND/NAME:VERSION" */
static bool split_resource(struct slice resource, struct slice *kind, struct slice *name,
                           struct slice *version)
{
    struct slice rest = resource;

    *kind = slice_cut(&rest, '/');
    *name = slice_cut(&rest, ':');
    *version = rest;
    return (slice_eq(*kind, SLICE("automation-definition")) ||
            slice_eq(*kind, SLICE("document"))) &&
           name->len >= 3 && target_name_is(*name, 128, ".") &&
           (rest.data == NULL || target_name_is(rest, 8, "$"));
}

static enum err open_runbook(const struct target_options *options, struct slice arn,
                             struct target **target, struct err_why *why)
{
    struct arn parts;
    struct runbook *runbook;
    struct slice version;
    struct slice kind;
    struct slice name;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_ssm.service) ||
        !split_resource(parts.resource, &kind, &name, &version)) {
        return err_because(ERR_BAD_VALUE, why,
                           "an ARN of an Automation runbook is arn:aws:ssm:REGION:ACCOUNT:"
                           "automation-definition/NAME, or document/NAME for one that another "
                           "account shares, perhaps with :VERSION behind");
    }
    runbook = xcalloc(1, sizeof(*runbook));
    runbook->target.ops = &target_ssm;
    arn = arena_copy(&runbook->arena, arn);
    (void)arn_split(arn, &parts);
    (void)split_resource(parts.resource, &kind, &name, &version);
    runbook->version = version;
    runbook->document = name;
    if (slice_eq(kind, SLICE("document"))) {
        runbook->document = slice_first(arn, (size_t)(slice_end(name) - arn.data));
    }
    target_place_open(&runbook->place, options, &parts, &runbook->arena);
    *target = &runbook->target;
    return ERR_OK;
}

static void close_runbook(struct target *target)
{
    struct runbook *runbook = (struct runbook *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_ssm);
    arena_clean_up(&runbook->arena);
    xfree(runbook);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return SSM_INPUT_BYTES_MAX;
}

/* ---- the input ---------------------------------------------------------------------------- */

static bool is_event(const struct target_item *item)
{
    return item->body.data == item->event.data && item->body.len == item->event.len;
}

static bool is_request_member(struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(request_members); i++) {
        if (slice_eq(request_members[i], key)) {
            return true;
        }
    }
    return false;
}

/* Does the input set members of the request, rather than being the parameters? */
static bool sets_members(struct slice input)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;

    json_reader_init(&reader, input, SSM_INPUT_DEPTH_MAX);
    (void)json_next(&reader, &token);
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        if (is_request_member(token.raw)) {
            return true;
        }
        (void)json_next(&reader, &token);
        if (json_read_value(&reader, &token, &skipped) != ERR_OK) {
            return false;
        }
    }
    return false;
}

/* A text as it is, a number, true or false as a text; ERR_BAD_VALUE for anything else. */
static enum err write_text(const struct json_token *token, struct arena *arena,
                           struct json_writer *writer)
{
    switch (token->type) {
    case JSON_TYPE_STRING:
        json_write_string(writer, json_token_text(token, arena));
        return ERR_OK;
    case JSON_TYPE_NUMBER:
    case JSON_TYPE_TRUE:
    case JSON_TYPE_FALSE:
        json_write_string(writer, token->raw);
        return ERR_OK;
    case JSON_TYPE_END:
    case JSON_TYPE_ERROR:
    case JSON_TYPE_OBJECT_BEGIN:
    case JSON_TYPE_OBJECT_END:
    case JSON_TYPE_ARRAY_BEGIN:
    case JSON_TYPE_ARRAY_END:
    case JSON_TYPE_KEY:
    case JSON_TYPE_NULL:
    default:
        return ERR_BAD_VALUE;
    }
}

/* One value as the list of texts that every parameter is. */
static enum err write_values(struct json_reader *reader, struct arena *arena,
                             struct json_writer *writer)
{
    struct json_token token;

    json_write_array_begin(writer);
    if (json_next(reader, &token) != JSON_TYPE_ARRAY_BEGIN) {
        TRY(write_text(&token, arena, writer));
    } else {
        while (json_next(reader, &token) != JSON_TYPE_ARRAY_END) {
            TRY(write_text(&token, arena, writer));
        }
    }
    json_write_array_end(writer);
    return ERR_OK;
}

/* {"Name": TEXT or [TEXT...], ...} as the map of parameters. */
static enum err write_parameters(struct slice input, struct arena *arena,
                                 struct json_writer *writer)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, input, SSM_INPUT_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_VALUE;
    }
    json_write_object_begin(writer);
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        json_write_key(writer, json_token_text(&token, arena));
        TRY(write_values(&reader, arena, writer));
    }
    json_write_object_end(writer);
    return token.type == JSON_TYPE_OBJECT_END ? ERR_OK : ERR_BAD_VALUE;
}

/* The members that the input sets; one that is none of the request is ERR_BAD_VALUE. */
static enum err write_members(struct slice input, struct arena *arena, struct json_writer *writer)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    json_reader_init(&reader, input, SSM_INPUT_DEPTH_MAX);
    (void)json_next(&reader, &token);
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;

        if (!is_request_member(key)) {
            return ERR_BAD_VALUE;
        }
        (void)json_next(&reader, &token);
        TRY(json_read_value(&reader, &token, &value));
        json_write_key(writer, key);
        if (slice_eq(key, SLICE("Parameters"))) {
            TRY(write_parameters(value, arena, writer));
        } else {
            json_write_raw(writer, value);
        }
    }
    return token.type == JSON_TYPE_OBJECT_END ? ERR_OK : ERR_BAD_VALUE;
}

/* What the input adds to the request. */
static enum err write_input(const struct target_item *item, struct arena *arena,
                            struct json_writer *writer)
{
    if (is_event(item)) {
        return ERR_OK;
    }
    if (json_check(item->body, SSM_INPUT_DEPTH_MAX, NULL) != ERR_OK) {
        return ERR_BAD_VALUE;
    }
    if (sets_members(item->body)) {
        return write_members(item->body, arena, writer);
    }
    json_write_key(writer, SLICE("Parameters"));
    return write_parameters(item->body, arena, writer);
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    struct arena arena = {0};
    struct json_writer writer;
    struct buf out;
    enum err err;

    (void)runbook_of(target);
    if (!is_event(item) && item->body.len > SSM_INPUT_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large",
                             SLICE("ValidationException"),
                             SLICE("the input is over the 128 KiB that a runbook may get"));
    }
    buf_init(&out, SSM_INPUT_BYTES_MAX * 8);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    err = write_input(item, &arena, &writer);
    json_write_object_end(&writer);
    buf_clean_up(&out);
    arena_clean_up(&arena);
    if (err != ERR_OK) {
        return target_refuse(verdict, ERR_REMOTE_REJECTED, "invalid-input",
                             SLICE("InvalidAutomationExecutionParametersException"),
                             SLICE("the input must be an object of parameters, each a text or a "
                                   "list of texts, or of members of StartAutomationExecution"));
    }
    return true;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* A UUID of version 8 (custom) made of the identity's first 16 bytes. */
static void write_token(const struct target_item *item, char uuid[static SSM_UUID_CHARS + 1])
{
    struct digest digest;
    const uint8_t *b = digest.bytes;

    target_identity(item, &digest);
    digest.bytes[6] = (uint8_t)(0x80 | (digest.bytes[6] & 0x0F));
    digest.bytes[8] = (uint8_t)(0x80 | (digest.bytes[8] & 0x3F));
    (void)snprintf(uuid, SSM_UUID_CHARS + 1,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

static enum err build_start(const struct target *target, const struct target_item *items,
                            size_t count, struct arena *arena, struct target_request *request)
{
    const struct runbook *runbook = runbook_of(target);
    struct json_writer writer;
    char token[SSM_UUID_CHARS + 1];

    CHECK(count == 1);
    write_token(&items[0], token);
    target_begin_json(&runbook->place, "1.1", SLICE("AmazonSSM.StartAutomationExecution"), request);
    json_write_begin(&writer, request->body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("DocumentName"), runbook->document);
    if (runbook->version.len > 0) {
        json_write_key_string(&writer, SLICE("DocumentVersion"), runbook->version);
    }
    json_write_key_string(&writer, SLICE("ClientToken"), slice_of(token));
    TRY(write_input(&items[0], arena, &writer));
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

static const struct target_error own_errors[] = {
    {SLICE_INIT("IdempotentParameterMismatch"), TARGET_SETTLE, ERR_OK, NULL},
    TARGET_BURIED("AutomationDefinitionNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("AutomationDefinitionVersionNotFoundException", ERR_REMOTE_MISSING,
                  "NO_RESOURCE"),
    TARGET_BURIED("InvalidAutomationExecutionParametersException", ERR_REMOTE_REJECTED,
                  "invalid-input"),
    TARGET_BURIED("InvalidTarget", ERR_REMOTE_REJECTED, "invalid-input"),
    TARGET_BURIED("ValidationException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_RETRIED("AutomationExecutionLimitExceededException", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("InternalServerError", ERR_REMOTE_FAILED),
};

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    (void)runbook_of(target);
    (void)items;
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (target_reply_text(reply, SLICE("AutomationExecutionId"), arena).len > 0) {
        target_settle(&verdicts[0]);
    } else {
        target_bad_reply(&verdicts[0], SLICE("the reply names no execution"));
    }
}

const struct target_ops target_ssm = {
    .service = SLICE_INIT("ssm"),
    .batch_count_max = 1,
    .open = open_runbook,
    .close = close_runbook,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_start,
    .classify = classify,
};
