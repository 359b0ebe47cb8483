/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.c - the three kinds of expression, and the next moment of each.
 *
 * A cron expression is asked on wall clocks and its answer brought to UTC.  Where the clocks skip
 * that time there is no such moment, and where they show it twice the first one counts, so the
 * search goes on until a moment comes that lies after the one asked for.  Changes of a clock are an
 * hour as a rule and a day at most (islands that crossed the date line), which bounds that search.
 *
 * Pure: no clock is read here.
 */
#include "routing/schedule.h"

#include "core/calendar.h"
#include "core/check.h"

#define MS_PER_MINUTE UINT64_C(60000)

enum { RATE_COUNT_MAX = 100000, SECONDS_PER_DAY = 86400 };

/* ---- reading ------------------------------------------------------------------------------ */

static enum err parse_rate(struct slice text, struct schedule *schedule, struct err_why *why)
{
    static const struct {
        struct slice one, many;
        uint64_t minutes;
    } units[] = {
        {SLICE_INIT("minute"), SLICE_INIT("minutes"), 1},
        {SLICE_INIT("hour"), SLICE_INIT("hours"), 60},
        {SLICE_INIT("day"), SLICE_INIT("days"), 1440},
    };
    const struct slice number = slice_cut(&text, ' ');
    uint64_t count;

    if (!slice_to_u64(number, &count) || number.data[0] == '0' || count > RATE_COUNT_MAX) {
        return err_because(ERR_BAD_VALUE, why,
                           "rate() begins with a whole number from 1 to %d, as in rate(5 minutes)",
                           RATE_COUNT_MAX);
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_eq(text, count == 1 ? units[i].one : units[i].many)) {
            schedule->kind = SCHEDULE_RATE;
            schedule->interval_ms = count * units[i].minutes * MS_PER_MINUTE;
            return ERR_OK;
        }
    }
    return err_because(ERR_BAD_VALUE, why,
                       count == 1
                           ? "the unit of rate(1 ...) is minute, hour or day"
                           : "the unit of rate() above 1 is minutes, hours or days, after one "
                             "space");
}

static bool take_digits(struct slice *text, size_t width, char end, unsigned *value)
{
    uint64_t number;

    if (text->len < width || !slice_to_u64(slice_first(*text, width), &number)) {
        return false;
    }
    *value = (unsigned)number;
    *text = slice_from(*text, width);
    if (end == '\0') {
        return text->len == 0;
    }
    if (text->len == 0 || text->data[0] != end) {
        return false;
    }
    *text = slice_from(*text, 1);
    return true;
}

static enum err parse_at(struct slice text, struct schedule *schedule, struct err_why *why)
{
    struct calendar_date date;
    unsigned hour;
    unsigned minute;
    unsigned second;

    if (!take_digits(&text, 4, '-', &date.year) || !take_digits(&text, 2, '-', &date.month) ||
        !take_digits(&text, 2, 'T', &date.day) || !take_digits(&text, 2, ':', &hour) ||
        !take_digits(&text, 2, ':', &minute) || !take_digits(&text, 2, '\0', &second) ||
        hour > 23 || minute > 59 || second > 59 || date.year < SCHEDULE_YEAR_FIRST ||
        date.year > SCHEDULE_YEAR_LAST || date.day < 1 ||
        date.day > calendar_month_days(date.year, date.month)) {
        return err_because(ERR_BAD_VALUE, why,
                           "at() holds a date and time that exist, as in at(2026-11-20T13:00:00)");
    }
    schedule->kind = SCHEDULE_AT;
    schedule->at_s =
        (int64_t)(calendar_day(date) * SECONDS_PER_DAY + hour * 3600u + minute * 60u + second);
    return ERR_OK;
}

static enum err parse_cron(struct slice text, struct schedule *schedule, struct err_why *why)
{
    schedule->kind = SCHEDULE_CRON;
    TRY(schedule_cron_parse(text, &schedule->cron, why));
    return schedule_cron_next(&schedule->cron, 0) != UINT64_MAX
               ? ERR_OK
               : err_because(ERR_BAD_VALUE, why, "no date from %d to %d fits it",
                             SCHEDULE_YEAR_FIRST, SCHEDULE_YEAR_LAST);
}

enum err schedule_parse(struct slice text, struct schedule *schedule, struct err_why *why)
{
    static const struct {
        struct slice name;
        enum err (*parse)(struct slice text, struct schedule *schedule, struct err_why *why);
    } kinds[] = {
        {SLICE_INIT("rate("), parse_rate},
        {SLICE_INIT("cron("), parse_cron},
        {SLICE_INIT("at("), parse_at},
    };

    *schedule = (struct schedule){.kind = SCHEDULE_RATE};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (slice_has_prefix(text, kinds[i].name) && slice_has_suffix(text, SLICE(")"))) {
            const struct slice inner = slice_from(text, kinds[i].name.len);

            return kinds[i].parse(slice_first(inner, inner.len - 1), schedule, why);
        }
    }
    return err_because(ERR_BAD_VALUE, why, "must be rate(...), cron(...) or at(...)");
}

/* ---- asking ------------------------------------------------------------------------------- */

static uint64_t next_of_rate(const struct schedule *schedule, const struct schedule_frame *frame,
                             uint64_t after_ms)
{
    const uint64_t base_ms =
        frame->start_ms > 0
            ? frame->start_ms
            : frame->since_ms - frame->since_ms % MS_PER_MINUTE + schedule->interval_ms;

    if (after_ms < base_ms) {
        return base_ms;
    }
    return base_ms + ((after_ms - base_ms) / schedule->interval_ms + 1) * schedule->interval_ms;
}

static uint64_t next_of_at(const struct schedule *schedule, const struct schedule_frame *frame,
                           uint64_t after_ms)
{
    int64_t utc_s;

    if (!zone_to_utc(frame->zone, schedule->at_s, &utc_s) || utc_s < 0 ||
        (uint64_t)utc_s * 1000 <= after_ms) {
        return SCHEDULE_NEVER;
    }
    return (uint64_t)utc_s * 1000;
}

static uint64_t next_of_cron(const struct schedule *schedule, const struct schedule_frame *frame,
                             uint64_t after_ms)
{
    const int64_t after_s = (int64_t)(after_ms / 1000);
    const int64_t local_s = after_s + zone_offset_at(frame->zone, after_s);
    uint64_t minute = local_s > 0 ? (uint64_t)local_s / 60 : 0;

    for (;;) {
        int64_t utc_s;

        minute = schedule_cron_next(&schedule->cron, minute);
        if (minute == UINT64_MAX) {
            return SCHEDULE_NEVER;
        }
        if (zone_to_utc(frame->zone, (int64_t)minute * 60, &utc_s) && utc_s >= 0 &&
            (uint64_t)utc_s * 1000 > after_ms) {
            return (uint64_t)utc_s * 1000;
        }
        minute++;
    }
}

uint64_t schedule_next(const struct schedule *schedule, const struct schedule_frame *frame,
                       uint64_t after_ms)
{
    const uint64_t from_ms = frame->start_ms > 0 ? MAX_OF(after_ms, frame->start_ms - 1) : after_ms;
    uint64_t next_ms;

    switch (schedule->kind) {
    case SCHEDULE_RATE:
        next_ms = next_of_rate(schedule, frame, from_ms);
        break;
    case SCHEDULE_AT:
        next_ms = next_of_at(schedule, frame, from_ms);
        break;
    case SCHEDULE_CRON:
    default:
        next_ms = next_of_cron(schedule, frame, from_ms);
        break;
    }
    return frame->end_ms > 0 && next_ms > frame->end_ms ? SCHEDULE_NEVER : next_ms;
}
