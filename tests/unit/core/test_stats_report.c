/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stats_report.c - a report travels by mail through threads that count; for ThreadSanitizer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/mailbox.h"
#include "core/stats.h"

enum { COUNTERS = 4, ROUNDS = 20000 };

struct counter {
    pthread_t thread;
    struct mailbox box;
    struct stats *stats;
    bool is_told_to_stop;
};

struct report {
    struct mail mail;
    struct counter *counters;
    size_t next;
    struct stats *sum;
    struct mailbox *home;
    unsigned *home_count;
};

static _Thread_local struct counter *self;

static void on_visit(struct mail *mail);

static void on_home(struct mail *mail)
{
    ++*CONTAINER_OF(mail, struct report, mail)->home_count;
}

static void travel_on(struct report *report)
{
    const bool is_done = report->next == COUNTERS;
    struct mailbox *box = is_done ? report->home : &report->counters[report->next++].box;

    report->mail.on_arrival = is_done ? on_home : on_visit;
    mailbox_send(box, &report->mail);
}

static void on_visit(struct mail *mail)
{
    struct report *report = CONTAINER_OF(mail, struct report, mail);

    stats_add(report->sum, self->stats);
    travel_on(report);
}

static void on_stop(struct mail *mail)
{
    (void)mail;
    self->is_told_to_stop = true;
}

static void *count(void *argument)
{
    self = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        stats_count_account(self->stats, SLICE("111122223333"), STATS_RECEIVED, 1);
        stats_count_account(self->stats, SLICE("111122223333"), STATS_COMMITTED, 1);
        stats_time(self->stats, STATS_STAGE_COMMIT, i);
        (void)mailbox_drain(&self->box);
    }
    while (!self->is_told_to_stop) {
        mailbox_wait(&self->box, -1);
        (void)mailbox_drain(&self->box);
    }
    return NULL;
}

static void send_report(struct counter *counters, struct mailbox *home, struct stats *sum)
{
    unsigned home_count = 0;
    struct report report = {
        .counters = counters,
        .sum = sum,
        .home = home,
        .home_count = &home_count,
    };

    travel_on(&report);
    while (home_count == 0) {
        mailbox_wait(home, -1);
        (void)mailbox_drain(home);
    }
}

/* Goal: a report that travels while threads count never sees an entry without its outcome, and the
 * last one sees everything. */
static void test_a_report_visits_every_thread(void **state)
{
    struct counter counters[COUNTERS] = {{0}};
    struct mail stops[COUNTERS] = {{0}};
    struct mailbox home;
    struct stats *sum;

    (void)state;
    mailbox_init(&home, NULL);
    for (size_t i = 0; i < COUNTERS; i++) {
        counters[i].stats = stats_new();
        mailbox_init(&counters[i].box, NULL);
        assert_int_equal(pthread_create(&counters[i].thread, NULL, count, &counters[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        sum = stats_new();
        send_report(counters, &home, sum);
        assert_int_equal(sum->totals[STATS_RECEIVED], sum->totals[STATS_COMMITTED]);
        stats_destroy(sum);
    }
    for (size_t i = 0; i < COUNTERS; i++) {
        stops[i].on_arrival = on_stop;
        mailbox_send(&counters[i].box, &stops[i]);
        assert_int_equal(pthread_join(counters[i].thread, NULL), 0);
    }
    sum = stats_new();
    for (size_t i = 0; i < COUNTERS; i++) {
        const struct stats_part *part = NULL;

        stats_add(sum, counters[i].stats);
        stats_destroy(counters[i].stats);
        mailbox_clean_up(&counters[i].box);
        part = map_get(&sum->parts[STATS_ACCOUNT], SLICE("111122223333"));
        assert_int_equal(part->counters[STATS_RECEIVED], (i + 1) * ROUNDS);
    }
    assert_int_equal(sum->totals[STATS_COMMITTED], COUNTERS * ROUNDS);
    assert_int_equal(sum->stages[STATS_STAGE_COMMIT].count, COUNTERS * ROUNDS);
    assert_int_equal(sum->stages[STATS_STAGE_COMMIT].max_us, ROUNDS - 1);
    stats_destroy(sum);
    mailbox_clean_up(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_visits_every_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
