/* SPDX-License-Identifier: Apache-2.0
 *
 * test_moment.c - the calendar against counting days, and the texts that are and are not times.
 */
#include "tests/lib/death.h"

#include "core/moment.h"

#define DAY_MS UINT64_C(86400000)

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* Goal:   every day from 1970 to 9999 has its right date, there and back.
 * Method: count the days one by one. */
static void test_every_day_has_its_date(void **state)
{
    uint64_t day = 0;

    (void)state;
    for (unsigned year = 1970; year <= 9999; year++) {
        for (unsigned month = 1; month <= 12; month++) {
            for (unsigned date = 1; date <= days_of_month(year, month); date++, day++) {
                const unsigned number = year * 10000 + month * 100 + date;
                char text[MOMENT_AMZ_CHARS];
                uint64_t value;
                uint64_t ms;

                moment_to_amz(day * DAY_MS, text);
                if (!slice_to_u64((struct slice){text, 8}, &value) || value != number ||
                    moment_from_amz((struct slice){text, sizeof(text)}, &ms) != ERR_OK ||
                    ms != day * DAY_MS) {
                    fail_msg("day %" PRIu64 " should be %u, is %.16s", day, number, text);
                }
            }
        }
    }
    assert_int_equal(day, 2932897);
}

static void test_a_moment_has_two_texts(void **state)
{
    static const struct {
        uint64_t ms;
        const char *iso;
        const char *amz;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z", "19700101T000000Z"},
        {999, "1970-01-01T00:00:00Z", "19700101T000000Z"},
        {1440938160000, "2015-08-30T12:36:00Z", "20150830T123600Z"},
        {951827696789, "2000-02-29T12:34:56Z", "20000229T123456Z"},
        {DAY_MS - 1, "1970-01-01T23:59:59Z", "19700101T235959Z"},
        {253402300799999, "9999-12-31T23:59:59Z", "99991231T235959Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char iso[MOMENT_ISO_CHARS];
        char amz[MOMENT_AMZ_CHARS];

        moment_to_iso(rows[i].ms, iso);
        moment_to_amz(rows[i].ms, amz);
        assert_memory_equal(iso, rows[i].iso, sizeof(iso));
        assert_memory_equal(amz, rows[i].amz, sizeof(amz));
    }
}

static void test_internet_times_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2015-08-30T12:36:00Z", 1440938160000},
        {"2015-08-30t12:36:00z", 1440938160000},
        {"2015-08-30T12:36:00.5Z", 1440938160500},
        {"2015-08-30T12:36:00.123456789Z", 1440938160123},
        {"2015-08-30T12:36:00.0009Z", 1440938160000},
        {"2015-08-30T14:36:00+02:00", 1440938160000},
        {"2015-08-30T08:06:00-04:30", 1440938160000},
        {"2015-08-31T12:35:00+23:59", 1440938160000},
        {"2015-08-30T12:36:00+00:00", 1440938160000},
        {"2015-08-30T12:36:00-00:00", 1440938160000},
        {"1969-12-31T23:00:00-01:00", UINT64_MAX}, /* the written year is before 1970 */
        {"1970-01-01T01:00:00+01:00", 0},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const bool is_good = rows[i].ms != UINT64_MAX;
        uint64_t ms = UINT64_MAX;

        if ((moment_from_iso(slice_of(rows[i].text), &ms) == ERR_OK) != is_good ||
            ms != rows[i].ms) {
            fail_msg("%s became %" PRIu64, rows[i].text, ms);
        }
    }
}

static void test_other_texts_are_no_times(void **state)
{
    static const char *const rows[] = {
        "",
        "2015",
        "2015-08-30",
        "2015-08-30T12:36:00",
        "2015-08-30 12:36:00Z",
        "2015-08-30T12:36Z",
        "2015-08-30T12:36:00ZZ",
        "2015-08-30T12:36:00Z ",
        " 2015-08-30T12:36:00Z",
        "2015-8-30T12:36:00Z",
        "15-08-30T12:36:00Z",
        "2015/08/30T12:36:00Z",
        "20150830T123600Z",
        "2015-00-30T12:36:00Z",
        "2015-13-30T12:36:00Z",
        "2015-08-00T12:36:00Z",
        "2015-08-32T12:36:00Z",
        "2015-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2015-04-31T00:00:00Z",
        "2015-08-30T24:00:00Z",
        "2015-08-30T12:60:00Z",
        "2015-08-30T12:36:60Z",
        "2015-08-30T12:36:00.Z",
        "2015-08-30T12:36:00,5Z",
        "2015-08-30T12:36:00+2:00",
        "2015-08-30T12:36:00+0200",
        "2015-08-30T12:36:00+24:00",
        "2015-08-30T12:36:00+02:60",
        "2015-08-30T12:36:00+02",
        "2015-08-30T12:36:00X",
        "+015-08-30T12:36:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2015-08-30T12:-6:00Z",
    };
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (moment_from_iso(slice_of(rows[i]), &ms) != ERR_BAD_VALUE) {
            fail_msg("\"%s\" was read", rows[i]);
        }
    }
}

static void test_an_aws_date_has_one_form(void **state)
{
    static const char *const rows[] = {
        "",
        "20150830",
        "20150830T123600",
        "20150830T123600Z ",
        "20150830T123600z",
        "20150830t123600Z",
        "20150830 123600Z",
        "20150830T1236000Z",
        "2015083T0123600Z",
        "20151330T123600Z",
        "20150230T123600Z",
        "20150830T243600Z",
        "20150830T126000Z",
        "20150830T123660Z",
        "2015-08-30T12:36:00Z",
        "2015083+T123600Z",
        "19691231T235959Z",
    };
    uint64_t ms;

    (void)state;
    assert_int_equal(moment_from_amz(SLICE("20150830T123600Z"), &ms), ERR_OK);
    assert_int_equal(ms, 1440938160000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (moment_from_amz(slice_of(rows[i]), &ms) != ERR_BAD_VALUE) {
            fail_msg("\"%s\" was read", rows[i]);
        }
    }
}

static void test_spans(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        uint64_t ms;
    } rows[] = {
        {"250ms", true, 250},
        {"90s", true, 90000},
        {"5m", true, 300000},
        {"24h", true, 86400000},
        {"14d", true, 14 * DAY_MS},
        {"0s", true, 0},
        {"213503982334d", true, 213503982334 * DAY_MS},
        {"213503982335d", false, 0},
        {"18446744073709551615ms", true, UINT64_MAX},
        {"18446744073709551616ms", false, 0},
        {"", false, 0},
        {"5", false, 0},
        {"m", false, 0},
        {"ms", false, 0},
        {"5 m", false, 0},
        {"-5m", false, 0},
        {"5M", false, 0},
        {"1.5h", false, 0},
        {"5w", false, 0},
        {"5m5s", false, 0},
        {" 5m", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ms;
        const enum err err = moment_parse_span(slice_of(rows[i].text), &ms);

        if (err != (rows[i].is_good ? ERR_OK : ERR_BAD_VALUE) ||
            (rows[i].is_good && ms != rows[i].ms)) {
            fail_msg("\"%s\": %s", rows[i].text, err_name(err));
        }
    }
}

static void test_clocks_go_forward(void **state)
{
    const uint64_t steady_ms = moment_steady_ms();
    const uint64_t steady_us = moment_steady_us();

    (void)state;
    assert_true(moment_now_ms() > 1700000000000); /* 2023: milliseconds, not another unit */
    assert_true(moment_steady_us() >= steady_us);
    assert_true(moment_steady_ms() >= steady_ms);
    assert_in_range(steady_us / 1000, steady_ms, steady_ms + 60000);
}

static void write_past_the_calendar(void)
{
    char text[MOMENT_ISO_CHARS];

    moment_to_iso(253402300800000, text);
}

static void test_the_year_10000_is_not_written(void **state)
{
    (void)state;
    assert_dies(write_past_the_calendar, "LAST_MOMENT_MS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_has_its_date),
        cmocka_unit_test(test_a_moment_has_two_texts),
        cmocka_unit_test(test_internet_times_are_read),
        cmocka_unit_test(test_other_texts_are_no_times),
        cmocka_unit_test(test_an_aws_date_has_one_form),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_clocks_go_forward),
        cmocka_unit_test(test_the_year_10000_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
