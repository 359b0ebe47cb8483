/* SPDX-License-Identifier: Apache-2.0
 *
 * trie.c - a hash array mapped trie with counted nodes.
 *
 * The hash of a key, five bits at a time, says which slot to take in each node on the way down.  A
 * node has only the slots that are used:
 *
 *     present  ..1.1..1     digits 0, 3 and 5
 *     leaves   ..1....1     of which 3 leads to a node
 *     slots    [leaf][node][leaf]
 *
 * Whoever changes a trie owns the nodes that nobody else counts, and changes them in place; of the
 * others it makes its own copy first.  So a copy shares all, a change after it makes a path anew,
 * and filling an empty trie copies nothing.
 *
 * Keys of one whole hash (of 64 bits, keyed: an accident, never a plan) hang on one leaf as a
 * chain.
 *
 * Memory: nodes and leaves are counted; a leaf holds one reference to its value.
 *
 *= P. Bagwell, "Ideal Hash Trees", 2001
 */
#include "core/trie.h"

#include <stdatomic.h>

#include "core/check.h"
#include "core/map.h"
#include "core/trie_internal.h"

enum { DIGIT_BITS = 5, DIGIT_MASK = 31, HASH_BITS = 64, DEPTH_MAX = 13 };

struct trie_leaf {
    _Atomic uint32_t references;
    uint64_t hash;
    struct slice key;
    void *value;
    struct trie_leaf *next; /* another key of the same hash */
};

union trie_slot {
    struct trie_node *node;
    struct trie_leaf *leaf;
};

struct trie_node {
    _Atomic uint32_t references;
    uint32_t present;
    uint32_t leaves;
    union trie_slot slots[]; /* by digit */
};

static uint32_t digit_bit(uint64_t hash, unsigned shift)
{
    return (uint32_t)1 << (hash >> shift & DIGIT_MASK);
}

static size_t slot_count(const struct trie_node *node)
{
    return (size_t)__builtin_popcount(node->present);
}

static size_t slot_place(const struct trie_node *node, uint32_t bit)
{
    return (size_t)__builtin_popcount(node->present & (bit - 1));
}

/* ---- counting ------------------------------------------------------------------------------ */

static void leaf_release(const struct trie_values *values, struct trie_leaf *leaf)
{
    while (leaf != NULL &&
           atomic_fetch_sub_explicit(&leaf->references, 1, memory_order_acq_rel) == 1) {
        struct trie_leaf *next = leaf->next;

        values->release(leaf->value);
        xfree(leaf);
        leaf = next;
    }
}

/* As deep as a hash has digits. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void node_release(const struct trie_values *values, struct trie_node *node)
{
    size_t place = 0;

    if (node == NULL || atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (uint32_t left = node->present; left != 0; left &= left - 1) {
        if ((node->leaves & (left & -left)) != 0) {
            leaf_release(values, node->slots[place++].leaf);
        } else {
            node_release(values, node->slots[place++].node);
        }
    }
    xfree(node);
}

static struct trie_leaf *leaf_new(const struct trie_values *values, uint64_t hash, struct slice key,
                                  void *value)
{
    struct trie_leaf *leaf = xcalloc(1, sizeof(*leaf));

    values->acquire(value);
    *leaf = (struct trie_leaf){.references = 1, .hash = hash, .key = key, .value = value};
    return leaf;
}

static struct trie_node *node_new(size_t slots)
{
    struct trie_node *node = xcalloc(1, sizeof(*node) + slots * sizeof(node->slots[0]));

    node->references = 1;
    return node;
}

/* The node in the slot, made one that nobody else counts. */
static struct trie_node *own(const struct trie_values *values, union trie_slot *place)
{
    struct trie_node *shared = place->node;
    const size_t count = slot_count(shared);
    struct trie_node *copy;
    size_t i = 0;

    if (atomic_load_explicit(&shared->references, memory_order_acquire) == 1) {
        return shared;
    }
    copy = node_new(count);
    copy->present = shared->present;
    copy->leaves = shared->leaves;
    for (uint32_t left = shared->present; left != 0; left &= left - 1, i++) {
        copy->slots[i] = shared->slots[i];
        if ((shared->leaves & (left & -left)) != 0) {
            atomic_fetch_add_explicit(&copy->slots[i].leaf->references, 1, memory_order_relaxed);
        } else {
            atomic_fetch_add_explicit(&copy->slots[i].node->references, 1, memory_order_relaxed);
        }
    }
    node_release(values, shared);
    place->node = copy;
    return copy;
}

/* ---- slots of an owned node ---------------------------------------------------------------- */

static void insert_slot(union trie_slot *place, uint32_t bit, struct trie_leaf *leaf)
{
    const size_t count = slot_count(place->node);
    const size_t at = slot_place(place->node, bit);
    struct trie_node *node =
        xrealloc(place->node, sizeof(*node) + (count + 1) * sizeof(node->slots[0]));

    memmove(&node->slots[at + 1], &node->slots[at], (count - at) * sizeof(node->slots[0]));
    node->slots[at].leaf = leaf;
    node->present |= bit;
    node->leaves |= bit;
    place->node = node;
}

static void remove_slot(struct trie_node *node, uint32_t bit)
{
    const size_t at = slot_place(node, bit);

    memmove(&node->slots[at], &node->slots[at + 1],
            (slot_count(node) - at - 1) * sizeof(node->slots[0]));
    node->present &= ~bit;
    node->leaves &= ~bit;
}

/* The leaves of a chain that have other keys, as a chain of our own. */
static struct trie_leaf *others_of(const struct trie_values *values, const struct trie_leaf *chain,
                                   struct slice key)
{
    struct trie_leaf *others = NULL;

    for (; chain != NULL; chain = chain->next) {
        if (!slice_eq(chain->key, key)) {
            struct trie_leaf *copy = leaf_new(values, chain->hash, chain->key, chain->value);

            copy->next = others;
            others = copy;
        }
    }
    return others;
}

/* ---- the trie ------------------------------------------------------------------------------ */

void trie_init(struct trie *trie, const struct trie_values *values)
{
    *trie = (struct trie){.values = values};
}

struct trie trie_copy(const struct trie *trie)
{
    if (trie->root != NULL) {
        CHECK(atomic_fetch_add_explicit(&trie->root->references, 1, memory_order_relaxed) > 0);
    }
    return *trie;
}

void trie_clean_up(struct trie *trie)
{
    node_release(trie->values, trie->root);
    trie->root = NULL;
    trie->count = 0;
}

void *trie_get_hashed(const struct trie *trie, uint64_t hash, struct slice key)
{
    const struct trie_node *node = trie->root;
    const struct trie_leaf *leaf = NULL;

    for (unsigned shift = 0; node != NULL; shift += DIGIT_BITS) {
        const uint32_t bit = digit_bit(hash, shift);

        if ((node->present & bit) == 0) {
            break;
        }
        if ((node->leaves & bit) != 0) {
            leaf = node->slots[slot_place(node, bit)].leaf;
            break;
        }
        node = node->slots[slot_place(node, bit)].node;
    }
    while (leaf != NULL && (leaf->hash != hash || !slice_eq(leaf->key, key))) {
        leaf = leaf->next;
    }
    return leaf != NULL ? leaf->value : NULL;
}

/* A leaf of another hash is in the way: put it one node further down. */
static void push_down(struct trie_node *node, uint32_t bit, unsigned shift)
{
    union trie_slot *slot = &node->slots[slot_place(node, bit)];
    struct trie_node *child = node_new(1);

    child->present = digit_bit(slot->leaf->hash, shift + DIGIT_BITS);
    child->leaves = child->present;
    child->slots[0] = *slot;
    slot->node = child;
    node->leaves &= ~bit;
}

static void put_leaf(const struct trie_values *values, union trie_slot *place,
                     struct trie_leaf *leaf)
{
    for (unsigned shift = 0;; shift += DIGIT_BITS) {
        struct trie_node *node = own(values, place);
        const uint32_t bit = digit_bit(leaf->hash, shift);
        struct trie_leaf *old;

        CHECK(shift < HASH_BITS);
        if ((node->present & bit) == 0) {
            insert_slot(place, bit, leaf);
            return;
        }
        place = &node->slots[slot_place(node, bit)];
        old = place->leaf;
        if ((node->leaves & bit) != 0 && old->hash == leaf->hash) {
            leaf->next = others_of(values, old, leaf->key);
            place->leaf = leaf;
            leaf_release(values, old);
            return;
        }
        if ((node->leaves & bit) != 0) {
            push_down(node, bit, shift);
        }
    }
}

void trie_put_hashed(struct trie *trie, uint64_t hash, struct slice key, void *value)
{
    union trie_slot root = {.node = trie->root != NULL ? trie->root : node_new(0)};

    trie->count += trie_get_hashed(trie, hash, key) == NULL;
    put_leaf(trie->values, &root, leaf_new(trie->values, hash, key, value));
    trie->root = root.node;
}

/* Take the slot of that hash out of the last node of the path; a node without slots goes too. */
static void prune(const struct trie_values *values, union trie_slot *const *path, unsigned depth,
                  uint64_t hash)
{
    while (depth-- > 0) {
        struct trie_node *node = path[depth]->node;

        remove_slot(node, digit_bit(hash, depth * DIGIT_BITS));
        if (node->present != 0) {
            return;
        }
        node_release(values, node);
        path[depth]->node = NULL;
    }
}

bool trie_remove_hashed(struct trie *trie, uint64_t hash, struct slice key)
{
    union trie_slot root = {.node = trie->root};
    union trie_slot *path[DEPTH_MAX]; /* the slots that lead to nodes */
    union trie_slot *place = &root;
    struct trie_leaf *leaf;
    unsigned depth = 0;
    bool is_leaf = false;

    if (trie_get_hashed(trie, hash, key) == NULL) {
        return false;
    }
    while (!is_leaf) {
        struct trie_node *node = own(trie->values, place);
        const uint32_t bit = digit_bit(hash, depth * DIGIT_BITS);

        CHECK(depth < DEPTH_MAX);
        path[depth++] = place;
        place = &node->slots[slot_place(node, bit)];
        is_leaf = (node->leaves & bit) != 0;
    }
    leaf = place->leaf;
    place->leaf = others_of(trie->values, leaf, key);
    leaf_release(trie->values, leaf);
    if (place->leaf == NULL) {
        prune(trie->values, path, depth, hash);
    }
    trie->root = root.node;
    trie->count--;
    return true;
}

void *trie_any(const struct trie *trie)
{
    const struct trie_node *node = trie->root;

    while (node != NULL && (node->leaves & node->present & -node->present) == 0) {
        node = node->slots[0].node;
    }
    return node != NULL ? node->slots[0].leaf->value : NULL;
}

void *trie_get(const struct trie *trie, struct slice key)
{
    return trie->root != NULL ? trie_get_hashed(trie, map_hash(key), key) : NULL;
}

void trie_put(struct trie *trie, struct slice key, void *value)
{
    CHECK(value != NULL);
    trie_put_hashed(trie, map_hash(key), key, value);
}

bool trie_remove(struct trie *trie, struct slice key)
{
    return trie->root != NULL && trie_remove_hashed(trie, map_hash(key), key);
}
