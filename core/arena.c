/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - bump allocation in blocks of 1 KiB, doubling up to 64 KiB; a larger wish gets a block
 * of its own size.  Under ASan the unused tail of a block is ordinary memory: an overrun inside an
 * arena is not seen, one past a block is.
 */
#include "core/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <openssl/crypto.h>

#include "core/check.h"

enum { BLOCK_MIN_BYTES = 1024, BLOCK_MAX_BYTES = 65536 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* bytes behind this header */
    max_align_t bytes[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *older = block->older;

        free(block);
        block = older;
    }
}

void arena_clean_up(struct arena *arena)
{
    free_blocks(arena->blocks);
    *arena = (struct arena){0};
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block != NULL; block = block->older) {
        OPENSSL_cleanse(block->bytes, block->size);
    }
    arena_clean_up(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *newest = arena->blocks;

    if (newest == NULL) {
        return;
    }
    free_blocks(newest->older);
    newest->older = NULL;
    arena->next = (char *)newest->bytes;
    arena->used_bytes = newest->size;
}

static void add_block(struct arena *arena, size_t size)
{
    size_t wanted = arena->blocks != NULL ? arena->blocks->size * 2 : BLOCK_MIN_BYTES;
    struct arena_block *block;

    wanted = MAX_OF(MIN_OF(wanted, BLOCK_MAX_BYTES), size);
    block = xmalloc(sizeof(*block) + wanted);
    block->older = arena->blocks;
    block->size = wanted;
    arena->blocks = block;
    arena->next = (char *)block->bytes;
    arena->end = arena->next + wanted;
    arena->used_bytes += wanted;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    void *room;

    CHECK(size <= SIZE_MAX / 2);
    size = (MAX_OF(size, 1) + align - 1) & ~(align - 1);
    if (arena->next == NULL || size > (size_t)(arena->end - arena->next)) {
        add_block(arena, size);
    }
    room = arena->next;
    arena->next += size;
    return room;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *room = arena_alloc(arena, size);

    memset(room, 0, size);
    return room;
}

char *arena_cstr(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.len + 1);

    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    copy[bytes.len] = '\0';
    return copy;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    return (struct slice){arena_cstr(arena, bytes), bytes.len};
}

struct slice arena_u64(struct arena *arena, uint64_t value)
{
    char digits[20]; /* of UINT64_MAX */
    size_t start = sizeof(digits);

    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return arena_copy(arena, (struct slice){digits + start, sizeof(digits) - start});
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    char *text;
    int len;

    va_start(arguments, format);
    len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    text = arena_alloc(arena, (size_t)len + 1);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)len + 1, format, arguments);
    va_end(arguments);
    return (struct slice){text, (size_t)len};
}
