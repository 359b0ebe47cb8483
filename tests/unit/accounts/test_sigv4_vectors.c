/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sigv4_vectors.c - stored requests that botocore signed: each stage gives what botocore had,
 * and the whole is accepted.
 *
 * tests/data/make_sigv4_vectors.py made them and says what the members mean.
 */
#include "accounts/sigv4_verify.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/moment.h"

#define SECRET "weir-example-secret-0001"

enum { HEADERS_MAX = 64, VECTORS_MIN = 90 };

static struct slice member(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);

    assert_true(json_is_string(value));
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void assert_text(const json_t *line, const char *name, struct slice got)
{
    const struct slice wanted = member(line, name);

    if (!slice_eq(got, wanted)) {
        fail_msg("%s: %s is\n%.*s\nwanted\n%.*s", json_string_value(json_object_get(line, "name")),
                 name, SLICE_ARG(got), SLICE_ARG(wanted));
    }
}

static struct sigv4_request read_request(const json_t *line, struct header *headers)
{
    const json_t *list = json_object_get(line, "headers");
    struct sigv4_request request = {
        .method = member(line, "method"),
        .path = member(line, "path"),
        .query = member(line, "query"),
        .authority = member(line, "authority"),
        .is_http2 = json_is_true(json_object_get(line, "http2")),
        .headers = headers,
        .header_count = json_array_size(list),
    };

    assert_true(request.header_count <= HEADERS_MAX);
    for (size_t i = 0; i < request.header_count; i++) {
        const json_t *pair = json_array_get(list, i);

        headers[i] = (struct header){slice_of(json_string_value(json_array_get(pair, 0))),
                                     slice_of(json_string_value(json_array_get(pair, 1)))};
    }
    digest_sha256(member(line, "body"), &request.body_digest);
    return request;
}

/* What stands between `start` and the next comma, or the end. */
static struct slice part_of(struct slice text, const char *start)
{
    const char *at = memmem(text.data, text.len, start, strlen(start));

    assert_non_null(at);
    text = slice_from(text, (size_t)(at - text.data) + strlen(start));
    return slice_cut(&text, ',');
}

static void check_stages(const json_t *line, const struct sigv4_request *request)
{
    const struct slice authorization =
        header_value(request->headers, request->header_count, SLICE("authorization"));
    const struct slice date = member(line, "now");
    const struct sigv4_scope scope = {slice_first(date, 8), SLICE("eu-west-1"), SLICE("events")};
    char signature[DIGEST_HEX_CHARS];
    struct digest key;
    struct buf canonical;
    struct buf text;

    buf_init(&canonical, 65536);
    buf_init(&text, 65536);
    assert_int_equal(sigv4_canonical_request(request, part_of(authorization, "SignedHeaders="),
                                             true, &canonical),
                     ERR_OK);
    assert_text(line, "canonical", buf_slice(&canonical));
    assert_int_equal(sigv4_string_to_sign(buf_slice(&canonical), date, &scope, &text), ERR_OK);
    assert_text(line, "string_to_sign", buf_slice(&text));
    sigv4_signing_key(SLICE(SECRET), &scope, &key);
    sigv4_signature(&key, buf_slice(&text), signature);
    assert_true(slice_eq(part_of(authorization, "Signature="),
                         (struct slice){signature, sizeof(signature)}));
    buf_clean_up(&canonical);
    buf_clean_up(&text);
}

static void check_verdict(const json_t *line, const struct sigv4_request *request,
                          const struct directory *directory, struct sigv4_key_cache *keys)
{
    struct sigv4_verify_options options = {.directory = directory,
                                           .keys = keys,
                                           .region = SLICE("eu-west-1"),
                                           .service = SLICE("events")};
    struct principal principal;
    enum err err;

    assert_int_equal(moment_from_amz(member(line, "now"), &options.now_ms), ERR_OK);
    err = sigv4_verify(&options, request, &principal);
    if (err != ERR_OK) {
        fail_msg("%s: %s", json_string_value(json_object_get(line, "name")), err_name(err));
    }
}

/* Goal:   every stored request gives botocore's canonical request, string to sign and signature,
 *         and is accepted. */
static void test_every_vector(void **state)
{
    static struct limiter limiter;
    static const char path[] = WEIR_SOURCE_DIR "/tests/data/sigv4_vectors.ndjson";
    struct account account = {.id = SLICE("111122223333"), .limiter = &limiter};
    struct credential credential = {.id = SLICE("AKIDWEIREXAMPLE"),
                                    .kind = CREDENTIAL_SIGV4,
                                    .account_id = SLICE("111122223333"),
                                    .secret = SLICE(SECRET)};
    struct directory *directory = directory_new();
    struct sigv4_key_cache *keys = sigv4_key_cache_new();
    FILE *file = fopen(path, "re");
    unsigned count = 0;
    json_t *line;

    (void)state;
    digest_init();
    assert_non_null(file);
    directory_add_account(directory, &account);
    directory_add_credential(directory, &credential);
    while ((line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        struct header headers[HEADERS_MAX];
        const struct sigv4_request request = read_request(line, headers);

        check_stages(line, &request);
        check_verdict(line, &request, directory, keys);
        json_decref(line);
        count++;
    }
    assert_true(feof(file));
    assert_int_equal(fclose(file), 0);
    assert_true(count >= VECTORS_MIN);
    sigv4_key_cache_destroy(keys);
    directory_release(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_vector)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
