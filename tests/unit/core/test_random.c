/* SPDX-License-Identifier: Apache-2.0
 *
 * test_random.c - no two draws are alike: within a thread, across threads, across a fork.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/random.h"

static int compare_words(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* Goal:   4,096 words are all different: the pool is refilled and never handed out twice. */
static void test_words_do_not_repeat(void **state)
{
    static uint64_t words[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        words[i] = random_u64();
    }
    qsort(words, ARRAY_LEN(words), sizeof(words[0]), compare_words);
    for (size_t i = 1; i < ARRAY_LEN(words); i++) {
        assert_int_not_equal(words[i - 1], words[i]);
    }
}

/* Goal:   each length is filled to its last byte and not past it.
 * Method: draw until every byte has been seen with some bit set. */
static void test_every_length_is_filled(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 1500; len += len < 300 ? 1 : 100) {
        uint8_t *bytes = xmalloc(len + 1);
        uint8_t *seen = xcalloc(len + 1, 1);

        for (unsigned round = 0; round < 12; round++) {
            memset(bytes, 0, len + 1);
            random_bytes(bytes, len);
            for (size_t i = 0; i < len; i++) {
                seen[i] |= bytes[i];
            }
            assert_int_equal(bytes[len], 0);
        }
        for (size_t i = 0; i < len; i++) {
            assert_int_not_equal(seen[i], 0);
        }
        xfree(bytes);
        xfree(seen);
    }
}

static void test_an_identifier_has_its_form(void **state)
{
    char first[36];
    char second[36];

    (void)state;
    random_uuid(first);
    random_uuid(second);
    assert_memory_not_equal(first, second, sizeof(first));
    for (size_t i = 0; i < sizeof(first); i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            assert_int_equal(first[i], '-');
        } else {
            assert_non_null(memchr("0123456789abcdef", first[i], 16));
        }
    }
    assert_int_equal(first[14], '4');
    assert_non_null(memchr("89ab", first[19], 4));
}

static void *draw(void *word)
{
    *(uint64_t *)word = random_u64();
    return NULL;
}

static void test_threads_draw_differently(void **state)
{
    pthread_t threads[2];
    uint64_t words[2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw, &words[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_not_equal(words[0], words[1]);
}

static void test_a_forked_child_draws_differently(void **state)
{
    uint64_t of_child = 0;
    uint64_t of_parent;
    int ends[2];
    int status;
    pid_t child;

    (void)state;
    (void)random_u64(); /* so that the pool is not empty */
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        const uint64_t word = random_u64();

        _exit(write(ends[1], &word, sizeof(word)) == sizeof(word) ? 0 : 1);
    }
    assert_true(child > 0);
    of_parent = random_u64();
    assert_int_equal(read(ends[0], &of_child, sizeof(of_child)), sizeof(of_child));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_not_equal(of_child, of_parent);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_do_not_repeat),
        cmocka_unit_test(test_every_length_is_filled),
        cmocka_unit_test(test_an_identifier_has_its_form),
        cmocka_unit_test(test_threads_draw_differently),
        cmocka_unit_test(test_a_forked_child_draws_differently),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
