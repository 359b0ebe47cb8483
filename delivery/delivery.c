/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery.c - the story of a delivery: whose turn it is, and what wakes when.
 *
 * The good path: a claimed delivery enters the window of its lane (delivery_lanes.c); the lane
 * stands in line at its destination; the destination's gate opens and a call takes what is first in
 * line (delivery_call.c); the target answers, its verdict settles, retries or buries
 * (delivery_outcome.c); the store confirms, the memory is freed, the lane claims more.
 *
 * Everything that happens (mail, a reply, a timer) only changes state and says that there is news.
 * Once per turn of the loop delivery_run() looks at every destination that may have something to do
 * and goes round them, one call each, until nothing more can start.  So a call never starts inside
 * a callback, settles are sent together, and no destination waits behind the backlog of another.
 *
 * Invariants: a destination is active if it can start or claim something now, as far as is known;
 *             a lane stands where delivery_touch() last put it: in line, hungry, in the graveyard,
 *             idle, or in the heap of those that wake later;
 *             memory: events held + reserved for claims <= memory_bytes_max, but for what peers
 *             had on its way when it filled up.
 * Time:       the wall clock, which claims and budgets share with those who commit.  When it is put
 *             back by a second or two the engine's time stands still until it has caught up; by
 *             more, the engine goes back with it and shortens every wait of its own.
 */
#include "delivery/delivery_internal.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "delivery/retry.h"

enum {
    ENGINE_MAGIC = 0x44454C45,
    DEFAULT_MEMORY_BYTES = 64 << 20,
    DEFAULT_EVENT_BYTES = 1 << 20,
    DEFAULT_INPUT_BYTES = 256 << 10,
    DEFAULT_CALLS = 256,
    DEFAULT_TIMEOUT_MS = 5000,
    DEFAULT_UNKNOWN_TARGET_MS = 5000,
};

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events);
static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events);

static void fill_defaults(struct delivery_options *options)
{
#define DEFAULT(field, value) options->field = options->field != 0 ? options->field : (value)
    DEFAULT(worker_count, 1);
    DEFAULT(memory_bytes_max, DEFAULT_MEMORY_BYTES);
    DEFAULT(event_bytes_max, DEFAULT_EVENT_BYTES);
    DEFAULT(calls_max, DEFAULT_CALLS);
    DEFAULT(call_timeout_ms, DEFAULT_TIMEOUT_MS);
    DEFAULT(claim_ms, DELIVERY_CLAIM_MS);
    DEFAULT(sqs_batch_bytes_max, DEFAULT_EVENT_BYTES);
    DEFAULT(input_bytes_max, DEFAULT_INPUT_BYTES);
    DEFAULT(unknown_target_ms, DEFAULT_UNKNOWN_TARGET_MS);
    DEFAULT(seed, random_u64());
#undef DEFAULT
    options->memory_bytes_max = MAX_OF(options->memory_bytes_max, options->event_bytes_max);
}

struct delivery_engine *delivery_new(const struct delivery_options *options)
{
    struct delivery_engine *engine = xcalloc(1, sizeof(*engine));

    CHECK(options->mailbox != NULL);
    CHECK(options->store != NULL);
    engine->magic = ENGINE_MAGIC;
    engine->options = *options;
    fill_defaults(&engine->options);
    CHECK(engine->options.worker_index < engine->options.worker_count);
    CHECK(engine->options.engines != NULL || engine->options.worker_count == 1);
    atomic_init(&engine->is_full, false);
    map_init(&engine->lanes);
    map_init(&engine->destinations);
    heap_init(&engine->lane_wakes);
    heap_init(&engine->destination_wakes);
    list_init(&engine->known);
    list_init(&engine->active);
    list_init(&engine->graveyard);
    list_init(&engine->idle);
    list_init(&engine->calls);
    list_init(&engine->spare_calls);
    list_init(&engine->settled);
    engine->seed_state = engine->options.seed;
    engine->has_news = true;
    (void)delivery_clock(engine);
    if (engine->options.loop != NULL) {
        ev_prepare_init(&engine->prepare, on_prepare);
        engine->prepare.data = engine;
        ev_prepare_start(engine->options.loop, &engine->prepare);
        ev_timer_init(&engine->timer, on_timer, 0., 0.);
        engine->timer.data = engine;
    }
    return engine;
}

void delivery_destroy(struct delivery_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    CHECK_MAGIC(engine, ENGINE_MAGIC);
    CHECK(engine->call_count == 0);
    CHECK(engine->op_count == 0);
    if (engine->options.loop != NULL) {
        ev_prepare_stop(engine->options.loop, &engine->prepare);
        ev_timer_stop(engine->options.loop, &engine->timer);
    }
    LIST_FOREACH (node, &engine->known) {
        struct lane *lane = CONTAINER_OF(node, struct lane, known);

        delivery_abandon_window(engine, lane);
        delivery_lane_forget(engine, lane);
    }
    CHECK(engine->held_count == 0);
    CHECK(engine->destinations.count == 0);
    for (struct list *node; (node = list_take_first(&engine->spare_calls)) != NULL;) {
        delivery_call_free(CONTAINER_OF(node, struct call, node));
    }
    map_clean_up(&engine->lanes);
    map_clean_up(&engine->destinations);
    heap_clean_up(&engine->lane_wakes);
    heap_clean_up(&engine->destination_wakes);
    arena_clean_up(&engine->scratch);
    engine->magic = 0;
    xfree(engine);
}

/* ---- time --------------------------------------------------------------------------------- */

/* Destinations: no moment that is over lies ahead, no wait is longer than it was to be. */
static void rewind_destinations(struct delivery_engine *engine, uint64_t step_ms)
{
    struct destination *destination;
    size_t cursor = 0;

    while ((destination = map_next(&engine->destinations, &cursor)) != NULL) {
        destination_rewind(destination, engine->now_ms, step_ms);
        if (heap_is_linked(&destination->wake)) {
            heap_remove(&engine->destination_wakes, &destination->wake);
            heap_push(&engine->destination_wakes, &destination->wake, engine->now_ms);
        }
    }
}

/* Lanes: all that wait for a moment wake now and look anew; the store hears that parks end. */
static void rewind_lanes(struct delivery_engine *engine)
{
    LIST_FOREACH (node, &engine->known) {
        struct lane *lane = CONTAINER_OF(node, struct lane, known);
        const bool is_parked = lane->mode == LANE_PARKED;

        lane->unknown_since_ms = MIN_OF(lane->unknown_since_ms, engine->now_ms);
        if (is_parked) {
            delivery_end_park(engine, lane);
        }
        if (is_parked || heap_is_linked(&lane->wake)) {
            heap_remove(&engine->lane_wakes, &lane->wake);
            heap_push(&engine->lane_wakes, &lane->wake, engine->now_ms);
        }
    }
}

/* The wall clock was wrong and was put back.  Claims of new events and budgets begin at its time,
 * so staying ahead of it would find every claim too short and every event too old. */
static void rewind_clock(struct delivery_engine *engine, uint64_t wall_ms)
{
    const uint64_t step_ms = engine->now_ms - wall_ms;

    log_warn("delivery.clock_stepped_back", LOG_U64("step_ms", step_ms));
    engine->now_ms = wall_ms;
    rewind_destinations(engine, step_ms);
    rewind_lanes(engine);
    LIST_FOREACH (node, &engine->calls) {
        struct call *call = CONTAINER_OF(node, struct call, node);

        call->begun_ms = MIN_OF(call->begun_ms, wall_ms);
    }
    engine->has_news = true;
}

uint64_t delivery_clock(struct delivery_engine *engine)
{
    const struct delivery_io *io = engine->options.io;
    const uint64_t wall_ms =
        io != NULL && io->now_ms != NULL ? io->now_ms(io->context) : moment_now_ms();

    if (wall_ms + DELIVERY_CLOCK_STEP_MS < engine->now_ms) {
        rewind_clock(engine, wall_ms);
    }
    engine->now_ms = MAX_OF(engine->now_ms, wall_ms);
    return engine->now_ms;
}

uint64_t delivery_seed(struct delivery_engine *engine)
{
    return retry_seed_next(&engine->seed_state);
}

/* ---- where things stand ------------------------------------------------------------------- */

void delivery_activate(struct delivery_engine *engine, struct destination *destination)
{
    engine->has_news = true;
    if (!list_is_linked(&destination->active)) {
        list_append(&engine->active, &destination->active);
    }
}

static void stand(struct list *list, struct list *node, bool belongs)
{
    if (!belongs) {
        list_remove(node);
    } else if (!list_is_linked(node)) {
        list_append(list, node);
    }
}

static void touch_idle(struct delivery_engine *engine, struct lane *lane)
{
    const bool was_idle = list_is_linked(&lane->idle);
    const bool is_idle = lane_is_idle(lane);

    stand(&engine->idle, &lane->idle, is_idle);
    engine->idle_count += is_idle && !was_idle ? 1 : 0;
    engine->idle_count -= was_idle && !is_idle ? 1 : 0;
}

void delivery_touch(struct delivery_engine *engine, struct lane *lane)
{
    struct destination *destination = lane->destination;

    engine->has_news = true;
    if (lane->mode == LANE_PARKING) {
        delivery_finish_park(engine, lane);
    }
    if (lane->owner != engine->options.worker_index && lane->has_backlog && !lane->is_claiming) {
        delivery_forward_backlog(engine, lane);
    }
    if (lane->doom != NULL) {
        CHECK(destination == NULL);
        stand(&engine->graveyard, &lane->turn,
              lane->window.count > 0 || lane_claim_count(lane) > 0);
    } else if (destination != NULL) {
        destination_enlist(destination, lane);
        stand(&destination->hungry, &lane->hunger, lane_claim_count(lane) > 0);
        if (list_is_linked(&lane->turn) || list_is_linked(&lane->hunger)) {
            delivery_activate(engine, destination);
        }
    }
    touch_idle(engine, lane);
}

/* ---- what may go -------------------------------------------------------------------------- */

/* Behind a gate that stays shut for long, lanes give their claims back to the store. */
static void park_line(struct delivery_engine *engine, struct destination *destination)
{
    LIST_FOREACH (node, &destination->ready) {
        struct lane *lane = CONTAINER_OF(node, struct lane, turn);

        lane_begin_park(lane);
        delivery_touch(engine, lane);
    }
}

static void wait_for_gate(struct delivery_engine *engine, struct destination *destination,
                          uint64_t until_ms)
{
    if (until_ms - engine->now_ms > DELIVERY_HOLD_MS) {
        park_line(engine, destination);
    }
    list_remove(&destination->active);
    heap_remove(&engine->destination_wakes, &destination->wake);
    if (!list_is_empty(&destination->ready) || !list_is_empty(&destination->hungry)) {
        heap_push(&engine->destination_wakes, &destination->wake, until_ms);
    }
}

/* Let hungry lanes claim; returns whether one still wants and only memory is in the way. */
static bool feed(struct delivery_engine *engine, struct destination *destination)
{
    while (!list_is_empty(&destination->hungry) &&
           destination_may_claim(destination, engine->now_ms)) {
        struct lane *lane = CONTAINER_OF(destination->hungry.next, struct lane, hunger);

        if (!delivery_claim(engine, lane, lane_claim_count(lane))) {
            return true;
        }
    }
    return false;
}

/* Lanes whose deliveries must not wait for a gate: what is too old by then goes on without it. */
static void feed_impatient(struct delivery_engine *engine, struct destination *destination)
{
    LIST_FOREACH (node, &destination->hungry) {
        struct lane *lane = CONTAINER_OF(node, struct lane, hunger);

        if (lane_is_impatient(lane)) {
            (void)delivery_claim(engine, lane, lane_claim_count(lane));
        }
    }
}

/* One destination may not hold all calls of the worker: the share leaves room for others. */
static bool has_call_to_spare(const struct delivery_engine *engine,
                              const struct destination *destination)
{
    const size_t share = MAX_OF(engine->options.calls_max / 4, (size_t)1);

    return engine->call_count < engine->options.calls_max && destination->call_count < share;
}

/* Serve one destination one call; true if that may be repeated. */
static bool serve(struct delivery_engine *engine, struct destination *destination)
{
    const uint64_t shut_until_ms = destination_shut_until_ms(destination, engine->now_ms);
    bool is_starved;

    if (shut_until_ms != 0) {
        feed_impatient(engine, destination);
        wait_for_gate(engine, destination, shut_until_ms);
        return false;
    }
    is_starved = feed(engine, destination);
    if (list_is_empty(&destination->ready) || !destination_may_start(destination, engine->now_ms)) {
        /* Its own calls, claims or lanes will say when that changes. */
        stand(&engine->active, &destination->active, is_starved);
        return false;
    }
    if (!has_call_to_spare(engine, destination)) {
        return false; /* stays active: the end of any call is news */
    }
    delivery_call_start(engine, destination);
    return true;
}

static void serve_all(struct delivery_engine *engine)
{
    bool has_progress = true;

    while (has_progress) {
        struct list round;

        has_progress = false;
        list_init(&round);
        list_splice(&round, &engine->active);
        while (!list_is_empty(&round)) {
            struct destination *destination = CONTAINER_OF(round.next, struct destination, active);

            list_remove(&destination->active);
            list_append(&engine->active, &destination->active);
            has_progress = serve(engine, destination) || has_progress;
        }
    }
}

static void serve_graveyard(struct delivery_engine *engine)
{
    LIST_FOREACH (node, &engine->graveyard) {
        struct lane *lane = CONTAINER_OF(node, struct lane, turn);

        delivery_bury_window(engine, lane);
        if (lane_claim_count(lane) > 0) {
            (void)delivery_claim(engine, lane, lane_claim_count(lane));
        }
        delivery_touch(engine, lane);
    }
}

/* ---- what wakes --------------------------------------------------------------------------- */

static void wake_lane(struct delivery_engine *engine, struct lane *lane)
{
    if (lane->mode == LANE_PARKED) {
        if (engine->now_ms < lane->parked_until_ms) {
            delivery_lane_wake_at(engine, lane, lane->parked_until_ms);
            return;
        }
        engine->parked_count--;
        lane_unpark(lane);
    }
    if (lane->is_held && !lane->was_resolved) {
        delivery_lane_give_up(engine, lane);
    }
    lane->has_backlog = true;
    lane->is_choked = false;
    delivery_touch(engine, lane);
}

static void wake_all(struct delivery_engine *engine)
{
    struct heap_node *node;

    while ((node = heap_peek(&engine->lane_wakes)) != NULL && node->key <= engine->now_ms) {
        heap_remove(&engine->lane_wakes, node);
        wake_lane(engine, CONTAINER_OF(node, struct lane, wake));
    }
    while ((node = heap_peek(&engine->destination_wakes)) != NULL && node->key <= engine->now_ms) {
        heap_remove(&engine->destination_wakes, node);
        delivery_activate(engine, CONTAINER_OF(node, struct destination, wake));
    }
}

static void trim_idle(struct delivery_engine *engine)
{
    while (engine->idle_count > DELIVERY_IDLE_LANES_MAX) {
        struct lane *lane = CONTAINER_OF(engine->idle.next, struct lane, idle);

        delivery_lane_forget(engine, lane);
    }
}

static uint64_t next_wake_ms(const struct delivery_engine *engine)
{
    const struct heap_node *lane = heap_peek(&engine->lane_wakes);
    const struct heap_node *destination = heap_peek(&engine->destination_wakes);

    return MIN_OF(lane != NULL ? lane->key : UINT64_MAX,
                  destination != NULL ? destination->key : UINT64_MAX);
}

uint64_t delivery_run(struct delivery_engine *engine)
{
    CHECK_MAGIC(engine, ENGINE_MAGIC);
    (void)delivery_clock(engine);
    engine->has_news = false;
    if (!engine->is_draining) {
        wake_all(engine);
        serve_graveyard(engine);
        serve_all(engine);
    }
    delivery_flush_settled(engine);
    trim_idle(engine);
    atomic_store_explicit(&engine->is_full,
                          engine->bytes_held > engine->options.memory_bytes_max / 4 * 3,
                          memory_order_relaxed);
    if (engine->is_draining && engine->on_idle != NULL && engine->call_count == 0 &&
        engine->op_count == 0) {
        void (*on_idle)(void *context) = engine->on_idle;

        engine->on_idle = NULL;
        on_idle(engine->on_idle_context);
        return UINT64_MAX;
    }
    return engine->is_draining ? UINT64_MAX : next_wake_ms(engine);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    struct delivery_engine *engine = watcher->data;
    uint64_t wake_ms;

    (void)events;
    if (!engine->has_news) {
        return;
    }
    wake_ms = delivery_run(engine);
    ev_timer_stop(loop, &engine->timer);
    if (wake_ms != UINT64_MAX) {
        const uint64_t wait_ms = wake_ms > engine->now_ms ? wake_ms - engine->now_ms : 0;

        ev_timer_set(&engine->timer, (double)wait_ms / 1000., 0.);
        ev_timer_start(loop, &engine->timer);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct delivery_engine *engine = watcher->data;

    (void)loop;
    (void)events;
    engine->has_news = true;
}

/* ---- for the owner of the engine ---------------------------------------------------------- */

bool delivery_may_claim(const struct delivery_engine *engine, struct slice lane)
{
    (void)lane;
    if (engine->is_draining) {
        return false;
    }
    if (engine->options.engines == NULL) {
        return !atomic_load_explicit(&engine->is_full, memory_order_relaxed);
    }
    for (unsigned i = 0; i < engine->options.worker_count; i++) {
        if (atomic_load_explicit(&engine->options.engines[i]->is_full, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

void delivery_drain(struct delivery_engine *engine, void (*on_idle)(void *context), void *context)
{
    CHECK_MAGIC(engine, ENGINE_MAGIC);
    engine->is_draining = true;
    engine->on_idle = on_idle;
    engine->on_idle_context = context;
    engine->has_news = true;
}

void delivery_read_gauges(const struct delivery_engine *engine, struct delivery_gauges *gauges)
{
    const struct destination *destination;
    size_t cursor = 0;

    *gauges = (struct delivery_gauges){
        .lanes = engine->lanes.count,
        .lanes_parked = engine->parked_count,
        .parks = engine->park_count,
        .parks_lifted = engine->lift_count,
        .destinations = engine->destinations.count,
        .calls = engine->call_count,
        .held = engine->held_count,
        .bytes_held = engine->bytes_held,
    };
    while ((destination = map_next(&engine->destinations, &cursor)) != NULL) {
        gauges->destinations_open += destination->breaker.state != BREAKER_CLOSED ? 1 : 0;
    }
}
