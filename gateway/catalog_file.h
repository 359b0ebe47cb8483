/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_file.h - the catalog file as text: read without losing a byte of a pattern, and written.
 */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "gateway/catalog.h"

/* Parse the text of a catalog file.  Each rule's `pattern` becomes the *string* of its exact text,
 * whichever of the two forms it had: numbers keep their digits and members their order.
 * ERR_BAD_CATALOG with line and column in `why`; on ERR_OK the tree is the caller's. */
MUST_USE enum err catalog_file_read(struct slice text, json_t **file, struct err_why *why);
/* Append the whole catalog as catalog_file_read() takes it: reading it back and applying it changes
 * nothing.  Credentials are not in it. */
MUST_USE enum err catalog_file_write(const struct catalog *catalog, struct buf *out);
