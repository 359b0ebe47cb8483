/* SPDX-License-Identifier: Apache-2.0
 *
 * test_zone.c - zone files against the C library, rules at their end, and bytes that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/zone_internal.h"

static const char *const names[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "Asia/Kolkata",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Europe/Dublin",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Africa/Monrovia",
};

static struct zone *load(const char *name)
{
    struct err_why why = {.text = ""};
    struct zone *zone = NULL;

    if (zone_load(slice_of(name), &zone, &why) != ERR_OK) {
        fail_msg("%s: %s", name, why.text);
    }
    return zone;
}

/* The C library reads the same files by other code. */
static void test_offsets_are_the_c_librarys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone *zone = load(names[i]);

        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        /* Every 19 hours and 10 seconds, from 1970 to 2100. */
        for (int64_t at_s = 0; at_s < INT64_C(4102444800); at_s += 68410) {
            const time_t moment = at_s;
            struct tm shown;
            int64_t utc_s;

            assert_non_null(localtime_r(&moment, &shown));
            if (zone_offset_at(zone, at_s) != shown.tm_gmtoff) {
                fail_msg("%s at %ld: %d, not %ld", names[i], (long)at_s, zone_offset_at(zone, at_s),
                         shown.tm_gmtoff);
            }
            /* What clocks show, they showed then or, the first time, a little before. */
            assert_true(zone_to_utc(zone, at_s + shown.tm_gmtoff, &utc_s));
            assert_true(utc_s <= at_s && at_s - utc_s <= 86400);
            assert_int_equal(utc_s + zone_offset_at(zone, utc_s), at_s + shown.tm_gmtoff);
        }
        zone_release(zone);
    }
}

static void test_names(void **state)
{
    static const char *const bad[] = {
        "",          "Europe",       "Europe/Nowhere", "../zoneinfo/UTC",
        "/UTC",      "UTC/",         "Europe//Berlin", "Europe/Berlin\n",
        "tzdata.zi", "zone1970.tab", "leapseconds",
    };
    struct zone *zone = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err_why why = {.text = ""};

        assert_int_equal(zone_load(slice_of(bad[i]), &zone, &why), ERR_BAD_VALUE);
        assert_true(why.text[0] != '\0');
    }
}

static void test_rules(void **state)
{
    static const char *const bad[] = {
        "",
        "C-1",
        "CET",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,366,1",
        "CET-168CEST,1,2",
        "CET-1x",
        "<+03-3",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
    };
    struct zone_rule rule;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(zone_rule_parse(slice_of(bad[i]), &rule), ERR_BAD_VALUE);
    }
    assert_int_equal(zone_rule_parse(SLICE("<+0330>-3:30"), &rule), ERR_OK);
    assert_int_equal(zone_rule_offset_at(&rule, 0), 12600);
    assert_int_equal(zone_rule_next_change(&rule, 0), INT64_MAX);
    /* Day 60 without and with February 29: both are March 1 in 2026, one is February 29 in 2028. */
    assert_int_equal(zone_rule_parse(SLICE("AAA0BBB,J60/0,300"), &rule), ERR_OK);
    assert_int_equal(zone_rule_next_change(&rule, 1767225600), 1772323200); /* 2026-03-01 */
    assert_int_equal(zone_rule_next_change(&rule, 1830297600), 1835481600); /* 2028-03-01 */
    assert_int_equal(zone_rule_parse(SLICE("AAA0BBB,59/0,300"), &rule), ERR_OK);
    assert_int_equal(zone_rule_next_change(&rule, 1767225600), 1772323200); /* 2026-03-01 */
    assert_int_equal(zone_rule_next_change(&rule, 1830297600), 1835395200); /* 2028-02-29 */
}

/* Cut anywhere, and with any byte another, a file is refused or read; nothing else. */
static void test_broken_bytes(void **state)
{
    struct err_why why;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, ZONE_FILE_BYTES_MAX);
    assert_int_equal(file_read("/usr/share/zoneinfo/Europe/Berlin", &bytes, &why), ERR_OK);
    for (size_t len = 0; len < bytes.len; len++) {
        struct buf cut;
        struct zone *zone = NULL;

        buf_init(&cut, ZONE_FILE_BYTES_MAX); /* of its own size, so that overreading is seen */
        assert_int_equal(buf_append(&cut, slice_first(buf_slice(&bytes), len)), ERR_OK);
        assert_int_equal(zone_parse(buf_slice(&cut), &zone, &why), ERR_BAD_VALUE);
        buf_clean_up(&cut);
    }
    for (size_t at = 0; at < bytes.len; at++) {
        const char kept = bytes.data[at];
        struct zone *zone = NULL;

        bytes.data[at] = (char)~kept;
        if (zone_parse(buf_slice(&bytes), &zone, &why) == ERR_OK) {
            int64_t utc_s;

            (void)zone_to_utc(zone, 1900000000, &utc_s);
            zone_release(zone);
        }
        bytes.data[at] = kept;
    }
    buf_clean_up(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_are_the_c_librarys),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_broken_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
