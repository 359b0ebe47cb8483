/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_api.h - what weir keeps in the documents of connections and API destinations beside their
 * owner's members: identity, times, state.
 *
 *   uuid                         of the ARN; another one when it is made again
 *   created_ms, modified_ms
 *   auth_state, auth_reason       AUTHORIZED, AUTHORIZING (OAuth, until a token was got) or
 *                                DEAUTHORIZED; of connections
 *   authorized_ms                when it was authorized last
 *   sealed                       the secrets (catalog_secrets.h)
 */
#pragma once

#include <jansson.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/seal.h"
#include "gateway/catalog.h"

enum { API_DESTINATION_RATE_DEFAULT = 300 };

/* Complete a connection that is to replace `old` (NULL: it is new).  Secrets are sealed; whatever
 * authorizes it has changed, so it is authorized anew; nothing has changed, so nothing does.
 * Errors of catalog_secrets_seal(). */
MUST_USE enum err catalog_connection_complete(const uint8_t seal_key[static SEAL_KEY_BYTES],
                                              json_t *document, const json_t *old, uint64_t now_ms,
                                              struct err_why *why);
/* The same for an API destination. */
void catalog_api_destination_complete(json_t *document, const json_t *old, uint64_t now_ms);

/* "arn:aws:events:REGION:ACCOUNT:KIND/NAME/UUID" of a document; KIND "connection" or
 * "api-destination". */
struct slice catalog_api_arn(struct slice region, const char *kind, const json_t *document,
                             struct arena *arena);
/* The connection that an API destination names: by ARN, with the UUID or without.  NULL if there is
 * none of that name, or only one of another UUID. */
const struct catalog_document *catalog_connection_of(const struct catalog *catalog,
                                                     const json_t *destination,
                                                     struct arena *arena);
