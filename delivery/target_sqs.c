/* SPDX-License-Identifier: Apache-2.0
 *
 * target_sqs.c - an SQS queue, standard or FIFO, over the JSON 1.0 protocol.
 *
 * One message goes by SendMessage, more by SendMessageBatch.  A batch answers 200 even when entries
 * failed, so each entry is judged by itself.  What is refused as a whole for a reason that one
 * entry may have caused is sent again one by one, so no event is buried for its neighbour.
 *
 * The message is the event, byte for byte, and the MD5 that the service answers must be ours.  SQS
 * takes only characters that XML knows; others could never arrive and are refused before the call.
 *
 * Against AWS the queue's URL follows from its ARN.  Behind an endpoint override it is asked for
 * once (GetQueueUrl), because emulators know a queue only by the URL they made up.
 *
 *= https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
 */
#include "delivery/target_wire.h"

#include "core/check.h"
#include "core/digest.h"
#include "core/json.h"
#include "core/json_write.h"

enum { SQS_GROUP_ID_CHARS_MAX = 128 };

struct queue {
    struct target target;
    struct arena arena;
    struct arn arn;
    bool is_fifo;
    struct slice url; /* of the queue, empty until looked up */
    struct target_place place;
    size_t batch_bytes_max;
};

static const struct queue *queue_of(const struct target *target)
{
    CHECK(target->ops == &target_sqs);
    return (const struct queue *)(const void *)target;
}

static enum err open_queue(const struct target_options *options, struct slice arn,
                           struct target **target, struct err_why *why)
{
    struct arn parts;
    struct queue *queue;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_sqs.service) ||
        !target_name_is(parts.resource, 80, ".")) {
        return err_because(ERR_BAD_VALUE, why, "an SQS ARN is arn:aws:sqs:REGION:ACCOUNT:NAME");
    }
    queue = xcalloc(1, sizeof(*queue));
    queue->target.ops = &target_sqs;
    (void)arn_split(arena_copy(&queue->arena, arn), &queue->arn);
    queue->is_fifo = slice_has_suffix(queue->arn.resource, SLICE(".fifo"));
    queue->batch_bytes_max = options->sqs_batch_bytes_max;
    target_place_open(&queue->place, options, &queue->arn, &queue->arena);
    if (target_endpoint(options, target_sqs.service).len == 0) {
        queue->url = arena_printf(&queue->arena, "%s%.*s/%.*s", queue->place.url,
                                  SLICE_ARG(queue->arn.account), SLICE_ARG(queue->arn.resource));
    }
    *target = &queue->target;
    return ERR_OK;
}

static void close_queue(struct target *target)
{
    struct queue *queue = (struct queue *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_sqs);
    arena_clean_up(&queue->arena);
    xfree(queue);
}

static size_t batch_bytes_max(const struct target *target)
{
    return queue_of(target)->batch_bytes_max;
}

/* ---- what may be sent --------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 character at `at`, 0 if it is none or one that XML lacks. */
static size_t xml_character(const uint8_t *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code;
    size_t len;

    if (at[0] < 0x80) {
        return at[0] >= 0x20 || at[0] == '\t' || at[0] == '\n' || at[0] == '\r' ? 1 : 0;
    }
    len = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || len > left) {
        return 0;
    }
    code = at[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3FU);
    }
    if (code < least[len] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ||
        code == 0xFFFE || code == 0xFFFF) {
        return 0;
    }
    return len;
}

static bool is_sendable(struct slice body)
{
    const uint8_t *bytes = (const uint8_t *)body.data;

    for (size_t i = 0; i < body.len;) {
        const size_t len = xml_character(bytes + i, body.len - i);

        if (len == 0) {
            return false;
        }
        i += len;
    }
    return body.len > 0;
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    const struct queue *queue = queue_of(target);

    if (item->body.len > queue->batch_bytes_max) {
        target_verdict_set(verdict, TARGET_BURY, ERR_TOO_LARGE, "message-too-large",
                           SLICE("MessageTooLong"), SLICE("the event is over the queue's maximum"));
        return false;
    }
    if (!is_sendable(item->body)) {
        target_verdict_set(verdict, TARGET_BURY, ERR_REMOTE_REJECTED, "invalid-message",
                           SLICE("InvalidMessageContents"),
                           SLICE("the event holds a character that SQS does not take"));
        return false;
    }
    if (item->message_group_id.len > SQS_GROUP_ID_CHARS_MAX) {
        target_verdict_set(verdict, TARGET_BURY, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR",
                           SLICE("InvalidParameterValue"),
                           SLICE("the message group id is longer than 128 characters"));
        return false;
    }
    return true;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Every attempt of one delivery carries the same id, and no other event of the queue does. */
static void write_deduplication(struct json_writer *writer, const struct target_item *item)
{
    struct digest digest;
    char hex[DIGEST_HEX_CHARS];

    target_identity(item, &digest);
    digest_hex(&digest, hex);
    json_write_key_string(writer, SLICE("MessageDeduplicationId"),
                          (struct slice){hex, sizeof(hex)});
}

static void write_attributes(struct json_writer *writer, const struct target_item *item)
{
    json_write_key(writer, SLICE("MessageAttributes"));
    json_write_object_begin(writer);
    for (size_t i = 0; i < item->attribute_count; i++) {
        json_write_key(writer, item->attributes[i].name);
        json_write_object_begin(writer);
        json_write_key_string(writer, SLICE("DataType"), SLICE("String"));
        json_write_key_string(writer, SLICE("StringValue"), item->attributes[i].value);
        json_write_object_end(writer);
    }
    json_write_object_end(writer);
}

static void write_message(const struct queue *queue, struct json_writer *writer,
                          const struct target_item *item)
{
    json_write_key_string(writer, SLICE("MessageBody"), item->body);
    if (item->message_group_id.len > 0) {
        json_write_key_string(writer, SLICE("MessageGroupId"), item->message_group_id);
    } else if (queue->is_fifo) {
        json_write_key_string(writer, SLICE("MessageGroupId"), item->account);
    }
    if (queue->is_fifo) {
        write_deduplication(writer, item);
    }
    if (item->attribute_count > 0) {
        write_attributes(writer, item);
    }
}

static enum err build_send(const struct target *target, const struct target_item *items,
                           size_t count, struct arena *arena, struct target_request *request)
{
    const struct queue *queue = queue_of(target);
    struct json_writer writer;
    char id[2] = {'0', '\0'};

    (void)arena;
    CHECK(count >= 1);
    CHECK(count <= TARGET_BATCH_MAX);
    CHECK(queue->url.len > 0);
    target_begin_json(
        &queue->place, "1.0",
        count == 1 ? SLICE("AmazonSQS.SendMessage") : SLICE("AmazonSQS.SendMessageBatch"), request);
    json_write_begin(&writer, request->body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("QueueUrl"), queue->url);
    if (count == 1) {
        write_message(queue, &writer, &items[0]);
    } else {
        json_write_key(&writer, SLICE("Entries"));
        json_write_array_begin(&writer);
        for (size_t i = 0; i < count; i++) {
            id[0] = (char)('0' + i);
            json_write_object_begin(&writer);
            json_write_key_string(&writer, SLICE("Id"), slice_of(id));
            write_message(queue, &writer, &items[i]);
            json_write_object_end(&writer);
        }
        json_write_array_end(&writer);
    }
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

static bool needs_lookup(const struct target *target, uint64_t now_ms)
{
    (void)now_ms;
    return queue_of(target)->url.len == 0;
}

static enum err build_lookup(const struct target *target, struct arena *arena,
                             struct target_request *request)
{
    const struct queue *queue = queue_of(target);
    struct json_writer writer;

    (void)arena;
    target_begin_json(&queue->place, "1.0", SLICE("AmazonSQS.GetQueueUrl"), request);
    json_write_begin(&writer, request->body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("QueueName"), queue->arn.resource);
    json_write_key_string(&writer, SLICE("QueueOwnerAWSAccountId"), queue->arn.account);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* ---- replies ------------------------------------------------------------------------------ */

/* One object of a reply: the members that matter. */
struct reply_entry {
    struct slice id;
    struct slice message_id;
    struct slice md5;
    struct slice queue_url;
    struct target_fault fault;
    bool is_sender_fault;
};

static void take_member(struct slice key, const struct json_token *token, struct arena *arena,
                        struct reply_entry *entry)
{
    struct slice text;

    if (token->type == JSON_TYPE_TRUE && slice_eq(key, SLICE("SenderFault"))) {
        entry->is_sender_fault = true;
    }
    if (token->type != JSON_TYPE_STRING) {
        return;
    }
    text = json_token_text(token, arena);
    if (slice_eq(key, SLICE("Id"))) {
        entry->id = text;
    } else if (slice_eq(key, SLICE("MessageId"))) {
        entry->message_id = text;
    } else if (slice_eq(key, SLICE("MD5OfMessageBody"))) {
        entry->md5 = text;
    } else if (slice_eq(key, SLICE("QueueUrl"))) {
        entry->queue_url = text;
    } else if (slice_eq(key, SLICE("Code"))) {
        entry->fault.code = text;
    } else if (slice_eq(key, SLICE("Message"))) {
        entry->fault.message = text;
    }
}

/* The members of an object whose opening brace was just read; nested values are skipped. */
static enum err read_entry(struct json_reader *reader, struct arena *arena,
                           struct reply_entry *entry)
{
    struct json_token token;

    *entry = (struct reply_entry){0};
    while (json_next(reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;
        struct slice skipped;

        (void)json_next(reader, &token);
        take_member(key, &token, arena, entry);
        TRY(json_read_value(reader, &token, &skipped));
    }
    return token.type == JSON_TYPE_OBJECT_END ? ERR_OK : ERR_BAD_JSON;
}

static enum err read_flat(struct slice body, struct arena *arena, struct reply_entry *entry)
{
    struct json_reader reader;
    struct json_token token;

    *entry = (struct reply_entry){0};
    json_reader_init(&reader, body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_JSON;
    }
    return read_entry(&reader, arena, entry);
}

/* The service has it, if it has what we sent. */
static void judge_accepted(const struct target_item *item, const struct reply_entry *entry,
                           struct target_verdict *verdict)
{
    char md5[32];

    digest_md5_hex(item->body, md5);
    if (entry->message_id.len == 0 && entry->md5.len == 0) {
        target_bad_reply(verdict, SLICE("the reply names no message"));
    } else if (entry->md5.len > 0 &&
               !slice_eq_ignore_case(entry->md5, (struct slice){md5, sizeof(md5)})) {
        target_verdict_set(verdict, TARGET_RETRY, ERR_REMOTE_FAILED, NULL,
                           SLICE("MD5OfMessageBody"), SLICE("the queue got other bytes"));
    } else {
        target_settle(verdict);
    }
}

static const struct target_error own_errors[] = {
    TARGET_BURIED("QueueDoesNotExist", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("AWS.SimpleQueueService.NonExistentQueue", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_RETRIED("QueueDeletedRecently", ERR_REMOTE_FAILED),
    TARGET_RETRIED("KmsThrottled", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("KMS.ThrottlingException", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("OverLimit", ERR_REMOTE_THROTTLED),
    TARGET_BURIED("KmsAccessDenied", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KMS.AccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KmsDisabled", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KmsInvalidState", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KmsNotFound", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidMessageContents", ERR_REMOTE_REJECTED, "invalid-message"),
    TARGET_BURIED("InvalidSecurity", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("UnsupportedOperation", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("BatchRequestTooLong", ERR_REMOTE_REJECTED, "message-too-large"),
    TARGET_BURIED("AWS.SimpleQueueService.BatchRequestTooLong", ERR_REMOTE_REJECTED,
                  "message-too-large"),
};

static bool read_lookup(struct target *target, const struct target_reply *reply,
                        struct arena *arena, struct target_verdict *verdict)
{
    struct queue *queue = (struct queue *)(void *)target;
    struct reply_entry entry;

    CHECK(target->ops == &target_sqs);
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), 1, arena, verdict);
        return false;
    }
    if (read_flat(reply->body, arena, &entry) != ERR_OK || entry.queue_url.len == 0) {
        target_bad_reply(verdict, SLICE("GetQueueUrl gave no QueueUrl"));
        return false;
    }
    queue->url = arena_copy(&queue->arena, entry.queue_url);
    return true;
}

/* Judge the entries of one list of a batch's reply. */
static enum err read_list(struct json_reader *reader, bool has_failed,
                          const struct target_item *items, size_t count, struct arena *arena,
                          struct target_verdict *verdicts)
{
    struct reply_entry entry;
    struct json_token token;
    uint64_t index;

    while (json_next(reader, &token) == JSON_TYPE_OBJECT_BEGIN) {
        TRY(read_entry(reader, arena, &entry));
        if (!slice_to_u64(entry.id, &index) || index >= count) {
            continue;
        }
        if (has_failed) {
            target_code_judge(&entry.fault, entry.is_sender_fault, own_errors,
                              ARRAY_LEN(own_errors), &verdicts[index]);
        } else {
            judge_accepted(&items[index], &entry, &verdicts[index]);
        }
    }
    return token.type == JSON_TYPE_ARRAY_END ? ERR_OK : ERR_BAD_JSON;
}

/* An entry that the reply does not mention counts as failed, for its fate is unknown. */
static void judge_batch(const struct target_item *items, size_t count, struct slice body,
                        struct arena *arena, struct target_verdict *verdicts)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;

    for (size_t i = 0; i < count; i++) {
        target_bad_reply(&verdicts[i], SLICE("the reply does not mention the message"));
    }
    json_reader_init(&reader, body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const bool has_failed = slice_eq(token.raw, SLICE("Failed"));
        const bool is_list = has_failed || slice_eq(token.raw, SLICE("Successful"));
        const enum json_type type = json_next(&reader, &token);
        enum err err;

        if (is_list && type == JSON_TYPE_ARRAY_BEGIN) {
            err = read_list(&reader, has_failed, items, count, arena, verdicts);
        } else {
            err = json_read_value(&reader, &token, &skipped);
        }
        if (err != ERR_OK) {
            return;
        }
    }
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    struct reply_entry entry;

    (void)queue_of(target);
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (count > 1) {
        judge_batch(items, count, reply->body, arena, verdicts);
    } else {
        if (read_flat(reply->body, arena, &entry) != ERR_OK) {
            entry = (struct reply_entry){0};
        }
        judge_accepted(&items[0], &entry, &verdicts[0]);
    }
}

const struct target_ops target_sqs = {
    .service = SLICE_INIT("sqs"),
    .batch_count_max = 10,
    .open = open_queue,
    .close = close_queue,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .needs_lookup = needs_lookup,
    .build_lookup = build_lookup,
    .read_lookup = read_lookup,
    .build = build_send,
    .classify = classify,
};
