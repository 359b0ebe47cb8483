/* SPDX-License-Identifier: Apache-2.0
 *
 * test_digest.c - hashes against the vectors of their standards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/digest_internal.h"

static void assert_hex(const struct digest *digest, const char *wanted)
{
    char hex[DIGEST_HEX_CHARS];

    digest_hex(digest, hex);
    assert_memory_equal(hex, wanted, DIGEST_HEX_CHARS);
}

/* FIPS 180-4 examples, and the empty message. */
static const struct {
    const char *message;
    const char *sum;
} sha256_rows[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_sha256_gives_the_published_sums(void **state)
{
    struct digest digest;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sha256_rows); i++) {
        digest_sha256(slice_of(sha256_rows[i].message), &digest);
        assert_hex(&digest, sha256_rows[i].sum);
    }
    digest_sha256((struct slice){NULL, 0}, &digest);
    assert_hex(&digest, sha256_rows[0].sum);
}

/* Goal:   pieces give the sum of the whole, wherever it is cut, and a stream can begin again. */
static void test_a_stream_gives_the_sum_of_the_whole(void **state)
{
    const struct slice whole = slice_of(sha256_rows[2].message);
    struct digest_stream stream = {0};
    struct digest digest;

    (void)state;
    for (size_t cut = 0; cut <= whole.len; cut++) {
        digest_stream_begin(&stream);
        digest_stream_add(&stream, slice_first(whole, cut));
        digest_stream_add(&stream, slice_from(whole, cut));
        digest_stream_end(&stream, &digest);
        assert_hex(&digest, sha256_rows[2].sum);
    }
    digest_stream_begin(&stream);
    digest_stream_add(&stream, SLICE("left unfinished"));
    digest_stream_begin(&stream);
    digest_stream_end(&stream, &digest);
    assert_hex(&digest, sha256_rows[0].sum);
    digest_stream_clean_up(&stream);
    digest_stream_clean_up(&stream);
}

static struct slice repeat(char *room, char byte, size_t count)
{
    memset(room, byte, count);
    return (struct slice){room, count};
}

/* Goal:   HMAC-SHA-256 of RFC 4231, and of an empty key after a longer one.
 * Method: cases 1, 2, 3, 6 and 7; the sum of two empty strings is widely published. */
static void test_hmac_gives_the_published_sums(void **state)
{
    struct digest digest;
    char key[131];
    char data[50];

    (void)state;
    digest_hmac_sha256(repeat(key, 0x0b, 20), SLICE("Hi There"), &digest);
    assert_hex(&digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), &digest);
    assert_hex(&digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac_sha256(repeat(key, (char)0xaa, 20), repeat(data, (char)0xdd, 50), &digest);
    assert_hex(&digest, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    digest_hmac_sha256(repeat(key, (char)0xaa, 131),
                       SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), &digest);
    assert_hex(&digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    /* the longest key that is used as it is, and the shortest that is hashed first (CPython's) */
    digest_hmac_sha256(repeat(key, 'k', 64), SLICE(""), &digest);
    assert_hex(&digest, "83026a325aaee70e36cfe607536aa1054104ad1077c36134810d4ccded1ccd3b");
    digest_hmac_sha256(repeat(key, 'k', 65), SLICE(""), &digest);
    assert_hex(&digest, "41f1c4cc3107cd5b8d92460f61032902bfdb06484eef17e861b83a5012d3b7f3");
    digest_hmac_sha256((struct slice){NULL, 0}, (struct slice){NULL, 0}, &digest);
    assert_hex(&digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_md5_gives_the_published_sums(void **state)
{
    char hex[32];

    (void)state;
    digest_md5_hex(SLICE(""), hex);
    assert_memory_equal(hex, "d41d8cd98f00b204e9800998ecf8427e", 32);
    digest_md5_hex(SLICE("message digest"), hex);
    assert_memory_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0", 32);
}

/* Goal:   CRC32C of RFC 3720 B.4, by instruction and by table, in one piece and in two. */
static void test_crc32c_gives_the_published_sums(void **state)
{
    char zeros[32] = {0};
    char ones[32];
    char rising[32];
    struct {
        struct slice bytes;
        uint32_t sum;
    } rows[] = {
        {SLICE(""), 0},
        {SLICE("123456789"), 0xE3069283},
        {{zeros, 32}, 0x8A9136AA},
        {repeat(ones, (char)0xFF, 32), 0x62A8AB43},
        {{rising, 32}, 0x46DD794E},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rising); i++) {
        rising[i] = (char)i;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct slice bytes = rows[i].bytes;

        assert_int_equal(digest_crc32c(0, bytes), rows[i].sum);
        assert_int_equal(digest_crc32c_by_table(0, bytes), rows[i].sum);
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            const uint32_t head = digest_crc32c(0, slice_first(bytes, cut));

            assert_int_equal(digest_crc32c(head, slice_from(bytes, cut)), rows[i].sum);
        }
    }
}

static void test_hex_is_read_in_any_case_and_nothing_else(void **state)
{
    static const struct {
        const char *hex;
        bool is_good;
    } rows[] = {
        {"00ffAb", true},
        {"00FFaB", true},
        {"00ffA", false},
        {"00ffAb0", false},
        {"00ffAg", false},
        {"g0ffAb", false},
        {"00f Ab", false},
        {"", false},
        {"0x0ff0", false},
        {"00ff/b", false},
        {"00ff:b", false},
        {"00ff@b", false},
        {"00ff`b", false},
        {"00ff\x10"
         "b",
         false},
    };
    uint8_t bytes[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (digest_from_hex(slice_of(rows[i].hex), bytes, sizeof(bytes)) != rows[i].is_good) {
            fail_msg("\"%s\" should be %s", rows[i].hex, rows[i].is_good ? "read" : "refused");
        }
        if (rows[i].is_good) {
            assert_memory_equal(bytes, "\x00\xff\xab", 3);
        }
    }
    assert_true(digest_from_hex(SLICE(""), bytes, 0));
}

static void test_equality_looks_at_every_byte(void **state)
{
    struct digest a;
    struct digest b;

    (void)state;
    digest_sha256(SLICE("a"), &a);
    assert_true(digest_equal(digest_slice(&a), digest_slice(&a)));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        b = a;
        b.bytes[i] ^= 0x80;
        assert_false(digest_equal(digest_slice(&a), digest_slice(&b)));
    }
    assert_false(digest_equal(SLICE("abc"), SLICE("ab")));
    assert_true(digest_equal(SLICE(""), (struct slice){NULL, 0}));
}

static void *hash_in_a_thread(void *argument)
{
    struct digest *digests = argument;

    digest_hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), &digests[0]);
    digest_sha256(SLICE("abc"), &digests[1]);
    return NULL;
}

/* Goal:   threads hash side by side; what they kept is gone when they end (LeakSanitizer looks). */
static void test_threads_keep_their_own_contexts(void **state)
{
    pthread_t threads[4];
    struct digest digests[ARRAY_LEN(threads)][2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_a_thread, digests[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_hex(&digests[i][0],
                   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_hex(&digests[i][1], sha256_rows[1].sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_published_sums),
        cmocka_unit_test(test_a_stream_gives_the_sum_of_the_whole),
        cmocka_unit_test(test_hmac_gives_the_published_sums),
        cmocka_unit_test(test_md5_gives_the_published_sums),
        cmocka_unit_test(test_crc32c_gives_the_published_sums),
        cmocka_unit_test(test_hex_is_read_in_any_case_and_nothing_else),
        cmocka_unit_test(test_equality_looks_at_every_byte),
        cmocka_unit_test(test_threads_keep_their_own_contexts),
    };

    digest_init();
    digest_init(); /* again is harmless */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
