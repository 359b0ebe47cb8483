/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.c - the two texts of the client credentials grant.
 *
 * The client proves itself in the body, as most endpoints take it; one that wants HTTP Basic gets
 * it as a header parameter of the connection.  A reply's scheme "bearer" is sent as "Bearer",
 * because some servers compare it byte by byte.
 *
 * Pure; memory is the caller's, who wipes it.
 */
#include "accounts/oauth.h"

#include "core/check.h"
#include "core/json.h"
#include "core/percent.h"

enum { URL_BYTES_MAX = 128 * 1024, SCHEME_CHARS_MAX = 32 };

/* ---- asking ------------------------------------------------------------------------------- */

static enum err add_field(struct buf *out, char *separator, struct slice name, struct slice value)
{
    if (*separator != '\0') {
        TRY(buf_append_byte(out, *separator));
    }
    *separator = '&';
    TRY(percent_encode(name, out));
    TRY(buf_append_byte(out, '='));
    return percent_encode(value, out);
}

static enum err add_list(struct buf *out, char *separator, const struct api_parameter_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        TRY(add_field(out, separator, list->items[i].name, list->items[i].value));
    }
    return ERR_OK;
}

static bool has_name(const struct api_parameter_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (slice_eq(list->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

static enum err add_grant(struct buf *out, char *separator, const struct api_oauth *oauth)
{
    if (!has_name(&oauth->more.bodies, SLICE("grant_type")) &&
        !has_name(&oauth->more.queries, SLICE("grant_type"))) {
        TRY(add_field(out, separator, SLICE("grant_type"), SLICE("client_credentials")));
    }
    TRY(add_field(out, separator, SLICE("client_id"), oauth->client_id));
    TRY(add_field(out, separator, SLICE("client_secret"), oauth->client_secret));
    return add_list(out, separator, &oauth->more.bodies);
}

static enum err write_url(const struct api_oauth *oauth, bool is_get, struct buf *url)
{
    char separator = slice_find(oauth->endpoint, '?') < oauth->endpoint.len ? '&' : '?';

    TRY(buf_append(url, oauth->endpoint));
    TRY(add_list(url, &separator, &oauth->more.queries));
    return is_get ? add_grant(url, &separator, oauth) : ERR_OK;
}

static void write_headers(const struct api_oauth *oauth, bool is_get, struct arena *arena,
                          struct oauth_request *request)
{
    const struct api_parameter_list *own = &oauth->more.headers;
    struct header *headers = ARENA_ARRAY(arena, struct header, own->count + 2);
    size_t count = 0;

    headers[count++] = (struct header){SLICE("accept"), SLICE("application/json")};
    if (!is_get) {
        headers[count++] =
            (struct header){SLICE("content-type"), SLICE("application/x-www-form-urlencoded")};
    }
    for (size_t i = 0; i < own->count; i++) {
        if (!api_header_is_reserved(own->items[i].name) &&
            header_find(headers, count, own->items[i].name) == NULL) {
            headers[count++] = (struct header){own->items[i].name, own->items[i].value};
        }
    }
    request->headers = headers;
    request->header_count = count;
}

enum err oauth_write_request(const struct api_oauth *oauth, struct arena *arena, struct buf *body,
                             struct oauth_request *request)
{
    const bool is_get = strcmp(oauth->method, "GET") == 0;
    char separator = '\0';
    struct buf url;
    enum err err;

    buf_init(&url, URL_BYTES_MAX);
    err = write_url(oauth, is_get, &url);
    if (err == ERR_OK && !is_get) {
        err = add_grant(body, &separator, oauth);
    }
    request->method = oauth->method;
    request->url = arena_cstr(arena, buf_slice(&url));
    write_headers(oauth, is_get, arena, request);
    buf_wipe(&url);
    return err;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct answer {
    struct slice token;
    struct slice type;
    uint64_t lifetime_s;
};

/* Whole seconds; servers write them as a number or as a string. */
static void take_lifetime(struct slice text, struct answer *answer)
{
    uint64_t seconds;

    if (slice_to_u64(slice_first(text, slice_find(text, '.')), &seconds) && seconds > 0) {
        answer->lifetime_s = MIN_OF(seconds, UINT64_C(31536000));
    }
}

static enum err read_members(struct slice body, struct arena *arena, struct answer *answer)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;

    json_reader_init(&reader, body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_VALUE;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;
        const enum json_type type = json_next(&reader, &token);

        if (type == JSON_TYPE_STRING && slice_eq(key, SLICE("access_token"))) {
            answer->token = json_token_text(&token, arena);
        } else if (type == JSON_TYPE_STRING && slice_eq(key, SLICE("token_type"))) {
            answer->type = json_token_text(&token, arena);
        } else if ((type == JSON_TYPE_STRING || type == JSON_TYPE_NUMBER) &&
                   slice_eq(key, SLICE("expires_in"))) {
            take_lifetime(token.raw, answer);
        } else if (json_read_value(&reader, &token, &skipped) != ERR_OK) {
            return ERR_BAD_VALUE;
        }
    }
    return token.type == JSON_TYPE_OBJECT_END ? ERR_OK : ERR_BAD_VALUE;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

enum err oauth_read_token(struct slice body, struct arena *arena, struct oauth_token *token,
                          struct err_why *why)
{
    struct answer answer = {.type = SLICE("Bearer"), .lifetime_s = OAUTH_LIFETIME_S};

    if (read_members(body, arena, &answer) != ERR_OK) {
        return err_because(ERR_BAD_VALUE, why, "the token endpoint's reply is no JSON object");
    }
    if (!is_visible(answer.token) || answer.token.len > OAUTH_TOKEN_CHARS_MAX) {
        return err_because(ERR_BAD_VALUE, why,
                           "the token endpoint's reply holds no good access_token");
    }
    if (!is_visible(answer.type) || answer.type.len > SCHEME_CHARS_MAX) {
        return err_because(ERR_BAD_VALUE, why,
                           "the token endpoint's reply holds no good token_type");
    }
    if (slice_eq_ignore_case(answer.type, SLICE("Bearer"))) {
        answer.type = SLICE("Bearer");
    }
    token->authorization =
        arena_printf(arena, "%.*s %.*s", SLICE_ARG(answer.type), SLICE_ARG(answer.token));
    token->lifetime_ms = answer.lifetime_s * 1000;
    return ERR_OK;
}
