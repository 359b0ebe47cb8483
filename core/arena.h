/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that lives and dies with one request, one delivery or one compiled object.
 *
 * Allocation is a pointer bump and never fails (it aborts); nothing is freed one by one.  Who
 * fills an arena from outside bytes has bounded those bytes before.
 */
#pragma once

#include "core/base.h"
#include "core/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;
    char *end;
    size_t used_bytes; /* what all blocks hold, for accounting */
};

/* An empty arena; a zeroed struct is one already. */
void arena_init(struct arena *arena);
/* Frees everything; safe on a zeroed arena and safe twice. */
void arena_clean_up(struct arena *arena);
/* The same, after overwriting the bytes: for secrets. */
void arena_wipe(struct arena *arena);
/* Forget everything but keep the newest block for reuse. */
void arena_reset(struct arena *arena);

/* `size` bytes aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* The same, zeroed. */
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* A copy of the bytes, with a NUL behind for library calls. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
/* A NUL-terminated copy for the OS and library edge. */
char *arena_cstr(struct arena *arena, struct slice bytes);
/* The decimal digits of a number. */
struct slice arena_u64(struct arena *arena, uint64_t value);
struct slice arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#define ARENA_NEW(arena, type)          ((type *)arena_zalloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (count)))
