/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.h - the desk that leases rate tokens from a shared store for all accounts of this process.
 *
 * On the control thread.  Limiters call it by mail; it asks the store once for all of them, at most
 * every 20 ms, and hands out what was granted.  No request waits for it.
 */
#pragma once

#include "accounts/directory.h"
#include "core/list.h"

struct ev_loop;
struct lease_desk;
struct store;

/* One account's limiter, for as long as the process lives. */
struct lease_page {
    char account[ACCOUNT_ID_CHARS + 1];
    struct limiter limiter;
    /* the desk's */
    struct list node;
    struct limiter_ask ask; /* under way */
    uint64_t ask_after_us;
};

struct lease_desk_options {
    struct ev_loop *loop;
    struct mailbox *mailbox; /* of that loop */
    struct store *store;
    uint64_t (*steady_us)(void); /* NULL: the machine's clock */
};

/* NULL when the store belongs to this process alone: then limiters are exact and need no desk. */
struct lease_desk *lease_desk_new(const struct lease_desk_options *options);
/* Ask no more.  What is under way comes home. */
void lease_desk_stop(struct lease_desk *desk);
/* After the last mail of the store and of every thread that takes tokens.  NULL is fine, here and
 * above. */
void lease_desk_destroy(struct lease_desk *desk);

/* A new account's page; exact when `desk` is NULL.  It outlives the desk. */
struct lease_page *lease_page_new(struct lease_desk *desk, struct slice account);
