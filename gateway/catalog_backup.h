/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_backup.h - the whole catalog as text, sealed against change, and whether a store is amid
 * being given one.
 */
#pragma once

#include "core/buf.h"
#include "core/seal.h"
#include "gateway/catalog.h"

enum { CATALOG_BACKUP_BYTES_MAX = 256 << 20 };

/* While this document is there, a store holds a part of a catalog. */
#define CATALOG_RESTORING "meta/restoring"

/* Append every document that is in force.  ERR_TOO_LARGE past the maximum of `out`. */
MUST_USE enum err catalog_backup_write(const struct catalog *catalog,
                                       const uint8_t seal_key[static SEAL_KEY_BYTES],
                                       uint64_t now_ms, struct buf *out);

struct catalog_backup {
    uint64_t rev; /* of the catalog when it was written */
    uint64_t at_ms;
    struct store_document *documents; /* in name order, `rev` 0 */
    size_t document_count;
};

/* Read one back; names and values are of `text`, the array is in `arena`.  ERR_BAD_CATALOG, with
 * the reason in `why`: it is no backup, was changed, was written under another seal key, or holds
 * what this version does not know. */
MUST_USE enum err catalog_backup_read(struct slice text,
                                      const uint8_t seal_key[static SEAL_KEY_BYTES],
                                      struct arena *arena, struct catalog_backup *backup,
                                      struct err_why *why);

/* What documents that were read from a store say of a catalog that is put back. */
enum catalog_restore_state {
    CATALOG_RESTORE_NONE,
    CATALOG_RESTORE_UNDER_WAY,
    CATALOG_RESTORE_OVER, /* its end is among what is new */
};
enum catalog_restore_state catalog_restore_state(const struct store_document *documents,
                                                 size_t count);
