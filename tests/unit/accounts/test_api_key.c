/* SPDX-License-Identifier: Apache-2.0
 *
 * test_api_key.c - keys are found by id and proven by hash; everything else is one refusal.
 */
#include "accounts/api_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { NOW_MS = 1000000 };

static struct limiter limiter;

struct world {
    struct directory *directory;
    struct account *account;
    struct credential *credential;
    struct buf key;   /* valid, header x-api-key */
    struct buf other; /* valid, header x-events-key, another account */
};

static struct account *add_account(struct directory *directory, struct slice id)
{
    struct account *account = ARENA_NEW(&directory->arena, struct account);

    *account = (struct account){.id = id, .limiter = &limiter};
    directory_add_account(directory, account);
    return account;
}

static struct credential *add_key(struct directory *directory, struct slice account,
                                  struct slice header, struct buf *key)
{
    struct credential *credential = ARENA_NEW(&directory->arena, struct credential);
    char id[24];

    *credential =
        (struct credential){.kind = CREDENTIAL_API_KEY, .account_id = account, .header = header};
    buf_init(key, 128);
    assert_int_equal(
        api_key_issue(directory->pepper, API_KEY_PREFIX, id, key, &credential->key_hash), ERR_OK);
    credential->id = arena_copy(&directory->arena, slice_of(id));
    directory_add_credential(directory, credential);
    return credential;
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    digest_init();
    world->directory = directory_new();
    memset(world->directory->pepper, 0x5a, sizeof(world->directory->pepper));
    world->account = add_account(world->directory, SLICE("111111111111"));
    add_account(world->directory, SLICE("222222222222"));
    world->credential =
        add_key(world->directory, SLICE("111111111111"), SLICE("x-api-key"), &world->key);
    add_key(world->directory, SLICE("222222222222"), SLICE("x-events-key"), &world->other);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    buf_wipe(&world->key);
    buf_wipe(&world->other);
    directory_release(world->directory);
    xfree(world);
    return 0;
}

static enum err verify(const struct world *world, const struct header *headers, size_t count,
                       struct principal *principal)
{
    *principal = (struct principal){0};
    return api_key_verify(world->directory, headers, count, NOW_MS, principal);
}

/* Goal:   the text is "wk_", ten characters, "_", 43 of base64url; no two are alike. */
static void test_issued_key_has_its_form(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const struct world *world = *state;
    const struct slice key = buf_slice(&world->key);

    assert_int_equal(key.len, 57);
    assert_true(slice_has_prefix(key, world->credential->id));
    assert_int_equal(world->credential->id.len, 13);
    assert_int_equal(key.data[13], '_');
    for (size_t i = 14; i < key.len; i++) {
        assert_non_null(strchr(alphabet, key.data[i]));
    }
    assert_false(slice_eq(slice_from(key, 14), slice_from(buf_slice(&world->other), 14)));
}

static void test_issue_respects_the_buffer(void **state)
{
    const struct world *world = *state;

    for (size_t max = 0; max < 57; max++) {
        struct digest hash;
        struct buf small;
        char id[24];

        buf_init(&small, max);
        assert_int_equal(api_key_issue(world->directory->pepper, API_KEY_PREFIX, id, &small, &hash),
                         ERR_TOO_LARGE);
        buf_wipe(&small);
    }
}

static void test_right_key_gives_its_account(void **state)
{
    const struct world *world = *state;
    struct principal principal;
    char padded[64];
    const int len = snprintf(padded, sizeof(padded), "  %.*s\t", SLICE_ARG(buf_slice(&world->key)));
    const struct header headers[] = {
        {SLICE("accept"), SLICE("*/*")},
        {SLICE("X-Api-Key"), {padded, (size_t)len}},
        {SLICE("x-api-key"), buf_slice(&world->key)},
    };

    assert_int_equal(verify(world, headers, 2, &principal), ERR_OK);
    assert_ptr_equal(principal.account, world->account);
    assert_ptr_equal(principal.credential, world->credential);
    assert_true(principal.relays);
    assert_false(principal.has_signature);
    /* the same key twice is one credential */
    assert_int_equal(verify(world, headers, 3, &principal), ERR_OK);
}

/* Goal:   each way of not being a valid key ends in the same error, and binds nobody. */
static void test_wrong_keys_are_refused_alike(void **state)
{
    const struct world *world = *state;
    const struct slice key = buf_slice(&world->key);
    const struct slice other = buf_slice(&world->other);
    char mixed[57];
    char unknown[57];
    const struct {
        const char *what;
        struct header headers[2];
        size_t count;
        enum err err;
    } rows[] = {
        {"no header", {{SLICE("accept"), key}}, 1, ERR_MISSING_TOKEN},
        {"empty", {{SLICE("x-api-key"), SLICE("")}}, 1, ERR_BAD_CREDENTIAL},
        {"no key at all", {{SLICE("x-api-key"), SLICE("secret")}}, 1, ERR_BAD_CREDENTIAL},
        {"cut", {{SLICE("x-api-key"), slice_first(key, 56)}}, 1, ERR_BAD_CREDENTIAL},
        {"id of one, secret of the other",
         {{SLICE("x-api-key"), {mixed, 57}}},
         1,
         ERR_BAD_CREDENTIAL},
        {"unknown id", {{SLICE("x-api-key"), {unknown, 57}}}, 1, ERR_BAD_CREDENTIAL},
        {"in another key's header", {{SLICE("x-events-key"), key}}, 1, ERR_BAD_CREDENTIAL},
        {"two keys, one header",
         {{SLICE("x-api-key"), key}, {SLICE("x-api-key"), other}},
         2,
         ERR_BAD_CREDENTIAL},
        {"two keys, two headers",
         {{SLICE("x-api-key"), key}, {SLICE("x-events-key"), other}},
         2,
         ERR_BAD_CREDENTIAL},
    };

    memcpy(mixed, key.data, 57);
    memcpy(mixed + 14, other.data + 14, 43);
    memcpy(unknown, key.data, 57);
    unknown[5] = unknown[5] == 'a' ? 'b' : 'a';
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct principal principal;
        const enum err err = verify(world, rows[i].headers, rows[i].count, &principal);

        if (err != rows[i].err || principal.account != NULL) {
            fail_msg("%s: %s", rows[i].what, err_name(err));
        }
    }
}

/* Goal:   every single changed character of a key makes it another key. */
static void test_every_character_counts(void **state)
{
    const struct world *world = *state;
    char text[57];
    const struct header header = {SLICE("x-api-key"), {text, sizeof(text)}};
    struct principal principal;

    for (size_t i = 0; i < sizeof(text); i++) {
        memcpy(text, world->key.data, sizeof(text));
        text[i] = (char)(text[i] ^ 1);
        if (verify(world, &header, 1, &principal) != ERR_BAD_CREDENTIAL) {
            fail_msg("character %zu may be changed", i);
        }
    }
}

/* A header that one account uses for keys may carry other things for others. */
static void test_other_text_in_a_key_header_is_no_second_key(void **state)
{
    const struct world *world = *state;
    struct principal principal;
    const struct header headers[] = {
        {SLICE("x-events-key"), SLICE("AWS4-HMAC-SHA256 Credential=...")},
        {SLICE("x-api-key"), buf_slice(&world->key)},
    };

    assert_int_equal(verify(world, headers, 2, &principal), ERR_OK);
}

static void test_end_of_life(void **state)
{
    struct world *world = *state;
    const struct header header = {SLICE("x-api-key"), buf_slice(&world->key)};
    struct principal principal;

    world->credential->expires_ms = NOW_MS + 1;
    assert_int_equal(verify(world, &header, 1, &principal), ERR_OK);
    world->credential->expires_ms = NOW_MS;
    assert_int_equal(verify(world, &header, 1, &principal), ERR_BAD_CREDENTIAL);
    world->credential->expires_ms = 0;
    world->account->is_suspended = true;
    assert_int_equal(verify(world, &header, 1, &principal), ERR_BAD_CREDENTIAL);
    world->account->is_suspended = false;
    world->credential->account_id = SLICE("333333333333");
    assert_int_equal(verify(world, &header, 1, &principal), ERR_BAD_CREDENTIAL);
}

/* Goal:   another pepper makes every stored hash useless, and a sigv4 id is never a key. */
static void test_hash_is_keyed_and_kinds_do_not_mix(void **state)
{
    struct world *world = *state;
    const struct header header = {SLICE("x-api-key"), buf_slice(&world->key)};
    struct principal principal;

    world->credential->kind = CREDENTIAL_SIGV4;
    assert_int_equal(verify(world, &header, 1, &principal), ERR_BAD_CREDENTIAL);
    world->credential->kind = CREDENTIAL_API_KEY;
    world->directory->pepper[0] ^= 1;
    assert_int_equal(verify(world, &header, 1, &principal), ERR_BAD_CREDENTIAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_issued_key_has_its_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_issue_respects_the_buffer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_right_key_gives_its_account, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_keys_are_refused_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_character_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_text_in_a_key_header_is_no_second_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_end_of_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hash_is_keyed_and_kinds_do_not_mix, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
