/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_dead.c - dead letters in the memory engine: one list in the order of burial.
 *
 * A dead letter is the delivery itself in another state: burying takes it off its lane, redriving
 * puts it back with a new retry budget.  Ids are never reused.
 */
#include "storage/memory_internal.h"

#include "core/check.h"

enum err memory_bury_run(struct memory_store *store, struct store_bury *bury,
                         struct memory_delivery *delivery)
{
    struct store_tally_row *tally = memory_tally_of(store, delivery->record->account);

    memory_claim_end(delivery);
    list_remove(&delivery->node);
    delivery->state = MEMORY_DEAD;
    delivery->dead_id = ++store->last_dead_id;
    delivery->buried_ms = bury->now_ms;
    delivery->record->attempt_count = bury->attempt_count;
    store_name_copy(delivery->reason, sizeof(delivery->reason), slice_of(bury->reason));
    store_name_copy(delivery->message, sizeof(delivery->message), slice_of(bury->message));
    list_append(&store->dead, &delivery->node);
    tally->live--;
    tally->dead++;
    return ERR_OK;
}

static bool is_meant(const struct store_dead_filter *filter, const struct memory_delivery *delivery)
{
    const struct store_dead_facts facts = {
        .id = delivery->dead_id,
        .buried_ms = delivery->buried_ms,
        .account = delivery->record->account,
        .bus = delivery->record->bus,
        .rule = delivery->record->rule,
        .target_id = delivery->record->target_id,
        .reason = slice_of(delivery->reason),
    };

    return store_dead_matches(filter, &facts);
}

static struct store_dead *dead_copy(const struct memory_delivery *delivery)
{
    struct store_dead *dead =
        store_dead_new(slice_of(delivery->reason), slice_of(delivery->message));
    const struct store_record *from = delivery->record;
    const struct store_record_parts parts = {.account = from->account,
                                             .event_id = from->event_id,
                                             .bus = from->bus,
                                             .rule = from->rule,
                                             .target_id = from->target_id,
                                             .body = from->body};

    dead->id = delivery->dead_id;
    dead->buried_ms = delivery->buried_ms;
    dead->attempt_count = from->attempt_count;
    dead->record = store_record_new(&parts);
    dead->record->ref = from->ref;
    dead->record->accepted_ms = from->accepted_ms;
    dead->record->budget_from_ms = from->budget_from_ms;
    dead->record->attempt_count = from->attempt_count;
    dead->record->past_attempt_count = from->past_attempt_count;
    dead->record->last_err = from->last_err;
    dead->record->due_ms = from->due_ms;
    return dead;
}

enum err memory_dead_list_run(struct memory_store *store, struct store_dead_list *list)
{
    size_t count = 0;

    list_init(&list->dead);
    list->has_more = false;
    list->body_bytes = 0;
    LIST_FOREACH (node, &store->dead) {
        const struct memory_delivery *delivery = CONTAINER_OF(node, struct memory_delivery, node);

        if (delivery->dead_id <= list->after_id || !is_meant(&list->filter, delivery)) {
            continue;
        }
        if (count == list->count_max || !store_dead_page_takes(list, delivery->record->body.len)) {
            list->has_more = true;
            break;
        }
        list_append(&list->dead, &dead_copy(delivery)->node);
        count++;
    }
    return ERR_OK;
}

static void redrive(struct memory_delivery *delivery, struct store_tally_row *tally,
                    uint64_t now_ms)
{
    list_remove(&delivery->node);
    delivery->state = MEMORY_LIVE;
    delivery->record->past_attempt_count += delivery->record->attempt_count;
    delivery->record->attempt_count = 0;
    delivery->record->budget_from_ms = now_ms;
    delivery->record->due_ms = now_ms;
    memory_lane_add(delivery);
    tally->live++;
    tally->redriven++;
}

static void edit_one(struct memory_store *store, const struct store_dead_edit *edit,
                     struct memory_delivery *delivery)
{
    struct store_tally_row *tally = memory_tally_of(store, delivery->record->account);

    CHECK(delivery->state == MEMORY_DEAD);
    tally->dead--;
    switch (edit->edit) {
    case STORE_DEAD_REDRIVE:
        redrive(delivery, tally, edit->now_ms);
        break;
    case STORE_DEAD_DROP:
        tally->dropped++;
        memory_delivery_end(store, delivery);
        break;
    case STORE_DEAD_EXPIRE:
        tally->expired++;
        memory_delivery_end(store, delivery);
        break;
    }
}

enum err memory_dead_edit_run(struct memory_store *store, struct store_dead_edit *edit)
{
    edit->count = 0;
    LIST_FOREACH (node, &store->dead) {
        struct memory_delivery *delivery = CONTAINER_OF(node, struct memory_delivery, node);

        if (is_meant(&edit->filter, delivery)) {
            edit->count++;
            if (!edit->dry_run) {
                edit_one(store, edit, delivery);
            }
        }
    }
    return ERR_OK;
}
