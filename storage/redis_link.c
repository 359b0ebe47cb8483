/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_link.c - what an answer leads to, and that each call gets one.
 *
 * The happy path: redis_link_call() formats the command, redis_cluster_node() names the node, the
 * node sends it, and its reply comes to redis_link_on_reply(), which gives it to the caller.
 *
 * Some replies are not for the caller yet.  MOVED and ASK name another node: at most three hops.
 * NOSCRIPT is a Redis that has forgotten (or never knew) a script: teach it, once.  READONLY is a
 * master that was made a replica: look the name up again and ask there, once.  In none of these has
 * the command been executed, so repeating it is safe; after any other failure the link repeats
 * nothing, because only the caller knows whether that would be right.
 *
 * Answers without a reply (never sent, timed out, connection lost) are collected and given out from
 * a timer of zero seconds, so no callback ever runs inside redis_link_call().
 *
 * Time: one timer stands at the earliest deadline of all calls.  It walks all calls when it fires,
 *       which is rare: a call is normally answered long before.
 */
#include "storage/redis_internal.h"

#include "core/check.h"
#include "core/moment.h"
#include "core/tls.h"
#include "storage/redis_reply.h"

enum { TICK_MS = 50, LOOP_LATE_MS = 100 };

/* ---- answers without a reply ---- */

static void give_out(struct redis_link *link)
{
    struct list *node;

    while ((node = list_take_first(&link->finished)) != NULL) {
        struct redis_call *call = CONTAINER_OF(node, struct redis_call, node);
        const enum err err = call->err;

        redis_command_forget(call);
        call->on_reply(call, err, NULL);
    }
}

static void on_answering(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    give_out(CONTAINER_OF(timer, struct redis_link, answering));
}

void redis_link_finish(struct redis_link *link, struct redis_call *call, enum err err)
{
    CHECK(err != ERR_OK);
    CHECK(!list_is_linked(&call->node));
    call->err = err;
    list_append(&link->finished, &call->node);
    if (!ev_is_active(&link->answering)) {
        ev_timer_set(&link->answering, 0, 0);
        ev_timer_start(link->options.loop, &link->answering);
    }
}

/* ---- deadlines ---- */

void redis_link_watch_deadline(struct redis_link *link, uint64_t deadline_ms)
{
    const uint64_t now_ms = moment_steady_ms();
    const uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;

    if (deadline_ms >= link->deadline_ms) {
        return;
    }
    link->deadline_ms = deadline_ms;
    ev_timer_stop(link->options.loop, &link->deadline);
    ev_timer_set(&link->deadline, (double)(left_ms + 1) / 1000.0, 0);
    ev_timer_start(link->options.loop, &link->deadline);
}

static void on_deadline(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct redis_link *link = CONTAINER_OF(timer, struct redis_link, deadline);
    const uint64_t now_ms = moment_steady_ms();
    const bool is_loop_late = now_ms > link->deadline_ms + LOOP_LATE_MS;
    uint64_t next_ms = UINT64_MAX;

    (void)ev;
    (void)events;
    link->deadline_ms = UINT64_MAX;
    if (is_loop_late) { /* it was we who slept: the answers may lie in the socket */
        redis_link_watch_deadline(link, now_ms + LOOP_LATE_MS);
        return;
    }
    LIST_FOREACH (place, &link->nodes) {
        const uint64_t node_ms =
            redis_node_expire(CONTAINER_OF(place, struct redis_node, link_node), now_ms);

        next_ms = MIN_OF(next_ms, node_ms);
    }
    redis_link_watch_deadline(link, next_ms);
}

/* ---- replies ---- */

static bool hop(struct redis_node *node, struct redis_call *call, struct slice text, bool is_asking)
{
    struct redis_node *next;

    if (call->hop_count >= REDIS_HOPS_MAX) {
        return false;
    }
    next = redis_cluster_redirect(node, text);
    if (next == NULL) {
        return false;
    }
    call->hop_count++;
    call->is_asking = is_asking;
    redis_node_submit(next, call);
    return true;
}

/* Is the call on its way again? */
static bool try_again(struct redis_node *node, struct redis_call *call, struct slice text)
{
    if (slice_has_prefix(text, SLICE("MOVED "))) {
        redis_cluster_refresh(node->link);
        return hop(node, call, text, false);
    }
    if (slice_has_prefix(text, SLICE("ASK "))) {
        return hop(node, call, text, true);
    }
    if (slice_has_prefix(text, SLICE("NOSCRIPT")) && call->script != NULL && !call->was_taught) {
        redis_node_teach(node, call);
        return true;
    }
    if (slice_has_prefix(text, SLICE("READONLY")) && !call->was_elsewhere) {
        redis_cluster_refresh(node->link);
        redis_node_send_elsewhere(node, call);
        return true;
    }
    if (slice_has_prefix(text, SLICE("CLUSTERDOWN"))) {
        redis_cluster_refresh(node->link);
    }
    return false;
}

void redis_link_on_reply(struct redis_node *node, struct redis_call *call,
                         const struct redisReply *reply)
{
    const enum err err = redis_reply_err(reply);

    if (err != ERR_OK && try_again(node, call, redis_reply_text(reply))) {
        return;
    }
    redis_command_forget(call);
    call->connection = node->connection;
    call->on_reply(call, err, reply);
}

void redis_link_on_node_change(struct redis_node *node)
{
    struct redis_link *link = node->link;
    const enum err trouble = redis_link_trouble(link);

    if (node->trouble != ERR_OK) {
        redis_cluster_refresh(link);
    }
    if (trouble != link->told) {
        link->told = trouble;
        if (link->options.on_change != NULL) {
            link->options.on_change(link, link->options.context);
        }
    }
}

/* ---- for the owner ---- */

void redis_link_call(struct redis_link *link, struct redis_call *call,
                     const struct redis_command *command)
{
    CHECK_MAGIC(link, REDIS_LINK_MAGIC);
    CHECK(command->timeout_ms > 0);
    if (redis_command_format(command, call) != ERR_OK) {
        redis_link_finish(link, call, ERR_TOO_LARGE);
        return;
    }
    if (link->seed == NULL) { /* called by who was just told of the end */
        redis_link_finish(link, call, ERR_REMOTE_UNREACHABLE);
        return;
    }
    call->deadline_ms = moment_steady_ms() + command->timeout_ms;
    redis_node_submit(redis_cluster_node(link, call), call);
}

void redis_link_call_at(struct redis_link *link, uint64_t connection, struct redis_call *call,
                        const struct redis_command *command)
{
    CHECK_MAGIC(link, REDIS_LINK_MAGIC);
    CHECK(command->timeout_ms > 0);
    if (redis_command_format(command, call) != ERR_OK) {
        redis_link_finish(link, call, ERR_TOO_LARGE);
        return;
    }
    LIST_FOREACH (place, &link->nodes) {
        struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (node->connection == connection && redis_node_is_up(node)) {
            call->deadline_ms = moment_steady_ms() + command->timeout_ms;
            redis_node_submit(node, call);
            return;
        }
    }
    redis_link_finish(link, call, ERR_REMOTE_UNREACHABLE);
}

enum err redis_link_trouble(const struct redis_link *link)
{
    CHECK_MAGIC(link, REDIS_LINK_MAGIC);
    LIST_FOREACH (place, &link->nodes) {
        const struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (node->is_used && node->trouble != ERR_OK) {
            return node->trouble;
        }
    }
    return ERR_OK;
}

uint64_t redis_link_connect_count(const struct redis_link *link)
{
    CHECK_MAGIC(link, REDIS_LINK_MAGIC);
    return link->connect_count;
}

struct redis_link_options redis_link_defaults(struct ev_loop *loop)
{
    return (struct redis_link_options){
        .loop = loop,
        .host = SLICE("127.0.0.1"),
        .port = 6379,
        .connect_timeout_ms = 2000,
        .probe_ms = 250,
        .refused_ms = 10000,
        .breaker_failures = 3,
        .queue_calls_max = 8192,
        .queue_bytes_max = 128 << 20,
        .recheck_ms = 1000,
    };
}

static char *copy(struct slice text)
{
    return xstrndup(text.len > 0 ? text.data : "", text.len);
}

struct redis_link *redis_link_new(const struct redis_link_options *options)
{
    struct redis_link *link = xcalloc(1, sizeof(*link));
    struct stream_loop_options streams = stream_loop_defaults(options->loop);

    CHECK(options->connect_timeout_ms > 0);
    CHECK(options->breaker_failures > 0);
    CHECK(options->queue_bytes_max >= REDIS_COMMAND_BYTES_MAX);
    link->magic = REDIS_LINK_MAGIC;
    link->options = *options;
    link->user = copy(options->user);
    link->options.user.data = link->user;
    link->password_file = copy(options->password_file);
    link->options.password_file.data = link->password_file;
    if (options->tls != NULL) {
        link->options.tls = tls_context_acquire(options->tls);
    }
    list_init(&link->nodes);
    list_init(&link->finished);
    ev_init(&link->answering, on_answering);
    ev_init(&link->deadline, on_deadline);
    link->deadline_ms = UINT64_MAX;
    link->told = ERR_NOT_READY;
    streams.handshake_timeout_ms = options->connect_timeout_ms;
    streams.tick_ms = TICK_MS;
    link->streams = stream_loop_new(&streams);
    link->seed = redis_node_new(link, options->host, options->port);
    link->seed->is_used = true;
    return link;
}

void redis_link_destroy(struct redis_link *link)
{
    if (link == NULL) {
        return;
    }
    CHECK_MAGIC(link, REDIS_LINK_MAGIC);
    link->seed = NULL;
    redis_cluster_clean_up(&link->cluster);
    LIST_FOREACH (place, &link->nodes) {
        redis_node_destroy(CONTAINER_OF(place, struct redis_node, link_node));
    }
    give_out(link);
    ev_timer_stop(link->options.loop, &link->answering);
    ev_timer_stop(link->options.loop, &link->deadline);
    stream_loop_destroy(link->streams);
    tls_context_release(link->options.tls);
    xfree(link->user);
    xfree(link->password_file);
    link->magic = 0;
    xfree(link);
}
