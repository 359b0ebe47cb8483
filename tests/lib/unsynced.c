/* SPDX-License-Identifier: Apache-2.0
 *
 * unsynced.c - a preloaded library that writes down what a process does to one folder's files.
 *
 * kill -9 does not test flushing: the kernel still holds what was written.  This library lets a
 * test find out what a power failure would have left.  Loaded with LD_PRELOAD it records, in order
 * and in a journal outside the folder, every write, truncation, creation, renaming and removal
 * below the folder, and every flush that returned success together with the place in the journal
 * where that flush began: what stands before that place is on the disk, what follows may be.
 * tests/lib/power.py reads the journal and makes folders of it.
 *
 *     UNSYNCED_FOLDER    absolute path, without links, of the folder to watch
 *     UNSYNCED_JOURNAL   absolute path of the journal; appended to
 *
 * A record is a struct record, then `path_len` bytes of path, then `data_len` bytes of data.  A
 * descriptor names the file of its last OPEN.
 *
 * Invariants: one lock is held from before a change until its record is written, so the journal's
 * order is the order of the changes; a flush runs without the lock.  Only what succeeded is
 * recorded.  Whatever this library does not know (shared writable maps, vectored writes) ends the
 * process, for a journal that misses something proves nothing.
 *
 * Memory: one table of descriptors.  Time: each change is written twice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 65536, MAGIC = 0x51u << 24 | 'u' << 16 | 'n' << 8 | 's' };

enum kind { OPEN = 1, CLOSE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK };

struct record {
    uint32_t magic;
    uint32_t kind;
    int32_t fd;
    uint32_t path_len;
    uint64_t offset; /* WRITE: where; TRUNCATE: the new length; SYNC: records before it began */
    uint64_t data_len;
    uint64_t time_ns;    /* wall clock */
    uint32_t is_created; /* OPEN: the file was not there before */
    uint32_t is_emptied; /* OPEN: it was truncated */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_watched[FDS_MAX];
static char folder[PATH_MAX];
static size_t folder_len;
static int journal = -1;
static uint64_t record_count;

static void give_up(const char *why)
{
    (void)dprintf(STDERR_FILENO, "unsynced: %s\n", why);
    abort();
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("UNSYNCED_JOURNAL");
    const char *watched = getenv("UNSYNCED_FOLDER");

    if (path == NULL || watched == NULL || strlen(watched) >= sizeof(folder)) {
        give_up("UNSYNCED_JOURNAL and UNSYNCED_FOLDER must be set");
    }
    (void)strcpy(folder, watched);
    folder_len = strlen(folder);
    journal =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) {
        give_up("the journal cannot be opened");
    }
}

/* ---- the journal --------------------------------------------------------------------------- */

static void append(struct record record, const char *path, const void *data)
{
    struct timespec now;
    struct iovec parts[3];
    ssize_t total;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    record.magic = MAGIC;
    record.path_len = path == NULL ? 0 : (uint32_t)strlen(path);
    record.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    parts[0] = (struct iovec){&record, sizeof(record)};
    parts[1] = (struct iovec){(void *)(uintptr_t)path, record.path_len};
    parts[2] = (struct iovec){(void *)(uintptr_t)data, record.data_len};
    total = (ssize_t)(sizeof(record) + record.path_len + record.data_len);
    if (syscall(SYS_writev, journal, parts, 3) != total) {
        give_up("the journal cannot be written");
    }
    record_count++;
}

/* The path below the folder ("" is the folder itself), or NULL. `buffer` holds it. */
static const char *below(const char *path)
{
    if (strncmp(path, folder, folder_len) != 0) {
        return NULL;
    }
    if (path[folder_len] == '\0') {
        return path + folder_len;
    }
    return path[folder_len] == '/' ? path + folder_len + 1 : NULL;
}

static const char *below_of_fd(int fd, char buffer[static PATH_MAX])
{
    char link[64];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, buffer, PATH_MAX - 1);
    if (len <= 0) {
        return NULL;
    }
    buffer[len] = '\0';
    return below(buffer);
}

static bool watches(int fd)
{
    return fd >= 0 && fd < FDS_MAX && is_watched[fd];
}

/* ---- open and close ------------------------------------------------------------------------ */

static int open_recorded(int at, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *name;
    bool was_there;
    int fd;

    (void)pthread_mutex_lock(&lock);
    was_there = syscall(SYS_faccessat, at, path, F_OK) == 0;
    fd = (int)syscall(SYS_openat, at, path, flags, mode);
    name = fd < 0 ? NULL : below_of_fd(fd, buffer);
    if (name != NULL && fd >= FDS_MAX) {
        give_up("a descriptor is too high");
    }
    if (name != NULL) {
        is_watched[fd] = true;
        append((struct record){.kind = OPEN,
                               .fd = fd,
                               .is_created = !was_there,
                               .is_emptied = (flags & O_TRUNC) != 0},
               name, NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list more)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;

    va_start(more, flags);
    mode = mode_of(flags, more);
    va_end(more);
    return open_recorded(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;

    va_start(more, flags);
    mode = mode_of(flags, more);
    va_end(more);
    return open_recorded(at, path, flags, mode);
}

int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));

int close(int fd)
{
    int code;

    (void)pthread_mutex_lock(&lock);
    if (watches(fd)) {
        is_watched[fd] = false;
        append((struct record){.kind = CLOSE, .fd = fd}, NULL, NULL);
    }
    code = (int)syscall(SYS_close, fd);
    (void)pthread_mutex_unlock(&lock);
    return code;
}

/* ---- writes -------------------------------------------------------------------------------- */

static void write_record(int fd, uint64_t offset, const void *data, ssize_t count)
{
    if (count > 0) {
        append(
            (struct record){.kind = WRITE, .fd = fd, .offset = offset, .data_len = (uint64_t)count},
            NULL, data);
    }
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    ssize_t count;

    if (!watches(fd)) {
        return syscall(SYS_pwrite64, fd, data, len, offset);
    }
    (void)pthread_mutex_lock(&lock);
    count = syscall(SYS_pwrite64, fd, data, len, offset);
    write_record(fd, (uint64_t)offset, data, count);
    (void)pthread_mutex_unlock(&lock);
    return count;
}

ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));

ssize_t write(int fd, const void *data, size_t len)
{
    ssize_t count;

    if (!watches(fd)) {
        return syscall(SYS_write, fd, data, len);
    }
    (void)pthread_mutex_lock(&lock);
    count = syscall(SYS_write, fd, data, len);
    write_record(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - count), data, count);
    (void)pthread_mutex_unlock(&lock);
    return count;
}

static ssize_t refuse_vectors(int fd, const char *name)
{
    if (watches(fd)) {
        give_up(name);
    }
    return 0;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    (void)refuse_vectors(fd, "writev");
    return syscall(SYS_writev, fd, parts, count);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    if (watches(fd) && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0) {
        give_up("a shared writable map");
    }
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
}

void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias("mmap")));

static int truncate_recorded(int fd, off_t len)
{
    int code;

    (void)pthread_mutex_lock(&lock);
    code = (int)syscall(SYS_ftruncate, fd, len);
    if (code == 0 && watches(fd)) {
        append((struct record){.kind = TRUNCATE, .fd = fd, .offset = (uint64_t)len}, NULL, NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int ftruncate(int fd, off_t len)
{
    return truncate_recorded(fd, len);
}

int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));

/* Space beyond the end becomes zeros: a truncation to a greater length. */
static int allocate_recorded(int fd, off_t offset, off_t len)
{
    off_t end;
    int code;

    (void)pthread_mutex_lock(&lock);
    code = (int)syscall(SYS_fallocate, fd, 0, offset, len);
    end = code == 0 && watches(fd) ? lseek(fd, 0, SEEK_END) : 0;
    if (end > 0) {
        append((struct record){.kind = TRUNCATE, .fd = fd, .offset = (uint64_t)end}, NULL, NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return allocate_recorded(fd, offset, len) == 0 ? 0 : errno;
}

int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (watches(fd) && mode != 0) {
        give_up("fallocate with a mode");
    }
    return mode == 0 ? allocate_recorded(fd, offset, len)
                     : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));

/* ---- flushes ------------------------------------------------------------------------------- */

static int sync_recorded(int fd, long number)
{
    uint64_t before;
    int code;

    if (!watches(fd)) {
        return (int)syscall(number, fd);
    }
    (void)pthread_mutex_lock(&lock);
    before = record_count;
    (void)pthread_mutex_unlock(&lock);
    code = (int)syscall(number, fd);
    if (code == 0) {
        (void)pthread_mutex_lock(&lock);
        append((struct record){.kind = SYNC, .fd = fd, .offset = before}, NULL, NULL);
        (void)pthread_mutex_unlock(&lock);
    }
    return code;
}

int fsync(int fd)
{
    return sync_recorded(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_recorded(fd, SYS_fdatasync);
}

/* ---- names --------------------------------------------------------------------------------- */

/* An absolute path of a name in a folder that may be given by a descriptor. */
static bool absolute(int at, const char *path, char out[static PATH_MAX])
{
    char base[PATH_MAX];
    char link[64];
    ssize_t len;

    if (path[0] == '/') {
        return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    }
    if (at == AT_FDCWD) {
        len = getcwd(base, sizeof(base)) == NULL ? -1 : (ssize_t)strlen(base);
    } else {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
        len = readlink(link, base, sizeof(base) - 1);
    }
    if (len < 0) {
        return false;
    }
    base[len] = '\0';
    return snprintf(out, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

int unlinkat(int at, const char *path, int flags)
{
    char whole[PATH_MAX];
    const char *name = absolute(at, path, whole) ? below(whole) : NULL;
    int code;

    (void)pthread_mutex_lock(&lock);
    code = (int)syscall(SYS_unlinkat, at, path, flags);
    if (code == 0 && name != NULL) {
        append((struct record){.kind = UNLINK}, name, NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    char whole_from[PATH_MAX];
    char whole_to[PATH_MAX];
    const char *name_from = absolute(from_at, from, whole_from) ? below(whole_from) : NULL;
    const char *name_to = absolute(to_at, to, whole_to) ? below(whole_to) : NULL;
    int code;

    if ((name_from == NULL) != (name_to == NULL)) {
        give_up("a rename in or out of the folder");
    }
    (void)pthread_mutex_lock(&lock);
    code = (int)syscall(SYS_renameat, from_at, from, to_at, to);
    if (code == 0 && name_from != NULL) {
        append((struct record){.kind = RENAME, .data_len = strlen(name_to)}, name_from, name_to);
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
