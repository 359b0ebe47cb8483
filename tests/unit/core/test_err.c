/* SPDX-License-Identifier: Apache-2.0
 *
 * test_err.c - the table of errors is whole, and a reason never overflows.
 */
#include "tests/lib/death.h"

#include "core/err.h"

static void test_every_row_is_filled(void **state)
{
    (void)state;
    for (unsigned i = 1; i < ERR_COUNT; i++) {
        const enum err err = (enum err)i;
        const char *text = err_text(err);

        assert_true(strlen(err_name(err)) > 0);
        assert_true(strlen(err_code(err)) > 0);
        assert_true(strlen(text) > 0);
        assert_int_not_equal(text[strlen(text) - 1], '.');
        assert_int_not_equal(err_class(err), ERR_CLASS_NONE);
        for (unsigned k = 1; k < i; k++) {
            assert_string_not_equal(err_name(err), err_name((enum err)k));
        }
    }
}

/* Goal:   the status fits the class: 4xx for the caller's faults, 429 or 503 for "slow down", 5xx
 *         for the rest. */
static void test_status_fits_class(void **state)
{
    (void)state;
    for (unsigned i = 1; i < ERR_COUNT; i++) {
        const enum err err = (enum err)i;
        const unsigned status = err_status(err);
        bool is_good = false;

        switch (err_class(err)) {
        case ERR_CLASS_CALLER:
            is_good = status >= 400 && status <= 499 && status != 429;
            break;
        case ERR_CLASS_BUSY:
            is_good = status == 429 || status == 503;
            break;
        case ERR_CLASS_REMOTE:
        case ERR_CLASS_LOCAL:
            is_good = status >= 500 && status <= 504;
            break;
        case ERR_CLASS_NONE:
            break;
        }
        if (!is_good) {
            fail_msg("%s answers %u", err_name(err), status);
        }
    }
}

static void test_success_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_code(ERR_OK), "");
    assert_int_equal(err_class(ERR_OK), ERR_CLASS_NONE);
    assert_int_equal(err_status(ERR_OK), 200);
}

static void ask_past_the_table(void)
{
    (void)err_name(ERR_COUNT);
}

static void test_a_number_that_is_no_error_ends_the_process(void **state)
{
    (void)state;
    assert_dies(ask_past_the_table, "ERR_COUNT");
}

static void test_a_reason_is_written_and_cut_to_fit(void **state)
{
    struct err_why why;
    char text[2 * sizeof(why.text)];

    (void)state;
    assert_int_equal(err_because(ERR_BAD_CONFIG, &why, "%s[%d]: %s", "rules", 3, "no name"),
                     ERR_BAD_CONFIG);
    assert_string_equal(why.text, "rules[3]: no name");
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(err_because(ERR_BAD_JSON, &why, "%s", text), ERR_BAD_JSON);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
    assert_int_equal(err_because(ERR_BAD_JSON, NULL, "%s", text), ERR_BAD_JSON);
}

static enum err try_twice(enum err first, enum err second, unsigned *reached)
{
    TRY(first);
    *reached = 1;
    TRY(second);
    *reached = 2;
    return ERR_OK;
}

static void test_try_leaves_at_the_first_error(void **state)
{
    unsigned reached = 0;

    (void)state;
    assert_int_equal(try_twice(ERR_INTERNAL, ERR_SYSTEM, &reached), ERR_INTERNAL);
    assert_int_equal(reached, 0);
    assert_int_equal(try_twice(ERR_OK, ERR_SYSTEM, &reached), ERR_SYSTEM);
    assert_int_equal(reached, 1);
    assert_int_equal(try_twice(ERR_OK, ERR_OK, &reached), ERR_OK);
    assert_int_equal(reached, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_filled),
        cmocka_unit_test(test_status_fits_class),
        cmocka_unit_test(test_success_is_no_error),
        cmocka_unit_test(test_a_number_that_is_no_error_ends_the_process),
        cmocka_unit_test(test_a_reason_is_written_and_cut_to_fit),
        cmocka_unit_test(test_try_leaves_at_the_first_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
