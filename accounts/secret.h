/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.h - secrets that weir makes and only ever compares: 256 random bits under a public id.
 *
 * The store keeps the id and HMAC(pepper, kind, id, secret).  So many random bits need no slow
 * hash, and without the pepper a stolen store allows no guess.
 */
#pragma once

#include "accounts/principal.h"
#include "core/buf.h"

enum { SECRET_ID_CHARS = 13, SECRET_ID_ROOM = 24, SECRET_TEXT_CHARS = 43 };

/* `prefix` and 10 characters of base32, NUL-terminated: "wb_k3v7c2qpx4". */
void secret_make_id(const char prefix[static 3], char id[static SECRET_ID_ROOM]);
/* Append 43 characters of base64url.  ERR_TOO_LARGE when there is no room. */
MUST_USE enum err secret_append(struct buf *text);
/* Append `bytes` as base64url without padding. */
MUST_USE enum err secret_base64url(struct slice bytes, struct buf *text);

/* Make a credential of `kind` (BASIC or OAUTH): its id, its secret behind `secret` (the caller
 * wipes it), and what is stored of it. */
MUST_USE enum err secret_issue(const uint8_t pepper[static SEAL_KEY_BYTES],
                               enum credential_kind kind, char id[static SECRET_ID_ROOM],
                               struct buf *secret, struct digest *hash);
/* Whose is it?  ERR_BAD_CREDENTIAL for an unknown id, another kind, a wrong secret, an expired
 * credential and a suspended account, after the same work. */
MUST_USE enum err secret_verify(const struct directory *directory, enum credential_kind kind,
                                struct slice id, struct slice secret, uint64_t now_ms,
                                struct principal *principal);
