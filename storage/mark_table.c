/* SPDX-License-Identifier: Apache-2.0
 *
 * mark_table.c - open addressing with linear probing, at most half full.
 *
 * Several slots may carry one hash; they lie in one run.  Removal shifts the rest of the run back,
 * so there are no tombstones and a walk ends at the first empty slot.  The hashes come keyed
 * (core/map.h), so nobody outside can aim at one run.
 */
#include "storage/mark_table.h"

#include "core/check.h"

enum { SLOTS_MIN = 64 };

static size_t mask_of(const struct mark_table *table)
{
    return table->slot_count - 1;
}

void mark_table_clean_up(struct mark_table *table)
{
    xfree(table->slots);
    *table = (struct mark_table){0};
}

static void put(struct mark_table *table, const struct mark_slot *slot)
{
    size_t place = (size_t)slot->hash & mask_of(table);

    while (table->slots[place].value != 0) {
        place = (place + 1) & mask_of(table);
    }
    table->slots[place] = *slot;
}

static void resize(struct mark_table *table, size_t slot_count)
{
    const struct mark_table old = *table;

    table->slots = xcalloc(slot_count, sizeof(table->slots[0]));
    table->slot_count = slot_count;
    for (size_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].value != 0) {
            put(table, &old.slots[i]);
        }
    }
    xfree(old.slots);
}

void mark_table_add(struct mark_table *table, uint64_t hash, uint64_t value, uint64_t expires_ms)
{
    struct mark_slot slot = {.hash = hash, .value = value, .answered_count = 1};

    CHECK(value != 0);
    mark_slot_set_moment(&slot, expires_ms);
    if (table->count * 2 >= table->slot_count) {
        resize(table, table->slot_count == 0 ? SLOTS_MIN : table->slot_count * 2);
    }
    put(table, &slot);
    table->count++;
}

struct mark_slot *mark_table_next(const struct mark_table *table, uint64_t hash, size_t *cursor)
{
    if (table->slot_count == 0) {
        return NULL;
    }
    /* The cursor counts steps from the home of the hash. */
    for (;; ++*cursor) {
        struct mark_slot *slot = &table->slots[((size_t)hash + *cursor) & mask_of(table)];

        if (slot->value == 0) {
            return NULL;
        }
        if (slot->hash == hash) {
            ++*cursor;
            return slot;
        }
    }
}

/* Close the gap at `place`: whoever probed past it moves back into it. */
static void shift_back(struct mark_table *table, size_t place)
{
    size_t next = place;

    for (;;) {
        size_t home;

        next = (next + 1) & mask_of(table);
        if (table->slots[next].value == 0) {
            break;
        }
        home = (size_t)table->slots[next].hash & mask_of(table);
        if (((next - home) & mask_of(table)) >= ((next - place) & mask_of(table))) {
            table->slots[place] = table->slots[next];
            place = next;
        }
    }
    table->slots[place] = (struct mark_slot){0};
}

void mark_table_remove(struct mark_table *table, uint64_t hash, uint64_t value)
{
    size_t cursor = 0;
    struct mark_slot *slot;

    for (slot = mark_table_next(table, hash, &cursor); slot != NULL;
         slot = mark_table_next(table, hash, &cursor)) {
        if (slot->value == value) {
            shift_back(table, (size_t)(slot - table->slots));
            table->count--;
            if (table->count * 8 < table->slot_count && table->slot_count > SLOTS_MIN) {
                resize(table, table->slot_count / 2);
            }
            return;
        }
    }
}
