/* SPDX-License-Identifier: Apache-2.0
 *
 * bearer.h - short-lived tokens that speak for a credential.
 *
 * A token names what it speaks for and until when, under a MAC of the key that all replicas share.
 * So any replica believes what another gave, nothing is stored, and revoking the credential (or
 * suspending the account) ends its tokens at once.
 *
 *= https://www.rfc-editor.org/rfc/rfc6750#section-2.1
 */
#pragma once

#include "accounts/principal.h"
#include "core/buf.h"

enum { BEARER_CHARS_MAX = 256 };

struct bearer_claim {
    struct slice credential_id;
    struct slice account_id;
    uint64_t expires_ms;
};

/* Append the token.  ERR_TOO_LARGE when it does not fit BEARER_CHARS_MAX or the buffer. */
MUST_USE enum err bearer_write(const uint8_t pepper[static SEAL_KEY_BYTES],
                               const struct bearer_claim *claim, struct buf *token);
/* Whom does it speak for now?  ERR_EXPIRED_TOKEN for a token of ours whose time is over,
 * ERR_NO_TOKEN for everything else that is not good. */
MUST_USE enum err bearer_verify(const struct directory *directory, struct slice token,
                                uint64_t now_ms, struct principal *principal);
