/* SPDX-License-Identifier: Apache-2.0
 *
 * limiter.h - how fast one account may speak: GCRA, one number per dimension.
 *
 * Exact, where one process is alone with its store: accepted in any window of T seconds is at most
 * rate * T + burst over all workers.  The state is one atomic word (the theoretical arrival time),
 * changed by compare-and-exchange, so it is no lock and needs no owner.
 *
 * Leased, where replicas share a store: the word is in the store, and this process spends what was
 * leased from it (accounts/limiter_share.h).  Over all replicas at most rate * T + burst + replicas
 * * lease are accepted, where a lease is burst / (2 * replicas) at most, and at least 1.
 */
#pragma once

#include <stdatomic.h>

#include "accounts/limiter_share.h"
#include "core/base.h"
#include "core/mailbox.h"

/* A zeroed limiter is exact and unlimited. */
struct limiter {
    /* any thread */
    _Atomic uint64_t rate; /* per second; 0: unlimited */
    _Atomic uint64_t burst;
    _Atomic uint64_t next; /* exact: theoretical arrival time, in 1/65536 us of the steady clock */

    /* leased: set before other threads see the limiter; NULL: exact */
    struct limiter_desk *desk;

    /* leased: any thread */
    _Atomic uint64_t tokens;    /* left to spend */
    _Atomic uint64_t allowance; /* with no more than half of it left, more are wanted */
    _Atomic uint64_t missed;    /* asked for in vain since the last lease */
    _Atomic bool is_wanting;    /* the desk has been told, or is being told */
    struct mail mail;           /* the desk's while is_wanting */

    /* leased: the desk's thread only */
    struct limiter_share share;
};

/* Change rate (0: unlimited, at most 10^9) and burst (0 counts as 1, at most a year's worth).  What
 * was spent stays spent: tokens owed under the old rate are owed under the new one, but never more
 * than the new burst; of leased tokens no more stay than the new burst could have leased.  On the
 * desk's thread, if leased. */
void limiter_configure(struct limiter *limiter, uint64_t rate_per_second, uint64_t burst,
                       uint64_t now_us);
/* Take up to `wanted` tokens; returns how many were granted (all of the first ones).  When fewer,
 * `retry_after_ms` (may be NULL) says when the next one is due, at least 1; else it is 0.  A leased
 * limiter only knows when the next lease may bring one. */
size_t limiter_take(struct limiter *limiter, size_t wanted, uint64_t now_us,
                    uint64_t *retry_after_ms);

/* Are tokens granted here for now, because the store answers no lease? */
static inline bool limiter_is_local(const struct limiter *limiter)
{
    return limiter->desk != NULL &&
           atomic_load_explicit(&limiter->desk->is_local, memory_order_relaxed);
}
