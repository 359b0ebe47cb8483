/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_sign.c - signing what weir sends to AWS.
 *
 * The happy path: add x-amz-date (and the session token), list every header name once, in order,
 * run the stages of sigv4.c over that, and put the result into an Authorization header.
 *
 * The path is encoded once more for the signature, except for S3.
 *
 * All headers given are signed; what the HTTP library adds by itself (content-length, accept) is
 * not, and need not be.
 *
 * Memory: what is returned lives in the caller's arena; the derived key is wiped.
 * Time:   `now_ms`, already corrected by whoever knows that our clock is off.
 */
#include "accounts/sigv4_sign.h"

#include <openssl/crypto.h>

#include "core/check.h"
#include "core/moment.h"

static struct slice to_lower(struct arena *arena, struct slice name)
{
    char *copy = arena_cstr(arena, name);

    for (size_t i = 0; i < name.len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z') {
            copy[i] = (char)(copy[i] | 0x20);
        }
    }
    return (struct slice){copy, name.len};
}

/* Keep `names` sorted and free of repetition. */
static void insert_name(struct slice *names, size_t *count, struct slice name)
{
    size_t at = *count;

    while (at > 0 && slice_compare(name, names[at - 1]) < 0) {
        at--;
    }
    if (at > 0 && slice_eq(name, names[at - 1])) {
        return;
    }
    memmove(&names[at + 1], &names[at], (*count - at) * sizeof(*names));
    names[at] = name;
    (*count)++;
}

/* "a;b;c" of all header names. */
static struct slice list_names(const struct sigv4_request *request, struct arena *arena)
{
    struct slice names[SIGV4_SIGNED_HEADERS_MAX];
    size_t count = 0;
    size_t len = 0;
    char *text;
    char *end;

    for (size_t i = 0; i < request->header_count; i++) {
        insert_name(names, &count, to_lower(arena, request->headers[i].name));
    }
    for (size_t i = 0; i < count; i++) {
        len += names[i].len + 1;
    }
    text = arena_alloc(arena, len);
    end = text;
    for (size_t i = 0; i < count; i++) {
        memcpy(end, names[i].data, names[i].len);
        end += names[i].len;
        *end++ = ';';
    }
    return (struct slice){text, len - 1};
}

static enum err make_signature(const struct sigv4_request *request, struct slice signed_headers,
                               struct slice secret, struct slice amz_date,
                               const struct sigv4_scope *scope,
                               char signature[static DIGEST_HEX_CHARS])
{
    struct buf text;
    struct digest key;
    size_t canonical_len;
    enum err err;

    buf_init(&text, SIGV4_CANONICAL_BYTES_MAX);
    err = sigv4_canonical_request(request, signed_headers, !slice_eq(scope->service, SLICE("s3")),
                                  &text);
    canonical_len = text.len;
    if (err == ERR_OK) {
        /* Safe on one buffer: the first text is hashed before the second is written behind it. */
        err = sigv4_string_to_sign(buf_slice(&text), amz_date, scope, &text);
    }
    if (err == ERR_OK) {
        sigv4_signing_key(secret, scope, &key);
        sigv4_signature(&key, slice_from(buf_slice(&text), canonical_len), signature);
        OPENSSL_cleanse(&key, sizeof(key));
    }
    buf_wipe(&text); /* a session token is in it */
    return err;
}

static void add_header(struct sigv4_signed *out, struct slice name, struct slice value)
{
    CHECK(out->header_count < SIGV4_ADDED_HEADERS_MAX);
    out->headers[out->header_count++] = (struct header){name, value};
}

enum err sigv4_sign(const struct sigv4_request *request, const struct credentials *credentials,
                    struct slice region, struct slice service, uint64_t now_ms, struct arena *arena,
                    struct sigv4_signed *out)
{
    struct sigv4_request whole = *request;
    char *amz_date = arena_alloc(arena, MOMENT_AMZ_CHARS);
    const struct slice date = {amz_date, MOMENT_AMZ_CHARS};
    const struct sigv4_scope scope = {slice_first(date, 8), region, service};
    char signature[DIGEST_HEX_CHARS];
    struct header *headers;
    struct slice names;

    CHECK(header_find(request->headers, request->header_count, SLICE("host")) != NULL);
    CHECK(header_find(request->headers, request->header_count, SLICE("x-amz-date")) == NULL);
    CHECK(header_find(request->headers, request->header_count, SLICE("authorization")) == NULL);
    if (request->header_count + SIGV4_ADDED_HEADERS_MAX > SIGV4_SIGNED_HEADERS_MAX) {
        return ERR_TOO_LARGE;
    }
    moment_to_amz(now_ms, amz_date);
    *out = (struct sigv4_signed){0};
    add_header(out, SLICE("x-amz-date"), date);
    if (credentials->session_token.len > 0) {
        add_header(out, SLICE("x-amz-security-token"),
                   arena_copy(arena, credentials->session_token));
    }
    headers = ARENA_ARRAY(arena, struct header, request->header_count + out->header_count);
    memcpy(headers, request->headers, request->header_count * sizeof(*headers));
    memcpy(headers + request->header_count, out->headers, out->header_count * sizeof(*headers));
    whole.headers = headers;
    whole.header_count += out->header_count;
    names = list_names(&whole, arena);
    TRY(make_signature(&whole, names, credentials->secret_access_key, date, &scope, signature));
    add_header(out, SLICE("authorization"),
               arena_printf(arena,
                            "AWS4-HMAC-SHA256 Credential=%.*s/%.*s/%.*s/%.*s/aws4_request, "
                            "SignedHeaders=%.*s, Signature=%.*s",
                            SLICE_ARG(credentials->access_key_id), SLICE_ARG(scope.date),
                            SLICE_ARG(region), SLICE_ARG(service), SLICE_ARG(names),
                            (int)sizeof(signature), signature));
    return ERR_OK;
}
