/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_call.c - one call: credentials, lookup, signature, request, reply.
 *
 * A call takes its deliveries off their lanes and holds them to the end.  If the destination has no
 * credentials, or does not know yet where exactly it is, this call asks, and no other starts
 * meanwhile: single flight.  Then the same call sends.  A failure on the way is judged like a
 * failed send, so it costs an attempt and is parked, broken and buried by the same rules.
 *
 * Every step that waits ends in a callback; none of them runs inside the step.
 *
 * What nobody signs needs no credentials: whatever such a target proves itself with, it looks up.
 *
 * Memory: a call is reused, with its arena and its body, so an attempt allocates nothing once warm.
 */
#include "accounts/sigv4_sign.h"
#include "core/check.h"
#include "core/moment.h"
#include "delivery/delivery_internal.h"

static void advance(struct call *call);
static void send_request(struct call *call, struct target_request *request);

/* ---- memory ------------------------------------------------------------------------------- */

static struct call *call_take(struct delivery_engine *engine)
{
    struct list *node = list_take_first(&engine->spare_calls);
    struct call *call;

    if (node != NULL) {
        call = CONTAINER_OF(node, struct call, node);
        engine->spare_count--;
    } else {
        call = xcalloc(1, sizeof(*call));
        call->engine = engine;
        list_init(&call->node);
        list_init(&call->deliveries);
        buf_init(&call->body, DELIVERY_BODY_MAX);
        buf_init(&call->input, engine->options.input_bytes_max);
    }
    call->id = ++engine->call_id;
    list_append(&engine->calls, &call->node);
    engine->call_count++;
    return call;
}

void delivery_call_free(struct call *call)
{
    CHECK(list_is_empty(&call->deliveries));
    CHECK(call->credentials == NULL);
    http_call_clean_up(&call->http);
    arena_clean_up(&call->arena);
    buf_clean_up(&call->body);
    buf_clean_up(&call->input);
    xfree(call);
}

static void call_give_back(struct call *call)
{
    enum { KEPT_BODY_BYTES = 256 << 10 };
    struct delivery_engine *engine = call->engine;

    CHECK(list_is_empty(&call->deliveries));
    list_remove(&call->node);
    engine->call_count--;
    engine->has_news = true;
    http_call_clean_up(&call->http);
    call->http = (struct http_call){0};
    credentials_release(call->credentials);
    call->credentials = NULL;
    call->destination = NULL;
    call->is_probe = false;
    call->was_prepared = false;
    call->count = 0;
    arena_reset(&call->arena);
    buf_clear(&call->body);
    if (engine->spare_count >= DELIVERY_SPARE_CALLS_MAX || call->body.cap > KEPT_BODY_BYTES ||
        call->arena.used_bytes > KEPT_BODY_BYTES) {
        delivery_call_free(call);
        return;
    }
    list_append(&engine->spare_calls, &call->node);
    engine->spare_count++;
}

/* ---- begin and end ------------------------------------------------------------------------ */

/* The step that this delivery has reached is not to run now: on, or to its end. */
static bool is_passed_over(struct call *call, struct delivery *delivery)
{
    struct delivery_engine *engine = call->engine;
    enum delivery_step_answer answer;

    if (delivery_step_look(call->engine, delivery, &call->arena, &answer) != ERR_OK) {
        lane_finish(delivery->lane, delivery, DELIVERY_DEAD);
        delivery_bury(engine, delivery, "invalid-input", "the event is too deep for `when`",
                      ERR_BAD_JSON);
        return true;
    }
    if (answer == DELIVERY_STEP_RUNS) {
        return false;
    }
    if (answer == DELIVERY_STEP_GOES_ON) {
        lane_finish(delivery->lane, delivery, DELIVERY_WAITING);
        delivery_step_pass_over(engine, delivery, &call->arena);
    } else {
        delivery_tell(engine, delivery, &(struct delivery_fact){.kind = DELIVERY_FACT_DELIVERED});
        lane_finish(delivery->lane, delivery, DELIVERY_SETTLED);
        delivery_settle(engine, delivery);
    }
    return true;
}

/* Shape what goes into items[0..count) and drop what may not go: its claim could end before the
 * call does, its target was taken away while it was being prepared, the target could never take it,
 * or inputs have become larger than the events were and fill the call already. */
static void screen(struct call *call)
{
    struct delivery_engine *engine = call->engine;
    const struct target *target = call->destination->target;
    const uint64_t end_ms =
        engine->now_ms + engine->options.call_timeout_ms + DELIVERY_CLAIM_SLACK_MS;
    size_t bytes_left = target->ops->batch_bytes_max(target);

    call->count = 0;
    LIST_FOREACH (node, &call->deliveries) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        struct target_item *item = &call->items[call->count];
        struct lane *lane = delivery->lane;
        struct target_verdict verdict;

        if (lane->destination != call->destination || lane->is_held || bytes_left == 0) {
            lane_put_back(lane, delivery); /* the snapshot has changed its mind, or no room */
        } else if (delivery->claim_until_ms < end_ms) {
            lane_finish(lane, delivery, DELIVERY_WAITING);
            delivery_abandon(engine, delivery);
        } else if (lane->step != NULL && is_passed_over(call, delivery)) {
            /* and is gone */
        } else if (!delivery_item_fill(call, delivery, item, &verdict) ||
                   !target->ops->check(target, item, &verdict)) {
            lane_finish(lane, delivery, DELIVERY_DEAD);
            delivery_bury(engine, delivery, verdict.reason, verdict.message, verdict.err);
        } else if (call->count > 0 && item->body.len > bytes_left) {
            bytes_left = 0;
            lane_put_back(lane, delivery);
        } else {
            bytes_left -= MIN_OF(item->body.len, bytes_left);
            call->batch[call->count++] = delivery;
            continue;
        }
        delivery_touch(engine, lane);
    }
}

void delivery_call_start(struct delivery_engine *engine, struct destination *destination)
{
    const struct target *target = destination->target;
    const size_t count_max = destination_is_probing(destination) ? 1 : target->ops->batch_count_max;
    struct call *call = call_take(engine);

    CHECK(!engine->is_draining);
    destination->references++;
    call->destination = destination;
    call->begun_ms = engine->now_ms;
    (void)destination_pick(destination, MIN_OF(count_max, (size_t)TARGET_BATCH_MAX),
                           target->ops->batch_bytes_max(target), &call->deliveries);
    call->is_probe = destination_start(destination);
    screen(call);
    advance(call);
}

static void finish(struct call *call, enum destination_verdict verdict)
{
    struct delivery_engine *engine = call->engine;
    struct destination *destination = call->destination;

    CHECK(list_is_empty(&call->deliveries));
    destination_finish(destination, verdict, call->is_probe, call->begun_ms, engine->now_ms,
                       delivery_seed(engine));
    if (call->was_prepared) {
        destination->is_preparing = false;
    }
    delivery_activate(engine, destination);
    call_give_back(call);
    delivery_destination_release(engine, destination);
}

/* What a failure before or instead of a reply says of the destination. */
static enum destination_verdict weigh_failure(const struct target_verdict *verdict)
{
    if (verdict->action != TARGET_RETRY || verdict->err == ERR_STOPPING) {
        return DESTINATION_UNTOUCHED;
    }
    return verdict->err == ERR_REMOTE_THROTTLED ? DESTINATION_THROTTLED : DESTINATION_FAILED;
}

static void fail_unsent(struct call *call, const struct target_verdict *verdict)
{
    const enum destination_verdict weight = weigh_failure(verdict);

    delivery_judge_unsent(call, verdict);
    finish(call, weight);
}

/* ---- credentials -------------------------------------------------------------------------- */

/* A role that STS refuses is its owner's word, and final.  That weir has no credentials of its own
 * (a file that is being replaced, too many open files) says nothing of the delivery: it waits. */
static void fail_credentials(struct call *call, enum err err, const char *message)
{
    struct target_verdict verdict;

    if (err == ERR_REMOTE_DENIED) {
        target_verdict_set(&verdict, TARGET_BURY, err, "NO_PERMISSIONS", SLICE("AssumeRole"),
                           slice_of(message));
    } else {
        target_verdict_set(&verdict, TARGET_RETRY, err, NULL, SLICE("AssumeRole"),
                           slice_of(message));
    }
    fail_unsent(call, &verdict);
}

static void on_credentials(struct credentials_ask *ask)
{
    struct call *call = CONTAINER_OF(ask, struct call, ask);
    struct delivery_engine *engine = call->engine;
    const struct delivery_hooks *hooks = &engine->options.hooks;

    (void)delivery_clock(engine);
    if (hooks->on_credentials != NULL) {
        hooks->on_credentials(hooks->context, ask->err, moment_steady_us() - call->asked_us);
    }
    if (ask->err != ERR_OK) {
        fail_credentials(call, ask->err, ask->message);
        return;
    }
    CHECK(ask->credentials != NULL);
    CHECK(call->destination->credentials == NULL);
    call->destination->credentials = ask->credentials; /* the reference goes along */
    call->destination->must_renew = false;
    ask->credentials = NULL;
    screen(call);
    advance(call);
}

static bool has_credentials(struct call *call)
{
    struct destination *destination = call->destination;
    const struct credentials *held = destination->credentials;

    if (held == NULL) {
        return false;
    }
    if (held->expires_ms == 0 ||
        held->expires_ms > call->engine->now_ms + DELIVERY_EXPIRY_SLACK_MS ||
        destination->is_preparing) { /* just fetched: as good as it gets */
        return true;
    }
    credentials_release(destination->credentials);
    destination->credentials = NULL;
    return false;
}

static void begin_preparing(struct call *call, enum call_stage stage)
{
    CHECK(call->was_prepared == call->destination->is_preparing);
    call->stage = stage;
    call->was_prepared = true;
    call->destination->is_preparing = true;
}

static void ask_credentials(struct call *call)
{
    struct delivery_engine *engine = call->engine;
    const struct delivery_io *io = engine->options.io;
    const struct destination *destination = call->destination;

    begin_preparing(call, CALL_CREDENTIALS);
    call->asked_us = moment_steady_us();
    call->ask = (struct credentials_ask){.role_arn = destination->role_arn,
                                         .external_id = destination->external_id,
                                         .account = destination->account,
                                         .renew = destination->must_renew,
                                         .home = engine->options.mailbox,
                                         .on_answer = on_credentials};
    if (io != NULL && io->ask_credentials != NULL) {
        io->ask_credentials(io->context, &call->ask);
    } else {
        credentials_request(engine->options.credentials, &call->ask);
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

static void read_reply(const struct call *call, struct target_reply *reply)
{
    *reply = (struct target_reply){.err = call->http.err,
                                   .err_text = slice_of(call->http.error_text),
                                   .status = call->http.status,
                                   .headers = buf_slice(&call->http.response_headers),
                                   .body = buf_slice(&call->http.response),
                                   .mark = call->mark,
                                   .now_ms = call->engine->now_ms};
}

static void on_lookup_reply(struct http_call *http)
{
    struct call *call = CONTAINER_OF(http, struct call, http);
    struct destination *destination = call->destination;
    struct target_verdict verdict;
    struct target_reply reply;

    (void)delivery_clock(call->engine);
    read_reply(call, &reply);
    if (!destination->target->ops->read_lookup(destination->target, &reply, &call->arena,
                                               &verdict)) {
        if (call->http.err == ERR_STOPPING) {
            verdict.err = ERR_STOPPING;
        }
        if (verdict.retry_after_ms > 0) {
            destination_pause(destination, call->engine->now_ms + verdict.retry_after_ms);
        }
        fail_unsent(call, &verdict);
        return;
    }
    http_call_clean_up(&call->http);
    call->http = (struct http_call){0};
    buf_clear(&call->body);
    screen(call);
    advance(call);
}

/* What the verdicts of a sent batch say of the destination together. */
static enum destination_verdict weigh(const struct call *call)
{
    bool has_answered = false;
    bool has_failed = false;

    for (size_t i = 0; i < call->count; i++) {
        const struct target_verdict *verdict = &call->verdicts[i];
        const enum destination_verdict weight = weigh_failure(verdict);

        if (weight == DESTINATION_THROTTLED) {
            return weight;
        }
        has_failed = has_failed || weight == DESTINATION_FAILED;
        has_answered =
            has_answered || (weight == DESTINATION_UNTOUCHED && verdict->action != TARGET_RENEW &&
                             verdict->action != TARGET_RETRY);
    }
    if (has_answered) {
        return DESTINATION_WELL;
    }
    return has_failed ? DESTINATION_FAILED : DESTINATION_UNTOUCHED;
}

static void on_reply(struct http_call *http)
{
    struct call *call = CONTAINER_OF(http, struct call, http);
    struct delivery_engine *engine = call->engine;
    struct destination *destination = call->destination;
    enum destination_verdict weight;
    struct target_reply reply;

    (void)delivery_clock(engine);
    read_reply(call, &reply);
    destination->target->ops->classify(destination->target, call->items, call->count, &reply,
                                       &call->arena, call->verdicts);
    for (size_t i = 0; i < call->count; i++) {
        if (reply.err == ERR_STOPPING) {
            call->verdicts[i].err = ERR_STOPPING;
        }
        if (call->verdicts[i].retry_after_ms > 0) {
            destination_pause(destination, engine->now_ms + call->verdicts[i].retry_after_ms);
        }
    }
    weight = weigh(call);
    delivery_judge(call);
    finish(call, weight);
}

/* Sign and start. All slices of the request live in the call's arena, or longer. */
static enum err sign(struct call *call, const struct target_request *request)
{
    const size_t count = request->header_count;
    struct header *headers = ARENA_ARRAY(&call->arena, struct header, TARGET_HEADERS_MAX + 1 + 4);
    struct sigv4_request unsigned_request = {.method = slice_of(request->method),
                                             .path = request->path,
                                             .query = request->query,
                                             .headers = headers,
                                             .header_count = count + 1};
    struct sigv4_signed added = {0};

    memcpy(headers, request->headers, count * sizeof(headers[0]));
    headers[count] = (struct header){SLICE("host"), request->host};
    digest_sha256(buf_slice(request->body), &unsigned_request.body_digest);
    TRY(sigv4_sign(&unsigned_request, call->credentials, request->region, request->service,
                   moment_now_ms(), &call->arena, &added));
    CHECK(added.header_count <= 4);
    memcpy(headers + count + 1, added.headers, added.header_count * sizeof(headers[0]));
    call->http.headers = headers;
    call->http.header_count = count + 1 + added.header_count;
    return ERR_OK;
}

/* Give the call its headers. */
static enum err dress(struct call *call, const struct target_request *request)
{
    call->mark = request->mark;
    call->http.fresh_connection = call->destination->target->ops->is_plain;
    if (!call->destination->target->ops->is_plain) {
        return sign(call, request);
    }
    call->http.headers = request->plain;
    call->http.header_count = request->plain_count;
    return ERR_OK;
}

static void send_request(struct call *call, struct target_request *request)
{
    struct delivery_engine *engine = call->engine;
    const struct delivery_io *io = engine->options.io;

    call->http.method = request->method;
    call->http.url = request->url;
    call->http.body = buf_slice(request->body);
    call->http.timeout_ms = engine->options.call_timeout_ms;
    call->http.response_max = DELIVERY_RESPONSE_MAX;
    call->sent_us = moment_steady_us();
    if (io != NULL && io->start_call != NULL) {
        io->start_call(io->context, &call->http);
    } else {
        http_start(engine->options.http, &call->http);
    }
}

/* The request could not even be made: one by one, and then never. */
static void fail_build(struct call *call, enum err err)
{
    struct target_verdict verdict;

    if (call->deliveries.next != call->deliveries.prev) { /* more than one */
        target_verdict_set(&verdict, TARGET_SPLIT, err, NULL, SLICE(""), slice_of(err_text(err)));
    } else {
        target_verdict_set(&verdict, TARGET_BURY, err, "SDK_CLIENT_ERROR", SLICE(""),
                           slice_of(err_text(err)));
    }
    fail_unsent(call, &verdict);
}

static enum err build(struct call *call, struct target_request *request)
{
    const struct target *target = call->destination->target;

    TRY(target->ops->build(target, call->items, call->count, &call->arena, request));
    return dress(call, request);
}

static void look_up(struct call *call)
{
    const struct target *target = call->destination->target;
    struct target_request request = {.body = &call->body};
    enum err err;

    begin_preparing(call, CALL_LOOKUP);
    err = target->ops->build_lookup(target, &call->arena, &request);
    if (err == ERR_OK) {
        err = dress(call, &request);
    }
    if (err != ERR_OK) {
        fail_build(call, err);
        return;
    }
    call->http.on_done = on_lookup_reply;
    send_request(call, &request);
}

/* The next step of a call: whatever it still lacks, and in the end the send. */
static void advance(struct call *call)
{
    const struct target *target = call->destination->target;
    struct target_request request = {.body = &call->body};
    enum err err;

    if (list_is_empty(&call->deliveries)) {
        finish(call, DESTINATION_UNTOUCHED);
        return;
    }
    if (!target->ops->is_plain && !has_credentials(call)) {
        ask_credentials(call);
        return;
    }
    if (call->credentials == NULL && !target->ops->is_plain) {
        call->credentials = credentials_acquire(call->destination->credentials);
    }
    if (target->ops->needs_lookup != NULL &&
        target->ops->needs_lookup(target, call->engine->now_ms)) {
        look_up(call);
        return;
    }
    call->stage = CALL_SEND;
    if (call->was_prepared) {
        call->was_prepared = false;
        call->destination->is_preparing = false;
        delivery_activate(call->engine, call->destination);
    }
    err = build(call, &request);
    if (err != ERR_OK) {
        fail_build(call, err);
        return;
    }
    for (size_t i = 0; i < call->count; i++) {
        delivery_state_move(call->batch[i], DELIVERY_IN_FLIGHT);
        delivery_tell(call->engine, call->batch[i],
                      &(struct delivery_fact){.kind = DELIVERY_FACT_SENT});
    }
    call->http.on_done = on_reply;
    send_request(call, &request);
}
