/* SPDX-License-Identifier: Apache-2.0
 *
 * test_transform.c - Input, InputPath and InputTransformer: a row for each fact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/json.h"
#include "routing/transform.h"

enum { RENDERED_MAX = 256 << 10, ROW_VARIABLES_MAX = 4 };

#define EVENT                                                                                      \
    "{\"version\":\"0\",\"id\":\"7bf73129\",\"detail-type\":\"EC2 \\\"change\\\"\","               \
    "\"source\":\"aws.ec2\",\"account\":\"111122223333\",\"time\":\"2026-01-01T00:00:00Z\","       \
    "\"region\":\"eu-west-1\",\"resources\":[\"arn:1\",\"arn:2\"],\"detail\":{"                    \
    "\"type\":\"Recon:EC2/Portscan\",\"severity\":5,\"open\":true,\"none\":null,\"empty\":\"\","   \
    "\"a-b\":\"baz\",\"quote\":\"a\\\"b\\\\\",\"line\":\"x\\ny\",\"tag\":\"<type>\","              \
    "\"ids\":{\"acc_id\": \"0a787ecb-4015\", \"sf_id\":\"baz\"},"                                  \
    "\"states\":[\"ACTIVE\",\"INACTIVE\"],\"rows\":[{\"n\":1},{\"n\":\"b\"}],"                     \
    "\"text\":[\"a \\\"b\\\", c\"]}}"
#define EVENT_WITHOUT_DETAIL                                                                       \
    "{\"id\":\"7bf73129\",\"account\":\"111122223333\",\"detailType\":\"EC2 \\\"change\\\"\","     \
    "\"time\":\"2026-01-01T00:00:00Z\",\"source\":\"aws.ec2\",\"region\":\"eu-west-1\","           \
    "\"resources\":[\"arn:1\",\"arn:2\"],\"version\":\"0\"}"

static const struct transform_source source = {
    .event = SLICE_INIT(EVENT),
    .rule_arn = SLICE_INIT("arn:aws:events:eu-west-1:111122223333:rule/r"),
    .rule_name = SLICE_INIT("r"),
    .accepted_ms = UINT64_C(1767225601500), /* 2026-01-01T00:00:01.5Z */
};

/* What a transform gives, or the reason it gives nothing. In the arena. */
static const char *rendered(struct arena *arena, const struct transform *transform, enum err *err)
{
    struct err_why why = {.text = ""};
    struct buf out;
    const char *text;

    buf_init(&out, RENDERED_MAX);
    assert_int_equal(buf_append(&out, SLICE("before ")), ERR_OK);
    *err = transform_render(transform, &source, arena, &out, &why);
    text = arena_cstr(arena, slice_from(buf_slice(&out), 7));
    assert_true(*err == ERR_OK || out.len == 7);
    buf_clean_up(&out);
    return *err == ERR_OK ? text : arena_cstr(arena, slice_of(why.text));
}

struct row {
    const char *paths; /* "name=$.path name=$.path" */
    const char *template;
    const char *result;
};

static size_t split_variables(const char *paths, struct transform_variable *variables)
{
    struct slice rest = slice_of(paths);
    size_t count = 0;

    while (rest.len > 0) {
        struct slice one = slice_cut(&rest, ' ');

        assert_true(count < ROW_VARIABLES_MAX);
        variables[count].name = slice_cut(&one, '=');
        variables[count++].path = one;
    }
    return count;
}

static enum err compile(struct arena *arena, const struct row *row,
                        const struct transform **transform, struct err_why *why)
{
    struct transform_variable variables[ROW_VARIABLES_MAX];
    const size_t count = split_variables(row->paths, variables);

    return transform_compile_template(slice_of(row->template), variables, count, arena, transform,
                                      why);
}

static void check_rows(const struct row *rows, size_t count, enum err expected)
{
    struct arena arena = {0};

    for (size_t i = 0; i < count; i++) {
        const struct transform *transform = NULL;
        struct err_why why = {.text = ""};
        const char *result;
        enum err err = compile(&arena, &rows[i], &transform, &why);

        if (err != ERR_OK) {
            fail_msg("%s: %s", rows[i].template, why.text);
        }
        result = rendered(&arena, transform, &err);
        if (strcmp(result, rows[i].result) != 0 || err != expected) {
            fail_msg("%s with %s:\n%s\nnot\n%s", rows[i].template, rows[i].paths, result,
                     rows[i].result);
        }
    }
    arena_clean_up(&arena);
}

static void test_a_json_template_inserts_values_as_json(void **state)
{
    static const struct row rows[] = {
        {"t=$.detail.type s=$.detail.severity", "{\"type\":<t>,\"text\":\"severity <s>\"}",
         "{\"type\":\"Recon:EC2/Portscan\",\"text\":\"severity 5\"}"},
        {"v=$.detail.severity", "{\"a\":<v>}", "{\"a\":5}"},
        {"v=$.detail.open", "{\"a\":<v>}", "{\"a\":true}"},
        {"v=$.detail.none", "{\"a\":<v>}", "{\"a\":null}"},
        {"v=$.detail.quote", "{\"a\":<v>}", "{\"a\":\"a\\\"b\\\\\"}"},
        {"v=$.detail.ids", "{\"a\":<v>}",
         "{\"a\":{\"acc_id\": \"0a787ecb-4015\", \"sf_id\":\"baz\"}}"},
        {"v=$.resources", "{\"a\":<v>}", "{\"a\":[\"arn:1\",\"arn:2\"]}"},
        {"v=$.resources[1]", "{\"a\":<v>}", "{\"a\":\"arn:2\"}"},
        {"v=$.detail.rows[*].n", "{\"a\":<v>}", "{\"a\":[1,\"b\"]}"},
        {"v=$.detail.a-b", "{\"a\":<v>}", "{\"a\":\"baz\"}"},
        {"v=$.detail.missing", "{\"a\":<v>}", "{\"a\":\"\"}"},
        {"v=$", "{\"a\":<v>}", "{\"a\":" EVENT "}"},
        /* inside quotes */
        {"v=$.detail.type", "{\"a\":\"<v>\"}", "{\"a\":\"Recon:EC2/Portscan\"}"},
        {"u=$.account", "{\"a\":\"users/<u>/service/<u>\"}",
         "{\"a\":\"users/111122223333/service/111122223333\"}"},
        {"v=$.detail.open w=$.detail.none", "{\"a\":\"<v><w>\"}", "{\"a\":\"truenull\"}"},
        {"v=$.detail.missing", "{\"a\":\"x<v>y\"}", "{\"a\":\"xy\"}"},
        {"v=$.detail.empty", "{\"a\":\"x<v>y\"}", "{\"a\":\"xy\"}"},
        {"v=$.detail.quote", "{\"a\":\"x<v>y\"}", "{\"a\":\"xa\\\"b\\\\y\"}"},
        {"v=$.detail.line", "{\"a\":\"<v>\"}", "{\"a\":\"x\\ny\"}"},
        /* what was inserted is not read again */
        {"v=$.detail.tag type=$.source", "{\"a\":\"<v>\",\"b\":<v>}",
         "{\"a\":\"<type>\",\"b\":\"<type>\"}"},
        /* all else is the template's, byte for byte */
        {"v=$.account", "\n { \"a\" : [ <v> , \"<v>\" ] } \n",
         "\n { \"a\" : [ \"111122223333\" , \"111122223333\" ] } \n"},
        {"v=$.account", "{\"a < b\":\"</v> <> < v> <v <b c>\"}",
         "{\"a < b\":\"</v> <> < v> <v <b c>\"}"},
        {"v=$.account", "{\"a\":\"\\\"<v>\\\"\"}", "{\"a\":\"\\\"111122223333\\\"\"}"},
        {"v=$.account", "<v>", "\"111122223333\""},
        {"v=$.account", "[<v>,<v>]", "[\"111122223333\",\"111122223333\"]"},
        {"", "{\"a\":1}", "{\"a\":1}"},
        {"unused=$.detail", "{\"a\":1}", "{\"a\":1}"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), ERR_OK);
}

static void test_a_text_template_keeps_its_quotes(void **state)
{
    static const struct row rows[] = {
        {"t=$.detail.type", "\"Event of <t>\"", "\"Event of Recon:EC2/Portscan\""},
        {"t=$.detail.type", "\"one <t>\"\n\"two <t>\"",
         "\"one Recon:EC2/Portscan\"\n\"two Recon:EC2/Portscan\""},
        {"t=$.account", "\"{[/Check with special starting characters <t>\"",
         "\"{[/Check with special starting characters 111122223333\""},
        {"v=$.detail.ids", "\"<v>\"", "\"{acc_id:0a787ecb-4015,sf_id:baz}\""},
        {"v=$.detail.states", "\"<v>\"", "\"[ACTIVE,INACTIVE]\""},
        {"v=$.detail.open", "\"<v>\"", "\"true\""},
        {"v=$.detail.missing", "\"x<v>y\"", "\"xy\""},
        {"v=$.detail.quote", "\"x<v>y\"", "\"xa\\\"b\\\\y\""},
        {"v=$.detail.text", "\"<v>\"", "\"[a \\\"b\\\", c]\""},
        {"", "\"two\nlines and a\ttab\"", "\"two\nlines and a\ttab\""},
        {"v=$.account", " \"a\" \n\n\t\"<v>\"\n", " \"a\" \n\n\t\"111122223333\"\n"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), ERR_OK);
}

static void test_reserved_names(void **state)
{
    static const struct row rows[] = {
        {"", "{\"a\":<aws.events.rule-arn>}",
         "{\"a\":\"arn:aws:events:eu-west-1:111122223333:rule/r\"}"},
        {"", "{\"a\":\"<aws.events.rule-name>/<aws.events.event.ingestion-time>\"}",
         "{\"a\":\"r/2026-01-01T00:00:01Z\"}"},
        {"", "\"<aws.events.rule-name> <aws.events.rule-arn>\"",
         "\"r arn:aws:events:eu-west-1:111122223333:rule/r\""},
        {"", "{\"t\":<aws.events.event.ingestion-time>}", "{\"t\":\"2026-01-01T00:00:01Z\"}"},
        {"", "{\"e\":<aws.events.event>}", "{\"e\":" EVENT_WITHOUT_DETAIL "}"},
        {"", "{\"e\":<aws.events.event.json>}", "{\"e\":" EVENT "}"},
        {"", "<aws.events.event.json>", EVENT},
        {"v=$.detail.type", "{\"v\":<v>,\"e\":<aws.events.event>,\"f\":<aws.events.event>}",
         "{\"v\":\"Recon:EC2/Portscan\",\"e\":" EVENT_WITHOUT_DETAIL ",\"f\":" EVENT_WITHOUT_DETAIL
         "}"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), ERR_OK);
}

static void test_an_object_inside_quotes_of_json_is_an_error(void **state)
{
    static const struct row rows[] = {
        {"v=$.detail.ids", "{\"a\":\"x <v>\"}",
         "<v> stands inside quotes, where no object may be inserted"},
        {"v=$.detail.rows[*].n", "{\"a\":\"x <v>\"}",
         "<v> stands inside quotes, where no array may be inserted"},
        {"v=$.resources", "[\"<v>\"]", "<v> stands inside quotes, where no array may be inserted"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows), ERR_BAD_VALUE);
}

static void test_what_cannot_give_an_input_is_refused(void **state)
{
    static const struct row rows[] = {
        {"", "", "must have 1 to 8192 bytes"},
        {"v=$.a", "{\"a\":<w>}", "contains invalid placeholder w"},
        {"v=$.a", "{\"a\":\"<w>\"}", "contains invalid placeholder w"},
        {"v=$.a", "{\"a\":<aws.events.other>}", "contains invalid placeholder aws.events.other"},
        {"v=$.a", "\"a <b>bold</b>\"", "contains invalid placeholder b"},
        {"v=$.a", "{<v>:1}", "<v> at byte 1 stands in an object's key; keys are fixed"},
        {"v=$.a", "{\"a<v>\":1}", "<v> at byte 3 stands in an object's key; keys are fixed"},
        {"v=$.a", "{\"x\":{\"a\":1,\"<v>\":1}}",
         "<v> at byte 13 stands in an object's key; keys are fixed"},
        {"", "{\"a\":\"<aws.events.event>\"}",
         "<aws.events.event> at byte 6 is a JSON value and cannot stand inside quotes"},
        {"", "\"<aws.events.event.json>\"",
         "<aws.events.event.json> at byte 1 is a JSON value and cannot stand inside quotes"},
        {"v=$.a", "\"a\" <v>",
         "byte 4 is outside quotes: each line of a text stands in double quotes"},
        {"v=$.a", "\"a\" \"b\"",
         "byte 4 is outside quotes: each line of a text stands in double quotes"},
        {"v=$.a", "\"a\"\nb",
         "byte 4 is outside quotes: each line of a text stands in double "
         "quotes"},
        {"v=$.a", "\"a <v>", "the quotes at byte 0 do not end"},
        {"v=$.a", "\"a <v>\\\"", "the quotes at byte 0 do not end"},
        {"aws.x=$.a", "{}", "names that begin with AWS. are reserved"},
        {"AWS.events.rule-arn=$.a", "{}", "names that begin with AWS. are reserved"},
        {"a.b=$.a", "{}", "a variable's name consists of A-Z a-z 0-9 _ -"},
        {"=$.a", "{}", "a variable's name has 1 to 256 characters"},
        {"v=a", "{}", "a path begins with $, as in $.detail.id"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct transform *transform = NULL;
        struct err_why why = {.text = ""};

        assert_int_equal(compile(&arena, &rows[i], &transform, &why), ERR_BAD_VALUE);
        assert_string_equal(why.text, rows[i].result);
        assert_null(transform);
    }
    arena_clean_up(&arena);
}

/* Goal: two values may not meet, and a template without values may not be broken either. */
static void test_a_template_that_can_never_be_json_is_refused(void **state)
{
    static const char *const templates[] = {
        "{",
        "{\"a\":}",
        "<v><v>",
        "<v>\"x\"",
        "\\<v>",
        "[1<v>]",
        "[<v>1]",
        "[\"a\"<v>]",
        "{\"a\" <v>}",
        "{} {}",
        "text <v>",
        "{\"a\":<v>,}",
        "{\"a\":\"\\<v>\"}",
        "\"\\<v>\"",
        "\"\x01\"",
        "{\"a\":\"\n\"}",
        "[\"\xFF\"]",
        "\"\xFF\"",
        "   ",
        "< v>",
        "{\"a\":<v}",
        "{\"a\":<>}",
    };
    const struct transform_variable variable = {SLICE("v"), SLICE("$.a")};
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        const struct transform *transform = NULL;
        struct err_why why = {.text = ""};

        if (transform_compile_template(slice_of(templates[i]), &variable, 1, &arena, &transform,
                                       &why) != ERR_BAD_VALUE ||
            why.text[0] == '\0') {
            fail_msg("%s is accepted", templates[i]);
        }
    }
    arena_clean_up(&arena);
}

static void test_input_is_constant_json(void **state)
{
    static const char *const good[] = {"{\"a\": \"<b>\"}", "7", "\"x\"", " [1, 2] ", "null"};
    static const char *const bad[] = {"", "{", "text", "{} x"};
    struct arena arena = {0};
    enum err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const struct transform *transform;

        assert_int_equal(transform_compile_input(slice_of(good[i]), &arena, &transform, NULL),
                         ERR_OK);
        assert_string_equal(rendered(&arena, transform, &err), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct transform *transform;
        struct err_why why = {.text = ""};

        assert_int_equal(transform_compile_input(slice_of(bad[i]), &arena, &transform, &why),
                         ERR_BAD_VALUE);
        assert_true(why.text[0] != '\0');
    }
    arena_clean_up(&arena);
}

static void test_input_path_is_one_value(void **state)
{
    static const char *const rows[][2] = {
        {"$", EVENT},
        {"$.detail.a-b", "\"baz\""},
        {"$.detail.severity", "5"},
        {"$.resources", "[\"arn:1\",\"arn:2\"]"},
        {"$.resources[0]", "\"arn:1\""},
        {"$.detail.rows[*].n", "[1,\"b\"]"},
        {"$.detail.missing", "\"\""},
    };
    struct arena arena = {0};
    enum err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct transform *transform;

        assert_int_equal(transform_compile_path(slice_of(rows[i][0]), &arena, &transform, NULL),
                         ERR_OK);
        assert_string_equal(rendered(&arena, transform, &err), rows[i][1]);
    }
    arena_clean_up(&arena);
}

/* Goal: the limits of EventBridge, at the limit and one past it. */
static void test_limits(void **state)
{
    struct transform_variable variables[TRANSFORM_VARIABLES_MAX + 1];
    const struct transform *transform;
    char template[TRANSFORM_TEMPLATE_BYTES_MAX + 1];
    char name[TRANSFORM_NAME_BYTES_MAX + 1];
    struct arena arena = {0};
    struct err_why why;
    enum err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        variables[i] = (struct transform_variable){arena_printf(&arena, "v%zu", i), SLICE("$.id")};
    }
    assert_int_equal(transform_compile_template(SLICE("{}"), variables, TRANSFORM_VARIABLES_MAX + 1,
                                                &arena, &transform, &why),
                     ERR_BAD_VALUE);
    assert_string_equal(why.text, "more than 100 variables");
    assert_int_equal(transform_compile_template(SLICE("{\"a\":<v99>,\"e\":<aws.events.event>}"),
                                                variables, TRANSFORM_VARIABLES_MAX, &arena,
                                                &transform, NULL),
                     ERR_OK);
    assert_string_equal(rendered(&arena, transform, &err),
                        "{\"a\":\"7bf73129\",\"e\":" EVENT_WITHOUT_DETAIL "}");
    memset(template, 'x', sizeof(template));
    template[0] = template[TRANSFORM_TEMPLATE_BYTES_MAX - 1] = '"';
    assert_int_equal(transform_compile_template((struct slice){template, sizeof(template) - 1},
                                                NULL, 0, &arena, &transform, NULL),
                     ERR_OK);
    template[TRANSFORM_TEMPLATE_BYTES_MAX - 1] = 'x';
    template[TRANSFORM_TEMPLATE_BYTES_MAX] = '"';
    assert_int_equal(transform_compile_template((struct slice){template, sizeof(template)}, NULL, 0,
                                                &arena, &transform, NULL),
                     ERR_BAD_VALUE);
    memset(name, 'n', sizeof(name));
    assert_int_equal(transform_check_name((struct slice){name, sizeof(name) - 1}, NULL), ERR_OK);
    assert_int_equal(transform_check_name((struct slice){name, sizeof(name)}, NULL), ERR_BAD_VALUE);
    arena_clean_up(&arena);
}

/* Goal: what is kept of a template is in proportion to it, not to the worst that could be. */
static void test_a_compiled_template_is_small(void **state)
{
    const struct row row = {"v=$.detail.type", "{\"a\":<v>}", ""};
    const struct transform *transform;
    char template[TRANSFORM_TEMPLATE_BYTES_MAX];
    struct arena arena = {0};

    (void)state;
    memset(template, 'x', sizeof(template));
    template[0] = template[sizeof(template) - 1] = '"';
    assert_int_equal(compile(&arena, &row, &transform, NULL), ERR_OK);
    assert_int_equal(transform_compile_template((struct slice){template, sizeof(template)}, NULL, 0,
                                                &arena, &transform, NULL),
                     ERR_OK);
    assert_in_range(arena.used_bytes, 1, 32 * 1024);
    arena_clean_up(&arena);
}

/* Goal: an input grows to its maximum and no further, and what was in the buf stays. */
static void test_the_output_is_bounded(void **state)
{
    const struct row row = {"v=$.detail", "[<v>,<v>,<v>]", ""};
    const struct transform *transform;
    struct arena arena = {0};
    struct err_why why = {.text = ""};
    struct buf out;
    size_t len;

    (void)state;
    assert_int_equal(compile(&arena, &row, &transform, NULL), ERR_OK);
    buf_init(&out, RENDERED_MAX);
    assert_int_equal(transform_render(transform, &source, &arena, &out, &why), ERR_OK);
    len = out.len;
    buf_clean_up(&out);
    buf_init(&out, len);
    assert_int_equal(transform_render(transform, &source, &arena, &out, &why), ERR_OK);
    buf_clean_up(&out);
    buf_init(&out, len - 1);
    assert_int_equal(transform_render(transform, &source, &arena, &out, &why), ERR_TOO_LARGE);
    assert_true(slice_has_prefix(slice_of(why.text), SLICE("the input would have more than ")));
    assert_int_equal(out.len, 0);
    buf_clean_up(&out);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_json_template_inserts_values_as_json),
        cmocka_unit_test(test_a_text_template_keeps_its_quotes),
        cmocka_unit_test(test_reserved_names),
        cmocka_unit_test(test_an_object_inside_quotes_of_json_is_an_error),
        cmocka_unit_test(test_what_cannot_give_an_input_is_refused),
        cmocka_unit_test(test_a_template_that_can_never_be_json_is_refused),
        cmocka_unit_test(test_input_is_constant_json),
        cmocka_unit_test(test_input_path_is_one_value),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_compiled_template_is_small),
        cmocka_unit_test(test_the_output_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
