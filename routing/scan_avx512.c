/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx512.c - the scanner's kernel with a block to a register, where a comparison gives the
 * mask itself.
 *
 * Memory: none.
 */
#include "routing/scan_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET __attribute__((target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,pclmul,popcnt")))
#define SCAN_KERNEL scan_avx512

SCAN_TARGET SCAN_INLINE uint64_t equal(__m512i bytes, char byte)
{
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
}

SCAN_TARGET SCAN_INLINE __m512i load(const uint8_t *bytes)
{
    return _mm512_loadu_si512((const void *)bytes);
}

/* With the bit set by which [ differs from {, and E from e. */
SCAN_TARGET SCAN_INLINE __m512i lower(__m512i bytes)
{
    return _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
}

/* A table of sixteen, four times. */
SCAN_TARGET SCAN_INLINE __m512i repeat(__m128i table)
{
    return _mm512_broadcast_i32x4(table);
}

SCAN_TARGET SCAN_INLINE struct scan_text_masks scan_classify_text(const uint8_t *at)
{
    const __m512i bytes = load(at);
    const __m512i blanks =
        repeat(_mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0));
    const __m512i operators =
        repeat(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));

    return (struct scan_text_masks){
        .quote = equal(bytes, '"'),
        .backslash = equal(bytes, '\\'),
        .operators = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(operators, bytes), lower(bytes)),
        .blank = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(blanks, bytes), bytes),
        .control = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
        .high = _mm512_movepi8_mask(bytes),
    };
}

SCAN_TARGET SCAN_INLINE struct scan_number_masks scan_classify_numbers(const uint8_t *at)
{
    const __m512i bytes = load(at);
    const __m512i from_zero = _mm512_sub_epi8(bytes, _mm512_set1_epi8('0'));

    return (struct scan_number_masks){
        .digit = _mm512_cmple_epu8_mask(from_zero, _mm512_set1_epi8(9)),
        .zero = equal(bytes, '0'),
        .minus = equal(bytes, '-'),
        .dot = equal(bytes, '.'),
    };
}

SCAN_TARGET SCAN_INLINE struct scan_exponent_masks scan_classify_exponents(const uint8_t *at)
{
    const __m512i bytes = load(at);

    return (struct scan_exponent_masks){
        .plus = equal(bytes, '+'),
        .exponent = equal(lower(bytes), 'e'),
    };
}

SCAN_TARGET SCAN_INLINE uint64_t has_bits(__m512i bytes, int bits)
{
    return _mm512_test_epi8_mask(bytes, _mm512_set1_epi8((char)bits));
}

SCAN_TARGET SCAN_INLINE struct scan_kind_masks scan_classify_kinds(const uint8_t *at)
{
    const __m512i kinds = load(at);

    return (struct scan_kind_masks){
        .bracket = has_bits(kinds, SCAN_BRACKET),
        .first = has_bits(kinds, SCAN_FIRST),
        .curly = has_bits(kinds, SCAN_CURLY),
        .behind_quote = has_bits(kinds, SCAN_BEHIND_QUOTE),
        .behind_value = has_bits(kinds, SCAN_BEHIND_VALUE),
    };
}

static const uint8_t ascending[SCAN_BLOCK_BYTES] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
};

/* Sixteen places of a block become places of the text. */
SCAN_TARGET SCAN_INLINE void put_places(uint32_t *at, __m128i places, size_t base)
{
    _mm512_storeu_si512(
        (void *)at, _mm512_add_epi32(_mm512_cvtepu8_epi32(places), _mm512_set1_epi32((int)base)));
}

SCAN_TARGET SCAN_INLINE size_t scan_list_operators(struct scan *scan, size_t count, size_t base,
                                                   const uint8_t *bytes, uint64_t operators,
                                                   uint64_t behind_quote, uint64_t behind_value)
{
    const __m512i places = _mm512_maskz_compress_epi8(operators, load(ascending));
    const size_t new_count = (size_t)__builtin_popcountll(operators);
    __m512i kinds = _mm512_and_si512(load(bytes), _mm512_set1_epi8(0x3f));

    kinds = _mm512_mask_add_epi8(kinds, behind_quote, kinds, _mm512_set1_epi8(SCAN_BEHIND_QUOTE));
    kinds = _mm512_mask_sub_epi8(kinds, behind_value, kinds, _mm512_set1_epi8((char)0x80));
    kinds = _mm512_maskz_compress_epi8(operators, kinds);
    _mm512_storeu_si512((void *)(scan->kinds + count), kinds);
    put_places(scan->at + count, _mm512_castsi512_si128(places), base);
    if (__builtin_expect(new_count > 16, 0)) {
        put_places(scan->at + count + 16, _mm512_extracti32x4_epi32(places, 1), base);
        put_places(scan->at + count + 32, _mm512_extracti32x4_epi32(places, 2), base);
        put_places(scan->at + count + 48, _mm512_extracti32x4_epi32(places, 3), base);
    }
    return count + new_count;
}

SCAN_TARGET SCAN_INLINE uint64_t scan_prefix_xor(uint64_t bits)
{
    const __m128i ones = _mm_set1_epi8((char)0xff);

    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), ones, 0));
}

#include "routing/scan_kernel.h"
#endif
