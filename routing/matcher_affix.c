/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_affix.c - which of many prefixes does a text begin with?  And suffixes: the same, read
 * backwards.
 *
 * The prefixes are sorted, and each knows its parent, the longest other one that it begins with.
 *
 *     a       ab       abc       b         sorted; parents: -, a, ab, -
 *
 * Whatever begins a text lies, in this order, at or before the text, and everything between the two
 * begins with it, too.  So one binary search for the last that is not behind the text finds the end
 * of a chain of parents on which all answers lie.
 *
 * The first eight bytes are kept as a number, so that the search seldom looks at the rest.
 *
 * Memory: sixteen bytes for each, plus the set's own copy of the bytes.
 */
#include <endian.h>

#include "routing/matcher_internal.h"

struct matcher_affixes {
    bool is_backwards;
    uint32_t count;
    struct affix {
        uint64_t head; /* the first bytes as a number, in the order of the list */
        uint32_t predicate;
        uint32_t parent; /* its place in this list, or NONE */
    } list[];
};

static uint8_t byte_at(struct slice text, size_t i, bool is_backwards)
{
    return (uint8_t)(is_backwards ? text.data[text.len - 1 - i] : text.data[i]);
}

/* How many bytes agree from the front (or the back). */
static size_t common_len(struct slice a, struct slice b, bool is_backwards)
{
    const size_t len = MIN_OF(a.len, b.len);
    size_t i = 0;

    while (i < len && byte_at(a, i, is_backwards) == byte_at(b, i, is_backwards)) {
        i++;
    }
    return i;
}

static int compare(struct slice a, struct slice b, bool is_backwards)
{
    const size_t common = common_len(a, b, is_backwards);

    if (common == a.len || common == b.len) {
        return a.len < b.len ? -1 : a.len > b.len;
    }
    return byte_at(a, common, is_backwards) < byte_at(b, common, is_backwards) ? -1 : 1;
}

/* The first eight bytes, the first one highest; zeros for what is not there. */
static uint64_t head_of(struct slice text, bool is_backwards)
{
    uint64_t word = 0;

    if (text.len >= sizeof(word)) {
        memcpy(&word, is_backwards ? slice_end(text) - sizeof(word) : text.data, sizeof(word));
        return is_backwards ? le64toh(word) : be64toh(word);
    }
    for (size_t i = 0; i < sizeof(word); i++) {
        word = word << 8 | (i < text.len ? byte_at(text, i, is_backwards) : 0);
    }
    return word;
}

/* What sorting needs to know. */
struct order {
    const struct matcher_predicate *predicates;
    bool is_backwards;
};

static int compare_affixes(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    const struct affix *left = a;
    const struct affix *right = b;

    if (left->head != right->head) {
        return left->head < right->head ? -1 : 1;
    }
    return compare(order->predicates[left->predicate].key, order->predicates[right->predicate].key,
                   order->is_backwards);
}

/* How many are not behind the text. */
static uint32_t count_up_to(const struct matcher *matcher, const struct matcher_affixes *affixes,
                            struct slice text)
{
    const uint64_t head = head_of(text, affixes->is_backwards);
    uint32_t from = 0;
    uint32_t count = affixes->count;

    while (count > 0) {
        const uint32_t half = count / 2;
        const struct affix *middle = &affixes->list[from + half];
        bool is_behind = middle->head > head;

        if (__builtin_expect(middle->head == head, 0)) {
            is_behind = compare(matcher->predicates[middle->predicate].key, text,
                                affixes->is_backwards) > 0;
        }
        from = is_behind ? from : from + half + 1;
        count = is_behind ? half : count - half - 1;
    }
    return from;
}

struct matcher_affixes *matcher_affixes_new(struct matcher *matcher, const uint32_t *predicates,
                                            size_t count, bool is_backwards)
{
    struct order order = {matcher->predicates, is_backwards};
    struct matcher_affixes *affixes =
        arena_alloc(&matcher->arena, sizeof(*affixes) + count * sizeof(affixes->list[0]));
    uint32_t above = MATCHER_NONE;

    affixes->is_backwards = is_backwards;
    affixes->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        affixes->list[i].predicate = predicates[i];
        affixes->list[i].head = head_of(matcher->predicates[predicates[i]].key, is_backwards);
    }
    qsort_r(affixes->list, count, sizeof(affixes->list[0]), compare_affixes, &order);
    for (uint32_t i = 0; i < count; i++) {
        const struct slice key = matcher->predicates[affixes->list[i].predicate].key;

        while (above != MATCHER_NONE) {
            const struct slice outer = matcher->predicates[affixes->list[above].predicate].key;

            if (common_len(key, outer, is_backwards) == outer.len) {
                break;
            }
            above = affixes->list[above].parent;
        }
        affixes->list[i].parent = above;
        above = i;
    }
    return affixes;
}

void matcher_affixes_find(const struct matcher *matcher, const struct matcher_affixes *affixes,
                          struct slice text, struct matcher_numbers *found)
{
    const uint32_t from = count_up_to(matcher, affixes, text);
    uint32_t at;
    size_t common;

    if (from == 0) {
        return;
    }
    at = from - 1;
    common = common_len(matcher->predicates[affixes->list[at].predicate].key, text,
                        affixes->is_backwards);
    for (; at != MATCHER_NONE; at = affixes->list[at].parent) {
        if (matcher->predicates[affixes->list[at].predicate].key.len <= common) {
            matcher_numbers_append(found, affixes->list[at].predicate);
        }
    }
}
