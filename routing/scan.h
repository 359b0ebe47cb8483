/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h - a whole JSON text checked strictly, 64 bytes at a time, and left with bitmaps by which
 * it can be walked without looking at what nobody asks for.
 *
 * What is accepted is exactly what core/json.h accepts, if it is an object: RFC 8259, UTF-8, depth
 * up to JSON_DEPTH_MAX, nothing behind the value.  There is no sentence for what is refused; who
 * needs one reads the text again with core/json.h.
 */
#pragma once

#include "core/json.h"
#include "core/slice.h"

enum { SCAN_TEXT_BYTES_MAX = INT32_MAX };

/* A `{`, `[`, `}` or `]` outside strings. */
struct scan_bracket {
    uint32_t at;      /* byte of the text */
    uint32_t partner; /* number of the bracket that closes or opens it */
};

/* What a scan leaves; memory is kept from one text to the next.  Zeroed before the first. */
struct scan {
    struct slice text;
    /* one bit per byte, the lowest first; as many words as the text has begun blocks of 64 bytes,
     * and one more that is zero */
    uint64_t *quotes;    /* those that begin or end a string */
    uint64_t *operators; /* { } [ ] : , outside strings */
    size_t word_max;
    struct scan_bracket *brackets; /* in the order of the text */
    size_t bracket_count;
    size_t bracket_max;
    bool has_escapes;                  /* a backslash stands in some string */
    uint32_t open[JSON_DEPTH_MAX + 1]; /* private: numbers of the brackets that are open */
};

enum scan_kernel {
    SCAN_BEST, /* what the machine can */
    SCAN_PORTABLE,
    SCAN_AVX2,
    SCAN_AVX512,
};

/* Is `text` one valid JSON object?  Then `scan` describes it, until the next run.  A text of
 * SCAN_TEXT_BYTES_MAX or more is none. */
bool scan_run(struct scan *scan, struct slice text);
/* The same by one kernel, for tests; has_kernel says whether this machine can run it. */
bool scan_run_by(struct scan *scan, struct slice text, enum scan_kernel kernel);
bool scan_has_kernel(enum scan_kernel kernel);
void scan_clean_up(struct scan *scan);

/* The first set bit at byte `at` or behind it.  There must be one. */
static inline size_t scan_next(const uint64_t *words, size_t at)
{
    size_t word = at / 64;
    uint64_t bits = words[word] >> (at % 64);

    if (bits != 0) {
        return at + (size_t)__builtin_ctzll(bits);
    }
    do {
        bits = words[++word];
    } while (bits == 0);
    return word * 64 + (size_t)__builtin_ctzll(bits);
}
