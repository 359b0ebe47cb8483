/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h - a whole JSON text checked strictly, 64 bytes at a time, and left as a list of operators
 * by which it can be walked without looking at what nobody asks for.
 *
 * What is accepted is exactly what core/json.h accepts, if it is an object: RFC 8259, UTF-8, depth
 * up to JSON_DEPTH_MAX, nothing behind the value.  There is no sentence for what is refused; who
 * needs one reads the text again with core/json.h.
 */
#pragma once

#include "core/json.h"
#include "core/slice.h"

enum { SCAN_TEXT_BYTES_MAX = INT32_MAX };

/* What a scan leaves; memory is kept from one text to the next.  Zeroed before the first.
 *
 * Operators are { } [ ] : , outside strings, numbered in the order of the text.  Between two of
 * them stands at most one string, number or literal. */
struct scan {
    struct slice text;
    uint32_t *at;       /* by operator: its byte of the text */
    uint32_t *partners; /* by operator, brackets only: the one that closes or opens it */
    uint8_t *kinds;     /* by operator: see scan_is_open() */
    size_t count;
    size_t max;
    bool has_escapes;                  /* a backslash stands in some string */
    uint32_t open[JSON_DEPTH_MAX + 2]; /* private: the brackets that are open */
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

/* Bits of a kind.  An opening bracket has the lower two, a closing one the first, a colon the
 * second, a comma neither. */
enum {
    SCAN_BRACKET = 0x01,
    SCAN_FIRST = 0x02,
    SCAN_CURLY = 0x20,        /* of brackets */
    SCAN_BEHIND_QUOTE = 0x40, /* the byte before it ends a string */
    SCAN_BEHIND_VALUE = 0x80, /* a string, number or literal stands before it, past blanks */
};

static inline bool scan_is_open(const struct scan *scan, size_t number)
{
    return (scan->kinds[number] & (SCAN_BRACKET | SCAN_FIRST)) == (SCAN_BRACKET | SCAN_FIRST);
}

static inline bool scan_is_close(const struct scan *scan, size_t number)
{
    return (scan->kinds[number] & (SCAN_BRACKET | SCAN_FIRST)) == SCAN_BRACKET;
}
