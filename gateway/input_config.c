/* SPDX-License-Identifier: Apache-2.0
 *
 * input_config.c - the three members of a target that change what it gets.
 *
 * Each variable is tried alone first, so that a mistake in its name or path is told at its own
 * place; only then the template is compiled with all of them.  What the check accepts, the reader
 * compiles: both call the same functions.
 */
#include "gateway/input_config.h"

#include "core/check.h"
#include "gateway/catalog.h"
#include "routing/path.h"

struct mistakes {
    void (*on_mistake)(void *context, const char *where, const char *what);
    void *context;
    size_t count;
};

static void tell(struct mistakes *mistakes, const char *where, const char *what)
{
    mistakes->on_mistake(mistakes->context, where, what);
    mistakes->count++;
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

/* The variables of a transformer, in the arena. */
static const struct transform_variable *read_variables(json_t *map, struct arena *arena,
                                                       size_t *count)
{
    struct transform_variable *variables =
        ARENA_ARRAY(arena, struct transform_variable, json_object_size(map));
    const char *name;
    json_t *path;

    *count = 0;
    json_object_foreach(map, name, path)
    {
        variables[(*count)++] =
            (struct transform_variable){arena_copy(arena, slice_of(name)), text_of(path)};
    }
    return variables;
}

enum err input_config_read(const json_t *target, struct arena *arena,
                           const struct transform **transform, struct err_why *why)
{
    const json_t *transformer = json_object_get(target, "input_transformer");
    const struct transform_variable *variables;
    size_t count;

    *transform = NULL;
    if (json_is_string(json_object_get(target, "input"))) {
        return transform_compile_input(json_member_text(target, "input"), arena, transform, why);
    }
    if (json_is_string(json_object_get(target, "input_path"))) {
        return transform_compile_path(json_member_text(target, "input_path"), arena, transform,
                                      why);
    }
    if (!json_is_object(transformer)) {
        return ERR_OK;
    }
    variables = read_variables(json_object_get(transformer, "input_paths_map"), arena, &count);
    return transform_compile_template(json_member_text(transformer, "input_template"), variables,
                                      count, arena, transform, why);
}

/* ---- checking ------------------------------------------------------------------------------ */

static bool is_given(const json_t *target, const char *key)
{
    const json_t *value = json_object_get(target, key);

    return value != NULL && !json_is_null(value);
}

static void check_variables(struct mistakes *mistakes, const json_t *target, struct arena *arena)
{
    json_t *map = json_object_get(json_object_get(target, "input_transformer"), "input_paths_map");
    size_t count;
    const struct transform_variable *variables = read_variables(map, arena, &count);

    for (size_t i = 0; i < count; i++) {
        struct err_why why = {.text = ""};
        struct json_path *path = ARENA_NEW(arena, struct json_path);

        if (transform_check_name(variables[i].name, &why) != ERR_OK ||
            path_compile(variables[i].path, arena, path, &why) != ERR_OK) {
            tell(mistakes,
                 arena_printf(arena, ".input_transformer.input_paths_map.%.*s",
                              SLICE_ARG(variables[i].name))
                     .data,
                 why.text);
        }
    }
}

static bool is_bus(struct slice arn)
{
    for (size_t colons = 0; colons < 5; colons++) {
        if (colons == 2 && !slice_has_prefix(arn, SLICE("events:"))) {
            return false;
        }
        (void)slice_cut(&arn, ':');
    }
    return slice_has_prefix(arn, SLICE("event-bus/"));
}

void input_config_check(const json_t *target,
                        void (*on_mistake)(void *context, const char *where, const char *what),
                        void *context)
{
    static const char *const members[][2] = {
        {"input", ".input"},
        {"input_path", ".input_path"},
        {"input_transformer", ".input_transformer.input_template"},
    };
    struct mistakes mistakes = {.on_mistake = on_mistake, .context = context};
    const struct transform *transform;
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    const char *where = NULL;
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (is_given(target, members[i][0])) {
            where = members[i][1];
            count++;
        }
    }
    if (count > 1) {
        tell(&mistakes, "", INPUT_CONFIG_ONLY_ONE);
    } else if (count == 1 && is_bus(json_member_text(target, "arn"))) {
        tell(&mistakes, "",
             "an event bus takes the event as it is: no input, input_path or "
             "input_transformer");
    } else if (count == 1) {
        check_variables(&mistakes, target, &arena);
        if (mistakes.count == 0 && input_config_read(target, &arena, &transform, &why) != ERR_OK) {
            tell(&mistakes, where, why.text);
        }
    }
    arena_clean_up(&arena);
}
