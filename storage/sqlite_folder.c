/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_folder.c - the files beside the database.
 *
 *     weir.db, weir.db-wal   SQLite's
 *     durable                the side file: magic, uuid, number of the last flushed batch, crc
 *     ballast                4 MiB of nothing, given up when the disk is full
 *
 * Why a side file: SQLite's recovery stops silently at the first damaged frame of its log.  Damage
 * in the middle would so look like a tail torn by a crash, and commits that were answered would be
 * gone without a word.  The side file tells how far the flushed part went.  It is written after
 * each flush and never flushed itself: after a power failure it may tell an older number, which
 * only weakens the check, never a newer one.
 *
 * The lock is an flock on the folder itself; it ends with the process, however that ends.
 */
#include "storage/sqlite_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/log.h"

enum { UUID_AT = 8, BATCH_AT = 24, SIDE_CRC_AT = 32, SIDE_BYTES = 36, BALLAST_BYTES = 4 << 20 };

static const struct slice side_magic = SLICE_INIT("weirdur1");

/* ---- open and lock ------------------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + 1 + strlen(name) + 1;
    char *path = xmalloc(size);

    (void)snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static enum err sync_parent(const char *path, struct err_why *why)
{
    char *parent = join(path, "..");
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    xfree(parent);
    return is_synced ? ERR_OK
                     : err_because(ERR_SYSTEM, why,
                                   "store folder %s: cannot flush the folder that "
                                   "holds it: %s",
                                   path, strerrordesc_np(errno));
}

/* The files are 0600, so a folder that others may read tells them names only. */
static enum err check_private(const struct sqlite_folder *folder, struct err_why *why)
{
    struct stat status;

    if (fstat(folder->fd, &status) != 0) {
        return err_because(ERR_SYSTEM, why, "store folder %s: %s", folder->path,
                           strerrordesc_np(errno));
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_because(ERR_SYSTEM, why,
                           "store folder %s: others may write to it (mode %03o); make it 700",
                           folder->path, (unsigned)status.st_mode & 0777);
    }
    return ERR_OK;
}

/* SQLite gives its log the mode of the database; so that comes first, by us. */
static enum err create_database_file(const struct sqlite_folder *folder, struct err_why *why)
{
    const int fd = openat(folder->fd, "weir.db", O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0) {
        return err_because(ERR_SYSTEM, why, "store folder %s: cannot open weir.db: %s",
                           folder->path, strerrordesc_np(errno));
    }
    (void)close(fd);
    return ERR_OK;
}

enum err sqlite_folder_open(struct sqlite_folder *folder, struct slice path, struct err_why *why)
{
    bool is_new;

    *folder = (struct sqlite_folder){.fd = -1, .durable_fd = -1};
    if (path.len == 0) {
        return err_because(ERR_SYSTEM, why, "store folder: no path given");
    }
    folder->path = xstrndup(path.data, path.len);
    folder->database_path = join(folder->path, "weir.db");
    is_new = mkdir(folder->path, S_IRWXU) == 0;
    if (!is_new && errno != EEXIST) {
        return err_because(ERR_SYSTEM, why, "store folder %s: cannot create it: %s", folder->path,
                           strerrordesc_np(errno));
    }
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0) {
        return err_because(ERR_SYSTEM, why, "store folder %s: cannot open it: %s", folder->path,
                           strerrordesc_np(errno));
    }
    if (is_new) {
        TRY(sync_parent(folder->path, why));
    }
    TRY(check_private(folder, why));
    if (flock(folder->fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? err_because(ERR_STORE_BUSY, why,
                                 "store folder %s: another process holds it; one store has one "
                                 "gateway",
                                 folder->path)
                   : err_because(ERR_SYSTEM, why, "store folder %s: cannot lock it: %s",
                                 folder->path, strerrordesc_np(errno));
    }
    return create_database_file(folder, why);
}

void sqlite_folder_clean_up(struct sqlite_folder *folder)
{
    if (folder->durable_fd >= 0) {
        (void)close(folder->durable_fd);
        folder->durable_fd = -1;
    }
    if (folder->fd >= 0) {
        (void)close(folder->fd);
        folder->fd = -1;
    }
    xfree(folder->path);
    xfree(folder->database_path);
    folder->path = NULL;
    folder->database_path = NULL;
}

enum err sqlite_folder_sync(struct sqlite_folder *folder)
{
    return fsync(folder->fd) == 0 ? ERR_OK : ERR_SYSTEM;
}

/* ---- the side file ------------------------------------------------------------------------- */

static void put_u64(uint8_t *out, uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

static uint32_t side_crc(const uint8_t side[static SIDE_BYTES])
{
    return digest_crc32c(0, (struct slice){(const char *)side, SIDE_CRC_AT});
}

/* Is there a side file that is whole? A torn one tells nothing. */
static bool side_read(int fd, uint8_t side[static SIDE_BYTES])
{
    uint32_t crc = 0;

    if (pread(fd, side, SIDE_BYTES, 0) != SIDE_BYTES ||
        !slice_eq((struct slice){(const char *)side, side_magic.len}, side_magic)) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        crc |= (uint32_t)side[SIDE_CRC_AT + i] << (8 * i);
    }
    return crc == side_crc(side);
}

static bool side_open(struct sqlite_folder *folder)
{
    if (folder->durable_fd < 0) {
        folder->durable_fd =
            openat(folder->fd, "durable", O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    }
    return folder->durable_fd >= 0;
}

bool sqlite_folder_has_history(struct sqlite_folder *folder)
{
    uint8_t side[SIDE_BYTES];

    return side_open(folder) && side_read(folder->durable_fd, side) && get_u64(side + BATCH_AT) > 0;
}

enum err sqlite_folder_durable_read(struct sqlite_folder *folder, const struct store_uuid *uuid,
                                    uint64_t *batch, struct err_why *why)
{
    uint8_t side[SIDE_BYTES];

    *batch = 0;
    if (!side_open(folder)) {
        return err_because(ERR_SYSTEM, why, "store folder %s: cannot open the file `durable`: %s",
                           folder->path, strerrordesc_np(errno));
    }
    if (!side_read(folder->durable_fd, side)) {
        return ERR_OK;
    }
    if (!slice_eq((struct slice){(const char *)side + UUID_AT, STORE_UUID_BYTES},
                  (struct slice){(const char *)uuid->bytes, STORE_UUID_BYTES})) {
        return err_because(ERR_STORE_CORRUPT, why,
                           "store folder %s: the file `durable` belongs to another store than "
                           "weir.db; if weir.db was put here on purpose, remove `durable`",
                           folder->path);
    }
    *batch = get_u64(side + BATCH_AT);
    return ERR_OK;
}

enum err sqlite_folder_durable_write(struct sqlite_folder *folder, const struct store_uuid *uuid,
                                     uint64_t batch)
{
    uint8_t side[SIDE_BYTES];
    uint32_t crc;

    CHECK(folder->durable_fd >= 0);
    memcpy(side, side_magic.data, side_magic.len);
    memcpy(side + UUID_AT, uuid->bytes, STORE_UUID_BYTES);
    put_u64(side + BATCH_AT, batch);
    crc = side_crc(side);
    for (size_t i = 0; i < 4; i++) {
        side[SIDE_CRC_AT + i] = (uint8_t)(crc >> (8 * i));
    }
    return pwrite(folder->durable_fd, side, SIDE_BYTES, 0) == SIDE_BYTES ? ERR_OK : ERR_SYSTEM;
}

/* ---- room on the disk ---------------------------------------------------------------------- */

uint64_t sqlite_folder_free_bytes(const struct sqlite_folder *folder)
{
    struct statvfs status;

    if (fstatvfs(folder->fd, &status) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)status.f_bavail * status.f_frsize;
}

bool sqlite_folder_ballast_make(struct sqlite_folder *folder)
{
    const int fd = openat(folder->fd, "ballast", O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool is_there;

    if (fd < 0) {
        return false;
    }
    is_there = posix_fallocate(fd, 0, BALLAST_BYTES) == 0;
    (void)close(fd);
    if (!is_there) {
        (void)unlinkat(folder->fd, "ballast", 0);
    }
    return is_there;
}

bool sqlite_folder_ballast_drop(struct sqlite_folder *folder)
{
    if (unlinkat(folder->fd, "ballast", 0) != 0) {
        return false;
    }
    log_warn("store.ballast_given_up", LOG_TEXT("folder", folder->path));
    return true;
}
