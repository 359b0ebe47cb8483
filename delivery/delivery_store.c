/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_store.c - all mail to the store, and what it answers.
 *
 * Deliveries settled in one turn of the loop share one operation; retries and burials go one by
 * one, and are durable before the memory is freed.  Claims bring work: a lane asks when its window
 * is half empty and it knows of a backlog, and only while memory for the largest possible answer is
 * free.  Whatever the store cannot do now is dropped here: the claim ends by itself, the delivery
 * is due again, and nothing is lost but time.
 *
 * Invariant: a delivery in an end state is counted in its lane's mail_count from the call that
 *            hands it over here until the store has answered.
 */
#include "core/check.h"
#include "core/log.h"
#include "delivery/delivery_internal.h"
#include "delivery/retry.h"
#include "routing/rule.h"

/* ---- memory ------------------------------------------------------------------------------- */

void delivery_hold(struct delivery_engine *engine, struct delivery *delivery)
{
    engine->held_count++;
    engine->bytes_held += delivery->body.len + delivery->state.len;
}

void delivery_drop(struct delivery_engine *engine, struct delivery *delivery)
{
    CHECK(engine->held_count > 0);
    CHECK(engine->bytes_held >= delivery->body.len + delivery->state.len);
    engine->held_count--;
    engine->bytes_held -= delivery->body.len + delivery->state.len;
    delivery_state_free(delivery);
}

void delivery_abandon(struct delivery_engine *engine, struct delivery *delivery)
{
    struct lane *lane = delivery->lane;

    CHECK(delivery->sm.state == DELIVERY_WAITING);
    delivery_lane_wake_at(engine, lane, MAX_OF(delivery->claim_until_ms, engine->now_ms + 1));
    delivery_drop(engine, delivery);
}

void delivery_abandon_window(struct delivery_engine *engine, struct lane *lane)
{
    struct delivery *delivery;

    while ((delivery = lane_pull(lane, DELIVERY_WAITING)) != NULL) {
        delivery_abandon(engine, delivery);
    }
}

void delivery_mail_begin(struct delivery *delivery)
{
    CHECK(!list_is_linked(&delivery->node));
    delivery->lane->mail_count++;
}

void delivery_mail_end(struct delivery *delivery)
{
    struct lane *lane = delivery->lane;

    CHECK(lane->mail_count > 0);
    lane->mail_count--;
    lane->is_choked = false;
}

void delivery_mail_over(struct delivery_engine *engine, struct delivery *delivery)
{
    struct lane *lane = delivery->lane;

    delivery_mail_end(delivery);
    delivery_drop(engine, delivery);
    delivery_touch(engine, lane);
}

/* ---- retry and bury ----------------------------------------------------------------------- */

struct outcome_mail {
    union {
        struct store_op op; /* first member of both */
        struct store_retry retry;
        struct store_bury bury;
    } as;
    struct delivery_engine *engine;
    struct delivery *delivery;
    enum err err; /* BURY: why */
};

static struct outcome_mail *outcome_new(struct delivery_engine *engine, struct delivery *delivery,
                                        enum store_op_kind kind,
                                        void (*on_done)(struct store_op *op))
{
    struct outcome_mail *outcome = xcalloc(1, sizeof(*outcome));

    delivery_mail_begin(delivery);
    outcome->as.op.kind = kind;
    outcome->as.op.home = engine->options.mailbox;
    outcome->as.op.on_done = on_done;
    outcome->engine = engine;
    outcome->delivery = delivery;
    engine->op_count++;
    return outcome;
}

/* Where the store's answer leaves the lane when it is not what was asked for. */
static void after_refusal(struct delivery_engine *engine, struct delivery *delivery, enum err err)
{
    struct delivery_fact fact = {.kind = DELIVERY_FACT_CLAIM_LOST, .err = err};

    if (err == ERR_CLAIM_LOST) {
        delivery_tell(engine, delivery, &fact);
        delivery->lane->has_backlog = true;
    } else {
        log_warn("delivery.store_refused", LOG_SLICE("lane", delivery->lane->name), LOG_ERR(err));
        delivery_lane_wake_at(engine, delivery->lane,
                              MAX_OF(delivery->claim_until_ms, engine->now_ms + 1));
    }
}

void delivery_store_refused(struct delivery_engine *engine, struct delivery *delivery, enum err err)
{
    after_refusal(engine, delivery, err);
    delivery_mail_over(engine, delivery);
}

static void on_retry_done(struct store_op *op)
{
    struct outcome_mail *outcome = CONTAINER_OF(op, struct outcome_mail, as.op);
    struct delivery_engine *engine = outcome->engine;

    engine->op_count--;
    if (op->err == ERR_OK && outcome->as.retry.due_ms <= delivery_clock(engine)) {
        outcome->delivery->lane->has_backlog = true;
        outcome->delivery->lane->noted_meanwhile = outcome->delivery->lane->is_claiming;
    } else if (op->err == ERR_OK) {
        delivery_lane_wake_at(engine, outcome->delivery->lane, outcome->as.retry.due_ms);
    } else {
        after_refusal(engine, outcome->delivery, op->err);
    }
    delivery_mail_over(engine, outcome->delivery);
    xfree(outcome);
}

void delivery_retry_at(struct delivery_engine *engine, struct delivery *delivery, uint64_t due_ms,
                       enum err err)
{
    struct outcome_mail *outcome = outcome_new(engine, delivery, STORE_RETRY, on_retry_done);

    CHECK(delivery->sm.state == DELIVERY_WAITING);
    outcome->as.retry.ref = delivery->ref;
    outcome->as.retry.due_ms = due_ms;
    outcome->as.retry.attempt_count = delivery->attempt_count;
    outcome->as.retry.last_err = err;
    store_submit(engine->options.store, &outcome->as.op);
}

static void on_bury_done(struct store_op *op)
{
    struct outcome_mail *outcome = CONTAINER_OF(op, struct outcome_mail, as.op);
    struct delivery_engine *engine = outcome->engine;
    struct delivery_fact fact = {
        .kind = DELIVERY_FACT_DEAD, .err = outcome->err, .reason = outcome->as.bury.reason};

    engine->op_count--;
    if (op->err == ERR_OK) {
        delivery_tell(engine, outcome->delivery, &fact);
    } else {
        after_refusal(engine, outcome->delivery, op->err);
    }
    delivery_mail_over(engine, outcome->delivery);
    xfree(outcome);
}

void delivery_bury(struct delivery_engine *engine, struct delivery *delivery, const char *reason,
                   const char *message, enum err err)
{
    char named[STORE_MESSAGE_BYTES_MAX + 1];
    char text[STORE_MESSAGE_BYTES_MAX + 1];

    CHECK(delivery->sm.state == DELIVERY_DEAD);
    if (delivery_step_failed(engine, delivery, reason, message, err)) {
        return;
    }
    if (delivery->lane->step != NULL) {
        (void)snprintf(named, sizeof(named), "step %.*s: %.400s",
                       SLICE_ARG(delivery->lane->step->name), message);
        message = named;
    }
    if (delivery_dlq_is_due(delivery)) {
        delivery_dlq_keep(engine, delivery, reason, message, err);
    } else if (delivery->lane->is_dlq) {
        (void)snprintf(text, sizeof(text), "%s: %.400s", reason, message);
        log_error("delivery.dlq_failed", LOG_SLICE("queue", delivery->lane->arn),
                  LOG_SLICE("event", delivery->event_id), LOG_TEXT("reason", reason), LOG_ERR(err));
        delivery_bury_now(engine, delivery, "dlq-failed", text, err);
    } else {
        delivery_bury_now(engine, delivery, reason, message, err);
    }
}

void delivery_bury_now(struct delivery_engine *engine, struct delivery *delivery,
                       const char *reason, const char *message, enum err err)
{
    struct outcome_mail *outcome = outcome_new(engine, delivery, STORE_BURY, on_bury_done);
    struct store_bury *bury = &outcome->as.bury;

    CHECK(delivery->sm.state == DELIVERY_DEAD);
    outcome->err = err;
    bury->ref = delivery->ref;
    bury->now_ms = engine->now_ms;
    bury->attempt_count = delivery->attempt_count;
    (void)snprintf(bury->reason, sizeof(bury->reason), "%s", reason);
    (void)snprintf(bury->message, sizeof(bury->message), "%s", message);
    log_info("delivery.dead", LOG_SLICE("lane", delivery->lane->name),
             LOG_SLICE("event", delivery->event_id), LOG_TEXT("reason", reason), LOG_ERR(err));
    store_submit(engine->options.store, &outcome->as.op);
}

void delivery_bury_window(struct delivery_engine *engine, struct lane *lane)
{
    struct delivery *delivery;

    CHECK(lane->doom != NULL);
    while ((delivery = lane_pull(lane, DELIVERY_DEAD)) != NULL) {
        delivery_bury(engine, delivery, lane->doom, "nothing was sent", ERR_REMOTE_MISSING);
    }
}

/* ---- settle ------------------------------------------------------------------------------- */

struct settle_mail {
    struct store_settle settle;
    struct delivery_engine *engine;
    struct list deliveries;
    struct store_ref refs[];
};

static void on_settle_done(struct store_op *op)
{
    struct settle_mail *mail = CONTAINER_OF(op, struct settle_mail, settle.op);
    struct delivery_engine *engine = mail->engine;
    struct list *node;

    engine->op_count--;
    if (op->err != ERR_OK) {
        log_warn("delivery.settle_failed", LOG_U64("count", mail->settle.ref_count),
                 LOG_ERR(op->err));
    }
    while ((node = list_take_first(&mail->deliveries)) != NULL) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);

        if (op->err != ERR_OK) { /* it will be sent again: at least once */
            delivery_lane_wake_at(engine, delivery->lane,
                                  MAX_OF(delivery->claim_until_ms, engine->now_ms + 1));
        }
        delivery_mail_over(engine, delivery);
    }
    xfree(mail);
}

void delivery_settle(struct delivery_engine *engine, struct delivery *delivery)
{
    /* A sequence whose last step failed, and may, is done all the same. */
    CHECK(delivery->sm.state == DELIVERY_SETTLED || lane_is_impatient(delivery->lane));
    delivery->lane->mail_count++;
    list_append(&engine->settled, &delivery->node);
    engine->settled_count++;
}

void delivery_flush_settled(struct delivery_engine *engine)
{
    struct settle_mail *mail;
    size_t count = 0;

    if (engine->settled_count == 0) {
        return;
    }
    mail = xcalloc(1, sizeof(*mail) + engine->settled_count * sizeof(mail->refs[0]));
    list_init(&mail->deliveries);
    list_splice(&mail->deliveries, &engine->settled);
    LIST_FOREACH (node, &mail->deliveries) {
        mail->refs[count++] = CONTAINER_OF(node, struct delivery, node)->ref;
    }
    CHECK(count == engine->settled_count);
    mail->engine = engine;
    mail->settle.op.kind = STORE_SETTLE;
    mail->settle.op.home = engine->options.mailbox;
    mail->settle.op.on_done = on_settle_done;
    mail->settle.refs = mail->refs;
    mail->settle.ref_count = count;
    engine->settled_count = 0;
    engine->op_count++;
    store_submit(engine->options.store, &mail->settle.op);
}

/* ---- park --------------------------------------------------------------------------------- */

struct park_mail {
    struct store_park park;
    struct delivery_engine *engine;
};

static void on_park_done(struct store_op *op)
{
    struct park_mail *mail = CONTAINER_OF(op, struct park_mail, park.op);

    mail->engine->op_count--;
    mail->engine->has_news = true;
    if (op->err != ERR_OK) {
        log_warn("delivery.park_failed", LOG_ERR(op->err));
    }
    xfree(mail);
}

static void send_park(struct delivery_engine *engine, const struct lane *lane, uint64_t until_ms)
{
    struct park_mail *mail = xcalloc(1, sizeof(*mail));

    memcpy(mail->park.lane, lane->name_chars, sizeof(mail->park.lane));
    mail->park.until_ms = until_ms;
    mail->park.op.kind = STORE_PARK;
    mail->park.op.home = engine->options.mailbox;
    mail->park.op.on_done = on_park_done;
    mail->engine = engine;
    engine->op_count++;
    store_submit(engine->options.store, &mail->park.op);
}

void delivery_end_park(struct delivery_engine *engine, struct lane *lane)
{
    CHECK(lane->mode == LANE_PARKED);
    engine->parked_count--;
    lane_reset(lane);
    send_park(engine, lane, 0);
}

/* Too old, although never tried itself: the lane's failure is its own. */
static size_t bury_expired(struct delivery_engine *engine, struct lane *lane)
{
    size_t count = 0;

    for (size_t i = lane->window.count; i > 0; i--) {
        struct delivery *delivery = CONTAINER_OF(lane->window.nodes[i - 1], struct delivery, due);

        if (engine->now_ms < delivery->budget_from_ms + lane_age_max_ms(lane)) {
            continue;
        }
        lane_remove(lane, delivery, DELIVERY_DEAD);
        delivery_bury(engine, delivery, "age-exhausted",
                      "the target kept failing until the event was too old", ERR_REMOTE_FAILED);
        count++;
        i = lane->window.count + 1; /* removal has reordered the heap */
    }
    return count;
}

void delivery_finish_park(struct delivery_engine *engine, struct lane *lane)
{
    const struct destination *destination = lane->destination;
    struct delivery_fact fact = {.kind = DELIVERY_FACT_PARKED};
    uint64_t until_ms = 0;
    size_t expired_count = 0;
    struct delivery *delivery;

    CHECK(lane->mode == LANE_PARKING);
    if ((lane->failure_count > 0 || lane_is_impatient(lane)) && lane->target != NULL) {
        expired_count = bury_expired(engine, lane);
    }
    if (lane->out_count > 0 || lane->copy_count > 0 || lane->is_claiming) {
        return;
    }
    if (expired_count > 0 && lane->window.count == 0 && lane->has_backlog &&
        delivery_claim(engine, lane, LANE_REFILL_UNDER)) {
        return; /* there may be more that is too old */
    }
    if (destination != NULL) {
        until_ms = destination_shut_until_ms(destination, engine->now_ms);
    }
    if (lane->failure_count > 0 || until_ms == 0) {
        until_ms = MAX_OF(until_ms, engine->now_ms + retry_delay_ms(MAX_OF(lane->failure_count, 1U),
                                                                    delivery_seed(engine)));
    }
    if (lane_is_impatient(lane)) { /* by then what it holds goes on without it */
        until_ms = MIN_OF(until_ms, engine->now_ms + lane_age_max_ms(lane));
    }
    fact.until_ms = until_ms;
    while ((delivery = lane_pull(lane, DELIVERY_WAITING)) != NULL) {
        delivery_tell(engine, delivery, &fact);
        delivery_drop(engine, delivery); /* the park ends its claim */
    }
    lane_park(lane, until_ms);
    engine->parked_count++;
    engine->park_count++;
    delivery_lane_wake_at(engine, lane, until_ms);
    send_park(engine, lane, until_ms);
}

/* ---- claim -------------------------------------------------------------------------------- */

struct claim_mail {
    struct store_claim claim;
    struct delivery_engine *engine;
    struct lane *lane; /* stays while is_claiming */
    size_t bytes_reserved;
};

static void take_records(struct claim_mail *mail)
{
    struct delivery_engine *engine = mail->engine;
    struct list *node;

    while ((node = list_take_first(&mail->claim.records)) != NULL) {
        struct store_record *record = CONTAINER_OF(node, struct store_record, node);
        struct delivery *delivery = delivery_state_new(&record->ref, NULL, record);

        delivery->claim_until_ms = mail->claim.claim_until_ms;
        delivery_hold(engine, delivery);
        if (mail->lane->is_held || mail->lane->mode == LANE_PARKED) {
            delivery->lane = mail->lane;
            delivery_state_move(delivery, DELIVERY_WAITING);
            delivery_abandon(engine, delivery);
        } else {
            lane_queue(mail->lane, delivery);
            delivery_tell(engine, delivery, &(struct delivery_fact){.kind = DELIVERY_FACT_CLAIMED});
        }
    }
}

static void on_claim_done(struct store_op *op)
{
    struct claim_mail *mail = CONTAINER_OF(op, struct claim_mail, claim.op);
    struct delivery_engine *engine = mail->engine;
    struct lane *lane = mail->lane;

    (void)delivery_clock(engine);
    engine->op_count--;
    engine->claim_count--;
    engine->bytes_reserved -= mail->bytes_reserved;
    lane->is_claiming = false;
    if (lane->destination != NULL) {
        lane->destination->claim_count--;
        delivery_activate(engine, lane->destination);
    }
    if (op->err == ERR_OK) {
        lane->has_backlog = mail->claim.has_more || lane->noted_meanwhile;
        lane->is_choked = mail->claim.has_more && list_is_empty(&mail->claim.records);
        take_records(mail);
        if (lane->is_choked) { /* another worker may still hold what was in flight there */
            delivery_lane_wake_at(engine, lane, engine->now_ms + RETRY_DELAY_FIRST_MS);
        }
        if (!lane->has_backlog) {
            delivery_lane_wake_at(engine, lane,
                                  MAX_OF(mail->claim.next_due_ms, engine->now_ms + 1));
        }
    } else {
        log_warn("delivery.claim_failed", LOG_SLICE("lane", lane->name), LOG_ERR(op->err));
        lane->has_backlog = false;
        delivery_lane_wake_at(engine, lane, engine->now_ms + RETRY_DELAY_FIRST_MS);
    }
    lane->noted_meanwhile = false;
    delivery_touch(engine, lane);
    xfree(mail);
}

bool delivery_claim(struct delivery_engine *engine, struct lane *lane, size_t count)
{
    const struct delivery_options *options = &engine->options;
    const size_t used = engine->bytes_held + engine->bytes_reserved;
    const size_t room = options->memory_bytes_max - MIN_OF(used, options->memory_bytes_max);
    struct claim_mail *mail;

    CHECK(!lane->is_claiming);
    CHECK(count > 0);
    count = MIN_OF(count, room / options->event_bytes_max);
    if (count == 0 || engine->claim_count >= DELIVERY_CLAIMS_MAX || engine->is_draining) {
        return false;
    }
    mail = xcalloc(1, sizeof(*mail));
    memcpy(mail->claim.lane, lane->name_chars, sizeof(mail->claim.lane));
    mail->claim.now_ms = engine->now_ms;
    mail->claim.claim_until_ms = engine->now_ms + engine->options.claim_ms;
    mail->claim.count_max = count;
    mail->claim.op.kind = STORE_CLAIM;
    mail->claim.op.home = options->mailbox;
    mail->claim.op.on_done = on_claim_done;
    mail->engine = engine;
    mail->lane = lane;
    mail->bytes_reserved = count * options->event_bytes_max;
    engine->bytes_reserved += mail->bytes_reserved;
    engine->claim_count++;
    engine->op_count++;
    lane->is_claiming = true;
    if (lane->destination != NULL) {
        lane->destination->claim_count++;
    }
    list_remove(&lane->hunger);
    store_submit(options->store, &mail->claim.op);
    return true;
}
