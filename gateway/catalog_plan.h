/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_plan.h - from a catalog file to the smallest edit that makes the catalog equal to it.
 */
#pragma once

#include "gateway/catalog.h"

struct catalog_plan_options {
    struct slice manager; /* "apply:NAME" */
    bool take_over;       /* objects of other managers become ours */
    const uint8_t *seal_key;
    uint64_t now_ms;
};

/* Compare a checked file with the catalog.  In a section that the file has, objects of this manager
 * that the file lacks are deleted; a section absent from the file is left alone; an object of
 * another manager is ERR_CONFLICT unless take_over.  `changes` becomes an array of
 * {"op":"create"|"update"|"delete","name"}, the caller's reference, also filled on ERR_CONFLICT
 * up to the object that `why` names.  Targets keep their uid while their id stays. */
MUST_USE enum err catalog_plan(const struct catalog *catalog, const json_t *file,
                               const struct catalog_plan_options *options,
                               struct catalog_edit *edit, json_t **changes, struct err_why *why);
