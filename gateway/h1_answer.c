/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_answer.c - the head of an HTTP/1.1 answer.
 *
 * Memory: in the arena of the request that is answered.
 */
#include "gateway/h1_answer.h"

#include "core/check.h"

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } rows[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status) {
            return rows[i].phrase;
        }
    }
    return "Status";
}

static char *put(char *at, struct slice text)
{
    if (text.len > 0) {
        memcpy(at, text.data, text.len);
    }
    return at + text.len;
}

static char *put_field(char *at, struct slice name, struct slice value)
{
    at = put(at, name);
    at = put(at, SLICE(": "));
    at = put(at, value);
    return put(at, SLICE("\r\n"));
}

struct slice h1_answer_head(struct arena *arena, const struct response *response, struct slice date,
                            bool is_last)
{
    size_t size = 256 + response->content_type.len;
    char *text;
    char *at;

    for (size_t i = 0; i < response->header_count; i++) {
        size += response->headers[i].name.len + response->headers[i].value.len + 4;
    }
    text = arena_alloc(arena, size);
    at = put(text, SLICE("HTTP/1.1 "));
    at = put(at, arena_u64(arena, response->status));
    at = put(at, SLICE(" "));
    at = put(at, slice_of(reason_phrase(response->status)));
    at = put(at, SLICE("\r\n"));
    at = put_field(at, SLICE("date"), date);
    if (response->content_type.len > 0) {
        at = put_field(at, SLICE("content-type"), response->content_type);
    }
    if (response->status != 204 && response->status != 304) {
        at = put_field(at, SLICE("content-length"), arena_u64(arena, response->body.len));
    }
    for (size_t i = 0; i < response->header_count; i++) {
        at = put_field(at, response->headers[i].name, response->headers[i].value);
    }
    if (is_last) {
        at = put_field(at, SLICE("connection"), SLICE("close"));
    }
    at = put(at, SLICE("\r\n"));
    CHECK((size_t)(at - text) <= size);
    return (struct slice){text, (size_t)(at - text)};
}
