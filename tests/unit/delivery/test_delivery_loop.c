/* SPDX-License-Identifier: Apache-2.0
 *
 * test_delivery_loop.c - engines on real loops, in real threads, with the real clock: what the
 * tests in virtual time cannot show.
 *
 * Calls are answered by a timer of the same loop, so no socket is needed; the store is the memory
 * engine, which answers by mail like any other.
 */
#include "core/base.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "accounts/credentials.h"
#include "accounts/directory.h"
#include "core/digest.h"
#include "core/http.h"
#include "core/log.h"
#include "core/moment.h"
#include "delivery/delivery.h"
#include "routing/event.h"
#include "tests/lib/rulesets.h"

#include <ev.h>

#define CENTRAL "999999999999"

enum { WORKERS = 4, TARGETS = 4, EVENTS_PER_WORKER = 300, DEADLINE_SECONDS = 30 };

/* Engines here ask through their io; the provider may not even be linked. */
__attribute__((weak)) void credentials_request(struct credentials_provider *provider,
                                               struct credentials_ask *ask)
{
    (void)provider;
    (void)ask;
    fail_msg("a real provider was asked");
}

struct worker {
    /* set before the thread starts */
    unsigned index;
    pthread_t thread;
    struct ev_loop *loop;
    struct delivery_engine *engine;
    struct delivery_io io;
    size_t event_count;

    /* any thread */
    struct mailbox mailbox;
    struct mail stop;

    /* this worker only */
    unsigned failures_left; /* calls that fail before one goes well */
    struct ev_timer feeder;
    size_t sent_count;
    bool is_idle;
};

static struct store *store;
static struct directory *directory;
static struct ruleset *ruleset;
static struct delivery_engine *engines[WORKERS];
static struct worker workers[WORKERS];
/* what the workers tell the control thread */
static pthread_mutex_t facts_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t facts_changed = PTHREAD_COND_INITIALIZER;
static size_t delivered_count;
static size_t retried_count;

/* ---- the world ---------------------------------------------------------------------------- */

struct answer {
    ev_timer timer;
    struct worker *worker;
    struct http_call *call;
    struct credentials_ask *ask;
};

static void answer_call(struct worker *worker, struct http_call *call)
{
    static const char batch[] =
        "{\"Successful\":["
        "{\"Id\":\"0\",\"MessageId\":\"m\"},{\"Id\":\"1\",\"MessageId\":\"m\"},"
        "{\"Id\":\"2\",\"MessageId\":\"m\"},{\"Id\":\"3\",\"MessageId\":\"m\"},"
        "{\"Id\":\"4\",\"MessageId\":\"m\"},{\"Id\":\"5\",\"MessageId\":\"m\"},"
        "{\"Id\":\"6\",\"MessageId\":\"m\"},{\"Id\":\"7\",\"MessageId\":\"m\"},"
        "{\"Id\":\"8\",\"MessageId\":\"m\"},{\"Id\":\"9\",\"MessageId\":\"m\"}],"
        "\"MessageId\":\"m\"}";

    call->err = ERR_OK;
    call->status = worker->failures_left > 0 ? 500 : 200;
    worker->failures_left -= worker->failures_left > 0 ? 1 : 0;
    buf_init(&call->response, sizeof(batch));
    if (call->status == 200) {
        assert_int_equal(buf_append(&call->response, slice_of(batch)), ERR_OK);
    }
    call->on_done(call);
}

static void on_answer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct answer *answer = timer->data;

    (void)events;
    ev_timer_stop(loop, timer);
    if (answer->call != NULL) {
        answer_call(answer->worker, answer->call);
    } else {
        answer->ask->credentials =
            credentials_new(SLICE("key"), SLICE("secret"), SLICE(""), 0, answer->ask->role_arn);
        answer->ask->on_answer(answer->ask);
    }
    xfree(answer);
}

static void answer_later(struct worker *worker, struct http_call *call, struct credentials_ask *ask)
{
    struct answer *answer = xcalloc(1, sizeof(*answer));

    answer->worker = worker;
    answer->call = call;
    answer->ask = ask;
    ev_timer_init(&answer->timer, on_answer, 0.001, 0.);
    answer->timer.data = answer;
    ev_timer_start(worker->loop, &answer->timer);
}

static void start_call(void *context, struct http_call *call)
{
    answer_later(context, call, NULL);
}

static void ask_credentials(void *context, struct credentials_ask *ask)
{
    answer_later(context, NULL, ask);
}

static void on_idle(void *context)
{
    struct worker *worker = context;

    worker->is_idle = true;
    ev_break(worker->loop, EVBREAK_ALL);
}

static void on_stop(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, stop);

    delivery_drain(worker->engine, on_idle, worker);
}

static void on_fact(void *context, const struct delivery_fact *fact)
{
    (void)context;
    (void)pthread_mutex_lock(&facts_lock);
    retried_count += fact->kind == DELIVERY_FACT_RETRIED ? 1 : 0;
    delivered_count += fact->kind == DELIVERY_FACT_DELIVERED ? 1 : 0;
    (void)pthread_cond_signal(&facts_changed);
    (void)pthread_mutex_unlock(&facts_lock);
}

/* ---- events ------------------------------------------------------------------------------- */

struct commit {
    struct store_commit commit;
    struct store_entry entry;
    struct store_delivery delivery;
    struct worker *worker;
    struct event *event;
    char lane[32];
};

static void on_commit(struct store_op *op)
{
    struct commit *commit = CONTAINER_OF(op, struct commit, commit.op);

    assert_int_equal(op->err, ERR_OK);
    if (commit->delivery.claim) {
        struct delivery_offer offer = {
            .ref = {.seq = commit->entry.seq, .claim = commit->delivery.claim_no},
            .event = commit->event,
            .claim_until_ms = commit->commit.claim_until_ms,
            .arrived_us = moment_steady_us()};

        memcpy(offer.ref.lane, commit->lane, strlen(commit->lane));
        delivery_offer(commit->worker->engine, &offer);
    } else {
        delivery_note_backlog(commit->worker->engine, slice_of(commit->lane));
    }
    event_release(commit->event);
    xfree(commit);
}

static void commit_one(struct worker *worker)
{
    struct commit *commit = xcalloc(1, sizeof(*commit));
    const struct event_draft draft = {
        .source = SLICE("test"), .detail_type = SLICE("test"), .detail = SLICE("{}")};
    char id[32];

    (void)snprintf(id, sizeof(id), "event-%u-%zu", worker->index, worker->sent_count);
    (void)snprintf(commit->lane, sizeof(commit->lane), CENTRAL "/%zu",
                   1 + worker->sent_count % TARGETS);
    commit->worker = worker;
    commit->event = event_complete(&draft, &(struct event_defaults){.id = slice_of(id),
                                                                    .account = SLICE(CENTRAL),
                                                                    .region = SLICE("r"),
                                                                    .now_ms = moment_now_ms()});
    commit->delivery = (struct store_delivery){
        .lane = slice_of(commit->lane),
        .bus = SLICE("central"),
        .rule = SLICE("rule"),
        .target_id = SLICE("t"),
        .claim = delivery_may_claim(worker->engine, slice_of(commit->lane))};
    commit->entry = (struct store_entry){.account = SLICE(CENTRAL),
                                         .event_id = commit->event->id,
                                         .body = commit->event->bytes,
                                         .deliveries = &commit->delivery,
                                         .delivery_count = 1};
    commit->commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = &worker->mailbox, .on_done = on_commit},
        .now_ms = moment_now_ms(),
        .claim_until_ms = moment_now_ms() + DELIVERY_CLAIM_MS,
        .entries = &commit->entry,
        .entry_count = 1};
    worker->sent_count++;
    store_submit(store, &commit->commit.op);
}

static void on_feed(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct worker *worker = timer->data;

    (void)events;
    for (size_t i = 0; i < 10 && worker->sent_count < worker->event_count; i++) {
        commit_one(worker);
    }
    if (worker->sent_count == worker->event_count) {
        ev_timer_stop(loop, timer);
    }
}

/* ---- begin and end ------------------------------------------------------------------------ */

static void make_catalog(void)
{
    static struct limiter unlimited;
    struct rule *rules[TARGETS];
    struct account *account;

    directory = directory_new();
    directory->central_account = SLICE(CENTRAL);
    account = ARENA_NEW(&directory->arena, struct account);
    account->id = SLICE(CENTRAL);
    account->limiter = &unlimited;
    directory_add_account(directory, account);
    for (size_t i = 0; i < TARGETS; i++) {
        struct rule *rule = rule_new();

        rule->bus_account = SLICE(CENTRAL);
        rule->bus_name = SLICE("central");
        rule->is_central = true;
        rule->is_operator_owned = true;
        rule->name = arena_printf(&rule->arena, "rule%zu", i);
        rule->label = rule->name;
        rule->is_enabled = true;
        rule->target_count = 1;
        rule->targets[0] = (struct rule_target){
            .uid = 1 + i,
            .id = SLICE("t"),
            .arn = arena_printf(&rule->arena, "arn:aws:sqs:r:" CENTRAL ":queue%zu", i),
            .attempts_max = 185,
            .age_max_ms = 24 * 3600 * 1000};
        rules[i] = rule;
    }
    ruleset = ruleset_of(rules, TARGETS);
    for (size_t i = 0; i < TARGETS; i++) {
        rule_release(rules[i]);
    }
}

static void start(unsigned worker_count, size_t event_count, unsigned failures)
{
    digest_init();
    delivered_count = 0;
    retried_count = 0;
    store = store_memory_new(&(struct store_options){0});
    make_catalog();
    for (unsigned i = 0; i < worker_count; i++) {
        struct worker *worker = &workers[i];

        *worker =
            (struct worker){.index = i, .event_count = event_count, .failures_left = failures};
        worker->loop = ev_loop_new(EVFLAG_AUTO);
        worker->stop.on_arrival = on_stop;
        mailbox_init(&worker->mailbox, worker->loop);
        worker->io = (struct delivery_io){
            .context = worker, .start_call = start_call, .ask_credentials = ask_credentials};
        engines[i] = delivery_new(&(struct delivery_options){.loop = worker->loop,
                                                             .mailbox = &worker->mailbox,
                                                             .store = store,
                                                             .worker_index = i,
                                                             .worker_count = worker_count,
                                                             .engines = engines,
                                                             .hooks = {.on_fact = on_fact},
                                                             .io = &worker->io});
        worker->engine = engines[i];
        ev_timer_init(&worker->feeder, on_feed, 0.001, 0.001);
        worker->feeder.data = worker;
        ev_timer_start(worker->loop, &worker->feeder);
    }
}

static void *run(void *argument)
{
    struct worker *worker = argument;

    delivery_use(worker->engine, directory, ruleset);
    ev_run(worker->loop, 0);
    return NULL;
}

static void finish(unsigned worker_count)
{
    for (unsigned i = 0; i < worker_count; i++) {
        mailbox_clean_up(&workers[i].mailbox);
    }
    for (unsigned i = 0; i < worker_count; i++) {
        assert_true(workers[i].is_idle);
        delivery_destroy(workers[i].engine);
        ev_loop_destroy(workers[i].loop);
    }
    store_destroy(store);
    ruleset_release(ruleset);
    directory_release(directory);
}

/* The control thread's part: wait for the outcome, then tell everyone to stop. */
static void live(unsigned worker_count, size_t expected)
{
    struct timespec deadline;
    int waited = 0;

    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_SECONDS;
    for (unsigned i = 0; i < worker_count; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    (void)pthread_mutex_lock(&facts_lock);
    while (delivered_count < expected && waited == 0) {
        waited = pthread_cond_timedwait(&facts_changed, &facts_lock, &deadline);
    }
    (void)pthread_mutex_unlock(&facts_lock);
    for (unsigned i = 0; i < worker_count; i++) {
        mailbox_send(&workers[i].mailbox, &workers[i].stop);
    }
    for (unsigned i = 0; i < worker_count; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(delivered_count, expected);
}

/* Goal: the loop runs the engine by itself: mail, timers, retries, an end. */
static void test_a_loop_drives_the_engine(void **state)
{
    (void)state;
    start(1, 1, 2);
    live(1, 1);
    assert_int_equal(retried_count, 2);
    finish(1);
}

/* Goal: four workers take in events for each other's destinations; all arrive, no data race. */
static void test_workers_hand_work_to_each_other(void **state)
{
    (void)state;
    start(WORKERS, EVENTS_PER_WORKER, 0);
    live(WORKERS, (size_t)WORKERS * EVENTS_PER_WORKER);
    finish(WORKERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop_drives_the_engine),
        cmocka_unit_test(test_workers_hand_work_to_each_other),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
