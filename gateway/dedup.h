/* SPDX-License-Identifier: Apache-2.0
 *
 * dedup.h - by what an event is known again: the mark and the guard of a store entry.
 */
#pragma once

#include "accounts/principal.h"
#include "core/arena.h"
#include "routing/event.h"
#include "storage/store.h"

enum {
    DEDUP_SIGNATURE_SKEW_MS = 5 * 60 * 1000, /* a signature is good this long on either side */
    DEDUP_GUARD_MS = 2 * DEDUP_SIGNATURE_SKEW_MS + 60 * 1000, /* longer than any is good */
    DEDUP_GUARD_GRACE_MS = 2000,
    DEDUP_EXPLICIT_CHARS_MAX = 128,
};

/* May this be the explicit id of a request?  1 to 128 printable ASCII characters, no space. */
bool dedup_is_explicit_id(struct slice id);

/* What is known of one entry when it is about to be stored. */
struct dedup_facts {
    const struct principal *principal;
    const struct account *account; /* of the event */
    const struct event_draft *draft;
    struct slice bus_account; /* of the bus's owner; empty: of the event */
    struct slice bus_name;
    struct slice explicit_id; /* of the request; empty: none */
    size_t index;             /* of the entry in its request */
    struct arena *arena;      /* for what has to be unescaped */
};

/* Fill the mark and the guard of `stored`, or leave off what does not apply.  No I/O. */
void dedup_plan(const struct dedup_facts *facts, struct store_entry *stored);
