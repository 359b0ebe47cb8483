/* SPDX-License-Identifier: Apache-2.0
 *
 * event_tree.c - flatten an event to leaves, paths and array elements, in one pass without
 * recursion.
 *
 * Paths form a tree of key names cut at their dots, so {"a.b": 1} and {"a": {"b": 1}} meet in one
 * node, and a long key high up is hashed once, not once per leaf below it.  The same path may occur
 * many times (in array elements, or because a key is repeated): all its leaves are kept, and any of
 * them may satisfy a pattern.
 *
 * Invariant: leaves of a path, elements, and arrays are numbered in the order of the text, so that
 *            the leaves inside an element or array are a run of numbers.
 * Memory:    all in the caller's arena, a small multiple of the text, which must outlive the tree.
 */
#include "routing/event_tree.h"

#include "core/check.h"
#include "core/json.h"
#include "core/map.h"
#include "routing/pattern.h"

/* A container that is being read. */
struct frame {
    struct event_path *path;       /* of the object; of the array itself */
    struct event_array *array;     /* NULL: an object */
    struct event_element *element; /* innermost around what the container holds */
};

struct reading {
    struct event_tree *tree;
    struct arena *arena;
    struct json_reader reader;
    struct json_token token;
    struct event_path *member_path; /* after a key: where its value goes */
    struct event_element *first_element;
    struct event_element **next_element;
    struct event_path *first_path;
    struct event_path **next_path;
    struct frame frames[JSON_DEPTH_MAX];
    size_t depth;
};

/* ---- paths --------------------------------------------------------------------------------- */

enum { SLOTS_MIN = 64 };

static size_t home_slot(const struct event_tree *tree, const struct event_path *parent,
                        struct slice name)
{
    const uint64_t spread = (uint64_t)parent->id * 0x9e3779b97f4a7c15u;

    return (size_t)(map_hash(name) ^ spread) & (tree->slot_count - 1);
}

/* The slot that holds the path, or the empty one where it belongs. */
static struct event_path **find_slot(const struct event_tree *tree, const struct event_path *parent,
                                     struct slice name)
{
    size_t at = home_slot(tree, parent, name);

    while (tree->slots[at] != NULL &&
           !(tree->slots[at]->parent == parent && slice_eq(tree->slots[at]->name, name))) {
        at = (at + 1) & (tree->slot_count - 1);
    }
    return &tree->slots[at];
}

static void grow_table(struct reading *reading)
{
    struct event_tree *tree = reading->tree;

    tree->slot_count = MAX_OF(tree->slot_count * 2, SLOTS_MIN);
    tree->slots = ARENA_ARRAY(reading->arena, struct event_path *, tree->slot_count);
    for (struct event_path *path = reading->first_path; path != NULL; path = path->next) {
        *find_slot(tree, path->parent, path->name) = path;
    }
}

static struct event_path *add_child(struct reading *reading, const struct event_path *parent,
                                    struct slice name)
{
    struct event_tree *tree = reading->tree;
    struct event_path *child = ARENA_NEW(reading->arena, struct event_path);

    child->id = ++tree->path_count;
    child->parent = parent;
    child->name = name;
    *reading->next_path = child;
    reading->next_path = &child->next;
    if (tree->path_count >= tree->slot_count / 4 * 3) {
        grow_table(reading); /* puts the child, too */
    } else {
        *find_slot(tree, parent, name) = child;
    }
    return child;
}

/* Follow a key, piece by piece between its dots. */
static struct event_path *descend(struct reading *reading, struct event_path *path,
                                  struct slice key)
{
    do {
        const struct slice name = slice_cut(&key, '.');
        struct event_path *child = *find_slot(reading->tree, path, name);

        path = child != NULL ? child : add_child(reading, path, name);
    } while (key.data != NULL);
    return path;
}

const struct event_path *event_tree_find(const struct event_tree *tree, struct slice path)
{
    const struct event_path *found = &tree->root;

    do {
        found = *find_slot(tree, found, slice_cut(&path, '.'));
    } while (found != NULL && path.data != NULL);
    return found != NULL && found->leaf_count > 0 ? found : NULL;
}

/* ---- building ------------------------------------------------------------------------------ */

static const struct frame *top(const struct reading *reading)
{
    return reading->depth > 0 ? &reading->frames[reading->depth - 1] : NULL;
}

/* An object or array as the next element of the array around it. */
static struct event_element *add_element(struct reading *reading, const struct frame *around)
{
    struct event_element *element = ARENA_NEW(reading->arena, struct event_element);

    *element = (struct event_element){
        .array = around->array,
        .outer = around->element,
        .index = (uint32_t)around->array->element_count++,
        .order = reading->tree->leaf_count,
    };
    *reading->next_element = element;
    reading->next_element = &element->next;
    return element;
}

static void open_container(struct reading *reading, bool is_array)
{
    const struct frame *around = top(reading);
    struct frame inner = {.path = &reading->tree->root};

    if (around != NULL) {
        inner.path = around->array != NULL ? around->path : reading->member_path;
        inner.element = around->array != NULL ? add_element(reading, around) : around->element;
    }
    if (is_array) {
        inner.array = ARENA_NEW(reading->arena, struct event_array);
    }
    CHECK(reading->depth < ARRAY_LEN(reading->frames));
    reading->frames[reading->depth++] = inner;
}

static void close_container(struct reading *reading)
{
    const struct frame *frame = top(reading);

    CHECK(frame != NULL);
    if (frame->array != NULL) {
        frame->array->end_order = reading->tree->leaf_count;
    }
    reading->depth--;
}

static void add_leaf(struct reading *reading, enum leaf_type type)
{
    const struct frame *around = top(reading);
    struct event_path *path = around->array != NULL ? around->path : reading->member_path;
    struct event_leaf *leaf = ARENA_NEW(reading->arena, struct event_leaf);

    leaf->type = type;
    leaf->text =
        type == LEAF_STRING ? json_token_text(&reading->token, reading->arena) : reading->token.raw;
    leaf->element = around->element;
    leaf->order = reading->tree->leaf_count++;
    if (path->last != NULL) {
        path->last->next = leaf;
    } else {
        path->first = leaf;
    }
    path->last = leaf;
    path->leaf_count++;
}

/* One token; false at the end or at a fault. */
static bool read_token(struct reading *reading)
{
    switch (json_next(&reading->reader, &reading->token)) {
    case JSON_TYPE_KEY:
        reading->member_path =
            descend(reading, top(reading)->path, json_token_text(&reading->token, reading->arena));
        return true;
    case JSON_TYPE_OBJECT_BEGIN:
        open_container(reading, false);
        return true;
    case JSON_TYPE_ARRAY_BEGIN:
        open_container(reading, true);
        return true;
    case JSON_TYPE_OBJECT_END:
    case JSON_TYPE_ARRAY_END:
        close_container(reading);
        return true;
    case JSON_TYPE_STRING:
        add_leaf(reading, LEAF_STRING);
        return true;
    case JSON_TYPE_NUMBER:
        add_leaf(reading, LEAF_NUMBER);
        return true;
    case JSON_TYPE_TRUE:
        add_leaf(reading, LEAF_TRUE);
        return true;
    case JSON_TYPE_FALSE:
        add_leaf(reading, LEAF_FALSE);
        return true;
    case JSON_TYPE_NULL:
        add_leaf(reading, LEAF_NULL);
        return true;
    case JSON_TYPE_END:
    case JSON_TYPE_ERROR:
        break;
    }
    return false;
}

/* ---- finishing ----------------------------------------------------------------------------- */

/* The nearest element, from this one outwards, whose array has others. */
static struct event_element *nearest_constraining(struct event_element *element)
{
    if (element != NULL && element->array->element_count < 2) {
        return element->outer; /* outer ones are settled already */
    }
    return element;
}

/* Number the arrays that can constrain, and leave the others out of every chain. */
static void settle_elements(struct reading *reading)
{
    for (struct event_element *element = reading->first_element; element != NULL;
         element = element->next) {
        element->outer = nearest_constraining(element->outer);
        if (element->index == 1) {
            element->array->id = reading->tree->array_count++;
        }
    }
}

static void settle_paths(struct reading *reading)
{
    for (struct event_path *path = reading->first_path; path != NULL; path = path->next) {
        size_t i = 0;

        path->leaves = ARENA_ARRAY(reading->arena, struct event_leaf *, path->leaf_count);
        for (struct event_leaf *leaf = path->first; leaf != NULL; leaf = leaf->next) {
            leaf->element = nearest_constraining(leaf->element);
            path->leaves[i++] = leaf;
        }
    }
}

static enum err read_object(struct reading *reading, struct slice text, struct err_why *why)
{
    json_reader_init(&reading->reader, text, JSON_DEPTH_MAX);
    if (json_next(&reading->reader, &reading->token) == JSON_TYPE_ERROR) {
        return json_fault(&reading->reader, why);
    }
    if (reading->token.type != JSON_TYPE_OBJECT_BEGIN) {
        return err_because(ERR_BAD_JSON, why, "the event is not a JSON object");
    }
    open_container(reading, false);
    while (read_token(reading)) {
    }
    if (reading->token.type == JSON_TYPE_ERROR) {
        return json_fault(&reading->reader, why);
    }
    settle_elements(reading);
    settle_paths(reading);
    return ERR_OK;
}

enum err event_tree_read(struct slice text, struct arena *arena, struct event_tree **tree,
                         struct err_why *why)
{
    struct reading *reading = arena_alloc(arena, sizeof(*reading));

    *tree = ARENA_NEW(arena, struct event_tree);
    reading->tree = *tree;
    reading->arena = arena;
    reading->member_path = NULL;
    reading->first_element = NULL;
    reading->next_element = &reading->first_element;
    reading->first_path = NULL;
    reading->next_path = &reading->first_path;
    reading->depth = 0;
    grow_table(reading);
    return read_object(reading, text, why);
}

void event_tree_use_lists(struct event_tree *tree, const struct partner_lists *lists)
{
    tree->lists = lists;
}
