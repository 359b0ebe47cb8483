/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_watch.c - reads from a shared store what other replicas changed.
 *
 * Every 250 ms one read of what is newer than the catalog in memory; nearly always nothing.  What
 * comes is followed document by document, tombstones included, and whoever compiles is told.  A
 * look that somebody asked for is a read that begins after the question, so one that is under way
 * when it is asked does not answer it.
 *
 * The age of the catalog is the moment at which the last read that succeeded was sent: what the
 * store held then is known.  It is one atomic word; workers ask it without a lock and without this
 * thread, so it tells the truth even when this thread is stuck.
 *
 * A failover may lose what the store had acknowledged, and the revisions that were lost are given
 * again to other changes, of which a read of what is newer would tell nothing: a key that is
 * revoked then would stay good.  So all documents are read, and what the store holds is what
 * counts, lost changes or not, when its revision is lower than ours, and after each sign of another
 * data set (the store counts its failovers and restarts).  A store that holds no catalog at all is
 * no catalog to follow: ours stays in force, and a look fails, so that nothing is put on top of it.
 * One that is being put back (catalog_restore.c) is none either until it is whole, and is then read
 * as a whole, also by who saw no more of it than that it is over.
 *
 * A read that fails is no news: the catalog stays, grows old, and after three seconds requests are
 * refused, because an account may have been suspended or a key revoked meanwhile.  Deliveries go
 * on.
 *
 * Who is told of a look may at once ask for another, or hold the watch to put a change: no read
 * begins before all have been told.  After the stop a read that comes home teaches nothing: the
 * store it came from may be gone.
 *
 * Memory: the one read under way and who waits for it.
 * Thread: control's, the age apart.
 */
#include "gateway/catalog_watch.h"

#include <ev.h>

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/catalog_backup.h"
#include "storage/store.h"

struct catalog_watch {
    struct catalog_watch_options options;
    struct store_catalog_read read;
    uint64_t sent_ms;    /* steady: the read under way */
    struct list waiting; /* struct catalog_look: for the next read */
    struct list served;  /* by the read under way */
    ev_timer timer;
    enum err trouble;        /* of the last read */
    uint64_t data_sets;      /* the store's count of them when it was last read as a whole, and */
    uint64_t data_sets_sent; /* when the read under way was sent */
    bool wants_whole;        /* the next read is of all documents */
    bool is_whole;           /* the read under way is */
    bool is_emptied;         /* the store has no catalog and we have one, or it has but a part */
    bool is_shared;          /* the store; nobody else changes one that is not */
    bool is_reading;
    bool is_telling;
    bool is_held;
    bool is_stopped;
};

bool catalog_age_is_stale(struct catalog_age *age, uint64_t steady_ms)
{
    const uint64_t read_ms = atomic_load_explicit(&age->read_ms, memory_order_relaxed);

    return steady_ms > read_ms && steady_ms - read_ms > CATALOG_STALE_MS;
}

/* ---- one read ----------------------------------------------------------------------------- */

static void begin_read(struct catalog_watch *watch);

static void tell(struct catalog_watch *watch, struct list *looks, enum err err)
{
    struct list *node;

    watch->is_telling = true;
    while ((node = list_take_first(looks)) != NULL) {
        struct catalog_look *look = CONTAINER_OF(node, struct catalog_look, node);

        look->on_done(look, err);
    }
    watch->is_telling = false;
}

static uint64_t known_rev(const struct catalog_watch *watch)
{
    return MAX_OF(watch->options.catalog->rev, watch->options.catalog->own_rev);
}

static enum catalog_restore_state restoring(const struct catalog_watch *watch)
{
    return catalog_restore_state(watch->read.documents, watch->read.document_count);
}

/* The store has no catalog at all: it was emptied.  The one in memory stays in force, and an
 * operator has to see to the store. */
static void note_emptied(struct catalog_watch *watch)
{
    const bool is_lost = watch->read.rev == 0 && known_rev(watch) > 0;
    const bool is_emptied = is_lost || restoring(watch) == CATALOG_RESTORE_UNDER_WAY;

    if (is_lost && !watch->is_emptied) {
        log_error("catalog.lost", LOG_U64("rev", 0), LOG_U64("known_rev", known_rev(watch)));
    }
    watch->wants_whole = watch->wants_whole || is_emptied; /* whatever it holds next */
    watch->is_emptied = is_emptied;
}

/* Does the store know less than we do? A failover lost what was written last, and what is put now
 * has revisions that we take for known, so all documents are read, at once. */
static bool must_read_whole(struct catalog_watch *watch)
{
    if (watch->is_whole || watch->is_emptied) {
        return false;
    }
    if (restoring(watch) == CATALOG_RESTORE_OVER) {
        return true;
    }
    if (watch->read.rev >= known_rev(watch)) {
        return false;
    }
    log_error("catalog.lost", LOG_U64("rev", watch->read.rev),
              LOG_U64("known_rev", known_rev(watch)));
    return true;
}

static void take_news(struct catalog_watch *watch, struct catalog_follow *news)
{
    const struct store_catalog_read *read = &watch->read;

    if (watch->is_whole) {
        catalog_resync(watch->options.catalog, read->documents, read->document_count, read->rev,
                       news);
        watch->wants_whole = false;
        watch->data_sets = watch->data_sets_sent;
        log_warn("catalog.resynced", LOG_U64("rev", read->rev),
                 LOG_U64("changed", news->changed_count));
    } else {
        catalog_follow(watch->options.catalog, read->documents, read->document_count, read->rev,
                       news);
    }
}

static void follow(struct catalog_watch *watch)
{
    struct catalog_follow news = {.changed_count = 0};

    if (!watch->is_emptied) {
        take_news(watch, &news);
    }
    if (!watch->is_emptied || known_rev(watch) > 0) { /* else there is nothing to be in force */
        atomic_store_explicit(&watch->options.age->read_ms,
                              watch->is_shared ? watch->sent_ms : UINT64_MAX, memory_order_relaxed);
    }
    if (news.refused_count > 0) {
        log_error("catalog.refused", LOG_U64("rev", watch->read.rev),
                  LOG_U64("documents", news.refused_count), LOG_TEXT("why", news.why.text));
    }
    if (news.changed_count > 0) {
        watch->options.on_change(watch->options.context);
    }
}

/* Say it when it begins and when it is over. */
static void note_trouble(struct catalog_watch *watch, enum err err)
{
    if (err != watch->trouble && err != ERR_OK) {
        log_warn("catalog.read", LOG_ERR(err));
    } else if (err != watch->trouble) {
        log_info("catalog.read", LOG_TEXT("state", "again"));
    }
    watch->trouble = err;
}

/* The read has come home: learn from it.  What those who asked are told; or false: nobody is told,
 * another read has to come first. */
static bool learn(struct catalog_watch *watch, enum err *err)
{
    if (watch->is_stopped) {
        *err = ERR_STOPPING;
        return true;
    }
    note_trouble(watch, *err);
    if (*err != ERR_OK) {
        return true;
    }
    note_emptied(watch);
    if (must_read_whole(watch)) {
        watch->wants_whole = true;
        return false;
    }
    follow(watch);
    if (watch->is_emptied) {
        *err = ERR_STORE_CORRUPT;
    }
    return true;
}

static void on_read(struct store_op *op)
{
    struct catalog_watch *watch = CONTAINER_OF(op, struct catalog_watch, read.op);
    enum err err = op->err;
    bool is_known;

    watch->is_reading = false;
    is_known = learn(watch, &err);
    store_catalog_read_clean_up(&watch->read);
    if (is_known) {
        tell(watch, &watch->served, err);
    }
    if (!is_known || !list_is_empty(&watch->waiting)) {
        begin_read(watch);
    }
}

static void begin_read(struct catalog_watch *watch)
{
    if (watch->is_reading || watch->is_telling || watch->is_held || watch->is_stopped) {
        return;
    }
    list_splice(&watch->served, &watch->waiting);
    watch->is_reading = true;
    watch->sent_ms = moment_steady_ms();
    watch->data_sets_sent = store_replid_changes(watch->options.store);
    watch->is_whole = watch->wants_whole || watch->data_sets_sent != watch->data_sets;
    watch->read = (struct store_catalog_read){
        .op = {.kind = STORE_CATALOG_READ, .home = watch->options.mailbox, .on_done = on_read},
        .since = watch->is_whole ? 0 : watch->options.catalog->rev,
    };
    store_submit(watch->options.store, &watch->read.op);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    begin_read(timer->data);
}

/* ---- those who ask ------------------------------------------------------------------------ */

struct catalog_watch *catalog_watch_new(const struct catalog_watch_options *options)
{
    struct catalog_watch *watch = xcalloc(1, sizeof(*watch));

    watch->options = *options;
    watch->is_shared = options->store->is_shared;
    list_init(&watch->waiting);
    list_init(&watch->served);
    ev_timer_init(&watch->timer, on_timer, CATALOG_LOOK_MS / 1e3, CATALOG_LOOK_MS / 1e3);
    watch->timer.data = watch;
    return watch;
}

void catalog_watch_start(struct catalog_watch *watch)
{
    if (watch->is_shared) {
        ev_timer_start(watch->options.loop, &watch->timer);
    }
}

void catalog_watch_stop(struct catalog_watch *watch)
{
    watch->is_stopped = true;
    ev_timer_stop(watch->options.loop, &watch->timer);
    tell(watch, &watch->waiting, ERR_STOPPING);
}

void catalog_watch_destroy(struct catalog_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    CHECK(!watch->is_reading);
    xfree(watch);
}

void catalog_watch_look(struct catalog_watch *watch, struct catalog_look *look)
{
    list_append(&watch->waiting, &look->node);
    begin_read(watch);
}

void catalog_watch_look_whole(struct catalog_watch *watch, struct catalog_look *look)
{
    watch->wants_whole = true;
    catalog_watch_look(watch, look);
}

void catalog_watch_hold(struct catalog_watch *watch)
{
    CHECK(!watch->is_held && !watch->is_reading);
    watch->is_held = true;
}

void catalog_watch_release(struct catalog_watch *watch)
{
    CHECK(watch->is_held);
    watch->is_held = false;
    if (!list_is_empty(&watch->waiting)) {
        begin_read(watch);
    }
}
