/* SPDX-License-Identifier: Apache-2.0
 *
 * transform.h - what a target gets instead of the event: Input, InputPath or InputTransformer,
 * compiled when the target is put and rendered when a delivery is sent.
 *
 * A template is JSON, or text: lines that each stand in double quotes.  `<name>` stands for a
 * variable of the map or for one of the reserved names below.
 *
 *     unquoted         the value as JSON: strings with their quotes, others as they came; "" where
 *                      the path leads nowhere
 *     inside quotes    a string's characters, JSON-escaped; a number, true, false or null as
 *                      written; nothing where the path leads nowhere.  An object or array: in a
 *                      text template its JSON without quotes; in a JSON template an error
 *
 * A value is never read again for placeholders, and never ends the quotes it stands in: whatever
 * the event holds, the shape of the rendered input is the template's.
 *
 *     <aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>    strings
 *     <aws.events.event>          the envelope without `detail`;  both are JSON values and never
 *     <aws.events.event.json>     the whole envelope;             stand inside quotes
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

/* How the reason begins when a template names a variable that there is not. */
#define TRANSFORM_BAD_PLACEHOLDER "contains invalid placeholder "

enum {
    TRANSFORM_INPUT_BYTES_MAX = 8192,
    TRANSFORM_TEMPLATE_BYTES_MAX = 8192,
    TRANSFORM_VARIABLES_MAX = 100,
    TRANSFORM_NAME_BYTES_MAX = 256,
};

struct transform;

/* One entry of InputPathsMap. */
struct transform_variable {
    struct slice name;
    struct slice path;
};

/* May a variable be called so?  ERR_BAD_VALUE with the reason. */
MUST_USE enum err transform_check_name(struct slice name, struct err_why *why);

/* Compile into the arena; what is compiled is immutable and lives as long as the arena.
 * ERR_BAD_VALUE with what is wrong and where in the text.  `Input` must be JSON; a template must
 * give JSON, or lines of text, whatever the values are, but for an object inside quotes, which is
 * known only when it comes. */
MUST_USE enum err transform_compile_input(struct slice text, struct arena *arena,
                                          const struct transform **transform, struct err_why *why);
MUST_USE enum err transform_compile_path(struct slice text, struct arena *arena,
                                         const struct transform **transform, struct err_why *why);
/* The variables may not repeat a name. */
MUST_USE enum err transform_compile_template(struct slice template,
                                             const struct transform_variable *variables,
                                             size_t variable_count, struct arena *arena,
                                             const struct transform **transform,
                                             struct err_why *why);

/* What is known of one delivery. */
struct transform_source {
    struct slice event;    /* the envelope's JSON text, as ingest made it */
    struct slice document; /* where paths look; empty: in the event */
    struct slice rule_arn;
    struct slice rule_name;
    uint64_t accepted_ms;
};

/* Write the input at the end of `out`.  On failure `out` is as it was, with the reason in `why`.
 * Errors: ERR_TOO_LARGE past the maximum of `out`; ERR_BAD_VALUE for an object or array inside
 * quotes of a JSON template; ERR_BAD_JSON if the event is none.
 * Cost:   one pass over the event and one over the output. */
MUST_USE enum err transform_render(const struct transform *transform,
                                   const struct transform_source *source, struct arena *arena,
                                   struct buf *out, struct err_why *why);
