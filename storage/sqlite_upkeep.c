/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_upkeep.c - disk space of the embedded engine: the log, free pages, a full disk.
 *
 * The log (weir.db-wal) grows with each commit until a checkpoint has written it back; then the
 * next commit begins it anew.  Left alone it would grow without end under load, so a checkpoint
 * comes when the thread is idle and 4 MiB have gathered, or at 16 MiB whatever waits.  Nobody else
 * reads the database, so a checkpoint always gets through.
 *
 * A full disk is met in three lines: new events are refused while less than `reserve_bytes` is
 * free; if a transaction still does not fit, it is tried without its new events; and if outcomes
 * alone do not fit, the ballast is given up for them.  It is made anew when there is room.
 */
#include "storage/sqlite_internal.h"

#include "core/log.h"

enum {
    SHRINK_FREE_PAGES_MIN = 4096, /* 16 MiB */
    BALLAST_ROOM_BYTES = 16 << 20,
};

static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_store *store = context;

    (void)db;
    (void)name;
    store->log_pages = pages;
    return SQLITE_OK;
}

void sqlite_upkeep_open(struct sqlite_store *store)
{
    (void)sqlite3_wal_hook(store->db, on_commit, store);
    store->log_pages = SQLITE_CHECKPOINT_PAGES; /* what recovery found is not known: look once */
    store->may_shrink = true;
    store->has_ballast = sqlite_folder_ballast_make(&store->folder);
}

/* ---- a full disk --------------------------------------------------------------------------- */

static void note_full(struct sqlite_store *store, bool is_full, uint64_t free_bytes)
{
    if (is_full == store->is_full) {
        return;
    }
    store->is_full = is_full;
    if (is_full) {
        log_error("store.disk_full", LOG_TEXT("folder", store->folder.path),
                  LOG_U64("free_bytes", free_bytes),
                  LOG_U64("reserve_bytes", store->reserve_bytes));
    } else {
        log_info("store.disk_has_room", LOG_TEXT("folder", store->folder.path),
                 LOG_U64("free_bytes", free_bytes));
    }
}

bool sqlite_upkeep_is_full(struct sqlite_store *store)
{
    const uint64_t free_bytes = sqlite_folder_free_bytes(&store->folder);

    note_full(store, free_bytes < store->reserve_bytes, free_bytes);
    if (!store->has_ballast && !store->is_full &&
        free_bytes - store->reserve_bytes > BALLAST_ROOM_BYTES) {
        store->has_ballast = sqlite_folder_ballast_make(&store->folder);
    }
    return store->is_full;
}

bool sqlite_upkeep_make_room(struct sqlite_store *store)
{
    note_full(store, true, sqlite_folder_free_bytes(&store->folder));
    if (!store->has_ballast) {
        return false;
    }
    store->has_ballast = false;
    return sqlite_folder_ballast_drop(&store->folder);
}

/* ---- the log ------------------------------------------------------------------------------- */

bool sqlite_upkeep_checkpoint(struct sqlite_store *store, bool is_idle)
{
    int code;

    if (store->log_pages < (is_idle ? SQLITE_CHECKPOINT_PAGES : SQLITE_CHECKPOINT_PAGES_MAX)) {
        return false;
    }
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if ((code & 0xff) == SQLITE_FULL && sqlite_upkeep_make_room(store)) {
        code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    /* When the disk stays full, the next commit asks again. */
    store->log_pages = 0;
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_FULL) {
        (void)sqlite_sql_failed(store, code);
    }
    return true;
}

void sqlite_upkeep_close(struct sqlite_store *store)
{
    const int code =
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    if (code != SQLITE_OK) {
        log_warn("store.last_checkpoint", LOG_TEXT("folder", store->folder.path),
                 LOG_I64("code", code));
    }
}

/* ---- free pages -------------------------------------------------------------------------------
 */

static enum err read_pragma(struct sqlite_store *store, enum sqlite_statement statement,
                            uint64_t *value)
{
    sqlite3_stmt *read = sqlite_sql_start(store, statement);
    bool has_row;

    *value = 0;
    TRY(sqlite_sql_next(store, read, &has_row));
    if (has_row) {
        *value = sqlite_column_u64(read, 0);
        (void)sqlite3_reset(read);
    }
    return ERR_OK;
}

bool sqlite_upkeep_shrink(struct sqlite_store *store)
{
    uint64_t free_pages;
    uint64_t all_pages;

    if (!store->may_shrink || read_pragma(store, SQL_FREE_PAGES, &free_pages) != ERR_OK ||
        read_pragma(store, SQL_ALL_PAGES, &all_pages) != ERR_OK) {
        return false;
    }
    if (free_pages < SHRINK_FREE_PAGES_MIN || free_pages < all_pages / 2) {
        const bool was_shrinking = store->is_shrinking;

        store->may_shrink = false;
        store->is_shrinking = false;
        if (was_shrinking) { /* the file is cut by the checkpoint, not before */
            store->log_pages = MAX_OF(store->log_pages, SQLITE_CHECKPOINT_PAGES);
        }
        return was_shrinking;
    }
    store->is_shrinking = true;
    if (sqlite_sql_text(store, "PRAGMA incremental_vacuum(256)") != ERR_OK &&
        (store->failure & 0xff) == SQLITE_FULL) {
        store->failure = SQLITE_OK; /* shrinking needs a little room itself */
        store->may_shrink = false;
    }
    return true;
}
