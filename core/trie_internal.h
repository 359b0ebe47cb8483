/* SPDX-License-Identifier: Apache-2.0
 *
 * trie_internal.h - the operations by hash, so that a test can make hashes meet.
 */
#pragma once

#include "core/trie.h"

void *trie_get_hashed(const struct trie *trie, uint64_t hash, struct slice key);
void trie_put_hashed(struct trie *trie, uint64_t hash, struct slice key, void *value);
bool trie_remove_hashed(struct trie *trie, uint64_t hash, struct slice key);
