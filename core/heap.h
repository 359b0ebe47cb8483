/* SPDX-License-Identifier: Apache-2.0
 *
 * heap.h - an intrusive binary min-heap: what is due first stands on top.
 */
#pragma once

#include "core/base.h"

struct heap_node {
    uint64_t key;
    size_t place; /* index + 1, 0 when in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t cap;
};

void heap_init(struct heap *heap);
/* Frees the array, not the nodes. */
void heap_clean_up(struct heap *heap);
void heap_push(struct heap *heap, struct heap_node *node, uint64_t key);
/* The node with the least key, or NULL. */
struct heap_node *heap_peek(const struct heap *heap);
struct heap_node *heap_pop(struct heap *heap);
/* Take a node out wherever it is; harmless if it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
bool heap_is_linked(const struct heap_node *node);
