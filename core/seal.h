/* SPDX-License-Identifier: Apache-2.0
 *
 * seal.h - secrets at rest: AES-256-GCM under one key, bound to what the secret belongs to.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

enum { SEAL_KEY_BYTES = 32, SEAL_OVERHEAD_BYTES = 12 + 16 };

/* Append nonce (12) + ciphertext + tag (16) to `out`.  `context` is bound but not stored: opening
 * under another context fails.  The nonce is random, so one key seals at most 2^32 secrets.
 * On failure `out` is as it was.  Errors: ERR_TOO_LARGE past the maximum of `out`. */
MUST_USE enum err seal_close(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                             struct slice plain, struct buf *out);
/* Append what was sealed to `out`, which the caller wipes.  ERR_BAD_CREDENTIAL when key, context or
 * bytes are not those that were sealed; then `out` is as it was. */
MUST_USE enum err seal_open(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                            struct slice sealed, struct buf *out);
