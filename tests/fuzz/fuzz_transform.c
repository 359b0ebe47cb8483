/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: path_compile, path_find, transform_compile_template, transform_render
 *
 * The input is a path, behind the first NUL a template, behind the second an event.  Any bytes
 * either compile or are refused with a reason.  What a path finds is JSON.  What a template gives,
 * of this event and of one with nothing in it, is JSON or as many quoted JSON strings as the
 * template has; it is the same when asked twice, and only an object inside quotes of JSON is an
 * error.
 */
#include "core/check.h"
#include "core/json.h"
#include "routing/path.h"
#include "routing/transform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_MAX = 1 << 20 };

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* How many strings a text consists of; each must be JSON, but for line breaks and tabs. */
static size_t count_lines(struct slice text, struct arena *arena)
{
    char *copy = arena_cstr(arena, text);
    size_t count = 0;

    for (size_t at = 0; at < text.len;) {
        const size_t begin = at;

        if (is_blank(copy[at])) {
            at++;
            continue;
        }
        CHECK(copy[at] == '"');
        for (at++; at < text.len && copy[at] != '"'; at++) {
            at += copy[at] == '\\' ? 1 : 0;
            copy[at] = is_blank(copy[at]) ? ' ' : copy[at];
        }
        CHECK(at < text.len);
        at++;
        CHECK(json_check((struct slice){copy + begin, at - begin}, 1, NULL) == ERR_OK);
        count++;
    }
    return count;
}

static bool is_text(struct slice template)
{
    size_t at = 0;

    while (at < template.len && is_blank(template.data[at])) {
        at++;
    }
    return template.data[at] == '"';
}

static void render(const struct transform *transform, struct slice template, struct slice event,
                   struct arena *arena)
{
    const struct transform_source source = {
        .event = event, .rule_arn = SLICE("a\"r\\n"), .rule_name = SLICE("name")};
    const bool is_event = json_check(event, JSON_DEPTH_MAX, NULL) == ERR_OK;
    struct err_why why = {.text = ""};
    struct buf out[2];
    enum err err = ERR_OK;

    for (size_t i = 0; is_event && i < ARRAY_LEN(out); i++) {
        buf_init(&out[i], OUTPUT_MAX);
        err = transform_render(transform, &source, arena, &out[i], &why);
        CHECK(err == ERR_OK || out[i].len == 0);
        CHECK(err == ERR_OK || why.text[0] != '\0');
    }
    if (!is_event) {
        return;
    }
    CHECK(slice_eq(buf_slice(&out[0]), buf_slice(&out[1])));
    CHECK(err == ERR_OK || err == ERR_TOO_LARGE || (err == ERR_BAD_VALUE && !is_text(template)));
    if (err == ERR_OK && is_text(template)) {
        CHECK(count_lines(buf_slice(&out[0]), arena) == count_lines(template, arena));
    } else if (err == ERR_OK) {
        struct err_why fault = {.text = ""};

        /* a value may be as deep as the template's place is, once more */
        CHECK(json_check(buf_slice(&out[0]), JSON_DEPTH_MAX, &fault) == ERR_OK ||
              strstr(fault.text, "deep") != NULL);
    }
    buf_clean_up(&out[0]);
    buf_clean_up(&out[1]);
}

static void find(const struct json_path *path, struct slice event, struct arena *arena)
{
    struct slice value;
    const enum err err = path_find(path, 1, event, OUTPUT_MAX, arena, &value);

    CHECK((err == ERR_BAD_JSON) == (json_check(event, JSON_DEPTH_MAX, NULL) != ERR_OK));
    if (err == ERR_OK && value.data != NULL) {
        CHECK(json_check(value, JSON_DEPTH_MAX, NULL) == ERR_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice event = {(const char *)data, size};
    const struct slice path_text = slice_cut(&event, '\0');
    const struct slice template = slice_cut(&event, '\0');
    const struct transform *transform = NULL;
    struct transform_variable variables[2] = {{SLICE("v"), path_text}, {SLICE("w"), SLICE("$.w")}};
    struct arena arena = {0};
    struct json_path path;
    struct err_why why = {.text = ""};
    enum err err = path_compile(path_text, &arena, &path, &why);

    CHECK(err == ERR_OK || (err == ERR_BAD_VALUE && why.text[0] != '\0'));
    if (err == ERR_OK) {
        find(&path, event, &arena);
    } else {
        variables[0].path = SLICE("$");
    }
    why.text[0] = '\0';
    err = transform_compile_template(template, variables, 2, &arena, &transform, &why);
    CHECK((err == ERR_OK) == (transform != NULL));
    CHECK(err == ERR_OK || (err == ERR_BAD_VALUE && why.text[0] != '\0'));
    if (err == ERR_OK) {
        render(transform, template, event, &arena);
        render(transform, template, SLICE("{}"), &arena);
    }
    arena_clean_up(&arena);
    return 0;
}
