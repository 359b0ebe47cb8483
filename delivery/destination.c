/* SPDX-License-Identifier: Apache-2.0
 *
 * destination.c - the gate and the turns of one destination.
 *
 * Turns: the lane in front sends while its deficit lasts, then gets another quantum and goes to the
 * back.  So in the long run every lane sends the same number of bytes, however large its backlog
 * and however large its events are.  A lane leaves the line when it has nothing to send, and its
 * deficit with it.
 *
 * Invariants: a lane is in line exactly when lane_may_send(), as of its last destination_enlist();
 *             call_count <= DESTINATION_CALLS_MAX.
 * Time:       arguments only.
 */
#include "delivery/destination.h"

#include "core/check.h"

enum { DESTINATION_MAGIC = 0x44455354 };

struct destination *destination_new(struct slice key, uint64_t now_ms)
{
    struct destination *destination = xcalloc(1, sizeof(*destination));

    destination->magic = DESTINATION_MAGIC;
    destination->key = arena_copy(&destination->arena, key);
    destination->limit = DESTINATION_CALLS_FIRST;
    destination->ramp_ms = now_ms;
    list_init(&destination->ready);
    list_init(&destination->hungry);
    list_init(&destination->active);
    return destination;
}

void destination_destroy(struct destination *destination)
{
    CHECK_MAGIC(destination, DESTINATION_MAGIC);
    CHECK(destination->references == 0);
    CHECK(destination->call_count == 0);
    CHECK(destination->claim_count == 0);
    CHECK(list_is_empty(&destination->ready));
    CHECK(list_is_empty(&destination->hungry));
    CHECK(!list_is_linked(&destination->active));
    CHECK(!heap_is_linked(&destination->wake));
    CHECK(destination->credentials == NULL);
    CHECK(destination->target == NULL);
    arena_clean_up(&destination->arena);
    destination->magic = 0;
    xfree(destination);
}

/* ---- the gate ----------------------------------------------------------------------------- */

static double ceiling_at(const struct destination *destination, uint64_t now_ms)
{
    const uint64_t passed_ms = now_ms > destination->ramp_ms ? now_ms - destination->ramp_ms : 0;
    double ceiling = DESTINATION_CALLS_FIRST;

    for (uint64_t ms = DESTINATION_RAMP_MS; ms <= passed_ms && ceiling < DESTINATION_CALLS_MAX;
         ms += DESTINATION_RAMP_MS) {
        ceiling *= 2;
    }
    return MIN_OF(ceiling, (double)DESTINATION_CALLS_MAX);
}

/* What the rate may save up while nothing is sent: what timers of a millisecond would lose. */
static double tokens_max(const struct destination *destination)
{
    return MAX_OF(destination->calls_per_second / 10, 1.0);
}

void destination_set_rate(struct destination *destination, double calls_per_second, uint64_t now_ms)
{
    CHECK(calls_per_second > 0);
    destination->calls_per_second = calls_per_second;
    destination->call_tokens = tokens_max(destination);
    destination->tokens_ms = now_ms;
}

static double tokens_at(const struct destination *destination, uint64_t now_ms)
{
    const uint64_t passed_ms =
        now_ms > destination->tokens_ms ? now_ms - destination->tokens_ms : 0;

    return MIN_OF(destination->call_tokens +
                      destination->calls_per_second * (double)passed_ms / 1000,
                  tokens_max(destination));
}

/* When the rate allows the next call; 0: now. */
static uint64_t rate_until_ms(const struct destination *destination, uint64_t now_ms)
{
    const double tokens = tokens_at(destination, now_ms);

    if (destination->calls_per_second <= 0 || tokens >= 1) {
        return 0;
    }
    return now_ms + 1 + (uint64_t)((1 - tokens) * 1000 / destination->calls_per_second);
}

bool destination_may_start(struct destination *destination, uint64_t now_ms)
{
    if (destination->calls_per_second > 0) { /* destination_start() takes one of these */
        destination->call_tokens = tokens_at(destination, now_ms);
        destination->tokens_ms = MAX_OF(destination->tokens_ms, now_ms);
    }
    if (rate_until_ms(destination, now_ms) != 0) {
        return false;
    }
    if (destination->is_preparing || now_ms < destination->pause_until_ms ||
        (double)destination->call_count + 1 > destination->limit) {
        return false;
    }
    return breaker_allows(&destination->breaker, now_ms);
}

uint64_t destination_shut_until_ms(const struct destination *destination, uint64_t now_ms)
{
    uint64_t until_ms = MAX_OF(destination->pause_until_ms, rate_until_ms(destination, now_ms));

    if (destination->breaker.state == BREAKER_OPEN) {
        until_ms = MAX_OF(until_ms, destination->breaker.until_ms);
    }
    return until_ms > now_ms ? until_ms : 0;
}

void destination_unshut(struct destination *destination)
{
    destination->pause_until_ms = 0;
    if (destination->breaker.state == BREAKER_OPEN) {
        destination->breaker.until_ms = 0;
    }
}

bool destination_is_probing(const struct destination *destination)
{
    return destination->breaker.state == BREAKER_HALF_OPEN;
}

bool destination_may_claim(struct destination *destination, uint64_t now_ms)
{
    if (now_ms < destination->pause_until_ms || !breaker_allows(&destination->breaker, now_ms)) {
        return false;
    }
    return !destination_is_probing(destination) ||
           (list_is_empty(&destination->ready) && destination->claim_count == 0);
}

bool destination_start(struct destination *destination)
{
    CHECK_MAGIC(destination, DESTINATION_MAGIC);
    CHECK(destination->call_count < DESTINATION_CALLS_MAX);
    breaker_start(&destination->breaker);
    destination->call_tokens -= destination->calls_per_second > 0 ? 1 : 0;
    destination->call_count++;
    return destination->breaker.has_probe;
}

/* One more call at once per round of successes, while the calls allowed are also used. */
static void grow(struct destination *destination, uint64_t now_ms)
{
    const double ceiling = ceiling_at(destination, now_ms);

    if ((double)destination->call_count * 2 >= destination->limit) {
        destination->limit += 1 / destination->limit;
    }
    destination->limit = MIN_OF(destination->limit, ceiling);
}

/* Halve; what was sent before the last cut does not count against what is sent since. */
static void cut(struct destination *destination, uint64_t started_ms, uint64_t now_ms)
{
    if (started_ms < destination->cut_ms) {
        return;
    }
    destination->limit = MAX_OF(destination->limit / 2, 1.0);
    destination->cut_ms = now_ms;
}

void destination_finish(struct destination *destination, enum destination_verdict verdict,
                        bool is_probe, uint64_t started_ms, uint64_t now_ms, uint64_t seed)
{
    CHECK_MAGIC(destination, DESTINATION_MAGIC);
    CHECK(destination->call_count > 0);
    switch (verdict) {
    case DESTINATION_WELL:
    case DESTINATION_THROTTLED: /* it lives: the breaker is not about this */
        breaker_note(&destination->breaker, false, is_probe, now_ms, seed);
        break;
    case DESTINATION_FAILED:
        breaker_note(&destination->breaker, true, is_probe, now_ms, seed);
        break;
    case DESTINATION_UNTOUCHED:
    default:
        if (is_probe) {
            breaker_cancel(&destination->breaker);
        }
        break;
    }
    if (verdict == DESTINATION_WELL && is_probe) {
        destination->limit = DESTINATION_CALLS_FIRST;
        destination->ramp_ms = now_ms;
    } else if (verdict == DESTINATION_WELL) {
        grow(destination, now_ms);
    } else if (verdict != DESTINATION_UNTOUCHED) {
        cut(destination, started_ms, now_ms);
    }
    destination->call_count--;
}

void destination_rewind(struct destination *destination, uint64_t now_ms, uint64_t step_ms)
{
    CHECK_MAGIC(destination, DESTINATION_MAGIC);
    destination->ramp_ms = MIN_OF(destination->ramp_ms, now_ms);
    destination->cut_ms = MIN_OF(destination->cut_ms, now_ms);
    destination->tokens_ms = MIN_OF(destination->tokens_ms, now_ms);
    destination->pause_until_ms -= MIN_OF(destination->pause_until_ms, step_ms);
    breaker_rewind(&destination->breaker, now_ms, step_ms);
}

void destination_pause(struct destination *destination, uint64_t until_ms)
{
    destination->pause_until_ms = MAX_OF(destination->pause_until_ms, until_ms);
}

/* ---- the turns ---------------------------------------------------------------------------- */

static void leave_line(struct lane *lane)
{
    list_remove(&lane->turn);
    lane->deficit_bytes = 0;
}

void destination_enlist(struct destination *destination, struct lane *lane)
{
    CHECK(lane->destination == destination);
    if (!lane_may_send(lane)) {
        leave_line(lane);
    } else if (!list_is_linked(&lane->turn)) {
        list_append(&destination->ready, &lane->turn);
    }
}

static uint64_t cost_of(const struct delivery *delivery)
{
    return delivery->body.len + DESTINATION_COST_BYTES;
}

/* The lane whose turn it is, with a deficit that covers its next delivery. */
static struct lane *next_lane(struct destination *destination)
{
    for (;;) {
        struct lane *lane = CONTAINER_OF(destination->ready.next, struct lane, turn);

        if (lane->deficit_bytes >= cost_of(lane_peek(lane))) {
            return lane;
        }
        lane->deficit_bytes += DESTINATION_QUANTUM_BYTES;
        list_remove(&lane->turn);
        list_append(&destination->ready, &lane->turn);
    }
}

size_t destination_pick(struct destination *destination, size_t count_max, size_t bytes_max,
                        struct list *batch)
{
    size_t count = 0;
    size_t bytes = 0;
    bool is_alone = false;

    CHECK_MAGIC(destination, DESTINATION_MAGIC);
    while (count < count_max && !is_alone && !list_is_empty(&destination->ready)) {
        struct lane *lane = next_lane(destination);
        struct delivery *delivery = lane_peek(lane);

        is_alone = delivery->is_alone || lane->mode == LANE_PROBING;
        if (count > 0 && (is_alone || delivery->body.len > bytes_max - bytes)) {
            break;
        }
        lane->deficit_bytes -= cost_of(delivery);
        bytes += MIN_OF(delivery->body.len, bytes_max - bytes);
        count++;
        list_append(batch, &lane_take(lane)->node);
        destination_enlist(destination, lane);
    }
    return count;
}
