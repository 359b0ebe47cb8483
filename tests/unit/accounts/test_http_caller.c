/* SPDX-License-Identifier: Apache-2.0
 *
 * test_http_caller.c - Basic, Bearer tokens and the clients that ask for them: one credential a
 * request, one refusal, and every byte of a token counts.
 */
#include "accounts/http_caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "accounts/api_key.h"
#include "accounts/bearer.h"
#include "accounts/secret.h"
#include "core/base64.h"
#include "core/check.h"

enum { NOW_MS = 1000000 };

static struct limiter limiter;

struct world {
    struct directory *directory;
    struct account *account;
    struct credential *basic;
    struct credential *client;
    struct buf password;
    struct buf client_secret;
    struct buf key; /* an API key of the same account */
    struct buf header;
};

static struct credential *add_secret(struct world *world, enum credential_kind kind,
                                     struct buf *secret)
{
    struct credential *credential = ARENA_NEW(&world->directory->arena, struct credential);
    char id[SECRET_ID_ROOM];

    *credential = (struct credential){.kind = kind, .account_id = SLICE("111111111111")};
    buf_init(secret, 64);
    assert_int_equal(
        secret_issue(world->directory->pepper, kind, id, secret, &credential->key_hash), ERR_OK);
    credential->id = arena_copy(&world->directory->arena, slice_of(id));
    directory_add_credential(world->directory, credential);
    return credential;
}

static void add_api_key(struct world *world)
{
    struct credential *credential = ARENA_NEW(&world->directory->arena, struct credential);
    char id[24];

    *credential = (struct credential){.kind = CREDENTIAL_API_KEY,
                                      .account_id = SLICE("111111111111"),
                                      .header = SLICE("x-api-key")};
    buf_init(&world->key, 64);
    assert_int_equal(api_key_issue(world->directory->pepper, API_KEY_PREFIX, id, &world->key,
                                   &credential->key_hash),
                     ERR_OK);
    credential->id = arena_copy(&world->directory->arena, slice_of(id));
    directory_add_credential(world->directory, credential);
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    digest_init();
    world->directory = directory_new();
    memset(world->directory->pepper, 0x5a, sizeof(world->directory->pepper));
    world->account = ARENA_NEW(&world->directory->arena, struct account);
    *world->account = (struct account){.id = SLICE("111111111111"), .limiter = &limiter};
    directory_add_account(world->directory, world->account);
    world->basic = add_secret(world, CREDENTIAL_BASIC, &world->password);
    world->client = add_secret(world, CREDENTIAL_OAUTH, &world->client_secret);
    add_api_key(world);
    buf_init(&world->header, 1024);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    buf_wipe(&world->password);
    buf_wipe(&world->client_secret);
    buf_wipe(&world->key);
    buf_wipe(&world->header);
    directory_release(world->directory);
    xfree(world);
    return 0;
}

static enum err verify(const struct world *world, const struct header *headers, size_t count,
                       struct principal *principal)
{
    const struct http_caller_request request = {
        .headers = headers, .header_count = count, .now_ms = NOW_MS};

    *principal = (struct principal){0};
    return http_caller_verify(world->directory, &request, principal);
}

static enum err verify_authorization(const struct world *world, struct slice value,
                                     struct principal *principal)
{
    const struct header header = {SLICE("Authorization"), value};

    return verify(world, &header, 1, principal);
}

static struct slice basic_header(struct world *world, struct slice user, struct slice password)
{
    struct buf text;

    buf_init(&text, 512);
    buf_clear(&world->header);
    CHECK(buf_printf(&text, "%.*s:%.*s", SLICE_ARG(user), SLICE_ARG(password)) == ERR_OK);
    CHECK(buf_append(&world->header, SLICE("Basic ")) == ERR_OK);
    CHECK(base64_encode(buf_slice(&text), &world->header) == ERR_OK);
    buf_wipe(&text);
    return buf_slice(&world->header);
}

static struct slice bearer_header(struct world *world, struct slice credential, uint64_t expires_ms)
{
    const struct bearer_claim claim = {credential, SLICE("111111111111"), expires_ms};

    buf_clear(&world->header);
    CHECK(buf_append(&world->header, SLICE("Bearer ")) == ERR_OK);
    CHECK(bearer_write(world->directory->pepper, &claim, &world->header) == ERR_OK);
    return buf_slice(&world->header);
}

/* ---- basic -------------------------------------------------------------------------------- */

static void test_basic_is_proven(void **state)
{
    struct world *world = *state;
    struct principal principal;

    assert_int_equal(
        verify_authorization(
            world, basic_header(world, world->basic->id, buf_slice(&world->password)), &principal),
        ERR_OK);
    assert_ptr_equal(principal.account, world->account);
    assert_ptr_equal(principal.credential, world->basic);
    assert_true(principal.relays);
}

/* Goal:   whatever is not user and password of a live Basic credential is the same refusal. */
static void test_basic_is_refused(void **state)
{
    struct world *world = *state;
    struct principal principal;
    char changed[SECRET_TEXT_CHARS];

    for (size_t i = 0; i < sizeof(changed); i++) {
        memcpy(changed, world->password.data, sizeof(changed));
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(
            verify_authorization(
                world,
                basic_header(world, world->basic->id, (struct slice){changed, sizeof(changed)}),
                &principal),
            ERR_BAD_CREDENTIAL);
        assert_int_equal(
            verify_authorization(
                world,
                basic_header(world, world->basic->id, slice_first(buf_slice(&world->password), i)),
                &principal),
            ERR_BAD_CREDENTIAL);
    }
    assert_int_equal(verify_authorization(
                         world,
                         basic_header(world, SLICE("wb_aaaaaaaaaa"), buf_slice(&world->password)),
                         &principal),
                     ERR_BAD_CREDENTIAL);
    /* a client's secret is no password */
    assert_int_equal(verify_authorization(
                         world,
                         basic_header(world, world->client->id, buf_slice(&world->client_secret)),
                         &principal),
                     ERR_BAD_CREDENTIAL);
    world->basic->expires_ms = NOW_MS;
    assert_int_equal(
        verify_authorization(
            world, basic_header(world, world->basic->id, buf_slice(&world->password)), &principal),
        ERR_BAD_CREDENTIAL);
    world->basic->expires_ms = NOW_MS + 1;
    world->account->is_suspended = true;
    assert_int_equal(
        verify_authorization(
            world, basic_header(world, world->basic->id, buf_slice(&world->password)), &principal),
        ERR_BAD_CREDENTIAL);
}

static void test_what_cannot_be_read_is_refused(void **state)
{
    static const struct slice values[] = {
        SLICE_INIT(""),
        SLICE_INIT("Basic"),
        SLICE_INIT("Basic "),
        SLICE_INIT("Basic !"),
        SLICE_INIT("Basic YWJj"), /* abc: no colon */
        SLICE_INIT("Basic Og=="), /* : */
        SLICE_INIT("Digest username=\"x\""),
        SLICE_INIT("AWS4-HMAC-SHA256 Credential=x"),
    };
    struct principal principal;

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_int_equal(verify_authorization(*state, values[i], &principal), ERR_BAD_CREDENTIAL);
    }
    assert_int_equal(verify(*state, NULL, 0, &principal), ERR_MISSING_TOKEN);
}

/* Goal:   two credentials in one request are refused, good as each may be. */
static void test_two_credentials_are_refused(void **state)
{
    struct world *world = *state;
    const struct header key = {SLICE("x-api-key"), buf_slice(&world->key)};
    const struct header junk = {SLICE("x-api-key"), SLICE("something else of theirs")};
    const struct header basic = {
        SLICE("authorization"), basic_header(world, world->basic->id, buf_slice(&world->password))};
    const struct header both[] = {key, basic};
    const struct header twice[] = {basic, basic};
    const struct header beside[] = {junk, basic};
    struct principal principal;

    assert_int_equal(verify(world, &key, 1, &principal), ERR_OK);
    assert_int_equal(verify(world, both, 2, &principal), ERR_BAD_CREDENTIAL);
    assert_int_equal(verify(world, twice, 2, &principal), ERR_BAD_CREDENTIAL);
    assert_int_equal(verify(world, beside, 2, &principal), ERR_OK);
}

/* ---- certificates ------------------------------------------------------------------------- */

static enum err verify_certificate(const struct world *world, const struct tls_caller *certificate,
                                   const struct header *headers, size_t count,
                                   struct principal *principal)
{
    const struct http_caller_request request = {headers, count, certificate, NOW_MS};

    *principal = (struct principal){0};
    return http_caller_verify(world->directory, &request, principal);
}

static void test_a_certificate_is_known_by_its_key(void **state)
{
    struct world *world = *state;
    struct tls_caller certificate = {.pin = {{1, 2, 3}}, .until_ms = NOW_MS + 1};
    struct credential *credential = ARENA_NEW(&world->directory->arena, struct credential);
    const struct header key = {SLICE("x-api-key"), buf_slice(&world->key)};
    const struct header wrong = {SLICE("authorization"), SLICE("Basic Og==")};
    char id[HTTP_CALLER_PIN_ID_CHARS + 1];
    struct principal principal;

    assert_int_equal(verify_certificate(world, &certificate, NULL, 0, &principal),
                     ERR_BAD_CREDENTIAL);
    http_caller_pin_id(&certificate.pin, id);
    *credential = (struct credential){.kind = CREDENTIAL_CERTIFICATE,
                                      .id = arena_copy(&world->directory->arena, slice_of(id)),
                                      .account_id = SLICE("111111111111")};
    directory_add_credential(world->directory, credential);
    assert_int_equal(verify_certificate(world, &certificate, NULL, 0, &principal), ERR_OK);
    assert_ptr_equal(principal.credential, credential);
    assert_true(principal.relays);
    /* what a header says counts before it */
    assert_int_equal(verify_certificate(world, &certificate, &key, 1, &principal), ERR_OK);
    assert_ptr_not_equal(principal.credential, credential);
    assert_int_equal(verify_certificate(world, &certificate, &wrong, 1, &principal),
                     ERR_BAD_CREDENTIAL);
    /* its id is no key, user or client of anybody */
    assert_int_equal(
        verify_authorization(world, basic_header(world, slice_of(id), SLICE("")), &principal),
        ERR_BAD_CREDENTIAL);
    certificate.until_ms = NOW_MS;
    assert_int_equal(verify_certificate(world, &certificate, NULL, 0, &principal),
                     ERR_BAD_CREDENTIAL);
    certificate.until_ms = NOW_MS + 1;
    certificate.pin.bytes[31] ^= 1;
    assert_int_equal(verify_certificate(world, &certificate, NULL, 0, &principal),
                     ERR_BAD_CREDENTIAL);
}

/* ---- tokens ------------------------------------------------------------------------------- */

static void test_a_client_proves_itself(void **state)
{
    struct world *world = *state;
    struct principal principal;

    assert_int_equal(secret_verify(world->directory, CREDENTIAL_OAUTH, world->client->id,
                                   buf_slice(&world->client_secret), NOW_MS, &principal),
                     ERR_OK);
    assert_int_equal(secret_verify(world->directory, CREDENTIAL_BASIC, world->client->id,
                                   buf_slice(&world->client_secret), NOW_MS, &principal),
                     ERR_BAD_CREDENTIAL);
    assert_int_equal(secret_verify(world->directory, CREDENTIAL_OAUTH, world->client->id,
                                   buf_slice(&world->password), NOW_MS, &principal),
                     ERR_BAD_CREDENTIAL);
}

static void test_a_token_speaks_for_its_client(void **state)
{
    struct world *world = *state;
    struct principal principal;

    assert_int_equal(verify_authorization(
                         world, bearer_header(world, world->client->id, NOW_MS + 1), &principal),
                     ERR_OK);
    assert_ptr_equal(principal.account, world->account);
    assert_ptr_equal(principal.credential, world->client);
    assert_true(principal.relays);
    assert_int_equal(
        verify_authorization(world, bearer_header(world, world->client->id, NOW_MS), &principal),
        ERR_EXPIRED_TOKEN);
}

/* Goal:   a principal of AWS speaks by its tokens, and relays only if it was let in to. */
static void test_a_token_of_a_principal(void **state)
{
    struct world *world = *state;
    struct principal principal;
    struct slice header;

    world->client->kind = CREDENTIAL_AWS_IDENTITY;
    header = bearer_header(world, world->client->id, NOW_MS + 1);
    assert_int_equal(verify_authorization(world, header, &principal), ERR_OK);
    assert_ptr_equal(principal.account, world->account);
    assert_false(principal.relays);
    world->client->is_forwarder = true;
    assert_int_equal(verify_authorization(world, header, &principal), ERR_OK);
    assert_true(principal.relays);
    world->account->is_suspended = true;
    assert_int_equal(verify_authorization(world, header, &principal), ERR_NO_TOKEN);
}

/* Goal:   a change of any bit of a token, and any cut, ends it. */
static void test_every_bit_of_a_token_counts(void **state)
{
    struct world *world = *state;
    const struct slice header = bearer_header(world, world->client->id, NOW_MS + 1);
    struct principal principal;
    char changed[512];

    assert_true(header.len < sizeof(changed));
    for (size_t i = strlen("Bearer "); i < header.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(changed, header.data, header.len);
            changed[i] = (char)(changed[i] ^ (1 << bit));
            assert_int_not_equal(
                verify_authorization(world, (struct slice){changed, header.len}, &principal),
                ERR_OK);
        }
        assert_int_not_equal(verify_authorization(world, slice_first(header, i), &principal),
                             ERR_OK);
    }
}

static void test_a_revoked_client_has_no_tokens(void **state)
{
    struct world *world = *state;
    struct principal principal;

    assert_int_equal(verify_authorization(world,
                                          bearer_header(world, SLICE("wa_gonegonego"), NOW_MS + 1),
                                          &principal),
                     ERR_NO_TOKEN);
    assert_int_equal(
        verify_authorization(world, bearer_header(world, world->basic->id, NOW_MS + 1), &principal),
        ERR_NO_TOKEN);
    world->client->expires_ms = NOW_MS;
    assert_int_equal(verify_authorization(
                         world, bearer_header(world, world->client->id, NOW_MS + 1), &principal),
                     ERR_NO_TOKEN);
    world->client->expires_ms = 0;
    world->client->account_id = SLICE("222222222222");
    assert_int_equal(verify_authorization(
                         world, bearer_header(world, world->client->id, NOW_MS + 1), &principal),
                     ERR_NO_TOKEN);
}

static void test_a_token_of_another_gateway(void **state)
{
    struct world *world = *state;
    const struct slice header = bearer_header(world, world->client->id, NOW_MS + 1);
    struct principal principal;

    world->directory->pepper[0] ^= 1;
    assert_int_equal(verify_authorization(world, header, &principal), ERR_NO_TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_basic_is_proven, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_basic_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_credentials_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_certificate_is_known_by_its_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_client_proves_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_speaks_for_its_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_of_a_principal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_bit_of_a_token_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_revoked_client_has_no_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_of_another_gateway, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
