/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_parks.c - operators look at parks, and lift them.
 *
 * A park ends by itself, at the latest a quarter of an hour after its last failure.  Whoever has
 * just mended a target does not want to wait for that: lifting ends the park as time would have, so
 * that the lane is claimed anew, only now, and forgets how often the lane had failed.  What stands
 * before the lane, a destination that is being left alone, has to go with it, or the lane would be
 * parked again at once.
 */
#include "core/log.h"
#include "delivery/delivery_internal.h"
#include "routing/rule.h"

static bool fits(struct slice wanted, struct slice value)
{
    return wanted.len == 0 || slice_eq(wanted, value);
}

static void wake_now(struct delivery_engine *engine, struct destination *destination)
{
    destination_unshut(destination);
    heap_remove(&engine->destination_wakes, &destination->wake);
    delivery_activate(engine, destination);
}

static void lift(struct delivery_engine *engine, struct lane *lane)
{
    log_info("delivery.park_lifted", LOG_SLICE("lane", lane->name), LOG_SLICE("target", lane->arn));
    engine->lift_count++;
    delivery_end_park(engine, lane);
    heap_remove(&engine->lane_wakes, &lane->wake);
    heap_push(&engine->lane_wakes, &lane->wake, engine->now_ms);
    if (lane->destination != NULL) {
        wake_now(engine, lane->destination);
    }
    engine->has_news = true;
}

void delivery_parks(struct delivery_engine *engine, const struct delivery_park_filter *filter,
                    bool lifts, void (*on_park)(void *context, const struct delivery_park *park),
                    void *context)
{
    (void)delivery_clock(engine);
    LIST_FOREACH (node, &engine->known) {
        struct lane *lane = CONTAINER_OF(node, struct lane, known);
        const struct delivery_park park = {
            .account = slice_first(lane->name, slice_find(lane->name, '/')),
            .rule = lane->label,
            .target = lane->arn,
            .step = lane->step != NULL ? lane->step->name : (struct slice){NULL, 0},
            .until_ms = lane->parked_until_ms,
            .failure_count = lane->failure_count};

        if (lane->mode != LANE_PARKED || !fits(filter->account, park.account) ||
            !fits(filter->rule, park.rule) || !fits(filter->target, park.target)) {
            continue;
        }
        on_park(context, &park);
        if (lifts) {
            lift(engine, lane);
        }
    }
}
