/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_head.c - weir's own reading of an HTTP/1.1 request head and of chunks.
 *
 * Request smuggling lives on bytes that two parsers read differently: a bare LF, a folded line, a
 * blank before a colon, two lengths, a length beside chunks.  Nobody who speaks to weir needs any
 * of them, so each is refused, and the connection with it.  Accepted is exactly:
 *
 *     METHOD SP /path[?query] SP "HTTP/1.1" CRLF      visible ASCII, single blanks
 *     ( token ":" value CRLF )*                        no control bytes but TAB in the value
 *     CRLF
 *
 * with one Host, at most one Content-Length of plain digits or one "chunked", never both.  Chunks
 * have no extensions and no trailers.  llhttp then reads the same bytes and has to agree (h1.c).
 *
 *= https://www.rfc-editor.org/rfc/rfc9112#section-3
 *= https://www.rfc-editor.org/rfc/rfc9112#section-6.3
 *
 * Invariant: no byte before `*scanned` is looked at twice, so a head sent byte by byte costs what
 * it costs in one piece.
 * Memory:    none; slices point into the caller's bytes.
 */
#include "gateway/h1_head.h"

#include "core/check.h"

enum {
    METHOD_MAX_CHARS = 32,
    LENGTH_MAX_DIGITS = 15,
    CHUNK_SIZE_MAX_DIGITS = 8,
};

static enum h1_result refuse(struct h1_refusal *refusal, unsigned status, const char *reason)
{
    *refusal = (struct h1_refusal){status, reason};
    return H1_BAD;
}

/* Too long at `at`: is that still the request line? */
static enum h1_result refuse_length(struct slice bytes, size_t at, struct h1_refusal *refusal)
{
    return slice_find(slice_first(bytes, at), '\n') == at
               ? refuse(refusal, 414, "the request line is too long")
               : refuse(refusal, 431, "the head of the request is too long");
}

enum h1_result h1_head_find(struct slice bytes, const struct http_limits *limits, size_t *scanned,
                            size_t *head_len, struct h1_refusal *refusal)
{
    size_t at = *scanned;

    while ((at += slice_find(slice_from(bytes, at), '\n')) < bytes.len) {
        if (at == 0 || bytes.data[at - 1] != '\r') {
            return refuse(refusal, 400, "a line of the head does not end in CR LF");
        }
        if (at == 1) {
            return refuse(refusal, 400, "the request begins with an empty line");
        }
        if (at >= limits->head_max_bytes) {
            return refuse_length(bytes, at, refusal);
        }
        if (bytes.data[at - 2] == '\n') {
            *head_len = at + 1;
            return H1_DONE;
        }
        at++;
    }
    *scanned = bytes.len;
    if (bytes.len >= limits->head_max_bytes) {
        return refuse_length(bytes, bytes.len, refusal);
    }
    return H1_MORE;
}

/* RFC 9110 section 5.6.2 */
static bool is_token(struct slice text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.len; i++) {
        const char byte = text.data[i];
        const bool is_alnum = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= 'a' && byte <= 'z');

        if (!is_alnum && (byte == '\0' || strchr(others, byte) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.data[i];

        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_version(struct slice text)
{
    return text.len == 8 && slice_has_prefix(text, SLICE("HTTP/")) && text.data[5] >= '0' &&
           text.data[5] <= '9' && text.data[6] == '.' && text.data[7] >= '0' && text.data[7] <= '9';
}

/* Only what is visible; whether it is a path is judged where HTTP/2 is judged too. */
static bool is_target(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static enum h1_result parse_request_line(struct slice line, const struct http_limits *limits,
                                         struct h1_head *head, struct h1_refusal *refusal)
{
    struct slice version;

    head->method = slice_cut(&line, ' ');
    head->target = slice_cut(&line, ' ');
    version = line;
    if (head->method.len > METHOD_MAX_CHARS || !is_token(head->method)) {
        return refuse(refusal, 400, "the request line does not begin with a method");
    }
    if (head->target.len > limits->target_max_bytes) {
        return refuse(refusal, 414, "the request target is too long");
    }
    if (!is_target(head->target)) {
        return refuse(refusal, 400, "the request target holds bytes that no URL has");
    }
    if (!is_version(version)) {
        return refuse(refusal, 400, "the request line does not end in HTTP/1.1");
    }
    if (!slice_eq(version, SLICE("HTTP/1.1"))) {
        return refuse(refusal, 505, "only HTTP/1.1 and HTTP/2 are spoken here");
    }
    return H1_DONE;
}

static enum h1_result note_length(struct slice value, struct h1_head *head,
                                  struct h1_refusal *refusal)
{
    if (head->length_count++ > 0) {
        return refuse(refusal, 400, "the request has more than one content-length");
    }
    if (value.len > LENGTH_MAX_DIGITS || (value.len > 1 && value.data[0] == '0') ||
        !slice_to_u64(value, &head->content_length)) {
        return refuse(refusal, 400, "the content-length is not a plain number");
    }
    return H1_DONE;
}

static enum h1_result note_coding(struct slice value, struct h1_head *head,
                                  struct h1_refusal *refusal)
{
    if (head->coding_count++ > 0) {
        return refuse(refusal, 400, "the request has more than one transfer-encoding");
    }
    if (!slice_eq(value, SLICE("chunked"))) {
        return refuse(refusal, 400, "the only transfer-encoding accepted is \"chunked\"");
    }
    return H1_DONE;
}

static void note_connection(struct slice value, struct h1_head *head)
{
    while (value.len > 0) {
        if (slice_eq_ignore_case(slice_trim(slice_cut(&value, ',')), SLICE("close"))) {
            head->wants_close = true;
        }
    }
}

/* The few fields that frame the message; most names are told apart by their length. */
static enum h1_result note_field(const struct header *field, struct h1_head *head,
                                 struct h1_refusal *refusal)
{
    const struct slice name = field->name;

    switch (name.len) {
    case 4:
        if (slice_eq_ignore_case(name, SLICE("host"))) {
            head->host = field->value;
            head->host_count++;
        }
        break;
    case 6:
        if (slice_eq_ignore_case(name, SLICE("expect"))) {
            if (!slice_eq_ignore_case(field->value, SLICE("100-continue"))) {
                return refuse(refusal, 417, "the only expectation met is \"100-continue\"");
            }
            head->expects_continue = true;
        }
        break;
    case 10:
        if (slice_eq_ignore_case(name, SLICE("connection"))) {
            note_connection(field->value, head);
        }
        break;
    case 14:
        if (slice_eq_ignore_case(name, SLICE("content-length"))) {
            return note_length(field->value, head, refusal);
        }
        break;
    case 17:
        if (slice_eq_ignore_case(name, SLICE("transfer-encoding"))) {
            return note_coding(field->value, head, refusal);
        }
        break;
    default:
        break;
    }
    return H1_DONE;
}

static enum h1_result parse_field(struct slice line, const struct http_limits *limits,
                                  struct h1_head *head, struct h1_refusal *refusal)
{
    const size_t colon = slice_find(line, ':');
    struct header *field;

    if (colon == line.len || !is_token(slice_first(line, colon))) {
        return refuse(refusal, 400, "a header line is not a name followed by a colon");
    }
    if (head->header_count >= limits->field_count_max) {
        return refuse(refusal, 431, "the request has too many header fields");
    }
    field = &head->headers[head->header_count];
    field->name = slice_first(line, colon);
    field->value = slice_trim(slice_from(line, colon + 1));
    if (!is_field_value(field->value)) {
        return refuse(refusal, 400, "a header value holds a control byte");
    }
    if (field->value.len > limits->value_max_bytes) {
        return refuse(refusal, 431, "a header field is too long");
    }
    head->header_count++;
    return note_field(field, head, refusal);
}

/* Facts about all fields together. */
static enum h1_result judge(struct h1_head *head, struct h1_refusal *refusal)
{
    if (head->host_count != 1) {
        return refuse(refusal, 400, "the request needs exactly one host");
    }
    if (head->length_count > 0 && head->coding_count > 0) {
        return refuse(refusal, 400, "the request has a content-length and a transfer-encoding");
    }
    if (head->coding_count > 0) {
        head->framing = H1_CHUNKED;
    } else if (head->length_count > 0 && head->content_length > 0) {
        head->framing = H1_LENGTH;
    }
    return H1_DONE;
}

enum h1_result h1_head_parse(struct slice bytes, const struct http_limits *limits,
                             struct header *headers, struct h1_head *head,
                             struct h1_refusal *refusal)
{
    bool is_first = true;

    CHECK(bytes.len > 4);
    CHECK(slice_has_suffix(bytes, SLICE("\r\n\r\n")));
    *head = (struct h1_head){.headers = headers};
    bytes.len -= 2; /* the empty line */
    while (bytes.len > 0) {
        struct slice line = slice_cut(&bytes, '\n');
        enum h1_result result;

        CHECK(line.len > 0);
        line.len--; /* CR, as h1_head_find() saw */
        result = is_first ? parse_request_line(line, limits, head, refusal)
                          : parse_field(line, limits, head, refusal);
        if (result != H1_DONE) {
            return result;
        }
        is_first = false;
    }
    return judge(head, refusal);
}

/* The value of a hexadecimal digit, or 16. */
static unsigned hex_value(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return (unsigned)(byte - '0');
    }
    if (byte >= 'a' && byte <= 'f') {
        return (unsigned)(byte - 'a') + 10;
    }
    if (byte >= 'A' && byte <= 'F') {
        return (unsigned)(byte - 'A') + 10;
    }
    return 16;
}

static enum h1_result step_chunk_size(struct h1_chunks *chunks, char byte,
                                      struct h1_refusal *refusal)
{
    const unsigned digit = hex_value(byte);

    if (byte == '\r' && chunks->digits > 0) {
        chunks->state = H1_CHUNK_SIZE_LF;
        return H1_MORE;
    }
    if (chunks->digits >= CHUNK_SIZE_MAX_DIGITS || digit > 15) {
        return refuse(refusal, 400, "a chunk size is not a plain hexadecimal number");
    }
    chunks->left = chunks->left * 16 + digit;
    chunks->digits++;
    return H1_MORE;
}

/* One byte of framing: a size digit, or a CR or LF in its only place. */
static enum h1_result step_chunk(struct h1_chunks *chunks, char byte, struct h1_refusal *refusal)
{
    static const struct {
        char byte;
        enum h1_chunk_state after;
        const char *otherwise;
    } fixed[] = {
        [H1_CHUNK_SIZE_LF] = {'\n', H1_CHUNK_DATA, "a chunk size ends in a bare CR"},
        [H1_CHUNK_DATA_CR] = {'\r', H1_CHUNK_DATA_LF, "a chunk is longer than its size"},
        [H1_CHUNK_DATA_LF] = {'\n', H1_CHUNK_SIZE, "a chunk ends in a bare CR"},
        [H1_CHUNK_END_CR] = {'\r', H1_CHUNK_END_LF, "trailers are not accepted"},
        [H1_CHUNK_END_LF] = {'\n', H1_CHUNK_DONE, "the last chunk ends in a bare CR"},
    };

    if (chunks->state == H1_CHUNK_SIZE) {
        return step_chunk_size(chunks, byte, refusal);
    }
    if (byte != fixed[chunks->state].byte) {
        return refuse(refusal, 400, fixed[chunks->state].otherwise);
    }
    chunks->state = fixed[chunks->state].after;
    chunks->digits = 0;
    if (chunks->state == H1_CHUNK_DATA && chunks->left == 0) {
        chunks->state = H1_CHUNK_END_CR;
    }
    return chunks->state == H1_CHUNK_DONE ? H1_DONE : H1_MORE;
}

enum h1_result h1_chunks_next(struct h1_chunks *chunks, struct slice *bytes, struct slice *data,
                              struct h1_refusal *refusal)
{
    CHECK(chunks->state != H1_CHUNK_DONE);
    *data = (struct slice){NULL, 0};
    while (bytes->len > 0) {
        enum h1_result result;

        if (chunks->state == H1_CHUNK_DATA) {
            *data = slice_first(*bytes, MIN_OF(bytes->len, chunks->left));
            *bytes = slice_from(*bytes, data->len);
            chunks->left -= data->len;
            if (chunks->left == 0) {
                chunks->state = H1_CHUNK_DATA_CR;
            }
            return H1_MORE;
        }
        result = step_chunk(chunks, bytes->data[0], refusal);
        if (result == H1_BAD) {
            return result;
        }
        *bytes = slice_from(*bytes, 1);
        if (result == H1_DONE) {
            return result;
        }
    }
    return H1_MORE;
}
