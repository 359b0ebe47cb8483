/* SPDX-License-Identifier: Apache-2.0
 *
 * heap.c - a binary heap in an array of pointers; each node knows its place.
 *
 * Knowing the place is what makes heap_remove() cheap: a delivery that is settled or parked leaves
 * the middle of the heap without a search.
 *
 * Invariant: no node has a smaller key than its parent, and nodes[i]->place == i + 1.
 * Memory:    owns the array; the nodes live in what is queued.
 */
#include "core/heap.h"

#include "core/check.h"

enum { CAP_MIN = 16 };

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_clean_up(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        heap->nodes[i]->place = 0;
    }
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void set(struct heap *heap, size_t i, struct heap_node *node)
{
    heap->nodes[i] = node;
    node->place = i + 1;
}

/* Let `node` rise from the free place `i`. */
static void sift_up(struct heap *heap, size_t i, struct heap_node *node)
{
    while (i > 0) {
        const size_t parent = (i - 1) / 2;

        if (heap->nodes[parent]->key <= node->key) {
            break;
        }
        set(heap, i, heap->nodes[parent]);
        i = parent;
    }
    set(heap, i, node);
}

/* Let `node` sink from the free place `i`. */
static void sift_down(struct heap *heap, size_t i, struct heap_node *node)
{
    for (;;) {
        size_t child = i * 2 + 1;

        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key) {
            child++;
        }
        if (heap->nodes[child]->key >= node->key) {
            break;
        }
        set(heap, i, heap->nodes[child]);
        i = child;
    }
    set(heap, i, node);
}

void heap_push(struct heap *heap, struct heap_node *node, uint64_t key)
{
    CHECK(node->place == 0);
    if (heap->count == heap->cap) {
        heap->cap = MAX_OF(heap->cap * 2, (size_t)CAP_MIN);
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
        heap->nodes = xrealloc(heap->nodes, heap->cap * sizeof(heap->nodes[0]));
    }
    node->key = key;
    heap->count++;
    sift_up(heap, heap->count - 1, node);
}

struct heap_node *heap_peek(const struct heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *first = heap_peek(heap);

    if (first != NULL) {
        heap_remove(heap, first);
    }
    return first;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    const size_t i = node->place - 1;
    struct heap_node *last;

    if (node->place == 0) {
        return;
    }
    CHECK(i < heap->count);
    CHECK(heap->nodes[i] == node);
    node->place = 0;
    heap->count--;
    last = heap->nodes[heap->count];
    if (last == node) {
        return;
    }
    /* the last node fills the gap: it may belong above or below */
    if (i > 0 && last->key < heap->nodes[(i - 1) / 2]->key) {
        sift_up(heap, i, last);
    } else {
        sift_down(heap, i, last);
    }
}

bool heap_is_linked(const struct heap_node *node)
{
    return node->place != 0;
}
