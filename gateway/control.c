/* SPDX-License-Identifier: Apache-2.0
 *
 * control.c - coordinator of change.
 *
 * A change of the catalog, step by step:
 *   look     where other replicas may have changed it: read what is new
 *   plan     against the catalog as it is now; changes queue, one at a time
 *   put      into the store, all documents in one step, compare-and-set
 *   absorb   what was put, into the catalog in memory
 *   compile  a new snapshot
 *   publish  by mail to every worker; when the last notice is back, it is in force
 * and only then the answer, so whoever changed something may rely on it with the next request.  A
 * put that meets another replica's change is planned again on top of it, a few times.
 *
 * What other replicas change comes by the watch (catalog_watch.c) and is compiled and published in
 * the same way, with nobody to answer.  What does not compile is alarmed, and the last good
 * snapshot stays in force.
 *
 * What many changes have left behind of a large bus is compiled anew beside all this, on a thread
 * of its own (compiler.c), and published like a change that nobody asked for.
 *
 * The other thread-wide duties hang on the same loop: the credentials provider, the admin listener,
 * signals, and what is due every few seconds (control_upkeep.c).
 *
 * Stopping: not ready, workers drain and report, then the store finishes what it has and closes.
 * A store of our own that failed is a reason to stop: whoever runs weir starts it again, and it
 * recovers.  One that is shared never is.
 */
#include <unistd.h>

#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "gateway/control_internal.h"
#include "gateway/trace.h"

/* Every recorded change of every replica competes for the end of the audit log. */
enum { PUT_ATTEMPTS_MAX = 5, APPEND_ATTEMPTS_MAX = 100 };

const struct config *control_config(const struct control *control)
{
    return control->config;
}

const struct catalog *control_catalog(const struct control *control)
{
    return &control->catalog;
}

const struct snapshot *control_snapshot(const struct control *control)
{
    return control->snapshot;
}

struct store *control_store(struct control *control)
{
    return control->store;
}

struct mailbox *control_mailbox(struct control *control)
{
    return &control->mailbox;
}

const uint8_t *control_seal_key(const struct control *control)
{
    return control->seal_key;
}

bool control_is_catalog_stale(struct control *control)
{
    return control->is_shared && catalog_age_is_stale(&control->age, moment_steady_ms());
}

void control_describe(const struct control *control, struct control_description *description)
{
    *description = (struct control_description){
        .replica = slice_of(control->replica_id),
        .replica_count = control->replica_count,
        .catalog_rev = control->snapshot->rev,
        .refused_documents = control->catalog.refused_count,
        .is_refusing = control->is_refusing,
        .roles = control->roles,
        .sts_calls = credentials_provider_call_count(control->credentials),
        .credentials_source = credentials_provider_source(control->credentials),
    };
}

size_t control_unready_reasons(struct control *control,
                               const char *reasons[static CONTROL_REASONS_MAX])
{
    size_t count = 0;

    if (control->has_store_failed) {
        reasons[count++] = "store failed";
    } else if (store_trouble(control->store) == ERR_STORE_FULL) {
        reasons[count++] = "store full";
    } else if (store_trouble(control->store) != ERR_OK) {
        reasons[count++] = "store unavailable";
    }
    if (control->is_serving && catalog_age_is_stale(&control->age, moment_steady_ms())) {
        reasons[count++] = "catalog stale";
    }
    if (control->is_refusing) { /* what is revoked from now on would stay in force here */
        reasons[count++] = "catalog refused";
    }
    if (control->is_stopping) {
        reasons[count++] = "stopping";
    } else if (!control->is_serving) {
        reasons[count++] = "starting";
    }
    return count;
}

/* ---- changes ------------------------------------------------------------------------------ */

static void start_next_change(struct control *control);

static void finish_change(struct control_change *change, enum err err)
{
    struct control *control = change->control;

    change->rev = control->catalog.rev;
    list_remove(&change->node);
    catalog_edit_clean_up(&change->edit);
    control->is_finishing = true; /* whoever submits from there is not started twice */
    change->on_done(change, err);
    control->is_finishing = false;
    start_next_change(control);
}

/* One snapshot on its way to all workers. */
struct publication {
    struct control *control;
    struct control_change *change; /* NULL: another replica's */
    unsigned waiting;
    struct worker_notice notices[WORKERS_MAX];
};

/* Nobody has to have the snapshot before this one any more. */
static void use_alone(struct control *control)
{
    snapshot_release(control->before);
    control->before = NULL;
    control_fold_settle(control);
}

static void on_notice_return(struct worker_notice *notice)
{
    struct publication *publication = notice->context;
    struct control_change *change = publication->change;

    CHECK(publication->waiting > 0);
    publication->waiting--;
    if (publication->waiting == 0) {
        use_alone(publication->control);
        xfree(publication);
        if (change != NULL) {
            finish_change(change, ERR_OK);
        }
    }
}

static void publish(struct control *control, struct control_change *change)
{
    struct publication *publication;

    if (control->is_stopping) { /* it is stored, and in force at the next start */
        if (change != NULL) {
            finish_change(change, ERR_OK);
        }
        return;
    }
    publication = xcalloc(1, sizeof(*publication));
    publication->control = control;
    publication->change = change;
    publication->waiting = control->worker_count;
    for (unsigned i = 0; i < control->worker_count; i++) {
        publication->notices[i] = (struct worker_notice){
            .snapshot = snapshot_acquire(control->snapshot),
            .on_return = on_notice_return,
            .context = publication,
        };
        worker_publish(control->workers[i], &publication->notices[i]);
    }
}

static void use_snapshot(struct control *control, struct snapshot *snapshot)
{
    use_alone(control);
    control->before = control->snapshot;
    control->snapshot = snapshot;
}

void control_publish(struct control *control, struct snapshot *snapshot)
{
    use_snapshot(control, snapshot);
    publish(control, NULL);
}

enum err control_compile(struct control *control, struct err_why *why)
{
    const struct snapshot_options options = {
        .region = control->config->region,
        .central_account = control->config->central_account,
        .seal_key = control->seal_key,
        .limiters = &control->limiters,
        .previous = control->snapshot,
    };
    struct snapshot *snapshot = NULL;
    const enum err err = snapshot_new(&control->catalog, &options, &snapshot, why);

    control->is_refusing = err != ERR_OK;
    if (err != ERR_OK) {
        return err;
    }
    catalog_changes_clear(&control->catalog);
    use_snapshot(control, snapshot);
    control_fold(control);
    control_schedule_use(control);
    control_authorize_use(control);
    if (control->roles != NULL && /* not yet while starting */
        snapshot->directory != control->before->directory) {
        role_watch_use(control->roles, snapshot->directory);
    }
    return ERR_OK;
}

void control_on_catalog_change(void *context)
{
    struct control *control = context;
    struct err_why why = {.text = ""};
    const enum err err = control_compile(control, &why);

    if (err != ERR_OK) {
        log_error("control.catalog_refused", LOG_ERR(err), LOG_U64("rev", control->catalog.rev),
                  LOG_TEXT("why", why.text));
        return;
    }
    log_info("control.followed", LOG_U64("rev", control->catalog.rev));
    publish(control, NULL);
}

/* A record of an act that changed nothing, how far a replay has come: no worker has to know of it.
 */
static bool is_aside(const struct catalog_edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        if (!catalog_is_aside(edit->documents[i].name)) {
            return false;
        }
    }
    return true;
}

/* What was put is ours to use at once, also where others' changes lie between and are still to be
 * read: the look that follows brings them. */
static enum err put_done(struct control *control, struct control_change *change)
{
    TRY(catalog_absorb_own(&control->catalog, &change->edit, change->put.rev, &change->why));
    return is_aside(&change->edit) ? ERR_OK : control_compile(control, &change->why);
}

static void plan_and_put(struct control *control, struct control_change *change);
static void look_and_plan(struct control *control, struct control_change *change);

/* Somebody was faster.  Where that may be another replica, look at what it did and plan again. */
static bool tries_again(struct control *control, struct control_change *change)
{
    const struct slice name = change->edit.documents[change->put.conflict_index].name;
    const unsigned attempts_max = audit_owns(name) ? APPEND_ATTEMPTS_MAX : PUT_ATTEMPTS_MAX;

    if (!control->is_shared || control->is_stopping || change->attempt_count >= attempts_max) {
        return false;
    }
    catalog_edit_clean_up(&change->edit);
    change->why.text[0] = '\0';
    look_and_plan(control, change);
    return true;
}

static void on_put(struct store_op *op)
{
    struct control_change *change = CONTAINER_OF(op, struct control_change, put.op);
    struct control *control = change->control;
    enum err err = op->err;

    catalog_watch_release(control->watch);
    if (err == ERR_CONFLICT) {
        if (tries_again(control, change)) {
            return;
        }
        err = err_because(err, &change->why, "%.*s was changed meanwhile",
                          SLICE_ARG(change->edit.documents[change->put.conflict_index].name));
    }
    if (err == ERR_OK) {
        err = put_done(control, change);
    }
    if (err != ERR_OK) {
        log_error("control.change", LOG_ERR(err), LOG_TEXT("why", change->why.text));
        finish_change(change, err);
        return;
    }
    change->is_recorded = change->note.action[0] != '\0';
    log_info("control.change", LOG_U64("rev", change->put.rev),
             LOG_U64("documents", change->edit.count));
    audit_log_end(&change->edit);
    if (is_aside(&change->edit)) {
        finish_change(change, ERR_OK);
    } else {
        publish(control, change);
    }
}

static uint64_t audit_add_to(struct control *control, struct catalog_edit *edit,
                             const struct audit_note *note, enum err result, const char *message)
{
    const struct audit_options options = {
        .seal_key = control->seal_key,
        .records_max = control->config->audit_records_max,
        .now_ms = moment_now_ms(),
    };

    return audit_add(edit, &control->catalog, &options, note, result, message);
}

static void plan_and_put(struct control *control, struct control_change *change)
{
    enum err err;

    catalog_edit_init(&change->edit);
    err = control->is_stopping ? ERR_STOPPING
                               : change->plan(change, &control->catalog, &change->edit);
    if (err != ERR_OK || change->edit.count == 0) {
        finish_change(change, err);
        return;
    }
    if (change->note.action[0] != '\0') {
        (void)audit_add_to(control, &change->edit, &change->note, ERR_OK, NULL);
    }
    change->attempt_count++;
    change->put = (struct store_catalog_put){
        .op = {.kind = STORE_CATALOG_PUT, .home = &control->mailbox, .on_done = on_put},
        .documents = change->edit.documents,
        .document_count = change->edit.count,
    };
    catalog_watch_hold(control->watch);
    store_submit(control->store, &change->put.op);
}

static void on_look(struct catalog_look *look, enum err err)
{
    struct control_change *change = CONTAINER_OF(look, struct control_change, look);

    if (err != ERR_OK) {
        catalog_edit_init(&change->edit);
        (void)err_because(err, &change->why, "the catalog cannot be read from the store: %s",
                          err_text(err));
        finish_change(change, err);
        return;
    }
    plan_and_put(change->control, change);
}

static void look_and_plan(struct control *control, struct control_change *change)
{
    if (!control->is_shared || control->is_stopping) {
        plan_and_put(control, change);
        return;
    }
    change->look.on_done = on_look;
    catalog_watch_look(control->watch, &change->look);
}

static void start_next_change(struct control *control)
{
    if (!list_is_empty(&control->changes)) {
        look_and_plan(control, CONTAINER_OF(control->changes.next, struct control_change, node));
    }
}

void control_submit(struct control *control, struct control_change *change)
{
    const bool is_idle = list_is_empty(&control->changes) && !control->is_finishing;

    change->control = control;
    change->why.text[0] = '\0';
    change->attempt_count = 0;
    list_append(&control->changes, &change->node);
    if (is_idle) {
        start_next_change(control);
    }
}

void control_look_whole(struct control *control, struct catalog_look *look)
{
    catalog_watch_look_whole(control->watch, look);
}

/* ---- acts that change nothing ------------------------------------------------------------- */

struct recording {
    struct control_change change;
    struct audit_note note;
    enum err result;
    char message[AUDIT_MESSAGE_CHARS_MAX + 1];
    void (*on_done)(void *context, enum err err);
    void *context;
};

static enum err plan_recording(struct control_change *change, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    const struct recording *recording = change->context;

    (void)catalog;
    (void)audit_add_to(change->control, edit, &recording->note, recording->result,
                       recording->message);
    return ERR_OK;
}

static void on_recorded(struct control_change *change, enum err err)
{
    struct recording *recording = change->context;

    if (err != ERR_OK) {
        log_error("audit.lost", LOG_ERR(err), LOG_TEXT("actor", recording->note.actor),
                  LOG_TEXT("action", recording->note.action),
                  LOG_TEXT("object", recording->note.object),
                  LOG_TEXT("result", err_name(recording->result)));
    }
    if (recording->on_done != NULL) {
        recording->on_done(recording->context, err);
    }
    xfree(recording);
}

void control_record(struct control *control, const struct audit_note *note, enum err result,
                    const char *message, void (*on_done)(void *context, enum err err),
                    void *context)
{
    struct recording *recording;

    if (note->action[0] == '\0') {
        if (on_done != NULL) {
            on_done(context, ERR_OK);
        }
        return;
    }
    recording = xcalloc(1, sizeof(*recording));
    recording->note = *note;
    recording->result = result;
    audit_fill(recording->message, sizeof(recording->message),
               slice_of(message != NULL ? message : ""));
    recording->on_done = on_done;
    recording->context = context;
    recording->change = (struct control_change){
        .plan = plan_recording, .on_done = on_recorded, .context = recording};
    control_submit(control, &recording->change);
}

/* ---- counters ----------------------------------------------------------------------------- */

struct collection {
    struct worker_visit visit;
    void (*on_done)(void *context, const struct stats *sum);
    void *context;
};

static void on_visit_return(struct worker_visit *visit)
{
    struct collection *collection = visit->context;

    collection->on_done(collection->context, visit->sum);
    stats_destroy(visit->sum);
    xfree(collection);
}

void control_collect(struct control *control,
                     void (*on_done)(void *context, const struct stats *sum), void *context)
{
    struct collection *collection = xcalloc(1, sizeof(*collection));

    *collection = (struct collection){
        .visit = {.sum = stats_new(),
                  .workers = control->workers,
                  .worker_count = control->worker_count,
                  .on_return = on_visit_return,
                  .context = collection},
        .on_done = on_done,
        .context = context,
    };
    worker_collect(&collection->visit);
}

/* ---- traces -------------------------------------------------------------------------------- */

struct trace_inquiry {
    struct worker_visit visit;
    struct trace_answer answer;
    void (*on_done)(void *context, struct trace_answer *answer);
    void *context;
};

static void on_trace_return(struct worker_visit *visit)
{
    struct trace_inquiry *inquiry = visit->context;

    inquiry->on_done(inquiry->context, &inquiry->answer);
    trace_answer_clean_up(&inquiry->answer);
    xfree(inquiry);
}

void control_trace(struct control *control, struct slice event_id,
                   void (*on_done)(void *context, struct trace_answer *answer), void *context)
{
    struct trace_inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

    trace_answer_init(&inquiry->answer, event_id);
    inquiry->on_done = on_done;
    inquiry->context = context;
    inquiry->visit = (struct worker_visit){
        .trace = &inquiry->answer,
        .workers = control->workers,
        .worker_count = control->worker_count,
        .on_return = on_trace_return,
        .context = inquiry,
    };
    worker_collect(&inquiry->visit);
}

/* ---- parks ---------------------------------------------------------------------------------- */

struct park_inquiry {
    struct worker_visit visit;
    void (*on_done)(void *context);
    void *context;
};

static void on_parks_return(struct worker_visit *visit)
{
    struct park_inquiry *inquiry = visit->context;

    inquiry->on_done(inquiry->context);
    xfree(inquiry);
}

void control_parks(struct control *control, struct park_answer *answer,
                   void (*on_done)(void *context), void *context)
{
    struct park_inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

    inquiry->on_done = on_done;
    inquiry->context = context;
    inquiry->visit = (struct worker_visit){
        .parks = answer,
        .workers = control->workers,
        .worker_count = control->worker_count,
        .on_return = on_parks_return,
        .context = inquiry,
    };
    worker_collect(&inquiry->visit);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void on_worker_stopped(struct worker_stop *stop)
{
    struct control *control = stop->context;

    control->stopped_count++;
    if (control->stopped_count == control->worker_count) {
        ev_break(control->loop, EVBREAK_ALL);
    }
}

void control_stop(struct control *control)
{
    if (control->is_stopping) {
        return;
    }
    control->is_stopping = true;
    control_upkeep_stop(control);
    control_schedule_stop(control);
    control_archive_stop(control);
    control_authorize_stop(control);
    control_replay_stop(control);
    catalog_watch_stop(control->watch);
    log_info("control.stop", LOG_U64("workers", control->worker_count));
    for (unsigned i = 0; i < control->worker_count; i++) {
        control->stops[i] =
            (struct worker_stop){.on_stopped = on_worker_stopped, .context = control};
        worker_stop(control->workers[i], &control->stops[i]);
    }
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* "HOST-1a2b3c4d": tells the replicas of one store apart, and a restarted one from the one before.
 */
static void name_replica(struct control *control)
{
    char host[64] = "";

    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    (void)snprintf(control->replica_id, sizeof(control->replica_id), "%.*s-%08" PRIx32,
                   CONTROL_REPLICA_CHARS_MAX - 9, host[0] != '\0' ? host : "weir",
                   (uint32_t)random_u64());
    control->replica_count = 1;
}

enum err control_run(const struct config *config, struct err_why *why)
{
    struct control *control = xcalloc(1, sizeof(*control));
    struct arena arena = {0};
    char(*lane_room)[STORE_LANE_CHARS_MAX + 1] = xcalloc(LANES_PER_LOOK, STORE_LANE_CHARS_MAX + 1);
    enum err err;

    control->config = config;
    control->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(control->loop != NULL);
    control->lanes.lanes = lane_room;
    list_init(&control->changes);
    catalog_init(&control->catalog);
    mailbox_init(&control->mailbox, control->loop);
    name_replica(control);
    err = control_start(control, &arena, why);
    if (err == ERR_OK) {
        ev_run(control->loop, 0);
        if (control->has_store_failed) {
            err = err_because(ERR_STORE_FAILED, why,
                              "the store failed; a new start recovers what is on its disk");
        }
        log_info("control.stopped", LOG_U64("workers", control->worker_count));
    }
    control_shut(control);
    xfree(lane_room);
    arena_clean_up(&arena);
    xfree(control);
    return err;
}
