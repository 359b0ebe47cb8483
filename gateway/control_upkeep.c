/* SPDX-License-Identifier: Apache-2.0
 *
 * control_upkeep.c - what is due every few seconds: lanes that nobody serves, how many replicas
 * there are, dead letters past their retention.
 *
 * With a shared store every replica looks for lanes, because who served one may be gone; their
 * claims keep them apart.  Dead letters are expired by one replica a minute, by turns that the
 * store gives; a turn whose holder dies is lost, and the next one does its work.
 *
 * Nothing here is urgent, so what the store cannot do now is done the next time.
 */
#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/control_internal.h"

enum {
    LOOK_MS = 2000,
    SWEEP_MS = 60000,
    TURN_KEEP_MS = 10 * SWEEP_MS,
    LOG_EVERY_MS = 30000,
};

/* ---- what nobody serves ------------------------------------------------------------------- */

static void look_on(struct control *control);

/* Say when looks begin to fail and now and then while they do. */
static void note_look(struct control *control, enum err err)
{
    const uint64_t now_ms = moment_steady_ms();

    if (err != ERR_OK &&
        (err != control->look_err || now_ms - control->look_logged_ms > LOG_EVERY_MS)) {
        log_warn("control.lanes", LOG_ERR(err));
        control->look_logged_ms = now_ms;
    }
    control->look_err = err;
}

/* A store of our own that failed has failed for good: only a new process can go on.  A shared one
 * comes back, or its operator is told by the log and by readiness. */
static void note_failure(struct control *control, enum err err)
{
    if (err == ERR_STORE_FAILED && !control->is_shared) {
        control->has_store_failed = true;
        control_stop(control);
    }
}

static void on_lanes(struct store_op *op)
{
    struct store_lanes *lanes = CONTAINER_OF(op, struct store_lanes, op);
    struct control *control = CONTAINER_OF(lanes, struct control, lanes);

    control->is_looking = false;
    note_look(control, op->err);
    if (op->err != ERR_OK) {
        note_failure(control, op->err);
        return;
    }
    for (size_t i = 0; i < lanes->count && !control->is_stopping; i++) {
        worker_note_backlog(control->workers[0], slice_of(lanes->lanes[i]));
    }
    if (lanes->has_more && lanes->count > 0 && !control->is_stopping) {
        memcpy(lanes->after, lanes->lanes[lanes->count - 1], sizeof(lanes->after));
        look_on(control);
    }
}

static void look_on(struct control *control)
{
    control->is_looking = true;
    control->lanes.now_ms = moment_now_ms();
    control->lanes.count_max = LANES_PER_LOOK;
    control->lanes.op =
        (struct store_op){.kind = STORE_LANES, .home = &control->mailbox, .on_done = on_lanes};
    store_submit(control->store, &control->lanes.op);
}

void control_look_for_backlog(struct control *control)
{
    if (!control->is_looking && !control->is_stopping) {
        control->lanes.after[0] = '\0';
        look_on(control);
    }
}

/* ---- how many we are ---------------------------------------------------------------------- */

static void on_counted(struct store_op *op)
{
    struct store_lease *census = CONTAINER_OF(op, struct store_lease, op);
    struct control *control = CONTAINER_OF(census, struct control, census);

    control->is_counting = false;
    if (op->err == ERR_OK) {
        control->replica_count = MAX_OF(census->replicas, 1);
        role_watch_share(control->roles, control->replica_count);
    }
}

/* A lease of nothing: its answer says how many replicas are alive. */
static void count_replicas(struct control *control)
{
    if (control->is_counting || control->is_stopping || !control->is_shared) {
        return;
    }
    control->is_counting = true;
    control->census = (struct store_lease){
        .op = {.kind = STORE_LEASE, .home = &control->mailbox, .on_done = on_counted},
        .now_ms = moment_now_ms(),
    };
    store_submit(control->store, &control->census.op);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    control_look_for_backlog(timer->data);
    count_replicas(timer->data);
}

/* ---- what nobody wants any more ----------------------------------------------------------- */

static void on_expired(struct store_op *op)
{
    struct store_dead_edit *expiry = CONTAINER_OF(op, struct store_dead_edit, op);
    struct control *control = CONTAINER_OF(expiry, struct control, expiry);

    control->is_expiring = false;
    if (op->err != ERR_OK) {
        log_warn("control.dead_expired", LOG_ERR(op->err));
    }
    if (expiry->count > 0) {
        log_info("control.dead_expired", LOG_U64("count", expiry->count));
    }
}

static void expire(struct control *control, uint64_t now_ms)
{
    control->expiry = (struct store_dead_edit){
        .op = {.kind = STORE_DEAD_EDIT, .home = &control->mailbox, .on_done = on_expired},
        .edit = STORE_DEAD_EXPIRE,
        .filter = {.until_ms = now_ms - control->config->dead_ms},
        .now_ms = now_ms,
    };
    store_submit(control->store, &control->expiry.op);
}

static void on_turn(struct store_op *op)
{
    struct store_once *turn = CONTAINER_OF(op, struct store_once, op);
    struct control *control = CONTAINER_OF(turn, struct control, turn);

    if (op->err == ERR_OK && turn->is_mine && !control->is_stopping) {
        expire(control, turn->now_ms);
    } else { /* another replica's turn; or nobody's, and the next minute brings another */
        control->is_expiring = false;
    }
}

/* One replica is enough for each minute. */
static void ask_for_turn(struct control *control, uint64_t now_ms)
{
    control->turn = (struct store_once){
        .op = {.kind = STORE_ONCE, .home = &control->mailbox, .on_done = on_turn},
        .now_ms = now_ms,
        .due_ms = now_ms - now_ms % SWEEP_MS,
        .keep_ms = TURN_KEEP_MS,
        .name = "dead-retention",
    };
    store_submit(control->store, &control->turn.op);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control *control = timer->data;
    const uint64_t now_ms = moment_now_ms();

    (void)loop;
    (void)events;
    if (control->is_expiring || now_ms < control->config->dead_ms) {
        return;
    }
    control->is_expiring = true;
    if (control->is_shared) {
        ask_for_turn(control, now_ms);
    } else {
        expire(control, now_ms);
    }
}

/* ---- the timers --------------------------------------------------------------------------- */

void control_upkeep_start(struct control *control)
{
    ev_timer_init(&control->look, on_look, 0, LOOK_MS / 1e3);
    control->look.data = control;
    ev_timer_start(control->loop, &control->look);
    ev_timer_init(&control->sweep, on_sweep, 0, SWEEP_MS / 1e3);
    control->sweep.data = control;
    ev_timer_start(control->loop, &control->sweep);
}

void control_upkeep_stop(struct control *control)
{
    ev_timer_stop(control->loop, &control->look);
    ev_timer_stop(control->loop, &control->sweep);
}
