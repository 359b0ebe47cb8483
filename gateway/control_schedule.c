/* SPDX-License-Identifier: Apache-2.0
 *
 * control_schedule.c - looks at the timetable five times a second and gives moments to workers.
 *
 * While the catalog of a shared store has not been read for too long nothing is acted upon, since a
 * schedule may have been switched off meanwhile; what came due waits.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/control_internal.h"
#include "gateway/timetable.h"

static const double look_s = 0.2;

static void on_moment_home(struct worker_moment *moment)
{
    struct control *control = moment->context;

    if (moment->err != ERR_OK) {
        log_warn("schedule.later", LOG_SLICE("rule", moment->moment.rule->label),
                 LOG_ERR(moment->err));
    }
    timetable_done(control->timetable, moment->moment.rule, moment->err);
    rule_release(moment->moment.rule);
    xfree(moment);
}

/* Schedules are spread over the workers by their names' order of coming due. */
static void act(void *context, struct rule *rule, uint64_t due_ms)
{
    struct control *control = context;
    struct worker_moment *moment = xcalloc(1, sizeof(*moment));

    *moment = (struct worker_moment){
        .moment = {.rule = rule_acquire(rule), .due_ms = due_ms},
        .on_return = on_moment_home,
        .context = control,
    };
    control->moment_count++;
    worker_schedule(control->workers[control->moment_count % control->worker_count], moment);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control *control = timer->data;

    (void)loop;
    (void)events;
    if (!control->is_stopping && !control_is_catalog_stale(control)) {
        timetable_look(control->timetable, moment_now_ms());
    }
}

void control_schedule_use(struct control *control)
{
    if (control->timetable != NULL) { /* not yet while starting */
        timetable_use(control->timetable, control->snapshot, moment_now_ms());
    }
}

void control_schedule_start(struct control *control)
{
    const struct timetable_options options = {.act = act, .context = control};

    control->timetable = timetable_new(&options);
    control_schedule_use(control);
    ev_timer_init(&control->timetable_look, on_look, 0, look_s);
    control->timetable_look.data = control;
    ev_timer_start(control->loop, &control->timetable_look);
}

void control_schedule_stop(struct control *control)
{
    ev_timer_stop(control->loop, &control->timetable_look);
}
