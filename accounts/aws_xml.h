/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_xml.h - picking a few texts out of an XML reply of AWS, or walking through all of it.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

enum { AWS_XML_BYTES_MAX = 65536, AWS_XML_DEPTH_MAX = 16, AWS_XML_WANTS_MAX = 8 };

/* One text to find: that of the first element `name` directly inside an element `parent`. */
struct aws_xml_want {
    const char *parent;
    const char *name;
    struct buf *text; /* appended to; the caller wipes it where it is a secret */
    bool is_found;
};

/* Read the whole document and fill `wants`.  White space around a text is dropped.
 * ERR_TOO_LARGE when the document, or a text for its buf, is over its maximum; ERR_BAD_VALUE when
 * it is not well formed, has a DOCTYPE, or is nested deeper than AWS_XML_DEPTH_MAX. */
MUST_USE enum err aws_xml_read(struct slice xml, struct aws_xml_want *wants, size_t want_count);

/* Called as each element ends, in the order of the document: its name, that of the element around
 * it (empty for the root), and its text without white space around, empty if it holds elements.  A
 * name over 63 bytes comes as the empty one.  All slices are valid during the call. */
typedef void (*aws_xml_fn)(void *context, struct slice parent, struct slice name,
                           struct slice text);

/* Called as each element begins. */
typedef void (*aws_xml_begin_fn)(void *context, struct slice name);

/* Walk through a document with lists in it. Errors as above; calls made before one stand. */
MUST_USE enum err aws_xml_walk(struct slice xml, aws_xml_fn on_end, void *context);
MUST_USE enum err aws_xml_walk_tree(struct slice xml, aws_xml_begin_fn on_begin, aws_xml_fn on_end,
                                    void *context);
