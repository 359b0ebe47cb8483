/* SPDX-License-Identifier: Apache-2.0
 *
 * dedup_config.c - from the words of `dedup.by` to the layers that gateway/dedup.c asks in turn.
 *
 * The order of the list is the order of the layers.  A named layer may come once, since a second
 * time it could never apply; layers of paths may be several: the first whose paths all exist
 * counts.
 */
#include "gateway/dedup_config.h"

#include <stdarg.h>

#include "core/check.h"
#include "routing/event_path.h"

struct layer_name {
    const char *name;
    enum account_dedup_kind kind;
    bool is_default;
};

static const struct layer_name layer_names[] = {
    {"explicit", ACCOUNT_DEDUP_EXPLICIT, true},     {"id", ACCOUNT_DEDUP_ID, true},
    {"invocation", ACCOUNT_DEDUP_INVOCATION, true}, {"signature", ACCOUNT_DEDUP_SIGNATURE, true},
    {"content", ACCOUNT_DEDUP_CONTENT, false},      {"finding", ACCOUNT_DEDUP_FINDING, false},
};

static const struct layer_name *find_name(const json_t *item)
{
    for (size_t i = 0; i < ARRAY_LEN(layer_names) && json_is_string(item); i++) {
        if (strcmp(layer_names[i].name, json_string_value(item)) == 0) {
            return &layer_names[i];
        }
    }
    return NULL;
}

static struct slice text_of(const json_t *item)
{
    return (struct slice){json_string_value(item), json_string_length(item)};
}

static bool is_path(const json_t *item)
{
    return json_is_string(item) && slice_find(text_of(item), '.') < text_of(item).len;
}

/* A list of paths is known by its first string. */
static bool is_path_list(const json_t *by)
{
    return is_path(json_array_get(by, 0));
}

/* ---- checking ------------------------------------------------------------------------------ */

struct report {
    void (*on_mistake)(void *context, const char *where, const char *what);
    void *context;
};

static PRINTF_LIKE(3, 4) void tell(const struct report *report, const char *what,
                                   const char *where_format, ...)
{
    char where[64];
    va_list arguments;

    va_start(arguments, where_format);
    (void)vsnprintf(where, sizeof(where), where_format, arguments);
    va_end(arguments);
    report->on_mistake(report->context, where, what);
}

static void check_paths(const struct report *report, const json_t *paths, const char *base)
{
    const size_t count = json_array_size(paths);

    if (!json_is_array(paths) || count == 0 || count > ACCOUNT_DEDUP_PATHS_MAX) {
        tell(report, "must be a list of 1 to 8 paths", "%s", base);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *path = json_array_get(paths, i);
        struct err_why why = {.text = ""};

        if (!json_is_string(path)) {
            tell(report, "must be a path", "%s[%zu]", base, i);
        } else if (base[0] == '\0' && !is_path(path)) {
            tell(report, "has no dot, so it is no path: a member of the envelope is $.NAME",
                 "%s[%zu]", base, i);
        } else if (event_path_check(text_of(path), &why) != ERR_OK) {
            tell(report, why.text, "%s[%zu]", base, i);
        }
        for (size_t k = 0; k < i; k++) {
            if (json_equal(path, json_array_get(paths, k))) {
                tell(report, "is named twice", "%s[%zu]", base, i);
                break;
            }
        }
    }
}

static void check_layer(const struct report *report, const json_t *by, size_t index)
{
    const json_t *layer = json_array_get(by, index);
    char base[32];

    if (json_is_object(layer)) {
        (void)snprintf(base, sizeof(base), "[%zu].paths", index);
        if (json_object_size(layer) != 1 || json_object_get(layer, "paths") == NULL) {
            tell(report, "must be {\"paths\": [...]} and no more", "[%zu]", index);
        } else {
            check_paths(report, json_object_get(layer, "paths"), base);
        }
        return;
    }
    if (is_path(layer)) {
        tell(report, "is a path among layers: write {\"paths\": [...]}", "[%zu]", index);
        return;
    }
    if (find_name(layer) == NULL) {
        tell(report,
             "must be explicit, id, invocation, signature, content, finding, "
             "{\"paths\": [...]}, or a path with a dot in it",
             "[%zu]", index);
        return;
    }
    for (size_t i = 0; i < index; i++) {
        if (json_equal(layer, json_array_get(by, i))) {
            tell(report, "is named twice", "[%zu]", index);
            return;
        }
    }
}

void dedup_config_check(const json_t *by,
                        void (*on_mistake)(void *context, const char *where, const char *what),
                        void *context)
{
    const struct report report = {on_mistake, context};

    if (!json_is_array(by) || json_array_size(by) > ACCOUNT_DEDUP_LAYERS_MAX) {
        tell(&report, "must be a list of at most 8 layers, or of at most 8 paths", "%s", "");
    } else if (is_path_list(by)) {
        check_paths(&report, by, "");
    } else {
        for (size_t i = 0; i < json_array_size(by); i++) {
            check_layer(&report, by, i);
        }
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

static void read_paths(const json_t *paths, struct arena *arena, struct account_dedup *layer)
{
    struct slice *texts = ARENA_ARRAY(arena, struct slice, json_array_size(paths));

    layer->kind = ACCOUNT_DEDUP_PATHS;
    layer->paths = texts;
    layer->path_count = json_array_size(paths);
    for (size_t i = 0; i < layer->path_count; i++) {
        texts[i] = arena_copy(arena, text_of(json_array_get(paths, i)));
    }
}

static size_t read_defaults(struct account_dedup *layers)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(layer_names); i++) {
        if (layer_names[i].is_default) {
            layers[count++].kind = layer_names[i].kind;
        }
    }
    return count;
}

const struct account_dedup *dedup_config_read(const json_t *by, struct arena *arena, size_t *count)
{
    struct account_dedup *layers =
        ARENA_ARRAY(arena, struct account_dedup,
                    by != NULL ? MAX_OF(json_array_size(by), (size_t)1) : ARRAY_LEN(layer_names));

    if (by == NULL) {
        *count = read_defaults(layers);
        return layers;
    }
    if (is_path_list(by)) {
        read_paths(by, arena, layers);
        *count = 1;
        return layers;
    }
    *count = json_array_size(by);
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(by, i);

        if (json_is_object(item)) {
            read_paths(json_object_get(item, "paths"), arena, &layers[i]);
        } else {
            const struct layer_name *name = find_name(item);

            CHECK(name != NULL);
            layers[i].kind = name->kind;
        }
    }
    return layers;
}
