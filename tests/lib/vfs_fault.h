/* SPDX-License-Identifier: Apache-2.0
 *
 * vfs_fault.h - a disk that fails on command, and one that loses what was not flushed.
 *
 * vfs_fault_install() puts a layer between SQLite and the system's files.  It can make the n-th
 * write, flush or read fail, and it can keep, for every file, what a power failure would leave:
 * all that was flushed, and of the rest whatever a seed decides.  All functions may be called from
 * any thread.
 */
#pragma once

#include "core/base.h"

enum vfs_call { VFS_READ, VFS_WRITE, VFS_SYNC, VFS_TRUNCATE, VFS_CALL_COUNT };

/* Become SQLite's default, once; all later opens pass through. */
void vfs_fault_install(void);
/* No failures, no hook, nothing recorded. */
void vfs_fault_reset(void);

/* Let the `nth` call (1: the next) of this kind on files whose name ends with `suffix` (such as
 * "-wal"; "" for all) fail with SQLite's `code`, and those after it, `times` in all. */
void vfs_fault_arm(enum vfs_call call, const char *suffix, size_t nth, size_t times, int code);
/* How many calls of the armed kind and file came, failed ones included. */
size_t vfs_fault_seen(void);

/* Begin to record. Files opened from now on are tracked, their content so far counts as flushed. */
void vfs_fault_record(void);
/* Called before each recorded write, flush and truncation, on the thread that makes it.  It may
 * take an image.  NULL: none. */
typedef void (*vfs_fault_hook_fn)(void *context);
void vfs_fault_hook(vfs_fault_hook_fn hook, void *context);
/* Write into `folder` what a power failure at this moment would leave of the recorded files.  Of
 * the writes not flushed yet each 512-byte sector survives or not, by the seed; with seed 0 none
 * does. */
void vfs_fault_image(const char *folder, uint64_t seed);
