/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.c - the window of one lane and the four modes it goes through.
 *
 * Invariants: window + out + mail never exceed LANE_WINDOW_MAX but for what a peer had on its way;
 *             a PARKED lane has an empty window and nothing out;
 *             a PROBING lane has at most one delivery out.
 * Memory:     owns the deliveries of its window; a call or store mail owns the others.
 * Time:       arguments only.
 */
#include "delivery/lane.h"

#include "core/check.h"
#include "delivery/retry.h"
#include "routing/rule.h"

enum { LANE_MAGIC = 0x4C414E45 };

struct lane *lane_new(struct slice name)
{
    struct lane *lane = xcalloc(1, sizeof(*lane));

    CHECK(name.len <= STORE_LANE_CHARS_MAX);
    lane->magic = LANE_MAGIC;
    memcpy(lane->name_chars, name.data, name.len);
    lane->name = (struct slice){lane->name_chars, name.len};
    heap_init(&lane->window);
    list_init(&lane->known);
    list_init(&lane->turn);
    list_init(&lane->hunger);
    list_init(&lane->idle);
    return lane;
}

void lane_destroy(struct lane *lane)
{
    struct heap_node *node;

    if (lane == NULL) {
        return;
    }
    CHECK_MAGIC(lane, LANE_MAGIC);
    CHECK(!list_is_linked(&lane->known));
    CHECK(!list_is_linked(&lane->turn));
    CHECK(!list_is_linked(&lane->hunger));
    CHECK(!heap_is_linked(&lane->wake));
    CHECK(lane->destination == NULL);
    while ((node = heap_pop(&lane->window)) != NULL) {
        delivery_state_free(CONTAINER_OF(node, struct delivery, due));
    }
    heap_clean_up(&lane->window);
    list_remove(&lane->idle);
    arena_clean_up(&lane->names);
    lane->magic = 0;
    xfree(lane);
}

uint32_t lane_attempts_max(const struct lane *lane)
{
    CHECK(lane->target != NULL);
    return lane->is_dlq ? RETRY_ATTEMPTS_DEFAULT : lane->target->attempts_max;
}

uint64_t lane_age_max_ms(const struct lane *lane)
{
    CHECK(lane->target != NULL);
    return lane->is_dlq ? RETRY_AGE_DEFAULT_MS : lane->target->age_max_ms;
}

bool lane_is_impatient(const struct lane *lane)
{
    return lane->step != NULL && lane->step->goes_on;
}

size_t lane_held_count(const struct lane *lane)
{
    return lane->window.count + lane->out_count + lane->mail_count;
}

bool lane_is_idle(const struct lane *lane)
{
    return lane_held_count(lane) == 0 && !lane->has_backlog && !lane->is_claiming &&
           lane->mode == LANE_OPEN && !heap_is_linked(&lane->wake);
}

/* ---- the window --------------------------------------------------------------------------- */

void lane_queue(struct lane *lane, struct delivery *delivery)
{
    CHECK_MAGIC(lane, LANE_MAGIC);
    CHECK(delivery->sm.state == DELIVERY_QUEUED);
    delivery->lane = lane;
    /* Of a batch there is one reply, and it is kept as one step's. */
    delivery->is_alone = delivery->is_alone || (lane->step != NULL && lane->step->keep_count > 0);
    heap_push(&lane->window, &delivery->due, delivery->due_ms);
}

void lane_put_back(struct lane *lane, struct delivery *delivery)
{
    CHECK(delivery->lane == lane);
    CHECK(lane->out_count > 0);
    list_remove(&delivery->node);
    lane->out_count--;
    delivery_state_move(delivery, DELIVERY_QUEUED);
    heap_push(&lane->window, &delivery->due, delivery->due_ms);
}

struct delivery *lane_peek(const struct lane *lane)
{
    struct heap_node *node = heap_peek(&lane->window);

    return node != NULL ? CONTAINER_OF(node, struct delivery, due) : NULL;
}

struct delivery *lane_take(struct lane *lane)
{
    struct delivery *delivery = lane_peek(lane);

    CHECK(lane_may_send(lane));
    heap_remove(&lane->window, &delivery->due);
    delivery_state_move(delivery, DELIVERY_READY);
    lane->out_count++;
    return delivery;
}

struct delivery *lane_pull(struct lane *lane, enum delivery_state state)
{
    struct delivery *delivery = lane_peek(lane);

    if (delivery != NULL) {
        lane_remove(lane, delivery, state);
    }
    return delivery;
}

void lane_remove(struct lane *lane, struct delivery *delivery, enum delivery_state state)
{
    CHECK(delivery->lane == lane);
    CHECK(heap_is_linked(&delivery->due));
    heap_remove(&lane->window, &delivery->due);
    delivery_state_move(delivery, state);
}

void lane_finish(struct lane *lane, struct delivery *delivery, enum delivery_state state)
{
    CHECK(delivery->lane == lane);
    CHECK(lane->out_count > 0);
    list_remove(&delivery->node);
    lane->out_count--;
    delivery_state_move(delivery, state);
}

bool lane_may_send(const struct lane *lane)
{
    if (lane->window.count == 0 || lane->is_held || lane->doom != NULL) {
        return false;
    }
    return lane->mode == LANE_OPEN || (lane->mode == LANE_PROBING && lane->out_count == 0);
}

size_t lane_claim_count(const struct lane *lane)
{
    const size_t held = lane_held_count(lane);

    if (!lane->has_backlog || lane->is_claiming || lane->is_choked || lane->is_held ||
        held >= LANE_REFILL_UNDER || lane->mode == LANE_PARKED || lane->mode == LANE_PARKING) {
        return 0;
    }
    return LANE_WINDOW_MAX - held;
}

/* ---- the modes ---------------------------------------------------------------------------- */

void lane_note_success(struct lane *lane)
{
    lane->failure_count = 0;
    if (lane->mode == LANE_PROBING || lane->mode == LANE_PARKING) {
        lane->mode = LANE_OPEN;
    }
}

bool lane_note_failure(struct lane *lane)
{
    switch (lane->mode) {
    case LANE_OPEN:
        lane->failure_count++;
        if (lane->failure_count < LANE_PARK_AFTER) {
            return false;
        }
        break;
    case LANE_PROBING:
        lane->failure_count++;
        break;
    case LANE_PARKING: /* a call that began before: one step per interval is enough */
    case LANE_PARKED:
    default:
        return false;
    }
    lane->mode = LANE_PARKING;
    return true;
}

void lane_begin_park(struct lane *lane)
{
    CHECK(lane->mode == LANE_OPEN || lane->mode == LANE_PROBING);
    lane->mode = LANE_PARKING;
}

void lane_park(struct lane *lane, uint64_t until_ms)
{
    CHECK(lane->mode == LANE_PARKING);
    CHECK(lane->out_count == 0);
    CHECK(lane->window.count == 0);
    lane->mode = LANE_PARKED;
    lane->parked_until_ms = until_ms;
    lane->has_backlog = true;
}

void lane_unpark(struct lane *lane)
{
    CHECK(lane->mode == LANE_PARKED);
    lane->mode = LANE_PROBING;
}

void lane_reset(struct lane *lane)
{
    lane->mode = LANE_OPEN;
    lane->failure_count = 0;
    lane->parked_until_ms = 0;
}
