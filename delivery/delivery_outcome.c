/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_outcome.c - verdicts: what each reply means for its delivery, its lane and the counters.
 *
 * The target took it: settled.  A failure that time may heal becomes a retry with a due time, until
 * the budget of attempts or of age has ended; a permanent one a dead letter at once.  Two verdicts
 * cost no attempt: a batch refused for what one of its entries may hold is sent again one by one,
 * and credentials that had expired are renewed once per delivery.
 *
 * A lane hears the best news of any of its deliveries in the call, once per call.  A dead letter is
 * good news for it: somebody answered.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "delivery/delivery_internal.h"
#include "delivery/retry.h"
#include "routing/rule.h"

/* ---- facts -------------------------------------------------------------------------------- */

void delivery_tell(const struct delivery_engine *engine, const struct delivery *delivery,
                   struct delivery_fact *fact)
{
    const struct delivery_hooks *hooks = &engine->options.hooks;
    const struct lane *lane = delivery->lane;

    fact->is_dlq = lane->is_dlq;
    fact->account = slice_first(lane->name, slice_find(lane->name, '/'));
    fact->rule = lane->label;
    fact->target = lane->arn;
    fact->event_id = delivery->event_id;
    if (fact->step.len == 0 && lane->step != NULL) {
        fact->step = lane->step->name;
    }
    fact->attempt_count = delivery->attempt_count;
    if (hooks->on_fact != NULL && fact->kind < DELIVERY_FACT_CLAIMED) {
        hooks->on_fact(hooks->context, fact);
    }
    if (hooks->on_step != NULL) {
        hooks->on_step(hooks->context, fact);
    }
}

/* ---- verdicts ----------------------------------------------------------------------------- */

static void settle(const struct call *call, struct delivery *delivery)
{
    struct delivery_engine *engine = call->engine;
    const uint64_t now_us = moment_steady_us();
    struct delivery_fact fact = {.kind = DELIVERY_FACT_DELIVERED, .call_us = call->http.elapsed_us};

    delivery->attempt_count++;
    if (delivery->offered_us != 0) {
        fact.queue_us = call->sent_us - MIN_OF(delivery->offered_us, call->sent_us);
    } else {
        fact.queue_us = (call->begun_ms - MIN_OF(delivery->accepted_ms, call->begun_ms)) * 1000;
    }
    if (delivery->arrived_us != 0) {
        fact.end_to_end_us = now_us - MIN_OF(delivery->arrived_us, now_us);
    } else {
        fact.end_to_end_us =
            (engine->now_ms - MIN_OF(delivery->accepted_ms, engine->now_ms)) * 1000;
    }
    delivery_tell(engine, delivery, &fact);
    lane_finish(delivery->lane, delivery, DELIVERY_SETTLED);
    delivery_settle(engine, delivery);
}

static void bury(const struct call *call, struct delivery *delivery, const char *reason,
                 const char *message, enum err err)
{
    lane_finish(delivery->lane, delivery, DELIVERY_DEAD);
    delivery_bury(call->engine, delivery, reason, message, err);
}

static void retry(const struct call *call, struct delivery *delivery,
                  const struct target_verdict *verdict)
{
    struct delivery_engine *engine = call->engine;
    struct lane *lane = delivery->lane;
    struct delivery_fact fact = {
        .kind = DELIVERY_FACT_RETRIED, .err = verdict->err, .call_us = call->http.elapsed_us};
    uint64_t due_ms = 0;

    delivery->attempt_count++;
    if (lane->doom != NULL || lane->target == NULL) {
        bury(call, delivery, lane->doom != NULL ? lane->doom : "target-removed", verdict->message,
             verdict->err);
        return;
    }
    switch (retry_decide(
        &(struct retry_question){
            .attempts_max = lane_attempts_max(lane),
            .age_max_ms = lane_age_max_ms(lane),
            .accepted_ms = delivery->budget_from_ms,
            .failure_count = delivery->attempt_count,
            .retry_after_ms = verdict->retry_after_ms,
            .now_ms = engine->now_ms,
            .seed = delivery_seed(engine),
        },
        &due_ms)) {
    case RETRY_AGAIN:
        fact.until_ms = due_ms;
        delivery_tell(engine, delivery, &fact);
        log_debug("delivery.retry", LOG_SLICE("target", lane->arn),
                  LOG_U64("attempt", delivery->attempt_count), LOG_ERR(verdict->err));
        lane_finish(lane, delivery, DELIVERY_WAITING);
        delivery_retry_at(engine, delivery, due_ms, verdict->err);
        break;
    case RETRY_NO_ATTEMPTS:
        bury(call, delivery, "attempts-exhausted", verdict->message, verdict->err);
        break;
    case RETRY_NO_TIME:
    default:
        bury(call, delivery, "age-exhausted", verdict->message, verdict->err);
        break;
    }
}

/* A step is done: on to the next, or, with none left, the delivery is. */
static void finish_step(struct call *call, struct delivery *delivery)
{
    struct delivery_engine *engine = call->engine;
    const struct rule_step *next = NULL;
    struct slice state;
    const enum err err =
        delivery_step_result(engine, delivery, call->destination->target,
                             buf_slice(&call->http.response), &call->arena, &state, &next);

    if (err != ERR_OK) {
        delivery->attempt_count++;
        bury(call, delivery, err == ERR_TOO_LARGE ? "result-too-large" : "invalid-result",
             "it was done, but what it should keep of the reply cannot be kept", err);
    } else if (next == NULL) {
        settle(call, delivery);
    } else {
        delivery->attempt_count++;
        lane_finish(delivery->lane, delivery, DELIVERY_WAITING);
        delivery_step_done(engine, delivery, state, next, call->http.elapsed_us);
    }
}

static void judge_one(struct call *call, struct delivery *delivery,
                      const struct target_verdict *verdict)
{
    struct destination *destination = call->destination;

    switch (verdict->action) {
    case TARGET_SETTLE:
        if (delivery->lane->step != NULL) {
            finish_step(call, delivery);
        } else {
            settle(call, delivery);
        }
        break;
    case TARGET_SPLIT:
        delivery->is_alone = true;
        lane_put_back(delivery->lane, delivery);
        break;
    case TARGET_RENEW:
        if (destination->credentials == call->credentials) {
            credentials_release(destination->credentials);
            destination->credentials = NULL;
            destination->must_renew = true;
        }
        if (delivery->has_renewed) {
            retry(call, delivery, verdict);
        } else {
            delivery->has_renewed = true;
            lane_put_back(delivery->lane, delivery);
        }
        break;
    case TARGET_BURY:
        delivery->attempt_count++;
        bury(call, delivery, verdict->reason, verdict->message, verdict->err);
        break;
    case TARGET_RETRY:
    default:
        if (verdict->err == ERR_STOPPING) {
            lane_finish(delivery->lane, delivery, DELIVERY_WAITING);
            delivery_abandon(call->engine, delivery);
        } else {
            retry(call, delivery, verdict);
        }
        break;
    }
}

/* What one verdict says of the lane: it gets through, it fails, or nothing. */
static bool is_good_news(const struct target_verdict *verdict)
{
    return verdict->action == TARGET_SETTLE || verdict->action == TARGET_BURY;
}

static bool is_bad_news(const struct target_verdict *verdict)
{
    return verdict->action == TARGET_RETRY && verdict->err != ERR_STOPPING;
}

/* Each lane of the call once, with the best that any of its deliveries met. */
static void judge_lanes(struct call *call, struct lane *const *lanes)
{
    for (size_t i = 0; i < call->count; i++) {
        struct lane *lane = lanes[i];
        bool is_good = false;
        bool is_bad = false;

        if (lane->judged_call == call->id) {
            continue;
        }
        lane->judged_call = call->id;
        for (size_t k = i; k < call->count; k++) {
            is_good = is_good || (lanes[k] == lane && is_good_news(&call->verdicts[k]));
            is_bad = is_bad || (lanes[k] == lane && is_bad_news(&call->verdicts[k]));
        }
        if (is_good) {
            lane_note_success(lane);
        } else if (is_bad && lane_note_failure(lane)) {
            log_info("delivery.park", LOG_SLICE("lane", lane->name),
                     LOG_U64("failures", lane->failure_count));
        }
        delivery_touch(call->engine, lane);
    }
}

void delivery_judge(struct call *call)
{
    struct lane *lanes[TARGET_BATCH_MAX];

    for (size_t i = 0; i < call->count; i++) {
        lanes[i] = call->batch[i]->lane;
        delivery_dlq_soften(call->batch[i], &call->verdicts[i]);
        judge_one(call, call->batch[i], &call->verdicts[i]);
    }
    judge_lanes(call, lanes);
    CHECK(list_is_empty(&call->deliveries));
}

void delivery_judge_unsent(struct call *call, const struct target_verdict *verdict)
{
    call->count = 0;
    LIST_FOREACH (node, &call->deliveries) {
        call->verdicts[call->count] = *verdict;
        call->batch[call->count++] = CONTAINER_OF(node, struct delivery, node);
    }
    delivery_judge(call);
}
