/* SPDX-License-Identifier: Apache-2.0
 *
 * path.h - the paths that targets name values of an event by: InputPath, the variables of an
 * InputTransformer, and parameters that are wholly a path.
 *
 *     $                       the whole event
 *     $.detail.a-b            a member, by dots alone
 *     $.resources[0]          an element, counted from 0
 *     $.detail.rows[*].id     each element, or each member's value: `.*` says the same
 *
 * EventBridge's subset of JSONPath: no filters, slices, functions, `..` or names in brackets.  A
 * path with a star gives a JSON array of what it reaches, in the order of the event.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum {
    JSON_PATH_BYTES_MAX = 256,
    JSON_PATH_STEPS_MAX = (JSON_PATH_BYTES_MAX - 1) / 2, /* the shortest step has two bytes */
    JSON_PATH_SET_MAX = 128,                             /* paths looked for together */
};

struct path_step {
    enum path_step_kind { PATH_NAME, PATH_INDEX, PATH_STAR } kind;
    struct slice name;
    uint64_t index;
};

/* Compiled, immutable; the steps and the names lie in the arena it was compiled in. */
struct json_path {
    const struct path_step *steps;
    size_t step_count;
    size_t fixed_count; /* steps before the first star; step_count without one */
};

/* ERR_BAD_VALUE with what is wrong and at which byte. */
MUST_USE enum err path_compile(struct slice text, struct arena *arena, struct json_path *path,
                               struct err_why *why);

/* The JSON text at each of `count` <= JSON_PATH_SET_MAX paths, in one pass over `json`: values[i]
 * has NULL data where nothing is.  Without a star the text is a slice of `json`; with one it is an
 * array in the arena, and empty when the star's container is there but nothing of it is reached.
 *
 * Of a member given twice the later counts; behind a star each counts.
 * Errors: ERR_BAD_JSON; ERR_TOO_LARGE when the arrays together pass `arrays_bytes_max`.
 * Cost:   each byte is read once, each key that lies on a path compared with the names that could
 *         follow there. */
MUST_USE enum err path_find(const struct json_path *paths, size_t count, struct slice json,
                            size_t arrays_bytes_max, struct arena *arena, struct slice *values);

/* A parameter of a target: a text, or the value at a path of the event when the text is wholly one
 * (it begins with "$."). */
struct path_parameter {
    struct slice text;
    const struct json_path *path; /* NULL: the text itself */
};

/* ERR_BAD_VALUE if it begins as a path and is none. Borrows the text. */
MUST_USE enum err path_parameter_compile(struct slice text, struct arena *arena,
                                         struct path_parameter *parameter, struct err_why *why);
/* What it stands for under this event: the characters of a string, the JSON text of any other
 * value, or nothing where the path leads nowhere or to null.  Errors as path_find(). */
MUST_USE enum err path_parameter_fill(const struct path_parameter *parameter, struct slice event,
                                      size_t bytes_max, struct arena *arena, struct slice *value);
