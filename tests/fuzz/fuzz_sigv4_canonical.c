/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: sigv4_canonical_request
 *
 * The input is a request: method, path, query, list of signed headers, authority, then one header a
 * line.  The answer is a text or an error.  A text has a line for each listed header and six more,
 * holds no byte outside of what stands in its place, and canonicalising what it says again (path,
 * query) changes nothing but the path's one more encoding.
 */
#include "accounts/sigv4.h"

#include "core/check.h"

enum { HEADERS_MAX = 64 };

static size_t count_of(struct slice text, char byte)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += text.data[i] == byte;
    }
    return count;
}

/* The canonical query is in its canonical form. */
static void check_query(struct slice query)
{
    const struct header host = {SLICE("host"), SLICE("h")};
    const struct sigv4_request request = {.method = SLICE("GET"),
                                          .path = SLICE("/"),
                                          .query = query,
                                          .headers = &host,
                                          .header_count = 1};
    struct slice text;
    struct buf out;

    buf_init(&out, SIGV4_CANONICAL_BYTES_MAX);
    CHECK(sigv4_canonical_request(&request, SLICE("host"), true, &out) == ERR_OK);
    text = slice_from(buf_slice(&out), strlen("GET\n/\n"));
    CHECK(slice_eq(slice_cut(&text, '\n'), query));
    buf_clean_up(&out);
}

static void check_path(struct slice path)
{
    CHECK(path.len > 0 && path.data[0] == '/');
    CHECK(memmem(path.data, path.len, "//", 2) == NULL);
    CHECK(memmem(path.data, path.len, "/./", 3) == NULL);
    CHECK(memmem(path.data, path.len, "/../", 4) == NULL);
    for (size_t i = 0; i < path.len; i++) {
        CHECK(path.data[i] > ' ' && path.data[i] < 127);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size};
    struct header headers[HEADERS_MAX];
    struct sigv4_request request = {.headers = headers};
    struct slice list;
    struct slice text;
    struct buf out;
    enum err err;

    digest_init();
    request.method = slice_cut(&rest, '\n');
    request.path = slice_cut(&rest, '\n');
    request.query = slice_cut(&rest, '\n');
    list = slice_cut(&rest, '\n');
    request.authority = slice_cut(&rest, '\n');
    request.is_http2 = request.authority.len % 2 == 1;
    while (rest.data != NULL && request.header_count < HEADERS_MAX) {
        struct slice line = slice_cut(&rest, '\n');

        headers[request.header_count].name = slice_cut(&line, ':');
        headers[request.header_count++].value = line;
    }
    buf_init(&out, SIGV4_CANONICAL_BYTES_MAX);
    err = sigv4_canonical_request(&request, list, true, &out);
    CHECK(err == ERR_OK || err == ERR_BAD_SIGNATURE || err == ERR_TOO_LARGE);
    if (err == ERR_OK) {
        text = buf_slice(&out);
        CHECK(count_of(text, '\n') == count_of(list, ';') + 1 + 5);
        CHECK(slice_eq(slice_cut(&text, '\n'), request.method));
        check_path(slice_cut(&text, '\n'));
        if (count_of(request.query, '&') < SIGV4_QUERY_PAIRS_MAX) {
            check_query(slice_cut(&text, '\n'));
        }
    }
    buf_clean_up(&out);
    return 0;
}
