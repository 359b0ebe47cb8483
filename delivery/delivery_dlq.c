/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_dlq.c - a dead letter's copy for the queue that its target names.
 *
 * The copy is a delivery like any other, of the lane "ACCOUNT/UID/dlq": claimed, batched, parked,
 * retried and resumed after a crash by the same code, on every engine of the store.  It is
 * committed before the burial, so no crash leaves a dead letter without it; its dedup mark names
 * the death, so a burial that is tried again (a crash in between, a claim lost) commits no second.
 *
 * What a queue must be told of the death cannot be asked later, for the dead letter may be redriven
 * or dropped by then; so it stands in the stored bytes, before the event:
 *
 *     {"attributes":{"RULE_ARN":"...","TARGET_ARN":"...",...},"event":EVENT}
 *
 * and is taken apart again when the copy is sent: the message is EVENT as it was, the attributes
 * are message attributes.
 *
 * A queue that refuses is tried again even where a target would be given up at once, since its
 * owner can mend a policy and the copy is all that he watches.  When the budget is spent the copy
 * becomes a dead letter itself, "dlq-failed", which may be redriven.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/log.h"
#include "delivery/delivery_internal.h"
#include "delivery/resolve.h"
#include "routing/rule.h"

enum {
    WRAPPER_BYTES_MAX = 64 << 10, /* all that stands around the event, escaped */
    MARK_TTL_MS = 60 * 60 * 1000, /* longer than a burial is tried again after a crash */
    CODE_CHARS_MAX = STORE_REASON_CHARS_MAX,
    JSON_DEPTH = 4,
};

struct copy_mail {
    struct store_commit commit; /* first */
    struct store_entry entry;
    struct store_delivery copy;
    struct delivery_engine *engine;
    struct delivery *delivery;
    struct buf body;
    struct arena names; /* the store reads them later, when the snapshot may be another */
    enum err err;
    char lane[STORE_LANE_CHARS_MAX + 1];
    char reason[STORE_REASON_CHARS_MAX + 1];
    char message[STORE_MESSAGE_BYTES_MAX + 1];
};

bool delivery_dlq_is_due(const struct delivery *delivery)
{
    const struct lane *lane = delivery->lane;

    return !lane->is_dlq && lane->target != NULL && lane->rule != NULL && lane->account != NULL &&
           lane->target->dlq_arn.len > 0;
}

/* ---- what the queue is told --------------------------------------------------------------- */

/* EventBridge's ERROR_CODE.  Reasons in capitals are its own words already. */
static const char *error_code(const char *reason, enum err err)
{
    if (reason[0] >= 'A' && reason[0] <= 'Z') {
        return reason;
    }
    switch ((int)err) { /* of all errors these have a code */
    case ERR_REMOTE_DENIED:
    case ERR_REMOTE_EXPIRED:
        return "NO_PERMISSIONS";
    case ERR_REMOTE_MISSING:
        return "NO_RESOURCE";
    case ERR_REMOTE_THROTTLED:
        return "THROTTLING";
    case ERR_REMOTE_TIMEOUT:
        return "TIMEOUT";
    case ERR_REMOTE_FAILED:
        return "ERROR_FROM_TARGET";
    default:
        return "SDK_CLIENT_ERROR";
    }
}

static const char *exhausted_condition(const char *reason)
{
    if (slice_eq(slice_of(reason), SLICE("attempts-exhausted"))) {
        return "MaximumRetryAttempts";
    }
    return slice_eq(slice_of(reason), SLICE("age-exhausted")) ? "MaximumEventAgeInSeconds" : NULL;
}

/* A queue takes no empty attribute, and only characters that XML knows; the text is a target's. */
static void write_text(struct json_writer *writer, struct slice name, struct slice text)
{
    char clean[STORE_MESSAGE_BYTES_MAX];
    const size_t len = MIN_OF(text.len, sizeof(clean));

    for (size_t i = 0; i < len; i++) {
        clean[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?';
    }
    json_write_key_string(writer, name, (struct slice){clean, len});
}

static enum err write_body(struct copy_mail *mail)
{
    const struct delivery *delivery = mail->delivery;
    const struct lane *lane = delivery->lane;
    const char *condition = exhausted_condition(mail->reason);
    struct json_writer writer;
    char attempts[16];

    json_write_begin(&writer, &mail->body);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("attributes"));
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("RULE_ARN"), lane->rule->arn);
    json_write_key_string(&writer, SLICE("TARGET_ARN"), lane->arn);
    json_write_key_string(&writer, SLICE("ERROR_CODE"),
                          slice_of(error_code(mail->reason, mail->err)));
    write_text(&writer, SLICE("ERROR_MESSAGE"),
               slice_of(mail->message[0] != '\0' ? mail->message : mail->reason));
    if (condition != NULL) {
        (void)snprintf(attempts, sizeof(attempts), "%" PRIu32,
                       delivery->attempt_count - MIN_OF(delivery->attempt_count, 1U));
        json_write_key_string(&writer, SLICE("EXHAUSTED_RETRY_CONDITION"), slice_of(condition));
        json_write_key_string(&writer, SLICE("RETRY_ATTEMPTS"), slice_of(attempts));
    }
    json_write_object_end(&writer);
    json_write_key(&writer, SLICE("event"));
    json_write_raw(&writer, delivery->body);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* ---- keeping the copy --------------------------------------------------------------------- */

/* One death has one mark: the delivery, and the budget in which it died. */
static void name_death(struct copy_mail *mail)
{
    const struct delivery *delivery = mail->delivery;
    char name[STORE_LANE_CHARS_MAX + 96];

    (void)snprintf(name, sizeof(name), "dlq %s %" PRIu64 " %" PRIu32 " %" PRIu64,
                   delivery->ref.lane, delivery->ref.seq, delivery->ref.ordinal,
                   delivery->budget_from_ms);
    digest_sha256(slice_of(name), &mail->entry.key);
    mail->entry.content = mail->entry.key;
    mail->entry.has_mark = true;
    mail->entry.mark_ttl_ms = MARK_TTL_MS;
}

static void name_copy(struct copy_mail *mail)
{
    const struct lane *lane = mail->delivery->lane;
    const struct slice bus =
        lane->rule->is_central
            ? SLICE("central")
            : slice_first(lane->label, lane->label.len - lane->rule->name.len - 1);
    const size_t len = slice_find(lane->name, STORE_LANE_STEP); /* the queue is the target's */

    CHECK(len + strlen(RESOLVE_DLQ_SUFFIX) <= STORE_LANE_CHARS_MAX);
    memcpy(mail->lane, lane->name.data, len);
    memcpy(mail->lane + len, RESOLVE_DLQ_SUFFIX, sizeof(RESOLVE_DLQ_SUFFIX));
    mail->copy = (struct store_delivery){
        .lane = slice_of(mail->lane),
        .bus = arena_copy(&mail->names, bus),
        .rule = arena_copy(&mail->names, lane->rule->name),
        .target_id = arena_copy(&mail->names, lane->target->id),
    };
}

static void on_kept(struct store_op *op)
{
    struct copy_mail *mail = CONTAINER_OF(op, struct copy_mail, commit.op);
    struct delivery_engine *engine = mail->engine;
    struct delivery *delivery = mail->delivery;
    struct lane *lane = delivery->lane;

    (void)delivery_clock(engine);
    engine->op_count--;
    lane->copy_count--;
    if (op->err == ERR_OK) {
        delivery_note_backlog(engine, mail->copy.lane);
        delivery_mail_end(delivery);
        delivery_bury_now(engine, delivery, mail->reason, mail->message, mail->err);
        delivery_touch(engine, lane); /* it may have waited with its park */
    } else { /* not without its copy: it is due again when its claim ends */
        log_warn("delivery.dlq_not_kept", LOG_SLICE("lane", delivery->lane->name),
                 LOG_SLICE("event", delivery->event_id), LOG_ERR(op->err));
        delivery_store_refused(engine, delivery, op->err);
    }
    buf_clean_up(&mail->body);
    arena_clean_up(&mail->names);
    xfree(mail);
}

void delivery_dlq_keep(struct delivery_engine *engine, struct delivery *delivery,
                       const char *reason, const char *message, enum err err)
{
    const struct lane *lane = delivery->lane;
    struct copy_mail *mail = xcalloc(1, sizeof(*mail));

    CHECK(delivery_dlq_is_due(delivery));
    mail->engine = engine;
    mail->delivery = delivery;
    mail->err = err;
    (void)snprintf(mail->reason, sizeof(mail->reason), "%s", reason);
    (void)snprintf(mail->message, sizeof(mail->message), "%s", message);
    buf_init(&mail->body, delivery->body.len + WRAPPER_BYTES_MAX);
    CHECK(write_body(mail) == ERR_OK);
    name_copy(mail);
    mail->entry = (struct store_entry){
        .account = slice_first(lane->name, slice_find(lane->name, '/')),
        .event_id = delivery->event_id,
        .body = buf_slice(&mail->body),
        .deliveries = &mail->copy,
        .delivery_count = 1,
    };
    name_death(mail);
    mail->commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = engine->options.mailbox, .on_done = on_kept},
        .now_ms = engine->now_ms,
        .entries = &mail->entry,
        .entry_count = 1,
    };
    delivery_mail_begin(delivery);
    delivery->lane->copy_count++;
    engine->op_count++;
    store_submit(engine->options.store, &mail->commit.op);
}

/* ---- sending it --------------------------------------------------------------------------- */

static void take_attributes(struct json_reader *reader, struct arena *arena,
                            struct target_item *item)
{
    struct target_attribute *attributes =
        ARENA_ARRAY(arena, struct target_attribute, TARGET_ATTRIBUTES_MAX);
    struct json_token token;

    item->attributes = attributes;
    while (json_next(reader, &token) == JSON_TYPE_KEY &&
           item->attribute_count < TARGET_ATTRIBUTES_MAX) {
        attributes[item->attribute_count].name = token.raw;
        if (json_next(reader, &token) != JSON_TYPE_STRING) {
            return;
        }
        attributes[item->attribute_count++].value = json_token_text(&token, arena);
    }
}

void delivery_dlq_unwrap(struct slice body, struct arena *arena, struct target_item *item)
{
    struct json_reader reader;
    struct json_token token;

    item->attribute_count = 0;
    json_reader_init(&reader, body, JSON_DEPTH);
    if (json_next(&reader, &token) == JSON_TYPE_OBJECT_BEGIN &&
        json_next(&reader, &token) == JSON_TYPE_KEY &&
        json_next(&reader, &token) == JSON_TYPE_OBJECT_BEGIN) {
        take_attributes(&reader, arena, item);
    }
    if (json_next(&reader, &token) == JSON_TYPE_KEY && slice_eq(token.raw, SLICE("event"))) {
        /* Not read on: the event may be as deep as an event may be.  Quote, colon, and the end. */
        item->body = slice_from(body, (size_t)(token.raw.data - body.data) + token.raw.len + 2);
        item->body.len--;
    }
}

/* What would be final for a target is not for its queue. */
void delivery_dlq_soften(const struct delivery *delivery, struct target_verdict *verdict)
{
    if (!delivery->lane->is_dlq || verdict->action == TARGET_SETTLE) {
        return;
    }
    log_warn("delivery.dlq_refused", LOG_SLICE("queue", delivery->lane->arn),
             LOG_SLICE("event", delivery->event_id), LOG_ERR(verdict->err));
    if (verdict->action == TARGET_BURY &&
        (verdict->err == ERR_REMOTE_DENIED || verdict->err == ERR_REMOTE_MISSING)) {
        verdict->action = TARGET_RETRY;
        verdict->reason = NULL;
    }
}
