/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.c - who wants tokens, one question to the store for all of them, and what to do without an
 * answer.
 *
 * A limiter that runs low mails its page here, where it stays listed until it has enough.  While
 * anybody is listed a timer ticks every 20 ms; a tick sends one STORE_LEASE for all whose time has
 * come, unless one is still out.  A page whose rate is spent is asked for again when a share worth
 * asking for has been earned, not at each tick.
 *
 *   limiter --mail--> listed --tick--> row of the lease --answer--> enough? not listed
 *                        ^                                  | no
 *                        +----------------------------------+
 *
 * A lease takes ROWS_MAX rows; the pages that it took go to the end of the list, so with more
 * accounts than that everybody has a turn, and the next lease leaves as soon as this one is back.
 *
 * How long leases take decides how much must be held while one is out: the slowest of the last ten
 * to twenty seconds is told to the limiters (limiter_share.c).
 *
 * When the store has answered no lease for OUTAGE_US, the desk grants by the clock, this replica's
 * part of each rate (limiter_share_earn()), and goes on asking; the first answer ends that.  How
 * many replicas there are is what the last answer said.
 *
 * Memory: the pages are the limiter book's and outlive the desk.
 * Thread: control's alone; only the limiters in the pages are seen by others.
 */
#include "gateway/lease.h"

#include <ev.h>

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "storage/store.h"

enum {
    ROWS_MAX = 1024,
    TICK_US = LIMITER_LEASE_MS * 1000,
    SHORT_WAIT_US_MAX = 100000, /* before a page whose rate is spent is asked for again */
    RETRY_US = 100000,          /* after a lease that failed */
    OUTAGE_US = 1000000,
    LAG_SPAN_US = 10000000,
    REPLICAS_MAX = 4096,
};

struct lease_desk {
    struct limiter_desk base; /* first: limiters know its address */
    struct lease_desk_options options;
    struct list wanting; /* struct lease_page */
    ev_timer timer;
    struct store_lease lease;
    struct store_lease_row rows[ROWS_MAX];
    struct lease_page *asked[ROWS_MAX]; /* of each row */
    uint64_t replicas;
    uint64_t sent_us;       /* the last lease */
    uint64_t send_after_us; /* the next one */
    uint64_t lag_us;        /* the slowest answer since */
    uint64_t lag_since_us;  /* this moment, and */
    uint64_t lag_before_us; /* the slowest of the span before */
    uint64_t unanswered_us; /* since when leases fail or stay out; 0: they do not */
    uint64_t outage;        /* how many there have been */
    bool is_out;
    bool has_more; /* than the lease that is out could take */
    bool is_stopped;
};

static void send_lease(struct lease_desk *desk, uint64_t now_us);

/* ---- who wants ---------------------------------------------------------------------------- */

static void start_ticking(struct lease_desk *desk, uint64_t now_us)
{
    const uint64_t wait_us =
        desk->send_after_us > now_us ? MIN_OF(desk->send_after_us - now_us, (uint64_t)TICK_US) : 0;

    if (!ev_is_active(&desk->timer)) {
        ev_timer_set(&desk->timer, (double)wait_us / 1e6, TICK_US / 1e6);
        ev_timer_start(desk->options.loop, &desk->timer);
    }
}

static void on_wanting(struct mail *mail)
{
    struct limiter *limiter = CONTAINER_OF(mail, struct limiter, mail);
    struct lease_page *page = CONTAINER_OF(limiter, struct lease_page, limiter);
    struct lease_desk *desk = CONTAINER_OF(limiter->desk, struct lease_desk, base);

    if (!desk->is_stopped) {
        CHECK(!list_is_linked(&page->node));
        list_append(&desk->wanting, &page->node);
        start_ticking(desk, desk->options.steady_us());
    }
}

/* ---- without an answer -------------------------------------------------------------------- */

static void grant_locally(struct lease_desk *desk, uint64_t now_us)
{
    if (!atomic_load(&desk->base.is_local)) {
        desk->outage++;
        atomic_store(&desk->base.is_local, true);
        log_warn("lease.local", LOG_U64("replicas", desk->replicas),
                 LOG_U64("unanswered_ms", (now_us - desk->unanswered_us) / 1000));
    }
    LIST_FOREACH (node, &desk->wanting) {
        struct lease_page *page = CONTAINER_OF(node, struct lease_page, node);

        limiter_share_earn(&page->limiter, desk->replicas, desk->outage, now_us);
    }
}

static void note_lag(struct lease_desk *desk, uint64_t now_us)
{
    if (now_us - desk->lag_since_us >= LAG_SPAN_US) {
        desk->lag_before_us = desk->lag_us;
        desk->lag_us = 0;
        desk->lag_since_us = now_us;
    }
    desk->lag_us = MAX_OF(desk->lag_us, now_us - desk->sent_us);
}

static void note_answer(struct lease_desk *desk)
{
    desk->replicas = MIN_OF(MAX_OF(desk->lease.replicas, 1), (uint64_t)REPLICAS_MAX);
    desk->unanswered_us = 0;
    if (atomic_exchange(&desk->base.is_local, false)) {
        log_info("lease.shared", LOG_U64("replicas", desk->replicas));
    }
}

/* ---- the lease ---------------------------------------------------------------------------- */

/* When a page that was given less than it asked for should ask again: when that is earned. */
static uint64_t short_wait_us(const struct limiter_ask *ask)
{
    const uint64_t earned_us = MIN_OF(ask->wanted, ask->rate) * 1000000 / ask->rate;

    return MIN_OF(MAX_OF(earned_us, (uint64_t)TICK_US), (uint64_t)SHORT_WAIT_US_MAX);
}

static void take_answer(struct lease_desk *desk, size_t index, enum err err, uint64_t now_us)
{
    struct lease_page *page = desk->asked[index];
    const struct store_lease_row *row = &desk->rows[index];

    if (err != ERR_OK) {
        limiter_share_return(&page->limiter, &page->ask);
        return;
    }
    limiter_share_grant(&page->limiter, &page->ask, row->granted);
    page->ask_after_us = row->granted < row->wanted ? now_us + short_wait_us(&page->ask) : 0;
    if (limiter_share_rest(&page->limiter, desk->replicas)) {
        list_remove(&page->node);
    }
}

static void on_leased(struct store_op *op)
{
    struct store_lease *lease = CONTAINER_OF(op, struct store_lease, op);
    struct lease_desk *desk = CONTAINER_OF(lease, struct lease_desk, lease);
    const uint64_t now_us = desk->options.steady_us();

    CHECK(desk->is_out);
    desk->is_out = false;
    if (op->err == ERR_OK) {
        note_lag(desk, now_us);
        note_answer(desk);
    } else {
        log_debug("lease.failed", LOG_ERR(op->err));
        desk->unanswered_us = desk->unanswered_us != 0 ? desk->unanswered_us : desk->sent_us;
        desk->send_after_us = now_us + RETRY_US;
    }
    for (size_t i = 0; i < lease->row_count; i++) {
        take_answer(desk, i, op->err, now_us);
    }
    if (desk->has_more && op->err == ERR_OK && !desk->is_stopped) {
        send_lease(desk, now_us);
    }
}

static void fill_row(struct lease_desk *desk, struct lease_page *page)
{
    struct store_lease_row *row = &desk->rows[desk->lease.row_count];

    *row = (struct store_lease_row){
        .rate_per_second = page->ask.rate,
        .burst = page->ask.burst,
        .used = page->ask.used,
        .wanted = page->ask.wanted,
    };
    memcpy(row->account, page->account, sizeof(row->account));
    desk->asked[desk->lease.row_count] = page;
    desk->lease.row_count++;
}

static void fill_rows(struct lease_desk *desk, uint64_t now_us)
{
    const uint64_t lag_us = MAX_OF(desk->lag_us, desk->lag_before_us);
    struct list later; /* behind those that are not asked for now */

    list_init(&later);
    desk->lease.row_count = 0;
    desk->has_more = false;
    LIST_FOREACH (node, &desk->wanting) {
        struct lease_page *page = CONTAINER_OF(node, struct lease_page, node);

        if (page->ask_after_us > now_us) {
            continue;
        }
        if (desk->lease.row_count == ROWS_MAX) {
            desk->has_more = true;
            break;
        }
        if (limiter_share_ask(&page->limiter, desk->replicas, lag_us, now_us, &page->ask)) {
            fill_row(desk, page);
            list_remove(&page->node);
            list_append(&later, &page->node);
        } else if (limiter_share_rest(&page->limiter, desk->replicas)) {
            list_remove(&page->node);
        }
    }
    list_splice(&desk->wanting, &later);
}

static void send_lease(struct lease_desk *desk, uint64_t now_us)
{
    CHECK(!desk->is_out);
    fill_rows(desk, now_us);
    if (desk->lease.row_count == 0) {
        return;
    }
    desk->is_out = true;
    desk->sent_us = now_us;
    desk->send_after_us = now_us + TICK_US;
    desk->lease.op =
        (struct store_op){.kind = STORE_LEASE, .home = desk->options.mailbox, .on_done = on_leased};
    desk->lease.now_ms = moment_now_ms();
    desk->lease.rows = desk->rows;
    store_submit(desk->options.store, &desk->lease.op);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct lease_desk *desk = timer->data;
    const uint64_t now_us = desk->options.steady_us();

    (void)events;
    if (desk->is_out && desk->unanswered_us == 0 && now_us - desk->sent_us > OUTAGE_US) {
        desk->unanswered_us = desk->sent_us;
    }
    if (desk->unanswered_us != 0 && now_us - desk->unanswered_us > OUTAGE_US) {
        grant_locally(desk, now_us);
    }
    if (!desk->is_out && now_us >= desk->send_after_us) {
        send_lease(desk, now_us);
    }
    if (list_is_empty(&desk->wanting)) {
        ev_timer_stop(loop, timer);
    }
}

/* ---- the desk ----------------------------------------------------------------------------- */

struct lease_desk *lease_desk_new(const struct lease_desk_options *options)
{
    struct lease_desk *desk;

    if (!options->store->is_shared) {
        return NULL;
    }
    desk = xcalloc(1, sizeof(*desk));
    desk->base.mailbox = options->mailbox;
    desk->base.on_wanting = on_wanting;
    desk->options = *options;
    if (desk->options.steady_us == NULL) {
        desk->options.steady_us = moment_steady_us;
    }
    desk->replicas = LIMITER_REPLICAS_ASSUMED;
    list_init(&desk->wanting);
    ev_timer_init(&desk->timer, on_tick, 0, TICK_US / 1e6);
    desk->timer.data = desk;
    return desk;
}

void lease_desk_stop(struct lease_desk *desk)
{
    if (desk != NULL) {
        desk->is_stopped = true;
        ev_timer_stop(desk->options.loop, &desk->timer);
    }
}

void lease_desk_destroy(struct lease_desk *desk)
{
    if (desk == NULL) {
        return;
    }
    CHECK(desk->is_stopped);
    CHECK(!desk->is_out);
    LIST_FOREACH (node, &desk->wanting) {
        list_remove(node);
    }
    xfree(desk);
}

struct lease_page *lease_page_new(struct lease_desk *desk, struct slice account)
{
    struct lease_page *page = xcalloc(1, sizeof(*page));

    CHECK(account.len == ACCOUNT_ID_CHARS);
    memcpy(page->account, account.data, ACCOUNT_ID_CHARS);
    list_init(&page->node);
    if (desk != NULL) {
        limiter_share_init(&page->limiter, &desk->base);
    }
    return page;
}
