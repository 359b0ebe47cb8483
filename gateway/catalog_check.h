/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check.h - is this a catalog file that weir could apply? Every mistake, each with its
 * path.
 */
#pragma once

#include <jansson.h>

#include "core/slice.h"

enum { CATALOG_MISTAKES_MAX = 100 };

/* Check the whole file.  Returns an array of {"path","message"}, empty when all is well, at most
 * CATALOG_MISTAKES_MAX long; the caller's reference. */
json_t *catalog_check(json_t *file);
