/* SPDX-License-Identifier: Apache-2.0
 *
 * list.h - intrusive doubly linked lists: the node lives in what is listed.
 *
 * A list head is a node that points to itself when empty.  A node not on any list also points to
 * itself after list_remove(), so removing twice is harmless and membership can be asked.
 */
#pragma once

#include "core/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Is this node on some list? The node must have been initialised. */
static inline bool list_is_linked(const struct list *node)
{
    return node->next != node;
}

static inline void list_insert_before(struct list *place, struct list *node)
{
    node->next = place;
    node->prev = place->prev;
    place->prev->next = node;
    place->prev = node;
}

static inline void list_append(struct list *list, struct list *node)
{
    list_insert_before(list, node);
}

static inline void list_prepend(struct list *list, struct list *node)
{
    list_insert_before(list->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Take the first node off, or NULL. */
static inline struct list *list_take_first(struct list *list)
{
    struct list *first = list->next;

    if (first == list) {
        return NULL;
    }
    list_remove(first);
    return first;
}

/* Move all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Walk; the current node may be removed inside the body. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared takes none */
#define LIST_FOREACH(node, head)                                                                   \
    for (struct list *node = (head)->next, *node##_after = node->next; node != (head);             \
         node = node##_after, node##_after = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */
