/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_table.c - how names and operands are found: one keyed hash, two tables of numbers.
 *
 * The hash multiplies 64 by 64 bits and folds the halves, twice per sixteen bytes at most, under
 * two words drawn once per process.  A slot keeps half of the hash, so a probe for what is not
 * there seldom touches more than the slot.
 *
 * Memory: none.
 */
#include <pthread.h>

#include "core/random.h"
#include "routing/matcher_internal.h"

static uint64_t secrets[4];
static pthread_once_t secrets_once = PTHREAD_ONCE_INIT;

static void draw_secrets(void)
{
    random_bytes(secrets, sizeof(secrets));
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read_8(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint64_t read_4(const char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

uint64_t matcher_hash(uint64_t salt, struct slice bytes)
{
    const char *at = bytes.data;
    size_t len = bytes.len;
    uint64_t state = salt ^ secrets[0];
    uint64_t first = 0;
    uint64_t last = 0;

    for (; len > 16; at += 16, len -= 16) {
        state = fold(read_8(at) ^ secrets[1], read_8(at + 8) ^ state);
    }
    if (len >= 8) {
        first = read_8(at);
        last = read_8(at + len - 8);
    } else if (len >= 4) {
        first = read_4(at);
        last = read_4(at + len - 4);
    } else if (len > 0) {
        first = (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[len / 2] << 8 |
                (uint8_t)at[len - 1];
    }
    state = fold(first ^ secrets[2], last ^ state);
    return fold(state ^ secrets[3], bytes.len ^ secrets[1]);
}

uint64_t matcher_hash_edge(uint32_t parent, struct slice name)
{
    return matcher_hash((uint64_t)parent << 8 | 0xff, name);
}

uint64_t matcher_hash_step(uint32_t node, uint8_t byte)
{
    return fold(((uint64_t)node << 8 | byte) ^ secrets[0], secrets[1]);
}

uint64_t matcher_hash_key(uint32_t path, enum matcher_kind kind, struct slice key)
{
    return matcher_hash((uint64_t)path << 8 | kind, key);
}

void matcher_table_init(struct matcher_table *table)
{
    (void)pthread_once(&secrets_once, draw_secrets);
    *table = (struct matcher_table){.slot_count = 16};
    table->slots = xmalloc(sizeof(*table->slots) * table->slot_count);
    memset(table->slots, 0xff, sizeof(*table->slots) * table->slot_count);
}

static void put(struct matcher_table *table, struct matcher_slot slot)
{
    size_t i = slot.hash & (table->slot_count - 1);

    while (table->slots[i].number != MATCHER_NONE) {
        i = (i + 1) & (table->slot_count - 1);
    }
    table->slots[i] = slot;
}

void matcher_table_put(struct matcher_table *table, uint64_t hash, uint32_t number)
{
    if ((table->count + 1) * 3 > table->slot_count * 2) {
        struct matcher_table bigger = {.slot_count = table->slot_count * 2};

        bigger.slots = xmalloc(sizeof(*bigger.slots) * bigger.slot_count);
        memset(bigger.slots, 0xff, sizeof(*bigger.slots) * bigger.slot_count);
        for (size_t i = 0; i < table->slot_count; i++) {
            if (table->slots[i].number != MATCHER_NONE) {
                put(&bigger, table->slots[i]);
            }
        }
        xfree(table->slots);
        table->slots = bigger.slots;
        table->slot_count = bigger.slot_count;
    }
    put(table, (struct matcher_slot){(uint32_t)hash, number});
    table->count++;
}

uint32_t matcher_find_child(const struct matcher *matcher, uint32_t parent, struct slice name,
                            uint64_t hash)
{
    const struct matcher_table *table = &matcher->edges;
    size_t i = (uint32_t)hash & (table->slot_count - 1);

    while (table->slots[i].number != MATCHER_NONE) {
        if (table->slots[i].hash == (uint32_t)hash) {
            const struct matcher_node *node = &matcher->nodes[table->slots[i].number];

            if (node->parent == parent && matcher_is_same(node->name, name)) {
                return table->slots[i].number;
            }
        }
        i = (i + 1) & (table->slot_count - 1);
    }
    return MATCHER_NONE;
}

uint32_t matcher_find_hashed(const struct matcher *matcher, uint32_t path, enum matcher_kind kind,
                             struct slice key, uint64_t hash)
{
    const struct matcher_table *table = &matcher->exact;
    size_t i = (uint32_t)hash & (table->slot_count - 1);

    while (table->slots[i].number != MATCHER_NONE) {
        if (table->slots[i].hash == (uint32_t)hash) {
            const struct matcher_predicate *predicate =
                &matcher->predicates[table->slots[i].number];

            if (predicate->path == path && predicate->kind == kind &&
                matcher_is_same(predicate->key, key)) {
                return table->slots[i].number;
            }
        }
        i = (i + 1) & (table->slot_count - 1);
    }
    return MATCHER_NONE;
}

uint32_t matcher_find_predicate(const struct matcher *matcher, uint32_t path,
                                enum matcher_kind kind, struct slice key)
{
    return matcher_find_hashed(matcher, path, kind, key, matcher_hash_key(path, kind, key));
}
