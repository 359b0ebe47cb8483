/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_world.h - a world around delivery engines that fits into one process: the memory store,
 * queues that misbehave on order, an STS that may refuse, and a clock that only moves when nothing
 * is left to do.  Hours pass in milliseconds, and the same seed gives the same run.
 *
 * Used by unit and model tests; everything is static, so each program has its own copy.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accounts/credentials.h"
#include "accounts/directory.h"
#include "core/check.h"
#include "core/digest.h"
#include "core/http.h"
#include "core/json.h"
#include "core/mailbox.h"
#include "delivery/delivery.h"
#include "delivery/delivery_internal.h"
#include "delivery/retry.h"
#include "routing/event.h"
#include "tests/lib/rulesets.h"
#include "storage/store.h"

#define WORLD_UNUSED __attribute__((unused))

enum {
    WORLD_START_MS = 1000 * 1000,
    WORLD_WORKERS_MAX = 4,
    WORLD_QUEUES_MAX = 8,
    WORLD_ACCOUNTS_MAX = 8,
    WORLD_TARGETS_MAX = 16,
    WORLD_EVENTS_MAX = 8192,
};

#define WORLD_CENTRAL "999999999999"

/* What a queue does with a call. */
enum world_mode {
    WORLD_OK,
    WORLD_FAIL,     /* 500 */
    WORLD_THROTTLE, /* 400 RequestThrottled */
    WORLD_HANG,     /* the call times out */
    WORLD_SWALLOW,  /* takes the messages, then times out */
    WORLD_DENY,     /* 403 AccessDenied */
    WORLD_MISSING,  /* 400 QueueDoesNotExist */
    WORLD_REJECT,   /* 400 SomethingNew, if the body holds "poison" */
    WORLD_PARTIAL,  /* every other entry fails with InternalError */
    WORLD_EXPIRED,  /* 403 ExpiredToken */
    WORLD_PAUSE,    /* 503 with Retry-After: 30 */
    WORLD_STOP,     /* the client was destroyed */
};

struct world_queue {
    char name[32];
    enum world_mode mode;
    unsigned mode_count; /* calls that the mode holds for, then OK; 0: for ever */
    unsigned latency_ms;
    size_t calls;
    size_t lookups; /* among them */
    size_t calls_open;
    size_t calls_open_max;
    size_t messages;         /* that arrived */
    bool is_dlq;             /* takes copies of dead letters; they are no event's arrival */
    char last_message[1024]; /* to it: the entry as it was sent */
    size_t batch_max;
    uint64_t last_call_ms;
    char last_access_key[64];
    size_t last_body_len; /* of the last message */
    char last_body[512];  /* its beginning */
};

/* One event, for one target. */
struct world_event {
    char id[24];
    size_t queue;
    bool was_committed;
    size_t arrivals;
    size_t deaths;
    uint64_t committed_ms;
    uint64_t arrived_ms;
};

struct world_call {
    struct list node;
    uint64_t done_ms;
    struct http_call *call; /* or */
    struct credentials_ask *ask;
    size_t queue;
    bool is_lookup;
    char access_key[64]; /* "ROLE:ACCOUNT" */
};

struct world_target {
    uint64_t uid;
    const char *arn;
    const char *role_arn;
    const char *template; /* of its input, where <v> is the event's text; NULL: the event */
    const char *dlq_arn;
    bool is_gone;
    bool is_member_rule; /* not owned by the central team */
    uint32_t attempts_max;
    uint64_t age_max_ms;
};

struct world_account {
    const char *id;
    const char *role_arn;
    bool is_suspended;
};

struct world {
    uint64_t now_ms;
    uint64_t seed;
    struct store *memory;
    struct store store; /* in front of it: may refuse */
    struct delivery_engine *engines[WORLD_WORKERS_MAX];
    struct mailbox mailboxes[WORLD_WORKERS_MAX];
    unsigned worker_count;
    uint64_t wakes_ms[WORLD_WORKERS_MAX];
    struct delivery_io io;
    struct list calls;

    struct world_queue queues[WORLD_QUEUES_MAX];
    size_t queue_count;
    struct world_target targets[WORLD_TARGETS_MAX];
    size_t target_count;
    struct world_account accounts[WORLD_ACCOUNTS_MAX];
    size_t account_count;
    struct directory *directory;
    struct ruleset *ruleset;

    /* credentials */
    enum err ask_err; /* what asking gives */
    unsigned ask_err_count;
    size_t asks;
    size_t renewals;
    uint64_t lifetime_ms; /* 0: for ever */

    /* the store misbehaves */
    enum store_op_kind refused_kind;
    unsigned refused_count;
    enum err refused_err;

    /* what happened */
    struct world_event events[WORLD_EVENTS_MAX];
    size_t event_count;
    size_t facts[DELIVERY_FACT_CLAIMED];
    size_t copy_facts[DELIVERY_FACT_CLAIMED]; /* of copies of dead letters, not above */
    size_t steps[DELIVERY_FACT_PARKED + 1];
    char story[64]; /* a letter for each of the first steps */
    uint64_t last_until_ms;
    char last_reason[STORE_REASON_CHARS_MAX + 1];
    enum err last_err;
    uint32_t last_attempt_count;
    char last_target[128];
    char last_rule[64];
    size_t parks;
    size_t mixed_calls; /* with a message of another account than the call was signed for */
    size_t repeats_due; /* messages that arrived without our learning of it */
};

/* ---- the store ---------------------------------------------------------------------------- */

static void world_on_refused(struct mail *mail)
{
    struct store_op *op = CONTAINER_OF(mail, struct store_op, mail);

    op->on_done(op);
}

static void world_submit(struct store *store, struct store_op *op)
{
    struct world *world = CONTAINER_OF(store, struct world, store);

    world->parks += op->kind == STORE_PARK ? 1 : 0;
    if (world->refused_count > 0 && op->kind == world->refused_kind) {
        world->refused_count--;
        world->repeats_due +=
            op->kind == STORE_SETTLE ? ((struct store_settle *)(void *)op)->ref_count : 0;
        op->err = world->refused_err;
        op->mail.on_arrival = world_on_refused;
        mailbox_send(op->home, &op->mail);
        return;
    }
    world->memory->ops->submit(world->memory, op);
}

static const struct store_ops world_store_ops = {world_submit, NULL};

/* ---- the queues --------------------------------------------------------------------------- */

static uint64_t world_clock(void *context)
{
    return ((struct world *)context)->now_ms;
}

static size_t world_queue_of(const struct world *world, struct slice body)
{
    for (size_t i = 0; i < world->queue_count; i++) {
        char text[48];

        (void)snprintf(text, sizeof(text), "%s\"", world->queues[i].name);
        /* the first member names it, others may name other queues */
        if (memmem(body.data, slice_find(body, ','), text, strlen(text)) != NULL) {
            return i;
        }
    }
    fail_msg("a call to a queue that does not exist: %.*s", SLICE_ARG(body));
    return 0;
}

static void world_enqueue(struct world *world, struct world_call *call)
{
    list_append(&world->calls, &call->node);
}

static void world_start_call(void *context, struct http_call *http)
{
    struct world *world = context;
    struct world_call *call = xcalloc(1, sizeof(*call));
    const struct slice action =
        header_value(http->headers, http->header_count, SLICE("x-amz-target"));
    struct slice authorization =
        header_value(http->headers, http->header_count, SLICE("authorization"));
    struct world_queue *queue;
    size_t at;

    call->call = http;
    call->queue = world_queue_of(world, http->body);
    call->is_lookup = slice_eq(action, SLICE("AmazonSQS.GetQueueUrl"));
    queue = &world->queues[call->queue];
    queue->calls++;
    queue->lookups += call->is_lookup ? 1 : 0;
    queue->calls_open++;
    queue->calls_open_max = MAX_OF(queue->calls_open_max, queue->calls_open);
    queue->last_call_ms = world->now_ms;
    assert_true(authorization.len > 0); /* every call is signed */
    at = (size_t)((const char *)memmem(authorization.data, authorization.len, "Credential=", 11) -
                  authorization.data) +
         11;
    (void)snprintf(call->access_key, sizeof(call->access_key), "%.*s",
                   SLICE_ARG(slice_first(slice_from(authorization, at),
                                         slice_find(slice_from(authorization, at), '/'))));
    memcpy(queue->last_access_key, call->access_key, sizeof(call->access_key));
    call->done_ms = world->now_ms + (queue->mode == WORLD_HANG || queue->mode == WORLD_SWALLOW
                                         ? http->timeout_ms
                                         : queue->latency_ms);
    world_enqueue(world, call);
}

static void world_reply(struct http_call *http, unsigned status, const char *text)
{
    http->err = ERR_OK;
    http->status = status;
    buf_init(&http->response, 1 << 20);
    buf_init(&http->response_headers, 1 << 10);
    assert_int_equal(buf_append(&http->response, slice_of(text)), ERR_OK);
}

/* A message has reached its queue: which event is it? */
static void world_arrive(struct world *world, size_t queue, const char *access_key,
                         struct slice body)
{
    const char *mark = memmem(body.data, body.len, "\"id\":\"", 6);
    const char *account;
    struct slice id;

    if (world->queues[queue].is_dlq) {
        world->queues[queue].messages++;
        return;
    }
    assert_non_null(mark);
    id = slice_from(body, (size_t)(mark - body.data) + 6);
    id = slice_first(id, slice_find(id, '"'));
    world->queues[queue].messages++;
    world->queues[queue].last_body_len = body.len;
    (void)snprintf(world->queues[queue].last_body, sizeof(world->queues[queue].last_body), "%.*s",
                   SLICE_ARG(body));
    account = memmem(body.data, body.len, "\"account\":\"", 11);
    assert_non_null(account);
    if (strncmp(access_key, "own:", 4) != 0 &&
        strncmp(account + 11, strchr(access_key, ':') + 1, 12) != 0) {
        world->mixed_calls++;
    }
    for (size_t i = 0; i < world->event_count; i++) {
        struct world_event *event = &world->events[i];

        if (slice_eq(slice_of(event->id), id) && event->queue == queue) {
            event->arrivals++;
            event->arrived_ms = event->arrivals == 1 ? world->now_ms : event->arrived_ms;
            return;
        }
    }
    fail_msg("an event arrived that nobody sent there: %.*s", SLICE_ARG(id));
}

/* Read a SendMessage or SendMessageBatch, let the messages arrive, write the answer. */
static void world_accept(struct world *world, const struct world_call *call, bool is_partial)
{
    struct http_call *http = call->call;
    struct world_queue *queue = &world->queues[call->queue];
    struct arena arena = {0};
    struct json_reader reader;
    struct json_token token;
    struct buf good;
    struct buf bad;
    struct slice id = {NULL, 0};
    size_t count = 0;

    buf_init(&good, 1 << 16);
    buf_init(&bad, 1 << 16);
    (void)snprintf(queue->last_message, sizeof(queue->last_message), "%.*s", SLICE_ARG(http->body));
    json_reader_init(&reader, http->body, 16);
    while (json_next(&reader, &token) != JSON_TYPE_END) {
        struct slice key = token.raw;
        struct slice body;
        char md5[32];

        assert_int_not_equal(token.type, JSON_TYPE_ERROR);
        if (token.type != JSON_TYPE_KEY) {
            continue;
        }
        if (slice_eq(key, SLICE("Id"))) {
            (void)json_next(&reader, &token);
            id = token.raw;
        } else if (slice_eq(key, SLICE("MessageBody"))) {
            (void)json_next(&reader, &token);
            body = json_token_text(&token, &arena);
            count++;
            if (is_partial && count % 2 == 1) {
                assert_int_equal(buf_printf(&bad,
                                            "%s{\"Id\":\"%.*s\",\"SenderFault\":false,"
                                            "\"Code\":\"InternalError\"}",
                                            bad.len > 0 ? "," : "", SLICE_ARG(id)),
                                 ERR_OK);
                continue;
            }
            world_arrive(world, call->queue, call->access_key, body);
            digest_md5_hex(body, md5);
            assert_int_equal(buf_printf(&good,
                                        "%s{\"Id\":\"%.*s\",\"MessageId\":\"m\","
                                        "\"MD5OfMessageBody\":\"%.32s\"}",
                                        good.len > 0 ? "," : "", SLICE_ARG(id), md5),
                             ERR_OK);
        }
    }
    queue->batch_max = MAX_OF(queue->batch_max, count);
    if (id.data == NULL && is_partial) {
        world_reply(http, 500, "{}");
    } else if (id.data == NULL) {
        world_reply(http, 200, arena_printf(&arena, "%.*s", SLICE_ARG(buf_slice(&good))).data);
    } else {
        world_reply(http, 200,
                    arena_printf(&arena, "{\"Successful\":[%.*s],\"Failed\":[%.*s]}",
                                 SLICE_ARG(buf_slice(&good)), SLICE_ARG(buf_slice(&bad)))
                        .data);
    }
    buf_clean_up(&good);
    buf_clean_up(&bad);
    arena_clean_up(&arena);
}

static void world_answer_call(struct world *world, const struct world_call *call)
{
    struct world_queue *queue = &world->queues[call->queue];
    struct http_call *http = call->call;
    const enum world_mode mode = queue->mode;

    if (queue->mode_count > 0 && --queue->mode_count == 0) {
        queue->mode = WORLD_OK;
    }
    http->elapsed_us = 1000;
    switch (mode) {
    case WORLD_FAIL:
        world_reply(http, 500, "{\"__type\":\"InternalFailure\"}");
        break;
    case WORLD_THROTTLE:
        world_reply(http, 400, "{\"__type\":\"com.amazonaws.sqs#RequestThrottled\"}");
        break;
    case WORLD_DENY:
        world_reply(http, 403, "{\"__type\":\"AccessDenied\",\"message\":\"not you\"}");
        break;
    case WORLD_MISSING:
        world_reply(http, 400, "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\"}");
        break;
    case WORLD_EXPIRED:
        world_reply(http, 403, "{\"__type\":\"ExpiredToken\"}");
        break;
    case WORLD_PAUSE:
        world_reply(http, 503, "{}");
        assert_int_equal(buf_append(&http->response_headers, SLICE("retry-after: 30\n")), ERR_OK);
        break;
    case WORLD_HANG:
    case WORLD_SWALLOW:
        if (mode == WORLD_SWALLOW && !call->is_lookup) {
            const size_t before = queue->messages;

            world_accept(world, call, false);
            world->repeats_due += queue->messages - before;
            http_call_clean_up(http);
        }
        http->err = ERR_REMOTE_TIMEOUT;
        break;
    case WORLD_STOP:
        http->err = ERR_STOPPING;
        break;
    case WORLD_REJECT:
        if (memmem(http->body.data, http->body.len, "poison", 6) != NULL) {
            world_reply(http, 400, "{\"__type\":\"SomethingNew\"}");
            break;
        }
        __attribute__((fallthrough));
    case WORLD_PARTIAL:
    case WORLD_OK:
        if (call->is_lookup) {
            char text[128];

            (void)snprintf(text, sizeof(text), "{\"QueueUrl\":\"http://made.up/%s\"}", queue->name);
            world_reply(http, 200, text);
        } else {
            world_accept(world, call, mode == WORLD_PARTIAL);
        }
        break;
    }
}

static void world_ask_credentials(void *context, struct credentials_ask *ask)
{
    struct world *world = context;
    struct world_call *call = xcalloc(1, sizeof(*call));

    call->ask = ask;
    call->done_ms = world->now_ms + 20;
    world->asks++;
    world->renewals += ask->renew ? 1 : 0;
    world_enqueue(world, call);
}

/* Engines here ask through their io; the provider may not even be linked. */
__attribute__((weak)) void credentials_request(struct credentials_provider *provider,
                                               struct credentials_ask *ask)
{
    (void)provider;
    (void)ask;
    fail_msg("a real provider was asked");
}

static void world_answer_ask(struct world *world, struct credentials_ask *ask)
{
    char key[64];

    ask->err = world->ask_err;
    if (ask->err != ERR_OK) {
        (void)snprintf(ask->message, sizeof(ask->message), "not authorized to assume");
        if (world->ask_err_count > 0 && --world->ask_err_count == 0) {
            world->ask_err = ERR_OK;
        }
    } else {
        /* the access key tells as whom and for which account a call was signed */
        const size_t slash = slice_find(ask->role_arn, '/');

        (void)snprintf(
            key, sizeof(key), "%.*s:%.*s",
            SLICE_ARG(ask->role_arn.len > 0 ? slice_from(ask->role_arn, slash + 1) : SLICE("own")),
            SLICE_ARG(ask->account));
        ask->credentials = credentials_new(
            slice_of(key), SLICE("secret"), SLICE("token"),
            world->lifetime_ms > 0 ? world->now_ms + world->lifetime_ms : 0, ask->role_arn);
    }
    ask->on_answer(ask);
}

/* ---- facts -------------------------------------------------------------------------------- */

static void world_on_fact(void *context, const struct delivery_fact *fact)
{
    struct world *world = context;

    if (fact->is_dlq) {
        world->copy_facts[fact->kind]++;
        return;
    }
    world->facts[fact->kind]++;
    world->last_err = fact->err;
    world->last_attempt_count = fact->attempt_count;
    (void)snprintf(world->last_target, sizeof(world->last_target), "%.*s", SLICE_ARG(fact->target));
    (void)snprintf(world->last_rule, sizeof(world->last_rule), "%.*s", SLICE_ARG(fact->rule));
    if (fact->kind != DELIVERY_FACT_DEAD) {
        return;
    }
    (void)snprintf(world->last_reason, sizeof(world->last_reason), "%s", fact->reason);
    for (size_t i = 0; i < world->event_count; i++) {
        if (slice_eq(slice_of(world->events[i].id), fact->event_id)) {
            world->events[i].deaths++;
        }
    }
}

static void world_on_step(void *context, const struct delivery_fact *fact)
{
    static const char letters[] = {
        [DELIVERY_FACT_DELIVERED] = 'D',   [DELIVERY_FACT_RETRIED] = 'r',
        [DELIVERY_FACT_DEAD] = 'X',        [DELIVERY_FACT_CLAIM_LOST] = 'l',
        [DELIVERY_FACT_CLAIMED] = 'c',     [DELIVERY_FACT_SENT] = 's',
        [DELIVERY_FACT_PARKED] = 'p',      [DELIVERY_FACT_STEP_DONE] = 'd',
        [DELIVERY_FACT_STEP_FAILED] = 'f', [DELIVERY_FACT_STEP_PASSED] = 'o',
    };
    struct world *world = context;
    const size_t len = strlen(world->story);

    assert_true(fact->event_id.len > 0);
    assert_int_equal(fact->account.len, 12);
    world->steps[fact->kind]++;
    world->last_until_ms = fact->until_ms > 0 ? fact->until_ms : world->last_until_ms;
    if (len + 1 < sizeof(world->story)) {
        world->story[len] = letters[fact->kind];
    }
}

/* ---- the catalog -------------------------------------------------------------------------- */

static const struct transform *world_transform(struct rule *rule, const char *template)
{
    const struct transform_variable variable = {SLICE("v"), SLICE("$.detail.text")};
    const struct transform *transform = NULL;

    if (template != NULL) {
        assert_int_equal(transform_compile_template(slice_of(template), &variable, 1, &rule->arena,
                                                    &transform, NULL),
                         ERR_OK);
    }
    return transform;
}

static struct ruleset *world_rules(const struct world *world)
{
    struct rule *rules[WORLD_TARGETS_MAX];
    struct ruleset *ruleset;
    size_t count = 0;

    for (size_t i = 0; i < world->target_count; i++) {
        const struct world_target *from = &world->targets[i];
        struct rule *rule;

        if (from->is_gone) {
            continue;
        }
        rule = rule_new();
        rule->bus_account = SLICE(WORLD_CENTRAL);
        rule->bus_name = SLICE("central");
        rule->is_central = true;
        rule->is_operator_owned = !from->is_member_rule;
        rule->name = arena_printf(&rule->arena, "rule%zu", i);
        rule->label = arena_printf(&rule->arena, "central/rule%zu", i);
        rule->arn = SLICE("arn");
        rule->is_enabled = true;
        rule->target_count = 1;
        rule->targets[0] =
            (struct rule_target){.uid = from->uid,
                                 .id = SLICE("t"),
                                 .arn = arena_copy(&rule->arena, slice_of(from->arn)),
                                 .role_arn = arena_copy(&rule->arena, slice_of(from->role_arn)),
                                 .transform = world_transform(rule, from->template),
                                 .dlq_arn = arena_copy(&rule->arena, slice_of(from->dlq_arn)),
                                 .attempts_max = from->attempts_max,
                                 .age_max_ms = from->age_max_ms};
        rules[count++] = rule;
    }
    ruleset = ruleset_of(rules, count);
    for (size_t i = 0; i < count; i++) {
        rule_release(rules[i]);
    }
    return ruleset;
}

static struct directory *world_accounts(const struct world *world)
{
    static struct limiter unlimited;
    struct directory *directory = directory_new();

    directory->central_account = SLICE(WORLD_CENTRAL);
    for (size_t i = 0; i < world->account_count; i++) {
        struct account *account = ARENA_NEW(&directory->arena, struct account);

        account->id = slice_of(world->accounts[i].id);
        account->dispatch_role_arn = slice_of(world->accounts[i].role_arn);
        account->external_id = SLICE("external");
        account->limiter = &unlimited;
        account->is_suspended = world->accounts[i].is_suspended;
        directory_add_account(directory, account);
    }
    return directory;
}

/* Publish what targets[] and accounts[] say now, to one worker or to all. */
WORLD_UNUSED static void world_publish(struct world *world)
{
    struct directory *directory = world->directory;
    struct ruleset *ruleset = world->ruleset;

    world->directory = world_accounts(world);
    world->ruleset = world_rules(world);
    for (unsigned i = 0; i < world->worker_count; i++) {
        delivery_use(world->engines[i], world->directory, world->ruleset);
    }
    if (directory != NULL) {
        directory_release(directory);
        ruleset_release(ruleset);
    }
}

WORLD_UNUSED static size_t world_add_queue(struct world *world, const char *name)
{
    struct world_queue *queue = &world->queues[world->queue_count];

    assert_true(world->queue_count < WORLD_QUEUES_MAX);
    *queue = (struct world_queue){.latency_ms = 10};
    (void)snprintf(queue->name, sizeof(queue->name), "%s", name);
    return world->queue_count++;
}

WORLD_UNUSED static struct world_target *world_add_target(struct world *world, uint64_t uid,
                                                          const char *arn)
{
    struct world_target *target = &world->targets[world->target_count++];

    assert_true(world->target_count <= WORLD_TARGETS_MAX);
    *target = (struct world_target){
        .uid = uid, .arn = arn, .attempts_max = 185, .age_max_ms = 24 * 3600 * 1000};
    return target;
}

WORLD_UNUSED static struct world_account *world_add_account(struct world *world, const char *id,
                                                            const char *role_arn)
{
    struct world_account *account = &world->accounts[world->account_count++];

    assert_true(world->account_count <= WORLD_ACCOUNTS_MAX);
    *account = (struct world_account){.id = id, .role_arn = role_arn};
    return account;
}

/* ---- events ------------------------------------------------------------------------------- */

struct world_commit {
    struct store_commit commit;
    struct store_entry entry;
    struct store_delivery delivery;
    bool is_done;
};

static void world_on_commit(struct store_op *op)
{
    struct world_commit *commit = CONTAINER_OF(op, struct world_commit, commit.op);

    commit->is_done = true;
}

/* Accept one event for one target, on one worker, as ingest does.  `text` goes into its detail. */
WORLD_UNUSED static struct world_event *world_send(struct world *world, unsigned worker,
                                                   const char *account, uint64_t uid, size_t queue,
                                                   const char *text)
{
    struct world_event *sent = &world->events[world->event_count];
    struct event_draft draft = {.source = SLICE("test"), .detail_type = SLICE("test")};
    struct world_commit commit = {0};
    struct arena arena = {0};
    struct slice lane = arena_printf(&arena, "%s/%lu", account, (unsigned long)uid);
    struct event *event;

    assert_true(world->event_count < WORLD_EVENTS_MAX);
    (void)snprintf(sent->id, sizeof(sent->id), "event-%06zu", world->event_count++);
    sent->queue = queue;
    sent->committed_ms = world->now_ms;
    draft.detail = arena_printf(&arena, "{\"text\":\"%s\"}", text);
    event = event_complete(&draft, &(struct event_defaults){.id = slice_of(sent->id),
                                                            .account = slice_of(account),
                                                            .region = SLICE("us-east-1"),
                                                            .now_ms = world->now_ms});
    commit.delivery =
        (struct store_delivery){.lane = lane,
                                .bus = SLICE("central"),
                                .rule = SLICE("rule"),
                                .target_id = SLICE("t"),
                                .claim = delivery_may_claim(world->engines[worker], lane)};
    commit.entry = (struct store_entry){.account = slice_of(account),
                                        .event_id = event->id,
                                        .body = event->bytes,
                                        .deliveries = &commit.delivery,
                                        .delivery_count = 1};
    commit.commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = &world->mailboxes[worker], .on_done = world_on_commit},
        .now_ms = world->now_ms,
        .claim_until_ms = world->now_ms + DELIVERY_CLAIM_MS,
        .entries = &commit.entry,
        .entry_count = 1};
    world->memory->ops->submit(world->memory, &commit.commit.op);
    while (!commit.is_done) {
        (void)mailbox_drain(&world->mailboxes[worker]);
    }
    assert_int_equal(commit.commit.op.err, ERR_OK);
    sent->was_committed = true;
    if (commit.delivery.claim) {
        struct delivery_offer offer = {
            .ref = {.seq = commit.entry.seq, .claim = commit.delivery.claim_no, .ordinal = 0},
            .event = event,
            .claim_until_ms = commit.commit.claim_until_ms};

        memcpy(offer.ref.lane, lane.data, lane.len);
        delivery_offer(world->engines[worker], &offer);
    } else {
        delivery_note_backlog(world->engines[worker], lane);
    }
    event_release(event);
    arena_clean_up(&arena);
    return sent;
}

/* ---- time --------------------------------------------------------------------------------- */

/* Everything that can happen at this moment, until nothing more does. */
WORLD_UNUSED static void world_settle(struct world *world)
{
    bool has_news = true;

    while (has_news) {
        has_news = false;
        for (unsigned i = 0; i < world->worker_count; i++) {
            has_news = mailbox_drain(&world->mailboxes[i]) > 0 || has_news;
            has_news = world->engines[i]->has_news || has_news;
            world->wakes_ms[i] = delivery_run(world->engines[i]);
            has_news = world->wakes_ms[i] <= world->now_ms || has_news;
            has_news = atomic_load(&world->mailboxes[i].newest) != NULL || has_news;
            world->engines[i]->has_news = false; /* what a run leaves behind waits for others */
        }
        LIST_FOREACH (node, &world->calls) {
            struct world_call *call = CONTAINER_OF(node, struct world_call, node);

            if (call->done_ms <= world->now_ms) {
                list_remove(&call->node);
                if (call->ask != NULL) {
                    world_answer_ask(world, call->ask);
                } else {
                    world->queues[call->queue].calls_open--;
                    world_answer_call(world, call);
                    call->call->on_done(call->call);
                }
                xfree(call);
                has_news = true;
                break; /* the answer may have changed the list */
            }
        }
    }
}

/* Let time pass, stopping wherever something is due. */
WORLD_UNUSED static void world_pass(struct world *world, uint64_t ms)
{
    const uint64_t until_ms = world->now_ms + ms;

    for (;;) {
        uint64_t next_ms = until_ms;

        world_settle(world);
        if (world->now_ms >= until_ms) {
            return;
        }
        for (unsigned i = 0; i < world->worker_count; i++) {
            next_ms = MIN_OF(next_ms, world->wakes_ms[i]);
        }
        LIST_FOREACH (node, &world->calls) {
            next_ms = MIN_OF(next_ms, CONTAINER_OF(node, struct world_call, node)->done_ms);
        }
        world->now_ms = MAX_OF(next_ms, world->now_ms);
    }
}

/* What control does every few seconds. */
struct world_sweep {
    struct store_lanes lanes;
    char names[64][STORE_LANE_CHARS_MAX + 1];
    bool is_done;
};

static void world_on_sweep(struct store_op *op)
{
    struct world_sweep *sweep = CONTAINER_OF(op, struct world_sweep, lanes.op);

    sweep->is_done = true;
}

WORLD_UNUSED static size_t world_sweep(struct world *world)
{
    struct world_sweep sweep = {0};

    sweep.lanes.op = (struct store_op){
        .kind = STORE_LANES, .home = &world->mailboxes[0], .on_done = world_on_sweep};
    sweep.lanes.now_ms = world->now_ms;
    sweep.lanes.count_max = ARRAY_LEN(sweep.names);
    sweep.lanes.lanes = sweep.names;
    world->memory->ops->submit(world->memory, &sweep.lanes.op);
    while (!sweep.is_done) {
        (void)mailbox_drain(&world->mailboxes[0]);
    }
    for (size_t i = 0; i < sweep.lanes.count; i++) {
        delivery_note_backlog(world->engines[i % world->worker_count], slice_of(sweep.names[i]));
    }
    return sweep.lanes.count;
}

/* ---- begin and end ------------------------------------------------------------------------ */

WORLD_UNUSED static void world_add_engines(struct world *world, unsigned worker_count,
                                           size_t memory_bytes_max)
{
    world->worker_count = worker_count;
    for (unsigned i = 0; i < worker_count; i++) {
        const struct delivery_options options = {
            .mailbox = &world->mailboxes[i],
            .store = &world->store,
            .worker_index = i,
            .worker_count = worker_count,
            .engines = world->engines,
            .memory_bytes_max = memory_bytes_max,
            .event_bytes_max = memory_bytes_max > 0 ? 4096 : 0,
            .seed = world->seed + i,
            .hooks = {.context = world, .on_fact = world_on_fact, .on_step = world_on_step},
            .io = &world->io};

        world->engines[i] = delivery_new(&options);
        world->wakes_ms[i] = 0;
    }
}

WORLD_UNUSED static void world_init(struct world *world, unsigned worker_count, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    digest_init();
    world->now_ms = WORLD_START_MS;
    world->seed = seed;
    world->memory = store_memory_new(&(struct store_options){0});
    world->store = (struct store){.ops = &world_store_ops, .kind = "memory"};
    world->io = (struct delivery_io){.context = world,
                                     .start_call = world_start_call,
                                     .ask_credentials = world_ask_credentials,
                                     .now_ms = world_clock};
    list_init(&world->calls);
    for (size_t i = 0; i < WORLD_WORKERS_MAX; i++) {
        mailbox_init(&world->mailboxes[i], NULL);
    }
    world_add_engines(world, worker_count, 0);
}

static void world_on_idle(void *context)
{
    *(bool *)context = true;
}

/* Drain and free the engines; what they owed is in the store. */
WORLD_UNUSED static void world_stop_engines(struct world *world)
{
    bool is_idle[WORLD_WORKERS_MAX] = {false};

    for (unsigned i = 0; i < world->worker_count; i++) {
        delivery_drain(world->engines[i], world_on_idle, &is_idle[i]);
        assert_false(is_idle[i]); /* always later */
    }
    world_pass(world, 60 * 1000);
    for (unsigned i = 0; i < world->worker_count; i++) {
        assert_true(is_idle[i]);
        while (mailbox_drain(&world->mailboxes[i]) > 0) {
        }
    }
    for (unsigned i = 0; i < world->worker_count; i++) {
        delivery_destroy(world->engines[i]);
        world->engines[i] = NULL;
    }
}

WORLD_UNUSED static void world_clean_up(struct world *world)
{
    world_stop_engines(world);
    assert_true(list_is_empty(&world->calls));
    store_destroy(world->memory);
    for (size_t i = 0; i < WORLD_WORKERS_MAX; i++) {
        mailbox_clean_up(&world->mailboxes[i]);
    }
    if (world->directory != NULL) {
        directory_release(world->directory);
        ruleset_release(world->ruleset);
    }
}

/* How the account's deliveries stand in the store. */
struct world_tally {
    struct store_tally tally;
    bool is_done;
};

static void world_on_tally(struct store_op *op)
{
    CONTAINER_OF(op, struct world_tally, tally.op)->is_done = true;
}

WORLD_UNUSED static struct store_tally_row world_tally(struct world *world)
{
    struct world_tally tally = {0};
    struct store_tally_row sum = {0};

    tally.tally.op = (struct store_op){
        .kind = STORE_TALLY, .home = &world->mailboxes[0], .on_done = world_on_tally};
    world->memory->ops->submit(world->memory, &tally.tally.op);
    while (!tally.is_done) {
        (void)mailbox_drain(&world->mailboxes[0]);
    }
    for (size_t i = 0; i < tally.tally.row_count; i++) {
        sum.created += tally.tally.rows[i].created;
        sum.delivered += tally.tally.rows[i].delivered;
        sum.live += tally.tally.rows[i].live;
        sum.dead += tally.tally.rows[i].dead;
    }
    store_tally_clean_up(&tally.tally);
    return sum;
}
