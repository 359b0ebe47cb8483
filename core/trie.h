/* SPDX-License-Identifier: Apache-2.0
 *
 * trie.h - a table whose copies cost nothing: what two copies have in common is there once.
 *
 * For values that are replaced as a whole while others still read them: copy, change the copy,
 * publish it.  A change costs a path of nodes, however many entries there are.
 *
 * The key bytes are borrowed: they must live as long as the value.  One that no longer changes may
 * be read, copied and cleaned up from any thread.
 */
#pragma once

#include "core/slice.h"

struct trie_node;

/* How an entry holds on to its value. */
struct trie_values {
    void (*acquire)(void *value);
    void (*release)(void *value);
};

struct trie {
    struct trie_node *root; /* NULL: empty */
    const struct trie_values *values;
    size_t count;
};

void trie_init(struct trie *trie, const struct trie_values *values);
/* Another with the same entries, to be changed and cleaned up on its own. */
struct trie trie_copy(const struct trie *trie);
/* Releases the values that no copy has. */
void trie_clean_up(struct trie *trie);
/* The value under `key`, or NULL. */
void *trie_get(const struct trie *trie, struct slice key);
/* Put `value` under `key`, acquiring it; what was there is released. */
void trie_put(struct trie *trie, struct slice key, void *value);
/* Remove and release what is under `key`.  Was there anything? */
bool trie_remove(struct trie *trie, struct slice key);
/* Some value, or NULL when empty. */
void *trie_any(const struct trie *trie);
