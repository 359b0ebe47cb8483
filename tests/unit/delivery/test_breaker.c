/* SPDX-License-Identifier: Apache-2.0
 *
 * test_breaker.c - when a breaker opens, what it lets through, and when it closes.
 */
#include "delivery/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "delivery/retry.h"

static void note(struct breaker *breaker, size_t failed, size_t succeeded, uint64_t now_ms)
{
    for (size_t i = 0; i < succeeded; i++) {
        breaker_note(breaker, false, false, now_ms, 1);
    }
    for (size_t i = 0; i < failed; i++) {
        breaker_note(breaker, true, false, now_ms, 1);
    }
}

/* Goal:   it opens at half of at least 20 calls within 10 seconds, and not before.
 * Method: calls in two moments; a failing row prints itself. */
static void test_it_opens_at_half_of_twenty_in_ten_seconds(void **state)
{
    static const struct {
        const char *what;
        size_t failed_first;
        size_t succeeded_first;
        uint64_t pause_ms;
        size_t failed_then;
        size_t succeeded_then;
        bool is_open;
    } rows[] = {
        {"nineteen failures", 19, 0, 0, 0, 0, false},
        {"twenty failures", 20, 0, 0, 0, 0, true},
        {"half of twenty", 0, 10, 0, 10, 0, true},
        {"one under half", 0, 12, 0, 11, 0, false},
        {"half across nine seconds", 0, 10, 9000, 10, 0, true},
        {"failures that are too old", 19, 0, 10000, 1, 0, false},
        {"old successes that no longer count", 0, 100, 10000, 20, 0, true},
        {"long ago", 19, 0, 3600000, 19, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct breaker breaker = {0};

        note(&breaker, rows[i].failed_first, rows[i].succeeded_first, 5000);
        note(&breaker, rows[i].failed_then, rows[i].succeeded_then, 5000 + rows[i].pause_ms);
        if ((breaker.state == BREAKER_OPEN) != rows[i].is_open) {
            fail_msg("%s: expected %s", rows[i].what, rows[i].is_open ? "open" : "closed");
        }
    }
}

static void open_breaker(struct breaker *breaker, uint64_t now_ms)
{
    *breaker = (struct breaker){0};
    note(breaker, 20, 0, now_ms);
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

/* Goal: after its wait it lets exactly one call through, and that one decides. */
static void test_one_probe_decides(void **state)
{
    struct breaker breaker;
    uint64_t until_ms;

    (void)state;
    open_breaker(&breaker, 1000);
    until_ms = breaker.until_ms;
    assert_in_range(until_ms, 1000 + RETRY_DELAY_MIN_MS, 2000);
    assert_false(breaker_allows(&breaker, until_ms - 1));
    assert_true(breaker_allows(&breaker, until_ms));
    breaker_start(&breaker);
    assert_false(breaker_allows(&breaker, until_ms + 100000));

    /* what began before it opened says nothing any more */
    breaker_note(&breaker, false, false, until_ms, 1);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);

    breaker_note(&breaker, true, true, until_ms + 5, 7);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.openings, 2);
    assert_true(breaker_allows(&breaker, breaker.until_ms));
    breaker_start(&breaker);
    breaker_note(&breaker, false, true, breaker.until_ms, 1);
    assert_int_equal(breaker.state, BREAKER_CLOSED);

    /* the failures before are forgotten */
    note(&breaker, 19, 0, until_ms + 1000);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

/* Goal: the waits grow with each failed probe, up to 15 minutes. */
static void test_the_waits_grow(void **state)
{
    struct breaker breaker;
    uint64_t longest_ms = 0;

    (void)state;
    open_breaker(&breaker, 1000);
    for (uint64_t i = 0; i < 40; i++) {
        const uint64_t now_ms = breaker.until_ms;

        assert_true(breaker_allows(&breaker, now_ms));
        breaker_start(&breaker);
        breaker_note(&breaker, true, true, now_ms, i);
        longest_ms = MAX_OF(longest_ms, breaker.until_ms - now_ms);
    }
    assert_in_range(longest_ms, RETRY_DELAY_MAX_MS / 2, RETRY_DELAY_MAX_MS);
}

/* Goal: a probe that says nothing makes room for another. */
static void test_a_probe_without_verdict_is_repeated(void **state)
{
    struct breaker breaker;

    (void)state;
    open_breaker(&breaker, 1000);
    assert_true(breaker_allows(&breaker, breaker.until_ms));
    breaker_start(&breaker);
    breaker_cancel(&breaker);
    assert_true(breaker_allows(&breaker, breaker.until_ms));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_at_half_of_twenty_in_ten_seconds),
        cmocka_unit_test(test_one_probe_decides),
        cmocka_unit_test(test_the_waits_grow),
        cmocka_unit_test(test_a_probe_without_verdict_is_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
