/* SPDX-License-Identifier: Apache-2.0
 *
 * door.h - a front door to knock at: a listener without a socket, one scripted client over a
 * socketpair, and a handler that writes down what reaches it.
 *
 * Everything runs in one thread: door_pump() turns the loop until nothing moves any more, so a
 * script needs no sleeps and no threads.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <ev.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/digest.h"
#include "core/moment.h"
#include "core/stream.h"
#include "gateway/listener.h"

enum { DOOR_RECEIVED_MAX = 16 * 1024 * 1024, DOOR_QUIET_TURNS = 6, DOOR_PATIENCE_MS = 20000 };

struct door {
    struct ev_loop *loop;
    struct stream_loop *streams;
    struct listener *listener;
    int fd; /* the client's end */
    struct buf received;
    bool is_closed; /* the client saw the end */
    bool is_deaf;   /* the client does not read */

    /* what reached the handler */
    unsigned head_count;
    unsigned request_count;
    char method[16];
    char path[64];
    char query[64];
    char authority[64];
    struct digest body_digest;
    size_t body_len;
    size_t header_count;

    /* what the handler does */
    enum err head_err;
    size_t body_max;
    bool holds;                /* keep the request instead of answering */
    struct request *held[256]; /* in order of arrival */
    size_t held_count;
    struct slice answer; /* the body of every answer */
    unsigned drained_count;
};

static inline void door_copy(char *room, size_t room_len, struct slice text)
{
    (void)snprintf(room, room_len, "%.*s", SLICE_ARG(text));
}

static enum err door_on_head(void *context, struct request *request, size_t *body_max)
{
    struct door *door = context;

    (void)request;
    door->head_count++;
    if (door->body_max != 0) {
        *body_max = door->body_max;
    }
    return door->head_err;
}

static inline void door_answer(struct door *door, struct request *request)
{
    request->response.status = 200;
    request->response.content_type = SLICE("text/plain");
    request->response.body = door->answer;
    request_respond(request);
}

static void door_on_request(void *context, struct request *request)
{
    struct door *door = context;
    struct digest whole;

    door->request_count++;
    door_copy(door->method, sizeof(door->method), request->method);
    door_copy(door->path, sizeof(door->path), request->path);
    door_copy(door->query, sizeof(door->query), request->query);
    door_copy(door->authority, sizeof(door->authority), request->authority);
    door->body_digest = request->body_digest;
    door->body_len = request->body.len;
    door->header_count = request->header_count;
    digest_sha256(buf_slice(&request->body), &whole);
    CHECK(digest_equal(digest_slice(&whole), digest_slice(&request->body_digest)));
    if (door->holds) {
        CHECK(door->held_count < ARRAY_LEN(door->held));
        door->held[door->held_count++] = request;
        return;
    }
    door_answer(door, request);
}

/* A client end that the listener takes as a connection. */
static inline int door_connect(struct door *door)
{
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    listener_adopt(door->listener, ends[1], SLICE("192.0.2.1"));
    return ends[0];
}

static inline void door_open_with(struct door *door, const struct http_limits *limits,
                                  unsigned tick_ms)
{
    struct stream_loop_options streams;

    digest_init();
    *door = (struct door){.answer = SLICE("hello")};
    door->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(door->loop != NULL);
    streams = stream_loop_defaults(door->loop);
    streams.tick_ms = tick_ms;
    door->streams = stream_loop_new(&streams);
    CHECK(listener_open(
              &(struct listener_options){
                  .loop = door->loop,
                  .streams = door->streams,
                  .limits = limits,
                  .handler = {.on_head = door_on_head,
                              .on_request = door_on_request,
                              .context = door},
              },
              &door->listener, NULL) == ERR_OK);
    buf_init(&door->received, DOOR_RECEIVED_MAX);
    door->fd = door_connect(door);
}

static inline void door_open(struct door *door)
{
    door_open_with(door, NULL, 1000);
}

/* What the handler holds is answered after everything else has gone: it must be harmless. */
static inline void door_close(struct door *door)
{
    if (door->fd >= 0) {
        (void)close(door->fd);
    }
    stream_loop_destroy(door->streams);
    listener_destroy(door->listener);
    for (size_t i = 0; i < door->held_count; i++) {
        if (door->held[i] != NULL) {
            door_answer(door, door->held[i]);
        }
    }
    ev_loop_destroy(door->loop);
    buf_clean_up(&door->received);
}

/* Read what is there. True: something moved. */
static inline bool door_listen(struct door *door)
{
    bool has_moved = false;
    char room[16384];

    while (!door->is_deaf && !door->is_closed) {
        const ssize_t len = recv(door->fd, room, sizeof(room), 0);

        if (len > 0) {
            CHECK(buf_append(&door->received, (struct slice){room, (size_t)len}) == ERR_OK);
        } else if (len == 0 || errno == ECONNRESET) {
            door->is_closed = true;
        } else {
            CHECK(errno == EAGAIN);
            break;
        }
        has_moved = true;
    }
    return has_moved;
}

/* Turn the loop until nothing moves. */
static inline void door_pump(struct door *door)
{
    unsigned quiet = 0;

    while (quiet < DOOR_QUIET_TURNS) {
        (void)ev_run(door->loop, EVRUN_NOWAIT);
        quiet = door_listen(door) ? 0 : quiet + 1;
    }
}

/* Turn the loop, timers and all, until the connection has ended for the client. */
static inline void door_wait_closed(struct door *door)
{
    const uint64_t give_up_ms = moment_steady_ms() + DOOR_PATIENCE_MS;

    while (!door->is_closed) {
        CHECK(moment_steady_ms() < give_up_ms);
        (void)ev_run(door->loop, EVRUN_ONCE);
        (void)door_listen(door);
    }
}

/* Send everything, letting the server read meanwhile. False: the server has closed. */
static inline bool door_send(struct door *door, struct slice bytes)
{
    while (bytes.len > 0) {
        const ssize_t len = send(door->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (len > 0) {
            bytes = slice_from(bytes, (size_t)len);
        } else if (errno == EAGAIN) {
            (void)ev_run(door->loop, EVRUN_NOWAIT);
            (void)door_listen(door);
        } else {
            return false;
        }
    }
    return true;
}

static inline struct slice door_received(const struct door *door)
{
    return buf_slice(&door->received);
}

/* The status of an HTTP/1.1 answer that begins at `at` bytes into what was received; 0: none. */
static inline unsigned door_status_at(const struct door *door, size_t at)
{
    struct slice text = slice_from(door_received(door), at);
    uint64_t status;

    if (!slice_has_prefix(text, SLICE("HTTP/1.1 ")) || text.len < 12) {
        return 0;
    }
    return slice_to_u64((struct slice){text.data + 9, 3}, &status) ? (unsigned)status : 0;
}

static inline unsigned door_count_text(const struct door *door, struct slice wanted)
{
    const struct slice text = door_received(door);
    unsigned count = 0;

    for (size_t i = 0; i + wanted.len <= text.len; i++) {
        count += memcmp(text.data + i, wanted.data, wanted.len) == 0 ? 1 : 0;
    }
    return count;
}

static inline bool door_has_text(const struct door *door, struct slice wanted)
{
    return door_count_text(door, wanted) > 0;
}
