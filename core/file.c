/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - small whole files.  A write goes to a neighbour, is flushed, and takes the name last, so
 * a reader sees the old content or the new, never half of it.  The folder is flushed after that,
 * for a name that was not may be gone after a power failure.  Blocking: start-up and tools only.
 */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"

enum { PIECE_BYTES = 4096 };

static enum err system_error(const char *path, struct err_why *why)
{
    return err_because(ERR_SYSTEM, why, "%s: %s", path, strerrordesc_np(errno));
}

static enum err read_all(int fd, const char *path, struct buf *out, struct err_why *why)
{
    for (;;) {
        const size_t wanted = MAX_OF(MIN_OF((size_t)PIECE_BYTES, out->max - out->len), 1);
        char *room;
        ssize_t count;

        if (buf_reserve(out, wanted, &room) != ERR_OK) {
            return err_because(ERR_TOO_LARGE, why, "%s: is over %zu bytes", path, out->max);
        }
        count = read(fd, room, wanted);
        if (count == 0) {
            return ERR_OK;
        }
        if (count < 0 && errno != EINTR) {
            return system_error(path, why);
        }
        out->len += count > 0 ? (size_t)count : 0;
    }
}

enum err file_read(const char *path, struct buf *out, struct err_why *why)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err err;

    if (fd < 0) {
        return system_error(path, why);
    }
    err = read_all(fd, path, out, why);
    (void)close(fd);
    return err;
}

enum err file_read_secret(const char *path, struct buf *out, struct err_why *why)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    enum err err;

    if (fd < 0) {
        return system_error(path, why);
    }
    if (fstat(fd, &info) != 0) {
        err = system_error(path, why);
    } else if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0) {
        err = err_because(ERR_SYSTEM, why, "%s: must be a regular file of mode 0600", path);
    } else {
        err = read_all(fd, path, out, why);
    }
    (void)close(fd);
    return err;
}

static enum err write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        const ssize_t count = write(fd, bytes.data, bytes.len);

        if (count < 0 && errno != EINTR) {
            return ERR_SYSTEM;
        }
        bytes = slice_from(bytes, count > 0 ? (size_t)count : 0);
    }
    return fsync(fd) == 0 ? ERR_OK : ERR_SYSTEM;
}

/* Make the name that `path` ends with durable. */
static enum err sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    enum err err;
    int fd;

    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s/.", (int)(slash - path), path);
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_SYSTEM;
    }
    err = fsync(fd) == 0 ? ERR_OK : ERR_SYSTEM;
    (void)close(fd);
    return err;
}

enum err file_write_private(const char *path, struct slice bytes, struct err_why *why)
{
    char temporary[4096];
    enum err err;
    int fd;

    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        return err_because(ERR_SYSTEM, why, "%s: the path is too long", path);
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return system_error(temporary, why);
    }
    err = write_all(fd, bytes);
    if (close(fd) != 0 || err != ERR_OK || rename(temporary, path) != 0) {
        err = system_error(path, why);
        (void)unlink(temporary);
        return err;
    }
    return sync_folder_of(path) == ERR_OK ? ERR_OK : system_error(path, why);
}
