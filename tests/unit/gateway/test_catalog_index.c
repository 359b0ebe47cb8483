/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog_index.c - what a catalog lists under a prefix, held against a plain walk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "gateway/catalog.h"

enum { ROUNDS = 200, NAMES = 120, NAME_CHARS = 32, MANY = 100 };

/* Names that differ early, late, and by being the beginning of one another. */
static struct slice name_of(unsigned number, char room[static NAME_CHARS])
{
    static const char *const stems[] = {"rule/a/b/", "rule/a/b-/", "rule/a/", "rule/ab/", "bus/a/"};

    (void)snprintf(room, NAME_CHARS, "%s%.*s", stems[number % ARRAY_LEN(stems)],
                   1 + (int)(number / ARRAY_LEN(stems)), "xxxxxxxxxxxxxxxxxxxxxxxxx");
    return slice_of(room);
}

/* How many documents of the catalog a walk finds under the prefix. */
static size_t count_plainly(const struct catalog *catalog, struct slice prefix)
{
    const struct catalog_document *document;
    size_t cursor = 0;
    size_t count = 0;

    while ((document = map_next(&catalog->documents, &cursor)) != NULL) {
        count += slice_has_prefix(slice_of(document->name), prefix) ? 1 : 0;
    }
    return count;
}

static void expect_as_walked(const struct catalog *catalog, struct slice prefix)
{
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **found = catalog_with_prefix(catalog, prefix, &arena, &count);

    assert_int_equal(count, count_plainly(catalog, prefix));
    for (size_t i = 0; i < count; i++) {
        const struct slice name = slice_of(found[i]->name);

        assert_true(slice_has_prefix(name, prefix));
        assert_ptr_equal(found[i], catalog_get(catalog, name));
        assert_true(i == 0 || slice_compare(slice_of(found[i - 1]->name), name) < 0);
    }
    arena_clean_up(&arena);
}

static void change(struct catalog *catalog, uint32_t *random, size_t count)
{
    char names[MANY][NAME_CHARS];
    struct store_document documents[MANY];
    struct err_why why = {.text = ""};

    for (size_t i = 0; i < count; i++) {
        *random = *random * 1664525u + 1013904223u;
        documents[i] = (struct store_document){
            .name = name_of((*random >> 8) % NAMES, names[i]),
            .value = (*random >> 20) % 3 == 0 ? (struct slice){NULL, 0} : SLICE("{}"),
            .rev = catalog->rev + 1,
        };
    }
    assert_int_equal(catalog_absorb(catalog, documents, count, catalog->rev + 1, &why), ERR_OK);
}

/* Goal:   a list under a prefix holds every document that is there, sorted, and no other.
 * Method: random documents come, go and are replaced, a few or many at once; after each step some
 *         prefixes are held against a walk over all.
 */
static void test_a_prefix_lists_what_a_walk_finds(void **state)
{
    static const struct slice prefixes[] = {SLICE_INIT(""),          SLICE_INIT("rule/"),
                                            SLICE_INIT("rule/a/b/"), SLICE_INIT("rule/a/b"),
                                            SLICE_INIT("bus/"),      SLICE_INIT("rule/a/b/xxx"),
                                            SLICE_INIT("a"),         SLICE_INIT("z")};
    struct catalog catalog;
    uint32_t random = 11;

    (void)state;
    catalog_init(&catalog);
    for (unsigned round = 0; round < ROUNDS; round++) {
        change(&catalog, &random, round % 10 == 0 ? MANY : 1 + round % 5);
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
            expect_as_walked(&catalog, prefixes[i]);
        }
    }
    catalog_clean_up(&catalog);
}

/* A value that cannot be taken ends a change midway; what was taken is listed. */
static void test_the_index_survives_a_corrupt_document(void **state)
{
    struct store_document documents[MANY];
    char names[MANY][NAME_CHARS];
    struct err_why why = {.text = ""};
    struct catalog catalog;

    (void)state;
    catalog_init(&catalog);
    for (unsigned i = 0; i < MANY; i++) {
        documents[i] = (struct store_document){.name = name_of(i, names[i]),
                                               .value = i == MANY - 1 ? SLICE("[") : SLICE("{}")};
    }
    assert_int_equal(catalog_absorb(&catalog, documents, MANY, 1, &why), ERR_STORE_CORRUPT);
    assert_int_equal(catalog.rev, 0);
    expect_as_walked(&catalog, SLICE("rule/"));
    expect_as_walked(&catalog, SLICE("bus/"));
    catalog_clean_up(&catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prefix_lists_what_a_walk_finds),
        cmocka_unit_test(test_the_index_survives_a_corrupt_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
