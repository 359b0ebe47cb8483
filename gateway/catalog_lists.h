/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_lists.h - does every list that a rule asks exist, after a change as before it?
 */
#pragma once

#include "gateway/catalog.h"

/* Check what `edit` makes of the catalog: the rules of `file` name lists that there are then, no
 * other rule loses one, and all lists together are not too large.
 * Errors: ERR_BAD_CATALOG with the place in the file; ERR_CONFLICT for a rule that would lose its
 * list. */
MUST_USE enum err catalog_lists_check(const struct catalog *catalog, const json_t *file,
                                      const struct catalog_edit *edit, struct err_why *why);
