/* SPDX-License-Identifier: Apache-2.0
 *
 * transform_internal.h - a compiled transform, as its compiler and its renderer see it.
 */
#pragma once

#include "routing/path.h"
#include "routing/transform.h"

/* Where the value of a placeholder comes from. */
enum transform_origin {
    TRANSFORM_PATH,
    TRANSFORM_RULE_ARN,
    TRANSFORM_RULE_NAME,
    TRANSFORM_INGESTION_TIME,
    TRANSFORM_EVENT,      /* the envelope without its detail */
    TRANSFORM_EVENT_JSON, /* all of it */
};

enum transform_part_kind {
    TRANSFORM_TEXT,   /* the template's own bytes */
    TRANSFORM_VALUE,  /* a value as JSON */
    TRANSFORM_INSIDE, /* a value inside quotes */
};

struct transform_part {
    enum transform_part_kind kind;
    struct slice text; /* as it stands in the template, the placeholder's brackets included */
    enum transform_origin origin;
    size_t path; /* TRANSFORM_PATH: which of transform.paths */
};

enum { TRANSFORM_ENVELOPE_MEMBERS = 8 };

/* The members of <aws.events.event>, in its order. */
struct transform_member {
    struct slice key;
    struct slice path;
};
extern const struct transform_member transform_envelope[TRANSFORM_ENVELOPE_MEMBERS];

struct transform {
    bool is_text; /* an object may stand inside quotes */
    const struct transform_part *parts;
    size_t part_count;
    /* those that the parts use; the last are the members of the envelope, if `has_envelope` */
    const struct json_path *paths;
    size_t path_count;
    bool has_envelope;
};
