/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_secrets.h - the secrets of a connection: read from files, sealed in the document.
 *
 * In a file a secret is {"file": PATH}, or {"stored": true} for the one that the catalog has.  In a
 * stored document it is always {"stored": true}, and the member `sealed` holds the values of all,
 * under the seal key and bound to the document's name.  In between, and in no file or document, it
 * is its text.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/seal.h"
#include "core/slice.h"

enum { CATALOG_SECRET_CHARS_MAX = 512 };

/* Put the content of each {"file": PATH} of the file's connections in its place, without a line
 * feed at its end; relative paths start at `folder`.  Mistakes are appended as catalog_check()
 * does.  The file must be well-formed. */
void catalog_secrets_read(json_t *file, struct slice folder, json_t *mistakes);

/* Is the text of a secret good: 1 to 512 characters, none of them a control character? */
bool catalog_secret_is_good(struct slice text);

/* Take the texts of all secrets out of this connection and seal them; those that are
 * {"stored": true} come from `old` (may be NULL).  Nothing changes where all are as they were.
 * ERR_BAD_CATALOG with the place of one that is not stored; ERR_STORE_CORRUPT if `old` cannot be
 * opened. */
MUST_USE enum err catalog_secrets_seal(const uint8_t seal_key[static SEAL_KEY_BYTES],
                                       json_t *connection, const json_t *old, struct err_why *why);

/* The secrets of a stored connection, by place: "auth_parameters.basic_auth_parameters.password",
 * "….header_parameters[KEY].value".  To be given to catalog_secrets_wipe(). */
MUST_USE enum err catalog_secrets_open(const uint8_t seal_key[static SEAL_KEY_BYTES],
                                       const json_t *connection, json_t **secrets);
/* Overwrite, and release. NULL is fine. */
void catalog_secrets_wipe(json_t *secrets);

/* Take out of an answer whatever stands for a secret. */
void catalog_secrets_hide(json_t *tree);
