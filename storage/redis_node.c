/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_node.c - the life of a connection to one Redis: from the first attempt to the next one.
 *
 * The happy path:
 *
 *     DOWN ──timer──> CONNECTING ──> GREETING ──> GATED ──redis_node_admit()──> UP
 *      ^                  │             │           │                           │ READONLY
 *      └──── any failure ─┴─────────────┴───────────┴───────────────────────────┴─> DRAINING
 *
 * How a connection is greeted is told in redis_greeting.c.  Then the gate's owner asks what it
 * wants to know (redis_check.c).  Only an admitted connection carries calls; what comes before
 * waits, unless `breaker_failures` attempts have failed in a row.
 *
 * When a connection ends, what was sent has an unknown outcome and says so; what was not sent is
 * failed too, because whoever asked can decide better than a queue whether it is still wanted.  Two
 * exceptions wait for the next connection: calls that came while there was none, and those that met
 * a Redis that has become a replica: the name may point to the new master by then.
 */
#include "storage/redis_internal.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "storage/redis_reply.h"

static const struct sm_state states[] = {
    [NODE_DOWN] = {"DOWN", SM_TO(NODE_CONNECTING), NULL},
    [NODE_CONNECTING] = {"CONNECTING", SM_TO(NODE_GREETING) | SM_TO(NODE_DOWN), NULL},
    [NODE_GREETING] = {"GREETING", SM_TO(NODE_GATED) | SM_TO(NODE_DOWN), NULL},
    [NODE_GATED] = {"GATED", SM_TO(NODE_UP) | SM_TO(NODE_DOWN), NULL},
    [NODE_UP] = {"UP", SM_TO(NODE_DRAINING) | SM_TO(NODE_DOWN), NULL},
    [NODE_DRAINING] = {"DRAINING", SM_TO(NODE_DOWN), NULL},
};
static const struct sm_machine machine = {"redis_node", states, ARRAY_LEN(states)};

static bool is_in(const struct redis_node *node, enum redis_node_state state)
{
    return node->state.state == (unsigned)state;
}

bool redis_node_is_up(const struct redis_node *node)
{
    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    return is_in(node, NODE_UP);
}

struct slice redis_node_name(const struct redis_node *node)
{
    return slice_of(node->name);
}

/* ---- what is sent, and when ---- */

static void want_write(struct redis_node *node)
{
    if (node->stream != NULL && !is_in(node, NODE_CONNECTING) && !is_in(node, NODE_DRAINING) &&
        redis_pipe_has_unsent(&node->pipe, is_in(node, NODE_UP))) {
        stream_want_write(node->stream);
    }
}

static size_t on_write(struct stream *stream, char *room, size_t room_len)
{
    struct redis_node *node = stream_context(stream);

    if (node == NULL || (is_in(node, NODE_DRAINING) && node->pipe.writing == NULL)) {
        return 0;
    }
    return redis_pipe_fill(&node->pipe, is_in(node, NODE_UP), room, room_len);
}

static bool has_room(const struct redis_node *node, const struct redis_call *call)
{
    const struct redis_link_options *options = &node->link->options;

    return node->pipe.call_count < options->queue_calls_max &&
           node->pipe.byte_count + call->len <= options->queue_bytes_max;
}

void redis_node_submit(struct redis_node *node, struct redis_call *call)
{
    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    CHECK(call->bytes != NULL);
    if (!is_in(node, NODE_UP) && node->failure_count >= node->link->options.breaker_failures) {
        redis_link_finish(node->link, call, ERR_REMOTE_UNREACHABLE);
    } else if (!has_room(node, call)) {
        redis_link_finish(node->link, call, ERR_STORE_BUSY);
    } else {
        redis_pipe_add(&node->pipe, call);
        redis_link_watch_deadline(node->link, call->deadline_ms);
        want_write(node);
    }
}

void redis_node_call(struct redis_node *node, struct redis_call *call,
                     const struct redis_command *command)
{
    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    CHECK(command->timeout_ms > 0);
    if (redis_command_format(command, call) != ERR_OK) {
        redis_link_finish(node->link, call, ERR_TOO_LARGE);
        return;
    }
    call->is_own = true;
    call->deadline_ms = moment_steady_ms() + command->timeout_ms;
    if (is_in(node, NODE_DOWN) || is_in(node, NODE_CONNECTING)) {
        redis_link_finish(node->link, call, ERR_REMOTE_UNREACHABLE);
        return;
    }
    redis_pipe_add(&node->pipe, call);
    redis_link_watch_deadline(node->link, call->deadline_ms);
    want_write(node);
}

/* ---- questions of our own ---- */

struct question {
    struct redis_call call;
    struct redis_link *link;
    uint64_t connection; /* if it is still there */
    unsigned step;
    redis_answer_fn on_answer;
};

static void on_question_answered(struct redis_call *call, enum err err,
                                 const struct redisReply *reply)
{
    struct question *question = CONTAINER_OF(call, struct question, call);

    LIST_FOREACH (place, &question->link->nodes) {
        struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (node->connection == question->connection) {
            question->on_answer(node, question->step, err, reply);
            break;
        }
    }
    xfree(question);
}

void redis_node_ask(struct redis_node *node, unsigned step, const struct redis_command *command,
                    redis_answer_fn on_answer)
{
    struct question *question = xcalloc(1, sizeof(*question));

    question->call.on_reply = on_question_answered;
    question->link = node->link;
    question->connection = node->connection;
    question->step = step;
    question->on_answer = on_answer;
    redis_node_call(node, &question->call, command);
}

void redis_node_ask_words(struct redis_node *node, unsigned step, const struct slice *words,
                          size_t word_count, redis_answer_fn on_answer)
{
    redis_node_ask(node, step,
                   &(struct redis_command){.args = words,
                                           .arg_count = word_count,
                                           .timeout_ms = node->link->options.connect_timeout_ms},
                   on_answer);
}

/* ---- the end of a connection ---- */

static void fail_list(struct redis_node *node, struct list *list, enum err err)
{
    LIST_FOREACH (place, list) {
        struct redis_call *call = CONTAINER_OF(place, struct redis_call, node);

        redis_pipe_remove(&node->pipe, call);
        redis_link_finish(node->link, call, err);
    }
}

static bool is_refusal(enum err trouble)
{
    return trouble != ERR_REMOTE_UNREACHABLE && trouble != ERR_STORE_BUSY &&
           trouble != ERR_NOT_READY;
}

static void start_timer(struct redis_node *node, unsigned wait_ms)
{
    struct ev_loop *ev = node->link->options.loop;

    ev_timer_stop(ev, &node->timer);
    ev_timer_set(&node->timer, wait_ms / 1000.0, 0);
    ev_timer_start(ev, &node->timer);
}

/* Between three quarters and five quarters, so that replicas do not knock together. */
static unsigned with_jitter(unsigned wait_ms)
{
    return wait_ms - wait_ms / 4 + (unsigned)(random_u64() % (wait_ms / 2 + 1));
}

static void end_stream(struct redis_node *node)
{
    struct stream *stream = node->stream;

    node->stream = NULL;
    if (stream != NULL) {
        stream_set_context(stream, NULL);
        stream_abort(stream);
    }
    ev_timer_stop(node->link->options.loop, &node->timer);
    ev_timer_stop(node->link->options.loop, &node->recheck);
}

void redis_node_drop(struct redis_node *node, enum err trouble, enum err sent_err)
{
    const struct redis_link_options *options = &node->link->options;
    const bool was_up = is_in(node, NODE_UP);
    const bool was_draining = is_in(node, NODE_DRAINING);

    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    if (is_in(node, NODE_DOWN)) {
        return;
    }
    end_stream(node);
    sm_move(&node->state, NODE_DOWN, node);
    if (was_up || trouble != node->trouble) {
        log_warn("redis.down", LOG_SLICE("node", redis_node_name(node)), LOG_ERR(trouble));
    }
    node->trouble = trouble;
    node->failure_count += was_draining ? 0 : 1;
    if (is_refusal(trouble)) {
        node->failure_count = MAX_OF(node->failure_count, options->breaker_failures);
    }
    fail_list(node, &node->pipe.sent, sent_err);
    fail_list(node, &node->pipe.own, ERR_REMOTE_UNREACHABLE);
    if (was_up || node->failure_count >= options->breaker_failures) {
        fail_list(node, &node->pipe.again, ERR_REMOTE_UNREACHABLE);
        fail_list(node, &node->pipe.waiting, ERR_REMOTE_UNREACHABLE);
    }
    start_timer(node, with_jitter(is_refusal(trouble) ? options->refused_ms : options->probe_ms));
    redis_link_on_node_change(node);
}

void redis_node_refuse(struct redis_node *node, enum err err)
{
    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    CHECK(err != ERR_OK);
    redis_node_drop(node, err, ERR_REMOTE_FAILED);
}

uint64_t redis_node_expire(struct redis_node *node, uint64_t now_ms)
{
    struct list *const unsent[] = {&node->pipe.own, &node->pipe.again, &node->pipe.waiting};
    uint64_t next_ms = UINT64_MAX;
    bool is_late = false;

    for (size_t i = 0; i < ARRAY_LEN(unsent); i++) {
        LIST_FOREACH (place, unsent[i]) {
            struct redis_call *call = CONTAINER_OF(place, struct redis_call, node);

            if (call->deadline_ms <= now_ms) {
                redis_pipe_remove(&node->pipe, call);
                redis_link_finish(node->link, call, ERR_REMOTE_UNREACHABLE);
            } else {
                next_ms = MIN_OF(next_ms, call->deadline_ms);
            }
        }
    }
    LIST_FOREACH (place, &node->pipe.sent) {
        struct redis_call *call = CONTAINER_OF(place, struct redis_call, node);

        if (call->deadline_ms <= now_ms) {
            redis_pipe_remove(&node->pipe, call);
            redis_link_finish(node->link, call, ERR_REMOTE_TIMEOUT);
            is_late = true;
        } else {
            next_ms = MIN_OF(next_ms, call->deadline_ms);
        }
    }
    if (is_late) {
        redis_node_drop(node, ERR_REMOTE_UNREACHABLE, ERR_REMOTE_FAILED);
    }
    return next_ms;
}

/* ---- the gate ---- */

void redis_node_admit(struct redis_node *node)
{
    struct ev_loop *ev = node->link->options.loop;
    const double recheck_s = node->link->options.recheck_ms / 1000.0;

    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    if (!is_in(node, NODE_GATED)) {
        return;
    }
    ev_timer_stop(ev, &node->timer);
    sm_move(&node->state, NODE_UP, node);
    log_info("redis.up", LOG_SLICE("node", redis_node_name(node)));
    node->failure_count = 0;
    node->trouble = ERR_OK;
    node->link->connect_count++;
    if (node->link->options.on_greeted != NULL && recheck_s > 0) {
        ev_timer_set(&node->recheck, recheck_s, recheck_s);
        ev_timer_start(ev, &node->recheck);
    }
    want_write(node);
    redis_link_on_node_change(node);
}

static void on_recheck(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct redis_node *node = CONTAINER_OF(timer, struct redis_node, recheck);
    const struct redis_link_options *options = &node->link->options;

    (void)ev;
    (void)events;
    redis_cluster_refresh(node->link);
    options->on_greeted(node, options->context);
}

void redis_node_greeted(struct redis_node *node, enum err err)
{
    const struct redis_link_options *options = &node->link->options;

    if (err != ERR_OK) {
        redis_node_drop(node, err, ERR_REMOTE_FAILED);
        return;
    }
    sm_move(&node->state, NODE_GATED, node);
    if (options->on_greeted != NULL) {
        options->on_greeted(node, options->context);
    } else {
        redis_node_admit(node);
    }
}

static void ignore_answer(struct redis_node *node, unsigned step, enum err err,
                          const struct redisReply *reply)
{
    (void)node;
    (void)step;
    (void)err;
    (void)reply; /* if it failed, the call that follows says so */
}

void redis_node_teach(struct redis_node *node, struct redis_call *call)
{
    const struct slice words[] = {SLICE("SCRIPT"), SLICE("LOAD"), call->script->text};

    call->was_taught = true;
    redis_node_ask_words(node, 0, words, ARRAY_LEN(words), ignore_answer);
    redis_pipe_put_back(&node->pipe, call);
    want_write(node);
}

void redis_node_send_elsewhere(struct redis_node *node, struct redis_call *call)
{
    call->was_elsewhere = true;
    redis_pipe_put_back(&node->pipe, call);
    if (is_in(node, NODE_UP)) {
        log_warn("redis.readonly", LOG_SLICE("node", redis_node_name(node)));
        sm_move(&node->state, NODE_DRAINING, node);
    }
}

/* ---- what the stream tells ---- */

static void on_open(struct stream *stream, struct slice alpn)
{
    struct redis_node *node = stream_context(stream);

    (void)alpn;
    if (node != NULL) {
        sm_move(&node->state, NODE_GREETING, node);
        start_timer(node, node->link->options.connect_timeout_ms);
        redis_node_greet(node);
    }
}

static void give_up(struct redis_node *node, const char *what, struct slice text)
{
    log_warn("redis.garbage", LOG_SLICE("node", redis_node_name(node)), LOG_TEXT("what", what),
             LOG_SLICE("text", text));
    redis_node_drop(node, ERR_REMOTE_UNREACHABLE, ERR_REMOTE_FAILED);
}

static void take_reply(struct redis_node *node, const struct redisReply *reply)
{
    struct redis_call *call = redis_pipe_answered(&node->pipe);

    if (call == NULL) {
        give_up(node, "an answer that was not asked for", redis_reply_text(reply));
        return;
    }
    if (call->is_asking) {
        call->is_asking = false;
        return;
    }
    redis_pipe_remove(&node->pipe, call);
    if (call->is_own) {
        redis_command_forget(call);
        call->on_reply(call, redis_reply_err(reply), reply);
    } else {
        redis_link_on_reply(node, call, reply);
    }
    if (is_in(node, NODE_DRAINING) && list_is_empty(&node->pipe.sent)) {
        redis_node_drop(node, ERR_STORE_BUSY, ERR_REMOTE_FAILED);
    }
}

static void on_read(struct stream *stream, struct slice bytes)
{
    struct redis_node *node = stream_context(stream);
    struct redisReply *reply;

    if (node == NULL) {
        return;
    }
    if (redis_reader_feed(node->pipe.reader, bytes) != ERR_OK) {
        give_up(node, "a reply over its maximum", SLICE(""));
        return;
    }
    while (node->stream == stream) {
        if (redis_reader_next(node->pipe.reader, &reply) != ERR_OK) {
            give_up(node, "no valid reply", SLICE(""));
            return;
        }
        if (reply == NULL) {
            return;
        }
        take_reply(node, reply);
        redis_reply_free(reply);
    }
}

static void on_timeout(struct stream *stream, enum stream_reason reason)
{
    (void)stream;
    (void)reason; /* quiet is fine; calls have deadlines of their own */
}

static void on_close(struct stream *stream, enum stream_reason reason)
{
    struct redis_node *node = stream_context(stream);

    if (node == NULL) {
        return; /* we ended it */
    }
    if (node->trouble == ERR_OK || node->failure_count == 0) {
        log_warn("redis.closed", LOG_SLICE("node", redis_node_name(node)),
                 LOG_TEXT("reason", stream_reason_name(reason)));
    }
    redis_node_drop(node, ERR_REMOTE_UNREACHABLE, ERR_REMOTE_FAILED);
}

static const struct stream_handlers handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_write = on_write,
    .on_timeout = on_timeout,
    .on_close = on_close,
};

/* ---- beginning and end ---- */

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct redis_node *node = CONTAINER_OF(timer, struct redis_node, timer);
    const struct stream_target target = {
        .host = slice_of(node->host), .port = node->port, .tls = node->link->options.tls};

    (void)ev;
    (void)events;
    if (!is_in(node, NODE_DOWN)) { /* greeting and gate took too long */
        redis_node_drop(node, ERR_REMOTE_UNREACHABLE, ERR_REMOTE_FAILED);
        return;
    }
    node->connection = ++node->link->last_connection;
    redis_pipe_restart(&node->pipe);
    sm_move(&node->state, NODE_CONNECTING, node);
    node->stream = stream_connect(node->link->streams, &target, &handlers, node);
}

struct redis_node *redis_node_new(struct redis_link *link, struct slice host, uint16_t port)
{
    struct redis_node *node = xcalloc(1, sizeof(*node));
    const bool is_v6 = slice_find(host, ':') != host.len;

    CHECK(host.len > 0);
    CHECK(host.len <= REDIS_HOST_CHARS_MAX);
    node->magic = REDIS_NODE_MAGIC;
    node->link = link;
    node->port = port;
    node->trouble = ERR_NOT_READY;
    memcpy(node->host, host.data, host.len);
    (void)snprintf(node->name, sizeof(node->name), is_v6 ? "[%s]:%u" : "%s:%u", node->host,
                   (unsigned)port);
    redis_pipe_init(&node->pipe);
    list_append(&link->nodes, &node->link_node);
    sm_start(&node->state, &machine, NODE_DOWN, node);
    ev_init(&node->timer, on_timer);
    ev_init(&node->recheck, on_recheck);
    start_timer(node, 0);
    return node;
}

void redis_node_destroy(struct redis_node *node)
{
    CHECK_MAGIC(node, REDIS_NODE_MAGIC);
    end_stream(node);
    fail_list(node, &node->pipe.sent, ERR_REMOTE_FAILED);
    fail_list(node, &node->pipe.own, ERR_REMOTE_UNREACHABLE);
    fail_list(node, &node->pipe.again, ERR_REMOTE_UNREACHABLE);
    fail_list(node, &node->pipe.waiting, ERR_REMOTE_UNREACHABLE);
    redis_pipe_clean_up(&node->pipe);
    list_remove(&node->link_node);
    node->magic = 0;
    xfree(node);
}
