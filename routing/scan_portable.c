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
    CLASS_OPERATOR,
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
    ['{'] = CLASS_OPERATOR,
    ['['] = CLASS_OPERATOR,
    ['}'] = CLASS_OPERATOR,
    [']'] = CLASS_OPERATOR,
    [':'] = CLASS_OPERATOR,
    [','] = CLASS_OPERATOR,
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
        .operators = masks[CLASS_OPERATOR],
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
        .dot = masks[CLASS_DOT],
    };
}

SCAN_INLINE struct scan_exponent_masks scan_classify_exponents(const uint8_t *bytes)
{
    uint64_t masks[CLASS_COUNT];

    sort_bytes(bytes, masks);
    return (struct scan_exponent_masks){
        .plus = masks[CLASS_PLUS],
        .exponent = masks[CLASS_EXPONENT],
    };
}

SCAN_INLINE struct scan_kind_masks scan_classify_kinds(const uint8_t *kinds)
{
    struct scan_kind_masks masks = {.bracket = 0};

    for (unsigned i = 0; i < SCAN_BLOCK_BYTES; i++) {
        const uint64_t kind = kinds[i];

        masks.bracket |= (kind & 1) << i;
        masks.first |= (kind >> 1 & 1) << i;
        masks.curly |= (kind >> 5 & 1) << i;
        masks.behind_quote |= (kind >> 6 & 1) << i;
        masks.behind_value |= (kind >> 7) << i;
    }
    return masks;
}

#define scan_list_operators scan_list_one_by_one

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
