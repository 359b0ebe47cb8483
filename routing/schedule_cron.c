/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule_cron.c - the six fields of cron(), and the next minute that fits them.
 *
 *     minute       0-59               , - * /
 *     hour         0-23               , - * /
 *     day of month 1-31               , - * / ? L W
 *     month        1-12 or JAN-DEC    , - * /
 *     day of week  1-7 or SUN-SAT     , - * / ? L #
 *     year         1970-2199          , - * /
 *
 * Exactly one of the two day fields is "?".  L, W and # name one day by themselves and stand alone
 * in their field.  A range runs upwards, and a step is no longer than its field.  Each field
 * becomes a set of bits; the search goes from the year down and never looks at a minute that does
 * not fit.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
 */
#include "routing/schedule.h"

#include "core/calendar.h"
#include "core/check.h"

enum { MINUTES_PER_DAY = 1440, FIELDS = 6, SATURDAY = 6, SUNDAY = 0 };

struct field {
    const char *name;
    unsigned min, max;
    const char *words; /* three letters for each value from min on, or NULL */
};

static const struct field minute_field = {"minutes", 0, 59, NULL};
static const struct field hour_field = {"hours", 0, 23, NULL};
static const struct field month_day_field = {"day-of-month", 1, 31, NULL};
static const struct field month_field = {"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"};
static const struct field week_day_field = {"day-of-week", 1, 7, "SUNMONTUEWEDTHUFRISAT"};
static const struct field year_field = {"year", SCHEDULE_YEAR_FIRST, SCHEDULE_YEAR_LAST, NULL};

static bool has_bit(uint64_t set, unsigned bit)
{
    return (set >> bit & 1) != 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum err refuse(const struct field *field, struct slice text, struct err_why *why)
{
    return err_because(ERR_BAD_VALUE, why, "cron(): \"%.*s\" is not valid as %s",
                       (int)MIN_OF(text.len, (size_t)64), text.data != NULL ? text.data : "",
                       field->name);
}

/* One number or name. */
static bool read_value(const struct field *field, struct slice text, unsigned *value)
{
    uint64_t number;

    for (unsigned i = 0; field->words != NULL && text.len == 3 && i <= field->max - field->min;
         i++) {
        if (slice_eq_ignore_case(text, slice_first(slice_of(field->words + (size_t)3 * i), 3))) {
            *value = field->min + i;
            return true;
        }
    }
    if (text.len > 4 || !slice_to_u64(text, &number) || number < field->min ||
        number > field->max) {
        return false;
    }
    *value = (unsigned)number;
    return true;
}

/* "*", "5", "5-9", each perhaps with "/STEP"; "5/STEP" runs to the end.  Sets bits from min on. */
static bool read_part(const struct field *field, struct slice text, uint64_t *set)
{
    const bool has_step = slice_find(text, '/') < text.len;
    struct slice step_text = text;
    struct slice range = slice_cut(&step_text, '/');
    const bool has_range = slice_find(range, '-') < range.len;
    uint64_t step = 1;
    unsigned first = field->min;
    unsigned last = field->max;

    if (has_step && (step_text.len > 4 || !slice_to_u64(step_text, &step) || step == 0 ||
                     step > field->max - field->min + 1)) {
        return false;
    }
    if (!slice_eq(range, SLICE("*"))) {
        const struct slice begin = slice_cut(&range, '-');

        if (!read_value(field, begin, &first) ||
            (has_range && (!read_value(field, range, &last) || last < first))) {
            return false;
        }
        last = has_range || has_step ? last : first;
    }
    for (unsigned value = first; value <= last; value += (unsigned)step) {
        const unsigned bit = value - field->min;

        set[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return true;
}

static enum err read_set(const struct field *field, struct slice text, uint64_t *set,
                         struct err_why *why)
{
    struct slice rest = text;

    do {
        const struct slice part = slice_cut(&rest, ',');

        if (!read_part(field, part, set)) {
            return refuse(field, text, why);
        }
    } while (rest.data != NULL);
    return ERR_OK;
}

/* The set of a field whose bits are its values. */
static enum err read_small_set(const struct field *field, struct slice text, uint64_t *set,
                               struct err_why *why)
{
    uint64_t bits = 0;

    TRY(read_set(field, text, &bits, why));
    *set = bits << field->min;
    return ERR_OK;
}

static enum err read_month_days(struct slice text, struct schedule_cron *cron, struct err_why *why)
{
    cron->days_kind = SCHEDULE_MONTH_DAYS;
    if (slice_eq(text, SLICE("L"))) {
        cron->days_kind = SCHEDULE_LAST_DAY;
        return ERR_OK;
    }
    if (slice_eq(text, SLICE("LW"))) {
        cron->days_kind = SCHEDULE_LAST_WORKDAY;
        return ERR_OK;
    }
    if (slice_has_suffix(text, SLICE("W"))) {
        cron->days_kind = SCHEDULE_NEAREST_WORKDAY;
        return read_value(&month_day_field, slice_first(text, text.len - 1), &cron->day)
                   ? ERR_OK
                   : refuse(&month_day_field, text, why);
    }
    return read_small_set(&month_day_field, text, &cron->days, why);
}

/* In the file days count from 1, Sunday; here from 0. */
static enum err read_week_days(struct slice text, struct schedule_cron *cron, struct err_why *why)
{
    const size_t mark = slice_find(text, '#');
    uint64_t nth;

    if (slice_eq(text, SLICE("L"))) { /* the last day of the week */
        cron->days_kind = SCHEDULE_WEEK_DAYS;
        cron->days = UINT64_C(1) << SATURDAY;
        return ERR_OK;
    }
    if (mark < text.len) {
        cron->days_kind = SCHEDULE_NTH_WEEKDAY;
        if (!read_value(&week_day_field, slice_first(text, mark), &cron->day) ||
            text.len != mark + 2 || !slice_to_u64(slice_from(text, mark + 1), &nth) || nth < 1 ||
            nth > 5) {
            return refuse(&week_day_field, text, why);
        }
        cron->nth = (unsigned)nth;
        cron->day--;
        return ERR_OK;
    }
    if (slice_has_suffix(text, SLICE("L"))) {
        cron->days_kind = SCHEDULE_LAST_WEEKDAY;
        if (!read_value(&week_day_field, slice_first(text, text.len - 1), &cron->day)) {
            return refuse(&week_day_field, text, why);
        }
        cron->day--;
        return ERR_OK;
    }
    cron->days_kind = SCHEDULE_WEEK_DAYS;
    return read_set(&week_day_field, text, &cron->days, why);
}

/* Six fields with one space between each two. */
static bool split(struct slice text, struct slice fields[static FIELDS])
{
    size_t count = 0;

    while (text.data != NULL && count < FIELDS) {
        fields[count] = slice_cut(&text, ' ');
        if (fields[count++].len == 0) {
            return false;
        }
    }
    return count == FIELDS && text.data == NULL;
}

enum err schedule_cron_parse(struct slice text, struct schedule_cron *cron, struct err_why *why)
{
    struct slice fields[FIELDS];
    bool is_by_week;

    *cron = (struct schedule_cron){.minutes = 0};
    if (!split(text, fields)) {
        return err_because(ERR_BAD_VALUE, why,
                           "cron() has six fields with one space between each two: minutes hours "
                           "day-of-month month day-of-week year");
    }
    is_by_week = slice_eq(fields[2], SLICE("?"));
    if (is_by_week == slice_eq(fields[4], SLICE("?"))) {
        return err_because(ERR_BAD_VALUE, why,
                           "cron(): exactly one of day-of-month and day-of-week is \"?\"");
    }
    TRY(read_small_set(&minute_field, fields[0], &cron->minutes, why));
    TRY(read_small_set(&hour_field, fields[1], &cron->hours, why));
    TRY(read_small_set(&month_field, fields[3], &cron->months, why));
    TRY(read_set(&year_field, fields[5], cron->years, why));
    return is_by_week ? read_week_days(fields[4], cron, why)
                      : read_month_days(fields[2], cron, why);
}

/* ---- asking ------------------------------------------------------------------------------- */

/* A month as its days fall: `first` is day 1 since 1970. */
struct month {
    uint64_t first;
    unsigned length;
};

static unsigned weekday_of(const struct month *month, unsigned day)
{
    return calendar_weekday(month->first + day - 1);
}

/* The Monday to Friday of this month that is nearest to `day`. */
static unsigned nearest_workday(const struct month *month, unsigned day)
{
    const unsigned weekday = weekday_of(month, day);

    if (weekday == SATURDAY) {
        return day > 1 ? day - 1 : day + 2;
    }
    if (weekday == SUNDAY) {
        return day < month->length ? day + 1 : day - 2;
    }
    return day;
}

/* The days of the month that fit, as a set by their numbers. */
static uint64_t days_of(const struct schedule_cron *cron, const struct month *month)
{
    const unsigned first_such = 1 + (cron->day + 7 - weekday_of(month, 1)) % 7;
    uint64_t set = 0;
    unsigned day;

    switch (cron->days_kind) {
    case SCHEDULE_LAST_DAY:
        return UINT64_C(1) << month->length;
    case SCHEDULE_LAST_WORKDAY:
        return UINT64_C(1) << nearest_workday(month, month->length);
    case SCHEDULE_NEAREST_WORKDAY:
        return cron->day <= month->length ? UINT64_C(1) << nearest_workday(month, cron->day) : 0;
    case SCHEDULE_LAST_WEEKDAY:
        return UINT64_C(1) << (first_such + (month->length - first_such) / 7 * 7);
    case SCHEDULE_NTH_WEEKDAY:
        day = first_such + (cron->nth - 1) * 7;
        return day <= month->length ? UINT64_C(1) << day : 0;
    case SCHEDULE_WEEK_DAYS:
        for (day = 1; day <= month->length; day++) {
            set |= has_bit(cron->days, weekday_of(month, day)) ? UINT64_C(1) << day : 0;
        }
        return set;
    case SCHEDULE_MONTH_DAYS:
    default:
        return cron->days & ((UINT64_C(2) << month->length) - 1);
    }
}

/* The first time of day from `from` on, in minutes; MINUTES_PER_DAY: none. */
static unsigned next_time(const struct schedule_cron *cron, unsigned from)
{
    for (unsigned hour = from / 60; hour < 24; hour++) {
        const unsigned least = hour == from / 60 ? from % 60 : 0;
        const uint64_t minutes = cron->minutes >> least << least;

        if (has_bit(cron->hours, hour) && minutes != 0) {
            return hour * 60 + (unsigned)__builtin_ctzll(minutes);
        }
    }
    return MINUTES_PER_DAY;
}

/* Within one month, from that day and time on. */
static uint64_t next_in_month(const struct schedule_cron *cron, struct calendar_date from,
                              unsigned time)
{
    const struct month month = {
        .first = calendar_day((struct calendar_date){from.year, from.month, 1}),
        .length = calendar_month_days(from.year, from.month),
    };
    const uint64_t days = days_of(cron, &month);

    for (unsigned day = from.day; day <= month.length; day++, time = 0) {
        unsigned found;

        if (!has_bit(days, day)) {
            continue;
        }
        found = next_time(cron, time);
        if (found < MINUTES_PER_DAY) {
            return (month.first + day - 1) * MINUTES_PER_DAY + found;
        }
    }
    return UINT64_MAX;
}

uint64_t schedule_cron_next(const struct schedule_cron *cron, uint64_t minute)
{
    struct calendar_date from = calendar_date_of(minute / MINUTES_PER_DAY);
    unsigned time = (unsigned)(minute % MINUTES_PER_DAY);

    for (; from.year <= SCHEDULE_YEAR_LAST; from.year++, from.month = 1) {
        const unsigned bit = from.year - SCHEDULE_YEAR_FIRST;

        for (; has_bit(cron->years[bit / 64], bit % 64) && from.month <= 12; from.month++) {
            if (has_bit(cron->months, from.month)) {
                const uint64_t found = next_in_month(cron, from, time);

                if (found != UINT64_MAX) {
                    return found;
                }
            }
            from.day = 1;
            time = 0;
        }
        from.day = 1;
        time = 0;
    }
    return UINT64_MAX;
}
