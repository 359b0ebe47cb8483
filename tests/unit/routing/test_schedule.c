/* SPDX-License-Identifier: Apache-2.0
 *
 * test_schedule.c - which expressions are good, and the next moment of those that are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/moment.h"
#include "routing/schedule.h"

static uint64_t moment(const char *text)
{
    uint64_t ms;

    assert_int_equal(moment_from_iso(slice_of(text), &ms), ERR_OK);
    return ms;
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "must be rate(...), cron(...) or at(...)"},
        {"rate(5 minutes", "must be rate(...)"},
        {" rate(5 minutes)", "must be rate(...)"},
        {"rate(5 minutes) ", "must be rate(...)"},
        {"Rate(5 minutes)", "must be rate(...)"},
        {"rate()", "a whole number from 1"},
        {"rate(10)", "the unit of rate()"},
        {"rate(foo minutes)", "a whole number from 1"},
        {"rate(0 minutes)", "a whole number from 1"},
        {"rate(-10 minutes)", "a whole number from 1"},
        {"rate(+1 minute)", "a whole number from 1"},
        {"rate(1.5 minutes)", "a whole number from 1"},
        {"rate(05 minutes)", "a whole number from 1"},
        {"rate(100001 minutes)", "a whole number from 1"},
        {"rate(1 minutes)", "the unit of rate(1 ...)"},
        {"rate(1 hours)", "the unit of rate(1 ...)"},
        {"rate(1 days)", "the unit of rate(1 ...)"},
        {"rate(10 minute)", "the unit of rate()"},
        {"rate(10 hour)", "the unit of rate()"},
        {"rate(10 day)", "the unit of rate()"},
        {"rate(10 minutess)", "the unit of rate()"},
        {"rate(10 MINUTES)", "the unit of rate()"},
        {"rate(10 seconds)", "the unit of rate()"},
        {"rate(10 years)", "the unit of rate()"},
        {"rate(10  minutes)", "the unit of rate()"},
        {"rate(10 minutes )", "the unit of rate()"},
        {"rate( 10 minutes )", "a whole number from 1"},
        {"cron(INVALID)", "six fields"},
        {"cron()", "six fields"},
        {"cron(0 12 * * ?)", "six fields"},
        {"cron(0 12 * * ? * *)", "six fields"},
        {"cron(0  12 * * ? *)", "six fields"},
        {"cron( 0 12 * * ? *)", "six fields"},
        {"cron(0 12 * * ? * )", "six fields"},
        {"cron(0 1 * * * *)", "exactly one of"},
        {"cron(0 1 ? * ? *)", "exactly one of"},
        {"cron(0 1 1 * 2 *)", "exactly one of"},
        {"cron(? 1 1 * ? *)", "\"?\" is not valid as minutes"},
        {"cron(0 1 1 ? ? *)", "\"?\" is not valid as month"},
        {"cron(7 20 ? * NOT *)", "\"NOT\" is not valid as day-of-week"},
        {"cron(0 dummy ? * MON-FRI *)", "\"dummy\" is not valid as hours"},
        {"cron(71 8 1 * ? *)", "\"71\" is not valid as minutes"},
        {"cron(60 8 1 * ? *)", "\"60\" is not valid as minutes"},
        {"cron(0 24 1 * ? *)", "\"24\" is not valid as hours"},
        {"cron(0 8 0 * ? *)", "\"0\" is not valid as day-of-month"},
        {"cron(0 8 32 * ? *)", "\"32\" is not valid as day-of-month"},
        {"cron(0 8 1 13 ? *)", "\"13\" is not valid as month"},
        {"cron(0 8 1 0 ? *)", "\"0\" is not valid as month"},
        {"cron(0 8 1 JA ? *)", "\"JA\" is not valid as month"},
        {"cron(0 8 ? * 0 *)", "\"0\" is not valid as day-of-week"},
        {"cron(0 8 ? * 8 *)", "\"8\" is not valid as day-of-week"},
        {"cron(0 8 ? * * 1969)", "\"1969\" is not valid as year"},
        {"cron(0 8 ? * * 2200)", "\"2200\" is not valid as year"},
        {"cron(9-5 8 1 * ? *)", "\"9-5\" is not valid as minutes"},
        {"cron(0 8 ? * FRI-MON *)", "\"FRI-MON\" is not valid as day-of-week"},
        {"cron(*/0 8 1 * ? *)", "\"*/0\" is not valid as minutes"},
        {"cron(*/61 8 1 * ? *)", "\"*/61\" is not valid as minutes"},
        {"cron(*/ 8 1 * ? *)", "\"*/\" is not valid as minutes"},
        {"cron(5/5/5 8 1 * ? *)", "\"5/5/5\" is not valid as minutes"},
        {"cron(1-2-3 8 1 * ? *)", "\"1-2-3\" is not valid as minutes"},
        {"cron(1- 8 1 * ? *)", "\"1-\" is not valid as minutes"},
        {"cron(-1 8 1 * ? *)", "\"-1\" is not valid as minutes"},
        {"cron(1, 8 1 * ? *)", "\"1,\" is not valid as minutes"},
        {"cron(,1 8 1 * ? *)", "\",1\" is not valid as minutes"},
        {"cron(L 8 1 * ? *)", "\"L\" is not valid as minutes"},
        {"cron(0 8 1,L * ? *)", "\"1,L\" is not valid as day-of-month"},
        {"cron(0 8 1-5W * ? *)", "\"1-5W\" is not valid as day-of-month"},
        {"cron(0 8 W * ? *)", "\"W\" is not valid as day-of-month"},
        {"cron(0 8 32W * ? *)", "\"32W\" is not valid as day-of-month"},
        {"cron(0 8 ? * 3#1,6#3 *)", "\"3#1,6#3\" is not valid as day-of-week"},
        {"cron(0 8 ? * 3#6 *)", "\"3#6\" is not valid as day-of-week"},
        {"cron(0 8 ? * 3#0 *)", "\"3#0\" is not valid as day-of-week"},
        {"cron(0 8 ? * # *)", "\"#\" is not valid as day-of-week"},
        {"cron(0 8 ? * 8L *)", "\"8L\" is not valid as day-of-week"},
        {"cron(0 8 ? * MON,6L *)", "\"MON,6L\" is not valid as day-of-week"},
        {"cron(0 0 30 2 ? *)", "no date from 1970 to 2199 fits it"},
        {"cron(0 0 29 2 ? 2100)", "no date from 1970 to 2199 fits it"},
        {"cron(0 0 31 4,6,9,11 ? *)", "no date from 1970 to 2199 fits it"},
        {"at(2026-11-20)", "a date and time that exist"},
        {"at(2026-11-20T13:00)", "a date and time that exist"},
        {"at(2026-11-20T13:00:00Z)", "a date and time that exist"},
        {"at(2026-11-20 13:00:00)", "a date and time that exist"},
        {"at(2026-02-29T13:00:00)", "a date and time that exist"},
        {"at(2026-11-20T24:00:00)", "a date and time that exist"},
        {"at(1969-11-20T13:00:00)", "a date and time that exist"},
        {"at(2200-11-20T13:00:00)", "a date and time that exist"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err_why why = {.text = ""};
        struct schedule schedule;

        if (schedule_parse(slice_of(rows[i].text), &schedule, &why) != ERR_BAD_VALUE ||
            strstr(why.text, rows[i].why) == NULL) {
            fail_msg("%s: %s", rows[i].text, why.text);
        }
    }
}

/* Up to four moments in a row. */
struct row {
    const char *text;
    const char *zone; /* NULL: UTC */
    const char *after;
    const char *next[4];
};

static void check_rows(const struct row *rows, size_t count, uint64_t since_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct err_why why = {.text = ""};
        struct schedule schedule;
        struct zone *zone = NULL;
        struct schedule_frame frame = {.since_ms = since_ms};
        uint64_t at_ms = moment(rows[i].after);

        if (schedule_parse(slice_of(rows[i].text), &schedule, &why) != ERR_OK) {
            fail_msg("%s: %s", rows[i].text, why.text);
        }
        if (rows[i].zone != NULL) {
            assert_int_equal(zone_load(slice_of(rows[i].zone), &zone, &why), ERR_OK);
        }
        frame.zone = zone;
        for (size_t k = 0; k < 4 && rows[i].next[k] != NULL; k++) {
            const uint64_t next_ms = schedule_next(&schedule, &frame, at_ms);
            char shown[MOMENT_ISO_CHARS + 1] = "never";

            if (next_ms != SCHEDULE_NEVER) {
                moment_to_iso(next_ms, shown);
            }
            if (strcmp(shown, rows[i].next[k]) != 0) {
                fail_msg("%s after %s: %s, not %s", rows[i].text, rows[i].after, shown,
                         rows[i].next[k]);
            }
            at_ms = next_ms;
        }
        zone_release(zone);
    }
}

static void test_cron(void **state)
{
    static const struct row rows[] = {
        /* the service's own examples */
        {"cron(0 10 * * ? *)", NULL, "2026-01-01T10:00:00Z", {"2026-01-02T10:00:00Z"}},
        {"cron(15 12 * * ? *)", NULL, "2026-01-01T12:14:59Z", {"2026-01-01T12:15:00Z"}},
        {"cron(0 18 ? * MON-FRI *)",
         NULL,
         "2026-01-02T17:00:00Z", /* a Friday */
         {"2026-01-02T18:00:00Z", "2026-01-05T18:00:00Z"}},
        {"cron(0 8 1 * ? *)", NULL, "2026-01-01T08:00:00Z", {"2026-02-01T08:00:00Z"}},
        {"cron(0/15 * * * ? *)",
         NULL,
         "2026-01-01T00:50:00Z",
         {"2026-01-01T01:00:00Z", "2026-01-01T01:15:00Z"}},
        {"cron(0/10 * ? * MON-FRI *)", NULL, "2026-01-02T23:55:00Z", {"2026-01-05T00:00:00Z"}},
        {"cron(0/5 8-17 ? * MON-FRI *)",
         NULL,
         "2026-01-02T17:50:00Z",
         {"2026-01-02T17:55:00Z", "2026-01-05T08:00:00Z"}},
        {"cron(0/30 20-2 * * ? *)", NULL, "2026-01-01T00:00:00Z", {NULL}}, /* refused: below */
        {"cron(0 9 ? * 2#1 *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-05T09:00:00Z"}},
        {"cron(15 10 ? * 6L 2022-2023)",
         NULL,
         "2022-01-01T00:00:00Z",
         {"2022-01-28T10:15:00Z", "2022-02-25T10:15:00Z"}},
        /* each letter */
        {"cron(0 0 L * ? *)",
         NULL,
         "2028-01-31T00:00:00Z",
         {"2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"}},
        {"cron(0 0 LW * ? *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-30T00:00:00Z"}},
        {"cron(0 0 3W * ? *)",
         NULL,
         "2026-01-01T00:00:00Z", /* Saturday the 3rd: Friday the 2nd */
         {"2026-01-02T00:00:00Z", "2026-02-03T00:00:00Z"}},
        {"cron(0 0 1W * ? *)", NULL, "2026-07-31T00:00:00Z", {"2026-08-03T00:00:00Z"}},
        {"cron(0 0 31W * ? *)", NULL, "2026-05-01T00:00:00Z", {"2026-05-29T00:00:00Z"}},
        {"cron(0 0 30W * ? *)", NULL, "2026-02-01T00:00:00Z", {"2026-03-30T00:00:00Z"}},
        {"cron(0 0 ? * L *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-03T00:00:00Z"}},
        {"cron(0 0 ? * FRIL *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-30T00:00:00Z"}},
        {"cron(0 0 ? * 1 *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-04T00:00:00Z"}},
        {"cron(0 0 ? * sun *)", NULL, "2026-01-01T00:00:00Z", {"2026-01-04T00:00:00Z"}},
        {"cron(0 0 ? * 3#5 *)", NULL, "2026-01-01T00:00:00Z", {"2026-03-31T00:00:00Z"}},
        /* lists, ranges, steps */
        {"cron(5,35 14 * * ? *)",
         NULL,
         "2026-01-01T00:00:00Z",
         {"2026-01-01T14:05:00Z", "2026-01-01T14:35:00Z", "2026-01-02T14:05:00Z"}},
        {"cron(10-20/5,59 0 1 JAN,JUL ? *)",
         NULL,
         "2026-01-01T00:15:00Z",
         {"2026-01-01T00:20:00Z", "2026-01-01T00:59:00Z", "2026-07-01T00:10:00Z"}},
        {"cron(0 0 1 1 ? 2030/100)",
         NULL,
         "2026-01-01T00:00:00Z",
         {"2030-01-01T00:00:00Z", "2130-01-01T00:00:00Z", "never"}},
        {"cron(0 0 29 2 ? *)", NULL, "2096-03-01T00:00:00Z", {"2104-02-29T00:00:00Z"}},
        {"cron(0 0 1 1 ? 2020)", NULL, "2026-01-01T00:00:00Z", {"never"}},
        {"cron(* * * * ? *)", NULL, "2199-12-31T23:58:00Z", {"2199-12-31T23:59:00Z", "never"}},
        {"cron(* * * * ? *)", NULL, "1970-01-01T00:00:00Z", {"1970-01-01T00:01:00Z"}},
        /* no match today any more */
        {"cron(0 0 * * ? *)", NULL, "2026-12-31T00:00:00Z", {"2027-01-01T00:00:00Z"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct schedule schedule;

        if (rows[i].next[0] == NULL) {
            assert_int_equal(schedule_parse(slice_of(rows[i].text), &schedule, NULL),
                             ERR_BAD_VALUE);
        } else {
            check_rows(&rows[i], 1, 0);
        }
    }
}

static void test_zones(void **state)
{
    static const struct row rows[] = {
        /* Berlin: +1 in winter, +2 in summer; 02:00-03:00 is skipped on 2026-03-29 and shown twice
         * on 2026-10-25 */
        {"cron(0 9 * * ? *)",
         "Europe/Berlin",
         "2026-03-28T00:00:00Z",
         {"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"}},
        {"cron(30 2 * * ? *)",
         "Europe/Berlin",
         "2026-03-28T00:00:00Z",
         {"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}},
        {"cron(30 2 * * ? *)",
         "Europe/Berlin",
         "2026-10-24T00:30:00Z",
         {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
        {"cron(0 * * * ? *)",
         "Europe/Berlin",
         "2026-10-24T23:30:00Z",
         {"2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}},
        {"at(2026-10-25T02:30:00)",
         "Europe/Berlin",
         "2026-01-01T00:00:00Z",
         {"2026-10-25T00:30:00Z", "never"}},
        {"at(2026-03-29T02:30:00)", "Europe/Berlin", "2026-01-01T00:00:00Z", {"never"}},
        /* beyond the table of the file: its rule */
        {"cron(0 12 1 1,7 ? 2150)",
         "America/New_York",
         "2026-01-01T00:00:00Z",
         {"2150-01-01T17:00:00Z", "2150-07-01T16:00:00Z"}},
        /* half an hour at Lord Howe; a whole day that Samoa never had */
        {"cron(0 12 1 1,7 ? 2026)",
         "Australia/Lord_Howe",
         "2025-12-01T00:00:00Z",
         {"2026-01-01T01:00:00Z", "2026-07-01T01:30:00Z"}},
        {"cron(0 12 * * ? *)",
         "Pacific/Apia",
         "2011-12-29T00:00:00Z",
         {"2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"}},
        {"at(2011-12-30T12:00:00)", "Pacific/Apia", "2011-01-01T00:00:00Z", {"never"}},
        {"at(2026-06-01T00:00:01)",
         "Asia/Kolkata",
         "2026-01-01T00:00:00Z",
         {"2026-05-31T18:30:01Z", "never"}},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), 0);
}

static void test_rates(void **state)
{
    static const struct row rows[] = {
        {"rate(1 minute)",
         NULL,
         "2026-01-01T10:00:30Z",
         {"2026-01-01T10:01:00Z", "2026-01-01T10:02:00Z"}},
        {"rate(5 minutes)", NULL, "2026-01-01T10:05:00Z", {"2026-01-01T10:10:00Z"}},
        {"rate(1 hour)", NULL, "2026-01-01T00:00:00Z", {"2026-01-01T11:00:00Z"}},
        {"rate(7 days)",
         NULL,
         "2026-01-01T10:00:30Z",
         {"2026-01-08T10:00:00Z", "2026-01-15T10:00:00Z"}},
        /* elapsed time, whatever clocks on walls do */
        {"rate(1 day)",
         "Europe/Berlin",
         "2026-03-28T10:00:00Z",
         {"2026-03-29T10:00:00Z", "2026-03-30T10:00:00Z"}},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), moment("2026-01-01T10:00:30Z"));
}

static void test_windows(void **state)
{
    struct schedule_frame frame = {
        .since_ms = moment("2026-01-01T00:00:00Z"),
        .start_ms = moment("2026-02-01T00:00:10Z"),
        .end_ms = moment("2026-02-01T00:02:10Z"),
    };
    struct schedule schedule;

    (void)state;
    assert_int_equal(schedule_parse(SLICE("rate(1 minute)"), &schedule, NULL), ERR_OK);
    assert_int_equal(schedule_next(&schedule, &frame, 0), frame.start_ms);
    assert_int_equal(schedule_next(&schedule, &frame, frame.start_ms), frame.start_ms + 60000);
    assert_int_equal(schedule_next(&schedule, &frame, frame.start_ms + 60000), frame.end_ms);
    assert_int_equal(schedule_next(&schedule, &frame, frame.end_ms), SCHEDULE_NEVER);
    assert_int_equal(schedule_parse(SLICE("cron(* * * * ? *)"), &schedule, NULL), ERR_OK);
    assert_int_equal(schedule_next(&schedule, &frame, 0), moment("2026-02-01T00:01:00Z"));
    frame.start_ms = moment("2026-02-01T00:01:00Z");
    assert_int_equal(schedule_next(&schedule, &frame, 0), moment("2026-02-01T00:01:00Z"));
    assert_int_equal(schedule_next(&schedule, &frame, moment("2026-02-01T00:02:00Z")),
                     SCHEDULE_NEVER);
    assert_int_equal(schedule_parse(SLICE("at(2026-01-31T00:00:00)"), &schedule, NULL), ERR_OK);
    assert_int_equal(schedule_next(&schedule, &frame, 0), SCHEDULE_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_cron),
        cmocka_unit_test(test_zones),   cmocka_unit_test(test_rates),
        cmocka_unit_test(test_windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
