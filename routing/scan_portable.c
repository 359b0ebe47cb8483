/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_portable.c - the scanner's kernel in plain C, for machines without AVX2.
 *
 * A byte belongs to one class, and sets its bit in the mask of that class: no branch, one store.
 *
 * Memory: none.
 */
#include "routing/scan_internal.h"

enum byte_class {
    CLASS_OTHER,
    CLASS_QUOTE,
    CLASS_BACKSLASH,
    CLASS_OPEN,
    CLASS_CLOSE,
    CLASS_SQUARE_OPEN,
    CLASS_SQUARE_CLOSE,
    CLASS_COLON,
    CLASS_COMMA,
    CLASS_SPACE,
    CLASS_BREAK, /* a control byte that is blank */
    CLASS_CONTROL,
    CLASS_HIGH,
    CLASS_ZERO,
    CLASS_DIGIT,
    CLASS_MINUS,
    CLASS_PLUS,
    CLASS_DOT,
    CLASS_EXPONENT,
    CLASS_COUNT,
};

static const uint8_t classes[256] = {
    [0x00 ... 0x1f] = CLASS_CONTROL,
    [0x80 ... 0xff] = CLASS_HIGH,
    ['1' ... '9'] = CLASS_DIGIT,
    ['0'] = CLASS_ZERO,
    ['"'] = CLASS_QUOTE,
    ['\\'] = CLASS_BACKSLASH,
    ['{'] = CLASS_OPEN,
    ['['] = CLASS_SQUARE_OPEN,
    ['}'] = CLASS_CLOSE,
    [']'] = CLASS_SQUARE_CLOSE,
    [':'] = CLASS_COLON,
    [','] = CLASS_COMMA,
    [' '] = CLASS_SPACE,
    ['-'] = CLASS_MINUS,
    ['+'] = CLASS_PLUS,
    ['.'] = CLASS_DOT,
    ['e'] = CLASS_EXPONENT,
    ['E'] = CLASS_EXPONENT,
};

static uint8_t class_of(uint8_t byte)
{
    return byte == '\t' || byte == '\n' || byte == '\r' ? CLASS_BREAK : classes[byte];
}

static void sort_bytes(const uint8_t *bytes, uint64_t masks[static CLASS_COUNT])
{
    memset(masks, 0, sizeof(*masks) * CLASS_COUNT);
    for (unsigned i = 0; i < SCAN_BLOCK_BYTES; i++) {
        masks[class_of(bytes[i])] |= (uint64_t)1 << i;
    }
}

SCAN_INLINE struct scan_text_masks scan_classify_text(const uint8_t *bytes)
{
    uint64_t masks[CLASS_COUNT];

    sort_bytes(bytes, masks);
    return (struct scan_text_masks){
        .quote = masks[CLASS_QUOTE],
        .backslash = masks[CLASS_BACKSLASH],
        .open = masks[CLASS_OPEN] | masks[CLASS_SQUARE_OPEN],
        .close = masks[CLASS_CLOSE] | masks[CLASS_SQUARE_CLOSE],
        .square = masks[CLASS_SQUARE_OPEN] | masks[CLASS_SQUARE_CLOSE],
        .colon = masks[CLASS_COLON],
        .comma = masks[CLASS_COMMA],
        .blank = masks[CLASS_SPACE] | masks[CLASS_BREAK],
        .control = masks[CLASS_CONTROL] | masks[CLASS_BREAK],
        .high = masks[CLASS_HIGH],
    };
}

SCAN_INLINE struct scan_number_masks scan_classify_numbers(const uint8_t *bytes)
{
    uint64_t masks[CLASS_COUNT];

    sort_bytes(bytes, masks);
    return (struct scan_number_masks){
        .digit = masks[CLASS_DIGIT] | masks[CLASS_ZERO],
        .zero = masks[CLASS_ZERO],
        .minus = masks[CLASS_MINUS],
        .plus = masks[CLASS_PLUS],
        .dot = masks[CLASS_DOT],
        .exponent = masks[CLASS_EXPONENT],
    };
}

SCAN_INLINE uint64_t scan_prefix_xor(uint64_t bits)
{
    for (unsigned distance = 1; distance < 64; distance *= 2) {
        bits ^= bits << distance;
    }
    return bits;
}

#define SCAN_TARGET
#define SCAN_KERNEL scan_portable
#include "routing/scan_kernel.h"
