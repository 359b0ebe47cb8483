/* SPDX-License-Identifier: Apache-2.0
 *
 * step_result.c - replies as JSON.
 *
 * EC2, IAM, SNS and S3 speak XML, everything else of AWS JSON; paths know JSON.  A reply is hostile
 * until read: JSON is checked whole, XML goes through the bounded reader, and what is neither is
 * text.  The tree of an XML document is built first, because whether an element is a list is known
 * only at its end.  XML does not tell a list of one from one, nor an empty list from no text: the
 * call's own model does, where there is one.
 */
#include "delivery/step_result.h"

#include "accounts/aws_xml.h"
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"

enum { RESULT_DEPTH_MAX = 128, RESULT_BYTES_MAX = 1 << 20 };

struct element {
    struct slice name;
    struct slice text;
    struct element *parent;
    struct element *next;
    struct element *first;
    struct element *last;
    bool is_written;
};

struct tree {
    struct arena *arena;
    struct element root; /* around the root element */
    struct element *open;
};

static void on_begin(void *context, struct slice name)
{
    struct tree *tree = context;
    struct element *element = ARENA_NEW(tree->arena, struct element);
    struct element *parent = tree->open;

    element->name = arena_copy(tree->arena, name);
    element->parent = parent;
    if (parent->last != NULL) {
        parent->last->next = element;
    } else {
        parent->first = element;
    }
    parent->last = element;
    tree->open = element;
}

static void on_end(void *context, struct slice parent, struct slice name, struct slice text)
{
    struct tree *tree = context;

    (void)parent;
    (void)name;
    tree->open->text = arena_copy(tree->arena, text);
    tree->open = tree->open->parent;
}

/* Does the model say that `name` is a list: of elements called `item`, or, without, by itself? */
static bool is_listed(struct slice lists, struct slice name, struct slice item)
{
    while (lists.len > 0) {
        struct slice token = slice_cut(&lists, ' ');
        const struct slice known = slice_cut(&token, '/');

        if (slice_eq(known, name) && slice_eq(token, item)) {
            return true;
        }
    }
    return false;
}

/* Of whatever elements: an empty element of that name is an empty list. */
static bool is_wrapper(struct slice lists, struct slice name)
{
    while (lists.len > 0) {
        struct slice token = slice_cut(&lists, ' ');
        const struct slice known = slice_cut(&token, '/');

        if (slice_eq(known, name) && token.len > 0) {
            return true;
        }
    }
    return false;
}

static bool is_list(const struct element *element, struct slice lists)
{
    struct slice name;

    if (element->first == NULL) {
        return element->text.len == 0 && is_wrapper(lists, element->name);
    }
    name = element->first->name;
    if (!slice_eq(name, SLICE("item")) && !slice_eq(name, SLICE("member")) &&
        !is_listed(lists, element->name, name)) {
        return false;
    }
    for (const struct element *child = element->first; child != NULL; child = child->next) {
        if (!slice_eq(child->name, name)) {
            return false;
        }
    }
    return true;
}

static void write_element(struct json_writer *writer, struct element *element, struct slice lists);

/* `child` and all behind it that are called the same: one value, or an array. */
static void write_member(struct json_writer *writer, struct element *child, struct slice lists)
{
    bool is_array = is_listed(lists, child->name, SLICE(""));

    for (struct element *other = child->next; other != NULL; other = other->next) {
        is_array = is_array || slice_eq(other->name, child->name);
    }
    json_write_key(writer, child->name);
    if (!is_array) {
        write_element(writer, child, lists);
        return;
    }
    json_write_array_begin(writer);
    for (struct element *other = child; other != NULL; other = other->next) {
        if (slice_eq(other->name, child->name)) {
            other->is_written = true;
            write_element(writer, other, lists);
        }
    }
    json_write_array_end(writer);
}

/* As deep as the reader lets a document be. */
static void write_element(struct json_writer *writer, struct element *element,
                          struct slice lists) /* NOLINT(misc-no-recursion) */
{
    if (is_list(element, lists)) {
        json_write_array_begin(writer);
        for (struct element *child = element->first; child != NULL; child = child->next) {
            write_element(writer, child, lists);
        }
        json_write_array_end(writer);
    } else if (element->first == NULL) {
        json_write_string(writer, element->text);
    } else {
        json_write_object_begin(writer);
        for (struct element *child = element->first; child != NULL; child = child->next) {
            if (!child->is_written) {
                write_member(writer, child, lists);
            }
        }
        json_write_object_end(writer);
    }
}

static bool read_xml(struct slice body, struct slice lists, struct arena *arena, struct slice *json)
{
    struct tree tree = {.arena = arena};
    struct json_writer writer;
    struct buf buf;
    bool is_good;

    tree.open = &tree.root;
    if (aws_xml_walk_tree(body, on_begin, on_end, &tree) != ERR_OK) {
        return false;
    }
    buf_init(&buf, RESULT_BYTES_MAX);
    json_write_begin(&writer, &buf);
    write_element(&writer, tree.root.first, lists);
    is_good = json_write_end(&writer) == ERR_OK;
    if (is_good) {
        *json = arena_copy(arena, buf_slice(&buf));
    }
    buf_clean_up(&buf);
    return is_good;
}

static struct slice quote(struct slice text, struct arena *arena)
{
    struct json_writer writer;
    struct slice json;
    struct buf buf;

    buf_init(&buf, text.len * 6 + 2);
    json_write_begin(&writer, &buf);
    json_write_string(&writer, text);
    CHECK(json_write_end(&writer) == ERR_OK);
    json = arena_copy(arena, buf_slice(&buf));
    buf_clean_up(&buf);
    return json;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text = slice_from(text, 1);
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct slice step_result(struct slice body, struct slice lists, struct arena *arena)
{
    const struct slice text = trim(body);
    struct slice json;

    if (text.len == 0) {
        return SLICE("null");
    }
    if (json_check(text, RESULT_DEPTH_MAX, NULL) == ERR_OK) {
        return text;
    }
    if (text.data[0] == '<' && read_xml(text, lists, arena, &json)) {
        return json;
    }
    return quote(text, arena);
}
