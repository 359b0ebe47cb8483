/* SPDX-License-Identifier: Apache-2.0
 *
 * fail_flush.c - a disk whose flush fails from the moment that the file $FAIL_FLUSH is there.
 *
 * Loaded into weir with LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int flush(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *path = getenv("FAIL_FLUSH");

    if (path != NULL && access(path, F_OK) == 0) {
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
