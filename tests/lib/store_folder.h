/* SPDX-License-Identifier: Apache-2.0
 *
 * store_folder.h - folders that tests make and remove.
 */
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/check.h"

/* Where TMPDIR says; else in memory if there is ample room, for these tests flush a lot and none
 * of them depends on a real disk. */
static inline const char *folder_parent(void)
{
    const char *parent = getenv("TMPDIR");
    struct statvfs status;

    if (parent != NULL) {
        return parent;
    }
    if (access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &status) == 0 &&
        (uint64_t)status.f_bavail * status.f_frsize > (uint64_t)1 << 30) {
        return "/dev/shm";
    }
    return P_tmpdir;
}

/* Make a new private folder and put its path into `path`. */
static inline void folder_make(char *path, size_t size)
{
    const int len = snprintf(path, size, "%s/weir-store-XXXXXX", folder_parent());

    CHECK(len > 0);
    CHECK((size_t)len < size);
    CHECK(mkdtemp(path) != NULL);
}

/* Remove the folder and the plain files in it; a folder that is not there is fine. */
static inline void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL) {
        return;
    }
    for (entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            CHECK(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
        }
    }
    (void)closedir(dir);
    CHECK(rmdir(path) == 0);
}
