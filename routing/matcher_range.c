/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_range.c - which of many ranges hold a number?
 *
 * The ranges are sorted by their lower bound, and read as a balanced tree: the middle one is the
 * root of what lies on its two sides.  Each knows the highest upper bound below it, so a side whose
 * ranges all end before the number, or begin behind it, is not entered.
 *
 * Memory: one row for each range.
 */
#include "routing/matcher_internal.h"

struct range {
    double low, high;
    double highest; /* of all ranges of which this is the root */
    uint32_t predicate;
    bool is_low_open, is_high_open;
};

struct matcher_ranges {
    size_t count;
    struct range list[];
};

static int compare_ranges(const void *a, const void *b)
{
    const struct range *left = a;
    const struct range *right = b;

    return left->low < right->low ? -1 : left->low > right->low;
}

static double note_highest(struct matcher_ranges *ranges, size_t from, size_t end)
{
    const size_t middle = from + (end - from) / 2;
    double highest;

    if (from == end) {
        return -__builtin_inf();
    }
    highest = MAX_OF(note_highest(ranges, from, middle), note_highest(ranges, middle + 1, end));
    ranges->list[middle].highest = MAX_OF(highest, ranges->list[middle].high);
    return ranges->list[middle].highest;
}

/* The key of a range predicate: two doubles and whether each is open. */
static struct range read_range(const struct matcher *matcher, uint32_t predicate)
{
    const struct slice key = matcher->predicates[predicate].key;
    struct range range = {.predicate = predicate};

    CHECK(key.len == 2 * sizeof(double) + 2);
    memcpy(&range.low, key.data, sizeof(double));
    memcpy(&range.high, key.data + sizeof(double), sizeof(double));
    range.is_low_open = key.data[2 * sizeof(double)] != 0;
    range.is_high_open = key.data[2 * sizeof(double) + 1] != 0;
    return range;
}

struct matcher_ranges *matcher_ranges_new(struct matcher *matcher, const uint32_t *predicates,
                                          size_t count)
{
    struct matcher_ranges *ranges =
        arena_alloc(&matcher->arena, sizeof(*ranges) + count * sizeof(ranges->list[0]));

    ranges->count = count;
    for (size_t i = 0; i < count; i++) {
        ranges->list[i] = read_range(matcher, predicates[i]);
    }
    qsort(ranges->list, count, sizeof(ranges->list[0]), compare_ranges);
    (void)note_highest(ranges, 0, count);
    return ranges;
}

static bool holds(const struct range *range, double value)
{
    return (range->is_low_open ? value > range->low : value >= range->low) &&
           (range->is_high_open ? value < range->high : value <= range->high);
}

static void find(const struct matcher_ranges *ranges, size_t from, size_t end, double value,
                 struct matcher_numbers *found)
{
    while (from < end) {
        const size_t middle = from + (end - from) / 2;
        const struct range *range = &ranges->list[middle];

        if (range->highest < value) {
            return;
        }
        find(ranges, from, middle, value, found);
        if (range->low > value) {
            return;
        }
        if (holds(range, value)) {
            matcher_numbers_append(found, range->predicate);
        }
        from = middle + 1;
    }
}

void matcher_ranges_find(const struct matcher_ranges *ranges, double value,
                         struct matcher_numbers *found)
{
    find(ranges, 0, ranges->count, value, found);
}
