/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_archive.c - archives of the embedded engine: keep, read, trim.
 *
 * An archived event is a record of its own, beside the one that its deliveries share, since the two
 * end at different times; it lies in the order of arrival, which costs a commit the end of one
 * table, and an index finds it by archive and time.  Counts stand in `archive` and change with the
 * rows.  Copies of one transaction are as durable as its deliveries: it is the same one.
 *
 * A trim takes a bounded step, so that commits pass in between; who trims asks again.
 */
#include "core/check.h"
#include "core/log.h"
#include "storage/sqlite_internal.h"

/* ---- the row of an archive ----------------------------------------------------------------- */

static enum err size_read(struct sqlite_store *store, uint64_t archive,
                          struct store_archive_size *size)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_ARCHIVE_READ);
    bool has_row;

    *size = (struct store_archive_size){.archive = archive};
    sqlite_bind_u64(read, 1, archive);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (has_row) {
        size->event_count = sqlite_column_u64(read, 0);
        size->bytes = sqlite_column_u64(read, 1);
        size->left_out_count = sqlite_column_u64(read, 2);
        (void)sqlite3_reset(read);
    }
    return ERR_OK;
}

static enum err size_write(struct sqlite_store *store, const struct store_archive_size *size)
{
    sqlite3_stmt *put = sqlite_sql_start(store, SQL_ARCHIVE_PUT);

    sqlite_bind_u64(put, 1, size->archive);
    sqlite_bind_u64(put, 2, size->event_count);
    sqlite_bind_u64(put, 3, size->bytes);
    sqlite_bind_u64(put, 4, size->left_out_count);
    return sqlite_sql_run(store, put);
}

/* ---- keep ---------------------------------------------------------------------------------- */

static enum err add_copy(struct sqlite_store *store, const struct store_entry *entry,
                         uint64_t archive, struct slice record)
{
    sqlite3_stmt *add = sqlite_sql_start(store, SQL_ARCHIVED_ADD);

    sqlite_bind_u64(add, 1, archive);
    sqlite_bind_u64(add, 2, entry->time_ms);
    sqlite_bind_u64(add, 3, entry->seq);
    sqlite_bind_u64(add, 4, store_archived_cost(record.len));
    sqlite_bind_blob(add, 5, record);
    return sqlite_sql_run(store, add);
}

static enum err keep_one(struct sqlite_store *store, const struct store_entry *entry,
                         struct store_archiving *archiving, struct slice record)
{
    const uint64_t cost = store_archived_cost(record.len);
    struct store_archive_size size;

    TRY(size_read(store, archiving->archive, &size));
    archiving->is_full = size.bytes + cost > archiving->bytes_max ||
                         (store->archive_bytes_max != 0 &&
                          store->header.archive_bytes + cost >
                              store_archives_share(store->archive_bytes_max, archiving));
    if (archiving->is_full) {
        size.left_out_count++;
        return size_write(store, &size);
    }
    TRY(add_copy(store, entry, archiving->archive, record));
    size.event_count++;
    size.bytes += cost;
    store->header.archive_bytes += cost;
    store->header.bytes_used += cost;
    return size_write(store, &size);
}

enum err sqlite_archive_keep(struct sqlite_store *store, const struct store_commit *commit,
                             struct store_entry *entry)
{
    const struct store_entry bare = store_entry_bare(entry);
    const size_t len = record_len(&bare);
    char *room;

    if (entry->archiving_count == 0) {
        return ERR_OK;
    }
    buf_clear(&store->scratch);
    CHECK(buf_reserve(&store->scratch, len, &room) == ERR_OK); /* store_commit_check() saw to it */
    record_encode(&store->uuid, entry->seq, commit->now_ms, &bare, room);
    for (size_t i = 0; i < entry->archiving_count; i++) {
        TRY(keep_one(store, entry, &entry->archivings[i], (struct slice){room, len}));
    }
    return ERR_OK;
}

/* ---- read ---------------------------------------------------------------------------------- */

static void take_row(struct sqlite_store *store, struct store_archive_read *read,
                     struct slice stored)
{
    struct record record;

    if (record_decode(&store->uuid, read->end.seq, stored, &record) != ERR_OK) {
        log_error("store.record_damaged", LOG_U64("archive", read->archive),
                  LOG_U64("seq", read->end.seq));
        return;
    }
    list_append(&read->events, &store_archived_new(&record, read->end)->node);
}

enum err sqlite_archive_read_run(struct sqlite_store *store, struct store_archive_read *read)
{
    sqlite3_stmt *rows = sqlite_sql_start(store, SQL_ARCHIVED_WALK);
    size_t count = 0;
    size_t bytes = 0;
    bool has_row;

    CHECK(read->count_max > 0 && read->count_max <= STORE_ARCHIVE_PAGE_MAX);
    read->end = read->after;
    read->has_more = false;
    sqlite_bind_u64(rows, 1, read->archive);
    sqlite_bind_u64(rows, 2, read->after.time_ms);
    sqlite_bind_u64(rows, 3, read->after.seq);
    sqlite_bind_u64(rows, 4, MIN_OF(read->until_ms, (uint64_t)INT64_MAX));
    sqlite_bind_u64(rows, 5, read->count_max + 1);
    for (;;) {
        struct slice stored;

        TRY(sqlite_sql_next(store, rows, &has_row));
        if (!has_row) {
            return ERR_OK;
        }
        stored = sqlite_column_slice(rows, 2);
        if (count == read->count_max ||
            (count > 0 && bytes + store_archived_cost(stored.len) > STORE_ARCHIVE_PAGE_BYTES)) {
            break;
        }
        read->end = (struct store_place){.time_ms = sqlite_column_u64(rows, 0),
                                         .seq = sqlite_column_u64(rows, 1)};
        take_row(store, read, stored);
        bytes += store_archived_cost(stored.len);
        count++;
    }
    (void)sqlite3_reset(rows);
    read->has_more = true;
    return ERR_OK;
}

/* ---- trim ---------------------------------------------------------------------------------- */

struct old_row {
    uint64_t rowid;
    uint64_t cost;
};

/* Up to one more than may go, so that it is known whether that was all. */
static enum err find_old(struct sqlite_store *store, const struct store_archive_trim *trim,
                         struct old_row rows[static STORE_ARCHIVE_PAGE_MAX + 1], size_t *count)
{
    sqlite3_stmt *walk = sqlite_sql_start(store, SQL_ARCHIVED_OLD);
    bool has_row;

    *count = 0;
    sqlite_bind_u64(walk, 1, trim->archive);
    sqlite_bind_u64(walk, 2, MIN_OF(trim->before_ms, (uint64_t)INT64_MAX));
    sqlite_bind_u64(walk, 3, trim->count_max + 1);
    for (;;) {
        TRY(sqlite_sql_next(store, walk, &has_row));
        if (!has_row) {
            return ERR_OK;
        }
        rows[(*count)++] = (struct old_row){.rowid = sqlite_column_u64(walk, 0),
                                            .cost = sqlite_column_u64(walk, 1)};
    }
}

static enum err delete_by_id(struct sqlite_store *store, enum sqlite_statement statement,
                             uint64_t id)
{
    sqlite3_stmt *delete = sqlite_sql_start(store, statement);

    sqlite_bind_u64(delete, 1, id);
    return sqlite_sql_run(store, delete);
}

enum err sqlite_archive_trim_run(struct sqlite_store *store, struct store_archive_trim *trim)
{
    struct old_row rows[STORE_ARCHIVE_PAGE_MAX + 1];
    struct store_archive_size size;
    size_t found;

    CHECK(trim->count_max > 0 && trim->count_max <= STORE_ARCHIVE_PAGE_MAX);
    TRY(find_old(store, trim, rows, &found));
    trim->has_more = found > trim->count_max;
    trim->count = MIN_OF(found, trim->count_max);
    if (trim->count == 0 && trim->before_ms != UINT64_MAX) {
        return ERR_OK;
    }
    TRY(sqlite_write_begin(store));
    TRY(size_read(store, trim->archive, &size));
    for (size_t i = 0; i < trim->count; i++) {
        TRY(delete_by_id(store, SQL_ARCHIVED_DELETE, rows[i].rowid));
        size.event_count -= MIN_OF(UINT64_C(1), size.event_count);
        size.bytes -= MIN_OF(rows[i].cost, size.bytes);
        store->header.archive_bytes -= MIN_OF(rows[i].cost, store->header.archive_bytes);
        store->header.bytes_used -= MIN_OF(rows[i].cost, store->header.bytes_used);
    }
    if (trim->before_ms == UINT64_MAX && !trim->has_more) {
        return delete_by_id(store, SQL_ARCHIVE_DELETE, trim->archive);
    }
    return size_write(store, &size);
}

/* ---- sizes --------------------------------------------------------------------------------- */

static enum err count_archives(struct sqlite_store *store, uint64_t *count, uint64_t *bytes)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_ARCHIVE_COUNT);
    bool has_row;

    TRY(sqlite_sql_next(store, read, &has_row));
    CHECK(has_row);
    *count = sqlite_column_u64(read, 0);
    *bytes = sqlite_column_u64(read, 1);
    (void)sqlite3_reset(read);
    return ERR_OK;
}

enum err sqlite_archives_load(struct sqlite_store *store)
{
    uint64_t count;

    TRY(count_archives(store, &count, &store->header.archive_bytes));
    store->kept_header = store->header;
    return ERR_OK;
}

enum err sqlite_archive_sizes_run(struct sqlite_store *store, struct store_archive_sizes *sizes)
{
    sqlite3_stmt *walk;
    uint64_t count;
    uint64_t bytes;
    bool has_row = true;

    TRY(count_archives(store, &count, &bytes));
    sizes->rows = xcalloc((size_t)count + 1, sizeof(sizes->rows[0]));
    sizes->row_count = 0;
    walk = sqlite_sql_start(store, SQL_ARCHIVE_WALK);
    while (has_row) {
        TRY(sqlite_sql_next(store, walk, &has_row));
        if (has_row) {
            CHECK(sizes->row_count < count);
            sizes->rows[sizes->row_count++] =
                (struct store_archive_size){.archive = sqlite_column_u64(walk, 0),
                                            .event_count = sqlite_column_u64(walk, 1),
                                            .bytes = sqlite_column_u64(walk, 2),
                                            .left_out_count = sqlite_column_u64(walk, 3)};
        }
    }
    return ERR_OK;
}
