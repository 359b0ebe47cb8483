/* SPDX-License-Identifier: Apache-2.0
 *
 * test_path.c - what a path may look like, and what it finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/path.h"

enum { ARRAYS_MAX = 4096 };

/* The text at one path, "-" if there is nothing, or the error's name. In the arena. */
static const char *found(struct arena *arena, const char *path_text, const char *json)
{
    struct err_why why = {.text = ""};
    struct json_path path;
    struct slice value;
    enum err err = path_compile(slice_of(path_text), arena, &path, &why);

    if (err != ERR_OK) {
        fail_msg("%s: %s", path_text, why.text);
    }
    err = path_find(&path, 1, slice_of(json), ARRAYS_MAX, arena, &value);
    if (err != ERR_OK) {
        return err_name(err);
    }
    return value.data == NULL ? "-" : arena_cstr(arena, value);
}

/* Goal: each step of the language, on values that are there and values that are not. */
static void test_a_path_finds_its_value(void **state)
{
    static const struct {
        const char *path;
        const char *json;
        const char *value;
    } rows[] = {
        {"$", "{\"a\": 1}", "{\"a\": 1}"},
        {"$", "7", "7"},
        {"$.a", "{\"b\":0,\"a\": \"x\\\"y\"}", "\"x\\\"y\""},
        {"$.a", "{\"a\": {\"b\": [1, 2]} }", "{\"b\": [1, 2]}"},
        {"$.a", "{\"A\":1}", "-"},
        {"$.a", "[1]", "-"},
        {"$.a", "7", "-"},
        {"$.a", "{\"a\":null}", "null"},
        {"$.a.b", "{\"a\":{\"b\":true}}", "true"},
        {"$.a.b", "{\"a\":\"b\"}", "-"},
        {"$.a.b", "{\"a\":[{\"b\":1}]}", "-"},
        {"$.detail.a-b_c/d:e", "{\"detail\":{\"a-b_c/d:e\":-1.50e2}}", "-1.50e2"},
        {"$.\xC3\xBC", "{\"\xC3\xBC\":1}", "1"},
        {"$.a", "{\"\\u0061\":1}", "1"},
        {"$.r[0]", "{\"r\":[\"x\",\"y\"]}", "\"x\""},
        {"$.r[1]", "{\"r\":[\"x\",\"y\"]}", "\"y\""},
        {"$.r[2]", "{\"r\":[\"x\",\"y\"]}", "-"},
        {"$.r[0]", "{\"r\":{\"0\":1}}", "-"},
        {"$.r[1][0].k", "{\"r\":[0,[{\"k\":false}]]}", "false"},
        {"$[1]", "[1,2]", "2"},
        /* the later of two counts, whatever the first held */
        {"$.a", "{\"a\":1,\"a\":2}", "2"},
        {"$.a.b", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "-"},
        {"$.a.b", "{\"a\":{\"b\":1},\"a\":7}", "-"},
        {"$.a.b", "{\"a\":7,\"a\":{\"b\":1}}", "1"},
        /* stars */
        {"$.r[*]", "{\"r\":[1, \"x\", {}]}", "[1,\"x\",{}]"},
        {"$.r.*", "{\"r\":[1,2]}", "[1,2]"},
        {"$.r[*]", "{\"r\":{\"a\":1,\"b\":[2, 3]}}", "[1,[2, 3]]"},
        {"$.r[*].k", "{\"r\":[{\"k\":1},{},{\"k\":{\"x\":1}},7]}", "[1,{\"x\":1}]"},
        {"$.r[*].k[0]", "{\"r\":[{\"k\":[1,2]},{\"k\":[]},{\"k\":[3]}]}", "[1,3]"},
        {"$.*.*", "{\"a\":{\"x\":1},\"b\":[2,3],\"c\":4}", "[1,2,3]"},
        {"$.r[*]", "{\"r\":[]}", "[]"},
        {"$.r[*]", "{\"r\":7}", "[]"},
        {"$.r[*]", "{\"q\":7}", "-"},
        {"$.r[*].k", "{\"r\":[{\"k\":1,\"k\":2}]}", "[1,2]"},
        {"$.r[*]", "{\"r\":[1,2],\"r\":[3]}", "[3]"},
        {"$.r[*]", "{\"r\":[1,2],\"r\":3}", "[]"},
        {"$.a.r[*]", "{\"a\":{\"r\":[1]},\"a\":{}}", "-"},
        {"$.a", "", "BAD_JSON"},
        {"$.a", "{\"a\":", "BAD_JSON"},
        {"$.a", "{\"a\":1", "BAD_JSON"},
        {"$.a.b", "{\"a\":{\"b\":1}", "BAD_JSON"},
        {"$.a", "{\"a\":1} x", "BAD_JSON"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *value = found(&arena, rows[i].path, rows[i].json);

        if (strcmp(value, rows[i].value) != 0) {
            fail_msg("%s in %s: %s, not %s", rows[i].path, rows[i].json, value, rows[i].value);
        }
    }
    arena_clean_up(&arena);
}

static void test_what_is_no_path_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *path;
        const char *why;
    } rows[] = {
        {"", "a path has 1 to 256 bytes"},
        {"detail.id", "a path begins with $, as in $.detail.id"},
        {"$detail", "a dot or a bracket must stand here, at byte 1 of the path"},
        {"$.", "a name or * must follow a dot, at byte 2 of the path"},
        {"$..a", "a name or * must follow a dot, at byte 2 of the path"},
        {"$.a b", "a dot or a bracket must stand here, at byte 3 of the path"},
        {"$.a*", "a dot or a bracket must stand here, at byte 3 of the path"},
        {"$.*a", "a dot or a bracket must stand here, at byte 3 of the path"},
        {"$.a.length()", "a dot or a bracket must stand here, at byte 10 of the path"},
        {"$.a[", "a bracket is not closed, at byte 3 of the path"},
        {"$[]", "brackets hold an index such as [0], or [*]; names are joined by dots, at byte 1 "
                "of the path"},
        {"$['a']", "brackets hold an index such as [0], or [*]; names are joined by dots, at byte "
                   "1 of the path"},
        {"$.a[-1]", "brackets hold an index such as [0], or [*]; names are joined by dots, at byte "
                    "3 of the path"},
        {"$.a[1:2]", "brackets hold an index such as [0], or [*]; names are joined by dots, at "
                     "byte 3 of the path"},
        {"$.a[?(@.b)]", "brackets hold an index such as [0], or [*]; names are joined by dots, at "
                        "byte 3 of the path"},
        {"$.a[1234567890]", "brackets hold an index such as [0], or [*]; names are joined by dots, "
                            "at byte 3 of the path"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err_why why = {.text = ""};
        struct json_path path;

        assert_int_equal(path_compile(slice_of(rows[i].path), &arena, &path, &why), ERR_BAD_VALUE);
        assert_string_equal(why.text, rows[i].why);
    }
    arena_clean_up(&arena);
}

/* Goal: the longest path, through the deepest container, and one byte more. */
static void test_a_path_of_the_greatest_length_works(void **state)
{
    char text[JSON_PATH_BYTES_MAX + 2] = "$";
    char json[2 * JSON_PATH_STEPS_MAX * 8] = "";
    struct arena arena = {0};
    struct json_path path;
    struct slice value;
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < JSON_PATH_STEPS_MAX; i++) {
        memcpy(text + 1 + 2 * i, ".a", 2);
        memcpy(json + len, "{\"a\":", 5);
        len += 5;
    }
    json[len++] = '7';
    memset(json + len, '}', JSON_PATH_STEPS_MAX);
    assert_int_equal(path_compile(slice_of(text), &arena, &path, NULL), ERR_OK);
    assert_int_equal(path.step_count, JSON_PATH_STEPS_MAX);
    assert_int_equal(path_find(&path, 1, slice_of(json), 0, &arena, &value), ERR_OK);
    assert_true(slice_eq(value, SLICE("7")));
    memset(text, 'a', sizeof(text) - 1);
    memcpy(text, "$.", 2);
    assert_int_equal(path_compile(slice_of(text), &arena, &path, NULL), ERR_BAD_VALUE);
    text[JSON_PATH_BYTES_MAX] = '\0';
    assert_int_equal(path_compile(slice_of(text), &arena, &path, NULL), ERR_OK);
    arena_clean_up(&arena);
}

/* Goal: paths that begin alike, end within each other or repeat do not disturb each other. */
static void test_many_paths_are_found_together(void **state)
{
    static const char *const texts[] = {"$",          "$.a",   "$.a.b", "$.a.b",    "$.a.b[*].c",
                                        "$.a.b[1].c", "$.*.b", "$.z",   "$.a.b[0]", "$.a[*][*].c"};
    static const char *const wanted[] = {
        "{\"a\":{\"b\":[{\"c\":1},{\"c\":2}]}}",
        "{\"b\":[{\"c\":1},{\"c\":2}]}",
        "[{\"c\":1},{\"c\":2}]",
        "[{\"c\":1},{\"c\":2}]",
        "[1,2]",
        "2",
        "[[{\"c\":1},{\"c\":2}]]",
        NULL,
        "{\"c\":1}",
        "[1,2]",
    };
    struct json_path paths[JSON_PATH_SET_MAX];
    struct slice values[JSON_PATH_SET_MAX];
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < JSON_PATH_SET_MAX; i++) {
        const char *text = texts[i % ARRAY_LEN(texts)];

        assert_int_equal(path_compile(slice_of(text), &arena, &paths[i], NULL), ERR_OK);
    }
    assert_int_equal(
        path_find(paths, JSON_PATH_SET_MAX, slice_of(wanted[0]), ARRAYS_MAX, &arena, values),
        ERR_OK);
    for (size_t i = 0; i < JSON_PATH_SET_MAX; i++) {
        const char *one = wanted[i % ARRAY_LEN(wanted)];

        assert_true(one == NULL ? values[i].data == NULL : slice_eq(values[i], slice_of(one)));
    }
    arena_clean_up(&arena);
}

/* Goal: what stars gather is bounded by the bytes allowed, and what was forgotten costs nothing. */
static void test_stars_gather_no_more_than_allowed(void **state)
{
    const struct slice json = SLICE("{\"r\":[10,20,30],\"r\":[11,21,31]}");
    struct arena arena = {0};
    struct json_path path;
    struct slice value;

    (void)state;
    assert_int_equal(path_compile(SLICE("$.r[*]"), &arena, &path, NULL), ERR_OK);
    assert_int_equal(path_find(&path, 1, json, 8, &arena, &value), ERR_TOO_LARGE);
    assert_int_equal(path_find(&path, 1, json, 9, &arena, &value), ERR_OK);
    assert_true(slice_eq(value, SLICE("[11,21,31]")));
    arena_clean_up(&arena);
}

static void test_a_parameter_is_a_text_or_wholly_a_path(void **state)
{
    static const struct {
        const char *text;
        const char *value; /* NULL: nothing */
    } rows[] = {
        {"group", "group"},
        {"", ""},
        {"$5", "$5"},
        {"x$.detail.s", "x$.detail.s"},
        {"$.detail.s", "a\"b"},
        {"$.detail.n", "1.50"},
        {"$.detail.t", "true"},
        {"$.detail.o", "{\"k\": [1]}"},
        {"$.detail.null", NULL},
        {"$.detail.none", NULL},
        {"$.detail.e", ""},
        {"$.detail.o.k[*]", "[1]"},
    };
    const struct slice event =
        SLICE("{\"detail\":{\"s\":\"a\\u0022b\",\"n\":1.50,\"t\":true,\"o\":{\"k\": [1]},"
              "\"null\":null,\"e\":\"\"}}");
    struct path_parameter parameter;
    struct arena arena = {0};
    struct slice value;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(path_parameter_compile(slice_of(rows[i].text), &arena, &parameter, NULL),
                         ERR_OK);
        assert_int_equal(path_parameter_fill(&parameter, event, ARRAYS_MAX, &arena, &value),
                         ERR_OK);
        if (rows[i].value == NULL ? value.data != NULL
                                  : !slice_eq(value, slice_of(rows[i].value))) {
            fail_msg("%s: %.*s", rows[i].text, SLICE_ARG(value));
        }
    }
    assert_int_equal(path_parameter_compile(SLICE("$.a b"), &arena, &parameter, NULL),
                     ERR_BAD_VALUE);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_finds_its_value),
        cmocka_unit_test(test_what_is_no_path_is_refused_with_its_place),
        cmocka_unit_test(test_a_path_of_the_greatest_length_works),
        cmocka_unit_test(test_many_paths_are_found_together),
        cmocka_unit_test(test_stars_gather_no_more_than_allowed),
        cmocka_unit_test(test_a_parameter_is_a_text_or_wholly_a_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
