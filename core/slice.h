/* SPDX-License-Identifier: Apache-2.0
 *
 * slice.h - bytes by value: a pointer and a length that trust no terminating NUL.
 *
 * A slice borrows.  It is valid as long as what it points into, and it is never freed.
 */
#pragma once

#include "core/base.h"

struct slice {
    const char *data;
    size_t len;
};

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){("" literal ""), sizeof(literal) - 1})
/* The same for a static initializer. */
#define SLICE_INIT(literal)                                                                        \
    {                                                                                              \
        ("" literal ""), sizeof(literal) - 1                                                       \
    }
/* Arguments for "%.*s". */
#define SLICE_ARG(slice) (int)(slice).len, (slice).data

/* A slice of a NUL-terminated string at the edge to the OS or a library. NULL gives the empty one.
 */
struct slice slice_of(const char *text);
/* Just past the last byte; NULL for a NULL slice, to which C forbids to add even 0. */
static inline const char *slice_end(struct slice s)
{
    return s.len > 0 ? s.data + s.len : s.data;
}
bool slice_eq(struct slice a, struct slice b);
/* ASCII letters only. */
bool slice_eq_ignore_case(struct slice a, struct slice b);
/* Byte order, a shorter prefix first: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);
bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_suffix(struct slice s, struct slice suffix);
/* From `from` on; empty past the end. */
struct slice slice_from(struct slice s, size_t from);
/* The first `len` bytes at most. */
struct slice slice_first(struct slice s, size_t len);
/* Without blanks and tabs at both ends. */
struct slice slice_trim(struct slice s);
/* Index of the first `byte`, or `s.len`. */
size_t slice_find(struct slice s, char byte);
/* Cut `s` at the first `byte`: returns what stands before and leaves in `s` what follows it.
 * Without such a byte returns all and leaves `s` empty with a NULL pointer. */
struct slice slice_cut(struct slice *s, char byte);
/* A decimal number without sign or leading blanks; false on anything else or overflow. */
bool slice_to_u64(struct slice s, uint64_t *value);
