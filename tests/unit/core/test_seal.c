/* SPDX-License-Identifier: Apache-2.0
 *
 * test_seal.c - what was sealed opens under its key and context, and under nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/seal.h"

static const uint8_t key[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcde";
static const uint8_t other_key[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcdf";

static struct buf seal(struct slice context, struct slice plain)
{
    struct buf sealed;

    buf_init(&sealed, plain.len + SEAL_OVERHEAD_BYTES); /* exactly as much as is needed */
    assert_int_equal(seal_close(key, context, plain, &sealed), ERR_OK);
    assert_int_equal(sealed.len, plain.len + SEAL_OVERHEAD_BYTES);
    return sealed;
}

static void test_what_was_sealed_opens(void **state)
{
    static const struct {
        struct slice context;
        struct slice plain;
    } rows[] = {
        {SLICE_INIT("111122223333/AKIDEXAMPLE"), SLICE_INIT("the secret")},
        {SLICE_INIT(""), SLICE_INIT("x")},
        {SLICE_INIT("context"), SLICE_INIT("")},
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("c"), SLICE_INIT("a secret of more than one block of sixteen bytes")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf sealed = seal(rows[i].context, rows[i].plain);
        struct buf plain;

        buf_init(&plain, rows[i].plain.len + 1);
        assert_int_equal(buf_append(&plain, SLICE(">")), ERR_OK);
        assert_int_equal(seal_open(key, rows[i].context, buf_slice(&sealed), &plain), ERR_OK);
        assert_true(slice_eq(slice_from(buf_slice(&plain), 1), rows[i].plain));
        buf_clean_up(&sealed);
        buf_wipe(&plain);
    }
}

static void assert_refused(const uint8_t *with_key, struct slice context, struct slice sealed)
{
    struct buf plain;

    buf_init(&plain, 256);
    assert_int_equal(buf_append(&plain, SLICE("kept")), ERR_OK);
    assert_int_equal(seal_open(with_key, context, sealed, &plain), ERR_BAD_CREDENTIAL);
    assert_true(slice_eq(buf_slice(&plain), SLICE("kept")));
    buf_clean_up(&plain);
}

/* Goal:   another key, another context, any flipped bit and any missing byte are refused. */
static void test_anything_altered_is_refused(void **state)
{
    const struct slice context = SLICE("account/id");
    struct buf sealed = seal(context, SLICE("the secret"));

    (void)state;
    assert_refused(other_key, context, buf_slice(&sealed));
    assert_refused(key, SLICE("account/ie"), buf_slice(&sealed));
    assert_refused(key, SLICE(""), buf_slice(&sealed));
    for (size_t i = 0; i < sealed.len; i++) {
        assert_refused(key, context, slice_first(buf_slice(&sealed), i));
        assert_refused(key, context, slice_from(buf_slice(&sealed), i + 1));
    }
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] ^= (char)(1 << (bit % 8));
        assert_refused(key, context, buf_slice(&sealed));
        sealed.data[bit / 8] ^= (char)(1 << (bit % 8));
    }
    buf_clean_up(&sealed);
}

static void test_sealing_twice_gives_two_texts(void **state)
{
    struct buf first = seal(SLICE("c"), SLICE("the same"));
    struct buf second = seal(SLICE("c"), SLICE("the same"));

    (void)state;
    assert_false(slice_eq(buf_slice(&first), buf_slice(&second)));
    assert_false(slice_eq(slice_first(buf_slice(&first), 12), slice_first(buf_slice(&second), 12)));
    buf_clean_up(&first);
    buf_clean_up(&second);
}

/* Goal:   the layout is the documented one and the algorithm is AES-256-GCM.
 * Method: a text sealed by another implementation (python3-cryptography, AESGCM) opens. */
static void test_a_text_sealed_elsewhere_opens(void **state)
{
    uint8_t bytes[12 + 12 + 16];
    struct buf plain;

    (void)state;
    assert_true(digest_from_hex(
        SLICE("000102030405060708090a0bd3bf6dd25672d10669b82745206db3583c49c20b63475dd08867b61a"),
        bytes, sizeof(bytes)));
    buf_init(&plain, 64);
    assert_int_equal(seal_open(key, SLICE("account/id"),
                               (struct slice){(const char *)bytes, sizeof(bytes)}, &plain),
                     ERR_OK);
    assert_true(slice_eq(buf_slice(&plain), SLICE("made in py 3")));
    buf_clean_up(&plain);
}

static void test_a_full_buf_is_left_as_it_was(void **state)
{
    struct buf sealed = seal(SLICE("c"), SLICE("secret"));
    struct buf out;

    (void)state;
    buf_init(&out, 6 + SEAL_OVERHEAD_BYTES);
    assert_int_equal(buf_append(&out, SLICE("a")), ERR_OK);
    assert_int_equal(seal_close(key, SLICE("c"), SLICE("secret"), &out), ERR_TOO_LARGE);
    assert_true(slice_eq(buf_slice(&out), SLICE("a")));
    buf_clean_up(&out);
    buf_init(&out, 5);
    assert_int_equal(seal_open(key, SLICE("c"), buf_slice(&sealed), &out), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    buf_clean_up(&out);
    buf_clean_up(&sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_sealed_opens),
        cmocka_unit_test(test_anything_altered_is_refused),
        cmocka_unit_test(test_sealing_twice_gives_two_texts),
        cmocka_unit_test(test_a_text_sealed_elsewhere_opens),
        cmocka_unit_test(test_a_full_buf_is_left_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
