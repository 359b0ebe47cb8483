/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mark_table.c - many slots under few hashes, against a plain array.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "storage/mark_table.h"

enum { ROUNDS = 20000, VALUES = 400 };

static uint64_t random_state = 7;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* Few hashes, and close together: long runs that cross each other and wrap. */
static uint64_t hash_of(uint64_t value)
{
    return value % 13 == 0 ? UINT64_MAX - value % 3 : value % 37;
}

static bool has(const struct mark_table *table, uint64_t value)
{
    size_t cursor = 0;
    size_t found_count = 0;
    const struct mark_slot *slot;

    for (slot = mark_table_next(table, hash_of(value), &cursor); slot != NULL;
         slot = mark_table_next(table, hash_of(value), &cursor)) {
        assert_int_equal(slot->hash, hash_of(value));
        if (slot->value == value) {
            assert_int_equal(slot->expires_ms, value * 2);
            found_count++;
        }
    }
    assert_in_range(found_count, 0, 1);
    return found_count == 1;
}

static void the_table_agrees_with_an_array(void **state)
{
    struct mark_table table = {.count = 0};
    bool is_in[VALUES + 1] = {false};
    size_t count = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        /* Fill, then empty, then fill again: it grows and shrinks on the way. */
        const bool is_filling = round / 2000 % 2 == 0;
        const uint64_t value = 1 + draw(VALUES);
        const uint64_t asked = 1 + draw(VALUES);

        if (is_filling && !is_in[value]) {
            mark_table_add(&table, hash_of(value), value, value * 2);
            is_in[value] = true;
            count++;
        } else if (!is_filling) {
            mark_table_remove(&table, hash_of(value), value);
            count -= is_in[value] ? 1 : 0;
            is_in[value] = false;
        }
        assert_int_equal(table.count, count);
        assert_int_equal(has(&table, asked), is_in[asked]);
    }
    for (uint64_t value = 1; value <= VALUES; value++) {
        assert_int_equal(has(&table, value), is_in[value]);
    }
    mark_table_clean_up(&table);
    mark_table_clean_up(&table);
    assert_false(has(&table, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table_agrees_with_an_array)};

    return cmocka_run_group_tests_name("mark_table", tests, NULL, NULL);
}
