/* SPDX-License-Identifier: Apache-2.0
 *
 * limiter_share.c - tokens leased from the store: how many to hold, and who asks.
 *
 * The store's own GCRA charges what it grants at once, so tokens that lie here unspent, or die with
 * the process, are spent already.  What a window of T seconds may see beyond rate * T + burst is
 * therefore what the replicas held when it began, at most one lease each.
 *
 *     0          want / 2          want              most = burst / (2 * replicas)
 *     |--- calls ---|--- rests -----|                  |
 *                   least <= want <= most
 *
 *     least = rate * max(100 ms, 2 * (lag + 20 ms)), 32 or more, but never more than most
 *
 * `want` is what a lease fills up to.  It begins at the least, of which one half must last, at the
 * full rate, until the answer to a lease is here: that takes the desk's 20 ms and the lag, which is
 * as long as the slowest of the last leases took.  At a small rate 100 ms are a few tokens, which
 * callers that were held up for a moment spend at once without being any faster than they may; so
 * it is 32 at least, where that is no more than one lease may hold.  A refusal after a lease
 * that was granted whole tells that the account comes in bursts which its rate would bear, and
 * `want` grows by what was missed, at least twofold; every 10 s without such a refusal halve it
 * again.  A refusal after a lease that was granted in part is the limit itself at work and changes
 * nothing.  The account stays with the desk until it holds half of `want` and more, so one that was
 * at its limit and then falls silent is found ready by its next event.
 *
 * A new account begins with its least on credit: charged at the first lease in any case, whether
 * spent or not.  How many replicas there are is not known then, so many are assumed; who asked as
 * one of more than there are asks again before it rests, for what it may hold is more.
 *
 * While the store is away the desk grants rate / replicas by the clock, from nothing: the replicas
 * together give no more than the rate, and what they held before is the lease that the bound
 * allows for.
 *
 * Threads: takers count `tokens` down and raise `is_wanting`, all sequentially consistent; the desk
 *          lowers the flag and then looks at the tokens again.  So either the taker sees it lowered
 *          and mails, or the desk sees what was taken.
 * Time:    only the `now_us` argument, of the steady clock.
 */
#include "accounts/limiter_share.h"

#include "accounts/limiter.h"
#include "core/check.h"

enum {
    LEAST_US = 100000, /* the least is the rate of that */
    LEAST_TOKENS = 32, /* and no fewer than these */
    SHRINK_US = 10000000,
    EARN_US_MAX = 1000000, /* between two visits of the desk */
    US_PER_SECOND = 1000000,
    LAG_US_MAX = 2000000, /* longer is an outage */
};

static uint64_t most_of(uint64_t burst, uint64_t replicas)
{
    return MAX_OF(burst / (2 * replicas), 1);
}

/* `rate` is 10^9 at most, `lag_us` counts up to two seconds. */
static uint64_t least_of(uint64_t rate, uint64_t lag_us, uint64_t most)
{
    const uint64_t round_us = MIN_OF(lag_us, (uint64_t)LAG_US_MAX) + LIMITER_LEASE_MS * 1000;
    const uint64_t lasts_us = MAX_OF((uint64_t)LEAST_US, 2 * round_us);

    return MIN_OF(MAX_OF(rate * lasts_us / US_PER_SECOND, (uint64_t)LEAST_TOKENS), most);
}

/* Add tokens, but hold no more than one lease may. */
static void add_tokens(struct limiter *limiter, uint64_t count)
{
    const uint64_t most = most_of(atomic_load(&limiter->burst), limiter->share.replicas);
    uint64_t seen = atomic_load(&limiter->tokens);

    while (!atomic_compare_exchange_weak(&limiter->tokens, &seen, MIN_OF(seen + count, most))) {
    }
}

static bool is_low(struct limiter *limiter)
{
    return 2 * atomic_load(&limiter->tokens) <= atomic_load(&limiter->allowance);
}

void limiter_share_init(struct limiter *limiter, struct limiter_desk *desk)
{
    limiter->desk = desk;
    limiter->mail.on_arrival = desk->on_wanting;
    limiter->share.replicas = LIMITER_REPLICAS_ASSUMED;
}

void limiter_share_call(struct limiter *limiter)
{
    if (!atomic_load(&limiter->is_wanting) && !atomic_exchange(&limiter->is_wanting, true)) {
        mailbox_send(limiter->desk->mailbox, &limiter->mail);
    }
}

void limiter_share_configure(struct limiter *limiter, uint64_t rate, uint64_t burst)
{
    struct limiter_share *share = &limiter->share;
    const uint64_t old_rate = atomic_load(&limiter->rate);
    const uint64_t most = most_of(burst, share->replicas);

    if (old_rate == rate && (rate == 0 || atomic_load(&limiter->burst) == burst)) {
        return;
    }
    atomic_store(&limiter->burst, burst);
    if (rate == 0) {
        atomic_store(&limiter->tokens, 0);
        share->used = 0;
    } else if (old_rate == 0) {
        share->want = least_of(rate, 0, most);
        share->used = share->want;
        share->was_short = false;
        atomic_store(&limiter->tokens, share->want);
    } else {
        share->want = MIN_OF(share->want, most);
        add_tokens(limiter, 0);
    }
    atomic_store(&limiter->allowance, share->want);
    atomic_store(&limiter->rate, rate);
    if (rate > 0) {
        limiter_share_call(limiter);
    }
}

/* What to hold, after what has been learnt since the last lease. */
static void adapt_want(struct limiter *limiter, uint64_t least, uint64_t most, uint64_t now_us)
{
    struct limiter_share *share = &limiter->share;
    const uint64_t missed = atomic_exchange(&limiter->missed, 0);

    if (missed > 0 && !share->was_short) {
        share->want = MAX_OF(2 * share->want, share->want + missed);
        share->changed_us = now_us;
    } else if (now_us - share->changed_us >= SHRINK_US) {
        share->want >>= MIN_OF((now_us - share->changed_us) / SHRINK_US, 63);
        share->changed_us = now_us;
    }
    share->want = MIN_OF(MAX_OF(share->want, least), most);
    atomic_store(&limiter->allowance, share->want);
}

bool limiter_share_ask(struct limiter *limiter, uint64_t replicas, uint64_t lag_us, uint64_t now_us,
                       struct limiter_ask *ask)
{
    struct limiter_share *share = &limiter->share;
    const uint64_t rate = atomic_load(&limiter->rate);
    const uint64_t burst = atomic_load(&limiter->burst);
    const uint64_t most = most_of(burst, replicas);
    uint64_t tokens;

    CHECK(replicas > 0);
    share->replicas = replicas;
    if (rate == 0) {
        return false;
    }
    adapt_want(limiter, least_of(rate, lag_us, most), most, now_us);
    tokens = atomic_load(&limiter->tokens);
    if (tokens >= share->want && share->used == 0) {
        return false;
    }
    *ask = (struct limiter_ask){
        .rate = rate,
        .burst = burst,
        .used = share->used,
        .wanted = tokens < share->want ? share->want - tokens : 0,
    };
    share->used = 0;
    return true;
}

void limiter_share_grant(struct limiter *limiter, const struct limiter_ask *ask, uint64_t granted)
{
    limiter->share.was_short = granted < ask->wanted;
    add_tokens(limiter, MIN_OF(granted, ask->wanted));
}

void limiter_share_return(struct limiter *limiter, const struct limiter_ask *ask)
{
    limiter->share.used += ask->used;
}

void limiter_share_earn(struct limiter *limiter, uint64_t replicas, uint64_t outage,
                        uint64_t now_us)
{
    struct limiter_share *share = &limiter->share;
    const uint64_t rate = atomic_load(&limiter->rate);
    const uint64_t token = US_PER_SECOND * replicas;
    const uint64_t most = most_of(atomic_load(&limiter->burst), replicas);
    uint64_t earned;
    uint64_t tokens;

    CHECK(replicas > 0);
    CHECK(outage > 0);
    share->replicas = replicas;
    if (share->outage != outage) {
        share->outage = outage;
        share->earned_us = now_us;
        share->fraction = 0;
    }
    if (rate == 0 || now_us <= share->earned_us) {
        return;
    }
    /* at most 10^6 us * 10^9 a second */
    share->fraction += MIN_OF(now_us - share->earned_us, (uint64_t)EARN_US_MAX) * rate;
    share->earned_us = now_us;
    earned = share->fraction / token;
    share->fraction %= token;
    tokens = atomic_load(&limiter->tokens);
    earned = MIN_OF(earned, tokens < share->want ? share->want - tokens : 0);
    add_tokens(limiter, earned);
    share->used = MIN_OF(share->used + earned, MAX_OF(most, share->used));
}

bool limiter_share_rest(struct limiter *limiter, uint64_t replicas)
{
    const struct limiter_share *share = &limiter->share;
    const bool is_limited = atomic_load(&limiter->rate) > 0;

    if (is_limited && (share->used > 0 || share->replicas > replicas || is_low(limiter))) {
        return false;
    }
    atomic_store(&limiter->is_wanting, false);
    return !is_limited || !is_low(limiter) || atomic_exchange(&limiter->is_wanting, true);
}
