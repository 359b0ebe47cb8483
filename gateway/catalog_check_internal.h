/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check_internal.h - the check of a catalog file as its four files see it.
 *
 *   catalog_shape.c         one walker: any object against the table of its members
 *   catalog_check_target.c  what a target may hold, and what its members mean
 *   catalog_check_api.c     connections and API destinations
 *   catalog_check.c         all other objects
 */
#pragma once

#include <jansson.h>

#include "core/slice.h"

enum catalog_member_type {
    CATALOG_TEXT,
    CATALOG_ACCOUNT,
    CATALOG_ACCOUNTS, /* or "*" */
    CATALOG_TEXTS,
    CATALOG_ENTRIES, /* a list; its items are looked at with its meaning */
    CATALOG_TEXT_MAP,
    CATALOG_LONG_TEXT_MAP, /* of at most 512 characters each, where the other has 256 */
    CATALOG_BOOL,
    CATALOG_COUNT,
    CATALOG_SPAN,
    CATALOG_OBJECT,
    CATALOG_OBJECTS,
    CATALOG_PATTERN,
    CATALOG_ANY, /* looked at with its meaning */
    CATALOG_DEDUP_LAYERS,
    CATALOG_SECRET, /* {"file": PATH} or {"stored": true} */
    CATALOG_VALUE,  /* a text, or a secret */
};

struct catalog_member {
    const char *key;
    enum catalog_member_type type;
    bool is_required;
    uint64_t max; /* characters, items, or the greatest number */
    const struct catalog_member
        *members; /* of CATALOG_OBJECT and CATALOG_OBJECTS; ends with a NULL key */
};

/* Where in the file: "rules[3].targets[0].arn". */
struct catalog_path {
    char text[256];
};

struct catalog_path catalog_path_member(const struct catalog_path *base, const char *key);
struct catalog_path catalog_path_item(const struct catalog_path *base, size_t index);

/* Note one more mistake; past CATALOG_MISTAKES_MAX none. */
PRINTF_LIKE(3, 4)
void catalog_mistake(json_t *mistakes, const struct catalog_path *path, const char *format, ...);

/* For modules that check a value of their own: `context` of a callback that tells a mistake. */
struct catalog_place {
    json_t *mistakes;
    const struct catalog_path *path;
};
void catalog_inner_mistake(void *context, const char *where, const char *what);

/* The shape of one object, and of all that it holds. */
void catalog_check_object(json_t *mistakes, const struct catalog_path *path, json_t *object,
                          const struct catalog_member *members);

bool catalog_is_account(struct slice text);
/* A-Z a-z 0-9 . - _ */
bool catalog_is_name(struct slice text);
struct slice catalog_text_of(const json_t *value);

/* `name` stands nowhere else in what `seen` remembers. */
void catalog_check_unique(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                          const char *name);
/* The member `key`, if it is there, is a name. */
void catalog_check_name(json_t *mistakes, const struct catalog_path *base, const char *key,
                        const json_t *object);
/* "arn:aws:iam::ACCOUNT:role/NAME", where ACCOUNT may be {account} if that is allowed. */
void catalog_check_role_arn(json_t *mistakes, const struct catalog_path *path, struct slice arn,
                            bool is_template_allowed);

/* ---- catalog_check_api.c ---- */

extern const struct catalog_member catalog_connection_members[];
extern const struct catalog_member catalog_api_destination_members[];

/* The meaning of one whose shape is right. */
void catalog_check_connection(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                              const json_t *connection);
void catalog_check_api_destination(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                                   const json_t *destination);

/* ---- catalog_check_target.c ---- */

extern const struct catalog_member catalog_target_members[];

/* The meaning of what a target calls, whose shape is right: also that of a step. */
void catalog_check_call(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                        bool is_central);
/* The meaning of a target whose shape is right. */
void catalog_check_target(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                          bool is_central);
