/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_field.c - the predicates that one leaf satisfies.
 *
 * Each path knows which kinds of predicates it has, and a leaf asks for those only.  Equality is a
 * probe of one table for the whole set.
 *
 * Invariant: a predicate is noted at most once per leaf.
 */
#include "routing/matcher_internal.h"
#include "routing/number.h"

static bool has_kind(const struct matcher_path *path, enum matcher_kind kind)
{
    return (path->kinds >> kind & 1) != 0;
}

/* The leaf satisfies this predicate. */
static void hit(const struct matcher_scratch *scratch, struct matcher_side *side,
                uint32_t predicate)
{
    if (predicate == MATCHER_NONE) {
        return;
    }
    matcher_numbers_append(&side->hits, predicate);
    if (side->predicate_epochs[predicate] != scratch->epoch) {
        side->predicate_epochs[predicate] = scratch->epoch;
        if (side->matcher->posting_starts[predicate] <
            side->matcher->posting_starts[predicate + 1]) {
            matcher_numbers_append(&side->fired, predicate);
        }
    }
}

static void probe_folded(struct matcher_scratch *scratch, struct matcher_side *side,
                         const struct matcher_leaf *leaf)
{
    struct buf *folded = &scratch->folded;
    char *room;

    buf_clear(folded);
    CHECK(buf_reserve(folded, leaf->text.len, &room) == ERR_OK);
    for (size_t i = 0; i < leaf->text.len; i++) {
        const char byte = leaf->text.data[i];

        room[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    hit(scratch, side,
        matcher_find_predicate(side->matcher, leaf->path, MATCHER_FOLDED,
                               (struct slice){room, leaf->text.len}));
}

static void probe_address(struct matcher_scratch *scratch, struct matcher_side *side,
                          const struct matcher_leaf *leaf)
{
    struct ip_address address;

    if (ip_parse(leaf->text, &address) == IP_OK) {
        hit(scratch, side,
            matcher_find_predicate(side->matcher, leaf->path, MATCHER_ADDRESS,
                                   (struct slice){(const char *)address.bytes, address.len}));
    }
}

static void probe_string(struct matcher_scratch *scratch, struct matcher_side *side,
                         const struct matcher_path *path, const struct matcher_leaf *leaf)
{
    if (has_kind(path, MATCHER_TEXT)) {
        hit(scratch, side,
            matcher_find_predicate(side->matcher, leaf->path, MATCHER_TEXT, leaf->text));
    }
    hit(scratch, side, path->any_string);
    if (has_kind(path, MATCHER_FOLDED)) {
        probe_folded(scratch, side, leaf);
    }
    if (has_kind(path, MATCHER_ADDRESS)) {
        probe_address(scratch, side, leaf);
    }
}

static void probe_number(struct matcher_scratch *scratch, struct matcher_side *side,
                         const struct matcher_path *path, const struct matcher_leaf *leaf)
{
    double value;

    if (has_kind(path, MATCHER_SPELLING)) {
        hit(scratch, side,
            matcher_find_predicate(side->matcher, leaf->path, MATCHER_SPELLING, leaf->text));
    }
    if (has_kind(path, MATCHER_NUMBER) && number_read(leaf->text, &value)) {
        value += 0.0; /* -0 is 0 */
        hit(scratch, side,
            matcher_find_predicate(side->matcher, leaf->path, MATCHER_NUMBER,
                                   (struct slice){(const char *)&value, sizeof(value)}));
    }
}

static void probe_singles(struct matcher_scratch *scratch, struct matcher_side *side,
                          const struct matcher_path *path, const struct matcher_leaf *leaf)
{
    const struct event_leaf plain = {.type = (enum leaf_type)leaf->type, .text = leaf->text};

    for (uint32_t i = 0; i < path->single_count; i++) {
        if (predicate_accepts(path->singles[i].predicate, &plain)) {
            hit(scratch, side, path->singles[i].number);
        }
    }
}

void matcher_probe(struct matcher_scratch *scratch, struct matcher_side *side,
                   struct matcher_leaf *leaf)
{
    const struct matcher_path *path = &side->matcher->paths[leaf->path];

    leaf->hit_start = (uint32_t)side->hits.count;
    hit(scratch, side, path->is_present);
    switch ((enum leaf_type)leaf->type) {
    case LEAF_STRING:
        probe_string(scratch, side, path, leaf);
        break;
    case LEAF_NUMBER:
        probe_number(scratch, side, path, leaf);
        break;
    case LEAF_TRUE:
        hit(scratch, side, path->is_true);
        break;
    case LEAF_FALSE:
        hit(scratch, side, path->is_false);
        break;
    case LEAF_NULL:
        hit(scratch, side, path->is_null);
        break;
    }
    if (path->single_count > 0) {
        probe_singles(scratch, side, path, leaf);
    }
    leaf->hit_end = (uint32_t)side->hits.count;
}
