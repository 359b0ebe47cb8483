/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_uid.h - numbers for targets and archives: what a stored delivery or event names, hence
 * never given twice.
 *
 * They are drawn from the counter meta/uid, which is written in the same edit as the rules and
 * archives that carry them.
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
/* Give an archive its uid and "since_ms", when it was made: those of `old` (may be NULL) if that is
 * of the same bus, else fresh ones. */
void catalog_uid_give_archive(struct catalog_uid *uid, json_t *archive, const json_t *old,
                              uint64_t now_ms);
/* After the last draw: put the counter into the edit, if it moved. */
void catalog_uid_put(const struct catalog_uid *uid, struct catalog_edit *edit);
