/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx512.c - the scanner's kernel for AVX-512, eight blocks at a time.
 *
 * What scan_kernel.h does with masks of 64 bytes in general registers is done here with eight of
 * them in one vector register: a comparison gives the mask of a block, eight masks are a wide word
 * of 512 bits, and the grammar costs as much for eight blocks as it does there for one.  Bits move
 * from word to word by a double shift, and additions carry through all eight.
 *
 *     text      64 bytes | 64 bytes | ...          eight loads, a dozen comparisons each
 *     wide      one word | one word | ...          one register for each kind of byte
 *
 * The rules are those of scan_kernel.h and are not told again.
 *
 * Memory: none.
 */
#include "routing/scan_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET                                                                                \
    __attribute__((                                                                                \
        target("avx512f,avx512bw,avx512dq,avx512vbmi2,vpclmulqdq,bmi,bmi2,pclmul,popcnt")))

enum { GROUP_BLOCKS = 8, GROUP_BYTES = GROUP_BLOCKS * SCAN_BLOCK_BYTES };

/* A word for each block of a group. */
struct words {
    _Alignas(64) uint64_t of[GROUP_BLOCKS];
};

/* The bytes of a group, sorted. */
struct group {
    struct words quote, operators, blank, control, digit, zero, minus, dot;
    size_t base;
    size_t block_count;
    bool is_rare; /* a backslash or a byte from 0x80 is among them */
};

/* The operators of a group and what is before them. */
struct found {
    struct words operators, behind_quote, behind_value;
};

/* Carried from group to group: the last word of each kind, in the last place, or a single bit. */
struct wide_state {
    __m512i faults;
    __m512i quote, scalar, digit, exponent, start_minus, sign_or_dot, first_zero, dot;
    uint64_t after_value, fraction_run, exponent_run;
    uint64_t in_string;
    uint64_t literal; /* letters of a literal that reach into the next group */
    uint64_t escaped, character_left;
};

SCAN_TARGET SCAN_INLINE __m512i load(const void *bytes)
{
    return _mm512_loadu_si512(bytes);
}

SCAN_TARGET SCAN_INLINE __m512i and_not(__m512i a, __m512i b)
{
    return _mm512_andnot_si512(b, a);
}

SCAN_TARGET SCAN_INLINE __m512i and (__m512i a, __m512i b)
{
    return _mm512_and_si512(a, b);
}

SCAN_TARGET SCAN_INLINE __m512i or (__m512i a, __m512i b)
{
    return _mm512_or_si512(a, b);
}

SCAN_TARGET SCAN_INLINE uint64_t equal(__m512i bytes, char byte)
{
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* The block of the text at `base`; blanks stand behind the text. */
SCAN_TARGET SCAN_INLINE __m512i load_block(struct slice text, size_t base)
{
    if (__builtin_expect(base + SCAN_BLOCK_BYTES <= text.len, 1)) {
        return load(text.data + base);
    }
    return _mm512_mask_loadu_epi8(_mm512_set1_epi8(' '),
                                  _bzhi_u64(~(uint64_t)0, (unsigned)(text.len - base)),
                                  text.data + base);
}

SCAN_TARGET SCAN_INLINE void sort_block(struct group *group, size_t i, __m512i bytes)
{
    /* by low nibble; with one bit set, [ is { and ] is } */
    const __m512i blanks = _mm512_broadcast_i32x4(
        _mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0));
    const __m512i operators = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));
    const __m512i lowered = or (bytes, _mm512_set1_epi8(0x20));
    const __m512i from_zero = _mm512_sub_epi8(bytes, _mm512_set1_epi8('0'));

    group->quote.of[i] = equal(bytes, '"');
    group->operators.of[i] = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(operators, bytes), lowered);
    group->blank.of[i] = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(blanks, bytes), bytes);
    group->control.of[i] = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(' '));
    group->digit.of[i] = _mm512_cmple_epu8_mask(from_zero, _mm512_set1_epi8(9));
    group->zero.of[i] = _mm512_testn_epi8_mask(from_zero, from_zero);
    group->minus.of[i] = equal(bytes, '-');
    group->dot.of[i] = equal(bytes, '.');
}

SCAN_TARGET SCAN_INLINE void sort_group(struct group *group, struct slice text, size_t base)
{
    const size_t left = text.len - base;
    __mmask64 rare = 0;

    group->base = base;
    group->block_count =
        MIN_OF((left + SCAN_BLOCK_BYTES - 1) / SCAN_BLOCK_BYTES, (size_t)GROUP_BLOCKS);
    for (size_t i = 0; i < group->block_count; i++) {
        const __m512i bytes = load_block(text, base + i * SCAN_BLOCK_BYTES);

        sort_block(group, i, bytes);
        rare = _kor_mask64(rare, _kor_mask64(equal(bytes, '\\'), _mm512_movepi8_mask(bytes)));
    }
    group->is_rare = rare != 0;
}

/* Escapes and characters beyond ASCII: quotes that are escaped are none.  What is wrong. */
SCAN_TARGET static __attribute__((noinline)) uint64_t
take_rare(struct group *group, struct scan *scan, uint64_t *escaped, uint64_t *character_left)
{
    uint64_t faults = 0;

    for (size_t i = 0; i < group->block_count; i++) {
        const size_t base = group->base + i * SCAN_BLOCK_BYTES;
        const __m512i bytes = load_block(scan->text, base);
        const struct scan_found escapes =
            scan_read_escapes(scan, equal(bytes, '\\'), *escaped, base);
        const struct scan_found characters =
            scan_read_characters(scan, _mm512_movepi8_mask(bytes), *character_left, base);

        *escaped = escapes.carry;
        *character_left = characters.carry;
        group->quote.of[i] &= ~escapes.bits;
        faults |= escapes.faults | characters.faults;
    }
    return faults;
}

/* ---- wide words ---------------------------------------------------------------------------- */

/* Each bit moved to the byte behind. */
SCAN_TARGET SCAN_INLINE __m512i behind(__m512i bits, __m512i *last)
{
    const __m512i before = _mm512_alignr_epi64(bits, *last, 7);

    *last = bits;
    return _mm512_shldi_epi64(bits, before, 1);
}

/* The bytes behind `behind`, past a run of `through`. */
SCAN_TARGET SCAN_INLINE __m512i run_through(__m512i behind, __m512i through, uint64_t *carry)
{
    const __m512i ones = _mm512_set1_epi64(-1);
    __m512i sum = _mm512_add_epi64(through, and(behind, through));
    const uint64_t over = _mm512_cmplt_epu64_mask(sum, through);
    const uint64_t full = _mm512_cmpeq_epi64_mask(sum, ones);
    const uint64_t carried = ((over << 1 | *carry) + full) ^ full;

    sum = _mm512_mask_sub_epi64(sum, (__mmask8)carried, sum, ones);
    *carry = carried >> GROUP_BLOCKS & 1;
    return and_not(or (sum, behind), through);
}

/* Which bytes lie inside strings, opening quotes too. */
SCAN_TARGET SCAN_INLINE __m512i find_inside(__m512i quote, uint64_t *in_string)
{
    const __m512i ones = _mm512_set1_epi64(-1);
    const __m512i even = _mm512_clmulepi64_epi128(quote, ones, 0x00);
    const __m512i odd = _mm512_clmulepi64_epi128(quote, ones, 0x01);
    const __m512i inside = _mm512_unpacklo_epi64(even, odd); /* word by word */
    uint64_t flips = _mm512_movepi64_mask(inside);

    flips ^= flips << 1;
    flips ^= flips << 2;
    flips ^= flips << 4;
    flips = (flips << 1) ^ (0 - *in_string);
    *in_string = flips >> GROUP_BLOCKS & 1;
    return _mm512_mask_xor_epi64(inside, (__mmask8)flips, inside, ones);
}

/* ---- scalars ------------------------------------------------------------------------------- */

struct exponents {
    struct words plus, exponent;
};

SCAN_TARGET static __attribute__((noinline)) void
sort_exponents(struct exponents *exponents, const struct group *group, struct slice text)
{
    for (size_t i = 0; i < group->block_count; i++) {
        const __m512i bytes = load_block(text, group->base + i * SCAN_BLOCK_BYTES);

        exponents->plus.of[i] = equal(bytes, '+');
        exponents->exponent.of[i] = equal(or (bytes, _mm512_set1_epi8(0x20)), 'e');
    }
}

/* The letters of literals that begin at `starts`, and of one that began in the group before. */
static __attribute__((noinline)) uint64_t read_literals(struct words *starts, uint64_t *carry,
                                                        const struct scan *scan, size_t base)
{
    uint64_t faults = 0;

    for (size_t i = 0; i < GROUP_BLOCKS; i++) {
        const struct scan_found found =
            scan_read_literals(scan, starts->of[i], base + i * SCAN_BLOCK_BYTES);

        starts->of[i] = found.bits | *carry;
        *carry = found.carry;
        faults |= found.faults;
    }
    return faults;
}

SCAN_TARGET SCAN_INLINE void note_faults(struct wide_state *state, __m512i faults)
{
    state->faults = or (state->faults, faults);
}

SCAN_TARGET SCAN_INLINE void check_numbers(struct wide_state *state, const struct group *group,
                                           struct slice text, __m512i number, __m512i starts)
{
    const __m512i digit = and(load(&group->digit), number);
    const __m512i dot = and(load(&group->dot), number);
    const __m512i minus = and(load(&group->minus), number);
    const __m512i unusual = and_not(number, or (digit, or (dot, minus)));
    __m512i plus = _mm512_setzero_si512();
    __m512i exponent = plus;
    __m512i sign, behind_digit, behind_exponent, behind_minus, first_zero, run;

    if (__builtin_expect(_mm512_test_epi64_mask(unusual, unusual) != 0, 0)) {
        struct exponents exponents = {.plus = {{0}}};

        sort_exponents(&exponents, group, text);
        plus = and(load(&exponents.plus), number);
        exponent = and(load(&exponents.exponent), number);
        note_faults(state, and_not(unusual, or (plus, exponent)));
    }
    sign = or (minus, plus);
    behind_digit = behind(digit, &state->digit);
    behind_exponent = behind(exponent, &state->exponent);
    behind_minus = behind(and(minus, starts), &state->start_minus);
    first_zero = and(and(load(&group->zero), digit), or (starts, behind_minus));
    note_faults(state, and_not(minus, or (starts, behind_exponent)));
    note_faults(state, and_not(plus, behind_exponent));
    note_faults(state, and_not(or (dot, exponent), behind_digit));
    note_faults(state, and_not(behind(or (sign, dot), &state->sign_or_dot), digit));
    note_faults(state, and_not(behind_exponent, or (digit, sign)));
    note_faults(state, and(behind(first_zero, &state->first_zero), digit));
    run = run_through(behind(dot, &state->dot), digit, &state->fraction_run);
    note_faults(state, and(run, dot));
    run = run_through(behind_exponent, or (digit, sign), &state->exponent_run);
    note_faults(state, and(run, or (dot, exponent)));
}

SCAN_TARGET SCAN_INLINE void check_scalars(struct wide_state *state, const struct group *group,
                                           const struct scan *scan, __m512i scalar, __m512i starts)
{
    const __m512i letters = and_not(starts, or (load(&group->digit), load(&group->minus)));

    if (__builtin_expect(_mm512_test_epi64_mask(letters, letters) != 0 || state->literal != 0, 0)) {
        struct words literals;
        uint64_t carry = state->literal;

        _mm512_store_si512(&literals, letters);
        note_faults(state, _mm512_set1_epi64(
                               (long long)read_literals(&literals, &carry, scan, group->base)));
        state->literal = carry;
        scalar = and_not(scalar, load(&literals));
    }
    check_numbers(state, group, scan->text, scalar, starts);
}

/* ---- operators ----------------------------------------------------------------------------- */

SCAN_TARGET SCAN_INLINE void find_operators(struct wide_state *state, const struct group *group,
                                            const struct scan *scan, struct found *found)
{
    const __mmask8 exist = (__mmask8)((1u << group->block_count) - 1);
    const __m512i quote = _mm512_maskz_loadu_epi64(exist, &group->quote);
    const __m512i inside = find_inside(quote, &state->in_string);
    const __m512i in_text = _mm512_maskz_set1_epi64(exist, -1);
    const __m512i outside = and_not(in_text, or (inside, quote));
    const __m512i all_blank = load(&group->blank);
    const __m512i blank = and(all_blank, outside);
    const __m512i operators = and(load(&group->operators), outside);
    const __m512i scalar = and_not(outside, or (operators, blank));
    const __m512i behind_quote = behind(and_not(quote, inside), &state->quote);
    const __m512i behind_scalar = behind(scalar, &state->scalar);
    const __m512i behind_value =
        run_through(or (behind_quote, and_not(behind_scalar, scalar)), blank, &state->after_value);

    note_faults(state, and(and_not(load(&group->control), and_not(all_blank, inside)), in_text));
    note_faults(state, and(and_not(behind_value, operators), in_text));
    check_scalars(state, group, scan, scalar, and_not(scalar, behind_scalar));
    _mm512_store_si512(&found->operators, operators);
    _mm512_store_si512(&found->behind_quote, behind_quote);
    _mm512_store_si512(&found->behind_value, behind_value);
}

/* Sixteen places of a block become places of the text. */
SCAN_TARGET SCAN_INLINE void put_places(uint32_t *at, __m128i places, size_t base)
{
    _mm512_storeu_si512(
        (void *)at, _mm512_add_epi32(_mm512_cvtepu8_epi32(places), _mm512_set1_epi32((int)base)));
}

/* Put the operators of a block on the list, from `count` on. The new count. */
SCAN_TARGET SCAN_INLINE size_t list_operators(struct scan *scan, size_t count, size_t base,
                                              const struct found *found, size_t i)
{
    static const uint8_t ascending[SCAN_BLOCK_BYTES] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    };
    const uint64_t operators = found->operators.of[i];
    const __m512i places = _mm512_maskz_compress_epi8(operators, load(ascending));
    const size_t new_count = (size_t)__builtin_popcountll(operators);
    __m512i kinds = and(load_block(scan->text, base), _mm512_set1_epi8(0x3f));

    kinds = _mm512_mask_add_epi8(kinds, found->behind_quote.of[i], kinds,
                                 _mm512_set1_epi8(SCAN_BEHIND_QUOTE));
    kinds = _mm512_mask_sub_epi8(kinds, found->behind_value.of[i], kinds,
                                 _mm512_set1_epi8((char)SCAN_BEHIND_VALUE));
    _mm512_storeu_si512((void *)(scan->kinds + count),
                        _mm512_maskz_compress_epi8(operators, kinds));
    put_places(scan->at + count, _mm512_castsi512_si128(places), base);
    if (__builtin_expect(new_count > 16, 0)) {
        put_places(scan->at + count + 16, _mm512_extracti32x4_epi32(places, 1), base);
        put_places(scan->at + count + 32, _mm512_extracti32x4_epi32(places, 2), base);
        put_places(scan->at + count + 48, _mm512_extracti32x4_epi32(places, 3), base);
    }
    return count + new_count;
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

#include "routing/scan_nesting.h"

SCAN_TARGET SCAN_INLINE void take_group(struct wide_state *state, struct group *group,
                                        struct scan *scan, struct found *found)
{
    if (__builtin_expect(group->is_rare || state->character_left != 0 || state->escaped != 0, 0)) {
        uint64_t escaped = state->escaped;
        uint64_t character_left = state->character_left;
        const uint64_t faults = take_rare(group, scan, &escaped, &character_left);

        note_faults(state, _mm512_set1_epi64((long long)faults));
        state->escaped = escaped;
        state->character_left = character_left;
    }
    find_operators(state, group, scan, found);
}

/* A group is sorted one turn before it is taken: its masks, written word by word, are then no
 * longer on their way when they are read all at once. */
SCAN_TARGET bool scan_avx512(struct scan *scan)
{
    struct wide_state state = {.literal = 0};
    struct group groups[2];
    struct found found;
    size_t count = 0;

    sort_group(&groups[0], scan->text, 0);
    for (size_t base = 0; base < scan->text.len; base += GROUP_BYTES) {
        struct group *group = &groups[base / GROUP_BYTES % 2];

        if (base + GROUP_BYTES < scan->text.len) {
            sort_group(&groups[(base / GROUP_BYTES + 1) % 2], scan->text, base + GROUP_BYTES);
        }
        take_group(&state, group, scan, &found);
        if (__builtin_expect(_mm512_test_epi64_mask(state.faults, state.faults) != 0, 0)) {
            return false;
        }
        for (size_t i = 0; i < group->block_count; i++) {
            count = list_operators(scan, count, base + i * SCAN_BLOCK_BYTES, &found, i);
        }
    }
    scan->count = count;
    return state.in_string == 0 && state.escaped == 0 && scan_nest(scan);
}
#endif
