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

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;
    const size_t len = strlen(name);

    (void)attributes;
    if (reading->depth == AWS_XML_DEPTH_MAX) {
        give_up(reading, ERR_BAD_VALUE);
        return;
    }
    if (len <= NAME_CHARS_MAX) {
        memcpy(reading->names[reading->depth], name, len + 1);
    } else {
        reading->names[reading->depth][0] = '\0';
    }
    reading->depth++;
    if (reading->current == NULL) {
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

static void on_end(void *context, const XML_Char *name)
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

static void on_text(void *context, const XML_Char *text, int len)
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

enum err aws_xml_read(struct slice xml, struct aws_xml_want *wants, size_t want_count)
{
    struct reading reading = {.wants = wants, .want_count = want_count};

    CHECK(want_count <= AWS_XML_WANTS_MAX);
    for (size_t i = 0; i < want_count; i++) {
        wants[i].is_found = false;
    }
    if (xml.len == 0) {
        return ERR_BAD_VALUE;
    }
    if (xml.len > AWS_XML_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    reading.parser = XML_ParserCreate("UTF-8");
    CHECK(reading.parser != NULL);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
    if (XML_Parse(reading.parser, xml.data, (int)xml.len, XML_TRUE) != XML_STATUS_OK &&
        reading.err == ERR_OK) {
        reading.err = ERR_BAD_VALUE;
    }
    XML_ParserFree(reading.parser);
    return reading.err;
}
