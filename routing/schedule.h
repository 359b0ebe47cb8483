/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.h - when is something due? rate(), cron() and at(), as EventBridge writes them.
 *
 *   rate(5 minutes)              minute(s), hour(s), day(s): counted from an anchor, in elapsed
 *time cron(0 18 ? * MON-FRI *)     minute hour day-of-month month day-of-week year, on wall clocks
 *   at(2026-11-20T13:00:00)      once, on wall clocks
 *
 * Wall clocks are those of a time zone.  A time that they skip in spring is passed over; one that
 * they show twice in autumn counts when they show it first.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
 *= https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"
#include "core/zone.h"

#define SCHEDULE_NEVER UINT64_MAX

enum { SCHEDULE_CHARS_MAX = 256, SCHEDULE_YEAR_FIRST = 1970, SCHEDULE_YEAR_LAST = 2199 };

enum schedule_kind { SCHEDULE_RATE, SCHEDULE_CRON, SCHEDULE_AT };

/* Which days of a month: one of the two day fields, for the other one is "?". */
enum schedule_days {
    SCHEDULE_MONTH_DAYS,      /* days of the month, as a set */
    SCHEDULE_LAST_DAY,        /* L */
    SCHEDULE_LAST_WORKDAY,    /* LW */
    SCHEDULE_NEAREST_WORKDAY, /* nW: the workday of this month that is nearest to day n */
    SCHEDULE_WEEK_DAYS,       /* days of the week, as a set; bit 0 is Sunday */
    SCHEDULE_LAST_WEEKDAY,    /* nL: the last such day of the month */
    SCHEDULE_NTH_WEEKDAY,     /* n#k: the k-th such day of the month, if there is one */
};

/* Sets are bits, counted from 0 (minutes, hours, days and months by their own numbers). */
struct schedule_cron {
    uint64_t minutes;
    uint64_t hours;
    uint64_t months;
    enum schedule_days days_kind;
    uint64_t days;
    unsigned day;      /* n */
    unsigned nth;      /* k */
    uint64_t years[4]; /* bit 0 is 1970 */
};

struct schedule {
    enum schedule_kind kind;
    uint64_t interval_ms; /* rate */
    int64_t at_s;         /* at, on wall clocks */
    struct schedule_cron cron;
};

/* ERR_BAD_VALUE with a reason: the expression is not one of those above, or no moment from 1970 to
 * 2199 fits it. */
MUST_USE enum err schedule_parse(struct slice text, struct schedule *schedule, struct err_why *why);

/* What an expression is read by. */
struct schedule_frame {
    struct zone *zone; /* NULL: UTC */
    uint64_t since_ms; /* since when it is in force: the first moment of a rate without start
                          is one interval after that minute's beginning */
    uint64_t start_ms; /* nothing before it; a rate counts from it, itself included; 0: none */
    uint64_t end_ms;   /* nothing after it; 0: none */
};

/* The first moment after `after_ms`, or SCHEDULE_NEVER. */
uint64_t schedule_next(const struct schedule *schedule, const struct schedule_frame *frame,
                       uint64_t after_ms);

/* ---- schedule_cron.c ---- */

/* The six fields between the brackets. */
MUST_USE enum err schedule_cron_parse(struct slice fields, struct schedule_cron *cron,
                                      struct err_why *why);
/* The first matching minute that is not before `minute`, both on wall clocks and counted from 1970;
 * UINT64_MAX: none. */
uint64_t schedule_cron_next(const struct schedule_cron *cron, uint64_t minute);
