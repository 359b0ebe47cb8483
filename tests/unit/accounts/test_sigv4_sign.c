/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sigv4_sign.c - requests of ours carry the signature that botocore would give them.
 */
#include "accounts/sigv4_sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/moment.h"

#define BODY "{\"Entries\":[{\"Source\":\"app.demo\",\"DetailType\":\"Ping\",\"Detail\":\"{}\"}]}"

static const struct header headers[] = {
    {SLICE_INIT("Host"), SLICE_INIT("weir.example.net")},
    {SLICE_INIT("X-Amz-Target"), SLICE_INIT("AWSEvents.PutEvents")},
    {SLICE_INIT("Content-Type"), SLICE_INIT("application/x-amz-json-1.1")},
};

struct world {
    struct arena arena;
    struct sigv4_request request;
    uint64_t now_ms;
};

static int set_up(void **state)
{
    static struct world world;

    digest_init();
    world = (struct world){
        .request = {.method = SLICE("POST"),
                    .path = SLICE("/"),
                    .headers = headers,
                    .header_count = ARRAY_LEN(headers)},
    };
    digest_sha256(SLICE(BODY), &world.request.body_digest);
    assert_int_equal(moment_from_amz(SLICE("20260101T000000Z"), &world.now_ms), ERR_OK);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    arena_clean_up(&world->arena);
    return 0;
}

static enum err sign(struct world *world, const char *token, struct sigv4_signed *out)
{
    struct credentials *credentials = credentials_new(
        SLICE("AKIDWEIREXAMPLE"), SLICE("weir-example-secret-0001"), slice_of(token), 0, SLICE(""));
    const enum err err = sigv4_sign(&world->request, credentials, SLICE("eu-west-1"),
                                    SLICE("events"), world->now_ms, &world->arena, out);

    credentials_release(credentials);
    return err;
}

static void assert_header(const struct sigv4_signed *out, struct slice name, struct slice value)
{
    const struct slice got = header_value(out->headers, out->header_count, name);

    if (!slice_eq(got, value)) {
        fail_msg("%.*s: %.*s\nwanted %.*s", SLICE_ARG(name), SLICE_ARG(got), SLICE_ARG(value));
    }
}

static void test_worked_example(void **state)
{
    struct sigv4_signed out;

    assert_int_equal(sign(*state, NULL, &out), ERR_OK);
    assert_int_equal(out.header_count, 2);
    assert_header(&out, SLICE("x-amz-date"), SLICE("20260101T000000Z"));
    assert_header(&out, SLICE("authorization"),
                  SLICE("AWS4-HMAC-SHA256 Credential=AKIDWEIREXAMPLE/20260101/eu-west-1/events/"
                        "aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
                        "Signature="
                        "48f2c22057009cb7b6ce3878ca6991bb6f96150bb9cdf4dc5da9c0efeb75f525"));
}

static void test_session_token_is_signed(void **state)
{
    struct sigv4_signed out;
    struct slice authorization;

    assert_int_equal(sign(*state, "the token", &out), ERR_OK);
    assert_int_equal(out.header_count, 3);
    assert_header(&out, SLICE("x-amz-security-token"), SLICE("the token"));
    authorization = header_value(out.headers, out.header_count, SLICE("authorization"));
    assert_non_null(memmem(authorization.data, authorization.len,
                           ";x-amz-date;x-amz-security-token;x-amz-target,", 46));
}

/* Goal:   a header that comes twice is listed once, with both values signed. */
static void test_repeated_names_are_listed_once(void **state)
{
    struct world *world = *state;
    const struct header twice[] = {
        {SLICE("host"), SLICE("h")}, {SLICE("x-b"), SLICE("1")}, {SLICE("X-B"), SLICE("2")}};
    struct sigv4_signed out;
    struct slice authorization;

    world->request.headers = twice;
    world->request.header_count = 3;
    assert_int_equal(sign(world, NULL, &out), ERR_OK);
    authorization = header_value(out.headers, out.header_count, SLICE("authorization"));
    assert_non_null(memmem(authorization.data, authorization.len, "=host;x-amz-date;x-b,", 21));
}

static void test_what_cannot_be_signed(void **state)
{
    struct world *world = *state;
    struct header many[SIGV4_SIGNED_HEADERS_MAX];
    struct header odd[] = {{SLICE("host"), SLICE("h")}, {SLICE("a b"), SLICE("1")}};
    struct sigv4_signed out;

    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = (struct header){SLICE("host"), SLICE("h")};
    }
    world->request.headers = many;
    world->request.header_count = ARRAY_LEN(many) - SIGV4_ADDED_HEADERS_MAX;
    assert_int_equal(sign(world, NULL, &out), ERR_OK);
    world->request.header_count++;
    assert_int_equal(sign(world, NULL, &out), ERR_TOO_LARGE);
    world->request.headers = odd;
    world->request.header_count = 2;
    assert_int_equal(sign(world, NULL, &out), ERR_BAD_SIGNATURE);
    world->request.header_count = 1;
    world->request.query = SLICE("%zz");
    assert_int_equal(sign(world, NULL, &out), ERR_BAD_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_worked_example, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_session_token_is_signed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repeated_names_are_listed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_signed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
