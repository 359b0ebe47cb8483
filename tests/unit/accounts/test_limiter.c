/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limiter.c - the rate bound, in virtual time: never more than rate * T + burst in any window,
 * and never more than one token less for a caller who always asks.
 */
#include "accounts/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SECOND_US = 1000000 };

/* Deterministic, so that a failure repeats. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Goal:   a zeroed limiter, or one of rate 0, grants everything. */
static void test_rate_zero_is_unlimited(void **state)
{
    struct limiter limiter = {0};
    uint64_t retry_ms = 7;

    (void)state;
    assert_int_equal(limiter_take(&limiter, 1000000, 5, &retry_ms), 1000000);
    assert_int_equal(retry_ms, 0);
    limiter_configure(&limiter, 10, 1, 5);
    limiter_configure(&limiter, 0, 0, 5);
    assert_int_equal(limiter_take(&limiter, 1000000, 5, NULL), 1000000);
}

/* Goal:   grants, and when to come back, at chosen moments.
 * Method: one row per call on one limiter of 10 tokens a second, burst 5. */
static void test_takes_follow_the_clock(void **state)
{
    static const struct {
        uint64_t now_us;
        size_t wanted;
        size_t granted;
        uint64_t retry_ms;
    } rows[] = {
        {0, 3, 3, 0},         {0, 3, 2, 100},       {0, 1, 0, 100},     {99999, 1, 0, 1},
        {100000, 2, 1, 100},  {150000, 1, 0, 50},   {1000000, 0, 0, 0}, {1000000, 9, 5, 100},
        {1250000, 9, 2, 50},  {1250000, 1, 0, 50},  {1300000, 1, 1, 0}, {1300000, 1, 0, 100},
        {1000000, 1, 0, 400}, {9000000, 6, 5, 100},
    };
    struct limiter limiter = {0};

    (void)state;
    limiter_configure(&limiter, 10, 5, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t retry_ms = 99;
        const size_t granted = limiter_take(&limiter, rows[i].wanted, rows[i].now_us, &retry_ms);

        if (granted != rows[i].granted || retry_ms != rows[i].retry_ms) {
            fail_msg("row %zu: granted %zu, retry %" PRIu64, i, granted, retry_ms);
        }
    }
}

/* Goal:   retry_after_ms is neither early nor late by more than its unit.
 * Method: exhaust limiters of odd rates, then ask just before and at the told moment. */
static void test_retry_after_is_exact(void **state)
{
    static const uint64_t rates[] = {1, 3, 7, 50, 333, 999, 12345, 1000000, 1000000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct limiter limiter = {0};
        const uint64_t now_us = 123456789;
        uint64_t retry_ms;

        limiter_configure(&limiter, rates[i], 4, now_us);
        assert_int_equal(limiter_take(&limiter, 5, now_us, &retry_ms), 4);
        assert_true(retry_ms >= 1);
        if (rates[i] < 1000) {
            assert_int_equal(limiter_take(&limiter, 1, now_us + retry_ms * 1000 - 1000, NULL), 0);
        }
        assert_int_equal(limiter_take(&limiter, 1, now_us + retry_ms * 1000, NULL), 1);
    }
}

enum { STEPS = 3000 };

struct grant {
    uint64_t at_us;
    size_t count;
};

/* The bound over every window that begins and ends at a grant. */
static void check_windows(const struct grant *grants, size_t count, uint64_t rate, uint64_t burst)
{
    for (size_t from = 0; from < count; from++) {
        uint64_t sum = 0;

        for (size_t to = from; to < count; to++) {
            const uint64_t earned = (grants[to].at_us - grants[from].at_us) * rate / SECOND_US;

            sum += grants[to].count;
            if (sum > earned + burst) {
                fail_msg("rate %" PRIu64 " burst %" PRIu64 ": %" PRIu64 " from %" PRIu64
                         " to %" PRIu64,
                         rate, burst, sum, grants[from].at_us, grants[to].at_us);
            }
        }
    }
}

/* Goal:   in no window more than rate * T + burst, whatever the arrivals. */
static void test_no_window_passes_the_bound(void **state)
{
    static struct grant grants[STEPS];
    uint64_t random = 42;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        const uint64_t rate = 1 + next_random(&random) % (round % 2 == 0 ? 100 : 500000);
        const uint64_t burst = 1 + next_random(&random) % 200;
        const uint64_t gap_us = 1 + 2 * SECOND_US / rate;
        struct limiter limiter = {0};
        uint64_t now_us = next_random(&random);
        size_t count = 0;

        limiter_configure(&limiter, rate, burst, now_us);
        for (unsigned i = 0; i < STEPS; i++) {
            const size_t wanted = next_random(&random) % 20;

            now_us += next_random(&random) % gap_us;
            grants[count] = (struct grant){now_us, limiter_take(&limiter, wanted, now_us, NULL)};
            count += grants[count].count > 0;
        }
        check_windows(grants, count, rate, burst);
    }
}

/* Goal:   who always asks gets rate * T + burst within one token, over ten virtual seconds. */
static void test_greedy_caller_gets_its_rate(void **state)
{
    static const struct {
        uint64_t rate;
        uint64_t burst;
    } rows[] = {{1, 1},   {3, 1},         {7, 5},       {500, 1000},
                {777, 2}, {10000, 20000}, {33333, 100}, {100000, 7}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint64_t allowed = rows[i].rate * 10 + rows[i].burst;
        struct limiter limiter = {0};
        uint64_t sum = 0;

        limiter_configure(&limiter, rows[i].rate, rows[i].burst, 0);
        sum = limiter_take(&limiter, rows[i].burst, 0, NULL);
        for (uint64_t now_us = 0; now_us <= 10u * SECOND_US; now_us += 50) {
            sum += limiter_take(&limiter, 10, now_us, NULL);
        }
        if (sum > allowed || sum + 1 < allowed) {
            fail_msg("rate %" PRIu64 " burst %" PRIu64 ": %" PRIu64 " of %" PRIu64, rows[i].rate,
                     rows[i].burst, sum, allowed);
        }
    }
}

/* Goal:   a change of the limit neither forgives what was spent nor locks the account out. */
static void test_change_keeps_what_was_spent(void **state)
{
    struct limiter limiter = {0};
    uint64_t retry_ms;

    (void)state;
    limiter_configure(&limiter, 1, 1000000, 0);
    assert_int_equal(limiter_take(&limiter, 1000000, 0, NULL), 1000000);
    limiter_configure(&limiter, 1000, 1000, 0);
    assert_int_equal(limiter_take(&limiter, 1, 0, &retry_ms), 0);
    assert_int_equal(retry_ms, 1);
    assert_int_equal(limiter_take(&limiter, 2000, SECOND_US, NULL), 1000);

    limiter_configure(&limiter, 10, 20, SECOND_US);
    assert_int_equal(limiter_take(&limiter, 1, SECOND_US, NULL), 0);
    assert_int_equal(limiter_take(&limiter, 100, 2 * SECOND_US, NULL), 10);
}

/* Goal:   the largest settings neither overflow nor lock. */
static void test_extreme_limits_hold(void **state)
{
    struct limiter limiter = {0};
    const uint64_t late_us = UINT64_MAX / 65536 / 2; /* over four years of uptime */
    uint64_t retry_ms;

    (void)state;
    limiter_configure(&limiter, UINT64_MAX, UINT64_MAX, late_us);
    assert_int_equal(limiter_take(&limiter, 1000000, late_us, NULL), 1000000);
    limiter_configure(&limiter, 1, UINT64_MAX, late_us);
    assert_int_equal(limiter_take(&limiter, 1000000, late_us, NULL), 1000000);
    limiter_configure(&limiter, 1, 0, late_us);
    assert_int_equal(limiter_take(&limiter, 1, late_us, &retry_ms), 0);
    assert_int_equal(retry_ms, 1000);
}

enum { THREADS = 4, THREAD_RATE = 10000, THREAD_BURST = 100, STEP_US = 50 };

struct crowd {
    struct limiter limiter;
    _Atomic uint64_t clock_us;
    _Atomic uint64_t granted;
};

static void *take_often(void *context)
{
    struct crowd *crowd = context;
    uint64_t random = atomic_load(&crowd->clock_us);
    uint64_t now_us;

    while ((now_us = atomic_fetch_add(&crowd->clock_us, STEP_US)) < 10u * SECOND_US) {
        const size_t wanted = 1 + next_random(&random) % 3;

        atomic_fetch_add(&crowd->granted, limiter_take(&crowd->limiter, wanted, now_us, NULL));
    }
    return NULL;
}

/* Goal:   the same figure when four threads take from one limiter, some with an older clock. */
static void test_threads_share_one_rate(void **state)
{
    const uint64_t allowed = (uint64_t)THREAD_RATE * 10 + THREAD_BURST;
    struct crowd crowd = {0};
    pthread_t threads[THREADS];
    uint64_t sum;

    (void)state;
    limiter_configure(&crowd.limiter, THREAD_RATE, THREAD_BURST, 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_often, &crowd), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    sum = atomic_load(&crowd.granted) + limiter_take(&crowd.limiter, 1000, 10u * SECOND_US, NULL);
    assert_in_range(sum, allowed - 1, allowed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_zero_is_unlimited),
        cmocka_unit_test(test_takes_follow_the_clock),
        cmocka_unit_test(test_retry_after_is_exact),
        cmocka_unit_test(test_no_window_passes_the_bound),
        cmocka_unit_test(test_greedy_caller_gets_its_rate),
        cmocka_unit_test(test_change_keeps_what_was_spent),
        cmocka_unit_test(test_extreme_limits_hold),
        cmocka_unit_test(test_threads_share_one_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
