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
 * is asked once per bracket for all operators since the one before: scan_take_brackets().
 *
 * Numbers are checked the same way, byte by what is before it.  Literals, escapes and characters
 * beyond ASCII are rare and looked at one by one, by functions that never see the address of the
 * state, so that all of it stays in registers from block to block.
 */
#include "routing/scan_internal.h"

/* The bytes behind `behind`, past a run of `through`; `behind` may only stand at the begin of one.
 */
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
    const uint64_t behind = start << 1 | *carry;
    const uint64_t found = scan_run_through(behind, through, carry);

    *carry |= start >> 63;
    return found;
}

/* Bits moved to the byte behind, over the edge of the block. */
SCAN_TARGET SCAN_INLINE uint64_t scan_behind(uint64_t bits, uint64_t *carry)
{
    const uint64_t behind = bits << 1 | *carry;

    *carry = bits >> 63;
    return behind;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? in all scalars that are not literals. */
SCAN_TARGET SCAN_INLINE void scan_check_numbers(struct scan_state *state, const struct scan *scan,
                                                const uint8_t *bytes, uint64_t scalar,
                                                uint64_t starts, size_t base)
{
    struct scan_number_carry *carry = &state->number;
    struct scan_number_masks m = scan_classify_numbers(bytes);
    const uint64_t literal_starts = starts & ~(m.digit | m.minus);
    uint64_t literal = state->literal;
    uint64_t behind_digit, behind_exponent, behind_minus, sign, number;

    state->literal = 0;
    if (__builtin_expect(literal_starts != 0, 0)) {
        const struct scan_found found = scan_read_literals(scan, literal_starts, base);

        literal |= found.bits;
        state->literal = found.carry;
        state->faults |= found.faults;
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

SCAN_TARGET SCAN_INLINE bool scan_has_number_carry(const struct scan_state *state)
{
    const struct scan_number_carry *carry = &state->number;

    return (carry->digit | carry->sign_or_dot | carry->exponent | carry->start_minus |
            carry->first_zero | carry->fraction_run | carry->exponent_run | state->literal) != 0;
}

/* Take the brackets of a block one by one.  An entry of the stack is the number of an open bracket,
 * and above it whether it is square. */
SCAN_TARGET SCAN_INLINE void scan_take_brackets(struct scan_state *state, struct scan *scan,
                                                uint64_t brackets, uint64_t open, uint64_t square,
                                                uint64_t bad_in_object, uint64_t bad_in_array,
                                                size_t base)
{
    uint64_t rest = ~(uint64_t)0; /* of the block, behind the brackets taken */

    if (__builtin_expect(scan->bracket_max - state->bracket_count < SCAN_BLOCK_BYTES, 0)) {
        scan_grow_brackets(scan);
    }
    for (; brackets != 0; brackets &= brackets - 1) {
        const uint64_t up_to = brackets ^ (brackets - 1); /* this bracket and all before it */
        const unsigned bit = (unsigned)__builtin_ctzll(brackets);
        const uint32_t is_square = (uint32_t)(square >> bit & 1);
        const uint32_t number = state->bracket_count++;
        struct scan_bracket *bracket = &scan->brackets[number];

        state->faults |= rest & up_to & (state->in_object != 0 ? bad_in_object : bad_in_array);
        rest = ~up_to;
        bracket->at = (uint32_t)base + bit;
        if ((open >> bit & 1) != 0) {
            if (state->depth == JSON_DEPTH_MAX) {
                state->faults |= 1;
                return;
            }
            scan->open[++state->depth] = number | is_square << SCAN_SQUARE_BIT;
            state->in_object = is_square ^ 1;
        } else {
            const uint32_t opening = scan->open[state->depth];

            if (state->depth == 0 || opening >> SCAN_SQUARE_BIT != is_square) {
                state->faults |= 1;
                return;
            }
            bracket->partner = opening & ~(1u << SCAN_SQUARE_BIT);
            scan->brackets[bracket->partner].partner = number;
            state->in_object = scan->open[--state->depth] >> SCAN_SQUARE_BIT ^ 1;
        }
    }
    state->faults |= rest & (state->in_object != 0 ? bad_in_object : bad_in_array);
}

SCAN_TARGET SCAN_INLINE void scan_check_operators(struct scan_state *state, struct scan *scan,
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
    scan_take_brackets(state, scan, brackets, m->open, m->square,
                       (((m->comma | m->close) & value_before) | m->open) & ~after_colon, m->colon,
                       base);
}

/* Which bytes are quotes, and which lie inside strings (opening quotes do, too). */
SCAN_TARGET SCAN_INLINE uint64_t scan_find_strings(struct scan_state *state, struct scan *scan,
                                                   struct scan_text_masks *m, size_t base)
{
    uint64_t inside;

    if (__builtin_expect((m->backslash | state->escaped) != 0, 0)) {
        const struct scan_found found = scan_read_escapes(scan, m->backslash, state->escaped, base);

        m->quote &= ~found.bits;
        state->escaped = found.carry;
        state->faults |= found.faults;
    }
    inside = scan_prefix_xor(m->quote) ^ state->in_string;
    state->in_string = 0 - (inside >> 63);
    if (__builtin_expect((m->high | state->character_left) != 0, 0)) {
        const struct scan_found found =
            scan_read_characters(scan, m->high, state->character_left, base);

        state->character_left = found.carry;
        state->faults |= found.faults;
    }
    state->faults |= m->control & inside;
    return inside;
}

SCAN_TARGET SCAN_INLINE void scan_block(struct scan_state *state, struct scan *scan,
                                        const uint8_t *bytes, size_t base)
{
    struct scan_text_masks m = scan_classify_text(bytes);
    const uint64_t inside = scan_find_strings(state, scan, &m, base);
    const uint64_t outside = ~(inside | m.quote);
    const uint64_t blank = m.blank & outside;
    uint64_t operators, scalar, behind_scalar, before_string, before_scalar, carry;

    m.open &= outside;
    m.close &= outside;
    m.colon &= outside;
    m.comma &= outside;
    operators = m.open | m.close | m.colon | m.comma;
    scalar = outside & ~(operators | blank);
    before_string = scan_follow(m.quote & ~inside, blank, &state->after_string);
    behind_scalar = scan_behind(scalar, &state->scalar);
    before_scalar =
        scan_run_through((behind_scalar & ~scalar) | state->after_scalar, blank, &carry);
    state->after_scalar = carry;
    state->faults |= (before_string | before_scalar) & ~operators;
    state->faults |= m.colon & ~before_string;
    if (scalar != 0 || scan_has_number_carry(state)) {
        scan_check_numbers(state, scan, bytes, scalar, scalar & ~behind_scalar, base);
    }
    scan_check_operators(state, scan, &m, before_string | before_scalar, base);
    scan->quotes[base / SCAN_BLOCK_BYTES] = m.quote;
    scan->operators[base / SCAN_BLOCK_BYTES] = operators;
}

SCAN_TARGET bool SCAN_KERNEL(struct scan *scan)
{
    const struct slice text = scan->text;
    const size_t whole = text.len / SCAN_BLOCK_BYTES * SCAN_BLOCK_BYTES;
    struct scan_state state = {.faults = 0};
    uint8_t last[SCAN_BLOCK_BYTES];

    scan->open[0] = 1u << SCAN_SQUARE_BIT; /* around the whole: no object */
    for (size_t base = 0; base < whole; base += SCAN_BLOCK_BYTES) {
        scan_block(&state, scan, (const uint8_t *)text.data + base, base);
        if (__builtin_expect(state.faults != 0, 0)) {
            return false;
        }
    }
    if (whole < text.len) {
        memset(last, ' ', sizeof(last));
        memcpy(last, text.data + whole, text.len - whole);
        scan_block(&state, scan, last, whole);
    }
    scan->bracket_count = state.bracket_count;
    return state.faults == 0 && state.in_string == 0 && state.escaped == 0 && state.depth == 0;
}
