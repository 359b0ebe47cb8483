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

/* Pair the brackets of one word: a bit for each behind which the container is an object. */
SCAN_TARGET static __attribute__((noinline)) uint64_t scan_pair(struct scan_nesting *nesting,
                                                                struct scan *scan,
                                                                uint64_t brackets, uint64_t open,
                                                                uint64_t curly, uint32_t base)
{
    uint32_t *const stack = scan->open;
    uint32_t *const partners = scan->partners;
    uint32_t depth = nesting->depth;
    uint32_t around = stack[depth];
    uint32_t mismatches = 0;
    uint64_t objects = 0;

    do {
        const unsigned bit = (unsigned)__builtin_ctzll(brackets);
        const uint32_t number = base + bit;
        const uint32_t is_open = (uint32_t)(open >> bit) & 1;
        const uint32_t entry = number | (uint32_t)(curly >> bit) << SCAN_CURLY_BIT;
        const uint32_t partner = around & ~(1u << SCAN_CURLY_BIT);

        mismatches |= (around ^ entry) & (is_open - 1);
        partners[number] = partner;
        partners[partner] = number;
        stack[depth + 1] = entry;
        depth += 2 * is_open - 1;
        if (__builtin_expect(depth - 1 >= JSON_DEPTH_MAX, 0) &&
            (depth != 0 || number + 1 != scan->count)) {
            nesting->faults = 1;
            return 0;
        }
        around = stack[depth];
        objects |= (uint64_t)(around >> SCAN_CURLY_BIT) << bit;
        brackets &= brackets - 1;
    } while (brackets != 0);
    nesting->faults |= mismatches >> SCAN_CURLY_BIT;
    nesting->depth = depth;
    return objects;
}

/* Which operators stand in an object: a bracket counts to the container that it ends. */
SCAN_TARGET SCAN_INLINE uint64_t scan_find_in_object(struct scan_nesting *nesting,
                                                     struct scan *scan,
                                                     const struct scan_kind_masks *m,
                                                     uint64_t brackets, size_t base)
{
    uint64_t starts, objects;

    if (brackets == 0) {
        return 0 - nesting->in_object;
    }
    objects = scan_pair(nesting, scan, brackets, m->first, m->curly, (uint32_t)base);
    starts = objects << 1 | nesting->in_object;
    /* from each start, the run of other operators and the bracket that ends it */
    nesting->in_object = scan->open[nesting->depth] >> SCAN_CURLY_BIT;
    return (starts + ~brackets) ^ ~brackets;
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
    const uint64_t open = m.bracket & m.first;
    const uint64_t close = m.bracket & ~m.first;
    const uint64_t colon = m.first & ~m.bracket;
    const uint64_t value = m.behind_value;
    const uint64_t in_object = scan_find_in_object(nesting, scan, &m, m.bracket & exist, base);
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
