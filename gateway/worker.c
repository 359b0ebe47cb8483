/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.c - wires one loop: listener, ingest, delivery engine, HTTP client, counters.
 *
 * A worker shares nothing that changes.  Snapshots, lanes to look after, collections of counters
 * and the order to stop reach it by mail, between two requests.
 *
 * Stopping has three steps, each waits for the one before: the listener drains (every open request
 * is answered), ingest has no commit open and no call to control is under way, the delivery engine
 * has no call and no store operation under way.  Then the order to stop travels home and the thread
 * ends.
 */
#include "gateway/worker.h"

#include <pthread.h>
#include <signal.h>

#include "core/check.h"
#include "core/http.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/stream.h"
#include "core/tls.h"
#include "delivery/delivery.h"
#include "delivery/target.h"
#include "gateway/api_call.h"
#include "gateway/config.h"
#include "gateway/control.h"
#include "gateway/data_plane.h"
#include "gateway/ingest.h"
#include "gateway/listener.h"
#include "gateway/oauth_identity.h"
#include "gateway/park_answer.h"
#include "gateway/trace.h"

enum { CALLS_MAX = 256, HOST_CALLS_MAX = 64, ENDPOINTS_MAX = 16 };

static const double quiet_check_s = 0.01;

struct worker {
    /* set before the thread starts, then read by all */
    struct worker_options options;
    pthread_t thread;
    bool has_thread;

    /* any thread */
    struct mailbox mailbox;

    /* this worker only */
    struct ev_loop *loop;
    struct stream_loop *streams;
    struct listener *listener;
    struct http_client *http;
    struct egress egress;
    struct delivery_engine *engine;
    struct target_endpoint endpoints[ENDPOINTS_MAX];
    struct ingest *ingest;
    struct api_desk *api_desk;
    struct identity_desk *identity_desk;
    struct stats *stats;
    struct trace *trace;
    struct snapshot *snapshot;
    struct worker_stop *stop;
    ev_timer quiet;
};

/* ---- counting what the delivery engine tells ---------------------------------------------- */

static void on_fact(void *context, const struct delivery_fact *fact)
{
    static const enum stats_counter counters[] = {
        [DELIVERY_FACT_DELIVERED] = STATS_DELIVERED,
        [DELIVERY_FACT_RETRIED] = STATS_RETRIED,
        [DELIVERY_FACT_DEAD] = STATS_DEAD,
        [DELIVERY_FACT_CLAIM_LOST] = STATS_CLAIM_LOST,
        [DELIVERY_FACT_STEP_DONE] = STATS_STEPS_DONE,
        [DELIVERY_FACT_STEP_FAILED] = STATS_STEPS_FAILED,
        [DELIVERY_FACT_STEP_PASSED] = STATS_STEPS_PASSED,
    };
    static const enum stats_counter copy_counters[] = {
        [DELIVERY_FACT_DELIVERED] = STATS_DLQ_SENT,
        [DELIVERY_FACT_RETRIED] = STATS_DLQ_REFUSED,
        [DELIVERY_FACT_DEAD] = STATS_DLQ_FAILED,
        [DELIVERY_FACT_CLAIM_LOST] = STATS_CLAIM_LOST,
    };
    struct worker *worker = context;
    const enum stats_counter counter =
        fact->is_dlq ? copy_counters[fact->kind] : counters[fact->kind];

    stats_count_account(worker->stats, fact->account, counter, 1);
    if (fact->rule.len > 0) {
        stats_count_part(worker->stats, STATS_RULE, fact->rule, counter, 1);
    }
    if (fact->target.len > 0) {
        stats_count_part(worker->stats, STATS_TARGET, fact->target, counter, 1);
    }
    if (fact->kind == DELIVERY_FACT_DELIVERED && !fact->is_dlq) {
        stats_time(worker->stats, STATS_STAGE_QUEUE, fact->queue_us);
        stats_time(worker->stats, STATS_STAGE_END_TO_END, fact->end_to_end_us);
    }
    if (fact->call_us > 0) {
        stats_time(worker->stats, STATS_STAGE_CALL, fact->call_us);
    }
}

static void on_step(void *context, const struct delivery_fact *fact)
{
    static const enum trace_kind kinds[] = {
        [DELIVERY_FACT_DELIVERED] = TRACE_DELIVERED,
        [DELIVERY_FACT_RETRIED] = TRACE_RETRIED,
        [DELIVERY_FACT_DEAD] = TRACE_DEAD,
        [DELIVERY_FACT_CLAIM_LOST] = TRACE_CLAIM_LOST,
        [DELIVERY_FACT_CLAIMED] = TRACE_CLAIMED,
        [DELIVERY_FACT_SENT] = TRACE_SENT,
        [DELIVERY_FACT_PARKED] = TRACE_PARKED,
        [DELIVERY_FACT_STEP_DONE] = TRACE_STEP_DONE,
        [DELIVERY_FACT_STEP_FAILED] = TRACE_STEP_FAILED,
        [DELIVERY_FACT_STEP_PASSED] = TRACE_STEP_PASSED,
    };
    struct worker *worker = context;

    trace_note(
        worker->trace,
        &(struct trace_note){
            .kind = kinds[fact->kind],
            .account = fact->account,
            .event_id = fact->event_id,
            .at_ms = moment_now_ms(),
            .until_ms = fact->until_ms,
            .number = fact->attempt_count + (fact->kind == DELIVERY_FACT_SENT ? 1U : 0U),
            .err = fact->err,
            .rule = fact->rule,
            .target = fact->target,
            .sequence_step = fact->step,
            .reason = fact->reason != NULL ? slice_of(fact->reason) : (struct slice){NULL, 0},
        });
}

static void on_credentials(void *context, enum err err, uint64_t elapsed_us)
{
    struct worker *worker = context;

    stats_count(worker->stats, STATS_CREDENTIALS_ASKED, 1);
    if (err != ERR_OK) {
        stats_count(worker->stats, STATS_CREDENTIALS_REFUSED, 1);
    }
    stats_time(worker->stats, STATS_STAGE_CREDENTIALS, elapsed_us);
}

/* ---- putting it together ------------------------------------------------------------------ */

static uint64_t share(const struct worker *worker, uint64_t whole)
{
    return MAX_OF(whole / worker->options.count, 1);
}

static bool may_connect(void *context, const char *url, const struct sockaddr *address)
{
    return egress_may_dial(context, url, address);
}

/* Where the configuration sends calls to AWS. Returns how many it names. */
static size_t list_endpoints(const struct config *config, struct target_endpoint *endpoints)
{
    const struct target_endpoint all[] = {
        {SLICE(""), config->aws_endpoint},
        {SLICE("sqs"), config->aws_endpoint_sqs},
        {SLICE("lambda"), config->aws_endpoint_lambda},
        {SLICE("sns"), config->aws_endpoint_sns},
        {SLICE("states"), config->aws_endpoint_states},
        {SLICE("ssm"), config->aws_endpoint_ssm},
        {SLICE("events"), config->aws_endpoint_events},
        {SLICE("securityhub"), config->aws_endpoint_securityhub},
        {SLICE("iam"), config->aws_endpoint_iam},
        {SLICE("ec2"), config->aws_endpoint_ec2},
        {SLICE("s3"), config->aws_endpoint_s3},
        {SLICE("cloudtrail"), config->aws_endpoint_cloudtrail},
    };

    _Static_assert(ARRAY_LEN(all) <= ENDPOINTS_MAX, "one for each service");
    memcpy(endpoints, all, sizeof(all));
    return ARRAY_LEN(all);
}

static void open_delivery(struct worker *worker)
{
    const struct config *config = worker->options.config;
    const struct http_client_options http_options = {
        .loop = worker->loop,
        .ca_path = config->egress_ca,
        .connections_max = CALLS_MAX,
        .host_connections_max = HOST_CALLS_MAX,
        .may_connect = may_connect,
        .context = &worker->egress,
    };
    struct delivery_options options = {
        .loop = worker->loop,
        .mailbox = &worker->mailbox,
        .store = worker->options.store,
        .credentials = worker->options.credentials,
        .worker_index = worker->options.index,
        .worker_count = worker->options.count,
        .engines = worker->options.engines,
        .endpoints = worker->endpoints,
        .endpoint_count = list_endpoints(config, worker->endpoints),
        .memory_bytes_max = (size_t)share(worker, config->delivery_bytes_max),
        .event_bytes_max = (size_t)config->body_max,
        .input_bytes_max = (size_t)config->input_bytes_max,
        .calls_max = CALLS_MAX,
        .claim_ms = config->claim_ms,
        .hooks = {.context = worker,
                  .on_fact = on_fact,
                  .on_step = on_step,
                  .on_credentials = on_credentials},
    };

    config_fill_egress(config, &worker->egress);
    worker->http = http_client_new(&http_options);
    options.http = worker->http;
    worker->engine = delivery_new(&options);
}

static void open_ingest(struct worker *worker)
{
    const struct ingest_options options = {
        .loop = worker->loop,
        .mailbox = &worker->mailbox,
        .store = worker->options.store,
        .engine = worker->engine,
        .config = worker->options.config,
        .catalog_age = worker->options.catalog_age,
        .stats = worker->stats,
        .trace = worker->trace,
        .api_desk = worker->api_desk,
        .identity_desk = worker->identity_desk,
    };

    worker->ingest = ingest_new(&options);
}

static enum err open_listener(struct worker *worker, struct err_why *why)
{
    const struct config *config = worker->options.config;
    struct stream_loop_options stream_options = stream_loop_defaults(worker->loop);
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct listener_options options = {
        .loop = worker->loop,
        .address = config->data_address,
        .is_shared = true,
        .tls = worker->options.tls,
        .limits = &limits,
        .handler = data_plane_handler(worker->ingest),
    };

    stream_options.stats = worker->stats;
    stream_options.idle_timeout_ms = (unsigned)config->idle_ms;
    limits.body_max_bytes = (size_t)config->body_max;
    limits.connection_max = (size_t)share(worker, config->connections_max);
    limits.in_flight_max_bytes = (size_t)share(worker, config->inflight_bytes_max);
    limits.stream_max = (unsigned)config->streams_max;
    limits.head_timeout_ms = (unsigned)config->header_ms;
    limits.body_timeout_ms = (unsigned)config->body_ms;
    limits.connection_age_max_ms = (unsigned)config->age_ms;
    limits.drain_timeout_ms = (unsigned)config->drain_ms;
    worker->streams = stream_loop_new(&stream_options);
    options.streams = worker->streams;
    return listener_open(&options, &worker->listener, why);
}

enum err worker_new(const struct worker_options *options, struct worker **result,
                    struct err_why *why)
{
    struct worker *worker = xcalloc(1, sizeof(*worker));
    enum err err;

    worker->options = *options;
    worker->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(worker->loop != NULL);
    worker->stats = stats_new();
    worker->trace = trace_new(options->config->trace_event_count > 0
                                  ? (size_t)share(worker, options->config->trace_event_count)
                                  : 0);
    mailbox_init(&worker->mailbox, worker->loop);
    open_delivery(worker);
    worker->api_desk = api_desk_new(options->control, &worker->mailbox, options->config);
    worker->identity_desk = identity_desk_new(worker->http, options->config, options->count);
    open_ingest(worker);
    err = open_listener(worker, why);
    if (err != ERR_OK) {
        worker_close_mail(worker);
        worker_destroy(worker);
        return err;
    }
    *result = worker;
    return ERR_OK;
}

struct delivery_engine *worker_engine(struct worker *worker)
{
    return worker->engine;
}

void worker_join(struct worker *worker)
{
    if (worker->has_thread) {
        CHECK(pthread_join(worker->thread, NULL) == 0);
        worker->has_thread = false;
    }
}

void worker_close_mail(struct worker *worker)
{
    stream_loop_destroy(worker->streams);
    worker->streams = NULL;
    mailbox_clean_up(&worker->mailbox);
}

void worker_destroy(struct worker *worker)
{
    CHECK(!worker->has_thread);
    CHECK(worker->streams == NULL);
    listener_destroy(worker->listener);
    ingest_destroy(worker->ingest);
    api_desk_destroy(worker->api_desk);
    delivery_destroy(worker->engine);
    http_client_destroy(worker->http);
    identity_desk_destroy(worker->identity_desk);
    snapshot_release(worker->snapshot);
    trace_destroy(worker->trace);
    stats_destroy(worker->stats);
    ev_loop_destroy(worker->loop);
    xfree(worker);
}

/* ---- the thread --------------------------------------------------------------------------- */

static void use_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot *before = worker->snapshot;

    worker->snapshot = snapshot_acquire(snapshot);
    ingest_use(worker->ingest, snapshot);
    delivery_use(worker->engine, snapshot->directory, snapshot->ruleset);
    snapshot_release(before);
}

static void *run(void *argument)
{
    struct worker *worker = argument;

    use_snapshot(worker, worker->snapshot);
    ev_run(worker->loop, 0);
    return NULL;
}

void worker_start(struct worker *worker, struct snapshot *snapshot)
{
    sigset_t all;
    sigset_t before;

    worker->snapshot = snapshot_acquire(snapshot);
    (void)sigfillset(&all); /* signals are control's */
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    CHECK(pthread_create(&worker->thread, NULL, run, worker) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    worker->has_thread = true;
}

/* ---- mail
 * ----------------------------------------------------------------------------------------------------
 */

static void on_notice_home(struct mail *mail)
{
    struct worker_notice *notice = CONTAINER_OF(mail, struct worker_notice, mail);

    snapshot_release(notice->snapshot);
    notice->on_return(notice);
}

static void on_notice(struct mail *mail)
{
    struct worker_notice *notice = CONTAINER_OF(mail, struct worker_notice, mail);
    struct worker *worker = notice->worker;

    use_snapshot(worker, notice->snapshot);
    notice->mail.on_arrival = on_notice_home;
    mailbox_send(control_mailbox(worker->options.control), &notice->mail);
}

void worker_publish(struct worker *worker, struct worker_notice *notice)
{
    notice->worker = worker;
    notice->mail.on_arrival = on_notice;
    mailbox_send(&worker->mailbox, &notice->mail);
}

static void on_moment_home(struct mail *mail)
{
    struct worker_moment *moment = CONTAINER_OF(mail, struct worker_moment, mail);

    moment->on_return(moment);
}

static void on_moment_done(struct ingest_moment *done, enum err err)
{
    struct worker_moment *moment = CONTAINER_OF(done, struct worker_moment, moment);

    moment->err = err;
    moment->mail.on_arrival = on_moment_home;
    mailbox_send(control_mailbox(moment->worker->options.control), &moment->mail);
}

static void on_moment(struct mail *mail)
{
    struct worker_moment *moment = CONTAINER_OF(mail, struct worker_moment, mail);

    if (moment->worker->stop != NULL) { /* the next start, or another replica, acts on it */
        on_moment_done(&moment->moment, ERR_STOPPING);
        return;
    }
    ingest_schedule(moment->worker->ingest, &moment->moment);
}

void worker_schedule(struct worker *worker, struct worker_moment *moment)
{
    moment->worker = worker;
    moment->moment.on_done = on_moment_done;
    moment->mail.on_arrival = on_moment;
    mailbox_send(&worker->mailbox, &moment->mail);
}

static void on_replay_home(struct mail *mail)
{
    struct worker_replay *replay = CONTAINER_OF(mail, struct worker_replay, mail);

    replay->on_return(replay);
}

static void on_replay_done(struct ingest_replay *done, enum err err)
{
    struct worker_replay *replay = CONTAINER_OF(done, struct worker_replay, replay);

    replay->err = err;
    replay->mail.on_arrival = on_replay_home;
    mailbox_send(control_mailbox(replay->worker->options.control), &replay->mail);
}

static void on_replay(struct mail *mail)
{
    struct worker_replay *replay = CONTAINER_OF(mail, struct worker_replay, mail);

    if (replay->worker->stop != NULL) { /* the next start, or another replica, goes on */
        on_replay_done(&replay->replay, ERR_STOPPING);
        return;
    }
    ingest_replay(replay->worker->ingest, &replay->replay);
}

void worker_bring_back(struct worker *worker, struct worker_replay *replay)
{
    replay->worker = worker;
    replay->replay.on_done = on_replay_done;
    replay->mail.on_arrival = on_replay;
    mailbox_send(&worker->mailbox, &replay->mail);
}

static void count_connections(struct worker *worker)
{
    const struct connection_counts *counts = listener_counts(worker->listener);
    uint64_t *totals = worker->stats->totals;

    totals[STATS_CONNECTIONS] = counts->accepted;
    totals[STATS_CONNECTIONS_REFUSED] = counts->refused;
    totals[STATS_CONNECTIONS_FLOODING] = counts->floods;
    totals[STATS_REQUESTS_MALFORMED] = counts->bad_heads;
    totals[STATS_REQUESTS_TIMED_OUT] = counts->timeouts;
}

static void count_parks(struct worker *worker)
{
    uint64_t *totals = worker->stats->totals;
    struct delivery_gauges gauges;

    delivery_read_gauges(worker->engine, &gauges);
    totals[STATS_PARKS] = gauges.parks;
    totals[STATS_PARKS_ENDED] = gauges.parks - gauges.lanes_parked;
    totals[STATS_PARKS_LIFTED] = gauges.parks_lifted;
}

static void on_visit_home(struct mail *mail)
{
    struct worker_visit *visit = CONTAINER_OF(mail, struct worker_visit, mail);

    visit->on_return(visit);
}

static void on_visit(struct mail *mail)
{
    struct worker_visit *visit = CONTAINER_OF(mail, struct worker_visit, mail);
    struct worker *worker = visit->workers[visit->next];

    if (visit->sum != NULL) {
        count_connections(worker);
        count_parks(worker);
        stats_add(visit->sum, worker->stats);
    }
    if (visit->trace != NULL) {
        trace_find(worker->trace, visit->trace);
    }
    if (visit->parks != NULL) {
        delivery_parks(worker->engine, &visit->parks->filter, visit->parks->lifts,
                       visit->parks->on_park, visit->parks);
    }
    visit->next++;
    if (visit->next < visit->worker_count) {
        mailbox_send(&visit->workers[visit->next]->mailbox, &visit->mail);
        return;
    }
    visit->mail.on_arrival = on_visit_home;
    mailbox_send(control_mailbox(worker->options.control), &visit->mail);
}

void worker_collect(struct worker_visit *visit)
{
    CHECK(visit->worker_count > 0);
    visit->next = 0;
    visit->mail.on_arrival = on_visit;
    mailbox_send(&visit->workers[0]->mailbox, &visit->mail);
}

void worker_note_backlog(struct worker *worker, struct slice lane)
{
    delivery_note_backlog(worker->engine, lane);
}

/* ---- stopping
 * --------------------------------------------------------------------------------------------------
 */

static void on_stop_home(struct mail *mail)
{
    struct worker_stop *stop = CONTAINER_OF(mail, struct worker_stop, mail);

    stop->on_stopped(stop);
}

static void on_delivery_idle(void *context)
{
    struct worker *worker = context;

    worker->stop->mail.on_arrival = on_stop_home;
    mailbox_send(control_mailbox(worker->options.control), &worker->stop->mail);
    ev_break(worker->loop, EVBREAK_ALL);
}

static void on_quiet_check(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *worker = timer->data;

    (void)events;
    if (ingest_open_count(worker->ingest) == 0 && api_desk_is_idle(worker->api_desk) &&
        identity_desk_is_idle(worker->identity_desk)) {
        ev_timer_stop(loop, timer);
        delivery_drain(worker->engine, on_delivery_idle, worker);
    }
}

static void on_listener_drained(void *context)
{
    struct worker *worker = context;

    ev_timer_init(&worker->quiet, on_quiet_check, 0, quiet_check_s);
    worker->quiet.data = worker;
    ev_timer_start(worker->loop, &worker->quiet);
}

static void on_stop(struct mail *mail)
{
    struct worker_stop *stop = CONTAINER_OF(mail, struct worker_stop, mail);
    struct worker *worker = stop->worker;

    worker->stop = stop;
    listener_drain(worker->listener, on_listener_drained, worker);
}

void worker_stop(struct worker *worker, struct worker_stop *stop)
{
    stop->worker = worker;
    stop->mail.on_arrival = on_stop;
    mailbox_send(&worker->mailbox, &stop->mail);
}
