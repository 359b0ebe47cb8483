/* SPDX-License-Identifier: Apache-2.0
 *
 * limiter.c - the generic cell rate algorithm on one atomic word.
 *
 * `next` is the moment at which everything taken so far would have been earned at the configured
 * rate.  How far it lies ahead of now is what is owed; while that is less than the burst, a token
 * may be taken, and taking it moves `next` by one interval.
 *
 *      now            next                 now + burst / rate
 *   ----|---- owed ----|------ free --------|-----> time
 *
 * Time is counted in 1/65536 microseconds, because at 300,000 tokens a second an interval of whole
 * microseconds would be wrong by a tenth.  Intervals are rounded up and free tokens down, so the
 * bound rate * T + burst is never passed; what rounding withholds is under 1/65536 us a take.
 *
 * That is the exact limiter.  A leased one has tokens instead, counted down; who leaves no more
 * than half of the allowance, or finds too few, calls the desk (limiter_share.c), which no taker
 * waits for.
 *
 * Threads: any number may take at once.  One whose clock lags behind sees more owed, never less.
 * Time:    only the `now_us` argument; the word lasts for 2^48 us, nearly nine years of uptime.
 */
#include "accounts/limiter.h"

#include "core/check.h"

enum { UNITS_PER_US = 65536, RATE_MAX = 1000000000, BURST_SECONDS_MAX = 365 * 86400 };

#define UNITS_PER_SECOND ((unsigned __int128)1000000 * UNITS_PER_US)
#define NOW_US_MAX       (UINT64_MAX / UNITS_PER_US / 2)
/* What may be owed at most: with BURST_SECONDS_MAX the word cannot overflow. */
#define OWED_MAX ((uint64_t)1 << 61)

_Static_assert(BURST_SECONDS_MAX < OWED_MAX / 1000000 / UNITS_PER_US, "a burst fits the word");

/* The time in which `tokens` are earned, rounded up and kept within what the word can hold. */
static uint64_t time_of(uint64_t tokens, uint64_t rate)
{
    const unsigned __int128 units = (tokens * UNITS_PER_SECOND + rate - 1) / rate;

    return units > OWED_MAX ? OWED_MAX : (uint64_t)units;
}

/* How many of `burst` tokens are free when `owed` units lie ahead. */
static uint64_t free_tokens(uint64_t burst, uint64_t rate, uint64_t owed)
{
    const unsigned __int128 capacity = burst * UNITS_PER_SECOND;
    const unsigned __int128 used = (unsigned __int128)owed * rate;

    return used >= capacity ? 0 : (uint64_t)((capacity - used) / UNITS_PER_SECOND);
}

static uint64_t retry_ms(uint64_t burst, uint64_t rate, uint64_t owed)
{
    const uint64_t allowed = time_of(burst - 1, rate);
    const uint64_t wait = owed > allowed ? owed - allowed : 0;
    const uint64_t unit_per_ms = (uint64_t)1000 * UNITS_PER_US;

    return MAX_OF((wait + unit_per_ms - 1) / unit_per_ms, 1);
}

/* Tokens owed under the old rate, as time under the new one. */
static void move_next(struct limiter *limiter, uint64_t old_rate, uint64_t rate, uint64_t burst,
                      uint64_t now)
{
    uint64_t seen = atomic_load(&limiter->next);
    uint64_t owed;

    do {
        const uint64_t lead = seen > now ? seen - now : 0;
        const unsigned __int128 scaled = ((unsigned __int128)lead * old_rate + rate - 1) / rate;
        const uint64_t most = time_of(burst, rate);

        owed = scaled > most ? most : (uint64_t)scaled;
    } while (!atomic_compare_exchange_weak(&limiter->next, &seen, now + owed));
}

void limiter_configure(struct limiter *limiter, uint64_t rate_per_second, uint64_t burst,
                       uint64_t now_us)
{
    const uint64_t now = now_us * UNITS_PER_US;
    const uint64_t old_rate = atomic_load(&limiter->rate);

    CHECK(now_us <= NOW_US_MAX);
    rate_per_second = MIN_OF(rate_per_second, RATE_MAX);
    burst = MAX_OF(burst, 1);
    if (rate_per_second > 0) {
        burst = MIN_OF(burst, rate_per_second * BURST_SECONDS_MAX);
    }
    if (limiter->desk != NULL) {
        limiter_share_configure(limiter, rate_per_second, burst);
        return;
    }
    if (old_rate > 0 && rate_per_second > 0) {
        move_next(limiter, old_rate, rate_per_second, burst, now);
    } else {
        atomic_store(&limiter->next, now);
    }
    atomic_store(&limiter->burst, burst);
    atomic_store(&limiter->rate, rate_per_second);
}

/* When refused: the soonest that a lease could bring a token that is earned only now. */
static uint64_t lease_retry_ms(uint64_t rate)
{
    return MAX_OF((1000 + rate - 1) / rate, LIMITER_LEASE_MS);
}

static size_t take_leased(struct limiter *limiter, size_t wanted, uint64_t rate,
                          uint64_t *retry_after_ms)
{
    uint64_t seen = atomic_load_explicit(&limiter->tokens, memory_order_relaxed);
    uint64_t granted;

    do {
        granted = MIN_OF(seen, wanted);
    } while (granted > 0 && !atomic_compare_exchange_weak(&limiter->tokens, &seen, seen - granted));
    if (granted < wanted) {
        atomic_fetch_add_explicit(&limiter->missed, wanted - granted, memory_order_relaxed);
        if (retry_after_ms != NULL) {
            *retry_after_ms = lease_retry_ms(rate);
        }
    }
    if (granted < wanted ||
        2 * (seen - granted) <= atomic_load_explicit(&limiter->allowance, memory_order_relaxed)) {
        limiter_share_call(limiter);
    }
    return granted;
}

size_t limiter_take(struct limiter *limiter, size_t wanted, uint64_t now_us,
                    uint64_t *retry_after_ms)
{
    const uint64_t now = now_us * UNITS_PER_US;
    const uint64_t rate = atomic_load_explicit(&limiter->rate, memory_order_relaxed);
    const uint64_t burst = atomic_load_explicit(&limiter->burst, memory_order_relaxed);
    uint64_t seen = atomic_load_explicit(&limiter->next, memory_order_relaxed);
    uint64_t granted;
    uint64_t next;

    CHECK(now_us <= NOW_US_MAX);
    if (retry_after_ms != NULL) {
        *retry_after_ms = 0;
    }
    if (rate == 0) {
        return wanted;
    }
    if (limiter->desk != NULL) {
        return take_leased(limiter, wanted, rate, retry_after_ms);
    }
    do {
        const uint64_t start = MAX_OF(seen, now);

        granted = MIN_OF(free_tokens(burst, rate, start - now), wanted);
        next = start + time_of(granted, rate);
        if (granted == 0) {
            break;
        }
    } while (!atomic_compare_exchange_weak_explicit(&limiter->next, &seen, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (granted < wanted && retry_after_ms != NULL) {
        *retry_after_ms = retry_ms(burst, rate, next - now);
    }
    return granted;
}
