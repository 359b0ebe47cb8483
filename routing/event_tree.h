/* SPDX-License-Identifier: Apache-2.0
 *
 * event_tree.h - an event as event patterns see it: leaves under paths, each with the array
 * elements it lies in.
 *
 *     {"a": [{"k": 1}, {"k": 2}], "b.c": "x"}
 *
 *     a.k  1  element 0 of the array
 *     a.k  2  element 1 of it
 *     b.c  x  no element
 *
 * Only objects and arrays make an element: a scalar directly inside an array lies in none.  An
 * array with a single such element constrains nobody and is left out.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum leaf_type {
    LEAF_STRING,
    LEAF_NUMBER,
    LEAF_TRUE,
    LEAF_FALSE,
    LEAF_NULL,
};

struct partner_lists;

struct event_array {
    size_t element_count;
    uint32_t id;        /* 0.. among the arrays of at least two elements */
    uint32_t end_order; /* of the first leaf behind it */
};

struct event_element {
    struct event_array *array;
    struct event_element *outer; /* NULL: none */
    struct event_element *next;  /* of all elements, in the order of the text */
    uint32_t index;
    uint32_t order; /* of its first leaf */
};

struct event_leaf {
    enum leaf_type type;
    struct slice text;             /* characters of a string, spelling of a number */
    struct event_element *element; /* innermost, or NULL */
    struct event_leaf *next;       /* of the same path, while reading */
    uint32_t order;                /* among all leaves */
};

struct event_path {
    const struct event_path *parent; /* NULL: the root, which is no path */
    struct slice name;               /* the last piece of it */
    uint32_t id;
    size_t leaf_count;
    struct event_leaf **leaves; /* in the order of the text */
    struct event_leaf *first, *last;
    struct event_path *next; /* of all paths */
};

struct event_tree {
    struct event_path **slots; /* hash table of all paths, by parent and name */
    size_t slot_count;         /* a power of two */
    struct event_path root;
    uint32_t path_count;
    uint32_t leaf_count;
    uint32_t array_count;              /* those with an id */
    const struct partner_lists *lists; /* what in-list asks; NULL: none */
};

/* The leaves at a path (key names joined by dots), or NULL if there are none. */
const struct event_path *event_tree_find(const struct event_tree *tree, struct slice path);
