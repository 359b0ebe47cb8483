/* SPDX-License-Identifier: Apache-2.0
 *
 * api_request.c - URL, headers and body of a call to an API destination.
 *
 * Who wins, where two name the same: the connection before the target, the target before what
 * EventBridge sends by itself, and the connection's authorization before all.  Headers that belong
 * to the connection between the two machines are nobody's to set and are left out.
 *
 * Values come from events, so they are data wherever they land: a path value is escaped whole, so
 * that it stays one segment, and may be neither empty nor dots; a query value is escaped; a header
 * value has no line breaks; a body parameter is a JSON string.
 *
 * GET and HEAD carry no body.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
 */
#include "delivery/api_request.h"

#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/percent.h"

enum { DEPTH_MAX = JSON_DEPTH_MAX, HEADERS_OWN_MAX = 8, SECRET_LEAST_CHARS = 4 };

static bool names_one(const struct api_parameter_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (slice_eq(list->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* ---- the URL ------------------------------------------------------------------------------ */

static bool is_dots(struct slice value)
{
    return slice_eq(value, SLICE(".")) || slice_eq(value, SLICE(".."));
}

static enum err write_path(struct slice path, const struct target_http *http, struct buf *url,
                           struct err_why *why)
{
    const size_t count = http != NULL ? http->path_value_count : 0;
    size_t used = 0;

    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '*') {
            TRY(buf_append_byte(url, path.data[i]));
            continue;
        }
        if (used == count) {
            return err_because(ERR_BAD_VALUE, why,
                               "the endpoint's path has more `*` than the %zu path values", count);
        }
        if (http->path_values[used].len == 0 || is_dots(http->path_values[used])) {
            return err_because(ERR_BAD_VALUE, why, "path value %zu is empty, or dots", used + 1);
        }
        TRY(percent_encode(http->path_values[used++], url));
    }
    return used == count
               ? ERR_OK
               : err_because(ERR_BAD_VALUE, why,
                             "the endpoint's path has fewer `*` than the %zu path values", count);
}

static enum err add_query(struct buf *url, char *separator, struct slice name, struct slice value)
{
    TRY(buf_append_byte(url, *separator));
    *separator = '&';
    TRY(percent_encode(name, url));
    TRY(buf_append_byte(url, '='));
    return percent_encode(value, url);
}

static enum err write_url(const struct api_destination *destination, const struct target_http *http,
                          struct buf *url, struct err_why *why)
{
    const struct api_parameter_list *own = &destination->invocation.queries;
    struct slice query = destination->endpoint;
    const struct slice path = slice_cut(&query, '?');
    char separator = '?';

    TRY(write_path(path, http, url, why));
    if (query.len > 0) {
        TRY(buf_append_byte(url, '?'));
        TRY(buf_append(url, query));
        separator = '&';
    }
    for (size_t i = 0; http != NULL && i < http->query_count; i++) {
        if (!names_one(own, http->queries[i].name)) {
            TRY(add_query(url, &separator, http->queries[i].name, http->queries[i].value));
        }
    }
    for (size_t i = 0; i < own->count; i++) {
        TRY(add_query(url, &separator, own->items[i].name, own->items[i].value));
    }
    return ERR_OK;
}

/* ---- headers ------------------------------------------------------------------------------ */

struct header_list {
    struct header *items;
    size_t count;
};

/* The later of two wins. */
static enum err set_header(struct header_list *list, struct slice name, struct slice value,
                           struct err_why *why)
{
    if (!api_header_name_is_good(name) || !api_header_value_is_good(value)) {
        return err_because(ERR_BAD_VALUE, why, "the value of header %.*s cannot be sent",
                           SLICE_ARG(slice_first(name, 64)));
    }
    for (size_t i = 0; i < list->count; i++) {
        if (slice_eq_ignore_case(list->items[i].name, name)) {
            list->items[i] = (struct header){name, value};
            return ERR_OK;
        }
    }
    list->items[list->count++] = (struct header){name, value};
    return ERR_OK;
}

static void set_own_headers(struct header_list *list, bool has_body)
{
    const struct header own[] = {
        {SLICE("User-Agent"), SLICE("Amazon/EventBridge/ApiDestinations")},
        {SLICE("Range"), SLICE("bytes=0-1048575")},
        {SLICE("Accept-Encoding"), SLICE("gzip,deflate")},
        {SLICE("Connection"), SLICE("close")},
    };

    memcpy(list->items, own, sizeof(own));
    list->count = ARRAY_LEN(own);
    if (has_body) {
        list->items[list->count++] =
            (struct header){SLICE("Content-Type"), SLICE("application/json; charset=utf-8")};
    }
}

static enum err write_headers(const struct api_destination *destination, struct slice authorization,
                              const struct target_http *http, bool has_body, struct arena *arena,
                              struct target_request *request, struct err_why *why)
{
    const struct api_parameter_list *own = &destination->invocation.headers;
    const size_t foreign_count = http != NULL ? http->header_count : 0;
    struct header_list list = {
        .items = ARENA_ARRAY(arena, struct header, HEADERS_OWN_MAX + own->count + foreign_count)};

    set_own_headers(&list, has_body);
    for (size_t i = 0; i < foreign_count; i++) {
        const struct header *header = &http->headers[i];

        if (!api_header_is_reserved(header->name) &&
            !slice_eq_ignore_case(header->name, SLICE("authorization"))) {
            TRY(set_header(&list, header->name, header->value, why));
        }
    }
    for (size_t i = 0; i < own->count; i++) {
        if (!api_header_is_reserved(own->items[i].name)) {
            TRY(set_header(&list, own->items[i].name, own->items[i].value, why));
        }
    }
    if (destination->authorization == API_HEADER) {
        TRY(set_header(&list, destination->header.name, destination->header.value, why));
    } else {
        TRY(set_header(&list, SLICE("Authorization"), authorization, why));
    }
    request->plain = list.items;
    request->plain_count = list.count;
    return ERR_OK;
}

/* ---- the body ----------------------------------------------------------------------------- */

/* The members of the object but those that the connection names, and then its own. */
static enum err merge_body(const struct api_parameter_list *own, struct slice body,
                           struct arena *arena, struct buf *out, struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;
    struct json_writer writer;

    json_reader_init(&reader, body, DEPTH_MAX);
    json_write_begin(&writer, out);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return err_because(ERR_BAD_VALUE, why,
                           "the connection has body parameters, and the input is no JSON object");
    }
    json_write_object_begin(&writer);
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = json_token_text(&token, arena);
        struct slice value;

        (void)json_next(&reader, &token);
        if (json_read_value(&reader, &token, &value) != ERR_OK) {
            return json_fault(&reader, why);
        }
        if (!names_one(own, key)) {
            json_write_key(&writer, key);
            json_write_raw(&writer, value);
        }
    }
    if (token.type != JSON_TYPE_OBJECT_END || json_next(&reader, &token) != JSON_TYPE_END) {
        return json_fault(&reader, why);
    }
    for (size_t i = 0; i < own->count; i++) {
        json_write_key_string(&writer, own->items[i].name, own->items[i].value);
    }
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static bool carries_body(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

enum err api_request_write(const struct api_destination *destination, struct slice authorization,
                           const struct target_item *item, struct arena *arena,
                           struct target_request *request, struct err_why *why)
{
    const bool has_body = carries_body(destination->method);
    struct buf url;
    enum err err;

    buf_init(&url, API_REQUEST_URL_BYTES_MAX);
    err = write_url(destination, item->http, &url, why);
    request->method = destination->method;
    request->url = arena_cstr(arena, buf_slice(&url));
    buf_wipe(&url);
    TRY(err);
    TRY(write_headers(destination, authorization, item->http, has_body, arena, request, why));
    if (!has_body) {
        return ERR_OK;
    }
    return destination->invocation.bodies.count == 0
               ? buf_append(request->body, item->body)
               : merge_body(&destination->invocation.bodies, item->body, arena, request->body, why);
}

/* ---- secrets ------------------------------------------------------------------------------ */

static bool holds(struct slice text, struct slice secret)
{
    return secret.len >= SECRET_LEAST_CHARS && text.len >= secret.len &&
           memmem(text.data, text.len, secret.data, secret.len) != NULL;
}

static bool tells_one_of(const struct api_parameter_list *list, struct slice text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].is_secret && holds(text, list->items[i].value)) {
            return true;
        }
    }
    return false;
}

bool api_request_tells(const struct api_destination *destination, struct slice authorization,
                       struct slice text)
{
    const struct api_parameters *lists[] = {&destination->invocation, &destination->oauth.more};
    struct slice token = authorization;

    (void)slice_cut(&token, ' '); /* the scheme is no secret, and may be left out */
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (tells_one_of(&lists[i]->headers, text) || tells_one_of(&lists[i]->queries, text) ||
            tells_one_of(&lists[i]->bodies, text)) {
            return true;
        }
    }
    return holds(text, token) || holds(text, destination->header.value) ||
           holds(text, destination->oauth.client_secret);
}
