/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_state.c - the declared arrows of a delivery, and its memory.
 *
 * One allocation per delivery, made when it is claimed and freed when the store has answered for
 * it; attempts in between allocate nothing here.
 */
#include "delivery/delivery_state.h"

#include "core/check.h"
#include "routing/event.h"

enum { DELIVERY_MAGIC = 0x44454C56 };

static bool is_off_calls(const void *object)
{
    const struct delivery *delivery = object;

    return !list_is_linked(&delivery->node);
}

static bool is_off_window(const void *object)
{
    const struct delivery *delivery = object;

    return !heap_is_linked(&delivery->due);
}

static const struct sm_state states[] = {
    [DELIVERY_QUEUED] = {"queued",
                         SM_TO(DELIVERY_READY) | SM_TO(DELIVERY_WAITING) | SM_TO(DELIVERY_DEAD),
                         is_off_calls},
    [DELIVERY_READY] = {"ready",
                        SM_TO(DELIVERY_IN_FLIGHT) | SM_TO(DELIVERY_QUEUED) |
                            SM_TO(DELIVERY_SETTLED) | SM_TO(DELIVERY_WAITING) |
                            SM_TO(DELIVERY_DEAD),
                        is_off_window},
    [DELIVERY_IN_FLIGHT] = {"in flight",
                            SM_TO(DELIVERY_SETTLED) | SM_TO(DELIVERY_QUEUED) |
                                SM_TO(DELIVERY_WAITING) | SM_TO(DELIVERY_DEAD),
                            is_off_window},
    [DELIVERY_SETTLED] = {"settled", 0, is_off_window},
    [DELIVERY_WAITING] = {"waiting", 0, is_off_window},
    [DELIVERY_DEAD] = {"dead", 0, is_off_window},
};
static const struct sm_machine machine = {"delivery", states, ARRAY_LEN(states)};

struct delivery *delivery_state_new(const struct store_ref *ref, struct event *event,
                                    struct store_record *record)
{
    struct delivery *delivery = xcalloc(1, sizeof(*delivery));

    CHECK((event == NULL) != (record == NULL));
    delivery->magic = DELIVERY_MAGIC;
    list_init(&delivery->node);
    sm_start(&delivery->sm, &machine, DELIVERY_QUEUED, delivery);
    delivery->ref = *ref;
    delivery->event = event;
    delivery->record = record;
    if (event != NULL) {
        delivery->event_id = event->id;
        delivery->body = event->bytes;
        delivery->accepted_ms = event->accepted_ms;
        delivery->budget_from_ms = event->accepted_ms;
        delivery->due_ms = event->accepted_ms;
    } else {
        delivery->event_id = record->event_id;
        delivery->body = record->body;
        delivery->state = record->state;
        delivery->accepted_ms = record->accepted_ms;
        delivery->budget_from_ms = record->budget_from_ms;
        delivery->due_ms = record->due_ms;
        delivery->attempt_count = record->attempt_count;
    }
    return delivery;
}

void delivery_state_free(struct delivery *delivery)
{
    CHECK_MAGIC(delivery, DELIVERY_MAGIC);
    CHECK(!heap_is_linked(&delivery->due));
    CHECK(!list_is_linked(&delivery->node));
    event_release(delivery->event);
    if (delivery->record != NULL) {
        store_record_free(delivery->record);
    }
    delivery->magic = 0;
    xfree(delivery);
}

void delivery_state_move(struct delivery *delivery, enum delivery_state next)
{
    CHECK_MAGIC(delivery, DELIVERY_MAGIC);
    sm_move(&delivery->sm, next, delivery);
}
