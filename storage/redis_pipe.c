/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_pipe.c - the calls of one node: which goes out next, and which one an answer belongs to.
 *
 *     own ─────┐
 *     again ───┼──> sent ──(its reply)──> taken off
 *     waiting ─┘
 *
 * Redis answers in the order of the questions, so the first call of `sent` owns the next reply.  A
 * call is `sent` from its first byte on: from then on nobody can say that Redis will not execute
 * it. A call that was asked elsewhere in a cluster may carry ASKING in front, which has a reply of
 * its own.
 *
 * Invariant: call_count and byte_count are those of all four lists; `writing` is the last of
 * `sent`.
 */
#include "core/check.h"
#include "storage/redis_internal.h"

static const struct slice asking = SLICE_INIT("*1\r\n$6\r\nASKING\r\n");

void redis_pipe_init(struct redis_pipe *pipe)
{
    *pipe = (struct redis_pipe){.call_count = 0};
    list_init(&pipe->own);
    list_init(&pipe->waiting);
    list_init(&pipe->sent);
    list_init(&pipe->again);
}

void redis_pipe_clean_up(struct redis_pipe *pipe)
{
    CHECK(pipe->call_count == 0);
    CHECK(pipe->byte_count == 0);
    redis_reader_destroy(pipe->reader);
    pipe->reader = NULL;
}

void redis_pipe_restart(struct redis_pipe *pipe)
{
    CHECK(list_is_empty(&pipe->sent));
    pipe->writing = NULL;
    redis_reader_destroy(pipe->reader);
    pipe->reader = redis_reader_new();
}

static void put(struct redis_pipe *pipe, struct list *list, struct redis_call *call)
{
    CHECK(!list_is_linked(&call->node));
    list_append(list, &call->node);
    pipe->call_count++;
    pipe->byte_count += call->len;
}

void redis_pipe_add(struct redis_pipe *pipe, struct redis_call *call)
{
    put(pipe, call->is_own ? &pipe->own : &pipe->waiting, call);
}

void redis_pipe_put_back(struct redis_pipe *pipe, struct redis_call *call)
{
    put(pipe, &pipe->again, call);
}

void redis_pipe_remove(struct redis_pipe *pipe, struct redis_call *call)
{
    CHECK(list_is_linked(&call->node));
    list_remove(&call->node);
    pipe->call_count--;
    pipe->byte_count -= call->len;
    if (pipe->writing == call) {
        pipe->writing = NULL;
    }
}

/* ---- out ---- */

static struct list *next_unsent(const struct redis_pipe *pipe, bool with_callers)
{
    if (!list_is_empty(&pipe->own)) {
        return pipe->own.next;
    }
    if (!with_callers) {
        return NULL;
    }
    if (!list_is_empty(&pipe->again)) {
        return pipe->again.next;
    }
    return !list_is_empty(&pipe->waiting) ? pipe->waiting.next : NULL;
}

bool redis_pipe_has_unsent(const struct redis_pipe *pipe, bool with_callers)
{
    return pipe->writing != NULL || next_unsent(pipe, with_callers) != NULL;
}

static bool begin_next(struct redis_pipe *pipe, bool with_callers)
{
    struct list *node = next_unsent(pipe, with_callers);

    if (node == NULL) {
        return false;
    }
    list_remove(node);
    list_append(&pipe->sent, node);
    pipe->writing = CONTAINER_OF(node, struct redis_call, node);
    pipe->asking_left = pipe->writing->is_asking ? asking.len : 0;
    pipe->written = 0;
    return true;
}

static size_t copy_some(char *room, size_t room_len, struct slice bytes)
{
    const size_t len = MIN_OF(room_len, bytes.len);

    if (len > 0) {
        memcpy(room, bytes.data, len);
    }
    return len;
}

size_t redis_pipe_fill(struct redis_pipe *pipe, bool with_callers, char *room, size_t room_len)
{
    size_t used = 0;

    while (used < room_len && (pipe->writing != NULL || begin_next(pipe, with_callers))) {
        const struct redis_call *call = pipe->writing;
        const size_t before = copy_some(room + used, room_len - used,
                                        slice_from(asking, asking.len - pipe->asking_left));
        size_t count;

        pipe->asking_left -= before;
        used += before;
        count = copy_some(room + used, room_len - used,
                          (struct slice){call->bytes + pipe->written, call->len - pipe->written});
        pipe->written += count;
        used += count;
        if (pipe->written == call->len) {
            pipe->writing = NULL;
        }
    }
    return used;
}

/* ---- in ---- */

struct redis_call *redis_pipe_answered(const struct redis_pipe *pipe)
{
    struct redis_call *call;

    if (list_is_empty(&pipe->sent)) {
        return NULL;
    }
    call = CONTAINER_OF(pipe->sent.next, struct redis_call, node);
    if (call == pipe->writing && !(call->is_asking && pipe->asking_left == 0)) {
        return NULL; /* an answer to half a question */
    }
    return call;
}
