/* SPDX-License-Identifier: Apache-2.0
 *
 * control.c - coordinator of change.
 *
 * A change of the catalog, step by step:
 *   plan     against the catalog as it is now; changes queue, one at a time
 *   put      into the store, all documents in one step, compare-and-set
 *   absorb   what was put, into the catalog in memory
 *   compile  a new snapshot
 *   publish  by mail to every worker; when the last notice is back, it is in force
 * and only then the answer, so whoever changed something may rely on it with the next request.
 *
 * The other thread-wide duties hang on the same loop: the credentials provider, the admin listener,
 * signals, and every few seconds a look through the store for lanes that nobody serves.
 *
 * Stopping: not ready, workers drain and report, then the store finishes what it has and closes.
 * A store that failed is a reason to stop: whoever runs weir starts it again, and it recovers.
 */
#include "gateway/control.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "accounts/credentials.h"
#include "core/check.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/http.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "core/tls.h"
#include "gateway/admin.h"
#include "gateway/lease.h"
#include "gateway/trace.h"
#include "gateway/worker.h"
#include "storage/store.h"

enum {
    WORKERS_MAX = 256,
    LANES_PER_LOOK = 1024,
    CALLS_TO_STS_PER_SECOND = 50,
};

static const double look_interval_s = 2.0;
static const double sweep_interval_s = 60.0;

struct control {
    const struct config *config;
    uint8_t seal_key[SEAL_KEY_BYTES];
    struct ev_loop *loop;
    struct mailbox mailbox;
    struct store *store;
    struct http_client *http;
    struct credentials_provider *credentials;
    struct tls_context *tls;
    struct admin *admin;

    struct catalog catalog;
    struct limiter_book limiters;
    struct snapshot *snapshot;
    struct list changes; /* struct control_change; the first one is running */

    struct worker *workers[WORKERS_MAX];
    struct delivery_engine *engines[WORKERS_MAX];
    unsigned worker_count;
    unsigned stopped_count;
    struct worker_stop stops[WORKERS_MAX];

    ev_signal on_term;
    ev_signal on_int;
    ev_timer look;
    struct store_lanes lanes;
    ev_timer sweep;
    struct store_dead_edit expiry;
    bool is_expiring;
    bool is_looking;
    bool is_serving;
    bool is_stopping;
    bool has_store_failed;
};

const struct config *control_config(const struct control *control)
{
    return control->config;
}

const struct catalog *control_catalog(const struct control *control)
{
    return &control->catalog;
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

size_t control_unready_reasons(const struct control *control,
                               const char *reasons[static CONTROL_REASONS_MAX])
{
    size_t count = 0;

    if (control->has_store_failed) {
        reasons[count++] = "store failed";
    } else if (store_trouble(control->store) == ERR_STORE_FULL) {
        reasons[count++] = "store full";
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
    change->on_done(change, err);
    start_next_change(control);
}

/* One snapshot on its way to all workers. */
struct publication {
    struct control_change *change; /* NULL at start */
    unsigned waiting;
    struct worker_notice notices[WORKERS_MAX];
};

static void on_notice_return(struct worker_notice *notice)
{
    struct publication *publication = notice->context;
    struct control_change *change = publication->change;

    CHECK(publication->waiting > 0);
    publication->waiting--;
    if (publication->waiting == 0) {
        xfree(publication);
        finish_change(change, ERR_OK);
    }
}

static void publish(struct control *control, struct control_change *change)
{
    struct publication *publication;

    if (control->is_stopping) { /* it is stored, and in force at the next start */
        finish_change(change, ERR_OK);
        return;
    }
    publication = xcalloc(1, sizeof(*publication));
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

static enum err compile(struct control *control, struct err_why *why)
{
    const struct snapshot_options options = {
        .region = control->config->region,
        .central_account = control->config->central_account,
        .seal_key = control->seal_key,
        .limiters = &control->limiters,
    };
    struct snapshot *snapshot = NULL;

    TRY(snapshot_new(&control->catalog, &options, &snapshot, why));
    snapshot_release(control->snapshot);
    control->snapshot = snapshot;
    return ERR_OK;
}

/* What was put now carries the revision of the whole. */
static enum err absorb(struct control *control, struct control_change *change)
{
    for (size_t i = 0; i < change->edit.count; i++) {
        change->edit.documents[i].rev = change->put.rev;
    }
    return catalog_absorb(&control->catalog, change->edit.documents, change->edit.count,
                          change->put.rev, &change->why);
}

static void on_put(struct store_op *op)
{
    struct control_change *change = CONTAINER_OF(op, struct control_change, put.op);
    struct control *control = change->control;
    enum err err = op->err;

    if (err == ERR_CONFLICT) {
        err = err_because(err, &change->why, "%.*s was changed meanwhile",
                          SLICE_ARG(change->edit.documents[change->put.conflict_index].name));
    }
    if (err == ERR_OK) {
        err = absorb(control, change);
    }
    if (err == ERR_OK) {
        err = compile(control, &change->why);
    }
    if (err != ERR_OK) {
        log_error("control.change", LOG_ERR(err), LOG_TEXT("why", change->why.text));
        finish_change(change, err);
        return;
    }
    log_info("control.change", LOG_U64("rev", control->catalog.rev),
             LOG_U64("documents", change->edit.count));
    publish(control, change);
}

static void start_next_change(struct control *control)
{
    struct control_change *change;
    enum err err;

    if (list_is_empty(&control->changes)) {
        return;
    }
    change = CONTAINER_OF(control->changes.next, struct control_change, node);
    catalog_edit_init(&change->edit);
    err = control->is_stopping ? ERR_STOPPING
                               : change->plan(change, &control->catalog, &change->edit);
    if (err != ERR_OK || change->edit.count == 0) {
        finish_change(change, err);
        return;
    }
    change->put = (struct store_catalog_put){
        .op = {.kind = STORE_CATALOG_PUT, .home = &control->mailbox, .on_done = on_put},
        .documents = change->edit.documents,
        .document_count = change->edit.count,
    };
    store_submit(control->store, &change->put.op);
}

void control_submit(struct control *control, struct control_change *change)
{
    const bool is_idle = list_is_empty(&control->changes);

    change->control = control;
    change->why.text[0] = '\0';
    list_append(&control->changes, &change->node);
    if (is_idle) {
        start_next_change(control);
    }
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

/* ---- what nobody serves ------------------------------------------------------------------- */

static void look_on(struct control *control);
static void stop(struct control *control);

static void on_lanes(struct store_op *op)
{
    struct store_lanes *lanes = CONTAINER_OF(op, struct store_lanes, op);
    struct control *control = CONTAINER_OF(lanes, struct control, lanes);

    control->is_looking = false;
    if (op->err != ERR_OK) {
        log_warn("control.lanes", LOG_ERR(op->err));
        if (op->err == ERR_STORE_FAILED) { /* for good: only a new process can go on */
            control->has_store_failed = true;
            stop(control);
        }
        return;
    }
    for (size_t i = 0; i < lanes->count && !control->is_stopping; i++) {
        worker_note_backlog(control->workers[0], slice_of(lanes->lanes[i]));
    }
    if (lanes->has_more && lanes->count > 0 && !control->is_stopping) {
        memcpy(lanes->after, lanes->lanes[lanes->count - 1], sizeof(lanes->after));
        look_on(control);
    }
}

static void look_on(struct control *control)
{
    control->is_looking = true;
    control->lanes.now_ms = moment_now_ms();
    control->lanes.count_max = LANES_PER_LOOK;
    control->lanes.op =
        (struct store_op){.kind = STORE_LANES, .home = &control->mailbox, .on_done = on_lanes};
    store_submit(control->store, &control->lanes.op);
}

void control_look_for_backlog(struct control *control)
{
    if (!control->is_looking && !control->is_stopping) {
        control->lanes.after[0] = '\0';
        look_on(control);
    }
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    control_look_for_backlog(timer->data);
}

/* ---- what nobody wants any more ---- */

static void on_expired(struct store_op *op)
{
    struct store_dead_edit *expiry = CONTAINER_OF(op, struct store_dead_edit, op);
    struct control *control = CONTAINER_OF(expiry, struct control, expiry);

    control->is_expiring = false;
    if (expiry->count > 0) {
        log_info("control.dead_expired", LOG_U64("count", expiry->count));
    }
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control *control = timer->data;
    const uint64_t now_ms = moment_now_ms();

    (void)loop;
    (void)events;
    if (control->is_expiring || now_ms < control->config->dead_ms) {
        return;
    }
    control->is_expiring = true;
    control->expiry = (struct store_dead_edit){
        .op = {.kind = STORE_DEAD_EDIT, .home = &control->mailbox, .on_done = on_expired},
        .edit = STORE_DEAD_EXPIRE,
        .filter = {.until_ms = now_ms - control->config->dead_ms},
        .now_ms = now_ms,
    };
    store_submit(control->store, &control->expiry.op);
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

static void stop(struct control *control)
{
    if (control->is_stopping) {
        return;
    }
    control->is_stopping = true;
    ev_timer_stop(control->loop, &control->look);
    ev_timer_stop(control->loop, &control->sweep);
    log_info("control.stop", LOG_U64("workers", control->worker_count));
    for (unsigned i = 0; i < control->worker_count; i++) {
        control->stops[i] =
            (struct worker_stop){.on_stopped = on_worker_stopped, .context = control};
        worker_stop(control->workers[i], &control->stops[i]);
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    stop(watcher->data);
}

/* ---- starting ----------------------------------------------------------------------------- */

static enum err load_seal_key(struct control *control, struct err_why *why)
{
    const char *path = control->config->seal_key.data;
    struct buf key;
    enum err err;

    buf_init(&key, SEAL_KEY_BYTES + 1);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        random_bytes(control->seal_key, SEAL_KEY_BYTES);
        err = file_write_private(
            path, (struct slice){(const char *)control->seal_key, SEAL_KEY_BYTES}, why);
        log_info("control.seal_key", LOG_TEXT("made", path));
    } else {
        err = file_read_secret(path, &key, why);
        if (err == ERR_OK && key.len != SEAL_KEY_BYTES) {
            err = err_because(ERR_BAD_CONFIG, why, "%s: must hold exactly %d bytes", path,
                              SEAL_KEY_BYTES);
        }
        if (err == ERR_OK) {
            memcpy(control->seal_key, key.data, SEAL_KEY_BYTES);
        }
    }
    buf_wipe(&key);
    return err;
}

static enum err open_store(struct control *control, struct err_why *why)
{
    const struct config *config = control->config;
    const struct store_options options = {
        .folder = config_state_folder(config),
        .bytes_max = config->store_bytes_max,
        .reserve_bytes = config->store_reserve_bytes,
    };

    if (slice_eq(config->store, SLICE("memory:"))) {
        control->store = store_memory_new(&options);
    } else {
        TRY(store_sqlite_open(&options, &control->store, why));
    }
    log_info("control.store", LOG_TEXT("kind", control->store->kind),
             LOG_TEXT("guarantee", store_guarantee(control->store)));
    return ERR_OK;
}

static void open_leases(struct control *control)
{
    const struct lease_desk_options options = {
        .loop = control->loop, .mailbox = &control->mailbox, .store = control->store};

    control->limiters.desk = lease_desk_new(&options);
}

/* Before any thread runs: ask the store, and pump the mailbox until it has answered. */
static void on_read(struct store_op *op)
{
    op->home = NULL; /* the sign that it is done */
}

static enum err load_catalog(struct control *control, struct err_why *why)
{
    struct store_catalog_read read = {
        .op = {.kind = STORE_CATALOG_READ, .home = &control->mailbox, .on_done = on_read},
    };
    enum err err;

    store_submit(control->store, &read.op);
    while (read.op.home != NULL) {
        ev_run(control->loop, EVRUN_ONCE);
    }
    err = read.op.err;
    if (err == ERR_OK) {
        err = catalog_absorb(&control->catalog, read.documents, read.document_count, read.rev, why);
    } else {
        err = err_because(err, why, "the catalog cannot be read from the store");
    }
    store_catalog_read_clean_up(&read);
    return err == ERR_OK ? compile(control, why) : err;
}

static enum err open_tls(struct control *control, struct err_why *why)
{
    struct tls_options options = {
        .certificate_path = control->config->data_certificate.data,
        .key_path = control->config->data_key.data,
    };

    if (control->config->data_cleartext) {
        return ERR_OK;
    }
    memcpy(options.seal_key, control->seal_key, SEAL_KEY_BYTES);
    return tls_context_new(&options, &control->tls, why);
}

/* The endpoint of one service: its own override, the general one, or AWS's. */
static struct slice endpoint_of(struct arena *arena, const struct config *config,
                                struct slice override, const char *service)
{
    if (override.len > 0) {
        return override;
    }
    if (config->aws_endpoint.len > 0) {
        return config->aws_endpoint;
    }
    return arena_printf(arena, "https://%s.%.*s.amazonaws.com", service, SLICE_ARG(config->region));
}

static void open_credentials(struct control *control, struct arena *arena)
{
    const struct config *config = control->config;
    const struct http_client_options http_options = {
        .loop = control->loop,
        .ca_path = config->egress_ca,
        .connections_max = 64,
        .host_connections_max = 64,
    };
    const struct credentials_provider_options options = {
        .loop = control->loop,
        .mailbox = &control->mailbox,
        .region = config->region,
        .sts_endpoint = endpoint_of(arena, config, config->aws_endpoint_sts, "sts"),
        .session_name = SLICE("weir-dispatch"),
        .calls_per_second = CALLS_TO_STS_PER_SECOND,
    };
    struct credentials_provider_options with_http = options;

    control->http = http_client_new(&http_options);
    with_http.http = control->http;
    control->credentials = credentials_provider_new(&with_http);
}

static unsigned count_workers(const struct config *config)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->workers > 0) {
        return (unsigned)config->workers;
    }
    return (unsigned)MIN_OF(MAX_OF(cpus, 1), (long)WORKERS_MAX);
}

static enum err make_workers(struct control *control, struct err_why *why)
{
    const unsigned count = count_workers(control->config);

    for (unsigned i = 0; i < count; i++) {
        const struct worker_options options = {
            .index = i,
            .count = count,
            .config = control->config,
            .store = control->store,
            .credentials = control->credentials,
            .tls = control->tls,
            .engines = control->engines,
            .control = &control->mailbox,
        };

        TRY(worker_new(&options, &control->workers[i], why));
        control->engines[i] = worker_engine(control->workers[i]);
        control->worker_count++;
    }
    return ERR_OK;
}

static void start_workers(struct control *control)
{
    for (unsigned i = 0; i < control->worker_count; i++) {
        worker_start(control->workers[i], control->snapshot);
    }
}

static void watch(struct control *control)
{
    ev_signal_init(&control->on_term, on_signal, SIGTERM);
    ev_signal_init(&control->on_int, on_signal, SIGINT);
    control->on_term.data = control;
    control->on_int.data = control;
    ev_signal_start(control->loop, &control->on_term);
    ev_signal_start(control->loop, &control->on_int);
    ev_timer_init(&control->look, on_look, 0, look_interval_s);
    control->look.data = control;
    ev_timer_start(control->loop, &control->look);
    ev_timer_init(&control->sweep, on_sweep, 0, sweep_interval_s);
    control->sweep.data = control;
    ev_timer_start(control->loop, &control->sweep);
}

/* Secrets stay in this process: no core file, no debugger of the same user. */
static void guard_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}

static enum err start(struct control *control, struct arena *arena, struct err_why *why)
{
    guard_memory();
    TRY(load_seal_key(control, why));
    TRY(open_store(control, why));
    open_leases(control);
    TRY(load_catalog(control, why));
    TRY(open_tls(control, why));
    open_credentials(control, arena);
    TRY(make_workers(control, why));
    TRY(admin_open(control, control->loop, &control->admin, why));
    start_workers(control); /* last: a start that fails has no thread to stop */
    watch(control);
    control->is_serving = true;
    log_info("control.ready", LOG_SLICE("data", control->config->data_address),
             LOG_SLICE("admin", control->config->admin_address),
             LOG_U64("workers", control->worker_count),
             LOG_TEXT("guarantee", store_guarantee(control->store)));
    return ERR_OK;
}

static void shut_workers(struct control *control)
{
    for (unsigned i = 0; i < control->worker_count; i++) {
        worker_join(control->workers[i]);
    }
    for (unsigned i = 0; i < control->worker_count; i++) {
        worker_close_mail(control->workers[i]);
    }
    for (unsigned i = 0; i < control->worker_count; i++) {
        worker_destroy(control->workers[i]);
    }
}

/* What came home from the workers may still ask the store, so it is heard before the store closes;
 * what comes home from the store asks nobody any more. */
static void shut(struct control *control)
{
    control->is_stopping = true;
    lease_desk_stop(control->limiters.desk);
    admin_close(control->admin);
    shut_workers(control);
    (void)mailbox_drain(&control->mailbox);
    http_client_destroy(control->http); /* before the provider: its calls end first */
    credentials_provider_destroy(control->credentials);
    store_destroy(control->store);
    control->store = NULL;
    mailbox_clean_up(&control->mailbox);
    lease_desk_destroy(control->limiters.desk);
    tls_context_release(control->tls);
    snapshot_release(control->snapshot);
    limiter_book_clean_up(&control->limiters);
    catalog_clean_up(&control->catalog);
    OPENSSL_cleanse(control->seal_key, sizeof(control->seal_key));
    ev_loop_destroy(control->loop);
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
    err = start(control, &arena, why);
    if (err == ERR_OK) {
        ev_run(control->loop, 0);
        if (control->has_store_failed) {
            err = err_because(ERR_STORE_FAILED, why,
                              "the store failed; a new start recovers what is on its disk");
        }
        log_info("control.stopped", LOG_U64("workers", control->worker_count));
    }
    shut(control);
    xfree(lane_room);
    arena_clean_up(&arena);
    xfree(control);
    return err;
}
