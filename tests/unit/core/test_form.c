/* SPDX-License-Identifier: Apache-2.0
 *
 * test_form.c - parameters: decoded, in order, and a repeated one is told.
 */
#include "core/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static enum err read_form(const char *text, bool plus_is_space, struct arena *arena,
                          struct form *form)
{
    *arena = (struct arena){0};
    return form_read(slice_of(text), plus_is_space, arena, form);
}

static void test_reads_and_decodes(void **state)
{
    struct arena arena;
    struct form form;
    struct slice value;

    (void)state;
    assert_int_equal(read_form("a=1&&b%3D=x+y%2B%00&c&d=", true, &arena, &form), ERR_OK);
    assert_int_equal(form.count, 4);
    assert_true(form_get(&form, SLICE("b="), &value));
    assert_int_equal(value.len, 5);
    assert_memory_equal(value.data, "x y+\0", 5);
    assert_true(form_get(&form, SLICE("c"), &value));
    assert_int_equal(value.len, 0);
    assert_true(form_get(&form, SLICE("nothing"), &value));
    assert_null(value.data);
    arena_clean_up(&arena);
    assert_int_equal(read_form("a=x+y", false, &arena, &form), ERR_OK);
    assert_true(form_get(&form, SLICE("a"), &value));
    assert_true(slice_eq(value, SLICE("x+y")));
    arena_clean_up(&arena);
}

static void test_tells_a_repeated_one(void **state)
{
    struct arena arena;
    struct form form;
    struct slice value;

    (void)state;
    assert_int_equal(read_form("a=1&%61=2", true, &arena, &form), ERR_OK);
    assert_false(form_get(&form, SLICE("a"), &value));
    arena_clean_up(&arena);
}

static void test_refuses_what_it_cannot_read(void **state)
{
    static const char *const bad[] = {"%", "a=%4", "a=%zz", "a=1&b=%", "%G0=1"};
    char many[4 * (FORM_PARAMETERS_MAX + 1) + 1] = "";
    struct arena arena;
    struct form form;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(read_form(bad[i], true, &arena, &form), ERR_BAD_VALUE);
        arena_clean_up(&arena);
    }
    for (size_t i = 0; i <= FORM_PARAMETERS_MAX; i++) {
        memcpy(many + 4 * i, "a=1&", 4);
    }
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(read_form(many, true, &arena, &form), ERR_TOO_LARGE);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_decodes),
        cmocka_unit_test(test_tells_a_repeated_one),
        cmocka_unit_test(test_refuses_what_it_cannot_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
