/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_document.h - is this a document that weir could have stored?
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/slice.h"

/* Is this member of a document weir's own, and in no catalog file? */
bool catalog_document_is_private(const char *key);
/* The members that a catalog file would have; the caller's reference. */
json_t *catalog_document_public(const json_t *value);

/* Check one stored document, whoever wrote it: `name` is "kind/key", `value` may be NULL or
 * anything. ERR_BAD_CATALOG with name and reason in `why`.  A kind that this version does not know
 * is fine: nothing is made of it. */
MUST_USE enum err catalog_document_check(struct slice name, const json_t *value,
                                         struct err_why *why);
/* The mistakes of one document as catalog_check() tells them, with paths that begin in the
 * document; `section` is that of the file, such as "rules".  The caller's reference. */
json_t *catalog_document_mistakes(const char *section, const json_t *value);
