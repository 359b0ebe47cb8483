/* SPDX-License-Identifier: Apache-2.0
 *
 * control_start.c - everything is opened here, in the order of need, and shut in the other one.
 *
 * Key, store, catalog, certificates, workers, admin listener, threads: an error at any step names
 * what could not be opened, and no thread runs yet.  A Redis that is down is waited for, ten
 * seconds in all, because machines that start together do not start at once; a disk of our own is
 * not.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "accounts/credentials.h"
#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/file.h"
#include "core/http.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "core/tls.h"
#include "gateway/timetable.h"
#include "gateway/admin.h"
#include "gateway/catalog_backup.h"
#include "gateway/control_internal.h"
#include "gateway/lease.h"

enum {
    CHECKS_SHARE = 5, /* of the calls to STS that a second may have, one in so many for checks */
    CATALOG_WAIT_MS = 10000,
    CATALOG_PAUSE_MS = 250,
};

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    control_stop(watcher->data);
}

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

static enum err open_redis(struct control *control, struct err_why *why)
{
    const struct config *config = control->config;
    const struct store_redis_options options = {
        .url = config->store,
        .user = config->redis_user,
        .password_file = config->redis_password_file,
        .ca = config->redis_ca,
        .certificate = config->redis_certificate,
        .key = config->redis_key,
        .durability = config->redis_durability,
        .wait_replicas = config->redis_wait_replicas,
        .check_ms = config->redis_check_ms,
        .seal_key = control->seal_key,
    };

    return store_redis_open(&options, &control->store, why);
}

static enum err open_store(struct control *control, struct err_why *why)
{
    const struct config *config = control->config;
    const struct store_options options = {
        .folder = config_state_folder(config),
        .bytes_max = config->store_bytes_max,
        .archive_bytes_max = config->archives_bytes_max,
        .reserve_bytes = config->store_reserve_bytes,
    };

    if (slice_eq(config->store, SLICE("memory:"))) {
        control->store = store_memory_new(&options);
    } else if (config_has_redis(config)) {
        TRY(open_redis(control, why));
    } else {
        TRY(store_sqlite_open(&options, &control->store, why));
    }
    control->is_shared = control->store->is_shared;
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

static void read_once(struct control *control, struct store_catalog_read *read)
{
    *read = (struct store_catalog_read){
        .op = {.kind = STORE_CATALOG_READ, .home = &control->mailbox, .on_done = on_read},
    };
    store_submit(control->store, &read->op);
    while (read->op.home != NULL) {
        ev_run(control->loop, EVRUN_ONCE);
    }
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
}

static void pause_before_next(struct control *control)
{
    ev_timer timer;

    ev_timer_init(&timer, on_pause_over, CATALOG_PAUSE_MS / 1e3, 0);
    ev_timer_start(control->loop, &timer);
    while (ev_is_active(&timer)) {
        ev_run(control->loop, EVRUN_ONCE);
    }
}

static bool may_pass(enum err err)
{
    return err_class(err) == ERR_CLASS_BUSY || err_class(err) == ERR_CLASS_REMOTE;
}

/* What a shared store holds may be of other versions: each document is looked at. */
static enum err take_catalog(struct control *control, const struct store_catalog_read *read,
                             uint64_t sent_ms, struct err_why *why)
{
    struct catalog_follow found;

    if (catalog_restore_state(read->documents, read->document_count) ==
        CATALOG_RESTORE_UNDER_WAY) { /* a part of a catalog is none: nothing is in force */
        log_error("catalog.half_restored",
                  LOG_TEXT("mend", "`weir restore` was broken off: run it again"));
        return ERR_OK;
    }
    if (!control->is_shared) {
        atomic_store(&control->age.read_ms, UINT64_MAX);
        return catalog_absorb(&control->catalog, read->documents, read->document_count, read->rev,
                              why);
    }
    atomic_store(&control->age.read_ms, sent_ms);
    catalog_follow(&control->catalog, read->documents, read->document_count, read->rev, &found);
    if (found.refused_count > 0) {
        log_error("catalog.refused", LOG_U64("rev", read->rev),
                  LOG_U64("documents", found.refused_count), LOG_TEXT("why", found.why.text));
    }
    return ERR_OK;
}

static enum err load_catalog(struct control *control, struct err_why *why)
{
    const uint64_t begun_ms = moment_steady_ms();
    struct store_catalog_read read;
    uint64_t sent_ms = begun_ms;
    enum err err;

    read_once(control, &read);
    while (control->is_shared && may_pass(read.op.err) &&
           moment_steady_ms() < begun_ms + CATALOG_WAIT_MS) {
        store_catalog_read_clean_up(&read);
        pause_before_next(control);
        sent_ms = moment_steady_ms();
        read_once(control, &read);
    }
    err = read.op.err;
    if (err == ERR_OK) {
        err = take_catalog(control, &read, sent_ms, why);
    } else {
        err = err_because(err, why, "the catalog cannot be read from the store: %s", err_text(err));
    }
    store_catalog_read_clean_up(&read);
    return err == ERR_OK ? control_compile(control, why) : err;
}

static void open_watch(struct control *control)
{
    const struct catalog_watch_options options = {
        .loop = control->loop,
        .mailbox = &control->mailbox,
        .store = control->store,
        .catalog = &control->catalog,
        .age = &control->age,
        .on_change = control_on_catalog_change,
        .context = control,
    };

    control->watch = catalog_watch_new(&options);
}

static enum err open_tls(struct control *control, struct err_why *why)
{
    struct tls_options options = {
        .certificate_path = control->config->data_certificate.data,
        .key_path = control->config->data_key.data,
        .client_ca_path =
            control->config->data_client_ca.len > 0 ? control->config->data_client_ca.data : NULL,
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

static void on_outcome(void *context, const struct credentials_outcome *outcome)
{
    role_watch_note(context, outcome);
}

static void ask_for_role(void *context, struct credentials_ask *ask)
{
    const struct control *control = context;

    credentials_request(control->credentials, ask);
}

static uint64_t now_ms(void *context)
{
    (void)context;
    return moment_now_ms();
}

static void open_roles(struct control *control)
{
    const struct role_watch_options options = {
        .loop = control->loop,
        .mailbox = &control->mailbox,
        .every_ms = control->config->role_check_ms,
        .checks_per_second =
            MAX_OF((unsigned)control->config->sts_calls_per_second / CHECKS_SHARE, 1U),
        .ask = ask_for_role,
        .now_ms = now_ms,
        .context = control,
    };

    control->roles = role_watch_new(&options);
}

static void open_credentials(struct control *control, struct arena *arena)
{
    const struct config *config = control->config;
    /* No guard of addresses: STS and the sources of weir's own credentials, some of them metadata
     * services, are named by configuration and environment alone. */
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
        .calls_per_second = (unsigned)config->sts_calls_per_second,
        .on_outcome = on_outcome,
        .context = control->roles,
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
            .catalog_age = &control->age,
            .engines = control->engines,
            .control = control,
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
    control_upkeep_start(control);
    control_schedule_start(control);
    control_archive_start(control);
    control_authorize_start(control);
    control_replay_start(control);
    catalog_watch_start(control->watch);
}

/* Secrets stay in this process: no core file, no debugger of the same user. */
static void guard_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}

enum err control_start(struct control *control, struct arena *arena, struct err_why *why)
{
    guard_memory();
    TRY(load_seal_key(control, why));
    TRY(open_store(control, why));
    open_leases(control);
    TRY(load_catalog(control, why));
    open_watch(control);
    TRY(open_tls(control, why));
    open_roles(control);
    open_credentials(control, arena);
    role_watch_use(control->roles, control->snapshot->directory);
    TRY(make_workers(control, why));
    TRY(admin_open(control, control->loop, &control->admin, why));
    control->compiler = compiler_new(&control->mailbox);
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
void control_shut(struct control *control)
{
    control->is_stopping = true;
    lease_desk_stop(control->limiters.desk);
    admin_close(control->admin);
    shut_workers(control);
    compiler_destroy(control->compiler);
    (void)mailbox_drain(&control->mailbox);
    control_fold_shut(control);
    http_client_destroy(control->http); /* before the provider: its calls end first */
    credentials_provider_destroy(control->credentials);
    role_watch_destroy(control->roles);
    store_destroy(control->store);
    control->store = NULL;
    mailbox_clean_up(&control->mailbox);
    lease_desk_destroy(control->limiters.desk);
    catalog_watch_destroy(control->watch);
    timetable_destroy(control->timetable);
    control_archive_destroy(control);
    control_authorize_destroy(control);
    control_replay_destroy(control);
    tls_context_release(control->tls);
    snapshot_release(control->before);
    snapshot_release(control->snapshot);
    limiter_book_clean_up(&control->limiters);
    catalog_clean_up(&control->catalog);
    OPENSSL_cleanse(control->seal_key, sizeof(control->seal_key));
    ev_loop_destroy(control->loop);
}
