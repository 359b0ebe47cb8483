/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h - small whole files: read with a maximum, written private and durable.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

/* Append the content of `path` to `out`. ERR_SYSTEM or ERR_TOO_LARGE with the path in `why`. */
MUST_USE enum err file_read(const char *path, struct buf *out, struct err_why *why);
/* The same for a secret: refused (ERR_SYSTEM) unless a regular file of ours that neither group nor
 * others may read.  Wipe `out` with buf_wipe(). */
MUST_USE enum err file_read_secret(const char *path, struct buf *out, struct err_why *why);
/* Make `path` hold exactly `bytes`, mode 0600, flushed, replacing what was there in one step. */
MUST_USE enum err file_write_private(const char *path, struct slice bytes, struct err_why *why);
