/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_time.c - handshake, stall, idle, linger, deadline: every timeout of a stream, without a
 * timer of its own.
 *
 * Time is a count of ticks.  Each stream stands in the wheel's slot of the tick at which the
 * earliest of its timeouts could come; when the tick gets there it looks again and moves the stream
 * on.  Traffic only stores the number of the tick, so a request costs no timer.  A timeout further
 * away than the wheel is long is looked at on the way, once a turn of the wheel.
 *
 * Invariant: a stream that is not DEAD is on the wheel, except while the tick looks at it.
 * Time:      the loop's tick, driven by libev's monotonic clock; a late loop makes timeouts late,
 *            never early.
 */
#include "core/stream_internal.h"

#include "core/check.h"

uint64_t stream_ticks(const struct stream_loop *loop, unsigned timeout_ms)
{
    return (timeout_ms + loop->options.tick_ms - 1) / loop->options.tick_ms + 1;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The earliest tick at which something could be due. */
static uint64_t next_check(const struct stream *stream)
{
    const struct stream_loop_options *options = &stream->loop->options;
    uint64_t due = UINT64_MAX;

    if (stream->state == CONNECTING || stream->state == HANDSHAKE) {
        due = stream->begin_tick + stream_ticks(stream->loop, options->handshake_timeout_ms);
    } else if (stream->state == LINGERING) {
        due = stream->begin_tick + stream_ticks(stream->loop, options->linger_timeout_ms);
    } else if (stream->is_blocked) {
        due = stream->progress_tick + stream_ticks(stream->loop, options->stall_timeout_ms);
    } else {
        due = stream->touched_tick + stream_ticks(stream->loop, options->idle_timeout_ms);
    }
    if (stream->deadline_tick != 0) {
        due = sooner(due, stream->deadline_tick);
    }
    if (stream->has_buffers) {
        due = sooner(due, stream->touched_tick + QUIET_TICKS);
    }
    return due;
}

/* Let the wheel look no later than needed.  Later than needed is never set right here: the wheel
 * finds nothing due and moves the stream on, which costs less than moving it at every request. */
void stream_plan_check(struct stream *stream)
{
    struct stream_loop *loop = stream->loop;
    const uint64_t wanted =
        sooner(MAX_OF(next_check(stream), loop->tick + 1), loop->tick + WHEEL_SLOTS - 1);

    if (list_is_linked(&stream->wheel_node) && stream->check_tick <= wanted) {
        return;
    }
    list_remove(&stream->wheel_node);
    stream->check_tick = wanted;
    list_append(&loop->wheel[wanted % WHEEL_SLOTS], &stream->wheel_node);
}

void stream_touch(struct stream *stream)
{
    stream->touched_tick = stream->loop->tick;
    if (!stream->has_buffers && stream->wire.ssl != NULL) {
        stream->has_buffers = true;
        stream_plan_check(stream);
    }
}

static void tell_timeout(struct stream *stream, enum stream_reason reason)
{
    if (stream->handlers->on_timeout != NULL) {
        stream->handlers->on_timeout(stream, reason);
    } else {
        stream_begin_closing(stream, reason);
    }
}

static bool is_past(const struct stream *stream, uint64_t since, unsigned timeout_ms)
{
    return stream->loop->tick >= since + stream_ticks(stream->loop, timeout_ms);
}

static void check_open(struct stream *stream)
{
    const struct stream_loop_options *options = &stream->loop->options;

    if (stream->is_blocked) {
        if (is_past(stream, stream->progress_tick, options->stall_timeout_ms)) {
            stream_end(stream, STREAM_STALLED);
            return;
        }
    } else if (is_past(stream, stream->touched_tick, options->idle_timeout_ms)) {
        stream->touched_tick = stream->loop->tick;
        tell_timeout(stream, STREAM_IDLE);
    }
    if (stream->state == OPEN && stream->deadline_tick != 0 &&
        stream->loop->tick >= stream->deadline_tick) {
        stream->deadline_tick = 0;
        tell_timeout(stream, STREAM_DEADLINE);
    }
}

/* The wheel came by: is anything due? */
static void check_time(struct stream *stream)
{
    const struct stream_loop_options *options = &stream->loop->options;

    switch (stream->state) {
    case CONNECTING:
    case HANDSHAKE:
        if (is_past(stream, stream->begin_tick, options->handshake_timeout_ms)) {
            stream_end(stream, STREAM_HANDSHAKE_TIMEOUT);
        }
        break;
    case OPEN:
        check_open(stream);
        break;
    case CLOSING:
        if (stream->loop->tick >= stream->deadline_tick ||
            (stream->is_blocked &&
             is_past(stream, stream->progress_tick, options->stall_timeout_ms))) {
            stream_end(stream, STREAM_STALLED);
        }
        break;
    case LINGERING:
        if (is_past(stream, stream->begin_tick, options->linger_timeout_ms)) {
            stream_end(stream, STREAM_CLOSED);
        }
        break;
    case DEAD:
        break;
    }
    if (stream->has_buffers && stream->loop->tick >= stream->touched_tick + QUIET_TICKS) {
        stream->has_buffers = false;
        wire_rest(&stream->wire);
    }
}

void stream_on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct stream_loop *loop = CONTAINER_OF(timer, struct stream_loop, tick_timer);
    struct list due;
    struct list *node;

    (void)ev;
    (void)events;
    loop->tick++;
    list_init(&due);
    list_splice(&due, &loop->wheel[loop->tick % WHEEL_SLOTS]);
    while ((node = list_take_first(&due)) != NULL) {
        struct stream *stream = CONTAINER_OF(node, struct stream, wheel_node);

        check_time(stream);
        if (stream->state != DEAD) {
            stream_plan_check(stream);
        }
    }
}
