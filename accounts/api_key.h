/* SPDX-License-Identifier: Apache-2.0
 *
 * api_key.h - keys that API destinations and forwarders send in a header.
 *
 * A key is "wk_" + 10 characters of public id + "_" + 43 characters of base64url (256 bits).  The
 * store keeps the id and HMAC(pepper, key); the key itself is shown once.
 *
 * Tokens of operators have the same form with "wo_", and open nothing here.
 */
#pragma once

#include "accounts/principal.h"
#include "core/buf.h"
#include "core/header.h"

/* Make a key: its text behind `key` (the caller wipes it), its public id "wk_k3v7c2qpx4" into `id`
 * (NUL-terminated), its hash.  `prefix` is API_KEY_PREFIX or API_KEY_TOKEN_PREFIX.  ERR_TOO_LARGE
 * when `key` has no room for 57 characters. */
#define API_KEY_PREFIX       "wk_"
#define API_KEY_TOKEN_PREFIX "wo_"
MUST_USE enum err api_key_issue(const uint8_t pepper[static SEAL_KEY_BYTES], const char *prefix,
                                char id[static 24], struct buf *key, struct digest *hash);
/* The public id in an operator's token, or empty if the text has not the form of one. */
struct slice api_key_id(struct slice token);
/* What the store keeps of a key or token. */
void api_key_hash(const uint8_t pepper[static SEAL_KEY_BYTES], struct slice key,
                  struct digest *hash);
/* Does some header that keys come in hold what looks like a key? */
bool api_key_is_present(const struct directory *directory, const struct header *headers,
                        size_t header_count);
/* Look at every header that some api key uses.  ERR_MISSING_TOKEN if none is there,
 * ERR_BAD_CREDENTIAL if it is not a key of ours, is expired, or its account is suspended; same work
 * for unknown and wrong. Two different credentials in one request: ERR_BAD_CREDENTIAL. */
MUST_USE enum err api_key_verify(const struct directory *directory, const struct header *headers,
                                 size_t header_count, uint64_t now_ms, struct principal *principal);
