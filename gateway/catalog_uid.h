/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_uid.h - numbers for targets: what a stored delivery names, hence never given twice.
 *
 * They are drawn from the counter meta/uid, which is written in the same edit as the rules that
 * carry them.
 */
#pragma once

#include <stdint.h>

#include "gateway/catalog.h"

/* The draws of one edit; zeroed but for the catalog it begins on. */
struct catalog_uid {
    const struct catalog *catalog;
    uint64_t next;
    bool has_drawn;
};

/* Give each target of `rule` its uid: the one that the target of the same id has in `old_rule`
 * (may be NULL), else a fresh one. */
void catalog_uid_give(struct catalog_uid *uid, json_t *rule, const json_t *old_rule);
/* After the last draw: put the counter into the edit, if it moved. */
void catalog_uid_put(const struct catalog_uid *uid, struct catalog_edit *edit);
