/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_rules.h - the rules and schedules of a snapshot.
 */
#pragma once

#include "gateway/snapshot.h"

/* Give the snapshot its ruleset and its schedules: those of options->previous, with what the
 * documents that changed (of all kinds, each once) hold now.  Without a previous one all have.
 * ERR_STORE_CORRUPT with the name in `why`, and nothing is given. */
MUST_USE enum err snapshot_add_rules(const struct catalog *catalog,
                                     const struct snapshot_options *options,
                                     const struct catalog_change *const *changes, size_t count,
                                     struct snapshot *snapshot, struct err_why *why);
