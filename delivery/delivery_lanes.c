/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_lanes.c - lanes and destinations under the snapshot in use, and work between workers.
 *
 * A lane exists here while something of it is held, owed or remembered, and a little longer.  It is
 * resolved when it is made and again with every snapshot.  A target that no snapshot has known yet
 * may be one that another worker's newer snapshot knows, so its lane is held for a few seconds
 * before it counts as removed; a target that was known and is gone was removed.
 *
 * Which worker owns a lane follows from its destination, so a snapshot can move it: what waits here
 * is then handed over, claims and all, and what is in flight ends here.  While two workers use
 * different snapshots they may disagree about the owner; after a few hops a delivery stays where it
 * is.  That costs a second set of calls to one destination for a moment, never a delivery.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "delivery/delivery_internal.h"
#include "delivery/resolve.h"
#include "routing/event.h"

/* ---- destinations ------------------------------------------------------------------------- */

static struct destination *destination_make(struct delivery_engine *engine,
                                            const struct resolution *resolution)
{
    const struct target_ops *ops = target_find(resolution->arn);
    const struct target_options options = {.endpoints = engine->options.endpoints,
                                           .endpoint_count = engine->options.endpoint_count,
                                           .sqs_batch_bytes_max =
                                               engine->options.sqs_batch_bytes_max,
                                           .api_destination = resolution->api_destination};
    struct destination *destination;
    struct target *target;
    struct err_why why;
    struct arena *arena;

    CHECK(ops != NULL);
    if (ops->open(&options, resolution->arn, &target, &why) != ERR_OK) {
        log_warn("delivery.bad_target", LOG_TEXT("why", why.text));
        return NULL;
    }
    destination = destination_new(resolution->key, engine->now_ms);
    arena = &destination->arena;
    destination->target = target;
    destination->arn = arena_copy(arena, resolution->arn);
    destination->role_arn = arena_copy(arena, resolution->role_arn);
    destination->external_id = arena_copy(arena, resolution->external_id);
    destination->account = arena_copy(arena, resolution->account->id);
    if (resolution->api_destination != NULL) {
        destination_set_rate(destination, (double)resolution->api_destination->calls_per_second,
                             engine->now_ms);
    }
    (void)map_put(&engine->destinations, destination->key, destination);
    return destination;
}

void delivery_destination_release(struct delivery_engine *engine, struct destination *destination)
{
    CHECK(destination->references > 0);
    destination->references--;
    if (destination->references > 0) {
        return;
    }
    (void)map_remove(&engine->destinations, destination->key);
    list_remove(&destination->active);
    heap_remove(&engine->destination_wakes, &destination->wake);
    credentials_release(destination->credentials);
    destination->credentials = NULL;
    destination->target->ops->close(destination->target);
    destination->target = NULL;
    destination_destroy(destination);
}

/* ---- lanes -------------------------------------------------------------------------------- */

void delivery_lane_wake_at(struct delivery_engine *engine, struct lane *lane, uint64_t ms)
{
    if (ms == UINT64_MAX || (heap_is_linked(&lane->wake) && lane->wake.key <= ms)) {
        return;
    }
    heap_remove(&engine->lane_wakes, &lane->wake);
    heap_push(&engine->lane_wakes, &lane->wake, ms);
}

static void leave_destination(struct delivery_engine *engine, struct lane *lane)
{
    struct destination *destination = lane->destination;

    list_remove(&lane->turn);
    list_remove(&lane->hunger);
    lane->deficit_bytes = 0;
    lane->destination = NULL;
    if (destination != NULL) {
        destination->claim_count -= lane->is_claiming ? 1 : 0;
        delivery_destination_release(engine, destination);
    }
}

static void join_destination(struct delivery_engine *engine, struct lane *lane,
                             struct destination *destination)
{
    if (lane->destination == destination) {
        return;
    }
    destination->references++; /* before leaving, which may be the last to hold something */
    destination->claim_count += lane->is_claiming ? 1 : 0;
    leave_destination(engine, lane);
    lane->destination = destination;
}

static void doom(struct delivery_engine *engine, struct lane *lane, const char *reason)
{
    if (lane->doom == NULL) {
        log_info("delivery.doomed_lane", LOG_SLICE("lane", lane->name), LOG_TEXT("reason", reason));
    }
    lane->doom = reason;
    lane->is_held = false;
    leave_destination(engine, lane);
    if (lane->mode == LANE_PARKED) {
        delivery_end_park(engine, lane);
    }
    lane_reset(lane);
}

static void take_names(struct lane *lane, const struct resolution *resolution)
{
    lane->rule = resolution->rule;
    lane->whole = resolution->whole;
    lane->target = resolution->target;
    lane->step = resolution->step;
    lane->account = resolution->account;
    lane->is_dlq = resolution->is_dlq;
    if (resolution->target == NULL) {
        return; /* the last names known still tell what it was */
    }
    if (!slice_eq(lane->label, resolution->rule->label) || !slice_eq(lane->arn, resolution->arn)) {
        arena_reset(&lane->names);
        lane->label = arena_copy(&lane->names, resolution->rule->label);
        lane->arn = arena_copy(&lane->names, resolution->arn);
    }
}

static void hold_unknown(struct delivery_engine *engine, struct lane *lane)
{
    lane->is_held = true;
    if (lane->unknown_since_ms == 0) {
        lane->unknown_since_ms = engine->now_ms;
    }
    delivery_lane_wake_at(engine, lane, lane->unknown_since_ms + engine->options.unknown_target_ms);
}

void delivery_lane_resolve(struct delivery_engine *engine, struct lane *lane)
{
    struct resolution resolution;
    struct destination *destination;

    arena_reset(&engine->scratch);
    resolve_lane(engine->directory, engine->ruleset, lane->name, &engine->scratch, &resolution);
    lane->owner = resolve_owner(&resolution, lane->name, engine->options.worker_count);
    take_names(lane, &resolution);
    if (resolution.unknown != NULL) {
        if (lane->was_resolved) {
            doom(engine, lane, resolution.unknown);
        } else {
            hold_unknown(engine, lane);
        }
        return;
    }
    lane->was_resolved = true;
    if (resolution.refused != NULL) {
        doom(engine, lane, resolution.refused);
        return;
    }
    destination = map_get(&engine->destinations, resolution.key);
    if (destination == NULL) {
        destination = destination_make(engine, &resolution);
    }
    if (destination == NULL) {
        doom(engine, lane, "unsupported-target");
        return;
    }
    if (lane->doom != NULL) {
        list_remove(&lane->turn); /* out of the graveyard */
        lane->doom = NULL;
    }
    join_destination(engine, lane, destination);
    lane->is_held = resolution.account->is_suspended;
}

void delivery_lane_give_up(struct delivery_engine *engine, struct lane *lane)
{
    const uint64_t until_ms = lane->unknown_since_ms + engine->options.unknown_target_ms;

    if (engine->ruleset == NULL || engine->now_ms < until_ms) {
        delivery_lane_wake_at(engine, lane, MAX_OF(until_ms, engine->now_ms + 1000));
        return;
    }
    doom(engine, lane, lane->target == NULL ? "target-removed" : "account-removed");
}

struct lane *delivery_lane(struct delivery_engine *engine, struct slice name)
{
    struct lane *lane = map_get(&engine->lanes, name);

    if (lane != NULL || engine->lanes.count >= DELIVERY_LANES_MAX) {
        return lane;
    }
    lane = lane_new(name);
    (void)map_put(&engine->lanes, lane->name, lane);
    list_append(&engine->known, &lane->known);
    delivery_lane_resolve(engine, lane);
    return lane;
}

void delivery_lane_forget(struct delivery_engine *engine, struct lane *lane)
{
    CHECK(lane_held_count(lane) == 0);
    CHECK(!lane->is_claiming);
    engine->idle_count -= list_is_linked(&lane->idle) ? 1 : 0;
    list_remove(&lane->idle);
    list_remove(&lane->known);
    heap_remove(&engine->lane_wakes, &lane->wake);
    leave_destination(engine, lane);
    (void)map_remove(&engine->lanes, lane->name);
    lane_destroy(lane);
}

/* ---- a new snapshot ----------------------------------------------------------------------- */

static void send_delivery(struct delivery_engine *engine, struct delivery *delivery,
                          unsigned owner);

/* A lane that belongs to another worker now: what waits goes there. */
static void hand_over(struct delivery_engine *engine, struct lane *lane)
{
    struct delivery *delivery;

    while ((delivery = lane_peek(lane)) != NULL) {
        heap_remove(&lane->window, &delivery->due);
        delivery->lane = NULL;
        delivery->hop_count = 0;
        engine->held_count--;
        engine->bytes_held -= delivery->body.len + delivery->state.len;
        send_delivery(engine, delivery, lane->owner);
    }
    if (lane->mode == LANE_PARKED) {
        engine->parked_count--;
        lane_reset(lane);
        lane->has_backlog = true;
    }
}

void delivery_use(struct delivery_engine *engine, const struct directory *directory,
                  const struct ruleset *ruleset)
{
    (void)delivery_clock(engine);
    engine->directory = directory;
    engine->ruleset = ruleset;
    LIST_FOREACH (node, &engine->known) {
        struct lane *lane = CONTAINER_OF(node, struct lane, known);

        delivery_lane_resolve(engine, lane);
        if (lane->is_held && lane->was_resolved) {
            delivery_abandon_window(engine, lane);
        } else if (lane->owner != engine->options.worker_index) {
            hand_over(engine, lane);
        }
        delivery_touch(engine, lane);
    }
}

unsigned delivery_owner(const struct directory *directory, const struct ruleset *ruleset,
                        struct slice lane, unsigned worker_count)
{
    struct resolution resolution;
    struct arena arena;
    unsigned owner;

    arena_init(&arena);
    resolve_lane(directory, ruleset, lane, &arena, &resolution);
    owner = resolve_owner(&resolution, lane, worker_count);
    arena_clean_up(&arena);
    return owner;
}

/* ---- deliveries between workers ----------------------------------------------------------- */

static void on_delivery(struct mail *mail);

/* Only asked for others than itself, hence never without an array of them. */
static struct delivery_engine *engine_at(const struct delivery_engine *engine, unsigned index)
{
    CHECK(engine->options.engines != NULL);
    CHECK(index != engine->options.worker_index);
    return engine->options.engines[index];
}

static void send_delivery(struct delivery_engine *engine, struct delivery *delivery, unsigned owner)
{
    struct delivery_engine *receiver = engine_at(engine, owner);

    delivery->receiver = receiver;
    delivery->hop_count++;
    delivery->mail = (struct mail){.on_arrival = on_delivery};
    mailbox_send(receiver->options.mailbox, &delivery->mail);
}

/* No room: the store takes it back at once, which costs no attempt. */
static void refuse_delivery(struct delivery_engine *engine, struct lane *lane,
                            struct delivery *delivery)
{
    delivery->lane = lane;
    delivery_state_move(delivery, DELIVERY_WAITING);
    delivery_retry_at(engine, delivery, engine->now_ms, ERR_OK);
}

static void accept_delivery(struct delivery_engine *engine, struct delivery *delivery)
{
    struct lane *lane = NULL;

    (void)delivery_clock(engine);
    if (!engine->is_draining) {
        lane = delivery_lane(engine, slice_of(delivery->ref.lane));
    }
    if (lane == NULL) { /* stopping, or too many lanes: found again when its claim has ended */
        delivery_state_free(delivery);
        return;
    }
    if (lane->owner != engine->options.worker_index && delivery->hop_count < DELIVERY_HOPS_MAX) {
        send_delivery(engine, delivery, lane->owner);
        delivery_touch(engine, lane);
        return;
    }
    delivery_hold(engine, delivery);
    if (lane->mode == LANE_PARKED || lane->mode == LANE_PARKING ||
        (lane->is_held && lane->was_resolved)) {
        delivery->lane = lane;
        delivery_state_move(delivery, DELIVERY_WAITING);
        delivery_abandon(engine, delivery);
    } else if (lane_held_count(lane) >= LANE_WINDOW_MAX ||
               engine->bytes_held + engine->bytes_reserved > engine->options.memory_bytes_max) {
        refuse_delivery(engine, lane, delivery);
    } else {
        lane_queue(lane, delivery);
        delivery_tell(engine, delivery, &(struct delivery_fact){.kind = DELIVERY_FACT_CLAIMED});
    }
    delivery_touch(engine, lane);
}

static void on_delivery(struct mail *mail)
{
    struct delivery *delivery = CONTAINER_OF(mail, struct delivery, mail);

    accept_delivery(delivery->receiver, delivery);
}

void delivery_offer(struct delivery_engine *engine, const struct delivery_offer *offer)
{
    struct delivery *delivery = delivery_state_new(&offer->ref, event_acquire(offer->event), NULL);

    delivery->claim_until_ms = offer->claim_until_ms;
    delivery->arrived_us = offer->arrived_us;
    delivery->offered_us = moment_steady_us();
    accept_delivery(engine, delivery);
}

/* ---- word of a backlog -------------------------------------------------------------------- */

struct backlog_mail {
    struct mail mail;
    struct delivery_engine *receiver;
    unsigned hop_count;
    char lane[STORE_LANE_CHARS_MAX + 1];
};

static void on_backlog(struct mail *mail)
{
    struct backlog_mail *note = CONTAINER_OF(mail, struct backlog_mail, mail);
    struct delivery_engine *engine = note->receiver;
    struct lane *lane = NULL;

    (void)delivery_clock(engine);
    if (!engine->is_draining) {
        lane = delivery_lane(engine, slice_of(note->lane));
    }
    if (lane != NULL && lane->owner != engine->options.worker_index &&
        note->hop_count >= DELIVERY_HOPS_MAX) {
        lane = NULL; /* snapshots differ: control will ask again */
    }
    if (lane != NULL && lane->owner != engine->options.worker_index) {
        note->receiver = engine_at(engine, lane->owner);
        note->hop_count++;
        mailbox_send(note->receiver->options.mailbox, &note->mail);
        delivery_touch(engine, lane);
        return;
    }
    if (lane != NULL) {
        lane->has_backlog = true;
        lane->noted_meanwhile = lane->is_claiming;
        delivery_touch(engine, lane);
    }
    xfree(note);
}

static void send_backlog(struct delivery_engine *receiver, struct slice lane, unsigned hop_count)
{
    struct backlog_mail *note = xcalloc(1, sizeof(*note));

    CHECK(lane.len <= STORE_LANE_CHARS_MAX);
    memcpy(note->lane, lane.data, lane.len);
    note->receiver = receiver;
    note->hop_count = hop_count;
    note->mail.on_arrival = on_backlog;
    mailbox_send(receiver->options.mailbox, &note->mail);
}

void delivery_note_backlog(struct delivery_engine *engine, struct slice lane)
{
    send_backlog(engine, lane, 0);
}

void delivery_forward_backlog(struct delivery_engine *engine, struct lane *lane)
{
    CHECK(lane->owner != engine->options.worker_index);
    lane->has_backlog = false;
    send_backlog(engine_at(engine, lane->owner), lane->name, DELIVERY_HOPS_MAX - 1);
}
