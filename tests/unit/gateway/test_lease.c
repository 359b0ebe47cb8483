/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease.c - the desk against a store that the test answers by hand, under a clock that the
 * test turns: one lease for all, when it is sent, what a failure and a silence do.
 */
#include "gateway/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/log.h"
#include "storage/store.h"

enum { PAGES_MAX = 2500, ROWS_PER_LEASE = 1024, SECOND_US = 1000000 };

static uint64_t clock_us;

static uint64_t read_clock(void)
{
    return clock_us;
}

static struct world {
    struct ev_loop *loop;
    struct mailbox mailbox;
    struct store store;
    struct lease_desk *desk;
    struct lease_page *pages[PAGES_MAX];
    size_t page_count;
    struct store_lease *out; /* the lease that waits for the test's answer */
    size_t lease_count;
    uint64_t replicas;
} world;

static void submit(struct store *store, struct store_op *op)
{
    (void)store;
    assert_int_equal(op->kind, STORE_LEASE);
    assert_null(world.out);
    world.out = CONTAINER_OF(op, struct store_lease, op);
    world.lease_count++;
}

static const struct store_ops ops = {.submit = submit};

static void world_init(void)
{
    const struct lease_desk_options options = {
        .mailbox = &world.mailbox, .store = &world.store, .steady_us = read_clock};
    struct lease_desk_options with_loop = options;

    world = (struct world){.replicas = 2};
    clock_us = 1000u * SECOND_US;
    world.loop = ev_loop_new(EVFLAG_AUTO);
    mailbox_init(&world.mailbox, world.loop);
    world.store.ops = &ops;
    world.store.is_shared = true;
    with_loop.loop = world.loop;
    world.desk = lease_desk_new(&with_loop);
    assert_non_null(world.desk);
}

static struct limiter *add_account(uint64_t rate, uint64_t burst)
{
    char id[ACCOUNT_ID_CHARS + 1];

    (void)snprintf(id, sizeof(id), "%012zu", world.page_count);
    world.pages[world.page_count] = lease_page_new(world.desk, slice_of(id));
    limiter_configure(&world.pages[world.page_count]->limiter, rate, burst, clock_us);
    return &world.pages[world.page_count++]->limiter;
}

/* Run the loop, in which the desk's timer ticks, until a lease is out. */
static void await_lease(void)
{
    while (world.out == NULL) {
        ev_run(world.loop, EVRUN_ONCE);
    }
}

/* Two of the desk's ticks: what it would do now, it has done. */
static void on_quiet(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
    ev_break(loop, EVBREAK_ONE);
}

static void pass_ticks(void)
{
    ev_timer timer;

    ev_timer_init(&timer, on_quiet, 2.5 * LIMITER_LEASE_MS / 1000, 0);
    ev_now_update(world.loop);
    ev_timer_start(world.loop, &timer);
    ev_run(world.loop, 0);
}

static void on_arrival(struct mail *mail)
{
    struct store_op *op = CONTAINER_OF(mail, struct store_op, mail);

    op->on_done(op);
}

/* Answer the lease that is out: `per_cent` of what each row wants. */
static void answer(enum err err, uint64_t per_cent)
{
    struct store_lease *lease = world.out;

    world.out = NULL;
    lease->replicas = world.replicas;
    lease->op.err = err;
    for (size_t i = 0; i < lease->row_count; i++) {
        lease->rows[i].granted = err == ERR_OK ? lease->rows[i].wanted * per_cent / 100 : 77;
    }
    lease->op.mail.on_arrival = on_arrival;
    mailbox_send(&world.mailbox, &lease->op.mail);
    (void)mailbox_drain(&world.mailbox);
}

static void world_clean_up(void)
{
    lease_desk_stop(world.desk);
    if (world.out != NULL) {
        answer(ERR_STOPPING, 0);
    }
    mailbox_clean_up(&world.mailbox);
    lease_desk_destroy(world.desk);
    for (size_t i = 0; i < world.page_count; i++) {
        xfree(world.pages[i]);
    }
    ev_loop_destroy(world.loop);
}

/* Goal: a store of one process needs no desk, and its pages are exact. */
static void test_no_desk_for_a_store_of_ones_own(void **state)
{
    static const char *const kinds[] = {"memory", "embedded"};
    struct store store = {.ops = &ops};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        store.kind = kinds[i];
        assert_null(lease_desk_new(&(struct lease_desk_options){.store = &store}));
    }
    {
        struct lease_page *page = lease_page_new(NULL, SLICE("111122223333"));

        limiter_configure(&page->limiter, 10, 5, 0);
        assert_int_equal(limiter_take(&page->limiter, 9, 0, NULL), 5);
        assert_false(limiter_is_local(&page->limiter));
        xfree(page);
    }
    lease_desk_stop(NULL);
    lease_desk_destroy(NULL);
}

/* Goal: all who want are in one lease, with what they need; who has enough is in none. */
static void test_one_lease_for_all(void **state)
{
    struct limiter *limiters[3];

    (void)state;
    world_init();
    limiters[0] = add_account(1000, 1000);
    limiters[1] = add_account(100, 4000);
    limiters[2] = add_account(0, 0);
    await_lease();
    assert_int_equal(world.out->row_count, 2);
    assert_string_equal(world.out->rows[0].account, "000000000000");
    assert_int_equal(world.out->rows[0].rate_per_second, 1000);
    assert_int_equal(world.out->rows[0].burst, 1000);
    assert_int_equal(world.out->rows[0].used, 62); /* on credit: a lease among eight replicas */
    assert_int_equal(world.out->rows[0].wanted, 0);
    assert_int_equal(world.out->rows[1].used, 32);
    answer(ERR_OK, 100);
    assert_int_equal(limiter_take(limiters[0], 40, clock_us, NULL), 40);
    clock_us += 20000;
    await_lease();
    assert_int_equal(world.out->row_count, 1);
    assert_int_equal(world.out->rows[0].used, 0);
    assert_int_equal(world.out->rows[0].wanted, 78); /* up to 100 ms, now that there are two */
    answer(ERR_OK, 100);
    assert_int_equal(limiter_take(limiters[0], 101, clock_us, NULL), 100);
    world_clean_up();
}

/* Goal: no lease within 20 ms of the last, nor while one is out; one page is asked for again only
 *       when a share worth it is earned. */
static void test_leases_keep_their_distance(void **state)
{
    struct limiter *limiter;

    (void)state;
    world_init();
    limiter = add_account(100, 4000);
    await_lease();
    answer(ERR_OK, 100);
    (void)limiter_take(limiter, 32, clock_us, NULL);
    clock_us += 19999;
    pass_ticks();
    assert_int_equal(world.lease_count, 1);
    clock_us += 1;
    await_lease();
    clock_us += 500000;
    pass_ticks();
    assert_int_equal(world.lease_count, 2);
    answer(ERR_OK, 0); /* its rate is spent: 32 tokens take longer than the 100 ms at most */
    clock_us += 99999;
    pass_ticks();
    assert_int_equal(world.lease_count, 2);
    clock_us += 1;
    await_lease();
    answer(ERR_OK, 100);
    pass_ticks();
    assert_int_equal(world.lease_count, 3);
    world_clean_up();
}

/* Goal: a lease has at most its rows; the next leaves at once, and everybody had a turn. */
static void test_more_accounts_than_rows(void **state)
{
    size_t row_count = 0;

    (void)state;
    world_init();
    world.replicas = LIMITER_REPLICAS_ASSUMED; /* nobody asks again */
    for (size_t i = 0; i < PAGES_MAX; i++) {
        (void)add_account(1000, 1000);
    }
    await_lease();
    while (row_count < PAGES_MAX) {
        assert_non_null(world.out);
        assert_true(world.out->row_count <= ROWS_PER_LEASE);
        row_count += world.out->row_count;
        answer(ERR_OK, 100);
    }
    assert_int_equal(row_count, PAGES_MAX);
    assert_int_equal(world.lease_count, (PAGES_MAX + ROWS_PER_LEASE - 1) / ROWS_PER_LEASE);
    for (size_t i = 0; i < PAGES_MAX; i++) {
        assert_int_equal(limiter_take(&world.pages[i]->limiter, 62, clock_us, NULL), 62);
    }
    world_clean_up();
}

/* Goal: leases that fail for a second make the desk grant by the clock, this replica's part; the
 *       first answer ends that and is told what was spent. */
static void test_a_store_that_fails(void **state)
{
    struct limiter *limiter;
    uint64_t taken = 0;

    (void)state;
    world_init();
    limiter = add_account(1000, 1000);
    await_lease();
    answer(ERR_OK, 100); /* two replicas */
    (void)limiter_take(limiter, 1000, clock_us, NULL);
    clock_us += 20000;
    for (unsigned i = 0; i < 10; i++) {
        await_lease();
        answer(i % 2 == 0 ? ERR_REMOTE_UNREACHABLE : ERR_REMOTE_TIMEOUT, 0);
        assert_int_equal(limiter_take(limiter, 1, clock_us, NULL), 0);
        assert_false(limiter_is_local(limiter));
        clock_us += 100000;
    }
    clock_us += 1;
    pass_ticks();
    assert_true(limiter_is_local(limiter));
    for (unsigned i = 0; i < 50; i++) {
        clock_us += 20000;
        pass_ticks();
        taken += limiter_take(limiter, 1000, clock_us, NULL);
        if (world.out != NULL) {
            answer(ERR_REMOTE_UNREACHABLE, 0);
        }
    }
    assert_in_range(taken, 490, 500); /* one second of 1000 / 2 */
    clock_us += 100000;
    await_lease();
    assert_int_equal(world.out->rows[0].used, 250); /* one lease at most */
    answer(ERR_OK, 100);
    assert_false(limiter_is_local(limiter));
    world_clean_up();
}

/* Goal: a lease that never comes back is a failure, too. */
static void test_a_store_that_hangs(void **state)
{
    struct limiter *limiter;

    (void)state;
    world_init();
    limiter = add_account(1000, 1000);
    await_lease();
    (void)limiter_take(limiter, 1000, clock_us, NULL);
    clock_us += SECOND_US;
    pass_ticks();
    assert_false(limiter_is_local(limiter));
    clock_us += 1;
    pass_ticks();
    clock_us += 80000;
    pass_ticks();
    assert_true(limiter_is_local(limiter));
    assert_int_equal(limiter_take(limiter, 1000, clock_us, NULL), 80 / 8); /* of eight, unknown */
    assert_int_equal(world.lease_count, 1);
    answer(ERR_OK, 100);
    assert_false(limiter_is_local(limiter));
    world_clean_up();
}

/* Goal: a desk that has been stopped asks no more, and takes calls that come late. */
static void test_stops_with_a_lease_out(void **state)
{
    struct limiter *limiter;

    (void)state;
    world_init();
    limiter = add_account(1000, 1000);
    await_lease();
    lease_desk_stop(world.desk);
    answer(ERR_OK, 100);
    (void)limiter_take(limiter, 1000, clock_us, NULL);
    (void)mailbox_drain(&world.mailbox);
    assert_int_equal(world.lease_count, 1);
    world_clean_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_desk_for_a_store_of_ones_own),
        cmocka_unit_test(test_one_lease_for_all),
        cmocka_unit_test(test_leases_keep_their_distance),
        cmocka_unit_test(test_more_accounts_than_rows),
        cmocka_unit_test(test_a_store_that_fails),
        cmocka_unit_test(test_a_store_that_hangs),
        cmocka_unit_test(test_stops_with_a_lease_out),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
