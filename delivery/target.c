/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - what all kinds of targets share: ARNs, and reading what an AWS service complains of.
 *
 * A reply is judged by its error code first, because JSON services report throttling with HTTP 400,
 * and by its status only when the code says nothing.  The code comes from the header
 * x-amzn-errortype, else from `__type` or `code` of a JSON body or `Code` of an XML one; whatever
 * stands before a '#' or after a ':' is decoration.
 *
 * Pure: bytes in, values out; texts from outside are kept short and never interpreted further.
 */
#include "delivery/target.h"

#include "accounts/aws_xml.h"
#include "core/check.h"
#include "core/json.h"
#include "delivery/retry.h"

static const struct target_ops *const kinds[] = {
    &target_lambda, &target_states, &target_ssm,    &target_sns,
    &target_sqs,    &target_api,    &target_events, &target_universal,
};

const struct target_ops *target_find(struct slice arn)
{
    struct arn parts;

    if (!arn_split(arn, &parts)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (slice_eq(kinds[i]->service, parts.service) &&
            slice_has_prefix(parts.resource, kinds[i]->resource_prefix)) {
            return kinds[i];
        }
    }
    return NULL;
}

enum err target_check_arn(struct slice arn, struct err_why *why)
{
    const struct target_options options = {0};
    const struct target_ops *ops = target_find(arn);
    struct arn parts;
    struct target *target;

    if (!arn_split(arn, &parts)) {
        return err_because(ERR_BAD_VALUE, why, "is not an ARN");
    }
    if (ops == NULL) {
        return err_because(ERR_BAD_VALUE, why, "targets of service \"%.*s\" are not supported",
                           SLICE_ARG(slice_first(parts.service, 64)));
    }
    TRY(ops->open(&options, arn, &target, why));
    ops->close(target);
    return ERR_OK;
}

enum err target_check_input(struct slice arn, struct slice input, struct err_why *why)
{
    static const char event[] =
        "{\"version\":\"0\",\"id\":\"0\",\"detail-type\":\"any\",\"source\":\"any\","
        "\"account\":\"000000000000\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"us-east-1\","
        "\"resources\":[],\"detail\":{}}";
    const struct target_options options = {.sqs_batch_bytes_max = SIZE_MAX};
    const struct target_item item = {.body = input,
                                     .event = slice_of(event),
                                     .event_id = SLICE("0"),
                                     .account = SLICE("000000000000"),
                                     .rule = SLICE("central/any"),
                                     .target_id = SLICE("any")};
    struct target_verdict verdict;
    struct target *target;
    bool may;

    CHECK(target_find(arn) != NULL);
    if (target_find(arn) == &target_api) {
        return ERR_OK; /* what may be sent is its destination's to say */
    }
    TRY(target_find(arn)->open(&options, arn, &target, why));
    may = target->ops->check(target, &item, &verdict);
    target->ops->close(target);
    return may ? ERR_OK : err_because(ERR_BAD_VALUE, why, "%s", verdict.message);
}

struct slice target_reply_header(const struct target_reply *reply, struct slice name)
{
    struct slice rest = reply->headers;

    while (rest.len > 0) {
        struct slice value = slice_cut(&rest, '\n');
        const struct slice key = slice_cut(&value, ':');

        if (slice_eq(key, name)) {
            return slice_trim(value);
        }
    }
    return (struct slice){NULL, 0};
}

/* ---- what went wrong ---------------------------------------------------------------------- */

static struct slice short_code(struct slice code)
{
    const size_t hash = slice_find(code, '#');

    if (hash < code.len) {
        code = slice_from(code, hash + 1);
    }
    return slice_first(code, slice_find(code, ':'));
}

static void take_member(struct slice key, struct slice value, struct target_fault *fault)
{
    if (slice_eq(key, SLICE("__type")) ||
        (fault->code.len == 0 && (slice_eq(key, SLICE("code")) || slice_eq(key, SLICE("Code"))))) {
        fault->code = short_code(value);
    } else if (slice_eq(key, SLICE("message")) || slice_eq(key, SLICE("Message"))) {
        fault->message = value;
    }
}

/* Walk the members of the body; a body that is no JSON object leaves what was found so far. */
static void read_json(struct slice body, struct arena *arena, struct target_fault *fault)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;
        struct slice skipped;

        if (json_next(&reader, &token) == JSON_TYPE_STRING) {
            take_member(key, json_token_text(&token, arena), fault);
        } else if (json_read_value(&reader, &token, &skipped) != ERR_OK) {
            return;
        }
    }
}

/* The first Code and Message inside an Error: so say query, EC2 and REST-XML alike. */
static void read_xml(struct slice body, struct arena *arena, struct target_fault *fault)
{
    struct buf code;
    struct buf message;
    struct aws_xml_want wants[] = {{.parent = "Error", .name = "Code", .text = &code},
                                   {.parent = "Error", .name = "Message", .text = &message}};

    buf_init(&code, AWS_XML_BYTES_MAX);
    buf_init(&message, AWS_XML_BYTES_MAX);
    if (aws_xml_read(body, wants, ARRAY_LEN(wants)) == ERR_OK) {
        fault->code = arena_copy(arena, buf_slice(&code));
        fault->message = arena_copy(arena, buf_slice(&message));
    }
    buf_clean_up(&code);
    buf_clean_up(&message);
}

void target_fault_read(const struct target_reply *reply, struct arena *arena,
                       struct target_fault *fault)
{
    const struct slice type = target_reply_header(reply, SLICE("x-amzn-errortype"));

    *fault = (struct target_fault){0};
    if (slice_has_prefix(reply->body, SLICE("<"))) {
        read_xml(reply->body, arena, fault);
    } else {
        read_json(reply->body, arena, fault);
    }
    if (type.len > 0) {
        fault->code = short_code(type);
    }
}

/* ---- verdicts ----------------------------------------------------------------------------- */

#define CODE(name, action, err)                                                                    \
    {                                                                                              \
        SLICE_INIT(name), action, err, NULL                                                        \
    }
#define DENIED(name)                                                                               \
    {                                                                                              \
        SLICE_INIT(name), TARGET_BURY, ERR_REMOTE_DENIED, "NO_PERMISSIONS"                         \
    }

/* The lists that AWS SDKs use, grouped by what weir does. */
static const struct target_error common[] = {
    CODE("RequestTimeout", TARGET_RETRY, ERR_REMOTE_TIMEOUT),
    CODE("RequestTimeoutException", TARGET_RETRY, ERR_REMOTE_TIMEOUT),
    CODE("InternalFailure", TARGET_RETRY, ERR_REMOTE_FAILED),
    CODE("InternalError", TARGET_RETRY, ERR_REMOTE_FAILED),
    CODE("InternalServerError", TARGET_RETRY, ERR_REMOTE_FAILED),
    CODE("ServiceUnavailable", TARGET_RETRY, ERR_REMOTE_FAILED),
    CODE("ServiceUnavailableException", TARGET_RETRY, ERR_REMOTE_FAILED),

    CODE("Throttling", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("ThrottlingException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("ThrottledException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("RequestThrottledException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("RequestThrottled", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("TooManyRequestsException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("ProvisionedThroughputExceededException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("TransactionInProgressException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("RequestLimitExceeded", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("BandwidthLimitExceeded", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("LimitExceededException", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("SlowDown", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("PriorRequestNotComplete", TARGET_RETRY, ERR_REMOTE_THROTTLED),
    CODE("EC2ThrottledException", TARGET_RETRY, ERR_REMOTE_THROTTLED),

    CODE("ExpiredToken", TARGET_RENEW, ERR_REMOTE_EXPIRED),
    CODE("ExpiredTokenException", TARGET_RENEW, ERR_REMOTE_EXPIRED),
    CODE("RequestExpired", TARGET_RENEW, ERR_REMOTE_EXPIRED),
    CODE("InvalidClientTokenId", TARGET_RENEW, ERR_REMOTE_EXPIRED),
    CODE("UnrecognizedClientException", TARGET_RENEW, ERR_REMOTE_EXPIRED),

    /* a clock is wrong, ours or theirs: time may heal it */
    CODE("RequestTimeTooSkewed", TARGET_RETRY, ERR_REMOTE_DENIED),
    CODE("SignatureDoesNotMatch", TARGET_RETRY, ERR_REMOTE_DENIED),
    CODE("InvalidSignatureException", TARGET_RETRY, ERR_REMOTE_DENIED),

    DENIED("AccessDenied"),
    DENIED("AccessDeniedException"),
    DENIED("NotAuthorized"),
    DENIED("OptInRequired"),
    DENIED("MissingAuthenticationToken"),
};

static const struct target_error *find_code(const struct target_error *table, size_t count,
                                            struct slice code)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(table[i].code, code)) {
            return &table[i];
        }
    }
    return NULL;
}

void target_verdict_set(struct target_verdict *verdict, enum target_action action, enum err err,
                        const char *reason, struct slice code, struct slice text)
{
    CHECK((action == TARGET_BURY) == (reason != NULL));
    CHECK((action == TARGET_SETTLE) == (err == ERR_OK));
    verdict->action = action;
    verdict->err = err;
    verdict->retry_after_ms = 0;
    verdict->reason = reason;
    code = slice_first(code, 64);
    text = slice_first(text, TARGET_MESSAGE_BYTES_MAX);
    (void)snprintf(verdict->message, sizeof(verdict->message), "%.*s%s%.*s", SLICE_ARG(code),
                   code.len > 0 && text.len > 0 ? ": " : "", SLICE_ARG(text));
}

static bool judge_code(const struct target_fault *fault, const struct target_error *own,
                       size_t own_count, struct target_verdict *verdict)
{
    const struct target_error *known = find_code(own, own_count, fault->code);

    if (known == NULL) {
        known = find_code(common, ARRAY_LEN(common), fault->code);
    }
    if (known == NULL) {
        return false;
    }
    target_verdict_set(verdict, known->action, known->err, known->reason, fault->code,
                       fault->message);
    return true;
}

void target_code_judge(const struct target_fault *fault, bool is_sender_fault,
                       const struct target_error *own, size_t own_count,
                       struct target_verdict *verdict)
{
    if (judge_code(fault, own, own_count, verdict)) {
        return;
    }
    if (is_sender_fault) {
        target_verdict_set(verdict, TARGET_BURY, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR",
                           fault->code, fault->message);
    } else {
        target_verdict_set(verdict, TARGET_RETRY, ERR_REMOTE_FAILED, NULL, fault->code,
                           fault->message);
    }
}

struct status_rule {
    unsigned status;
    enum target_action action;
    enum err err;
    const char *reason;
};

static struct status_rule judge_status(unsigned status)
{
    static const struct status_rule rules[] = {
        {401, TARGET_RENEW, ERR_REMOTE_EXPIRED, NULL},
        {403, TARGET_BURY, ERR_REMOTE_DENIED, "NO_PERMISSIONS"},
        {404, TARGET_BURY, ERR_REMOTE_MISSING, "NO_RESOURCE"},
        {407, TARGET_RETRY, ERR_REMOTE_FAILED, NULL},
        {408, TARGET_RETRY, ERR_REMOTE_TIMEOUT, NULL},
        {409, TARGET_RETRY, ERR_REMOTE_FAILED, NULL},
        {429, TARGET_RETRY, ERR_REMOTE_THROTTLED, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].status == status) {
            return rules[i];
        }
    }
    if (status >= 400 && status < 500) {
        return (struct status_rule){status, TARGET_BURY, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"};
    }
    return (struct status_rule){status, TARGET_RETRY, ERR_REMOTE_FAILED, NULL};
}

/* Only the form in seconds: the date form depends on whose clock is right. */
uint64_t target_retry_after_ms(const struct target_reply *reply)
{
    uint64_t seconds;

    if (!slice_to_u64(target_reply_header(reply, SLICE("retry-after")), &seconds)) {
        return 0;
    }
    return retry_after_clamp(MIN_OF(seconds, UINT64_C(1000000)) * 1000);
}

void target_fault_judge(const struct target_reply *reply, const struct target_fault *fault,
                        const struct target_error *own, size_t own_count,
                        struct target_verdict *verdict)
{
    struct status_rule rule;
    char status_text[24];

    if (reply->err != ERR_OK) {
        const bool is_remote = err_class(reply->err) == ERR_CLASS_REMOTE;
        const enum err err = is_remote ? reply->err : ERR_REMOTE_FAILED;

        target_verdict_set(verdict, TARGET_RETRY, err, NULL, slice_of(err_name(reply->err)),
                           reply->err_text.len > 0 ? reply->err_text
                                                   : slice_of(err_text(reply->err)));
        return;
    }
    if (!judge_code(fault, own, own_count, verdict)) {
        rule = judge_status(reply->status);
        (void)snprintf(status_text, sizeof(status_text), "HTTP %u", reply->status);
        target_verdict_set(verdict, rule.action, rule.err, rule.reason,
                           fault->code.len > 0 ? fault->code : slice_of(status_text),
                           fault->message);
    }
    if (verdict->action == TARGET_RETRY) {
        verdict->retry_after_ms = target_retry_after_ms(reply);
    }
}
