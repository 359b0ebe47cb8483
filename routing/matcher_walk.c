/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_walk.c - through a scanned event, along the paths that some set names.
 *
 * The scan has proved the text valid and left a bitmap of quotes, one of operators, and for each
 * opening bracket where it closes.  So a member that nobody names costs one look for the operator
 * behind it, and a container that nobody names one step, whatever it holds.
 *
 *     "key" :  value  ,        next quote, its partner, the colon; behind the value the operator
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
    size_t bracket; /* number of the next bracket */
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

static bool may_have_child(const struct matcher *matcher, uint32_t node, struct slice key)
{
    const unsigned bit = key.len > 0 ? (uint8_t)key.data[0] & 63 : 0;

    return node != MATCHER_NONE && (matcher->nodes[node].first_bytes >> bit & 1) != 0;
}

/* The characters of the string between two quotes. */
static struct slice unescape(struct matcher_scratch *scratch, struct slice raw)
{
    struct buf *text = &scratch->text;
    const size_t start = text->len;

    if (!scratch->scan.has_escapes || memchr(raw.data, '\\', raw.len) == NULL) {
        return raw;
    }
    CHECK(json_unescape(raw, text) == ERR_OK);
    return (struct slice){text->data + start, text->len - start};
}

/* Where the key leads from a place. False if nowhere for any set. */
static bool follow_key(const struct walk *walk, const struct matcher_frame *frame, struct slice raw,
                       uint32_t nodes[static MATCHER_SETS_MAX])
{
    struct matcher_scratch *scratch = walk->scratch;
    const struct slice key = unescape(scratch, raw);
    bool is_somewhere = false;

    for (size_t i = 0; i < scratch->side_count; i++) {
        const struct matcher *matcher = scratch->sides[i].matcher;

        nodes[i] = MATCHER_NONE;
        if (may_have_child(matcher, frame->nodes[i], key)) {
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

static void note_leaf(const struct walk *walk, struct matcher_side *side,
                      const struct matcher_leaf *from, uint32_t path)
{
    struct matcher_finding *finding = &side->findings[path];
    const uint32_t number = (uint32_t)side->leaf_count;
    struct matcher_leaf *leaf;

    if (side->leaf_count == side->leaf_max) {
        side->leaf_max = 2 * side->leaf_max + 64;
        side->leaves = xrealloc(side->leaves, sizeof(*side->leaves) * side->leaf_max);
    }
    leaf = &side->leaves[side->leaf_count++];
    *leaf = *from;
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
    matcher_probe(walk->scratch, side, leaf);
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

/* The scalar at `at`, which ends before the operator at `end`, under these nodes. */
static void read_leaf(const struct walk *walk, const uint32_t *nodes, uint32_t element, size_t at,
                      size_t end)
{
    struct matcher_scratch *scratch = walk->scratch;
    struct matcher_leaf leaf = {.element = element, .text = {NULL, 0}};

    for (size_t i = 0; i < scratch->side_count; i++) {
        struct matcher_side *side = &scratch->sides[i];

        if (nodes[i] == MATCHER_NONE || side->matcher->nodes[nodes[i]].path == MATCHER_NONE) {
            continue;
        }
        if (leaf.text.data == NULL) {
            leaf.type = (uint8_t)type_of(walk->text[at]);
            leaf.order = scratch->order++;
            if (leaf.type == LEAF_STRING) {
                const size_t close = scan_next(scratch->scan.quotes, at + 1);

                leaf.text = unescape(scratch, (struct slice){walk->text + at + 1, close - at - 1});
            } else {
                while (walk->text[end - 1] <= ' ') {
                    end--;
                }
                leaf.text = (struct slice){walk->text + at, end - at};
            }
        }
        note_leaf(walk, side, &leaf, side->matcher->nodes[nodes[i]].path);
    }
}

/* ---- containers ---------------------------------------------------------------------------- */

static size_t skip_blanks(const struct walk *walk, size_t at)
{
    while (walk->text[at] <= ' ') { /* valid: a control byte outside strings is a blank */
        at++;
    }
    return at;
}

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

/* Step over the container whose bracket is next; the byte behind it. */
static size_t step_over(struct walk *walk)
{
    const struct scan_bracket *brackets = walk->scratch->scan.brackets;
    const uint32_t partner = brackets[walk->bracket].partner;

    walk->bracket = partner + 1;
    return brackets[partner].at + 1;
}

/* The container at `at`, under these nodes: open it if that is worth it.  The byte to go on from in
 * the frame around if not, else 0. */
static size_t enter(struct walk *walk, struct matcher_frame *around, const uint32_t *nodes,
                    size_t at)
{
    struct matcher_scratch *scratch = walk->scratch;
    const bool is_array = walk->text[at] == '[';
    uint32_t element = around->element;
    struct matcher_frame *inner;

    if (around->array != MATCHER_NONE) {
        const uint32_t index = scratch->arrays[around->array].element_count++;

        if (!is_worth_opening(walk, nodes, is_array)) {
            return step_over(walk);
        }
        element = add_element(scratch, around, index);
    } else if (!is_worth_opening(walk, nodes, is_array)) {
        return step_over(walk);
    }
    CHECK(walk->depth < JSON_DEPTH_MAX);
    inner = &scratch->frames[walk->depth++];
    memcpy(inner->nodes, nodes, sizeof(inner->nodes));
    inner->element = element;
    inner->array = is_array ? add_array(scratch) : MATCHER_NONE;
    inner->at = at + 1;
    walk->bracket++;
    return 0;
}

/* The innermost container is read: its closing bracket is the next one. */
static void leave(struct walk *walk)
{
    const struct matcher_frame *frame = &walk->scratch->frames[--walk->depth];
    const struct scan_bracket *brackets = walk->scratch->scan.brackets;

    if (frame->array != MATCHER_NONE) {
        walk->scratch->arrays[frame->array].end_order = walk->scratch->order;
    }
    if (walk->depth > 0) {
        walk->scratch->frames[walk->depth - 1].at = brackets[walk->bracket].at + 1;
    }
    walk->bracket++;
}

static bool is_bracket_open(char byte)
{
    return byte == '{' || byte == '[';
}

/* Read members until a container opens or this one ends; `at` is behind its brace or behind a
 * value. */
static void read_object(struct walk *walk, struct matcher_frame *frame)
{
    const struct scan *scan = &walk->scratch->scan;
    size_t at = frame->at;

    for (;;) {
        uint32_t nodes[MATCHER_SETS_MAX];
        size_t open, close, value;
        bool is_somewhere;

        at = scan_next(scan->operators, at);
        if (walk->text[at] == '}') {
            leave(walk);
            return;
        }
        /* a comma, or the colon behind the first key */
        open = walk->text[at] == ',' ? scan_next(scan->quotes, at)
                                     : scan_next(scan->quotes, frame->at);
        close = scan_next(scan->quotes, open + 1);
        is_somewhere =
            follow_key(walk, frame, (struct slice){walk->text + open + 1, close - open - 1}, nodes);
        value = skip_blanks(walk, scan_next(scan->operators, close) + 1);
        if (is_bracket_open(walk->text[value])) {
            at = is_somewhere ? enter(walk, frame, nodes, value) : step_over(walk);
            if (at == 0) {
                return;
            }
        } else {
            at = scan_next(scan->operators, value);
            if (is_somewhere) {
                read_leaf(walk, nodes, frame->element, value, at);
            }
        }
    }
}

/* The same for an array, whose elements have its own nodes. */
static void read_array(struct walk *walk, struct matcher_frame *frame)
{
    const struct scan *scan = &walk->scratch->scan;
    size_t at = frame->at;

    for (;;) {
        at = skip_blanks(walk, at);
        if (walk->text[at] == ',') {
            at = skip_blanks(walk, at + 1);
        }
        if (walk->text[at] == ']') {
            leave(walk);
            return;
        }
        if (is_bracket_open(walk->text[at])) {
            at = enter(walk, frame, frame->nodes, at);
            if (at == 0) {
                return;
            }
        } else {
            const size_t end = scan_next(scan->operators, at);

            read_leaf(walk, frame->nodes, frame->element, at, end);
            at = end;
        }
    }
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
    struct walk walk = {.scratch = scratch, .text = scratch->scan.text.data, .bracket = 1};
    struct matcher_frame *root = &scratch->frames[0];

    *root = (struct matcher_frame){
        .element = MATCHER_NONE, .array = MATCHER_NONE, .at = scratch->scan.brackets[0].at + 1};
    walk.depth = 1; /* node 0 of each set is its root */
    while (walk.depth > 0) {
        struct matcher_frame *frame = &scratch->frames[walk.depth - 1];

        if (frame->array != MATCHER_NONE) {
            read_array(&walk, frame);
        } else {
            read_object(&walk, frame);
        }
    }
    if (scratch->element_count > 0) {
        settle(scratch);
    }
}
