/* SPDX-License-Identifier: Apache-2.0
 *
 * test_buf.c - a buf grows to its maximum and not past it.
 */
#include "tests/lib/death.h"

#include "core/buf.h"

#define ASSERT_CONTENT(buf, wanted) assert_true(slice_eq(buf_slice(buf), slice_of(wanted)))

static void test_bytes_are_appended(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_append(&buf, SLICE("ab")), ERR_OK);
    assert_int_equal(buf_append(&buf, (struct slice){NULL, 0}), ERR_OK);
    assert_int_equal(buf_append_byte(&buf, 'c'), ERR_OK);
    assert_int_equal(buf_printf(&buf, "-%d-%s", 7, "x"), ERR_OK);
    ASSERT_CONTENT(&buf, "abc-7-x");
    buf_consume(&buf, 2);
    ASSERT_CONTENT(&buf, "c-7-x");
    buf_consume(&buf, 0);
    buf_consume(&buf, 5);
    ASSERT_CONTENT(&buf, "");
    assert_int_equal(buf_append(&buf, SLICE("z")), ERR_OK);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_non_null(buf.data);
    buf_clean_up(&buf);
    buf_clean_up(&buf);
    assert_int_equal(buf.max, 100);
    assert_int_equal(buf_append(&buf, SLICE("again")), ERR_OK);
    buf_wipe(&buf);
    buf_wipe(&buf);
    assert_null(buf.data);
}

static void test_a_zeroed_buf_holds_nothing(void **state)
{
    struct buf buf = {0};

    (void)state;
    assert_int_equal(buf_append(&buf, SLICE("")), ERR_OK);
    assert_int_equal(buf_append(&buf, SLICE("a")), ERR_TOO_LARGE);
    assert_int_equal(buf_append_byte(&buf, 'a'), ERR_TOO_LARGE);
    buf_clean_up(&buf);
}

/* Goal:   a write that would pass the maximum changes nothing; one that just fits succeeds. */
static void test_the_maximum_is_kept(void **state)
{
    struct buf buf;
    char *room;

    (void)state;
    buf_init(&buf, 4);
    assert_int_equal(buf_append(&buf, SLICE("abc")), ERR_OK);
    assert_int_equal(buf_append(&buf, SLICE("de")), ERR_TOO_LARGE);
    assert_int_equal(buf_printf(&buf, "%s", "de"), ERR_TOO_LARGE);
    assert_int_equal(buf_reserve(&buf, 2, &room), ERR_TOO_LARGE);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX, &room), ERR_TOO_LARGE);
    ASSERT_CONTENT(&buf, "abc");
    assert_int_equal(buf_append(&buf, SLICE("d")), ERR_OK);
    assert_int_equal(buf_append_byte(&buf, 'e'), ERR_TOO_LARGE);
    ASSERT_CONTENT(&buf, "abcd");
    buf_clean_up(&buf);
}

static void test_long_text_is_printed_up_to_the_maximum(void **state)
{
    char text[2001];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t len = 505; len <= 2000; len += len < 520 ? 1 : 370) {
        struct buf buf;

        buf_init(&buf, len);
        assert_int_equal(buf_printf(&buf, "%.*s", (int)len, text), ERR_OK);
        assert_true(slice_eq(buf_slice(&buf), (struct slice){text, len}));
        assert_int_equal(buf_printf(&buf, "y"), ERR_TOO_LARGE);
        buf_clean_up(&buf);
    }
}

static void test_room_is_reserved_without_being_used(void **state)
{
    struct buf buf;
    char *room;

    (void)state;
    buf_init(&buf, 1000);
    assert_int_equal(buf_append(&buf, SLICE("ab")), ERR_OK);
    assert_int_equal(buf_reserve(&buf, 500, &room), ERR_OK);
    assert_int_equal(buf.len, 2);
    memset(room, 'x', 500);
    buf.len += 500;
    assert_int_equal(buf_append(&buf, SLICE("end")), ERR_OK);
    assert_int_equal(buf.len, 505);
    assert_memory_equal(buf.data, "abxx", 4);
    assert_memory_equal(buf.data + 501, "xend", 4);
    buf_clean_up(&buf);
}

static void consume_too_much(void)
{
    struct buf buf = {0};

    buf_consume(&buf, 1);
}

static void test_consuming_what_is_not_there_ends_the_process(void **state)
{
    (void)state;
    assert_dies(consume_too_much, "len <= buf->len");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_appended),
        cmocka_unit_test(test_a_zeroed_buf_holds_nothing),
        cmocka_unit_test(test_the_maximum_is_kept),
        cmocka_unit_test(test_long_text_is_printed_up_to_the_maximum),
        cmocka_unit_test(test_room_is_reserved_without_being_used),
        cmocka_unit_test(test_consuming_what_is_not_there_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
