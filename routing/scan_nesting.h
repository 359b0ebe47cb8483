/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_nesting.h - do the operators of a text suit each other?  The second half of the template
 * scan_kernel.h, on masks of 64 operators.
 *
 * First the brackets are paired, one by one but without a branch, which also tells what is in
 * doubt about the operators between them: whether the container around is an object.  Then
 *
 *     where a key stands    behind { or, in an object, a comma: a colon behind a value,
 *                           which is a string
 *     where a value stands  behind a colon or, in an array, behind [ or a comma: an opening bracket
 *                           behind nothing, or a comma or close behind a value
 *     behind an opening     also its close, behind nothing
 *     behind a close        a comma or close, behind nothing
 *
 * The brackets are written into a stack and into the list of partners whether they open or close:
 * what was not meant stands above the stack's top, or is written over when its close comes.
 */

/* Bits moved to the byte behind, over the edge of the block. */
SCAN_TARGET SCAN_INLINE uint64_t scan_behind(uint64_t bits, uint64_t *carry)
{
    const uint64_t behind = (bits << 1) + *carry;

    *carry = bits >> 63;
    return behind;
}

/* Pair the brackets of one word: where the container around changes its kind. */
SCAN_TARGET SCAN_INLINE uint64_t scan_pair(struct scan_nesting *nesting, struct scan *scan,
                                           const struct scan_kind_masks *m, size_t base)
{
    uint32_t *stack = scan->open;
    uint32_t depth = nesting->depth;
    uint32_t is_curly = (uint32_t)nesting->in_object & 1;
    uint32_t mismatches = 0;
    uint64_t changes = 0;

    for (uint64_t rest = m->bracket; rest != 0; rest &= rest - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(rest);
        const uint32_t number = (uint32_t)base + bit;
        const uint32_t is_open = (uint32_t)(m->first >> bit) & 1;
        const uint32_t entry = number | (uint32_t)(m->curly >> bit) << SCAN_CURLY_BIT;
        const uint32_t around = stack[depth];
        const uint32_t partner = around & ~(1u << SCAN_CURLY_BIT);
        uint32_t was_curly = is_curly;

        mismatches |= (around ^ entry) & (is_open - 1);
        scan->partners[number] = partner;
        scan->partners[partner] = number;
        stack[depth + 1] = entry;
        depth += 2 * is_open - 1;
        if (__builtin_expect(depth - 1 >= JSON_DEPTH_MAX, 0)) {
            if (depth != 0 || number + 1 != scan->count) {
                nesting->faults = 1;
                return 0;
            }
        }
        is_curly = stack[depth] >> SCAN_CURLY_BIT;
        changes |= (uint64_t)(is_curly ^ was_curly) << bit;
    }
    nesting->faults |= mismatches >> SCAN_CURLY_BIT;
    nesting->depth = depth;
    return changes;
}

/* Colons behind a value that does not touch them: is it a string?  A bit for each that is not. */
SCAN_TARGET SCAN_INLINE uint64_t scan_check_keys(const struct scan *scan, size_t base,
                                                 uint64_t colons)
{
    uint64_t faults = 0;

    for (; colons != 0; colons &= colons - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(colons);

        if (!scan_ends_string(scan, scan->at[base + bit])) {
            faults |= (uint64_t)1 << bit;
        }
    }
    return faults;
}

/* A word of operators, of which the first `count` exist. */
SCAN_TARGET SCAN_INLINE void scan_take_operators(struct scan_nesting *nesting, struct scan *scan,
                                                 size_t base, size_t count)
{
    const struct scan_kind_masks m = scan_classify_kinds(scan->kinds + base);
    const uint64_t exist = ~(uint64_t)0 >> (SCAN_BLOCK_BYTES - count);
    const struct scan_kind_masks brackets = {
        .bracket = m.bracket & exist, .first = m.first, .curly = m.curly};
    const uint64_t open = m.bracket & m.first;
    const uint64_t close = m.bracket & ~m.first;
    const uint64_t colon = m.first & ~m.bracket;
    const uint64_t value = m.behind_value;
    const uint64_t changes = scan_pair(nesting, scan, &brackets, base);
    const uint64_t in_object = scan_prefix_xor(changes) << 1 ^ nesting->in_object;
    const uint64_t after_open = scan_behind(open, &nesting->after_open);
    const uint64_t after_comma = scan_behind(~(m.bracket | m.first), &nesting->after_comma);
    const uint64_t after_colon = scan_behind(colon, &nesting->after_colon);
    const uint64_t after_close = scan_behind(close, &nesting->after_close);
    const uint64_t at_key = in_object & (after_open | after_comma);
    const uint64_t at_value = after_colon | (~in_object & (after_open | after_comma));
    const uint64_t is_empty = close & after_open & ~value;
    uint64_t faults;

    faults = colon & ~(at_key & value);
    faults |= at_key & ~(colon | is_empty);
    faults |= at_value & ~(open ^ value) & ~is_empty;
    faults |= after_close & (open | value);
    nesting->faults |= faults & exist;
    nesting->in_object = 0 - ((in_object ^ changes) >> 63);
    if (__builtin_expect((colon & ~m.behind_quote & exist) != 0, 0) && nesting->faults == 0) {
        nesting->faults |= scan_check_keys(scan, base, colon & ~m.behind_quote & exist);
    }
}

SCAN_TARGET SCAN_INLINE bool scan_nest(struct scan *scan)
{
    struct scan_nesting nesting = {.after_colon = 1}; /* the whole is a value */

    scan->open[0] = 0; /* around the whole: no object */
    for (size_t base = 0; base < scan->count && nesting.faults == 0; base += SCAN_BLOCK_BYTES) {
        scan_take_operators(&nesting, scan, base,
                            MIN_OF(scan->count - base, (size_t)SCAN_BLOCK_BYTES));
    }
    return nesting.faults == 0 && nesting.depth == 0;
}
