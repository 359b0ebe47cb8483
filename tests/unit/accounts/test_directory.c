/* SPDX-License-Identifier: Apache-2.0
 *
 * test_directory.c - what the directory finds, owns and shares.
 */
#include "accounts/directory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct limiter limiter;

static void add_key(struct directory *directory, struct slice id, struct slice header)
{
    struct credential *credential = ARENA_NEW(&directory->arena, struct credential);

    *credential = (struct credential){.id = id,
                                      .kind = CREDENTIAL_API_KEY,
                                      .account_id = SLICE("111111111111"),
                                      .header = header};
    directory_add_credential(directory, credential);
}

static void test_finds_what_was_added(void **state)
{
    struct directory *directory = directory_new();
    struct account *account = ARENA_NEW(&directory->arena, struct account);

    (void)state;
    *account = (struct account){.id = SLICE("111111111111"), .limiter = &limiter};
    directory_add_account(directory, account);
    add_key(directory, SLICE("wk_a"), SLICE("x-api-key"));
    assert_ptr_equal(directory_account(directory, SLICE("111111111111")), account);
    assert_null(directory_account(directory, SLICE("111111111112")));
    assert_null(directory_account(directory, SLICE("")));
    assert_true(slice_eq(directory_credential(directory, SLICE("wk_a"))->id, SLICE("wk_a")));
    assert_null(directory_credential(directory, SLICE("wk_b")));
    directory_release(directory);
    directory_release(NULL);
}

/* Goal:   each header name is listed once. */
static void test_header_names_are_collected(void **state)
{
    struct directory *directory = directory_new();

    (void)state;
    assert_int_equal(directory->api_key_header_count, 0);
    add_key(directory, SLICE("wk_a"), SLICE("x-api-key"));
    add_key(directory, SLICE("wk_b"), SLICE("x-events-key"));
    add_key(directory, SLICE("wk_c"), SLICE("x-api-key"));
    add_key(directory, SLICE("wk_d"), SLICE("x-events-key"));
    assert_int_equal(directory->api_key_header_count, 2);
    assert_true(slice_eq(directory->api_key_headers[0], SLICE("x-api-key")));
    assert_true(slice_eq(directory->api_key_headers[1], SLICE("x-events-key")));
    directory_release(directory);
}

/* Goal:   the secret is the directory's own copy: the caller may wipe the bytes it came in. */
static void test_secrets_are_copied(void **state)
{
    struct directory *directory = directory_new();
    struct credential *credential = ARENA_NEW(&directory->arena, struct credential);
    char secret[] = "a secret";

    (void)state;
    *credential = (struct credential){.id = SLICE("AKID"),
                                      .kind = CREDENTIAL_SIGV4,
                                      .account_id = SLICE("111111111111"),
                                      .secret = slice_of(secret)};
    directory_add_credential(directory, credential);
    memset(secret, 'x', strlen(secret));
    assert_true(
        slice_eq(directory_credential(directory, SLICE("AKID"))->secret, SLICE("a secret")));
    directory_release(directory);
}

static void *hold_for_a_moment(void *context)
{
    for (unsigned i = 0; i < 1000; i++) {
        directory_release(directory_acquire(context));
    }
    directory_release(context);
    return NULL;
}

/* Goal:   the last of many holders frees it, whoever that is. */
static void test_last_holder_frees(void **state)
{
    struct directory *directory = directory_new();
    pthread_t threads[4];

    (void)state;
    add_key(directory, SLICE("wk_a"), SLICE("x-api-key"));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, hold_for_a_moment, directory_acquire(directory)), 0);
    }
    directory_release(directory);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_was_added),
        cmocka_unit_test(test_header_names_are_collected),
        cmocka_unit_test(test_secrets_are_copied),
        cmocka_unit_test(test_last_holder_frees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
