/* SPDX-License-Identifier: Apache-2.0
 *
 * timetable.c - a line for each schedule that is on: its rule, and the moment it is due.
 *
 * A line begins where its schedule came into force, or as long ago as a moment may be late, if that
 * was before: so a process that starts acts on what it missed.  Of several moments that have passed
 * it acts on the latest alone.  Whether another replica, or this one before it was started again,
 * has done so already is the store's to say.
 *
 * One moment of a schedule is out at a time; one that fails is tried again at every look until it
 * is too late for it.  All lines are looked at each time: there are few, and a look costs a
 * comparison for each.
 *
 * Memory: lines hold references to their rules.  Time: only the `now_ms` argument.
 */
#include "gateway/timetable.h"

#include "core/check.h"
#include "core/log.h"
#include "gateway/ingest.h"

struct line {
    struct rule *rule;
    uint64_t due_ms;
    bool is_out;
};

struct timetable {
    struct timetable_options options;
    struct schedule_list *schedules; /* that the lines were made of */
    struct line *lines;
    size_t count;
};

struct timetable *timetable_new(const struct timetable_options *options)
{
    struct timetable *timetable = xcalloc(1, sizeof(*timetable));

    timetable->options = *options;
    return timetable;
}

static void release_lines(struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rule_release(lines[i].rule);
    }
    xfree(lines);
}

void timetable_destroy(struct timetable *timetable)
{
    if (timetable != NULL) {
        release_lines(timetable->lines, timetable->count);
        schedule_list_release(timetable->schedules);
        xfree(timetable);
    }
}

static uint64_t first_due(const struct rule *rule, uint64_t now_ms)
{
    const uint64_t late_ms = INGEST_MOMENT_LATE_MS;

    return schedule_next(rule->schedule, &rule->frame,
                         MAX_OF(rule->frame.since_ms, now_ms > late_ms ? now_ms - late_ms : 0));
}

void timetable_use(struct timetable *timetable, const struct snapshot *snapshot, uint64_t now_ms)
{
    struct schedule_list *schedules = snapshot->schedules;
    struct line *lines;
    size_t count = 0;
    size_t at = 0; /* both are in the order of labels */

    if (schedules == timetable->schedules) {
        return;
    }
    lines = xcalloc(schedules->count + 1, sizeof(*lines));
    for (size_t i = 0; i < schedules->count; i++) {
        struct rule *rule = schedules->rules[i];

        if (!rule->is_enabled) {
            continue;
        }
        while (at < timetable->count &&
               slice_compare(timetable->lines[at].rule->label, rule->label) < 0) {
            at++;
        }
        if (at < timetable->count && timetable->lines[at].rule == rule) {
            lines[count] = timetable->lines[at];
        } else {
            lines[count].due_ms = first_due(rule, now_ms);
        }
        lines[count++].rule = rule_acquire(rule);
    }
    release_lines(timetable->lines, timetable->count);
    timetable->lines = lines;
    timetable->count = count;
    schedule_list_release(timetable->schedules);
    timetable->schedules = schedule_list_acquire(schedules);
}

/* Of the moments that have passed, the latest. */
static void skip_to_latest(struct line *line, uint64_t now_ms)
{
    for (;;) {
        const uint64_t next_ms =
            schedule_next(line->rule->schedule, &line->rule->frame, line->due_ms);

        if (next_ms > now_ms) {
            return;
        }
        line->due_ms = next_ms;
    }
}

void timetable_look(struct timetable *timetable, uint64_t now_ms)
{
    for (size_t i = 0; i < timetable->count; i++) {
        struct line *line = &timetable->lines[i];

        if (line->is_out || line->due_ms > now_ms) {
            continue;
        }
        skip_to_latest(line, now_ms);
        if (now_ms - line->due_ms > INGEST_MOMENT_LATE_MS) {
            log_error("schedule.missed", LOG_SLICE("rule", line->rule->label),
                      LOG_U64("due_ms", line->due_ms));
            line->due_ms = schedule_next(line->rule->schedule, &line->rule->frame, line->due_ms);
            continue;
        }
        line->is_out = true;
        timetable->options.act(timetable->options.context, line->rule, line->due_ms);
    }
}

void timetable_done(struct timetable *timetable, const struct rule *rule, enum err err)
{
    for (size_t i = 0; i < timetable->count; i++) {
        struct line *line = &timetable->lines[i];

        if (line->rule == rule) {
            CHECK(line->is_out);
            line->is_out = false;
            if (err == ERR_OK) {
                line->due_ms = schedule_next(rule->schedule, &rule->frame, line->due_ms);
            }
            return;
        }
    }
}
