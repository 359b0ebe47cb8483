/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4.c - the four stages of Signature Version 4.
 *
 *      method                                  POST
 *      path, encoded once more                 /
 *      query, decoded, encoded, sorted         (empty)
 *      signed headers, "name:value"            host:weir.example.net ...
 *      (empty line)
 *      their names, joined by ';'              content-type;host;x-amz-date;x-amz-target
 *      hex SHA-256 of the body                 62155c94...
 *
 * One canonicaliser serves the verifier, who is told which headers were signed, and the signer, who
 * signs all of them.  It is strict where two readings would be possible: the list must be sorted,
 * in lower case and without repetition, percent signs must introduce two hex digits.
 *
 * Two names stand for one thing: HTTP/1.1 sends `host`, HTTP/2 sends `:authority`, and proxies and
 * SDKs sign one while another arrives.  Either is taken where the other is missing.
 *
 * Pure: bytes in, bytes out, no clock.  Secrets on the stack are wiped.
 */
#include "accounts/sigv4.h"

#include <openssl/crypto.h>

#include "core/check.h"
#include "core/percent.h"

/* ---- path ---- */

/* Drop what stands behind the last '/' of out[start..], and that '/' itself. */
static void pop_segment(struct buf *out, size_t start)
{
    while (out->len > start && out->data[out->len - 1] != '/') {
        out->len--;
    }
    if (out->len > start) {
        out->len--;
    }
}

/* Dot segments go as RFC 3986, 5.2.4 says, and runs of '/' become one. */
static enum err append_normal_path(struct buf *out, struct slice path)
{
    const bool ends_with_slash = slice_has_suffix(path, SLICE("/"));
    const size_t start = out->len;

    while (path.len > 0) {
        const struct slice segment = slice_cut(&path, '/');

        if (slice_eq(segment, SLICE(".."))) {
            pop_segment(out, start);
        } else if (segment.len > 0 && !slice_eq(segment, SLICE("."))) {
            TRY(buf_append_byte(out, '/'));
            TRY(percent_encode(segment, out));
        }
    }
    if (ends_with_slash || out->len == start) {
        TRY(buf_append_byte(out, '/'));
    }
    return ERR_OK;
}

static enum err append_path(struct buf *out, struct slice path, bool encode_twice)
{
    if (path.len == 0) {
        return buf_append_byte(out, '/');
    }
    return encode_twice ? append_normal_path(out, path) : buf_append(out, path);
}

/* ---- query ---- */

static bool hex_value(char digit, unsigned *value)
{
    if (digit >= '0' && digit <= '9') {
        *value = (unsigned)(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
        *value = (unsigned)(digit - 'a') + 10;
    } else if (digit >= 'A' && digit <= 'F') {
        *value = (unsigned)(digit - 'A') + 10;
    } else {
        return false;
    }
    return true;
}

/* Append with each byte in its one canonical form, whatever form it had: "%7e" is "~", "+" is a
 * plus sign and becomes "%2B". */
static enum err append_recoded(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];

        if (byte == '%') {
            unsigned high;
            unsigned low;

            if (text.len - i < 3 || !hex_value(text.data[i + 1], &high) ||
                !hex_value(text.data[i + 2], &low)) {
                return ERR_BAD_SIGNATURE;
            }
            byte = (char)(unsigned char)(high << 4 | low);
            i += 2;
        }
        TRY(percent_encode((struct slice){&byte, 1}, out));
    }
    return ERR_OK;
}

struct query_pair {
    size_t start; /* offsets into the scratch: name=value */
    size_t equals;
    size_t end;
};

static int compare_pairs(const struct buf *text, const struct query_pair *a,
                         const struct query_pair *b)
{
    const int order = slice_compare((struct slice){text->data + a->start, a->equals - a->start},
                                    (struct slice){text->data + b->start, b->equals - b->start});

    return order != 0 ? order
                      : slice_compare((struct slice){text->data + a->equals, a->end - a->equals},
                                      (struct slice){text->data + b->equals, b->end - b->equals});
}

/* Recode each pair into `text`, keeping `pairs` sorted. */
static enum err collect_pairs(struct slice query, struct buf *text, struct query_pair *pairs,
                              size_t *count)
{
    *count = 0;
    while (query.data != NULL) {
        struct slice value = slice_cut(&query, '&');
        const struct slice name = slice_cut(&value, '=');
        struct query_pair pair = {.start = text->len};
        size_t at;

        if (*count == SIGV4_QUERY_PAIRS_MAX) {
            return ERR_BAD_SIGNATURE;
        }
        TRY(append_recoded(text, name));
        pair.equals = text->len;
        TRY(buf_append_byte(text, '='));
        TRY(append_recoded(text, value));
        pair.end = text->len;
        for (at = *count; at > 0 && compare_pairs(text, &pair, &pairs[at - 1]) < 0; at--) {
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = pair;
        (*count)++;
    }
    return ERR_OK;
}

static enum err append_query(struct buf *out, struct slice query)
{
    struct query_pair pairs[SIGV4_QUERY_PAIRS_MAX];
    struct buf text;
    size_t count;
    enum err err;

    if (query.len == 0) {
        return ERR_OK;
    }
    buf_init(&text, SIGV4_CANONICAL_BYTES_MAX);
    err = collect_pairs(query, &text, pairs, &count);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        if (i > 0) {
            err = buf_append_byte(out, '&');
        }
        if (err == ERR_OK) {
            err = buf_append(
                out, (struct slice){text.data + pairs[i].start, pairs[i].end - pairs[i].start});
        }
    }
    buf_clean_up(&text);
    return err;
}

/* ---- headers ---- */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Append a value trimmed, each run of blanks inside it as one space. */
static enum err append_value(struct buf *out, struct slice value)
{
    value = slice_trim(value);
    while (value.len > 0) {
        size_t len = 0;

        while (len < value.len && !is_blank(value.data[len])) {
            len++;
        }
        TRY(buf_append(out, slice_first(value, len)));
        value = slice_from(value, len);
        if (value.len > 0) {
            TRY(buf_append_byte(out, ' '));
            while (value.len > 0 && is_blank(value.data[0])) {
                value = slice_from(value, 1);
            }
        }
    }
    return ERR_OK;
}

/* The values of all headers of that name, in the order of arrival, joined by commas. */
static enum err append_values(struct buf *out, const struct sigv4_request *request,
                              struct slice name, bool *is_found)
{
    *is_found = false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!slice_eq_ignore_case(request->headers[i].name, name)) {
            continue;
        }
        if (*is_found) {
            TRY(buf_append_byte(out, ','));
        }
        TRY(append_value(out, request->headers[i].value));
        *is_found = true;
    }
    return ERR_OK;
}

static enum err append_header(struct buf *out, const struct sigv4_request *request,
                              struct slice name)
{
    const bool is_authority = slice_eq(name, SLICE(":authority"));
    bool is_found = false;

    if (is_authority && !request->is_http2) {
        return ERR_BAD_SIGNATURE;
    }
    TRY(buf_append(out, name));
    TRY(buf_append_byte(out, ':'));
    if (is_authority && request->authority.len > 0) {
        TRY(append_value(out, request->authority));
        return buf_append_byte(out, '\n');
    }
    TRY(append_values(out, request, is_authority ? SLICE("host") : name, &is_found));
    if (!is_found) {
        if (!slice_eq(name, SLICE("host")) || request->authority.len == 0) {
            return ERR_BAD_SIGNATURE;
        }
        TRY(append_value(out, request->authority));
    }
    return buf_append_byte(out, '\n');
}

/* Field names are tokens of RFC 9110; here in lower case only, with HTTP/2's leading colon. */
static bool is_signed_name(struct slice name)
{
    if (slice_has_prefix(name, SLICE(":"))) {
        return slice_eq(name, SLICE(":authority"));
    }
    for (size_t i = 0; i < name.len; i++) {
        const char byte = name.data[i];

        if (byte <= ' ' || byte >= 127 || (byte >= 'A' && byte <= 'Z') ||
            strchr("\"(),/:;<=>?@[\\]{}", byte) != NULL) {
            return false;
        }
    }
    return name.len > 0;
}

static enum err append_headers(struct buf *out, const struct sigv4_request *request,
                               struct slice signed_headers)
{
    struct slice rest = signed_headers;
    struct slice before = {"", 0};
    size_t count = 0;

    if (signed_headers.len == 0) {
        return ERR_BAD_SIGNATURE;
    }
    while (rest.data != NULL) {
        const struct slice name = slice_cut(&rest, ';');

        if (!is_signed_name(name) || slice_compare(before, name) >= 0 ||
            ++count > SIGV4_SIGNED_HEADERS_MAX) {
            return ERR_BAD_SIGNATURE;
        }
        TRY(append_header(out, request, name));
        before = name;
    }
    return ERR_OK;
}

/* ---- the stages ---- */

enum err sigv4_canonical_request(const struct sigv4_request *request, struct slice signed_headers,
                                 bool encode_path_twice, struct buf *out)
{
    char body_hex[DIGEST_HEX_CHARS];

    TRY(buf_append(out, request->method));
    TRY(buf_append_byte(out, '\n'));
    TRY(append_path(out, request->path, encode_path_twice));
    TRY(buf_append_byte(out, '\n'));
    TRY(append_query(out, request->query));
    TRY(buf_append_byte(out, '\n'));
    TRY(append_headers(out, request, signed_headers));
    TRY(buf_append_byte(out, '\n'));
    TRY(buf_append(out, signed_headers));
    TRY(buf_append_byte(out, '\n'));
    digest_hex(&request->body_digest, body_hex);
    return buf_append(out, (struct slice){body_hex, sizeof(body_hex)});
}

enum err sigv4_string_to_sign(struct slice canonical_request, struct slice amz_date,
                              const struct sigv4_scope *scope, struct buf *out)
{
    char hex[DIGEST_HEX_CHARS];
    struct digest digest;

    digest_sha256(canonical_request, &digest);
    digest_hex(&digest, hex);
    TRY(buf_append(out, SLICE("AWS4-HMAC-SHA256\n")));
    TRY(buf_append(out, amz_date));
    TRY(buf_append_byte(out, '\n'));
    TRY(buf_append(out, scope->date));
    TRY(buf_append_byte(out, '/'));
    TRY(buf_append(out, scope->region));
    TRY(buf_append_byte(out, '/'));
    TRY(buf_append(out, scope->service));
    TRY(buf_append(out, SLICE("/aws4_request\n")));
    return buf_append(out, (struct slice){hex, sizeof(hex)});
}

void sigv4_signing_key(struct slice secret, const struct sigv4_scope *scope, struct digest *key)
{
    char first[4 + SIGV4_SECRET_CHARS_MAX] = "AWS4";
    struct digest step;

    CHECK(secret.len > 0);
    CHECK(secret.len <= SIGV4_SECRET_CHARS_MAX);
    memcpy(first + 4, secret.data, secret.len);
    digest_hmac_sha256((struct slice){first, 4 + secret.len}, scope->date, key);
    digest_hmac_sha256(digest_slice(key), scope->region, &step);
    digest_hmac_sha256(digest_slice(&step), scope->service, key);
    digest_hmac_sha256(digest_slice(key), SLICE("aws4_request"), &step);
    *key = step;
    OPENSSL_cleanse(first, sizeof(first));
    OPENSSL_cleanse(&step, sizeof(step));
}

void sigv4_signature(const struct digest *key, struct slice string_to_sign,
                     char signature[static DIGEST_HEX_CHARS])
{
    struct digest digest;

    digest_hmac_sha256(digest_slice(key), string_to_sign, &digest);
    digest_hex(&digest, signature);
}

/* ---- dates ---- */

static bool are_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

enum err sigv4_date_from_http(struct slice text, char amz_date[static 16])
{
    /*                           0123456789012345678901234567 8 */
    static const char form[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *t = text.data;
    unsigned month = 0;

    if (text.len != sizeof(form) - 1 || memcmp(t + 3, ", ", 2) != 0 ||
        memcmp(t + 25, " GMT", 4) != 0 || t[7] != ' ' || t[11] != ' ' || t[16] != ' ' ||
        t[19] != ':' || t[22] != ':' || !are_digits(t + 5, 2) || !are_digits(t + 12, 4) ||
        !are_digits(t + 17, 2) || !are_digits(t + 20, 2) || !are_digits(t + 23, 2)) {
        return ERR_BAD_VALUE;
    }
    while (month < 12 && memcmp(months + (size_t)3 * month, t + 8, 3) != 0) {
        month++;
    }
    if (month == 12) {
        return ERR_BAD_VALUE;
    }
    month++;
    memcpy(amz_date, t + 12, 4);
    amz_date[4] = (char)('0' + month / 10);
    amz_date[5] = (char)('0' + month % 10);
    memcpy(amz_date + 6, t + 5, 2);
    amz_date[8] = 'T';
    memcpy(amz_date + 9, t + 17, 2);
    memcpy(amz_date + 11, t + 20, 2);
    memcpy(amz_date + 13, t + 23, 2);
    amz_date[15] = 'Z';
    return ERR_OK;
}
