/* SPDX-License-Identifier: Apache-2.0
 *
 * fail_flush.c - a disk whose flush fails while the file $FAIL_FLUSH is there, and hangs while the
 * file $HANG_FLUSH is.
 *
 * Loaded into weir with LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int is_there(const char *variable)
{
    const char *path = getenv(variable);

    return path != NULL && access(path, F_OK) == 0;
}

static int flush(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const struct timespec pause = {0, 50 * 1000 * 1000};

    while (is_there("HANG_FLUSH")) {
        nanosleep(&pause, NULL);
    }
    if (is_there("FAIL_FLUSH")) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fdatasync(int fd)
{
    return flush("fdatasync", fd);
}

int fsync(int fd)
{
    return flush("fsync", fd);
}
