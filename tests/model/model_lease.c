/* SPDX-License-Identifier: Apache-2.0
 *
 * model_lease.c - replicas that lease one account's rate from a naive shared GCRA, in virtual time.
 *
 * Each replica is a limiter and a desk that asks at most every 20 ms and hears the answer some
 * milliseconds later.  Over all replicas no window of T seconds sees more than
 *     rate * T + burst + replicas * lease,
 * whatever is offered and while the store comes and goes; who asks for more gets nearly that; who
 * stays at half of its rate is never refused.
 */
#include "accounts/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { REPLICAS_MAX = 6, STEPS = 20000 /* ms */, LAG_MS_MAX = 8, OUTAGE_MS = 1000 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static uint64_t random_between(uint64_t *state, uint64_t least, uint64_t most)
{
    return least + next_random(state) % (most - least + 1);
}

/* ---- the store, as a child would write it -------------------------------------------------- */

struct naive {
    double paid_s; /* up to here everything granted has been earned */
};

static uint64_t naive_lease(struct naive *naive, const struct limiter_ask *ask, double now_s)
{
    const double rate = (double)ask->rate;
    double left;
    uint64_t granted;

    naive->paid_s = MAX_OF(naive->paid_s, now_s) + (double)ask->used / rate;
    left = (double)ask->burst - (naive->paid_s - now_s) * rate + 1e-9;
    granted = left > 0 ? MIN_OF((uint64_t)left, ask->wanted) : 0;
    naive->paid_s += (double)granted / rate;
    return granted;
}

/* ---- replicas ------------------------------------------------------------------------------ */

struct replica {
    struct limiter_desk desk;
    struct mailbox mailbox;
    struct limiter limiter;
    struct limiter_ask ask;
    uint64_t granted;
    uint64_t send_at;   /* ms: not before */
    uint64_t served_at; /* ms: when the question reaches the store; 0: it has */
    uint64_t home_at;   /* ms: when the answer is back; 0: none is out */
    uint64_t asked_at;  /* ms */
    uint64_t lag_ms;    /* the slowest answer so far */
    uint64_t replicas;  /* as the last answer said */
    bool is_failing;
    bool is_wanting;
};

struct world {
    struct replica replicas[REPLICAS_MAX];
    struct naive store;
    size_t count;
    uint64_t lag_ms_max;
    uint64_t rate;
    uint64_t burst;
    uint64_t random;
    uint64_t away_from; /* ms: the store is away until `away_until` */
    uint64_t away_until;
    uint64_t outage; /* number */
    uint64_t accepted;
    uint64_t refused;
    /* the largest excess over rate * T of any window that ends now */
    double excess;
    double excess_max;
};

static void on_wanting(struct mail *mail)
{
    struct limiter *limiter = CONTAINER_OF(mail, struct limiter, mail);

    CONTAINER_OF(limiter, struct replica, limiter)->is_wanting = true;
}

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.random = seed};
    world->count = random_between(&world->random, 1, REPLICAS_MAX);
    world->lag_ms_max = LAG_MS_MAX;
    world->away_from = UINT64_MAX;
}

static void world_start(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        struct replica *replica = &world->replicas[i];

        replica->replicas = LIMITER_REPLICAS_ASSUMED;
        replica->desk.mailbox = &replica->mailbox;
        replica->desk.on_wanting = on_wanting;
        mailbox_init(&replica->mailbox, NULL);
        limiter_share_init(&replica->limiter, &replica->desk);
        limiter_configure(&replica->limiter, world->rate, world->burst, 0);
    }
}

static void world_clean_up(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        mailbox_clean_up(&world->replicas[i].mailbox);
    }
}

static bool is_away(const struct world *world, uint64_t now_ms)
{
    return now_ms >= world->away_from && now_ms < world->away_until;
}

static void hear(struct world *world, struct replica *replica, uint64_t now_ms)
{
    if (replica->served_at != 0 && now_ms >= replica->served_at) {
        replica->is_failing = is_away(world, now_ms);
        replica->granted = replica->is_failing
                               ? 0
                               : naive_lease(&world->store, &replica->ask, (double)now_ms / 1000);
        replica->served_at = 0;
    }
    if (replica->home_at == 0 || now_ms < replica->home_at) {
        return;
    }
    replica->home_at = 0;
    if (replica->is_failing) {
        limiter_share_return(&replica->limiter, &replica->ask);
        return;
    }
    replica->replicas = world->count;
    replica->lag_ms = MAX_OF(replica->lag_ms, now_ms - replica->asked_at);
    limiter_share_grant(&replica->limiter, &replica->ask, replica->granted);
    replica->is_wanting = !limiter_share_rest(&replica->limiter, replica->replicas);
}

static void work(struct world *world, struct replica *replica, uint64_t now_ms)
{
    (void)mailbox_drain(&replica->mailbox);
    hear(world, replica, now_ms);
    if (replica->is_wanting && is_away(world, now_ms) && now_ms > world->away_from + OUTAGE_MS) {
        limiter_share_earn(&replica->limiter, world->count, world->outage, now_ms * 1000);
    }
    if (!replica->is_wanting || replica->home_at != 0 || now_ms < replica->send_at) {
        return;
    }
    if (!limiter_share_ask(&replica->limiter, replica->replicas, replica->lag_ms * 1000,
                           now_ms * 1000, &replica->ask)) {
        replica->is_wanting = !limiter_share_rest(&replica->limiter, replica->replicas);
        return;
    }
    replica->asked_at = now_ms;
    replica->send_at = now_ms + LIMITER_LEASE_MS;
    replica->served_at = now_ms + random_between(&world->random, 1, world->lag_ms_max);
    replica->home_at = replica->served_at + random_between(&world->random, 0, world->lag_ms_max);
}

/* Offer `count` events to one replica; returns how many were refused. */
static uint64_t offer(struct world *world, size_t index, uint64_t count, uint64_t now_ms)
{
    const uint64_t taken =
        limiter_take(&world->replicas[index].limiter, count, now_ms * 1000, NULL);

    world->accepted += taken;
    world->refused += count - taken;
    world->excess += (double)taken;
    world->excess_max = MAX_OF(world->excess_max, world->excess);
    return count - taken;
}

static void pass_one_ms(struct world *world, uint64_t now_ms)
{
    world->excess = MAX_OF(world->excess - (double)world->rate / 1000, 0);
    for (size_t i = 0; i < world->count; i++) {
        work(world, &world->replicas[i], now_ms);
    }
}

static double bound(const struct world *world)
{
    const uint64_t lease = MAX_OF(world->burst / (2 * world->count), 1);

    return (double)(world->burst + world->count * lease);
}

static void check_bound(const struct world *world, uint64_t seed)
{
    if (world->excess_max > bound(world) + 1e-3) {
        fail_msg("seed %" PRIu64 ": %zu replicas, rate %" PRIu64 ", burst %" PRIu64
                 ": %.2f beyond the rate, at most %.2f",
                 seed, world->count, world->rate, world->burst, world->excess_max, bound(world));
    }
}

/* Goal:   the bound, in every window, for floods and silences on random replicas, while the store
 *         is away now and then.
 * Method: the excess over the rate of the worst window that ends now grows by what is accepted and
 *         shrinks by what is earned, never below nothing. */
static void test_no_window_passes_the_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world world;
        uint64_t until = 0;
        uint64_t offered = 0;

        world_init(&world, seed);
        world.rate = random_between(&world.random, 1, seed % 2 == 0 ? 50 : 20000);
        world.burst = random_between(&world.random, 1, 3 * world.rate);
        world_start(&world);
        for (uint64_t now_ms = 1; now_ms <= STEPS; now_ms++) {
            if (now_ms >= until) { /* another pace for a while; sometimes none */
                until = now_ms + random_between(&world.random, 1, 3000);
                offered = random_between(&world.random, 0, 2) *
                          random_between(&world.random, 0, 4) * world.rate;
            }
            if (now_ms >= world.away_until && next_random(&world.random) % 4000 == 0) {
                world.outage++;
                world.away_from = now_ms;
                world.away_until = now_ms + random_between(&world.random, 100, 6000);
            }
            pass_one_ms(&world, now_ms);
            (void)offer(&world, next_random(&world.random) % world.count,
                        (offered + next_random(&world.random) % 1000) / 1000, now_ms);
        }
        check_bound(&world, seed);
        world_clean_up(&world);
    }
}

/* Goal:   who always asks for more gets his burst and his rate, within 3 %, though the leases of
 *         several replicas cut it up. */
static void test_greedy_account_gets_its_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        double due;

        world_init(&world, seed);
        world.rate = random_between(&world.random, 20, 20000);
        world.burst =
            random_between(&world.random, world.rate / 2, 3 * world.rate) + 2 * REPLICAS_MAX;
        world_start(&world);
        for (uint64_t now_ms = 1; now_ms <= STEPS; now_ms++) {
            pass_one_ms(&world, now_ms);
            for (size_t i = 0; i < world.count; i++) {
                (void)offer(&world, i, 1 + 2 * world.rate / 1000, now_ms);
            }
        }
        check_bound(&world, seed);
        due = (double)world.rate * STEPS / 1000 + (double)world.burst;
        if ((double)world.accepted < 0.97 * due || (double)world.accepted > 1.01 * due) {
            fail_msg("seed %" PRIu64 ": %" PRIu64 " accepted where %.0f are due", seed,
                     world.accepted, due);
        }
        world_clean_up(&world);
    }
}

/* Goal:   an account at half of its rate is never refused: on one replica, in turn on all, or on
 *         any.
 * Method: it begins when what the replicas took on credit at their start has been earned, which
 *         matters where the burst is smaller than their number. */
static void test_compliant_account_is_never_refused(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 45; seed++) {
        struct world world;
        uint64_t turn = 0;
        double due_ms;

        world_init(&world, seed);
        world.rate = random_between(&world.random, 1, seed % 2 == 0 ? 50 : 20000);
        world.burst = world.rate * random_between(&world.random, 1, 3);
        due_ms = 1000.0 * (1 + (double)world.count / (double)world.rate);
        world_start(&world);
        for (uint64_t now_ms = 1; now_ms <= STEPS; now_ms++) {
            pass_one_ms(&world, now_ms);
            while (due_ms <= (double)now_ms) {
                const size_t index = seed % 3 == 0   ? 0
                                     : seed % 3 == 1 ? turn % world.count
                                                     : next_random(&world.random) % world.count;

                if (offer(&world, index, 1, now_ms) > 0) {
                    fail_msg("seed %" PRIu64 ": refused at %" PRIu64 " ms, %zu replicas, rate "
                             "%" PRIu64 ", burst %" PRIu64,
                             seed, now_ms, world.count, world.rate, world.burst);
                }
                turn++;
                /* twice the interval of its rate, more or less */
                due_ms += 2000.0 / (double)world.rate *
                          (double)random_between(&world.random, 750, 1250) / 1000;
            }
        }
        assert_true(world.accepted > 0);
        world_clean_up(&world);
    }
}

/* Goal:   nor is it where leases take up to 200 ms, and what it could not send for 400 ms comes at
 *         once: on one or two replicas, at rates where the burst allows for that.
 * Method: at rates of which 32 are no 100 ms it may be refused until the first slow lease is seen.
 */
static void test_slow_leases_refuse_no_compliant_account(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const uint64_t learns_ms = seed % 2 == 0 ? 0 : 2000;
        struct world world;
        uint64_t sent = 0;

        world_init(&world, seed);
        world.count = 1 + seed % 4 / 2;
        world.lag_ms_max = 100;
        world.rate = random_between(&world.random, 20, seed % 2 == 0 ? 60 : 5000);
        world.burst = 4 * world.rate;
        world_start(&world);
        for (uint64_t now_ms = 1; now_ms <= STEPS; now_ms++) {
            const uint64_t due = now_ms / 400 * 400 * world.rate / 2000;

            pass_one_ms(&world, now_ms);
            if (now_ms < 1000 || due == sent) {
                sent = due;
                continue;
            }
            if (offer(&world, 0, due - sent, now_ms) > 0 && now_ms > learns_ms) {
                fail_msg("seed %" PRIu64 ": refused at %" PRIu64 " ms, %zu replicas, rate "
                         "%" PRIu64,
                         seed, now_ms, world.count, world.rate);
            }
            sent = due;
        }
        check_bound(&world, seed);
        world_clean_up(&world);
    }
}

/* Goal:   while the store is away the replicas together give the rate, not a multiple of it. */
static void test_away_they_give_the_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        const uint64_t from = 3000;
        uint64_t before = 0;
        double slack;
        double due;

        world_init(&world, seed);
        world.rate = random_between(&world.random, 10, 5000);
        world.burst = world.rate;
        world.outage = 1;
        world.away_from = from;
        world.away_until = STEPS;
        world_start(&world);
        for (uint64_t now_ms = 1; now_ms < STEPS; now_ms++) {
            before = now_ms == from + OUTAGE_MS ? world.accepted : before;
            pass_one_ms(&world, now_ms);
            for (size_t i = 0; i < world.count; i++) {
                (void)offer(&world, i, 1 + 2 * world.rate / 1000, now_ms);
            }
        }
        due = (double)(world.rate * (STEPS - from - OUTAGE_MS)) / 1000;
        slack = 0.02 * due + (double)world.count;
        if ((double)(world.accepted - before) < due - slack ||
            (double)(world.accepted - before) > due + slack) {
            fail_msg("seed %" PRIu64 ": %" PRIu64 " accepted where %.0f are due", seed,
                     world.accepted - before, due);
        }
        check_bound(&world, seed);
        world_clean_up(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_window_passes_the_bound),
        cmocka_unit_test(test_greedy_account_gets_its_rate),
        cmocka_unit_test(test_compliant_account_is_never_refused),
        cmocka_unit_test(test_slow_leases_refuse_no_compliant_account),
        cmocka_unit_test(test_away_they_give_the_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
