/* SPDX-License-Identifier: Apache-2.0
 *
 * control_archive.c - once a minute: what archives need not keep any more.
 *
 * One walk over all archives that the store knows, one after the other.  Of one whose document has
 * retention_days, events older than that go; of one whose document is gone, all.  Each step takes a
 * bounded number out and waits for its answer, so that commits pass in between.
 *
 * An archive without a document was deleted, unless its document is younger than this replica's
 * catalog: a number that the catalog's counter has not given out yet is left alone, and nothing is
 * taken for deleted while documents are refused.  Of several replicas one walks, by a turn that the
 * store gives.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/control_internal.h"
#include "storage/store_archive.h"

enum { SWEEP_MS = 60000, TURN_KEEP_MS = 10 * SWEEP_MS, STEP_EVENTS = STORE_ARCHIVE_PAGE_MAX };

static const uint64_t day_ms = UINT64_C(86400000);

struct archive_sweep {
    struct control *control;
    ev_timer timer;
    bool is_running;
    bool is_stopped;
    uint64_t now_ms;
    uint64_t trimmed_count;
    size_t at; /* of sizes.rows */
    struct store_once turn;
    struct store_archive_sizes sizes;
    struct store_archive_trim trim;
};

static void walk_on(struct archive_sweep *sweep);

static void finish(struct archive_sweep *sweep, enum err err)
{
    if (err != ERR_OK) {
        log_warn("archive.sweep", LOG_ERR(err));
    }
    if (sweep->trimmed_count > 0) {
        log_info("archive.trimmed", LOG_U64("events", sweep->trimmed_count));
    }
    store_archive_sizes_clean_up(&sweep->sizes);
    sweep->is_running = false;
}

/* ---- what may go -------------------------------------------------------------------------- */

static uint64_t number_of(const json_t *object, const char *member)
{
    return (uint64_t)json_integer_value(json_object_get(object, member));
}

/* Events of the archive below this time may go; 0: none. */
static uint64_t keep_from(const struct archive_sweep *sweep, uint64_t archive)
{
    const struct catalog *catalog = &sweep->control->catalog;
    const struct catalog_document *counter = catalog_get(catalog, SLICE("meta/uid"));
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("archive"), &arena, &count);
    uint64_t from_ms = UINT64_MAX;

    for (size_t i = 0; i < count && from_ms == UINT64_MAX; i++) {
        const uint64_t days = number_of(documents[i]->value, "retention_days");

        if (number_of(documents[i]->value, "uid") == archive) {
            from_ms = days > 0 && sweep->now_ms > days * day_ms ? sweep->now_ms - days * day_ms : 0;
        }
    }
    arena_clean_up(&arena);
    if (from_ms == UINT64_MAX && (catalog->refused_count > 0 || counter == NULL ||
                                  archive >= number_of(counter->value, "next"))) {
        return 0;
    }
    return from_ms;
}

/* ---- the walk ----------------------------------------------------------------------------- */

static void on_trimmed(struct store_op *op)
{
    struct archive_sweep *sweep = CONTAINER_OF(op, struct archive_sweep, trim.op);

    sweep->trimmed_count += op->err == ERR_OK ? sweep->trim.count : 0;
    if (op->err != ERR_OK || sweep->is_stopped) {
        finish(sweep, op->err);
        return;
    }
    sweep->at += sweep->trim.has_more ? 0 : 1;
    walk_on(sweep);
}

static void walk_on(struct archive_sweep *sweep)
{
    for (; sweep->at < sweep->sizes.row_count; sweep->at++) {
        const uint64_t archive = sweep->sizes.rows[sweep->at].archive;
        const uint64_t before_ms = keep_from(sweep, archive);

        if (before_ms > 0) {
            sweep->trim = (struct store_archive_trim){
                .op = {.kind = STORE_ARCHIVE_TRIM,
                       .home = &sweep->control->mailbox,
                       .on_done = on_trimmed},
                .archive = archive,
                .before_ms = before_ms,
                .count_max = STEP_EVENTS,
            };
            store_submit(sweep->control->store, &sweep->trim.op);
            return;
        }
    }
    finish(sweep, ERR_OK);
}

static void on_sizes(struct store_op *op)
{
    struct archive_sweep *sweep = CONTAINER_OF(op, struct archive_sweep, sizes.op);

    if (op->err != ERR_OK || sweep->is_stopped) {
        finish(sweep, op->err);
        return;
    }
    sweep->at = 0;
    walk_on(sweep);
}

static void begin(struct archive_sweep *sweep)
{
    sweep->sizes = (struct store_archive_sizes){
        .op = {.kind = STORE_ARCHIVE_SIZES, .home = &sweep->control->mailbox, .on_done = on_sizes},
    };
    store_submit(sweep->control->store, &sweep->sizes.op);
}

static void on_turn(struct store_op *op)
{
    struct archive_sweep *sweep = CONTAINER_OF(op, struct archive_sweep, turn.op);

    if (op->err == ERR_OK && sweep->turn.is_mine && !sweep->is_stopped) {
        begin(sweep);
    } else { /* another replica's turn; or nobody's, and the next minute brings another */
        sweep->is_running = false;
    }
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct archive_sweep *sweep = timer->data;
    struct control *control = sweep->control;

    (void)loop;
    (void)events;
    if (sweep->is_running || control_is_catalog_stale(control)) {
        return;
    }
    sweep->is_running = true;
    sweep->now_ms = moment_now_ms();
    sweep->trimmed_count = 0;
    if (!control->is_shared) {
        begin(sweep);
        return;
    }
    sweep->turn = (struct store_once){
        .op = {.kind = STORE_ONCE, .home = &control->mailbox, .on_done = on_turn},
        .now_ms = sweep->now_ms,
        .due_ms = sweep->now_ms - sweep->now_ms % SWEEP_MS,
        .keep_ms = TURN_KEEP_MS,
        .name = "archive-retention",
    };
    store_submit(control->store, &sweep->turn.op);
}

/* ---- beginning and end -------------------------------------------------------------------- */

void control_archive_start(struct control *control)
{
    struct archive_sweep *sweep = xcalloc(1, sizeof(*sweep));

    sweep->control = control;
    control->archives = sweep;
    ev_timer_init(&sweep->timer, on_sweep, 0, SWEEP_MS / 1e3);
    sweep->timer.data = sweep;
    ev_timer_start(control->loop, &sweep->timer);
}

void control_archive_stop(struct control *control)
{
    control->archives->is_stopped = true;
    ev_timer_stop(control->loop, &control->archives->timer);
}

void control_archive_destroy(struct control *control)
{
    if (control->archives != NULL) {
        CHECK(!control->archives->is_running);
        xfree(control->archives);
        control->archives = NULL;
    }
}
