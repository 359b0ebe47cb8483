/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_folder.h - the folder of an embedded store: who holds it, what was flushed, what is free.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"
#include "storage/record.h"

struct sqlite_folder {
    int fd;         /* the folder, locked */
    int durable_fd; /* the side file, -1 until the store is known */
    char *path;
    char *database_path;
};

/* Create (0700) if absent, open, and lock against every other process.  ERR_STORE_BUSY if one has
 * it, ERR_SYSTEM with the reason else.  After an error only clean_up is allowed. */
MUST_USE enum err sqlite_folder_open(struct sqlite_folder *folder, struct slice path,
                                     struct err_why *why);
/* Unlocks; safe on a zeroed struct that was never opened with fd = -1, and twice. */
void sqlite_folder_clean_up(struct sqlite_folder *folder);

/* The number of the last batch that the side file knows to be flushed; 0 if it knows nothing.
 * ERR_STORE_CORRUPT if the file is of a store with another uuid. */
MUST_USE enum err sqlite_folder_durable_read(struct sqlite_folder *folder,
                                             const struct store_uuid *uuid, uint64_t *batch,
                                             struct err_why *why);
/* Does a side file say that anything was ever flushed here? */
bool sqlite_folder_has_history(struct sqlite_folder *folder);
/* Note that `batch` is flushed.  Not flushed itself: a lower value is harmless. */
MUST_USE enum err sqlite_folder_durable_write(struct sqlite_folder *folder,
                                              const struct store_uuid *uuid, uint64_t batch);
/* Make the names of new files in the folder durable. */
MUST_USE enum err sqlite_folder_sync(struct sqlite_folder *folder);

/* Bytes that this process may still write to the disk; UINT64_MAX if that cannot be told. */
uint64_t sqlite_folder_free_bytes(const struct sqlite_folder *folder);
/* The ballast is disk space held back so that outcomes can be written when the disk is full.
 * Make it if there is room; returns whether it is there. */
bool sqlite_folder_ballast_make(struct sqlite_folder *folder);
/* Give it up; returns whether there was any. */
bool sqlite_folder_ballast_drop(struct sqlite_folder *folder);
