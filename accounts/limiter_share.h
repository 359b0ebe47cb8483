/* SPDX-License-Identifier: Apache-2.0
 *
 * limiter_share.h - one replica's share of a rate that all replicas spend together.
 *
 * A limiter that runs low calls the desk, once, by mail.  The desk (gateway/lease.c) asks the store
 * for all who called and hands out what it granted:
 *
 *   limiter_take()         runs low: mail to the desk, limiter_share_call()
 *   limiter_share_ask()    what to ask the store for
 *   limiter_share_grant()  what it gave; limiter_share_return() when it gave no answer
 *   limiter_share_earn()   instead, while the store is away: a part of the rate, by the clock
 *   limiter_share_rest()   enough for now: the next call is a mail again
 */
#pragma once

#include <stdatomic.h>

#include "core/mailbox.h"

struct limiter;

enum {
    LIMITER_LEASE_MS = 20,        /* between two leases of one desk, at least */
    LIMITER_REPLICAS_ASSUMED = 8, /* until the store has said how many there are */
};

/* Whom a limiter tells that it wants tokens: the first member of whatever the desk is. */
struct limiter_desk {
    struct mailbox *mailbox;
    mail_fn on_wanting; /* on the desk's thread, with `limiter->mail` */
    _Atomic bool is_local;
};

/* What only the desk's thread knows of a limiter. */
struct limiter_share {
    uint64_t want;       /* to hold after a lease: grows while refusals show it too small */
    uint64_t replicas;   /* as of the last ask */
    uint64_t used;       /* granted here, and not yet charged in the store */
    uint64_t changed_us; /* when `want` last grew or shrank */
    bool was_short;      /* the last lease gave less than was asked for: the rate is spent */
    uint64_t outage;     /* which one `earned_us` and `fraction` belong to */
    uint64_t earned_us;  /* up to here earned by the clock */
    uint64_t fraction;   /* of a token, in 1/(10^6 * replicas) */
};

/* One question to the store, and its place in struct store_lease_row. */
struct limiter_ask {
    uint64_t rate;
    uint64_t burst;
    uint64_t used;
    uint64_t wanted;
};

/* Make a zeroed limiter a leased one. */
void limiter_share_init(struct limiter *limiter, struct limiter_desk *desk);
/* Part of limiter_configure(). */
void limiter_share_configure(struct limiter *limiter, uint64_t rate, uint64_t burst);
/* Any thread: tell the desk that tokens are wanted, unless it knows. */
void limiter_share_call(struct limiter *limiter);

/* The rest is for the desk's thread.  `lag_us` is how long the answer to a lease may take.  `ask`
 * is filled; false: nothing is needed.  Every ask that was filled ends in one grant or one return.
 */
bool limiter_share_ask(struct limiter *limiter, uint64_t replicas, uint64_t lag_us, uint64_t now_us,
                       struct limiter_ask *ask);
/* At most `wanted` is taken of what was granted. */
void limiter_share_grant(struct limiter *limiter, const struct limiter_ask *ask, uint64_t granted);
/* The outcome is unknown: what was used is charged again, what was granted is lost. */
void limiter_share_return(struct limiter *limiter, const struct limiter_ask *ask);
/* Grant by the clock what `rate` / `replicas` earned since the last call within this outage (each
 * has another number, the first is 1); charged at the next lease, up to what one lease may hold. */
void limiter_share_earn(struct limiter *limiter, uint64_t replicas, uint64_t outage,
                        uint64_t now_us);
/* True: it has enough as one of so many replicas, or has called again by mail; the desk may forget
 * it until that arrives. */
bool limiter_share_rest(struct limiter *limiter, uint64_t replicas);
