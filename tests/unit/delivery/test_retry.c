/* SPDX-License-Identifier: Apache-2.0
 *
 * test_retry.c - the schedule of retries, and when it ends.
 */
#include "delivery/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { HOUR_MS = 3600 * 1000 };

/* Goal:   the ceiling doubles from 1 s to 15 min and stays there.
 * Method: a table of the turning points. */
static void test_the_ceiling_doubles_up_to_fifteen_minutes(void **state)
{
    static const struct {
        uint32_t failure_count;
        uint64_t ceiling_ms;
    } rows[] = {{1, 1000},    {2, 2000},    {3, 4000},    {4, 8000},     {9, 256000},
                {10, 512000}, {11, 900000}, {12, 900000}, {185, 900000}, {UINT32_MAX, 900000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (retry_ceiling_ms(rows[i].failure_count) != rows[i].ceiling_ms) {
            fail_msg("after %u failures: %lu ms, expected %lu", rows[i].failure_count,
                     (unsigned long)retry_ceiling_ms(rows[i].failure_count),
                     (unsigned long)rows[i].ceiling_ms);
        }
    }
}

/* Goal:   jitter is full: it reaches near both ends, never beyond, and its mean is half way.
 * Method: ten thousand seeds per failure count. */
static void test_jitter_spreads_over_the_whole_wait(void **state)
{
    enum { DRAWS = 10000 };

    (void)state;
    for (uint32_t failures = 1; failures <= 12; failures++) {
        const uint64_t ceiling_ms = retry_ceiling_ms(failures);
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        uint64_t sum = 0;

        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            const uint64_t delay_ms = retry_delay_ms(failures, seed);

            least = MIN_OF(least, delay_ms);
            most = MAX_OF(most, delay_ms);
            sum += delay_ms;
        }
        assert_in_range(least, RETRY_DELAY_MIN_MS, RETRY_DELAY_MIN_MS + ceiling_ms / 100);
        assert_in_range(most, ceiling_ms - ceiling_ms / 100, ceiling_ms);
        assert_in_range(sum / DRAWS, ceiling_ms * 45 / 100, ceiling_ms * 60 / 100);
    }
}

/* Goal:   whichever budget ends first ends the delivery, and a wait is cut to the last moment.
 * Method: one row per border. */
static void test_the_budgets_end_a_delivery(void **state)
{
    static const struct {
        const char *what;
        struct retry_question question;
        enum retry_answer answer;
    } rows[] = {
        {"the first failure", {185, 24 * HOUR_MS, 0, 1, 0, 10, 1}, RETRY_AGAIN},
        {"the last attempt but one", {185, 24 * HOUR_MS, 0, 185, 0, 10, 1}, RETRY_AGAIN},
        {"the last attempt", {185, 24 * HOUR_MS, 0, 186, 0, 10, 1}, RETRY_NO_ATTEMPTS},
        {"no retries at all", {0, 24 * HOUR_MS, 0, 1, 0, 10, 1}, RETRY_NO_ATTEMPTS},
        {"a moment before the end", {185, HOUR_MS, 5, 1, 0, HOUR_MS + 4, 1}, RETRY_AGAIN},
        {"the end", {185, HOUR_MS, 5, 1, 0, HOUR_MS + 5, 1}, RETRY_NO_TIME},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct retry_question *question = &rows[i].question;
        uint64_t due_ms = 0;

        if (retry_decide(question, &due_ms) != rows[i].answer) {
            fail_msg("%s: another answer than expected", rows[i].what);
        }
        if (rows[i].answer == RETRY_AGAIN) {
            assert_in_range(due_ms, question->now_ms + 1,
                            question->accepted_ms + question->age_max_ms);
        }
    }
}

/* Goal:   Retry-After is a lower bound, but only between 0.1 s and 15 min. */
static void test_retry_after_is_obeyed_within_bounds(void **state)
{
    struct retry_question question = {
        .attempts_max = 185, .age_max_ms = 24 * HOUR_MS, .failure_count = 1, .now_ms = 1000};
    uint64_t due_ms = 0;

    (void)state;
    assert_int_equal(retry_after_clamp(0), 0);
    assert_int_equal(retry_after_clamp(1), 100);
    assert_int_equal(retry_after_clamp(30000), 30000);
    assert_int_equal(retry_after_clamp(UINT64_MAX), RETRY_DELAY_MAX_MS);
    question.retry_after_ms = 30000;
    assert_int_equal(retry_decide(&question, &due_ms), RETRY_AGAIN);
    assert_int_equal(due_ms, 31000);
    question.retry_after_ms = UINT64_MAX;
    assert_int_equal(retry_decide(&question, &due_ms), RETRY_AGAIN);
    assert_int_equal(due_ms, 1000 + RETRY_DELAY_MAX_MS);
}

/* Goal:   a target that is dead for a day gets its last try at the end of the day, and 185 attempts
 *         are not spent long before.
 * Method: fail every try on a calendar of its own. */
static void test_a_day_of_failures(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct retry_question question = {
            .attempts_max = RETRY_ATTEMPTS_DEFAULT, .age_max_ms = 24 * HOUR_MS, .seed = seed};
        enum retry_answer answer;

        do {
            question.failure_count++;
            question.seed = seed * 1000 + question.failure_count;
            answer = retry_decide(&question, &question.now_ms);
        } while (answer == RETRY_AGAIN);
        if (answer == RETRY_NO_TIME) {
            assert_int_equal(question.now_ms, 24 * HOUR_MS);
        } else {
            assert_int_equal(question.failure_count, RETRY_ATTEMPTS_DEFAULT + 1);
        }
        assert_true(question.now_ms > 18 * HOUR_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_ceiling_doubles_up_to_fifteen_minutes),
        cmocka_unit_test(test_jitter_spreads_over_the_whole_wait),
        cmocka_unit_test(test_the_budgets_end_a_delivery),
        cmocka_unit_test(test_retry_after_is_obeyed_within_bounds),
        cmocka_unit_test(test_a_day_of_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
