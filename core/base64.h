/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.h - base64 of RFC 4648, standard alphabet, padded.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

/* Append the text of `bytes`.  On failure `out` is as it was: ERR_TOO_LARGE past its maximum. */
MUST_USE enum err base64_encode(struct slice bytes, struct buf *out);
/* Append what `text` stands for.  Strict: no white space, padding complete, unused bits zero;
 * ERR_BAD_VALUE otherwise, and then `out` is as it was. */
MUST_USE enum err base64_decode(struct slice text, struct buf *out);
