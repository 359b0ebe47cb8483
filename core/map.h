/* SPDX-License-Identifier: Apache-2.0
 *
 * map.h - a hash table from byte keys to pointers, keyed so that nobody can aim at one bucket.
 *
 * The key bytes are borrowed: they must live as long as the entry (usually inside the value).
 * One writer or many readers; a map that no longer changes may be read from any thread.
 */
#pragma once

#include "core/base.h"
#include "core/slice.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t count;
    size_t slot_count; /* a power of two, or 0 */
};

/* A zeroed struct is an empty map already. */
void map_init(struct map *map);
/* Frees the table, not the values. */
void map_clean_up(struct map *map);
/* The value under `key`, or NULL. */
void *map_get(const struct map *map, struct slice key);
/* Put `value` (not NULL) under `key`; returns the value it replaced, or NULL.  The entry borrows
 * the new `key` from then on. */
void *map_put(struct map *map, struct slice key, void *value);
/* Remove and return the value under `key`, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* Walk: start with *cursor = 0; NULL at the end.  The map may not change meanwhile, except that
 * the value just returned may be removed. */
void *map_next(const struct map *map, size_t *cursor);

/* SipHash-1-3 of the bytes under a key drawn once per process: for tables and for spreading work.
 * The value differs between processes. */
uint64_t map_hash(struct slice bytes);
