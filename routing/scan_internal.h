/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_internal.h - what the kernels of the scanner share: the bytes of a block as masks, and what
 * is carried from one block into the next.
 */
#pragma once

#include "routing/scan.h"

enum { SCAN_BLOCK_BYTES = 64 };

/* Which bytes of a block are what, the lowest bit for the first byte. */
struct scan_text_masks {
    uint64_t quote, backslash, open, close, colon, comma;
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
    struct scan *scan;
    uint64_t faults;    /* any bit: the text is refused */
    uint64_t escaped;   /* the first byte of the next block is escaped */
    uint64_t in_string; /* all bits: the next block begins inside a string */
    uint64_t after_colon, after_comma, after_close; /* no operator since */
    uint64_t after_string, after_scalar;            /* only blanks since */
    uint64_t scalar;                                /* the last byte belongs to a scalar */
    uint64_t literal;                               /* its letters that reach into the next block */
    unsigned character_left; /* continuation bytes of a character already checked */
    struct scan_number_carry number;
    bool in_object;
    size_t depth;
};

typedef void (*scan_kernel_fn)(struct scan_state *state);

/* Read the whole text block by block; the faults are in the state. */
void scan_portable(struct scan_state *state);
void scan_avx2(struct scan_state *state);
void scan_avx512(struct scan_state *state);

/* scan.c, the rare cases: check the escapes of a block and give the bytes that are escaped; the
 * letters of literals at `starts`; the characters beyond ASCII at `high`. */
uint64_t scan_read_escapes(struct scan_state *state, uint64_t backslash, size_t base);
uint64_t scan_read_literals(struct scan_state *state, uint64_t starts, size_t base);
void scan_read_characters(struct scan_state *state, uint64_t high, size_t base);
/* Take the brackets of a block one by one.  `bad_in_object` and `bad_in_array` are operators that
 * may not stand in such a container. */
void scan_read_brackets(struct scan_state *state, uint64_t brackets, uint64_t bad_in_object,
                        uint64_t bad_in_array, size_t base);
