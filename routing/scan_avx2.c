/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx2.c - the scanner's kernel with 32 bytes to a register.
 *
 * Blanks are found with one shuffle: a table of sixteen holds each blank at its own low nibble, and
 * a byte is blank if the table gives it back.  Operators likewise, for which brackets of both kinds
 * differ in one bit.
 *
 * Memory: none.
 */
#include "routing/scan_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET __attribute__((target("avx2,bmi,bmi2,pclmul,popcnt")))
#define SCAN_KERNEL scan_avx2

struct halves {
    __m256i low, high;
};

SCAN_TARGET SCAN_INLINE uint64_t join(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

SCAN_TARGET SCAN_INLINE uint64_t equal(struct halves bytes, char byte)
{
    const __m256i all = _mm256_set1_epi8(byte);

    return join(_mm256_cmpeq_epi8(bytes.low, all), _mm256_cmpeq_epi8(bytes.high, all));
}

/* Bytes of at most `most`, unsigned. */
SCAN_TARGET SCAN_INLINE uint64_t at_most(struct halves bytes, char most)
{
    const __m256i all = _mm256_set1_epi8(most);

    return join(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes.low, all), bytes.low),
                _mm256_cmpeq_epi8(_mm256_min_epu8(bytes.high, all), bytes.high));
}

SCAN_TARGET SCAN_INLINE struct halves load(const uint8_t *bytes)
{
    return (struct halves){_mm256_loadu_si256((const __m256i *)(const void *)bytes),
                           _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32))};
}

/* With the bit set by which [ differs from {, and E from e. */
SCAN_TARGET SCAN_INLINE struct halves lower(struct halves bytes)
{
    const __m256i bit = _mm256_set1_epi8(0x20);

    return (struct halves){_mm256_or_si256(bytes.low, bit), _mm256_or_si256(bytes.high, bit)};
}

/* Those that a table of sixteen, asked at their low nibble, gives back as `expected`. */
SCAN_TARGET SCAN_INLINE uint64_t look_up(__m128i table, struct halves bytes, struct halves expected)
{
    const __m256i twice = _mm256_broadcastsi128_si256(table);

    return join(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice, bytes.low), expected.low),
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice, bytes.high), expected.high));
}

SCAN_TARGET SCAN_INLINE struct scan_text_masks scan_classify_text(const uint8_t *at)
{
    const struct halves bytes = load(at);
    const __m128i blanks = _mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0);
    const __m128i operators = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0);

    return (struct scan_text_masks){
        .quote = equal(bytes, '"'),
        .backslash = equal(bytes, '\\'),
        .operators = look_up(operators, bytes, lower(bytes)),
        .blank = look_up(blanks, bytes, bytes),
        .control = at_most(bytes, 0x1f),
        .high = join(bytes.low, bytes.high),
    };
}

SCAN_TARGET SCAN_INLINE struct scan_number_masks scan_classify_numbers(const uint8_t *at)
{
    const struct halves bytes = load(at);
    const __m256i zero = _mm256_set1_epi8('0');
    const struct halves from_zero = {_mm256_sub_epi8(bytes.low, zero),
                                     _mm256_sub_epi8(bytes.high, zero)};

    return (struct scan_number_masks){
        .digit = at_most(from_zero, 9),
        .zero = equal(bytes, '0'),
        .minus = equal(bytes, '-'),
        .dot = equal(bytes, '.'),
    };
}

SCAN_TARGET SCAN_INLINE struct scan_exponent_masks scan_classify_exponents(const uint8_t *at)
{
    const struct halves bytes = load(at);

    return (struct scan_exponent_masks){
        .plus = equal(bytes, '+'),
        .exponent = equal(lower(bytes), 'e'),
    };
}

/* Those that have the bit which `distance` moves to the top of a byte. */
SCAN_TARGET SCAN_INLINE uint64_t has_bit(struct halves bytes, int distance)
{
    return join(_mm256_slli_epi16(bytes.low, distance), _mm256_slli_epi16(bytes.high, distance));
}

SCAN_TARGET SCAN_INLINE struct scan_kind_masks scan_classify_kinds(const uint8_t *at)
{
    const struct halves kinds = load(at);

    return (struct scan_kind_masks){
        .bracket = has_bit(kinds, 7),
        .first = has_bit(kinds, 6),
        .curly = has_bit(kinds, 2),
        .behind_quote = has_bit(kinds, 1),
        .behind_value = has_bit(kinds, 0),
    };
}

#define scan_list_operators scan_list_one_by_one

SCAN_TARGET SCAN_INLINE uint64_t scan_prefix_xor(uint64_t bits)
{
    const __m128i ones = _mm_set1_epi8((char)0xff);

    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), ones, 0));
}

#include "routing/scan_kernel.h"
#endif
