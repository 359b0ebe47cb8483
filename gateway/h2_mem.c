/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_mem.c - memory for nghttp2.
 *
 * A request costs nghttp2 about ten small allocations of a few fixed sizes, freed in the same loop
 * turn.  They come from one free list per power of two; a block remembers its class, so freeing
 * needs no search.  One listener, one thread, no lock.
 *
 * Invariant: spare_bytes never passes SPARE_MAX_BYTES; what is over goes back to the system.
 * Memory:    running out aborts, as everywhere in weir: what a session may hold is bounded by the
 *            limits of the front door.
 */
#include "gateway/h2_mem.h"

#include <stdalign.h>

#include "core/check.h"

enum { CLASS_MIN_BYTES = 64, SPARE_MAX_BYTES = 4 * 1024 * 1024 };

struct h2_mem_block {
    union {
        size_t size; /* usable bytes behind this header */
        max_align_t align;
    } head;
    struct h2_mem_block *next; /* only while spare: the first bytes of what is usable */
};

enum { HEAD_BYTES = offsetof(struct h2_mem_block, next) };

_Static_assert(HEAD_BYTES % alignof(max_align_t) == 0, "what is handed out is aligned");

/* The class that holds `size`, or H2_MEM_CLASS_COUNT. */
static unsigned class_of(size_t size)
{
    unsigned class = 0;

    while (class < H2_MEM_CLASS_COUNT && (size_t)CLASS_MIN_BYTES << class < size) {
        class ++;
    }
    return class;
}

static struct h2_mem_block *block_of(void *pointer)
{
    return (struct h2_mem_block *)(void *)((char *)pointer - HEAD_BYTES);
}

static void *allocate(size_t size, void *context)
{
    struct h2_mem *mem = context;
    const unsigned class = class_of(size);
    struct h2_mem_block *block;

    if (class < H2_MEM_CLASS_COUNT) {
        size = (size_t)CLASS_MIN_BYTES << class;
    }
    if (class < H2_MEM_CLASS_COUNT && mem->spare[class] != NULL) {
        block = mem->spare[class];
        mem->spare[class] = block->next;
        mem->spare_bytes -= size;
    } else {
        block = xmalloc(HEAD_BYTES + size);
        block->head.size = size;
    }
    mem->used_bytes += size;
    return (char *)block + HEAD_BYTES;
}

static void give_back(void *pointer, void *context)
{
    struct h2_mem *mem = context;
    struct h2_mem_block *block;
    unsigned class;

    if (pointer == NULL) {
        return;
    }
    block = block_of(pointer);
    class = class_of(block->head.size);
    CHECK(mem->used_bytes >= block->head.size);
    mem->used_bytes -= block->head.size;
    if (class < H2_MEM_CLASS_COUNT && mem->spare_bytes + block->head.size <= SPARE_MAX_BYTES) {
        block->next = mem->spare[class];
        mem->spare[class] = block;
        mem->spare_bytes += block->head.size;
    } else {
        xfree(block);
    }
}

static void *allocate_zeroed(size_t count, size_t size, void *context)
{
    size_t total;
    void *pointer;

    CHECK(!__builtin_mul_overflow(count, size, &total));
    pointer = allocate(total, context);
    memset(pointer, 0, total);
    return pointer;
}

static void *reallocate(void *pointer, size_t size, void *context)
{
    void *grown;

    if (pointer == NULL) {
        return allocate(size, context);
    }
    if (size <= block_of(pointer)->head.size) {
        return pointer;
    }
    grown = allocate(size, context);
    memcpy(grown, pointer, block_of(pointer)->head.size);
    give_back(pointer, context);
    return grown;
}

void h2_mem_init(struct h2_mem *mem)
{
    *mem = (struct h2_mem){
        .mem = {.mem_user_data = mem,
                .malloc = allocate,
                .free = give_back,
                .calloc = allocate_zeroed,
                .realloc = reallocate},
    };
}

void h2_mem_clean_up(struct h2_mem *mem)
{
    CHECK(mem->used_bytes == 0);
    for (size_t i = 0; i < H2_MEM_CLASS_COUNT; i++) {
        while (mem->spare[i] != NULL) {
            struct h2_mem_block *block = mem->spare[i];

            mem->spare[i] = block->next;
            xfree(block);
        }
    }
}
