/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stats.c - counters add up, percentiles are right within one bucket, parts are bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/stats.h"

static void test_counts_go_to_the_part_and_to_the_total(void **state)
{
    struct stats *stats = stats_new();
    const struct stats_part *part;

    (void)state;
    stats_count_account(stats, SLICE("111122223333"), STATS_RECEIVED, 3);
    stats_count_account(stats, SLICE("444455556666"), STATS_RECEIVED, 4);
    stats_count_part(stats, STATS_RULE, SLICE("central/r"), STATS_MATCHED, 5);
    part = map_get(&stats->parts[STATS_ACCOUNT], SLICE("111122223333"));
    assert_non_null(part);
    assert_int_equal(part->counters[STATS_RECEIVED], 3);
    assert_int_equal(stats->totals[STATS_RECEIVED], 7);
    assert_int_equal(stats->totals[STATS_MATCHED], 0);
    stats_destroy(stats);
}

static void test_a_sum_holds_what_each_thread_counted(void **state)
{
    struct stats *one = stats_new();
    struct stats *two = stats_new();
    struct stats *sum = stats_new();
    const struct stats_part *part;

    (void)state;
    stats_count_account(one, SLICE("111122223333"), STATS_COMMITTED, 2);
    stats_count_account(two, SLICE("111122223333"), STATS_COMMITTED, 5);
    stats_time(one, STATS_STAGE_COMMIT, 100);
    stats_time(two, STATS_STAGE_COMMIT, 900);
    stats_add(sum, one);
    stats_add(sum, two);
    part = map_get(&sum->parts[STATS_ACCOUNT], SLICE("111122223333"));
    assert_non_null(part);
    assert_int_equal(part->counters[STATS_COMMITTED], 7);
    assert_int_equal(sum->totals[STATS_COMMITTED], 7);
    assert_int_equal(sum->stages[STATS_STAGE_COMMIT].count, 2);
    assert_int_equal(sum->stages[STATS_STAGE_COMMIT].max_us, 900);
    stats_destroy(one);
    stats_destroy(two);
    stats_destroy(sum);
}

/* Goal:   a percentile is never below the true value and at most 1/16 above it.
 * Method: 1..n timed once each, so the true value is known. */
static void test_percentiles_are_right_within_a_bucket(void **state)
{
    static const unsigned percents[] = {1, 50, 90, 99, 100};
    static const uint64_t sizes[] = {1, 15, 16, 17, 1000, 100000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct stats *stats = stats_new();

        for (uint64_t us = 1; us <= sizes[i]; us++) {
            stats_time(stats, STATS_STAGE_CALL, us);
        }
        for (size_t k = 0; k < ARRAY_LEN(percents); k++) {
            const uint64_t truth = (sizes[i] * percents[k] + 99) / 100;
            const uint64_t told =
                stats_percentile_us(&stats->stages[STATS_STAGE_CALL], percents[k]);

            if (told < truth || told > truth + truth / 16) {
                fail_msg("of 1..%" PRIu64 " the %u%% is %" PRIu64 ", told %" PRIu64, sizes[i],
                         percents[k], truth, told);
            }
        }
        stats_destroy(stats);
    }
}

static void test_a_huge_time_falls_into_the_last_bucket(void **state)
{
    struct stats *stats = stats_new();

    (void)state;
    stats_time(stats, STATS_STAGE_CALL, UINT64_MAX);
    assert_true(stats_percentile_us(&stats->stages[STATS_STAGE_CALL], 50) > 0);
    assert_int_equal(stats->stages[STATS_STAGE_CALL].max_us, UINT64_MAX);
    stats_destroy(stats);
}

static void test_parts_past_the_maximum_are_counted_together(void **state)
{
    struct stats *stats = stats_new();
    const struct stats_part *other;
    char key[32];

    (void)state;
    for (unsigned i = 0; i < STATS_PARTS_MAX + 10; i++) {
        (void)snprintf(key, sizeof(key), "arn:%u", i);
        stats_count_part(stats, STATS_TARGET, slice_of(key), STATS_DELIVERED, 1);
    }
    other = map_get(&stats->parts[STATS_TARGET], SLICE("other"));
    assert_non_null(other);
    assert_int_equal(other->counters[STATS_DELIVERED], 10);
    stats_destroy(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_go_to_the_part_and_to_the_total),
        cmocka_unit_test(test_a_sum_holds_what_each_thread_counted),
        cmocka_unit_test(test_percentiles_are_right_within_a_bucket),
        cmocka_unit_test(test_a_huge_time_falls_into_the_last_bucket),
        cmocka_unit_test(test_parts_past_the_maximum_are_counted_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
