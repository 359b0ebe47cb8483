/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sigv4.c - the stages of Signature Version 4, one by one.
 *
 * The worked example was computed with botocore's signer from an invented key; test_sigv4_vectors
 * runs the many shapes of requests that botocore signed.
 */
#include "accounts/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define BODY "{\"Entries\":[{\"Source\":\"app.demo\",\"DetailType\":\"Ping\",\"Detail\":\"{}\"}]}"

static const struct header example_headers[] = {
    {SLICE_INIT("Host"), SLICE_INIT("weir.example.net")},
    {SLICE_INIT("X-Amz-Date"), SLICE_INIT("20260101T000000Z")},
    {SLICE_INIT("Content-Type"), SLICE_INIT("application/x-amz-json-1.1")},
    {SLICE_INIT("X-Amz-Target"), SLICE_INIT("AWSEvents.PutEvents")},
};

static int set_up(void **state)
{
    (void)state;
    digest_init();
    return 0;
}

static struct slice hex_of(const struct digest *digest, char hex[static DIGEST_HEX_CHARS])
{
    digest_hex(digest, hex);
    return (struct slice){hex, DIGEST_HEX_CHARS};
}

static void assert_slice(struct slice got, struct slice wanted)
{
    if (!slice_eq(got, wanted)) {
        fail_msg("got    %.*s\nwanted %.*s", SLICE_ARG(got), SLICE_ARG(wanted));
    }
}

/* Goal:   every stage of the worked example gives the published value. */
static void test_worked_example(void **state)
{
    struct sigv4_request request = {
        .method = SLICE("POST"),
        .path = SLICE("/"),
        .headers = example_headers,
        .header_count = ARRAY_LEN(example_headers),
    };
    const struct sigv4_scope scope = {SLICE("20260101"), SLICE("eu-west-1"), SLICE("events")};
    char hex[DIGEST_HEX_CHARS];
    struct digest digest;
    struct buf text;
    size_t canonical_len;

    (void)state;
    digest_sha256(SLICE(BODY), &request.body_digest);
    assert_slice(hex_of(&request.body_digest, hex),
                 SLICE("62155c9450535d4c670369310477a00b1211598968ff742634ab0e33a5ae4c0e"));

    buf_init(&text, 4096);
    assert_int_equal(sigv4_canonical_request(
                         &request, SLICE("content-type;host;x-amz-date;x-amz-target"), true, &text),
                     ERR_OK);
    digest_sha256(buf_slice(&text), &digest);
    assert_slice(hex_of(&digest, hex),
                 SLICE("c67e13b738dd7d3d34218b7d8ff00343c97b2546929f54a475b0c703793e9cf3"));

    canonical_len = text.len;
    assert_int_equal(
        sigv4_string_to_sign(buf_slice(&text), SLICE("20260101T000000Z"), &scope, &text), ERR_OK);
    sigv4_signing_key(SLICE("weir-example-secret-0001"), &scope, &digest);
    assert_slice(hex_of(&digest, hex),
                 SLICE("2993f04f1d34271cd30d337e4463e9940bd5030908e4d56fe46b423d6a24cc8f"));
    sigv4_signature(&digest, slice_from(buf_slice(&text), canonical_len), hex);
    assert_slice((struct slice){hex, sizeof(hex)},
                 SLICE("48f2c22057009cb7b6ce3878ca6991bb6f96150bb9cdf4dc5da9c0efeb75f525"));
    buf_clean_up(&text);
}

/* The n-th line of the canonical request of a GET with that path and query. */
static struct slice canonical_line(const struct sigv4_request *request, bool twice, size_t n,
                                   struct buf *text)
{
    struct slice rest;
    struct slice line = {"", 0};

    buf_clear(text);
    assert_int_equal(sigv4_canonical_request(request, SLICE("host"), twice, text), ERR_OK);
    rest = buf_slice(text);
    for (size_t i = 0; i <= n; i++) {
        line = slice_cut(&rest, '\n');
    }
    return line;
}

static void test_paths_are_normal_and_encoded_once_more(void **state)
{
    static const struct {
        struct slice path;
        struct slice canonical;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT("/")},
        {SLICE_INIT("/"), SLICE_INIT("/")},
        {SLICE_INIT("//"), SLICE_INIT("/")},
        {SLICE_INIT("/a/b"), SLICE_INIT("/a/b")},
        {SLICE_INIT("/a//b/"), SLICE_INIT("/a/b/")},
        {SLICE_INIT("/./a/./b/."), SLICE_INIT("/a/b")},
        {SLICE_INIT("/a/../b"), SLICE_INIT("/b")},
        {SLICE_INIT("/a/b/.."), SLICE_INIT("/a")},
        {SLICE_INIT("/a/b/../"), SLICE_INIT("/a/")},
        {SLICE_INIT("/../../x"), SLICE_INIT("/x")},
        {SLICE_INIT("/.."), SLICE_INIT("/")},
        {SLICE_INIT("/a%20b"), SLICE_INIT("/a%2520b")},
        {SLICE_INIT("/arn%3Aaws/~x-y_z.1"), SLICE_INIT("/arn%253Aaws/~x-y_z.1")},
        {SLICE_INIT("/a+b=c"), SLICE_INIT("/a%2Bb%3Dc")},
        {SLICE_INIT("/\xc3\xa9"), SLICE_INIT("/%C3%A9")},
    };
    const struct header host = {SLICE("host"), SLICE("h")};
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct sigv4_request request = {
            .method = SLICE("GET"), .path = rows[i].path, .headers = &host, .header_count = 1};

        assert_slice(canonical_line(&request, true, 1, &text), rows[i].canonical);
        assert_slice(canonical_line(&request, false, 1, &text),
                     rows[i].path.len > 0 ? rows[i].path : SLICE("/"));
    }
    buf_clean_up(&text);
}

static void test_queries_are_recoded_and_sorted(void **state)
{
    static const struct {
        struct slice query;
        struct slice canonical;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("b=2&a=1"), SLICE_INIT("a=1&b=2")},
        {SLICE_INIT("a=2&a=1&a"), SLICE_INIT("a=&a=1&a=2")},
        {SLICE_INIT("policyStatus"), SLICE_INIT("policyStatus=")},
        {SLICE_INIT("a=b+c"), SLICE_INIT("a=b%2Bc")},
        {SLICE_INIT("a=b%20c%2f%7e"), SLICE_INIT("a=b%20c%2F~")},
        {SLICE_INIT("a=b=c"), SLICE_INIT("a=b%3Dc")},
        {SLICE_INIT("a-=1&a=2"), SLICE_INIT("a=2&a-=1")},
        {SLICE_INIT("A=1&a=1&Z=1"), SLICE_INIT("A=1&Z=1&a=1")},
        {SLICE_INIT("a&&b"), SLICE_INIT("=&a=&b=")},
        {SLICE_INIT("\xc3\xa9=%C3%A9"), SLICE_INIT("%C3%A9=%C3%A9")},
    };
    const struct header host = {SLICE("host"), SLICE("h")};
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct sigv4_request request = {.method = SLICE("GET"),
                                              .path = SLICE("/"),
                                              .query = rows[i].query,
                                              .headers = &host,
                                              .header_count = 1};

        assert_slice(canonical_line(&request, true, 2, &text), rows[i].canonical);
    }
    buf_clean_up(&text);
}

static void test_broken_queries_are_refused(void **state)
{
    static const struct slice rows[] = {SLICE_INIT("a=%"), SLICE_INIT("a=%2"), SLICE_INIT("%zz"),
                                        SLICE_INIT("a=%2g"), SLICE_INIT("%%%=1")};
    const struct header host = {SLICE("host"), SLICE("h")};
    char many[2 * SIGV4_QUERY_PAIRS_MAX + 2];
    struct sigv4_request request = {
        .method = SLICE("GET"), .path = SLICE("/"), .headers = &host, .header_count = 1};
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        request.query = rows[i];
        assert_int_equal(sigv4_canonical_request(&request, SLICE("host"), true, &text),
                         ERR_BAD_SIGNATURE);
    }
    memset(many, '&', sizeof(many));
    request.query = (struct slice){many, SIGV4_QUERY_PAIRS_MAX - 1};
    assert_int_equal(sigv4_canonical_request(&request, SLICE("host"), true, &text), ERR_OK);
    request.query = (struct slice){many, SIGV4_QUERY_PAIRS_MAX};
    assert_int_equal(sigv4_canonical_request(&request, SLICE("host"), true, &text),
                     ERR_BAD_SIGNATURE);
    buf_clean_up(&text);
}

static void test_values_are_trimmed_collapsed_and_joined(void **state)
{
    static const struct header headers[] = {
        {SLICE_INIT("X-Amz-B"), SLICE_INIT("  a  \t b   c ")},
        {SLICE_INIT("host"), SLICE_INIT("h")},
        {SLICE_INIT("x-amz-b"), SLICE_INIT("")},
        {SLICE_INIT("x-amz-B"), SLICE_INIT("\"d  e\"")},
    };
    const struct sigv4_request request = {
        .method = SLICE("GET"), .path = SLICE("/"), .headers = headers, .header_count = 4};
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    assert_int_equal(sigv4_canonical_request(&request, SLICE("host;x-amz-b"), true, &text), ERR_OK);
    assert_true(
        slice_has_prefix(buf_slice(&text), SLICE("GET\n/\n\nhost:h\nx-amz-b:a b c,,\"d e\"\n\n"
                                                 "host;x-amz-b\n")));
    buf_clean_up(&text);
}

/* Goal:   each spelling of the list but the one canonical is refused. */
static void test_signed_header_lists_have_one_spelling(void **state)
{
    static const struct {
        struct slice list;
        enum err err;
    } rows[] = {
        {SLICE_INIT("host"), ERR_OK},
        {SLICE_INIT("host;x-amz-date"), ERR_OK},
        {SLICE_INIT("x-amz-date;host"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host;host"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("Host"), ERR_BAD_SIGNATURE},
        {{NULL, 0}, ERR_BAD_SIGNATURE},
        {SLICE_INIT(""), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host;"), ERR_BAD_SIGNATURE},
        {SLICE_INIT(";host"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host;;x-amz-date"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host;x-absent"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host; x-amz-date"), ERR_BAD_SIGNATURE},
        {SLICE_INIT(":authority"), ERR_BAD_SIGNATURE},
        {SLICE_INIT(":method;host"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("host\n;x"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("h\xc3st"), ERR_BAD_SIGNATURE},
    };
    const struct sigv4_request request = {.method = SLICE("POST"),
                                          .path = SLICE("/"),
                                          .headers = example_headers,
                                          .header_count = ARRAY_LEN(example_headers)};
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const enum err err = sigv4_canonical_request(&request, rows[i].list, true, &text);

        if (err != rows[i].err) {
            fail_msg("%.*s: %s", SLICE_ARG(rows[i].list), err_name(err));
        }
    }
    buf_clean_up(&text);
}

/* Goal:   host and :authority stand in for each other where one is missing. */
static void test_authority_and_host_replace_each_other(void **state)
{
    static const struct header host = {SLICE_INIT("host"), SLICE_INIT("from-host")};
    static const struct {
        bool is_http2;
        struct slice authority;
        size_t header_count;
        struct slice list;
        struct slice line; /* empty: refused */
    } rows[] = {
        {true, SLICE_INIT("auth:1"), 0, SLICE_INIT(":authority"), SLICE_INIT(":authority:auth:1")},
        {true, SLICE_INIT("auth:1"), 0, SLICE_INIT("host"), SLICE_INIT("host:auth:1")},
        {true, SLICE_INIT(""), 1, SLICE_INIT("host"), SLICE_INIT("host:from-host")},
        {true, SLICE_INIT(""), 1, SLICE_INIT(":authority"), SLICE_INIT(":authority:from-host")},
        {true, SLICE_INIT(""), 0, SLICE_INIT("host"), SLICE_INIT("")},
        {true, SLICE_INIT(""), 0, SLICE_INIT(":authority"), SLICE_INIT("")},
        {false, SLICE_INIT("auth"), 1, SLICE_INIT(":authority"), SLICE_INIT("")},
        {false, SLICE_INIT("auth"), 1, SLICE_INIT("host"), SLICE_INIT("host:from-host")},
        {false, SLICE_INIT("auth"), 0, SLICE_INIT("host"), SLICE_INIT("host:auth")},
    };
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct sigv4_request request = {.method = SLICE("POST"),
                                              .path = SLICE("/"),
                                              .authority = rows[i].authority,
                                              .is_http2 = rows[i].is_http2,
                                              .headers = &host,
                                              .header_count = rows[i].header_count};
        struct slice rest;
        enum err err;

        buf_clear(&text);
        err = sigv4_canonical_request(&request, rows[i].list, true, &text);
        if (rows[i].line.len == 0) {
            assert_int_equal(err, ERR_BAD_SIGNATURE);
            continue;
        }
        assert_int_equal(err, ERR_OK);
        rest = slice_from(buf_slice(&text), strlen("POST\n/\n\n"));
        assert_slice(slice_cut(&rest, '\n'), rows[i].line);
    }
    buf_clean_up(&text);
}

/* Goal:   at every maximum of the output the answer is the whole text or ERR_TOO_LARGE. */
static void test_output_never_passes_its_maximum(void **state)
{
    const struct sigv4_request request = {.method = SLICE("POST"),
                                          .path = SLICE("/a b/c"),
                                          .query = SLICE("x=1&y=%20"),
                                          .headers = example_headers,
                                          .header_count = ARRAY_LEN(example_headers)};
    const struct sigv4_scope scope = {SLICE("20260101"), SLICE("eu-west-1"), SLICE("events")};
    struct buf whole;

    (void)state;
    buf_init(&whole, 4096);
    assert_int_equal(sigv4_canonical_request(&request, SLICE("host;x-amz-date"), true, &whole),
                     ERR_OK);
    for (size_t max = 0; max <= whole.len; max++) {
        struct buf text;
        const enum err wanted = max < whole.len ? ERR_TOO_LARGE : ERR_OK;

        buf_init(&text, max);
        assert_int_equal(sigv4_canonical_request(&request, SLICE("host;x-amz-date"), true, &text),
                         wanted);
        buf_clean_up(&text);
    }
    for (size_t max = 0; max < 130; max++) {
        struct buf text;

        buf_init(&text, max);
        assert_int_equal(
            sigv4_string_to_sign(buf_slice(&whole), SLICE("20260101T000000Z"), &scope, &text),
            ERR_TOO_LARGE);
        buf_clean_up(&text);
    }
    buf_clean_up(&whole);
}

static void test_http_dates(void **state)
{
    static const struct {
        struct slice text;
        struct slice amz; /* empty: refused */
    } rows[] = {
        {SLICE_INIT("Sun, 06 Nov 1994 08:49:37 GMT"), SLICE_INIT("19941106T084937Z")},
        {SLICE_INIT("Thu, 01 Jan 2026 00:00:00 GMT"), SLICE_INIT("20260101T000000Z")},
        {SLICE_INIT("Thu, 31 Dec 2026 23:59:59 GMT"), SLICE_INIT("20261231T235959Z")},
        {SLICE_INIT("Sun, 06 Foo 1994 08:49:37 GMT"), SLICE_INIT("")},
        {SLICE_INIT("Sun, 06 ovD 1994 08:49:37 GMT"), SLICE_INIT("")},
        {SLICE_INIT("Sun, 06 Nov 1994 08:49:37 UTC"), SLICE_INIT("")},
        {SLICE_INIT("Sun, x6 Nov 1994 08:49:37 GMT"), SLICE_INIT("")},
        {SLICE_INIT("Sun, 06 Nov 19940 8:49:37 GMT"), SLICE_INIT("")},
        {SLICE_INIT("Sun, 06 Nov 1994 08:49:37"), SLICE_INIT("")},
        {SLICE_INIT("Sunday, 06-Nov-94 08:49:37 GMT"), SLICE_INIT("")},
        {SLICE_INIT(""), SLICE_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char amz[16];
        const enum err err = sigv4_date_from_http(rows[i].text, amz);

        if (rows[i].amz.len == 0) {
            assert_int_equal(err, ERR_BAD_VALUE);
        } else {
            assert_int_equal(err, ERR_OK);
            assert_slice((struct slice){amz, sizeof(amz)}, rows[i].amz);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_paths_are_normal_and_encoded_once_more),
        cmocka_unit_test(test_queries_are_recoded_and_sorted),
        cmocka_unit_test(test_broken_queries_are_refused),
        cmocka_unit_test(test_values_are_trimmed_collapsed_and_joined),
        cmocka_unit_test(test_signed_header_lists_have_one_spelling),
        cmocka_unit_test(test_authority_and_host_replace_each_other),
        cmocka_unit_test(test_output_never_passes_its_maximum),
        cmocka_unit_test(test_http_dates),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
