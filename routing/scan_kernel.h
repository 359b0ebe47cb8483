/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_kernel.h - from bytes to operators, on masks of 64 bytes, for one set of instructions.
 *
 * A template: the file that includes it has defined
 *
 *     SCAN_TARGET                the attribute of every function, or nothing
 *     SCAN_KERNEL                the name of the function to make
 *     scan_classify_text()       struct scan_text_masks of the 64 bytes at a place
 *     scan_classify_numbers()    struct scan_number_masks of them
 *     scan_classify_exponents()  struct scan_exponent_masks of them
 *     scan_classify_kinds()      struct scan_kind_masks of 64 kinds
 *     scan_list_operators()      as scan_list_one_by_one()
 *     scan_prefix_xor()          each bit the exclusive or of itself and all below
 *
 * A parser asks at each token what may come next.  Here the question is turned round and asked of
 * all bytes of a block at once: what came *before* each of them?  One addition answers it.  To find
 * the first byte behind `start` that is not in `through`, add the bit behind `start` to `through`:
 * the carry runs to the end of the run of ones.
 *
 *     text            " a "     :   1   ,
 *     end of string       1
 *     blanks                111   1   11
 *     behind string             1              what the carry has reached
 *
 * What follows a value, past blanks, must be an operator, so between two operators stands at most
 * one value.  Each operator learns whether there is one, and goes on a list; whether its neighbours
 * on the list suit it is asked in scan_nesting.h, of 64 operators at once.
 *
 * Numbers are checked by what is before each of their bytes.  Exponents, literals, escapes and
 * characters beyond ASCII are rare and looked at by functions that never see the address of the
 * state, so that all of it stays in registers from block to block.
 */
#include "routing/scan_internal.h"
#include "routing/scan_nesting.h"

/* The bytes behind `behind`, past a run of `through`. */
SCAN_TARGET SCAN_INLINE uint64_t scan_run_through(uint64_t behind, uint64_t through,
                                                  uint64_t *carry)
{
    unsigned long long sum;

    *carry = __builtin_uaddll_overflow(through, behind & through, &sum) ? 1 : 0;
    return (sum | behind) & ~through;
}

/* The first byte behind each of `start` that is not in `through`. */
SCAN_TARGET SCAN_INLINE uint64_t scan_follow(uint64_t start, uint64_t through, uint64_t *carry)
{
    uint64_t over;
    const uint64_t found = scan_run_through((start << 1) + *carry, through, &over);

    *carry = start >> 63 | over;
    return found;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? in all scalars that are not literals. */
SCAN_TARGET static __attribute__((noinline)) uint64_t
scan_check_unusual(struct scan_number_carry *carry, const struct scan *scan, const uint8_t *bytes,
                   uint64_t scalar, uint64_t starts, size_t base)
{
    struct scan_number_masks m = scan_classify_numbers(bytes);
    struct scan_exponent_masks e = scan_classify_exponents(bytes);
    const struct scan_found literals =
        scan_read_literals(scan, starts & ~(m.digit | m.minus), base);
    const uint64_t number = scalar & ~(literals.bits | carry->literal);
    uint64_t behind_digit, behind_exponent, behind_minus, sign, faults;

    carry->literal = literals.carry;
    m.digit &= number;
    m.minus &= number;
    m.dot &= number;
    e.plus &= number;
    e.exponent &= number;
    sign = m.minus | e.plus;
    behind_digit = scan_behind(m.digit, &carry->digit);
    behind_exponent = scan_behind(e.exponent, &carry->exponent);
    behind_minus = scan_behind(m.minus & starts, &carry->start_minus);
    faults = literals.faults;
    faults |= number & ~(m.digit | sign | m.dot | e.exponent);
    faults |= m.minus & ~(starts | behind_exponent);
    faults |= e.plus & ~behind_exponent;
    faults |= (m.dot | e.exponent) & ~behind_digit;
    faults |= scan_behind(sign | m.dot, &carry->sign_or_dot) & ~m.digit;
    faults |= behind_exponent & ~(m.digit | sign);
    faults |= scan_behind(m.zero & m.digit & (starts | behind_minus), &carry->first_zero) & m.digit;
    faults |= scan_follow(m.dot, m.digit, &carry->fraction_run) & m.dot;
    faults |= scan_follow(e.exponent, m.digit | sign, &carry->exponent_run) & (m.dot | e.exponent);
    carry->is_unusual = carry->exponent | carry->exponent_run | carry->literal;
    return faults;
}

/* The same where all scalars are made of digits, minus and dot. */
SCAN_TARGET SCAN_INLINE uint64_t scan_check_numbers(struct scan_number_carry *carry,
                                                    const struct scan_number_masks *m,
                                                    uint64_t scalar, uint64_t starts)
{
    const uint64_t digit = m->digit & scalar;
    const uint64_t sign_or_dot = scalar & ~digit;
    const uint64_t dot = m->dot & scalar;
    const uint64_t minus = sign_or_dot ^ dot;
    const uint64_t behind_digit = scan_behind(digit, &carry->digit);
    const uint64_t behind_minus = scan_behind(minus, &carry->start_minus);
    const uint64_t first_zero = m->zero & scalar & (starts | behind_minus);
    uint64_t faults = minus & ~starts;

    faults |= dot & ~behind_digit;
    faults |= scan_behind(sign_or_dot, &carry->sign_or_dot) & ~digit;
    faults |= scan_behind(first_zero, &carry->first_zero) & digit;
    faults |= scan_follow(dot, digit, &carry->fraction_run) & dot;
    return faults;
}

SCAN_TARGET SCAN_INLINE void scan_take_scalars(struct scan_state *state, const struct scan *scan,
                                               const uint8_t *bytes, uint64_t scalar,
                                               uint64_t starts, size_t base)
{
    const struct scan_number_masks m = scan_classify_numbers(bytes);

    if (__builtin_expect(((scalar & ~(m.digit | m.minus | m.dot)) | state->number.is_unusual) != 0,
                         0)) {
        struct scan_number_carry carry = state->number;

        state->faults |= scan_check_unusual(&carry, scan, bytes, scalar, starts, base);
        state->number = carry;
        return;
    }
    state->faults |= scan_check_numbers(&state->number, &m, scalar, starts);
}

/* Escapes and characters beyond ASCII.  The quotes that are not escaped. */
SCAN_TARGET SCAN_INLINE uint64_t scan_take_rare(struct scan_state *state, struct scan *scan,
                                                const struct scan_text_masks *m, size_t base)
{
    const struct scan_found escapes = scan_read_escapes(scan, m->backslash, state->escaped, base);
    const struct scan_found characters =
        scan_read_characters(scan, m->high, state->character_left, base);

    state->escaped = escapes.carry;
    state->character_left = characters.carry;
    state->faults |= escapes.faults | characters.faults;
    return m->quote & ~escapes.bits;
}

SCAN_TARGET SCAN_INLINE void scan_block(struct scan_state *state, struct scan *scan,
                                        const uint8_t *bytes, size_t base)
{
    const struct scan_text_masks m = scan_classify_text(bytes);
    uint64_t quote = m.quote;
    uint64_t inside; /* strings; opening quotes are, too */
    uint64_t outside, blank, operators, scalar, behind_quote, behind_scalar, behind_value, carry;

    if (__builtin_expect((m.backslash | m.high | state->escaped | state->character_left) != 0, 0)) {
        quote = scan_take_rare(state, scan, &m, base);
    }
    inside = scan_prefix_xor(quote) ^ state->in_string;
    state->in_string = 0 - (inside >> 63);
    state->faults |= m.control & (inside | ~m.blank);
    outside = ~(inside | quote);
    blank = m.blank & outside;
    operators = m.operators & outside;
    scalar = outside & ~(operators | blank);
    behind_quote = scan_behind(quote & ~inside, &state->quote);
    behind_scalar = scan_behind(scalar, &state->scalar);
    behind_value = scan_run_through(behind_quote | (behind_scalar & ~scalar) | state->after_value,
                                    blank, &carry);
    state->after_value = carry;
    state->faults |= behind_value & ~operators;
    scan_take_scalars(state, scan, bytes, scalar, scalar & ~behind_scalar, base);
    state->operator_count = scan_list_operators(scan, state->operator_count, base, bytes, operators,
                                                behind_quote, behind_value);
}

SCAN_TARGET bool SCAN_KERNEL(struct scan *scan)
{
    const struct slice text = scan->text;
    const size_t whole = text.len / SCAN_BLOCK_BYTES * SCAN_BLOCK_BYTES;
    struct scan_state state = {.faults = 0};
    uint8_t last[SCAN_BLOCK_BYTES];

    memset(last, ' ', sizeof(last));
    memcpy(last, text.data + whole, text.len - whole);
    for (size_t base = 0; base <= whole; base += SCAN_BLOCK_BYTES) {
        scan_block(&state, scan, base < whole ? (const uint8_t *)text.data + base : last, base);
        if (__builtin_expect(state.faults != 0, 0)) {
            return false;
        }
    }
    scan->count = state.operator_count;
    return state.in_string == 0 && state.escaped == 0 && scan_nest(scan);
}
