/* SPDX-License-Identifier: Apache-2.0
 *
 * target_sns.c - an SNS topic, standard or FIFO, over the query protocol: a form goes out, XML
 *comes back.
 *
 * One message goes by Publish, more by PublishBatch, whose answer is 200 even when entries failed,
 * so each entry is judged by itself.  What is refused as a whole for a reason that one entry may
 * have caused is sent again one by one.
 *
 * A FIFO topic gets the configured message group, else the account of the event, and as
 * deduplication id the identity of the delivery, which is equal over all attempts.
 *
 *= https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
 */
#include "accounts/aws_xml.h"
#include "core/check.h"
#include "core/percent.h"
#include "delivery/target_wire.h"

enum {
    SNS_MESSAGE_BYTES_MAX = 262144, /* of one message, and of all in a batch */
    SNS_GROUP_ID_CHARS_MAX = 128,
};

struct topic {
    struct target target;
    struct arena arena;
    struct slice arn;
    struct target_place place;
    bool is_fifo;
};

static const struct topic *topic_of(const struct target *target)
{
    CHECK(target->ops == &target_sns);
    return (const struct topic *)(const void *)target;
}

static enum err open_topic(const struct target_options *options, struct slice arn,
                           struct target **target, struct err_why *why)
{
    struct arn parts;
    struct topic *topic;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_sns.service) ||
        !target_name_is(parts.resource, 256, ".")) {
        return err_because(ERR_BAD_VALUE, why, "an SNS ARN is arn:aws:sns:REGION:ACCOUNT:TOPIC");
    }
    topic = xcalloc(1, sizeof(*topic));
    topic->target.ops = &target_sns;
    topic->arn = arena_copy(&topic->arena, arn);
    (void)arn_split(topic->arn, &parts);
    topic->is_fifo = slice_has_suffix(parts.resource, SLICE(".fifo"));
    target_place_open(&topic->place, options, &parts, &topic->arena);
    *target = &topic->target;
    return ERR_OK;
}

static void close_topic(struct target *target)
{
    struct topic *topic = (struct topic *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_sns);
    arena_clean_up(&topic->arena);
    xfree(topic);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return SNS_MESSAGE_BYTES_MAX;
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    (void)topic_of(target);
    if (item->body.len > SNS_MESSAGE_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large", SLICE("InvalidParameter"),
                             SLICE("the message is over the 256 KiB of SNS"));
    }
    if (item->body.len == 0) {
        return target_refuse(verdict, ERR_REMOTE_REJECTED, "invalid-message",
                             SLICE("InvalidParameter"), SLICE("SNS takes no empty message"));
    }
    if (item->message_group_id.len > SNS_GROUP_ID_CHARS_MAX) {
        return target_refuse(verdict, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR",
                             SLICE("InvalidParameter"),
                             SLICE("the message group id is longer than 128 characters"));
    }
    return true;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* "&PREFIXname=value" */
static enum err write_field(struct buf *form, const char *prefix, const char *name,
                            struct slice value)
{
    TRY(buf_printf(form, "&%s%s=", prefix, name));
    return percent_encode(value, form);
}

static enum err write_message(const struct topic *topic, const struct target_item *item,
                              const char *prefix, struct buf *form)
{
    struct digest digest;
    char hex[DIGEST_HEX_CHARS];

    TRY(write_field(form, prefix, "Message", item->body));
    if (!topic->is_fifo) {
        return ERR_OK;
    }
    target_identity(item, &digest);
    digest_hex(&digest, hex);
    TRY(write_field(form, prefix, "MessageGroupId",
                    item->message_group_id.len > 0 ? item->message_group_id : item->account));
    return write_field(form, prefix, "MessageDeduplicationId", (struct slice){hex, sizeof(hex)});
}

static enum err build_publish(const struct target *target, const struct target_item *items,
                              size_t count, struct arena *arena, struct target_request *request)
{
    const struct topic *topic = topic_of(target);
    struct buf *form = request->body;
    char prefix[64];
    char id[2] = {'0', '\0'};

    (void)arena;
    CHECK(count >= 1);
    CHECK(count <= TARGET_BATCH_MAX);
    target_begin_post(&topic->place, SLICE("application/x-www-form-urlencoded; charset=utf-8"),
                      request);
    TRY(buf_printf(form, "Action=%s&Version=2010-03-31", count == 1 ? "Publish" : "PublishBatch"));
    TRY(write_field(form, "", "TopicArn", topic->arn));
    if (count == 1) {
        return write_message(topic, &items[0], "", form);
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(prefix, sizeof(prefix), "PublishBatchRequestEntries.member.%zu.", i + 1);
        id[0] = (char)('0' + i);
        TRY(write_field(form, prefix, "Id", slice_of(id)));
        TRY(write_message(topic, &items[i], prefix, form));
    }
    return ERR_OK;
}

/* ---- replies ------------------------------------------------------------------------------ */

static const struct target_error own_errors[] = {
    TARGET_BURIED("NotFound", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("AuthorizationError", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KMSAccessDenied", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KMSOptInRequired", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KMSDisabled", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KMSInvalidState", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KMSNotFound", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("KMSThrottling", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("Throttled", ERR_REMOTE_THROTTLED),
    TARGET_BURIED("InvalidSecurity", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("InvalidParameter", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("ParameterValueInvalid", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("BatchRequestTooLong", ERR_REMOTE_REJECTED, "message-too-large"),
    TARGET_BURIED("EndpointDisabled", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("PlatformApplicationDisabled", ERR_REMOTE_MISSING, "NO_RESOURCE"),
};

/* One Publish, or one member of a batch's answer, as far as it has been read. */
struct reading {
    struct arena *arena;
    struct slice id;
    struct slice message_id;
    struct target_fault fault;
    bool is_sender_fault;
    /* of a batch */
    size_t count;
    struct target_verdict *verdicts;
};

static void judge_member(struct reading *reading, bool has_failed)
{
    struct target_verdict *verdict;
    uint64_t index;

    if (!slice_to_u64(reading->id, &index) || index >= reading->count) {
        return;
    }
    verdict = &reading->verdicts[index];
    if (has_failed) {
        target_code_judge(&reading->fault, reading->is_sender_fault, own_errors,
                          ARRAY_LEN(own_errors), verdict);
    } else if (reading->message_id.len > 0) {
        target_settle(verdict);
    }
}

static void on_element(void *context, struct slice parent, struct slice name, struct slice text)
{
    struct reading *reading = context;
    const bool has_failed = slice_eq(parent, SLICE("Failed"));

    if (slice_eq(name, SLICE("Id"))) {
        reading->id = arena_copy(reading->arena, text);
    } else if (slice_eq(name, SLICE("MessageId"))) {
        reading->message_id = arena_copy(reading->arena, text);
    } else if (slice_eq(name, SLICE("Code"))) {
        reading->fault.code = arena_copy(reading->arena, text);
    } else if (slice_eq(name, SLICE("Message"))) {
        reading->fault.message = arena_copy(reading->arena, text);
    } else if (slice_eq(name, SLICE("SenderFault"))) {
        reading->is_sender_fault = slice_eq(text, SLICE("true"));
    } else if (slice_eq(name, SLICE("member")) &&
               (has_failed || slice_eq(parent, SLICE("Successful")))) {
        judge_member(reading, has_failed);
        *reading = (struct reading){
            .arena = reading->arena, .count = reading->count, .verdicts = reading->verdicts};
    }
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    struct reading reading = {.arena = arena, .count = count, .verdicts = verdicts};

    (void)topic_of(target);
    (void)items;
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
        return;
    }
    /* What the reply does not mention counts as failed, for its fate is unknown. */
    for (size_t i = 0; i < count; i++) {
        target_bad_reply(&verdicts[i], SLICE("the reply does not mention the message"));
    }
    if (aws_xml_walk(reply->body, on_element, &reading) == ERR_OK && count == 1 &&
        reading.message_id.len > 0) {
        target_settle(&verdicts[0]);
    }
}

const struct target_ops target_sns = {
    .service = SLICE_INIT("sns"),
    .batch_count_max = 10,
    .open = open_topic,
    .close = close_topic,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_publish,
    .classify = classify,
};
