/* SPDX-License-Identifier: Apache-2.0
 *
 * model_schedule.c - the next moment of a cron expression, against a twin that walks every minute.
 *
 * The twin asks the C library what a clock on the wall shows, and the text of the expression
 * whether that fits, field by field and with definitions of its own: the nearest workday is the one
 * at the least distance, the last Friday one that no Friday of its month follows.  A minute that
 * clocks show a second time does not count: no later than one they showed before.
 *
 * It shares no code with the schedule, the calendar or the zone.  WEIR_SEED replays a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/moment.h"
#include "routing/schedule.h"

enum { ROUNDS = 120, WALK_MINUTES = 50000, AHEAD_MINUTES = 27 * 60, TEXT_MAX = 256 };

static uint64_t random_state;

static unsigned below(unsigned bound)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

/* ---- inventing ---------------------------------------------------------------------------- */

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                     "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const days[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static void add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *format, ...)
{
    const size_t len = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + len, TEXT_MAX - len, format, arguments);
    va_end(arguments);
}

static void add_value(char *text, unsigned value, const char *const *names)
{
    if (names != NULL && below(2) == 0) {
        add(text, "%s", names[value - 1]);
    } else {
        add(text, "%u", value);
    }
}

static void invent_field(char *text, unsigned min, unsigned max, const char *const *names)
{
    const unsigned parts = 1 + below(3);

    if (below(3) == 0) {
        add(text, "*");
        return;
    }
    for (unsigned i = 0; i < parts; i++) {
        const unsigned a = min + below(max - min + 1);
        const unsigned b = a + below(max - a + 1);

        add(text, i > 0 ? "," : "");
        switch (below(4)) {
        case 0:
            add_value(text, a, names);
            break;
        case 1:
            add_value(text, a, names);
            add(text, "-");
            add_value(text, b, names);
            break;
        case 2:
            add_value(text, a, names);
            add(text, "/%u", 1 + below(max - min + 1));
            break;
        default:
            add(text, "*/%u", 1 + below(max - min + 1));
            break;
        }
    }
}

static void invent(char *text)
{
    text[0] = '\0';
    invent_field(text, 0, 59, NULL);
    add(text, " ");
    invent_field(text, 0, 23, NULL);
    switch (below(7)) {
    case 0:
        add(text, " L");
        break;
    case 1:
        add(text, " LW");
        break;
    case 2:
        add(text, " %uW", 1 + below(31));
        break;
    case 3:
        add(text, " ");
        invent_field(text, 1, 31, NULL);
        break;
    default:
        add(text, " ?");
        break;
    }
    add(text, " ");
    invent_field(text, 1, 12, months);
    if (strstr(text, "?") == NULL) {
        add(text, " ? *");
        return;
    }
    add(text, " ");
    switch (below(4)) {
    case 0:
        add(text, "%uL", 1 + below(7));
        break;
    case 1:
        add(text, "%s#%u", days[below(7)], 1 + below(5));
        break;
    default:
        invent_field(text, 1, 7, days);
        break;
    }
    add(text, " *");
}

/* ---- the twin ----------------------------------------------------------------------------- */

static unsigned value_of(const char *text, const char *const *names, unsigned count)
{
    for (unsigned i = 0; names != NULL && i < count; i++) {
        if (strncmp(text, names[i], 3) == 0) {
            return i + 1;
        }
    }
    return (unsigned)strtoul(text, NULL, 10);
}

static bool field_fits(const char *field, unsigned value, unsigned min, unsigned max,
                       const char *const *names)
{
    char copy[TEXT_MAX];
    char *rest = copy;
    char *part;

    (void)snprintf(copy, sizeof(copy), "%s", field);
    while ((part = strsep(&rest, ",")) != NULL) {
        const char *slash = strchr(part, '/');
        const char *dash = strchr(part, '-');
        const unsigned first = part[0] == '*' ? min : value_of(part, names, max);
        const unsigned step = slash != NULL ? (unsigned)strtoul(slash + 1, NULL, 10) : 1;
        unsigned last = first;

        if (dash != NULL) {
            last = value_of(dash + 1, names, max);
        } else if (slash != NULL || part[0] == '*') {
            last = max;
        }
        if (value >= first && value <= last && (value - first) % step == 0) {
            return true;
        }
    }
    return false;
}

static int month_length(const struct tm *date)
{
    struct tm probe = {
        .tm_year = date->tm_year, .tm_mon = date->tm_mon + 1, .tm_mday = 0, .tm_hour = 12};

    (void)timegm(&probe);
    return probe.tm_mday;
}

static bool is_workday(const struct tm *date, int day)
{
    const int weekday = ((date->tm_wday + day - date->tm_mday) % 7 + 7) % 7;

    return weekday >= 1 && weekday <= 5;
}

static bool is_nearest_workday(const struct tm *date, int day)
{
    int best = 0;

    if (day > month_length(date)) {
        return false;
    }
    for (int i = 1; i <= month_length(date); i++) {
        if (is_workday(date, i) && (best == 0 || abs(i - day) < abs(best - day))) {
            best = i;
        }
    }
    return date->tm_mday == best;
}

static bool day_fits(const char *month_day, const char *week_day, const struct tm *date)
{
    const char *mark = strchr(week_day, '#');

    if (strcmp(month_day, "?") == 0) {
        const unsigned weekday = (unsigned)date->tm_wday + 1;

        if (mark != NULL) {
            return value_of(week_day, days, 7) == weekday &&
                   (date->tm_mday - 1) / 7 + 1 == (int)strtol(mark + 1, NULL, 10);
        }
        if (week_day[strlen(week_day) - 1] == 'L') {
            return value_of(week_day, days, 7) == weekday && date->tm_mday + 7 > month_length(date);
        }
        return field_fits(week_day, weekday, 1, 7, days);
    }
    if (strcmp(month_day, "L") == 0) {
        return date->tm_mday == month_length(date);
    }
    if (strcmp(month_day, "LW") == 0) {
        return is_nearest_workday(date, month_length(date));
    }
    if (strchr(month_day, 'W') != NULL) {
        return is_nearest_workday(date, (int)strtol(month_day, NULL, 10));
    }
    return field_fits(month_day, (unsigned)date->tm_mday, 1, 31, NULL);
}

static bool fits(const char *text, const struct tm *date)
{
    char copy[TEXT_MAX];
    char *fields[6];
    char *rest = copy;

    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (size_t i = 0; i < 6; i++) {
        fields[i] = strsep(&rest, " ");
        assert_non_null(fields[i]);
    }
    return field_fits(fields[0], (unsigned)date->tm_min, 0, 59, NULL) &&
           field_fits(fields[1], (unsigned)date->tm_hour, 0, 23, NULL) &&
           field_fits(fields[3], (unsigned)date->tm_mon + 1, 1, 12, months) &&
           day_fits(fields[2], fields[4], date);
}

/* The first minute after `after_s` that fits; 0: none as far as the walk goes. */
static int64_t walk(const char *text, int64_t after_s)
{
    const int64_t start_s = after_s - after_s % 60 - AHEAD_MINUTES * 60;
    int64_t latest_shown = INT64_MIN;

    for (int64_t at_s = start_s; at_s < after_s + WALK_MINUTES * INT64_C(60); at_s += 60) {
        const time_t moment = at_s;
        struct tm shown;
        int64_t shown_s;

        assert_non_null(localtime_r(&moment, &shown));
        shown_s = at_s + shown.tm_gmtoff;
        if (shown_s > latest_shown) {
            latest_shown = shown_s;
            if (at_s > after_s && fits(text, &shown)) {
                return at_s;
            }
        }
    }
    return 0;
}

/* ---- both --------------------------------------------------------------------------------- */

/* Moments at which clocks change there, or none do. */
static const struct {
    const char *zone;
    int64_t at_s;
} places[] = {
    {"UTC", 1767225600},
    {"Europe/Berlin", 1774746000},
    {"Europe/Berlin", 1792890000},
    {"America/New_York", 1772953200},
    {"America/New_York", 1793512800},
    {"Australia/Lord_Howe", 1775314800},
    {"Pacific/Apia", 1325239200},
    {"Asia/Kolkata", 1709164800},
    {"Africa/Casablanca", 1771120800},
    {"America/St_Johns", 2520000000}, /* by the rule, not the table */
};

static bool check_round(void)
{
    const size_t place = below(ARRAY_LEN(places));
    const int64_t after_s = places[place].at_s - 7 * 86400 + below(9 * 86400);
    char fields[TEXT_MAX];
    char text[TEXT_MAX + 8];
    struct schedule schedule;
    struct schedule_frame frame = {.since_ms = 0};
    struct zone *zone = NULL;
    uint64_t next_ms;
    int64_t expected_s;

    invent(fields);
    (void)snprintf(text, sizeof(text), "cron(%s)", fields);
    if (schedule_parse(slice_of(text), &schedule, NULL) != ERR_OK) {
        return false; /* February 30 */
    }
    assert_int_equal(zone_load(slice_of(places[place].zone), &zone, NULL), ERR_OK);
    assert_int_equal(setenv("TZ", places[place].zone, 1), 0);
    tzset();
    frame.zone = zone;
    next_ms = schedule_next(&schedule, &frame, (uint64_t)after_s * 1000);
    expected_s = walk(fields, after_s);
    zone_release(zone);
    if (expected_s > 0 ? next_ms != (uint64_t)expected_s * 1000
                       : next_ms < (uint64_t)(after_s + WALK_MINUTES * INT64_C(60)) * 1000) {
        fail_msg("%s in %s after %ld: %ld, not %ld", text, places[place].zone, (long)after_s,
                 (long)(next_ms / 1000), (long)expected_s);
    }
    return expected_s > 0;
}

static void test_next_is_the_walks(void **state)
{
    const char *text = getenv("WEIR_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : moment_now_ms();
    unsigned found = 0;

    (void)state;
    print_message("WEIR_SEED=%lu\n", (unsigned long)seed);
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_state = seed + i;
        found += check_round() ? 1 : 0;
    }
    print_message("%u of %d found\n", found, ROUNDS);
    assert_true(found > ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_is_the_walks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
