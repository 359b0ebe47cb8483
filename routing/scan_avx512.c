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

#define SCAN_TARGET __attribute__((target("avx512f,avx512bw,bmi,pclmul")))
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

SCAN_TARGET SCAN_INLINE struct scan_text_masks scan_classify_text(const uint8_t *at)
{
    const __m512i bytes = load(at);
    const __m512i lowered = lower(bytes);

    return (struct scan_text_masks){
        .quote = equal(bytes, '"'),
        .backslash = equal(bytes, '\\'),
        .open = equal(lowered, '{'),
        .close = equal(lowered, '}'),
        .colon = equal(bytes, ':'),
        .square = ~_mm512_movepi8_mask(_mm512_slli_epi16(bytes, 2)),
        .comma = equal(bytes, ','),
        .blank = equal(bytes, ' ') | equal(bytes, '\n') | equal(bytes, '\t') | equal(bytes, '\r'),
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
        .plus = equal(bytes, '+'),
        .dot = equal(bytes, '.'),
        .exponent = equal(lower(bytes), 'e'),
    };
}

SCAN_TARGET SCAN_INLINE uint64_t scan_prefix_xor(uint64_t bits)
{
    const __m128i ones = _mm_set1_epi8((char)0xff);

    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), ones, 0));
}

#include "routing/scan_kernel.h"
#endif
