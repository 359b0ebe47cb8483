/* SPDX-License-Identifier: Apache-2.0
 *
 * store_folder.h - folders that tests make and remove.
 */
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"

/* Make a new private folder where TMPDIR says, and put its path into `path`. */
static inline void folder_make(char *path, size_t size)
{
    const char *parent = getenv("TMPDIR");
    const int len = snprintf(path, size, "%s/weir-store-XXXXXX", parent != NULL ? parent : "/tmp");

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
