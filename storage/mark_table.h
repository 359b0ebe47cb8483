/* SPDX-License-Identifier: Apache-2.0
 *
 * mark_table.h - which dedup marks live, in 24 bytes each: a hash, a number, a moment and a count.
 *
 * The table knows hashes only; who finds one reads the mark itself from the database before
 * believing it.
 */
#pragma once

#include "core/base.h"

struct mark_slot {
    uint64_t hash;
    uint64_t value;               /* never 0: that is an empty slot */
    uint64_t expires_ms : 44;     /* until the year 2527 */
    uint64_t answered_count : 20; /* entries that it answered; stays at the highest */
};

enum { MARK_ANSWERED_MAX = (1 << 20) - 1 };

struct mark_table {
    struct mark_slot *slots;
    size_t count;
    size_t slot_count; /* a power of two, or 0 */
};

static inline void mark_slot_set_moment(struct mark_slot *slot, uint64_t expires_ms)
{
    const uint64_t last = (UINT64_C(1) << 44) - 1;

    slot->expires_ms = MIN_OF(expires_ms, last) & ((UINT64_C(1) << 44) - 1);
}

/* A zeroed struct is an empty table. */
void mark_table_clean_up(struct mark_table *table);
void mark_table_add(struct mark_table *table, uint64_t hash, uint64_t value, uint64_t expires_ms);
/* Walk the slots of one hash: start with *cursor = 0, NULL at the end.  A slot may be changed in
 * place (but for its hash); the pointer is good until the table changes. */
struct mark_slot *mark_table_next(const struct mark_table *table, uint64_t hash, size_t *cursor);
/* Remove the slot of this hash and value; harmless if there is none. */
void mark_table_remove(struct mark_table *table, uint64_t hash, uint64_t value);
