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
    uint64_t quote, backslash, open, close, colon, comma;
    uint64_t square;  /* among the brackets [ and ], perhaps also elsewhere */
    uint64_t blank;   /* space, tab, line feed, carriage return */
    uint64_t control; /* below 0x20 */
    uint64_t high;    /* from 0x80 */
};

/* Of the bytes that numbers are made of. */
struct scan_number_masks {
    uint64_t digit, zero, minus, plus, dot, exponent;
};

/* Single bits carried into the next block. */
struct scan_number_carry {
    uint64_t digit, sign_or_dot, exponent, start_minus, first_zero;
    uint64_t fraction_run, exponent_run;
};

struct scan_state {
    uint64_t faults;    /* any bit: the text is refused */
    uint64_t escaped;   /* the first byte of the next block is escaped */
    uint64_t in_string; /* all bits: the next block begins inside a string */
    uint64_t after_colon, after_comma, after_close; /* no operator since */
    uint64_t after_string, after_scalar;            /* only blanks since */
    uint64_t scalar;                                /* the last byte belongs to a scalar */
    uint64_t literal;        /* letters of a literal that reach into the next block */
    uint64_t character_left; /* continuation bytes of a character already checked */
    struct scan_number_carry number;
    uint32_t in_object; /* 1: the innermost container is an object */
    uint32_t depth;
    uint32_t bracket_count;
};

enum { SCAN_SQUARE_BIT = 31 }; /* of an entry of the stack of brackets */

typedef bool (*scan_kernel_fn)(struct scan *scan);

/* Read the whole text block by block.  False if something is wrong with it; what is not looked at
 * is whether it is one object. */
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
/* Check the characters beyond ASCII; the carry is how many bytes of the last are left. */
struct scan_found scan_read_characters(const struct scan *scan, uint64_t high, uint64_t left,
                                       size_t base);
void scan_grow_brackets(struct scan *scan);
