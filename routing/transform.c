/* SPDX-License-Identifier: Apache-2.0
 *
 * transform.c - compile what a target gets: cut a template into parts, and prove its shape.
 *
 * All three ways become one thing, a list of parts: Input is a text, InputPath one value, and a
 * template is its text with values in between.
 *
 * That a rendered template is JSON is proved here, once, and not hoped for at each event.  A copy
 * of the template is made in which every placeholder outside quotes is the value "" and blanks, so
 * each byte keeps its place; this skeleton must be JSON, or lines in quotes.  A placeholder outside
 * quotes is always replaced by one JSON value and one inside quotes by characters that cannot end
 * them, so what holds for the skeleton holds for every rendering.
 *
 * `<` and `>` around anything but letters, digits, dash, dot and underscore are text: "a < b" needs
 * no escape.
 *
 * Memory: what is compiled lies in the caller's arena, in its exact size, for a catalog may hold
 *         many; what compiling needs is freed at its end.
 */
#include "routing/transform.h"

#include "core/check.h"
#include "core/json.h"
#include "routing/transform_internal.h"

const struct transform_member transform_envelope[TRANSFORM_ENVELOPE_MEMBERS] = {
    {SLICE_INIT("id"), SLICE_INIT("$.id")},
    {SLICE_INIT("account"), SLICE_INIT("$.account")},
    {SLICE_INIT("detailType"), SLICE_INIT("$.detail-type")},
    {SLICE_INIT("time"), SLICE_INIT("$.time")},
    {SLICE_INIT("source"), SLICE_INIT("$.source")},
    {SLICE_INIT("region"), SLICE_INIT("$.region")},
    {SLICE_INIT("resources"), SLICE_INIT("$.resources")},
    {SLICE_INIT("version"), SLICE_INIT("$.version")},
};

static const struct {
    struct slice name;
    enum transform_origin origin;
    bool is_json; /* a value, never characters inside quotes */
} reserved[] = {
    {SLICE_INIT("aws.events.rule-arn"), TRANSFORM_RULE_ARN, false},
    {SLICE_INIT("aws.events.rule-name"), TRANSFORM_RULE_NAME, false},
    {SLICE_INIT("aws.events.event.ingestion-time"), TRANSFORM_INGESTION_TIME, false},
    {SLICE_INIT("aws.events.event"), TRANSFORM_EVENT, true},
    {SLICE_INIT("aws.events.event.json"), TRANSFORM_EVENT_JSON, true},
};

/* ---- without a template -------------------------------------------------------------------- */

static const struct transform *one_part(struct arena *arena, const struct transform_part *part,
                                        const struct json_path *path)
{
    struct transform *transform = ARENA_NEW(arena, struct transform);
    struct transform_part *kept = ARENA_NEW(arena, struct transform_part);

    *kept = *part;
    *transform = (struct transform){
        .parts = kept, .part_count = 1, .paths = path, .path_count = path != NULL ? 1 : 0};
    return transform;
}

enum err transform_compile_input(struct slice text, struct arena *arena,
                                 const struct transform **transform, struct err_why *why)
{
    if (text.len == 0 || text.len > TRANSFORM_INPUT_BYTES_MAX) {
        return err_because(ERR_BAD_VALUE, why, "must have 1 to %d bytes",
                           TRANSFORM_INPUT_BYTES_MAX);
    }
    if (json_check(text, JSON_DEPTH_MAX, why) != ERR_OK) {
        return ERR_BAD_VALUE;
    }
    *transform = one_part(
        arena, &(struct transform_part){.kind = TRANSFORM_TEXT, .text = arena_copy(arena, text)},
        NULL);
    return ERR_OK;
}

enum err transform_compile_path(struct slice text, struct arena *arena,
                                const struct transform **transform, struct err_why *why)
{
    struct json_path *path = ARENA_NEW(arena, struct json_path);

    TRY(path_compile(text, arena, path, why));
    *transform = one_part(
        arena, &(struct transform_part){.kind = TRANSFORM_VALUE, .origin = TRANSFORM_PATH}, path);
    return ERR_OK;
}

/* ---- variables ----------------------------------------------------------------------------- */

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

enum err transform_check_name(struct slice name, struct err_why *why)
{
    if (slice_eq_ignore_case(slice_first(name, 4), SLICE("aws."))) {
        return err_because(ERR_BAD_VALUE, why, "names that begin with AWS. are reserved");
    }
    if (name.len == 0 || name.len > TRANSFORM_NAME_BYTES_MAX) {
        return err_because(ERR_BAD_VALUE, why, "a variable's name has 1 to %d characters",
                           TRANSFORM_NAME_BYTES_MAX);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.data[i])) {
            return err_because(ERR_BAD_VALUE, why, "a variable's name consists of A-Z a-z 0-9 _ -");
        }
    }
    return ERR_OK;
}

struct compiler {
    struct slice template; /* in `arena` */
    struct arena *arena;   /* what is compiled */
    struct arena scratch;  /* what compiling needs, sized for the worst template */
    struct err_why *why;
    const struct transform_variable *variables;
    size_t variable_count;
    size_t *variable_use; /* index among the transform's paths, or SIZE_MAX */
    struct transform *transform;
    struct transform_part *parts;
    struct json_path *paths;
    char *skeleton;
};

static enum err read_variables(struct compiler *compiler)
{
    const size_t count = compiler->variable_count;

    if (count > TRANSFORM_VARIABLES_MAX) {
        return err_because(ERR_BAD_VALUE, compiler->why, "more than %d variables",
                           TRANSFORM_VARIABLES_MAX);
    }
    compiler->variable_use = ARENA_ARRAY(&compiler->scratch, size_t, count);
    for (size_t i = 0; i < count; i++) {
        struct json_path path;

        TRY(transform_check_name(compiler->variables[i].name, compiler->why));
        TRY(path_compile(compiler->variables[i].path, &compiler->scratch, &path, compiler->why));
        compiler->variable_use[i] = SIZE_MAX;
    }
    return ERR_OK;
}

/* A path that is known to be good, among those of the transform. */
static size_t use_path(struct compiler *compiler, struct slice text)
{
    CHECK(path_compile(text, compiler->arena, &compiler->paths[compiler->transform->path_count],
                       NULL) == ERR_OK);
    return compiler->transform->path_count++;
}

/* ---- cutting ------------------------------------------------------------------------------- */

static enum err refuse(const struct compiler *compiler, size_t at, const char *what,
                       struct slice name)
{
    return err_because(ERR_BAD_VALUE, compiler->why, "<%.*s> at byte %zu %s", SLICE_ARG(name), at,
                       what);
}

/* The name of the placeholder at `at`, empty if there is none. */
static struct slice placeholder_at(struct slice template, size_t at)
{
    const struct slice rest = slice_from(template, at + 1);
    size_t len = 0;

    while (len < rest.len && (is_name_byte(rest.data[len]) || rest.data[len] == '.')) {
        len++;
    }
    return slice_first(rest, len < rest.len && rest.data[len] == '>' ? len : 0);
}

static enum err name_origin(struct compiler *compiler, size_t at, struct slice name,
                            bool is_in_quotes, struct transform_part *part)
{
    for (size_t i = 0; i < compiler->variable_count; i++) {
        if (slice_eq(compiler->variables[i].name, name)) {
            if (compiler->variable_use[i] == SIZE_MAX) {
                compiler->variable_use[i] = use_path(compiler, compiler->variables[i].path);
            }
            part->origin = TRANSFORM_PATH;
            part->path = compiler->variable_use[i];
            return ERR_OK;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (slice_eq(reserved[i].name, name)) {
            if (reserved[i].is_json && is_in_quotes) {
                return refuse(compiler, at, "is a JSON value and cannot stand inside quotes", name);
            }
            part->origin = reserved[i].origin;
            compiler->transform->has_envelope =
                compiler->transform->has_envelope || part->origin == TRANSFORM_EVENT;
            return ERR_OK;
        }
    }
    return err_because(ERR_BAD_VALUE, compiler->why, TRANSFORM_BAD_PLACEHOLDER "%.*s",
                       SLICE_ARG(name));
}

static void add_part(struct compiler *compiler, const struct transform_part *part)
{
    if (part->text.len > 0) {
        compiler->parts[compiler->transform->part_count++] = *part;
    }
}

/* Outside quotes the skeleton has a value in the placeholder's place. */
static void blank_out(struct compiler *compiler, size_t at, size_t len)
{
    memset(compiler->skeleton + at, ' ', len);
    memcpy(compiler->skeleton + at, "\"\"", 2);
}

static enum err cut(struct compiler *compiler)
{
    const struct slice template = compiler->template;
    bool is_in_quotes = false;
    size_t from = 0; /* of the text that is no part yet */

    for (size_t at = 0; at < template.len; at++) {
        const char byte = template.data[at];
        const struct slice name =
            byte == '<' ? placeholder_at(template, at) : (struct slice){NULL, 0};
        struct transform_part part = {.kind = is_in_quotes ? TRANSFORM_INSIDE : TRANSFORM_VALUE,
                                      .text = {template.data + at, name.len + 2}};

        if (name.len > 0) {
            TRY(name_origin(compiler, at, name, is_in_quotes, &part));
            add_part(compiler,
                     &(struct transform_part){.text = slice_from(slice_first(template, at), from)});
            add_part(compiler, &part);
            if (!is_in_quotes) {
                blank_out(compiler, at, part.text.len);
            }
            from = at + part.text.len;
            at = from - 1;
        } else if (byte == '"') {
            is_in_quotes = !is_in_quotes;
        } else if (byte == '\\' && is_in_quotes) {
            at++;
        }
    }
    add_part(compiler, &(struct transform_part){.text = slice_from(template, from)});
    return ERR_OK;
}

/* ---- proving ------------------------------------------------------------------------------- */

/* The part that begins within these bytes of the skeleton, or NULL. */
static const struct transform_part *placeholder_in(const struct compiler *compiler, size_t from,
                                                   size_t to)
{
    for (size_t i = 0; i < compiler->transform->part_count; i++) {
        const struct transform_part *part = &compiler->parts[i];
        const size_t at = (size_t)(part->text.data - compiler->template.data);

        if (part->kind != TRANSFORM_TEXT && at >= from && at < to) {
            return part;
        }
    }
    return NULL;
}

/* The skeleton is JSON, and no placeholder is or is in a key. */
static enum err prove_json(const struct compiler *compiler)
{
    const struct slice skeleton = {compiler->skeleton, compiler->template.len};
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, skeleton, JSON_DEPTH_MAX);
    while (json_next(&reader, &token) != JSON_TYPE_END) {
        const size_t at = (size_t)(token.raw.data - skeleton.data);
        const struct transform_part *part;

        if (token.type == JSON_TYPE_ERROR) {
            (void)json_fault(&reader, compiler->why);
            return ERR_BAD_VALUE;
        }
        /* from the opening quote, where a placeholder without quotes begins */
        part = token.type == JSON_TYPE_KEY ? placeholder_in(compiler, at - 1, at + token.raw.len)
                                           : NULL;
        if (part != NULL) {
            return refuse(compiler, (size_t)(part->text.data - compiler->template.data),
                          "stands in an object's key; keys are fixed",
                          slice_from(slice_first(part->text, part->text.len - 1), 1));
        }
    }
    return ERR_OK;
}

/* How far the string at the front of `rest` reaches, both quotes included; rest.len + 1 if it does
 * not end. */
static size_t string_len(struct slice rest)
{
    size_t len = 1;

    while (len < rest.len && rest.data[len] != '"') {
        len += rest.data[len] == '\\' ? 2 : 1;
    }
    return MIN_OF(len, rest.len) + 1;
}

/* A line in quotes: a JSON string, in which line breaks and tabs may stand as they are. */
static enum err prove_line(const struct compiler *compiler, size_t at, size_t len)
{
    char *line = compiler->skeleton + at;
    struct err_why detail = {.text = ""};

    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\n' || line[i] == '\r' || line[i] == '\t') {
            line[i] = ' ';
        }
    }
    if (json_check((struct slice){line, len}, 1, &detail) != ERR_OK) {
        return err_because(ERR_BAD_VALUE, compiler->why, "the line that begins at byte %zu: %s", at,
                           detail.text);
    }
    return ERR_OK;
}

/* Strings, each on lines of its own. */
static enum err prove_text(const struct compiler *compiler)
{
    const struct slice template = compiler->template;
    bool is_new_line = true;

    for (size_t at = 0; at < template.len;) {
        const struct slice rest = slice_from(template, at);
        const size_t len = string_len(rest);

        if (strchr(" \t\r\n", rest.data[0]) != NULL && rest.data[0] != '\0') {
            is_new_line = is_new_line || rest.data[0] == '\n';
            at++;
            continue;
        }
        if (rest.data[0] != '"' || !is_new_line) {
            return err_because(ERR_BAD_VALUE, compiler->why,
                               "byte %zu is outside quotes: each line of a text stands in double "
                               "quotes",
                               at);
        }
        if (len > rest.len) {
            return err_because(ERR_BAD_VALUE, compiler->why, "the quotes at byte %zu do not end",
                               at);
        }
        TRY(prove_line(compiler, at, len));
        is_new_line = false;
        at += len;
    }
    return ERR_OK;
}

static bool begins_with_quote(struct slice template)
{
    for (size_t i = 0; i < template.len; i++) {
        if (template.data[i] == '\0' || strchr(" \t\r\n", template.data[i]) == NULL) {
            return template.data[i] == '"';
        }
    }
    return false;
}

/* Take over what was compiled, in its exact size. */
static void keep(struct compiler *compiler)
{
    struct transform *transform = compiler->transform;
    struct transform_part *parts =
        ARENA_ARRAY(compiler->arena, struct transform_part, transform->part_count);
    struct json_path *paths;

    for (size_t i = 0; transform->has_envelope && i < TRANSFORM_ENVELOPE_MEMBERS; i++) {
        (void)use_path(compiler, transform_envelope[i].path);
    }
    paths = ARENA_ARRAY(compiler->arena, struct json_path, transform->path_count);
    memcpy(parts, compiler->parts, transform->part_count * sizeof(parts[0]));
    if (transform->path_count > 0) {
        memcpy(paths, compiler->paths, transform->path_count * sizeof(paths[0]));
    }
    transform->parts = parts;
    transform->paths = paths;
}

static enum err compile(struct compiler *compiler)
{
    const size_t len = compiler->template.len;

    if (len == 0 || len > TRANSFORM_TEMPLATE_BYTES_MAX) {
        return err_because(ERR_BAD_VALUE, compiler->why, "must have 1 to %d bytes",
                           TRANSFORM_TEMPLATE_BYTES_MAX);
    }
    TRY(read_variables(compiler));
    compiler->template = arena_copy(compiler->arena, compiler->template);
    compiler->skeleton = arena_cstr(&compiler->scratch, compiler->template);
    /* a placeholder has three bytes, and a text before it */
    compiler->parts = ARENA_ARRAY(&compiler->scratch, struct transform_part, len / 3 * 2 + 1);
    compiler->paths = ARENA_ARRAY(&compiler->scratch, struct json_path,
                                  compiler->variable_count + TRANSFORM_ENVELOPE_MEMBERS);
    compiler->transform = ARENA_NEW(compiler->arena, struct transform);
    compiler->transform->is_text = begins_with_quote(compiler->template);
    TRY(cut(compiler));
    TRY(compiler->transform->is_text ? prove_text(compiler) : prove_json(compiler));
    keep(compiler);
    return ERR_OK;
}

enum err transform_compile_template(struct slice template,
                                    const struct transform_variable *variables,
                                    size_t variable_count, struct arena *arena,
                                    const struct transform **transform, struct err_why *why)
{
    struct compiler compiler = {.template = template,
                                .arena = arena,
                                .why = why,
                                .variables = variables,
                                .variable_count = variable_count};
    const enum err err = compile(&compiler);

    arena_clean_up(&compiler.scratch);
    if (err == ERR_OK) {
        *transform = compiler.transform;
    }
    return err;
}
