/* SPDX-License-Identifier: Apache-2.0
 *
 * map.c - open addressing with linear probing, at most three quarters full.
 *
 * Keys come from outside, so the hash is keyed (SipHash-1-3 under a key drawn once per process):
 * nobody can aim many keys at one slot.  Removing moves the rest of the run back instead of leaving
 * a tombstone, so a map that lives for months stays as fast as a new one.
 *
 *     slot   0    1    2    3    4    5    6    7
 *          [ .. | k3 |    |    |    | k1 | k2 | k4 ]     k2, k4, k3 hash to 6: a run may wrap
 *
 * Invariant: between a key's home slot and the slot it lies in, no slot is empty.
 * Memory:    owns the slots only; keys and values are the caller's.
 *
 *= J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012
 */
#include "core/map.h"

#include <endian.h>
#include <pthread.h>

#include "core/check.h"
#include "core/map_internal.h"
#include "core/random.h"

enum { SLOTS_MIN = 8 };

struct map_slot {
    struct slice key;
    void *value; /* NULL: the slot is empty */
    uint64_t hash;
};

/* --- the hash --- */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t map_siphash(uint64_t k0, uint64_t k1, struct slice bytes)
{
    struct sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                    k1 ^ 0x7465646279746573u};
    const size_t whole = bytes.len & ~(size_t)7;
    uint64_t word;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, bytes.data + i, 8);
        sip_word(&s, le64toh(word));
    }
    word = (uint64_t)bytes.len << 56;
    for (size_t i = whole; i < bytes.len; i++) {
        word |= (uint64_t)(uint8_t)bytes.data[i] << (8 * (i - whole));
    }
    sip_word(&s, word);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
    random_bytes(hash_key, sizeof(hash_key));
}

uint64_t map_hash(struct slice bytes)
{
    (void)pthread_once(&hash_key_once, draw_hash_key);
    return map_siphash(hash_key[0], hash_key[1], bytes);
}

/* --- the table --- */

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_clean_up(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

/* The slot that holds `key`, or the empty one where it belongs. The table has an empty slot. */
static struct map_slot *find_slot(const struct map *map, struct slice key, uint64_t hash)
{
    const size_t mask = map->slot_count - 1;
    size_t i = hash & mask;

    while (map->slots[i].value != NULL &&
           (map->slots[i].hash != hash || !slice_eq(map->slots[i].key, key))) {
        i = (i + 1) & mask;
    }
    return &map->slots[i];
}

void *map_get(const struct map *map, struct slice key)
{
    return map->count > 0 ? find_slot(map, key, map_hash(key))->value : NULL;
}

static void grow(struct map *map)
{
    struct map bigger = {.count = map->count,
                         .slot_count = MAX_OF(map->slot_count * 2, (size_t)SLOTS_MIN)};

    CHECK(bigger.slot_count <= UINT32_MAX); /* map_next() packs a slot number into 32 bits */
    bigger.slots = xcalloc(bigger.slot_count, sizeof(*bigger.slots));
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].value != NULL) {
            *find_slot(&bigger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
        }
    }
    free(map->slots);
    *map = bigger;
}

void *map_put(struct map *map, struct slice key, void *value)
{
    const uint64_t hash = map_hash(key);
    struct map_slot *slot;
    void *replaced;

    CHECK(value != NULL);
    if ((map->count + 1) * 4 > map->slot_count * 3) {
        grow(map);
    }
    slot = find_slot(map, key, hash);
    replaced = slot->value;
    map->count += replaced == NULL;
    *slot = (struct map_slot){.key = key, .value = value, .hash = hash};
    return replaced;
}

/* Empty slot `hole`, moving back what follows in its run and may lie nearer to its home. */
static void close_hole(struct map *map, size_t hole)
{
    const size_t mask = map->slot_count - 1;

    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
        const size_t home = map->slots[i].hash & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_slot){0};
}

void *map_remove(struct map *map, struct slice key)
{
    struct map_slot *slot;
    void *value;

    if (map->count == 0) {
        return NULL;
    }
    slot = find_slot(map, key, map_hash(key));
    value = slot->value;
    if (value != NULL) {
        close_hole(map, (size_t)(slot - map->slots));
        map->count--;
    }
    return value;
}

/* The walk goes downwards from an empty slot.  Removing moves slots only from above, within their
 * run, and all of that run above the current slot has been visited: nothing is missed or repeated.
 *
 * The cursor: the empty slot in the upper half, the steps taken from it in the lower. */
void *map_next(const struct map *map, size_t *cursor)
{
    const size_t mask = map->slot_count - 1;
    size_t origin = *cursor >> 32;
    size_t step = *cursor & UINT32_MAX;

    _Static_assert(sizeof(size_t) == 8, "the cursor packs two 32-bit numbers");
    if (map->count == 0) {
        return NULL;
    }
    if (step == 0) {
        while (map->slots[origin].value != NULL) {
            origin++;
        }
    }
    while (++step < map->slot_count) {
        void *value = map->slots[(origin - step) & mask].value;

        *cursor = origin << 32 | step;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
