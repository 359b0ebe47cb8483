/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_second.c - a second reading of an HTTP/1.1 request: llhttp gets the same bytes and must agree.
 *
 * h1_head.c decides; this only objects.  To smuggle a request past weir, an attacker has to find
 * bytes that two unrelated parsers misread in the same way.  All lenient flags of llhttp are off.
 *
 * Memory: none beyond the struct.
 */
#include "gateway/h1_second.h"

#include "core/check.h"

static int on_head(llhttp_t *parser)
{
    struct h1_second *second = parser->data;

    second->saw_head = true;
    parser->upgrade = 0; /* weir stays with HTTP/1.1, as a server may */
    return 0;
}

static int on_end(llhttp_t *parser)
{
    struct h1_second *second = parser->data;

    second->saw_end = true;
    return 0;
}

bool h1_second_agrees_on_body(struct h1_second *second, struct slice bytes)
{
    return llhttp_execute(&second->parser, bytes.data, bytes.len) == HPE_OK;
}

bool h1_second_agrees_on_head(struct h1_second *second, const struct h1_head *head,
                              struct slice bytes)
{
    /* llhttp takes them without const and never writes them. */
    static llhttp_settings_t settings = {
        .on_headers_complete = on_head,
        .on_message_complete = on_end,
    };
    unsigned framing;

    *second = (struct h1_second){0};
    llhttp_init(&second->parser, HTTP_REQUEST, &settings);
    second->parser.data = second;
    if (slice_eq(head->method, SLICE("CONNECT"))) {
        return true; /* refused in a moment; to llhttp its target is of another form */
    }
    if (!h1_second_agrees_on_body(second, bytes) || !second->saw_head) {
        return false;
    }
    framing = second->parser.flags & (unsigned)(F_CHUNKED | F_CONTENT_LENGTH);
    switch (head->framing) {
    case H1_NO_BODY:
        return second->saw_end;
    case H1_LENGTH:
        return !second->saw_end && framing == F_CONTENT_LENGTH &&
               second->parser.content_length == head->content_length;
    case H1_CHUNKED:
        return !second->saw_end && framing == F_CHUNKED;
    }
    return false;
}
