/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limiter_share.c - a leased limiter: who calls the desk and when, what is asked for, what is
 * held; and four threads that take while the desk grants.
 */
#include "accounts/limiter_share.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "accounts/limiter.h"

enum { SECOND_US = 1000000, REPLICAS = 4 };

/* A desk that only counts who came; the tests do its work by hand. */
struct desk {
    struct limiter_desk base;
    struct mailbox mailbox;
    size_t calls;
};

static void on_wanting(struct mail *mail)
{
    struct limiter *limiter = CONTAINER_OF(mail, struct limiter, mail);

    CONTAINER_OF(limiter->desk, struct desk, base)->calls++;
}

static void desk_init(struct desk *desk)
{
    *desk = (struct desk){.base = {.mailbox = &desk->mailbox, .on_wanting = on_wanting}};
    mailbox_init(&desk->mailbox, NULL);
}

/* How often the limiters have called since the last look. */
static size_t desk_calls(struct desk *desk)
{
    desk->calls = 0;
    (void)mailbox_drain(&desk->mailbox);
    return desk->calls;
}

/* A limiter of this rate and burst that has had its first lease, granted whole. */
static void start(struct desk *desk, struct limiter *limiter, uint64_t rate, uint64_t burst)
{
    struct limiter_ask ask;

    desk_init(desk);
    *limiter = (struct limiter){0};
    limiter_share_init(limiter, &desk->base);
    limiter_configure(limiter, rate, burst, 0);
    assert_int_equal(desk_calls(desk), 1);
    assert_true(limiter_share_ask(limiter, REPLICAS, 0, 0, &ask));
    limiter_share_grant(limiter, &ask, ask.wanted);
    assert_true(limiter_share_rest(limiter, REPLICAS));
}

/* Goal:   a lease fills up to 100 ms of the rate, or 32, within what the burst can lease. */
static void test_what_is_held(void **state)
{
    static const struct {
        uint64_t rate;
        uint64_t burst;
        uint64_t held;
    } rows[] = {{1000, 1000, 100}, {1000, 400, 50}, {1000, 8, 1}, {1000, 1, 1}, {330, 1000, 33},
                {319, 1000, 32},   {5, 1000, 32},   {5, 80, 10},  {1, 1, 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desk desk;
        struct limiter limiter;

        start(&desk, &limiter, rows[i].rate, rows[i].burst);
        if (atomic_load(&limiter.tokens) != rows[i].held) {
            fail_msg("rate %" PRIu64 " burst %" PRIu64 " holds %" PRIu64, rows[i].rate,
                     rows[i].burst, atomic_load(&limiter.tokens));
        }
        mailbox_clean_up(&desk.mailbox);
    }
}

/* Goal:   one half of what is held lasts, at the full rate, while a slow lease is out. */
static void test_a_slow_store_means_more_is_held(void **state)
{
    static const struct {
        uint64_t lag_us;
        uint64_t held;
    } rows[] = {{0, 100}, {30000, 100}, {80000, 200}, {230000, 500}, {900000, 1000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desk desk;
        struct limiter limiter;
        struct limiter_ask ask;

        start(&desk, &limiter, 1000, 8000); /* one lease: 1000 */
        assert_int_equal(limiter_take(&limiter, 100, 0, NULL), 100);
        assert_true(limiter_share_ask(&limiter, REPLICAS, rows[i].lag_us, 0, &ask));
        assert_int_equal(ask.wanted, rows[i].held);
        limiter_share_grant(&limiter, &ask, ask.wanted);
        (void)desk_calls(&desk);
        mailbox_clean_up(&desk.mailbox);
    }
}

/* Goal:   an account that asked as one of the replicas that are assumed asks again when there are
 *         fewer: it does not rest on the little that it took for its share. */
static void test_fewer_replicas_than_assumed(void **state)
{
    struct desk desk;
    struct limiter limiter = {0};
    struct limiter_ask ask;

    (void)state;
    desk_init(&desk);
    limiter_share_init(&limiter, &desk.base);
    limiter_configure(&limiter, 40, 40, 0);
    assert_int_equal(desk_calls(&desk), 1);
    assert_true(limiter_share_ask(&limiter, LIMITER_REPLICAS_ASSUMED, 0, 0, &ask));
    limiter_share_grant(&limiter, &ask, 0);
    assert_int_equal(atomic_load(&limiter.tokens), 2);
    assert_false(limiter_share_rest(&limiter, 1)); /* the answer says that it is alone */
    assert_true(limiter_share_ask(&limiter, 1, 0, 0, &ask));
    assert_int_equal(ask.wanted, 18);
    limiter_share_grant(&limiter, &ask, ask.wanted);
    assert_true(limiter_share_rest(&limiter, 1));
    assert_true(limiter_share_rest(&limiter, 2)); /* more than it asked as one of: later */
    assert_int_equal(limiter_take(&limiter, 20, 0, NULL), 20);
    (void)desk_calls(&desk);
    mailbox_clean_up(&desk.mailbox);
}

/* Goal:   a new account may spend before its first lease, which charges that in any case. */
static void test_a_new_account_begins_on_credit(void **state)
{
    struct desk desk;
    struct limiter limiter = {0};
    struct limiter_ask ask;
    uint64_t retry_ms = 0;

    (void)state;
    desk_init(&desk);
    limiter_share_init(&limiter, &desk.base);
    assert_int_equal(limiter_take(&limiter, 1000, 0, NULL), 1000); /* no limit yet */
    limiter_configure(&limiter, 1000, 1600, 0);
    assert_int_equal(limiter_take(&limiter, 70, 0, NULL), 70);
    assert_int_equal(limiter_take(&limiter, 70, 0, &retry_ms), 30);
    assert_int_equal(retry_ms, 20);
    assert_int_equal(desk_calls(&desk), 1);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    assert_int_equal(ask.rate, 1000);
    assert_int_equal(ask.burst, 1600);
    assert_int_equal(ask.used, 100);
    limiter_share_return(&limiter, &ask);
    assert_false(limiter_share_rest(&limiter, REPLICAS));
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    assert_int_equal(ask.used, 100);
    limiter_share_grant(&limiter, &ask, ask.wanted);
    assert_true(limiter_share_rest(&limiter, REPLICAS));
    assert_false(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    mailbox_clean_up(&desk.mailbox);
}

/* Goal:   the desk is called once when half is gone, and again only after it has let go. */
static void test_calls_once_at_half(void **state)
{
    struct desk desk;
    struct limiter limiter;
    struct limiter_ask ask;

    (void)state;
    start(&desk, &limiter, 1000, 1000);
    assert_int_equal(limiter_take(&limiter, 49, 0, NULL), 49);
    assert_int_equal(desk_calls(&desk), 0);
    assert_int_equal(limiter_take(&limiter, 1, 0, NULL), 1);
    assert_int_equal(limiter_take(&limiter, 1, 0, NULL), 1);
    assert_int_equal(desk_calls(&desk), 1);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    assert_int_equal(ask.wanted, 51);
    assert_int_equal(limiter_take(&limiter, 9, 0, NULL), 9);
    limiter_share_grant(&limiter, &ask, 10); /* 50 of 100: still low */
    assert_false(limiter_share_rest(&limiter, REPLICAS));
    assert_int_equal(desk_calls(&desk), 0);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    limiter_share_grant(&limiter, &ask, 1000); /* more than was wanted is not taken */
    assert_int_equal(atomic_load(&limiter.tokens), 100);
    assert_true(limiter_share_rest(&limiter, REPLICAS));
    assert_int_equal(limiter_take(&limiter, 60, 0, NULL), 60);
    assert_int_equal(desk_calls(&desk), 1);
    mailbox_clean_up(&desk.mailbox);
}

/* Goal:   refusals after a whole grant raise what is held, up to one lease; refusals at the limit
 *         do not; quiet times lower it again. */
static void test_what_is_held_follows_the_bursts(void **state)
{
    struct desk desk;
    struct limiter limiter;
    struct limiter_ask ask;
    uint64_t now_us = SECOND_US;

    (void)state;
    start(&desk, &limiter, 100, 1000); /* 32 are held, 125 at most */
    assert_int_equal(limiter_take(&limiter, 50, now_us, NULL), 32);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, now_us, &ask));
    assert_int_equal(ask.wanted, 64);
    limiter_share_grant(&limiter, &ask, 63); /* the rate is spent */
    assert_int_equal(limiter_take(&limiter, 500, now_us, NULL), 63);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, now_us, &ask));
    assert_int_equal(ask.wanted, 64);
    limiter_share_grant(&limiter, &ask, 64);
    assert_int_equal(limiter_take(&limiter, 500, now_us, NULL), 64);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, now_us, &ask));
    assert_int_equal(ask.wanted, 125);
    limiter_share_grant(&limiter, &ask, 125);

    now_us += 20u * SECOND_US;
    assert_int_equal(limiter_take(&limiter, 125, now_us, NULL), 125);
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, now_us, &ask));
    assert_int_equal(ask.wanted, 32); /* no less */
    limiter_share_grant(&limiter, &ask, ask.wanted);
    (void)desk_calls(&desk);
    mailbox_clean_up(&desk.mailbox);
}

/* Goal:   a changed limit forgives nothing; one that was lifted and set again begins anew. */
static void test_change_of_limits(void **state)
{
    struct desk desk;
    struct limiter limiter;
    struct limiter_ask ask;
    uint64_t retry_ms;

    (void)state;
    start(&desk, &limiter, 1000, 1000);
    limiter_configure(&limiter, 1000, 1000, 0); /* nothing changed */
    assert_int_equal(desk_calls(&desk), 0);
    limiter_configure(&limiter, 10, 80, 0);
    assert_int_equal(atomic_load(&limiter.tokens), 10); /* what burst 80 could have leased */
    assert_int_equal(desk_calls(&desk), 1);
    assert_int_equal(limiter_take(&limiter, 11, 0, &retry_ms), 10);
    assert_int_equal(retry_ms, 100);
    limiter_configure(&limiter, 1000, 1000, 0);
    assert_int_equal(limiter_take(&limiter, 1, 0, NULL), 0); /* spent stays spent */
    assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    assert_int_equal(ask.used, 0);
    limiter_configure(&limiter, 0, 0, 0);
    assert_int_equal(limiter_take(&limiter, 5000, 0, NULL), 5000);
    limiter_share_grant(&limiter, &ask, ask.wanted);
    assert_true(limiter_share_rest(&limiter, REPLICAS));
    assert_false(limiter_share_ask(&limiter, REPLICAS, 0, 0, &ask));
    limiter_configure(&limiter, 100, 1000, 0);
    assert_int_equal(limiter_take(&limiter, 1000, 0, NULL), 32);
    assert_int_equal(desk_calls(&desk), 1);
    mailbox_clean_up(&desk.mailbox);
}

/* Goal:   without the store a replica grants its part of the rate from nothing, by the clock, and
 *         charges it afterwards, up to one lease. */
static void test_earns_its_part_while_the_store_is_away(void **state)
{
    static const uint64_t rates[] = {1, 3, 10, 1000, 99999};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        const uint64_t most = rates[i] / 2; /* of a burst of four times the rate */
        struct desk desk;
        struct limiter limiter;
        struct limiter_ask ask;
        uint64_t sum = 0;

        start(&desk, &limiter, rates[i], rates[i] * 4);
        (void)limiter_take(&limiter, 1000000, 0, NULL);
        assert_int_equal(desk_calls(&desk), 1);
        for (uint64_t now_us = SECOND_US; now_us <= 101u * SECOND_US; now_us += 20000) {
            limiter_share_earn(&limiter, REPLICAS, 1, now_us);
            sum += limiter_take(&limiter, 1000000, now_us, NULL);
        }
        assert_int_equal(sum, rates[i] * 100 / REPLICAS);
        assert_false(limiter_share_rest(&limiter, REPLICAS)); /* until it is charged */
        assert_true(limiter_share_ask(&limiter, REPLICAS, 0, 101u * SECOND_US, &ask));
        assert_int_equal(ask.used, MIN_OF(sum, MAX_OF(most, 1)));

        /* another outage begins from nothing, too */
        limiter_share_return(&limiter, &ask);
        limiter_share_earn(&limiter, REPLICAS, 2, 500u * SECOND_US);
        assert_int_equal(limiter_take(&limiter, 1, 500u * SECOND_US, NULL), 0);
        mailbox_clean_up(&desk.mailbox);
    }
}

enum { THREADS = 4, GRANTS = 20000 };

struct crowd {
    struct desk desk;
    struct limiter limiter;
    _Atomic bool is_over;
    _Atomic uint64_t taken;
};

static void *take_often(void *context)
{
    struct crowd *crowd = context;

    while (!atomic_load(&crowd->is_over)) {
        atomic_fetch_add(&crowd->taken, limiter_take(&crowd->limiter, 3, 0, NULL));
    }
    return NULL;
}

/* Goal:   four threads spend exactly what the desk grants, and never wait for a desk that thinks
 *         they have enough.
 * Method: the desk serves only who called; it gets through all its rounds, or this never ends. */
static void test_threads_spend_what_is_granted(void **state)
{
    static struct crowd crowd;
    pthread_t threads[THREADS];
    uint64_t granted;

    (void)state;
    start(&crowd.desk, &crowd.limiter, 100, 1000);
    granted = atomic_load(&crowd.limiter.tokens);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_often, &crowd), 0);
    }
    for (size_t i = 0; i < GRANTS; i++) {
        struct limiter_ask ask;

        while (desk_calls(&crowd.desk) == 0) {
            mailbox_wait(&crowd.desk.mailbox, -1);
        }
        do {
            if (limiter_share_ask(&crowd.limiter, REPLICAS, 0, 0, &ask)) {
                limiter_share_grant(&crowd.limiter, &ask, ask.wanted);
                granted += ask.wanted;
            }
        } while (!limiter_share_rest(&crowd.limiter, REPLICAS));
    }
    atomic_store(&crowd.is_over, true);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&crowd.taken) + atomic_load(&crowd.limiter.tokens), granted);
    (void)desk_calls(&crowd.desk);
    mailbox_clean_up(&crowd.desk.mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_held),
        cmocka_unit_test(test_a_slow_store_means_more_is_held),
        cmocka_unit_test(test_fewer_replicas_than_assumed),
        cmocka_unit_test(test_a_new_account_begins_on_credit),
        cmocka_unit_test(test_calls_once_at_half),
        cmocka_unit_test(test_what_is_held_follows_the_bursts),
        cmocka_unit_test(test_change_of_limits),
        cmocka_unit_test(test_earns_its_part_while_the_store_is_away),
        cmocka_unit_test(test_threads_spend_what_is_granted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
