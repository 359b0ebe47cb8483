/* SPDX-License-Identifier: Apache-2.0
 *
 * percent.h - percent-encoding as AWS wants it: everything but A-Z a-z 0-9 - _ . ~
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

/* Append `text` encoded, hex digits in upper case.  ERR_TOO_LARGE past the maximum of `out`, which
 * may then hold a part of it.
 *
 *= https://www.rfc-editor.org/rfc/rfc3986#section-2.3
 */
MUST_USE enum err percent_encode(struct slice text, struct buf *out);
