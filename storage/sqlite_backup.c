/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_backup.c - the embedded engine copies itself to a new file while it works.
 *
 * The good story: the copy grows by 1 MiB between two batches.  SQLite's online backup sees each
 * commit that the same connection makes meanwhile and writes the pages that it has copied already
 * once more; so the copy never begins anew, however busy the store is, and what it holds at the end
 * is the store after the last batch before the end, log included.  Each step is flushed, so that no
 * batch waits for the flush of all at the end.
 *
 * It grows under the name NAME.partial and takes its own when it is whole and flushed, so what
 * bears that name is a backup even if the process is killed on the way.
 *
 * A copy that fails takes its file away.  It is no failure of the store: a full disk under the
 * copy, or one that the copy fills, ends the copy.  So does a stop, which waits for nobody's copy.
 *
 * Invariant: a step runs outside of transactions only; what it copies is committed.
 */
#include "storage/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"

enum { STEP_PAGES = 256 };

struct sqlite_backup {
    struct store_backup *op;
    char *path;
    char *partial_path;
    int fd; /* of the copy, for its flushes */
    sqlite3 *copy;
    sqlite3_backup *walk;
    bool is_created; /* the file is ours */
};

static enum err object_to(struct sqlite_backup *backup, const char *what, const char *reason)
{
    return err_because(ERR_SYSTEM, &backup->op->why, "backup %s: %s: %s", backup->path, what,
                       reason);
}

/* A new file, 0600, and SQLite's hands on it. */
static enum err begin(struct sqlite_store *store, struct sqlite_backup *backup)
{
    struct stat status;

    if (lstat(backup->path, &status) == 0) {
        return object_to(backup, "cannot create it", strerrordesc_np(EEXIST));
    }
    backup->fd = open(backup->partial_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    if (backup->fd < 0) {
        return object_to(backup, "cannot create NAME.partial", strerrordesc_np(errno));
    }
    backup->is_created = true;
    /* Half a copy is worth nothing, so nothing guards it on the way: no journal, no flush. */
    if (sqlite3_open_v2(backup->partial_path, &backup->copy,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_exec(backup->copy, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL,
                     NULL) != SQLITE_OK) {
        return object_to(backup, "cannot open it", sqlite3_errmsg(backup->copy));
    }
    backup->walk = sqlite3_backup_init(backup->copy, "main", store->db, "main");
    return backup->walk != NULL ? ERR_OK
                                : object_to(backup, "cannot begin", sqlite3_errmsg(backup->copy));
}

static enum err flush_folder(struct sqlite_backup *backup)
{
    char *slash = strrchr(backup->path, '/');
    bool is_flushed;
    int folder;

    *slash = '\0';
    folder = open(slash == backup->path ? "/" : backup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    is_flushed = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0) {
        (void)close(folder);
    }
    return is_flushed ? ERR_OK
                      : object_to(backup, "cannot flush its folder", strerrordesc_np(errno));
}

/* Flush what is whole and give it its name, which nobody else may have taken meanwhile. */
static enum err finish(struct sqlite_backup *backup)
{
    struct stat status;
    enum err err;

    if (fsync(backup->fd) != 0 || fstat(backup->fd, &status) != 0) {
        return object_to(backup, "cannot flush it", strerrordesc_np(errno));
    }
    backup->op->bytes = (uint64_t)status.st_size;
    if (link(backup->partial_path, backup->path) != 0) {
        return object_to(backup, "cannot name it", strerrordesc_np(errno));
    }
    err = flush_folder(backup);
    if (err != ERR_OK) {
        (void)unlink(backup->path);
    }
    return err;
}

/* Let go of the copy; the last writes of it happen here. */
static int close_copy(struct sqlite_backup *backup)
{
    int code = sqlite3_backup_finish(backup->walk);

    backup->walk = NULL;
    if (sqlite3_close(backup->copy) != SQLITE_OK && code == SQLITE_OK) {
        code = SQLITE_ERROR;
    }
    backup->copy = NULL;
    return code;
}

static void end(struct sqlite_store *store, enum err err)
{
    struct sqlite_backup *backup = store->backup;
    const int code = close_copy(backup);

    if (err == ERR_OK && code != SQLITE_OK) {
        err = object_to(backup, "cannot write it", sqlite3_errstr(code));
    }
    if (err == ERR_OK) {
        err = finish(backup);
    }
    if (backup->is_created) {
        (void)unlink(backup->partial_path);
        (void)close(backup->fd);
    }
    if (err == ERR_OK) {
        log_info("store.backup", LOG_TEXT("path", backup->path),
                 LOG_U64("bytes", backup->op->bytes));
    } else {
        log_warn("store.backup_failed", LOG_TEXT("path", backup->path),
                 LOG_TEXT("reason", backup->op->why.text));
    }
    store->backup = NULL;
    store_answer(&backup->op->op, err);
    xfree(backup->path);
    xfree(backup->partial_path);
    xfree(backup);
}

static void step(struct sqlite_store *store)
{
    struct sqlite_backup *backup = store->backup;
    int code;

    if (sqlite_folder_free_bytes(&store->folder) < store->reserve_bytes) {
        end(store, object_to(backup, "given up", "the disk of the store has become full"));
        return;
    }
    code = sqlite3_backup_step(backup->walk, STEP_PAGES);
    if (code == SQLITE_DONE) {
        end(store, ERR_OK);
    } else if (code != SQLITE_OK) {
        end(store, object_to(backup, "cannot write it", sqlite3_errstr(code)));
    } else if (fdatasync(backup->fd) != 0) {
        end(store, object_to(backup, "cannot flush it", strerrordesc_np(errno)));
    }
}

static struct sqlite_backup *backup_new(struct store_backup *op)
{
    struct sqlite_backup *backup = xcalloc(1, sizeof(*backup));
    const size_t size = op->path.len + sizeof(".partial");

    backup->op = op;
    backup->fd = -1;
    backup->path = xstrndup(op->path.data, op->path.len);
    backup->partial_path = xmalloc(size);
    (void)snprintf(backup->partial_path, size, "%s.partial", backup->path);
    return backup;
}

bool sqlite_backup_go_on(struct sqlite_store *store, struct store_backup *next)
{
    if (store->backup == NULL && next == NULL) {
        return false;
    }
    CHECK(!store->is_writing);
    if (store->backup != NULL) {
        step(store);
        return true;
    }
    next->bytes = 0;
    next->why.text[0] = '\0';
    store->backup = backup_new(next);
    if (next->path.len == 0 || next->path.data[0] != '/' ||
        strlen(store->backup->path) != next->path.len) {
        end(store, object_to(store->backup, "cannot create it", "the path must be absolute"));
    } else {
        const enum err err = begin(store, store->backup);

        if (err != ERR_OK) {
            end(store, err);
        }
    }
    return true;
}

void sqlite_backup_give_up(struct sqlite_store *store, const char *reason)
{
    if (store->backup != NULL) {
        end(store, object_to(store->backup, "given up", reason));
    }
}
