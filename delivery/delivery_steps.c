/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_steps.c - a sequence goes on: what its delivery does between two calls.
 *
 * Each step of a sequence has a lane, "ACCOUNT/UID.STEP", which leads to that step's target with
 * that step's role.  So a step is claimed, batched, parked, retried, buried, redriven and taken
 * over from a dead process by the code that does it for every delivery; what is added here is one
 * arrow: when a step is done, passed over, or failed and may be gone on from, the delivery moves to
 * the lane of the next step that is to run, and takes along what was kept (storage: STORE_ADVANCE).
 * With none left it is settled.
 *
 * Durable first: the next step is looked for, and the step told of, only when the store has
 * answered.  A process that dies before repeats the step, one that dies after does not.  A claim
 * that was lost meanwhile moves nothing: whoever has it repeats the step.
 *
 * A step whose failure is gone on from must not hold up those behind it, however dead its target:
 * its lane is parked no longer than its deliveries may live, it claims while the gate of its
 * destination is shut, and what is too old by then moves on.
 */
#include "core/check.h"
#include "core/log.h"
#include "delivery/delivery_internal.h"
#include "delivery/step_result.h"
#include "routing/ruleset.h"
#include "routing/sequence.h"

struct advance_mail {
    struct store_advance advance; /* first */
    struct delivery_engine *engine;
    struct delivery *delivery;
    struct delivery_fact fact; /* what the step was, told when it is durable */
    char step[SEQUENCE_NAME_CHARS_MAX + 1];
    char reason[STORE_REASON_CHARS_MAX + 1];
    char state[];
};

static void on_advanced(struct store_op *op)
{
    struct advance_mail *mail = CONTAINER_OF(op, struct advance_mail, advance.op);
    struct delivery_engine *engine = mail->engine;
    struct delivery *delivery = mail->delivery;

    engine->op_count--;
    if (op->err == ERR_OK) {
        mail->fact.step = slice_of(mail->step);
        mail->fact.reason = mail->reason[0] != '\0' ? mail->reason : NULL;
        delivery_tell(engine, delivery, &mail->fact);
        delivery_note_backlog(engine, slice_of(mail->advance.lane));
        delivery_mail_over(engine, delivery);
    } else {
        delivery_store_refused(engine, delivery, op->err);
    }
    xfree(mail);
}

static void send_advance(struct delivery_engine *engine, struct delivery *delivery,
                         const struct rule_step *next, struct slice state,
                         const struct delivery_fact *fact)
{
    struct advance_mail *mail = xcalloc(1, sizeof(*mail) + state.len);
    const struct slice name = slice_of(delivery->ref.lane);
    const struct slice base = slice_first(name, slice_find(name, STORE_LANE_STEP));
    const struct slice step = delivery->lane->step->name;

    CHECK(base.len + 1 + next->name.len <= STORE_LANE_CHARS_MAX);
    CHECK(step.len <= SEQUENCE_NAME_CHARS_MAX);
    (void)snprintf(mail->advance.lane, sizeof(mail->advance.lane), "%.*s%c%.*s", SLICE_ARG(base),
                   STORE_LANE_STEP, SLICE_ARG(next->name));
    memcpy(mail->step, step.data, step.len);
    if (state.len > 0) {
        memcpy(mail->state, state.data, state.len);
    }
    mail->fact = *fact;
    if (fact->reason != NULL) {
        (void)snprintf(mail->reason, sizeof(mail->reason), "%s", fact->reason);
    }
    mail->engine = engine;
    mail->delivery = delivery;
    mail->advance.op.kind = STORE_ADVANCE;
    mail->advance.op.home = engine->options.mailbox;
    mail->advance.op.on_done = on_advanced;
    mail->advance.ref = delivery->ref;
    mail->advance.now_ms = engine->now_ms;
    mail->advance.attempt_count = delivery->attempt_count;
    mail->advance.last_err = fact->err;
    mail->advance.state = (struct slice){mail->state, state.len};
    delivery_mail_begin(delivery);
    engine->op_count++;
    store_submit(engine->options.store, &mail->advance.op);
}

/* ---- what is next ------------------------------------------------------------------------- */

static size_t index_of(const struct lane *lane)
{
    return (size_t)(lane->step - lane->whole->steps);
}

static enum err find_next(const struct delivery_engine *engine, const struct delivery *delivery,
                          size_t from, struct slice state, struct arena *arena,
                          const struct rule_step **next)
{
    const struct rule_target *whole = delivery->lane->whole;
    size_t index;

    TRY(sequence_next(whole, from, delivery->body, state, ruleset_lists(engine->ruleset), arena,
                      &index));
    *next = index < whole->step_count ? &whole->steps[index] : NULL;
    return ERR_OK;
}

enum err delivery_step_look(const struct delivery_engine *engine, struct delivery *delivery,
                            struct arena *arena, enum delivery_step_answer *answer)
{
    const struct lane *lane = delivery->lane;
    const struct rule_step *next = lane->step;

    if (lane->step != NULL) {
        TRY(find_next(engine, delivery, index_of(lane), delivery->state, arena, &next));
    }
    *answer = next == lane->step ? DELIVERY_STEP_RUNS
              : next != NULL     ? DELIVERY_STEP_GOES_ON
                                 : DELIVERY_STEP_ENDS;
    return ERR_OK;
}

void delivery_step_pass_over(struct delivery_engine *engine, struct delivery *delivery,
                             struct arena *arena)
{
    const struct delivery_fact fact = {.kind = DELIVERY_FACT_STEP_PASSED};
    const struct rule_step *next = NULL;

    CHECK(find_next(engine, delivery, index_of(delivery->lane), delivery->state, arena, &next) ==
          ERR_OK);
    CHECK(next != NULL);
    send_advance(engine, delivery, next, delivery->state, &fact);
}

enum err delivery_step_result(const struct delivery_engine *engine, struct delivery *delivery,
                              const struct target *target, struct slice body, struct arena *arena,
                              struct slice *state, const struct rule_step **next)
{
    const struct lane *lane = delivery->lane;
    const struct slice lists =
        target->ops->reply_lists != NULL ? target->ops->reply_lists(target) : SLICE("");
    struct slice kept;

    TRY(sequence_keep(lane->step, step_result(body, lists, arena), arena, &kept));
    TRY(sequence_put(delivery->state, lane->step->name, kept, arena, state));
    return find_next(engine, delivery, index_of(lane) + 1, *state, arena, next);
}

void delivery_step_done(struct delivery_engine *engine, struct delivery *delivery,
                        struct slice state, const struct rule_step *next, uint64_t call_us)
{
    const struct delivery_fact fact = {.kind = DELIVERY_FACT_STEP_DONE, .call_us = call_us};

    send_advance(engine, delivery, next, state, &fact);
}

bool delivery_step_failed(struct delivery_engine *engine, struct delivery *delivery,
                          const char *reason, const char *message, enum err err)
{
    const struct lane *lane = delivery->lane;
    struct delivery_fact fact = {.kind = DELIVERY_FACT_STEP_FAILED, .err = err, .reason = reason};
    const struct rule_step *next = NULL;
    struct arena arena = {0};
    struct slice state;
    bool is_gone_on = false;

    if (!lane_is_impatient(lane)) {
        return false;
    }
    log_info("delivery.step_failed", LOG_SLICE("lane", lane->name),
             LOG_SLICE("event", delivery->event_id), LOG_TEXT("reason", reason), LOG_ERR(err));
    if (sequence_put(delivery->state, lane->step->name,
                     sequence_failure(slice_of(reason), slice_of(message), &arena), &arena,
                     &state) == ERR_OK &&
        find_next(engine, delivery, index_of(lane) + 1, state, &arena, &next) == ERR_OK) {
        is_gone_on = true;
        if (next != NULL) {
            send_advance(engine, delivery, next, state, &fact);
        } else { /* it was the last: nothing is left to do */
            fact.step = lane->step->name;
            delivery_tell(engine, delivery, &fact);
            delivery_tell(engine, delivery,
                          &(struct delivery_fact){.kind = DELIVERY_FACT_DELIVERED});
            delivery_settle(engine, delivery);
        }
    }
    arena_clean_up(&arena);
    return is_gone_on;
}
