/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_walk.c - through a scanned event, along the paths that some set names.
 *
 * The scan has proved the text valid and left a list of operators, and for each opening bracket
 * where it closes.  So a member that nobody names costs two operators and a look at its key, and a
 * container that nobody names one step, whatever it holds.
 *
 *     {  "key"  :  value  ,       between two operators a key or a scalar, perhaps among blanks;
 *     ^         ^         ^       a container begins with the operator right behind
 *
 * Leaves are noted as event_tree.c notes them: any container in an array is an element of it, and
 * an array with a single one constrains nobody, which is known when the walk is over.
 *
 * Several sets are walked at once: a place is a node for each of them, or NONE.
 */
#include "routing/matcher_internal.h"

struct walk {
    struct matcher_scratch *scratch;
    const char *text;
    size_t depth;
};

/* ---- nodes --------------------------------------------------------------------------------- */

/* Follow a key; one with dots piece by piece, for no node's name has any. */
static uint32_t descend(const struct matcher *matcher, uint32_t node, struct slice key)
{
    const uint32_t child = matcher_find_child(matcher, node, key, matcher_hash_edge(node, key));

    if (child != MATCHER_NONE || memchr(key.data, '.', key.len) == NULL) {
        return child;
    }
    do {
        const struct slice name = slice_cut(&key, '.');

        node = matcher_find_child(matcher, node, name, matcher_hash_edge(node, name));
    } while (node != MATCHER_NONE && key.data != NULL);
    return node;
}

/* The key or scalar between operator `number` and the next.  The text is valid: what is no more
 * than a space there is a blank. */
static struct slice between(const struct walk *walk, size_t number)
{
    const uint32_t *at = walk->scratch->scan.at + number;
    const char *start = walk->text + at[0] + 1;
    const char *end = walk->text + at[1];

    while (*start <= ' ') {
        start++;
    }
    while (end[-1] <= ' ') {
        end--;
    }
    return (struct slice){start, (size_t)(end - start)};
}

static struct slice unquote(struct slice string)
{
    return (struct slice){string.data + 1, string.len - 2};
}

/* The characters of the string between two quotes, of a text with escapes. */
static struct slice unescape(struct matcher_scratch *scratch, struct slice raw)
{
    struct buf *text = &scratch->text;
    const size_t start = text->len;

    if (memchr(raw.data, '\\', raw.len) == NULL) {
        return raw;
    }
    CHECK(json_unescape(raw, text) == ERR_OK);
    return (struct slice){text->data + start, text->len - start};
}

static inline struct slice read_string(struct matcher_scratch *scratch, struct slice raw)
{
    return scratch->scan.has_escapes ? unescape(scratch, raw) : raw;
}

/* May the key behind this operator lead anywhere?  Most do not, and are told by their first two
 * bytes; the quote that ends a key counts as one. */
static inline bool is_key_of_interest(const struct matcher_frame *frame, const char *behind)
{
    while (*behind <= ' ') {
        behind++;
    }
    return (frame->first_bytes >> ((uint8_t)behind[1] & 63) &
            frame->second_bytes >> ((uint8_t)behind[2] & 63) & 1) != 0;
}

/* The first bytes that any set knows there; what an escape hides is unknown. */
static void note_first_bytes(const struct matcher_scratch *scratch, struct matcher_frame *frame)
{
    const bool has_escapes = scratch->scan.has_escapes;

    frame->first_bytes = has_escapes ? matcher_first_byte_bit(SLICE("\\")) : 0;
    frame->second_bytes = has_escapes ? ~(uint64_t)0 : 0;
    for (size_t i = 0; i < scratch->side_count; i++) {
        if (frame->nodes[i] != MATCHER_NONE) {
            const struct matcher_node *node = &scratch->sides[i].matcher->nodes[frame->nodes[i]];

            frame->first_bytes |= node->first_bytes;
            frame->second_bytes |= node->second_bytes;
        }
    }
}

/* Where the key behind operator `number` leads from a place. False if nowhere for any set. */
static bool follow_key(const struct walk *walk, const struct matcher_frame *frame, size_t number,
                       uint32_t nodes[static MATCHER_SETS_MAX])
{
    struct matcher_scratch *scratch = walk->scratch;
    const struct slice key = read_string(scratch, unquote(between(walk, number)));
    const uint64_t bit = matcher_first_byte_bit(key);
    bool is_somewhere = false;

    for (size_t i = 0; i < scratch->side_count; i++) {
        const struct matcher *matcher = scratch->sides[i].matcher;

        nodes[i] = MATCHER_NONE;
        if (frame->nodes[i] != MATCHER_NONE &&
            (matcher->nodes[frame->nodes[i]].first_bytes & bit) != 0) {
            nodes[i] = descend(matcher, frame->nodes[i], key);
            is_somewhere = is_somewhere || nodes[i] != MATCHER_NONE;
        }
    }
    return is_somewhere;
}

/* Has a set something to look for in a container there? */
static bool is_worth_opening(const struct walk *walk, const uint32_t *nodes, bool is_array)
{
    const struct matcher_scratch *scratch = walk->scratch;

    for (size_t i = 0; i < scratch->side_count; i++) {
        if (nodes[i] != MATCHER_NONE) {
            const struct matcher_node *node = &scratch->sides[i].matcher->nodes[nodes[i]];

            if (node->has_children || (is_array && node->path != MATCHER_NONE)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- leaves -------------------------------------------------------------------------------- */

/* The next leaf of a set, under this path; who calls sets what it is. */
static struct matcher_leaf *add_leaf(const struct walk *walk, struct matcher_side *side,
                                     uint32_t path)
{
    struct matcher_finding *finding = &side->findings[path];
    const uint32_t number = (uint32_t)side->leaf_count;
    struct matcher_leaf *leaf;

    if (side->leaf_count == side->leaf_max) {
        side->leaf_max = 2 * side->leaf_max + 64;
        side->leaves = xrealloc(side->leaves, sizeof(*side->leaves) * side->leaf_max);
    }
    leaf = &side->leaves[side->leaf_count++];
    leaf->path = path;
    leaf->next = MATCHER_NONE;
    if (finding->epoch != walk->scratch->epoch) {
        *finding = (struct matcher_finding){
            .epoch = walk->scratch->epoch, .first = number, .listed = MATCHER_NONE};
    } else {
        side->leaves[finding->last].next = number;
    }
    finding->last = number;
    finding->leaf_count++;
    return leaf;
}

static enum leaf_type type_of(char first)
{
    switch (first) {
    case '"':
        return LEAF_STRING;
    case 't':
        return LEAF_TRUE;
    case 'f':
        return LEAF_FALSE;
    case 'n':
        return LEAF_NULL;
    default:
        return LEAF_NUMBER;
    }
}

/* The scalar between operator `number` and the next, under these nodes. */
static void read_leaf(const struct walk *walk, const uint32_t *nodes, uint32_t element,
                      size_t number)
{
    struct matcher_scratch *scratch = walk->scratch;
    struct slice text = {NULL, 0};
    enum leaf_type type = LEAF_NULL;

    for (size_t i = 0; i < scratch->side_count; i++) {
        struct matcher_side *side = &scratch->sides[i];
        struct matcher_leaf *leaf;

        if (nodes[i] == MATCHER_NONE || side->matcher->nodes[nodes[i]].path == MATCHER_NONE) {
            continue;
        }
        if (text.data == NULL) {
            text = between(walk, number);
            type = type_of(text.data[0]);
            scratch->order++;
            if (type == LEAF_STRING) {
                text = read_string(scratch, unquote(text));
            }
        }
        leaf = add_leaf(walk, side, side->matcher->nodes[nodes[i]].path);
        leaf->text = text;
        leaf->type = (uint8_t)type;
        leaf->element = element;
        leaf->order = scratch->order - 1;
        matcher_foresee(side, leaf);
    }
}

/* ---- containers ---------------------------------------------------------------------------- */

static uint32_t add_array(struct matcher_scratch *scratch)
{
    if (scratch->array_count == scratch->array_max) {
        scratch->array_max = 2 * scratch->array_max + 16;
        scratch->arrays = xrealloc(scratch->arrays, sizeof(*scratch->arrays) * scratch->array_max);
    }
    scratch->arrays[scratch->array_count] = (struct matcher_array){.element_count = 0};
    return (uint32_t)scratch->array_count++;
}

static uint32_t add_element(struct matcher_scratch *scratch, const struct matcher_frame *around,
                            uint32_t index)
{
    if (scratch->element_count == scratch->element_max) {
        scratch->element_max = 2 * scratch->element_max + 16;
        scratch->elements =
            xrealloc(scratch->elements, sizeof(*scratch->elements) * scratch->element_max);
    }
    scratch->elements[scratch->element_count] = (struct matcher_element){
        .array = around->array, .outer = around->element, .index = index, .order = scratch->order};
    return (uint32_t)scratch->element_count++;
}

/* Nothing between this bracket and its close? */
static bool is_empty(const struct scan *scan, size_t number)
{
    return scan->partners[number] == number + 1 &&
           (scan->kinds[number + 1] & SCAN_BEHIND_VALUE) == 0;
}

/* The container that opens at operator `number`, under these nodes: open it if that is worth it.
 * The operator to go on from in the frame around if not, else 0. */
static size_t enter(struct walk *walk, struct matcher_frame *around, const uint32_t *nodes,
                    size_t number)
{
    struct matcher_scratch *scratch = walk->scratch;
    const size_t behind = scratch->scan.partners[number] + 1;
    const bool is_array = (scratch->scan.kinds[number] & SCAN_CURLY) == 0;
    const bool is_worth_it =
        !is_empty(&scratch->scan, number) && is_worth_opening(walk, nodes, is_array);
    uint32_t element = around->element;
    struct matcher_frame *inner;

    if (around->array != MATCHER_NONE) {
        const uint32_t index = scratch->arrays[around->array].element_count++;

        element = is_worth_it ? add_element(scratch, around, index) : MATCHER_NONE;
    }
    if (!is_worth_it) {
        return behind;
    }
    CHECK(walk->depth < JSON_DEPTH_MAX);
    inner = &scratch->frames[walk->depth++];
    memcpy(inner->nodes, nodes, sizeof(inner->nodes));
    inner->element = element;
    inner->array = is_array ? add_array(scratch) : MATCHER_NONE;
    inner->at = number;
    note_first_bytes(scratch, inner);
    return 0;
}

/* The innermost container is read: it closes at operator `number`. */
static void leave(struct walk *walk, size_t number)
{
    const struct matcher_frame *frame = &walk->scratch->frames[--walk->depth];

    if (frame->array != MATCHER_NONE) {
        walk->scratch->arrays[frame->array].end_order = walk->scratch->order;
    }
    if (walk->depth > 0) {
        walk->scratch->frames[walk->depth - 1].at = number + 1;
    }
}

/* The operator behind the value that follows the colon `colon`. */
static inline size_t step_over(const struct scan *scan, size_t colon)
{
    return scan_is_open(scan, colon + 1) ? scan->partners[colon + 1] + 1 : colon + 1;
}

/* Read members until a container opens or this one ends. */
static void read_object(struct walk *walk, struct matcher_frame *frame)
{
    const struct scan *scan = &walk->scratch->scan;
    size_t at = frame->at;

    while (!scan_is_close(scan, at)) { /* its brace or a comma, and a colon */
        uint32_t nodes[MATCHER_SETS_MAX] = {0};

        if (!is_key_of_interest(frame, walk->text + scan->at[at] + 1) ||
            !follow_key(walk, frame, at, nodes)) {
            at = step_over(scan, at + 1);
        } else if (!scan_is_open(scan, at + 2)) {
            read_leaf(walk, nodes, frame->element, at + 1);
            at += 2;
        } else {
            at = enter(walk, frame, nodes, at + 2);
            if (at == 0) {
                return;
            }
        }
    }
    leave(walk, at);
}

/* The same for an array, whose elements have its own nodes. */
static void read_array(struct walk *walk, struct matcher_frame *frame)
{
    const struct scan *scan = &walk->scratch->scan;
    size_t at = frame->at;

    while (!scan_is_close(scan, at)) { /* its bracket or a comma */
        if (!scan_is_open(scan, at + 1)) {
            read_leaf(walk, frame->nodes, frame->element, at);
            at++;
        } else {
            at = enter(walk, frame, frame->nodes, at + 1);
            if (at == 0) {
                return;
            }
        }
    }
    leave(walk, at);
}

/* ---- finishing ----------------------------------------------------------------------------- */

/* The nearest element, from this one outwards, whose array has others. */
static uint32_t nearest_constraining(const struct matcher_scratch *scratch, uint32_t element)
{
    if (element != MATCHER_NONE &&
        scratch->arrays[scratch->elements[element].array].element_count < 2) {
        return scratch->elements[element].outer; /* outer ones are settled already */
    }
    return element;
}

/* One more leaf of a path lies in this element, or in none. */
static void settle_finding(const struct matcher_scratch *scratch, struct matcher_finding *finding,
                           uint32_t number)
{
    const struct matcher_element *element =
        number != MATCHER_NONE ? &scratch->elements[number] : NULL;
    const bool is_first = finding->settled_count++ == 0;

    finding->is_in_element = finding->is_in_element || element != NULL;
    if (element == NULL || element->outer != MATCHER_NONE) {
        finding->is_flat = false;
    } else if (is_first) {
        finding->is_flat = true;
        finding->array = element->array;
    } else {
        finding->is_flat = finding->is_flat && finding->array == element->array;
    }
}

/* Leave the arrays that constrain nobody out of every chain. */
static void settle(struct matcher_scratch *scratch)
{
    scratch->constraining_count = 0;
    for (size_t i = 0; i < scratch->array_count; i++) {
        if (scratch->arrays[i].element_count > 1) {
            scratch->arrays[i].id = scratch->constraining_count++;
        }
    }
    for (size_t i = 0; i < scratch->element_count; i++) {
        scratch->elements[i].outer = nearest_constraining(scratch, scratch->elements[i].outer);
    }
    for (size_t i = 0; i < scratch->side_count; i++) {
        struct matcher_side *side = &scratch->sides[i];

        for (size_t j = 0; j < side->leaf_count; j++) {
            struct matcher_leaf *leaf = &side->leaves[j];

            leaf->element = nearest_constraining(scratch, leaf->element);
            settle_finding(scratch, &side->findings[leaf->path], leaf->element);
        }
    }
}

void matcher_walk(struct matcher_scratch *scratch)
{
    struct walk walk = {.scratch = scratch, .text = scratch->scan.text.data};

    if (is_empty(&scratch->scan, 0)) {
        return;
    }
    scratch->frames[0] = (struct matcher_frame){.element = MATCHER_NONE, .array = MATCHER_NONE};
    note_first_bytes(scratch, &scratch->frames[0]);
    walk.depth = 1;
    while (walk.depth > 0) {
        struct matcher_frame *frame = &scratch->frames[walk.depth - 1];

        if (frame->array != MATCHER_NONE) {
            read_array(&walk, frame);
        } else {
            read_object(&walk, frame);
        }
    }
    for (size_t i = 0; i < scratch->side_count; i++) {
        matcher_probe_all(scratch, &scratch->sides[i]);
    }
    if (scratch->element_count > 0) {
        settle(scratch);
    }
}
