/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_internal.h - what the kernels of the scanner share: the bytes of a block as masks, and what
 * is carried from one block into the next.
 */
#pragma once

#include "routing/scan.h"

enum { SCAN_BLOCK_BYTES = 64 };

/* A kernel is one function: what is carried from block to block stays in registers. */
#define SCAN_INLINE static inline __attribute__((always_inline))

/* Which bytes of a block are what, the lowest bit for the first byte. */
struct scan_text_masks {
    uint64_t quote, backslash;
    uint64_t operators; /* { } [ ] : , and the control bytes 0x0c and 0x1a */
    uint64_t blank;     /* space, tab, line feed, carriage return */
    uint64_t control;   /* below 0x20 */
    uint64_t high;      /* from 0x80 */
};

/* Of the bytes that most numbers are made of. */
struct scan_number_masks {
    uint64_t digit, zero, minus, dot;
};

/* Of the others. */
struct scan_exponent_masks {
    uint64_t plus, exponent;
};

/* Of the bytes that scan_kinds holds: one bit of each. */
struct scan_kind_masks {
    uint64_t bracket, first, curly, behind_quote, behind_value;
};

/* Single bits carried into the next block, but for the literal. */
struct scan_number_carry {
    uint64_t digit, sign_or_dot, start_minus, first_zero, fraction_run;
    uint64_t exponent, exponent_run;
    uint64_t literal;    /* letters of a literal that reach into the next block */
    uint64_t is_unusual; /* one of the last three is not 0 */
};

struct scan_state {
    uint64_t faults;         /* any bit: the text is refused */
    uint64_t in_string;      /* all bits: the next block begins inside a string */
    uint64_t quote;          /* the last byte ends a string */
    uint64_t scalar;         /* the last byte belongs to a scalar */
    uint64_t after_value;    /* only blanks since one */
    uint64_t escaped;        /* the first byte of the next block is escaped */
    uint64_t character_left; /* continuation bytes of a character already checked */
    struct scan_number_carry number;
    size_t operator_count;
};

/* The same for the list of operators, 64 at a time. */
struct scan_nesting {
    uint64_t faults;
    uint64_t in_object; /* 1: the innermost container is an object */
    uint64_t after_open, after_colon, after_comma, after_close; /* the last operator was one */
    uint32_t depth;
};

enum { SCAN_CURLY_BIT = 31 }; /* of an entry of the stack of brackets */

typedef bool (*scan_kernel_fn)(struct scan *scan);

/* Read the whole text block by block, then its operators.  False if something is wrong; what is not
 * looked at is what stands before the first operator and behind the last. */
bool scan_portable(struct scan *scan);
bool scan_avx2(struct scan *scan);
bool scan_avx512(struct scan *scan);

/* What one of the functions below has found in a block. */
struct scan_found {
    uint64_t bits;
    uint64_t carry; /* into the next block */
    uint64_t faults;
};

/* scan.c, the rare cases.  Check the escapes of a block: the bytes that are escaped. */
struct scan_found scan_read_escapes(struct scan *scan, uint64_t backslash, uint64_t escaped,
                                    size_t base);
/* Check the literals that begin at `starts`: their letters. */
struct scan_found scan_read_literals(const struct scan *scan, uint64_t starts, size_t base);
/* Does a string end before `at`, past blanks?  Some value does. */
bool scan_ends_string(const struct scan *scan, size_t at);
/* Check the characters beyond ASCII; the carry is how many bytes of the last are left. */
struct scan_found scan_read_characters(const struct scan *scan, uint64_t high, uint64_t left,
                                       size_t base);

/* Put the operators of a block on the list, which has room, from `count` on, one by one. The new
 * count. */
SCAN_INLINE size_t scan_list_one_by_one(struct scan *scan, size_t count, size_t base,
                                        const uint8_t *bytes, uint64_t operators,
                                        uint64_t behind_quote, uint64_t behind_value)
{
    for (; operators != 0; operators &= operators - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(operators);

        scan->at[count] = (uint32_t)base + bit;
        scan->kinds[count] = (uint8_t)((bytes[bit] & 0x3f) | (behind_quote >> bit & 1) << 6 |
                                       (behind_value >> bit & 1) << 7);
        count++;
    }
    return count;
}
