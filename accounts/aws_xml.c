/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_xml.c - expat, kept on a short leash.
 *
 * Replies come from a service that we trust after TLS, or from whatever answers at a configured
 * endpoint.  So nothing in them may make us work: a DOCTYPE is refused at its first byte (there go
 * entity bombs and external entities), depth and size are bounded, and other encodings than UTF-8
 * are not read.
 *
 * Memory: the parser is freed before returning; found texts are in the caller's bufs.
 */
#include "accounts/aws_xml.h"

#include <expat.h>

#include "core/check.h"

enum { NAME_CHARS_MAX = 63 };

struct reading {
    XML_Parser parser;
    struct aws_xml_want *wants;
    size_t want_count;
    char names[AWS_XML_DEPTH_MAX][NAME_CHARS_MAX + 1]; /* open elements; "" for a long name */
    size_t depth;
    struct aws_xml_want *current; /* whose text is being read, or NULL */
    size_t current_depth;
    size_t current_start;
    /* of a walk */
    aws_xml_begin_fn on_begin; /* or NULL */
    aws_xml_fn on_end;
    void *context;
    struct buf text; /* since the last tag */
    bool is_leaf;    /* the last tag was an opening one */
    enum err err;
};

static void give_up(struct reading *reading, enum err err)
{
    if (reading->err == ERR_OK) {
        reading->err = err;
    }
    (void)XML_StopParser(reading->parser, XML_FALSE);
}

static struct aws_xml_want *find_want(const struct reading *reading)
{
    if (reading->depth < 2) {
        return NULL;
    }
    for (size_t i = 0; i < reading->want_count; i++) {
        struct aws_xml_want *want = &reading->wants[i];

        if (!want->is_found && strcmp(want->name, reading->names[reading->depth - 1]) == 0 &&
            strcmp(want->parent, reading->names[reading->depth - 2]) == 0) {
            return want;
        }
    }
    return NULL;
}

/* One element deeper; false if that is too deep. */
static bool push_name(struct reading *reading, const XML_Char *name)
{
    const size_t len = strlen(name);

    if (reading->depth == AWS_XML_DEPTH_MAX) {
        give_up(reading, ERR_BAD_VALUE);
        return false;
    }
    if (len <= NAME_CHARS_MAX) {
        memcpy(reading->names[reading->depth], name, len + 1);
    } else {
        reading->names[reading->depth][0] = '\0';
    }
    reading->depth++;
    return true;
}

static void on_want_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;

    (void)attributes;
    if (push_name(reading, name) && reading->current == NULL) {
        reading->current = find_want(reading);
        reading->current_depth = reading->depth;
        reading->current_start = reading->current != NULL ? reading->current->text->len : 0;
    }
}

static void trim_text(struct buf *text, size_t start)
{
    struct slice kept = slice_from(buf_slice(text), start);

    while (kept.len > 0 && strchr(" \t\r\n", kept.data[0]) != NULL) {
        kept = slice_from(kept, 1);
    }
    while (kept.len > 0 && strchr(" \t\r\n", kept.data[kept.len - 1]) != NULL) {
        kept.len--;
    }
    if (kept.len > 0) {
        memmove(text->data + start, kept.data, kept.len);
    }
    text->len = start + kept.len;
}

static void on_want_end(void *context, const XML_Char *name)
{
    struct reading *reading = context;

    (void)name;
    CHECK(reading->depth > 0);
    if (reading->current != NULL && reading->current_depth == reading->depth) {
        trim_text(reading->current->text, reading->current_start);
        reading->current->is_found = true;
        reading->current = NULL;
    }
    reading->depth--;
}

static void on_want_text(void *context, const XML_Char *text, int len)
{
    struct reading *reading = context;

    if (reading->current == NULL || reading->current_depth != reading->depth) {
        return;
    }
    if (buf_append(reading->current->text, (struct slice){text, (size_t)len}) != ERR_OK) {
        give_up(reading, ERR_TOO_LARGE);
    }
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    give_up(context, ERR_BAD_VALUE);
}

static enum err parse(struct reading *reading, struct slice xml, XML_StartElementHandler on_open,
                      XML_EndElementHandler on_close, XML_CharacterDataHandler on_characters)
{
    if (xml.len == 0) {
        return ERR_BAD_VALUE;
    }
    if (xml.len > AWS_XML_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    reading->parser = XML_ParserCreate("UTF-8");
    CHECK(reading->parser != NULL);
    XML_SetUserData(reading->parser, reading);
    XML_SetElementHandler(reading->parser, on_open, on_close);
    XML_SetCharacterDataHandler(reading->parser, on_characters);
    XML_SetStartDoctypeDeclHandler(reading->parser, on_doctype);
    if (XML_Parse(reading->parser, xml.data, (int)xml.len, XML_TRUE) != XML_STATUS_OK &&
        reading->err == ERR_OK) {
        reading->err = ERR_BAD_VALUE;
    }
    XML_ParserFree(reading->parser);
    return reading->err;
}

enum err aws_xml_read(struct slice xml, struct aws_xml_want *wants, size_t want_count)
{
    struct reading reading = {.wants = wants, .want_count = want_count};

    CHECK(want_count <= AWS_XML_WANTS_MAX);
    for (size_t i = 0; i < want_count; i++) {
        wants[i].is_found = false;
    }
    return parse(&reading, xml, on_want_start, on_want_end, on_want_text);
}

/* ---- walking ------------------------------------------------------------------------------ */

static void on_walk_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;

    (void)attributes;
    if (push_name(reading, name)) {
        buf_clear(&reading->text);
        reading->is_leaf = true;
        if (reading->on_begin != NULL) {
            reading->on_begin(reading->context, slice_of(reading->names[reading->depth - 1]));
        }
    }
}

static void on_walk_end(void *context, const XML_Char *name)
{
    struct reading *reading = context;
    struct slice parent = {"", 0};

    (void)name;
    if (reading->err != ERR_OK) {
        return; /* expat still closes the empty element that was one too deep */
    }
    CHECK(reading->depth > 0);
    if (!reading->is_leaf) {
        buf_clear(&reading->text);
    }
    trim_text(&reading->text, 0);
    if (reading->depth >= 2) {
        parent = slice_of(reading->names[reading->depth - 2]);
    }
    reading->on_end(reading->context, parent, slice_of(reading->names[reading->depth - 1]),
                    buf_slice(&reading->text));
    reading->depth--;
    reading->is_leaf = false;
}

static void on_walk_text(void *context, const XML_Char *text, int len)
{
    struct reading *reading = context;

    /* Between elements there is white space only, and it is nobody's text. */
    if (reading->is_leaf &&
        buf_append(&reading->text, (struct slice){text, (size_t)len}) != ERR_OK) {
        give_up(reading, ERR_TOO_LARGE);
    }
}

enum err aws_xml_walk(struct slice xml, aws_xml_fn on_end, void *context)
{
    return aws_xml_walk_tree(xml, NULL, on_end, context);
}

enum err aws_xml_walk_tree(struct slice xml, aws_xml_begin_fn on_begin, aws_xml_fn on_end,
                           void *context)
{
    struct reading reading = {.on_begin = on_begin, .on_end = on_end, .context = context};
    enum err err;

    buf_init(&reading.text, AWS_XML_BYTES_MAX);
    err = parse(&reading, xml, on_walk_start, on_walk_end, on_walk_text);
    buf_clean_up(&reading.text);
    return err;
}
