/* SPDX-License-Identifier: Apache-2.0
 *
 * limiter.h - how fast one account may speak: GCRA, one number per dimension.
 *
 * Accepted in any window of T seconds: at most rate * T + burst, exactly, over all workers of the
 * process.  The state is one atomic word (the theoretical arrival time), changed by
 * compare-and-exchange, so it is no lock and needs no owner; leasing it out by mail would cost
 * either exactness or a wait on the first request.
 */
#pragma once

#include <stdatomic.h>

#include "core/base.h"

/* A zeroed limiter is unlimited. */
struct limiter {
    _Atomic uint64_t next; /* theoretical arrival time, in 1/65536 us of the steady clock */
    _Atomic uint64_t rate; /* per second; 0: unlimited */
    _Atomic uint64_t burst;
};

/* Change rate (0: unlimited, at most 10^9) and burst (0 counts as 1, at most a year's worth).  What
 * was spent stays spent: tokens owed under the old rate are owed under the new one, but never more
 * than the new burst. */
void limiter_configure(struct limiter *limiter, uint64_t rate_per_second, uint64_t burst,
                       uint64_t now_us);
/* Take up to `wanted` tokens; returns how many were granted (all of the first ones).  When fewer,
 * `retry_after_ms` (may be NULL) says when the next one is due, at least 1; else it is 0. */
size_t limiter_take(struct limiter *limiter, size_t wanted, uint64_t now_us,
                    uint64_t *retry_after_ms);
