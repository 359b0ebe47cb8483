/* SPDX-License-Identifier: Apache-2.0
 *
 * control_replay.c - brings archived events back, page by page.
 *
 * A replay is a document (replay.h).  Twice a second every replica looks for open ones that nobody
 * holds, and takes them by compare-and-set: its name and a time go into the document.  Then, until
 * all is brought back:
 *
 *   read      a page of the archive behind the place that is done
 *   bring     each event to a worker, which owes it to the rules once more; when all are durable,
 *             the place moves
 *   pace      wait until the page has taken as long as the configured rate says
 *   save      every second and a half: the place, and that we still hold it
 *
 * A replica that dies leaves a document whose time runs out, and another goes on from the saved
 * place; the marks of what was brought since (ingest_replay.c) keep the repetition from being a
 * second delivery.  A page that fails is read again.  What ends it (all done, cancelled, its
 * archive gone) is the last thing saved; whoever finds that the document is another's lets go.
 *
 * The rate is shared out among the replays of this process, and a page is a quarter of a second of
 * it, so that live traffic never waits behind more than that.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/control_internal.h"
#include "gateway/replay.h"

enum {
    LOOK_MS = 500,
    SAVE_MS = 1500,
    HOLD_MS = 6000,
    AGAIN_MS = 1000,
    RUNS_MAX = REPLAY_RUNNING_MAX,
    PAGES_PER_SECOND = 4,
    PAGE_MAX = 100,
};

struct replay_keeper {
    struct control *control;
    ev_timer look;
    struct list runs; /* struct run */
    size_t run_count;
    bool is_stopping;
};

/* A replay that this process has taken, or is about to. */
struct run {
    struct list node;
    struct replay_keeper *keeper;
    struct arena arena;
    struct slice document; /* its name */
    bool is_taken;
    bool is_over;          /* the document is ended, or another's */
    const char *end_state; /* to be saved next */
    char reason[160];
    struct ingest_replay_order order;
    uint64_t archive;
    uint64_t until_ms;
    struct store_place place;
    uint64_t last_ms;
    uint64_t count;
    struct control_change change;
    uint64_t saved_ms; /* steady */
    struct store_archive_read read;
    struct worker_replay *letters;
    size_t waiting_count;
    enum err page_err;
    uint64_t page_us; /* steady, when it began */
    uint64_t page_events;
    ev_timer timer;
};

static void go_on(struct run *run);
static void save(struct run *run);

static void run_free(struct run *run)
{
    struct replay_keeper *keeper = run->keeper;

    list_remove(&run->node);
    keeper->run_count--;
    ev_timer_stop(keeper->control->loop, &run->timer);
    store_archived_all_free(&run->read.events);
    xfree(run->letters);
    arena_clean_up(&run->arena);
    xfree(run);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    go_on(timer->data);
}

static void go_on_after(struct run *run, double seconds)
{
    ev_timer_stop(run->keeper->control->loop, &run->timer);
    ev_timer_set(&run->timer, seconds, 0);
    ev_timer_start(run->keeper->control->loop, &run->timer);
}

/* ---- the document ------------------------------------------------------------------------- */

static bool is_free(const struct control *control, const json_t *replay, uint64_t now_ms)
{
    const struct slice holder = json_member_text(replay, "holder");

    return holder.len == 0 || slice_eq(holder, slice_of(control->replica_id)) ||
           !control->is_shared || replay_number(replay, "held_until_ms") <= now_ms;
}

static bool is_ours(const struct run *run, const json_t *replay, uint64_t now_ms)
{
    const struct control *control = run->keeper->control;

    return run->is_taken
               ? slice_eq(json_member_text(replay, "holder"), slice_of(control->replica_id))
               : is_free(control, replay, now_ms);
}

/* What the run has to know, from the document that it takes. */
static void learn(struct run *run, const json_t *replay)
{
    const json_t *filters = json_object_get(replay, "filter_arns");
    struct arena *arena = &run->arena;
    struct slice bus = arena_copy(arena, json_member_text(replay, "bus"));
    struct slice *rules = ARENA_ARRAY(arena, struct slice, json_array_size(filters));
    struct ingest_replay_order *order = &run->order;

    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *item = json_array_get(filters, i);

        rules[i] =
            arena_copy(arena, (struct slice){json_string_value(item), json_string_length(item)});
    }
    order->name = arena_copy(arena, json_member_text(replay, "name"));
    order->run = arena_printf(arena, "%.*s %" PRIu64, SLICE_ARG(run->document),
                              replay_number(replay, "since_ms"));
    order->is_central = slice_eq(bus, SLICE("central"));
    order->bus_account =
        order->is_central ? run->keeper->control->config->central_account : slice_cut(&bus, '/');
    order->bus_name = bus;
    order->rules = rules;
    order->rule_count = json_array_size(filters);
    run->archive = replay_number(replay, "uid");
    run->until_ms = replay_number(replay, "to_ms");
    run->place = replay_place(replay);
    run->last_ms = replay_number(replay, "last_ms");
}

/* The document as it is to be saved. */
static void fill(struct run *run, json_t *replay, uint64_t now_ms)
{
    if (run->is_taken && run->last_ms > 0) {
        replay_put_place(replay, &run->place);
        replay_put_number(replay, "last_ms", run->last_ms);
    }
    if (slice_eq(json_member_text(replay, "state"), SLICE("CANCELLING"))) {
        replay_end(replay, "CANCELLED", "Replay cancelled.", now_ms);
        run->is_over = true;
    } else if (run->end_state != NULL) {
        replay_end(replay, run->end_state, run->reason[0] != '\0' ? run->reason : NULL, now_ms);
        run->is_over = true;
    } else {
        replay_set_state(replay, "RUNNING");
        json_object_set_new(replay, "holder", json_string(run->keeper->control->replica_id));
        replay_put_number(replay, "held_until_ms", now_ms + HOLD_MS);
    }
}

static enum err plan(struct control_change *change, const struct catalog *catalog,
                     struct catalog_edit *edit)
{
    struct run *run = change->context;
    const struct catalog_document *document = catalog_get(catalog, run->document);
    const uint64_t now_ms = moment_now_ms();
    json_t *replay;

    run->is_over = false; /* planned again when another replica was faster */
    if (document == NULL || !replay_is_open(document->value) ||
        !is_ours(run, document->value, now_ms)) {
        run->is_over = true;
        return ERR_OK;
    }
    if (!run->is_taken) {
        learn(run, document->value);
    }
    replay = json_deep_copy(document->value);
    fill(run, replay, now_ms);
    catalog_edit_put(edit, catalog, run->document, replay);
    json_decref(replay);
    return ERR_OK;
}

static void on_saved(struct control_change *change, enum err err)
{
    struct run *run = change->context;

    if (err != ERR_OK) {
        log_warn("replay.save", LOG_SLICE("replay", run->document), LOG_ERR(err));
        if (!run->is_taken || run->keeper->is_stopping) {
            run_free(run); /* the next look finds it */
        } else {
            go_on_after(run, AGAIN_MS / 1e3);
        }
        return;
    }
    if (run->is_over) {
        log_info("replay.left", LOG_SLICE("replay", run->document), LOG_U64("events", run->count));
        run_free(run);
        return;
    }
    if (!run->is_taken) {
        log_info("replay.taken", LOG_SLICE("replay", run->document));
    }
    run->is_taken = true;
    run->saved_ms = moment_steady_ms();
    go_on(run);
}

static void save(struct run *run)
{
    run->change = (struct control_change){.plan = plan, .on_done = on_saved, .context = run};
    control_submit(run->keeper->control, &run->change);
}

/* ---- a page ------------------------------------------------------------------------------- */

static uint64_t rate_of(const struct run *run)
{
    const struct replay_keeper *keeper = run->keeper;

    return MAX_OF(keeper->control->config->replay_rate / MAX_OF(keeper->run_count, (size_t)1),
                  UINT64_C(1));
}

/* So many events have a time of their own. */
static void pace(struct run *run)
{
    const uint64_t due_us = run->page_us + run->page_events * 1000000 / rate_of(run);
    const uint64_t now_us = moment_steady_us();

    go_on_after(run, due_us > now_us ? (double)(due_us - now_us) / 1e6 : 0);
}

static void page_done(struct run *run)
{
    store_archived_all_free(&run->read.events);
    if (run->keeper->is_stopping) {
        run_free(run);
        return;
    }
    if (run->page_err != ERR_OK) {
        log_warn("replay.again", LOG_SLICE("replay", run->document), LOG_ERR(run->page_err));
        go_on_after(run, AGAIN_MS / 1e3);
        return;
    }
    if (run->page_events > 0) {
        run->last_ms = run->read.end.time_ms;
    }
    run->place = run->read.end;
    run->count += run->page_events;
    if (!run->read.has_more) {
        run->end_state = "COMPLETED";
    }
    pace(run);
}

static void on_brought_back(struct worker_replay *letter)
{
    struct run *run = letter->context;

    if (letter->err != ERR_OK) {
        run->page_err = letter->err;
    }
    CHECK(run->waiting_count > 0);
    if (--run->waiting_count == 0) {
        page_done(run);
    }
}

static void bring(struct run *run)
{
    struct control *control = run->keeper->control;
    size_t count = 0;

    LIST_FOREACH (node, &run->read.events) {
        count++;
    }
    run->page_events = count;
    run->waiting_count = count;
    if (count == 0) {
        page_done(run);
        return;
    }
    run->letters = xrealloc(run->letters, count * sizeof(run->letters[0]));
    LIST_FOREACH (node, &run->read.events) {
        struct worker_replay *letter = &run->letters[--count];

        *letter = (struct worker_replay){
            .replay = {.order = &run->order,
                       .archived = CONTAINER_OF(node, struct store_archived, node)},
            .on_return = on_brought_back,
            .context = run,
        };
        worker_bring_back(control->workers[count % control->worker_count], letter);
    }
}

static void on_read(struct store_op *op)
{
    struct run *run = CONTAINER_OF(op, struct run, read.op);

    run->page_err = op->err;
    run->page_events = 0;
    if (op->err != ERR_OK || run->keeper->is_stopping) {
        page_done(run);
    } else {
        bring(run);
    }
}

static void read_page(struct run *run)
{
    run->page_us = moment_steady_us();
    run->read = (struct store_archive_read){
        .op = {.kind = STORE_ARCHIVE_READ,
               .home = &run->keeper->control->mailbox,
               .on_done = on_read},
        .archive = run->archive,
        .after = run->place,
        .until_ms = run->until_ms,
        .count_max = (size_t)MIN_OF(rate_of(run) / PAGES_PER_SECOND + 1, (uint64_t)PAGE_MAX),
    };
    list_init(&run->read.events);
    store_submit(run->keeper->control->store, &run->read.op);
}

/* ---- the story ---------------------------------------------------------------------------- */

/* Is the archive still the one that it began with? */
static bool has_archive(const struct run *run, const json_t *replay)
{
    const struct catalog *catalog = &run->keeper->control->catalog;
    struct slice owner = slice_from(run->document, strlen("replay/"));
    struct arena arena = {0};
    const struct catalog_document *archive;
    bool has_it;

    owner = slice_cut(&owner, '/');
    archive = catalog_get(catalog, arena_printf(&arena, "archive/%.*s/%.*s", SLICE_ARG(owner),
                                                SLICE_ARG(json_member_text(replay, "archive"))));
    has_it = archive != NULL && replay_number(archive->value, "uid") == run->archive;
    arena_clean_up(&arena);
    return has_it;
}

static void go_on(struct run *run)
{
    const struct catalog_document *document =
        catalog_get(&run->keeper->control->catalog, run->document);

    if (run->keeper->is_stopping) {
        run_free(run);
        return;
    }
    if (document != NULL && run->end_state == NULL && !has_archive(run, document->value)) {
        run->end_state = "FAILED";
        (void)snprintf(run->reason, sizeof(run->reason), "Archive %.*s does not exist.",
                       SLICE_ARG(json_member_text(document->value, "archive")));
    }
    if (document == NULL || run->end_state != NULL ||
        slice_eq(json_member_text(document->value, "state"), SLICE("CANCELLING")) ||
        moment_steady_ms() - run->saved_ms >= SAVE_MS) {
        save(run);
        return;
    }
    read_page(run);
}

static bool is_running(const struct replay_keeper *keeper, struct slice document)
{
    LIST_FOREACH (node, &keeper->runs) {
        if (slice_eq(CONTAINER_OF(node, struct run, node)->document, document)) {
            return true;
        }
    }
    return false;
}

static void begin(struct replay_keeper *keeper, struct slice document)
{
    struct run *run = xcalloc(1, sizeof(*run));

    run->keeper = keeper;
    run->document = arena_copy(&run->arena, document);
    list_init(&run->read.events);
    ev_timer_init(&run->timer, on_timer, 0, 0);
    run->timer.data = run;
    list_append(&keeper->runs, &run->node);
    keeper->run_count++;
    save(run);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct replay_keeper *keeper = timer->data;
    struct control *control = keeper->control;
    struct arena arena = {0};
    const struct catalog_document **replays;
    size_t count;

    (void)loop;
    (void)events;
    if (control_is_catalog_stale(control)) {
        return;
    }
    replays = catalog_of_kind(&control->catalog, SLICE("replay"), &arena, &count);
    for (size_t i = 0; i < count && keeper->run_count < RUNS_MAX; i++) {
        const struct slice name = arena_copy(&arena, slice_of(replays[i]->name));

        if (catalog_get(&control->catalog, name) == replays[i] &&
            replay_is_open(replays[i]->value) &&
            is_free(control, replays[i]->value, moment_now_ms()) && !is_running(keeper, name)) {
            begin(keeper, name);
        }
    }
    arena_clean_up(&arena);
}

/* ---- beginning and end -------------------------------------------------------------------- */

void control_replay_start(struct control *control)
{
    struct replay_keeper *keeper = xcalloc(1, sizeof(*keeper));

    keeper->control = control;
    list_init(&keeper->runs);
    control->replays = keeper;
    ev_timer_init(&keeper->look, on_look, 0, LOOK_MS / 1e3);
    keeper->look.data = keeper;
    ev_timer_start(control->loop, &keeper->look);
}

void control_replay_stop(struct control *control)
{
    struct replay_keeper *keeper = control->replays;

    keeper->is_stopping = true;
    ev_timer_stop(control->loop, &keeper->look);
    LIST_FOREACH (node, &keeper->runs) {
        struct run *run = CONTAINER_OF(node, struct run, node);

        if (ev_is_active(&run->timer)) { /* nobody will answer it */
            run_free(run);
        }
    }
}

void control_replay_destroy(struct control *control)
{
    struct replay_keeper *keeper = control->replays;

    if (keeper == NULL) {
        return;
    }
    LIST_FOREACH (node, &keeper->runs) {
        run_free(CONTAINER_OF(node, struct run, node));
    }
    xfree(keeper);
    control->replays = NULL;
}
