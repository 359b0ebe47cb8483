/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_kernel.h - the grammar of JSON on masks of 64 bytes, for one set of instructions.
 *
 * A template: the file that includes it has defined
 *
 *     SCAN_TARGET              the attribute of every function, or nothing
 *     SCAN_KERNEL              the name of the function to make
 *     scan_classify_text()     struct scan_text_masks of the 64 bytes at a place
 *     scan_classify_numbers()  struct scan_number_masks of them
 *     scan_prefix_xor()        each bit the exclusive or of itself and all below
 *
 * A parser asks at each token what may come next.  Here the question is turned round and asked of
 * all bytes of a block at once: what came *before* each of them?  One addition answers it.  To find
 * the first byte behind `start` that is not in `through`, add the bit behind `start` to `through`:
 * the carry runs to the end of the run of ones.
 *
 *     text       { "a" :  [ 1 ,
 *     operators  1     1  1   1          the bytes between are the run
 *     after ':'  0     0  1   0          the operator that has a colon before it
 *
 * Between two operators stands at most one value, because what follows a value, past blanks, must
 * be an operator.  So the grammar comes down to a few facts about each operator: which operator
 * stands before it, and whether a string, another scalar or nothing lies between.
 *
 *     :           behind a string, behind `{` or `,`
 *     ,           behind a value that follows `:`, `[`, `,`, or directly behind a bracket's close
 *     { [         directly behind `:`, `[`, `,`
 *     } ]         as the comma, or directly behind its own opening
 *
 * What depends on the container (a comma of an object has a colon before it, an array has no colon)
 * is asked once per bracket for all operators since the one before: scan_read_brackets().
 *
 * Numbers are checked the same way, byte by what is before it.  Literals, escapes and characters
 * beyond ASCII are rare and looked at one by one.
 */
#include "routing/scan_internal.h"

/* The bytes behind `behind`, past a run of `through`; `behind` may only stand at the begin of one.
 */
SCAN_TARGET static inline uint64_t scan_run_through(uint64_t behind, uint64_t through,
                                                    uint64_t *carry)
{
    unsigned long long sum;

    *carry = __builtin_uaddll_overflow(through, behind & through, &sum) ? 1 : 0;
    return (sum | behind) & ~through;
}

/* The first byte behind each of `start` that is not in `through`. */
SCAN_TARGET static inline uint64_t scan_follow(uint64_t start, uint64_t through, uint64_t *carry)
{
    const uint64_t behind = start << 1 | *carry;
    const uint64_t found = scan_run_through(behind, through, carry);

    *carry |= start >> 63;
    return found;
}

/* Bits moved to the byte behind, over the edge of the block. */
SCAN_TARGET static inline uint64_t scan_behind(uint64_t bits, uint64_t *carry)
{
    const uint64_t behind = bits << 1 | *carry;

    *carry = bits >> 63;
    return behind;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? in all scalars that are not literals. */
SCAN_TARGET static inline void scan_check_numbers(struct scan_state *state, const uint8_t *bytes,
                                                  uint64_t scalar, uint64_t starts, size_t base)
{
    struct scan_number_carry *carry = &state->number;
    struct scan_number_masks m = scan_classify_numbers(bytes);
    const uint64_t literal_starts = starts & ~(m.digit | m.minus);
    uint64_t literal = state->literal;
    uint64_t behind_digit, behind_exponent, behind_minus, sign, number;

    state->literal = 0;
    if (literal_starts != 0) {
        literal |= scan_read_literals(state, literal_starts, base);
    }
    number = scalar & ~literal;
    m.digit &= number;
    m.minus &= number;
    m.plus &= number;
    m.dot &= number;
    m.exponent &= number;
    sign = m.minus | m.plus;
    state->faults |= number & ~(m.digit | sign | m.dot | m.exponent);
    behind_digit = scan_behind(m.digit, &carry->digit);
    behind_exponent = scan_behind(m.exponent, &carry->exponent);
    behind_minus = scan_behind(m.minus & starts, &carry->start_minus);
    state->faults |= m.minus & ~(starts | behind_exponent);
    state->faults |= m.plus & ~behind_exponent;
    state->faults |= (m.dot | m.exponent) & ~behind_digit;
    state->faults |= scan_behind(sign | m.dot, &carry->sign_or_dot) & ~m.digit;
    state->faults |= behind_exponent & ~(m.digit | sign);
    state->faults |=
        scan_behind(m.zero & m.digit & (starts | behind_minus), &carry->first_zero) & m.digit;
    state->faults |= scan_follow(m.dot, m.digit, &carry->fraction_run) & m.dot;
    state->faults |=
        scan_follow(m.exponent, m.digit | sign, &carry->exponent_run) & (m.dot | m.exponent);
}

SCAN_TARGET static inline bool scan_has_number_carry(const struct scan_state *state)
{
    const struct scan_number_carry *carry = &state->number;

    return (carry->digit | carry->sign_or_dot | carry->exponent | carry->start_minus |
            carry->first_zero | carry->fraction_run | carry->exponent_run | state->literal) != 0;
}

SCAN_TARGET static inline void scan_check_operators(struct scan_state *state,
                                                    const struct scan_text_masks *m,
                                                    uint64_t value_before, size_t base)
{
    const uint64_t brackets = m->open | m->close;
    const uint64_t between = ~(brackets | m->colon | m->comma);
    const uint64_t after_colon = scan_follow(m->colon, between, &state->after_colon);
    const uint64_t after_comma = scan_follow(m->comma, between, &state->after_comma);
    const uint64_t after_close = scan_follow(m->close, between, &state->after_close);

    state->faults |= m->colon & (after_colon | after_close);
    state->faults |= m->open & (after_close | value_before);
    state->faults |= value_before & after_close;
    state->faults |= m->comma & ~(value_before | after_close);
    state->faults |= m->close & ~value_before & (after_colon | after_comma);
    scan_read_brackets(state, brackets,
                       (((m->comma | m->close) & value_before) | m->open) & ~after_colon, m->colon,
                       base);
}

SCAN_TARGET static inline void scan_block(struct scan_state *state, const uint8_t *bytes,
                                          size_t base)
{
    struct scan_text_masks m = scan_classify_text(bytes);
    const uint64_t escaped_first = state->escaped;
    uint64_t inside, outside, operators, scalar, starts, before_string, before_scalar, blank;

    if ((m.backslash | escaped_first) != 0) {
        m.quote &= ~scan_read_escapes(state, m.backslash, base);
    }
    inside = scan_prefix_xor(m.quote) ^ state->in_string; /* with opening quotes only */
    state->in_string = 0 - (inside >> 63);
    if ((m.high | state->character_left) != 0) {
        scan_read_characters(state, m.high, base);
    }
    state->faults |= m.control & inside;
    outside = ~(inside | m.quote);
    m.open &= outside;
    m.close &= outside;
    m.colon &= outside;
    m.comma &= outside;
    blank = m.blank & outside;
    operators = m.open | m.close | m.colon | m.comma;
    scalar = outside & ~(operators | blank);
    before_string = scan_follow(m.quote & ~inside, blank, &state->after_string);
    {
        const uint64_t behind = scan_behind(scalar, &state->scalar);
        uint64_t carry;

        starts = scalar & ~behind;
        before_scalar = scan_run_through((behind & ~scalar) | state->after_scalar, blank, &carry);
        state->after_scalar = carry;
    }
    state->faults |= (before_string | before_scalar) & ~operators;
    state->faults |= m.colon & ~before_string;
    if (scalar != 0 || scan_has_number_carry(state)) {
        scan_check_numbers(state, bytes, scalar, starts, base);
    }
    scan_check_operators(state, &m, before_string | before_scalar, base);
    state->scan->quotes[base / SCAN_BLOCK_BYTES] = m.quote;
    state->scan->operators[base / SCAN_BLOCK_BYTES] = operators;
}

SCAN_TARGET void SCAN_KERNEL(struct scan_state *state)
{
    const struct slice text = state->scan->text;
    const size_t whole = text.len / SCAN_BLOCK_BYTES * SCAN_BLOCK_BYTES;
    uint8_t last[SCAN_BLOCK_BYTES];

    for (size_t base = 0; base < whole; base += SCAN_BLOCK_BYTES) {
        scan_block(state, (const uint8_t *)text.data + base, base);
        if (state->faults != 0) {
            return;
        }
    }
    if (whole < text.len) {
        memset(last, ' ', sizeof(last));
        memcpy(last, text.data + whole, text.len - whole);
        scan_block(state, last, whole);
    }
}
