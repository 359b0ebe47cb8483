/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_catalog.c - documents and counters of the embedded engine.
 *
 * A put is tried document by document inside a savepoint; the first that does not fit takes all of
 * them back, and the rest of the batch goes on.  A deleted document stays as a row without value,
 * so that "what changed since" can tell.
 *
 * Counters lie in memory and in `tally`; the rows that a transaction touched are written at its
 * end, once, however many deliveries changed them.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

static uint32_t crc_of(const struct sqlite_store *store, uint64_t rev, struct slice name,
                       struct slice value)
{
    const struct slice columns[] = {name, value};

    return record_row_crc(&store->uuid, "catalog", rev, columns, ARRAY_LEN(columns));
}

/* ---- put ----------------------------------------------------------------------------------- */

static enum err fits(struct sqlite_store *store, const struct store_document *document,
                     uint64_t new_rev, bool *does_fit)
{
    sqlite3_stmt *find = sqlite_sql_start(store, SQL_DOCUMENT_FIND);
    bool has_row;

    sqlite_bind_text(find, 1, document->name);
    TRY(sqlite_sql_next(store, find, &has_row));
    if (has_row && sqlite_column_u64(find, 0) == new_rev) {
        *does_fit = false; /* an earlier document of this put has its name */
    } else if (has_row && sqlite_column_u64(find, 1) > 0) {
        *does_fit = sqlite_column_u64(find, 0) == document->rev;
    } else {
        *does_fit = document->rev == 0 && document->value.len > 0;
    }
    (void)sqlite3_reset(find);
    return ERR_OK;
}

static enum err write_document(struct sqlite_store *store, const struct store_document *document,
                               uint64_t rev)
{
    sqlite3_stmt *put = sqlite_sql_start(store, SQL_DOCUMENT_PUT);

    sqlite_bind_text(put, 1, document->name);
    sqlite_bind_u64(put, 2, rev);
    sqlite_bind_blob(put, 3, document->value);
    sqlite_bind_u64(put, 4, crc_of(store, rev, document->name, document->value));
    return sqlite_sql_run(store, put);
}

/* Write documents until one does not fit; `put->conflict_index` is then its place. */
static enum err put_documents(struct sqlite_store *store, struct store_catalog_put *put,
                              uint64_t rev, bool *do_fit)
{
    *do_fit = true;
    for (size_t i = 0; i < put->document_count; i++) {
        TRY(fits(store, &put->documents[i], rev, do_fit));
        if (!*do_fit) {
            put->conflict_index = i;
            return ERR_OK;
        }
        TRY(write_document(store, &put->documents[i], rev));
    }
    return ERR_OK;
}

enum err sqlite_catalog_put_run(struct sqlite_store *store, struct store_catalog_put *put)
{
    const uint64_t rev = MAX_OF(store->header.rev + 1, put->rev_min);
    bool do_fit;

    put->rev = store->header.rev;
    put->conflict_index = 0;
    TRY(sqlite_write_begin(store));
    TRY(sqlite_sql_run(store, sqlite_sql_start(store, SQL_PUT_BEGIN)));
    TRY(put_documents(store, put, rev, &do_fit));
    if (!do_fit) {
        TRY(sqlite_sql_run(store, sqlite_sql_start(store, SQL_PUT_UNDO)));
    }
    TRY(sqlite_sql_run(store, sqlite_sql_start(store, SQL_PUT_END)));
    if (!do_fit) {
        return ERR_CONFLICT;
    }
    store->header.rev = rev;
    put->rev = rev;
    return ERR_OK;
}

/* ---- read ---------------------------------------------------------------------------------- */

static void add_document(struct store_catalog_read *read, size_t *cap,
                         struct store_document document)
{
    struct arena *arena = read->memory;

    if (read->document_count == *cap) {
        struct store_document *grown;

        *cap = MAX_OF(64, *cap * 2);
        grown = ARENA_ARRAY(arena, struct store_document, *cap);
        if (read->document_count > 0) {
            memcpy(grown, read->documents, read->document_count * sizeof(grown[0]));
        }
        read->documents = grown;
    }
    document.name = arena_copy(arena, document.name);
    document.value = arena_copy(arena, document.value);
    read->documents[read->document_count++] = document;
}

static enum err read_documents(struct sqlite_store *store, struct store_catalog_read *read)
{
    sqlite3_stmt *walk = sqlite_sql_start(store, SQL_DOCUMENT_WALK);
    size_t cap = 0;
    bool has_row;

    sqlite_bind_u64(walk, 1, read->since);
    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        const struct store_document document = {.name = sqlite_column_slice(walk, 0),
                                                .rev = sqlite_column_u64(walk, 1),
                                                .value = sqlite_column_slice(walk, 2)};

        if (sqlite_column_u64(walk, 3) !=
            crc_of(store, document.rev, document.name, document.value)) {
            log_error("store.document_damaged", LOG_SLICE("name", document.name));
            (void)sqlite3_reset(walk);
            return ERR_STORE_CORRUPT;
        }
        if (document.value.len > 0 || read->since > 0) {
            add_document(read, &cap, document);
        }
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return ERR_OK;
}

enum err sqlite_catalog_read_run(struct sqlite_store *store, struct store_catalog_read *read)
{
    enum err err;

    read->memory = xcalloc(1, sizeof(struct arena));
    read->documents = NULL;
    read->document_count = 0;
    read->rev = store->header.rev;
    err = read_documents(store, read);
    if (err != ERR_OK) {
        store_catalog_read_clean_up(read);
    }
    return err;
}

/* ---- counters ------------------------------------------------------------------------------ */

static struct sqlite_tally *tally_get(struct sqlite_store *store, struct slice account)
{
    struct sqlite_tally *tally = map_get(&store->tallies, account);

    if (tally == NULL) {
        tally = xcalloc(1, sizeof(*tally));
        store_name_copy(tally->row.account, sizeof(tally->row.account), account);
        list_init(&tally->touched_node);
        (void)map_put(&store->tallies, slice_of(tally->row.account), tally);
    }
    return tally;
}

struct store_tally_row *sqlite_tally_touch(struct sqlite_store *store, struct slice account)
{
    struct sqlite_tally *tally = tally_get(store, account);

    if (!list_is_linked(&tally->touched_node)) {
        tally->kept = tally->row;
        list_append(&store->touched_tallies, &tally->touched_node);
    }
    return &tally->row;
}

enum err sqlite_tallies_write(struct sqlite_store *store)
{
    LIST_FOREACH (node, &store->touched_tallies) {
        const struct store_tally_row *row =
            &CONTAINER_OF(node, struct sqlite_tally, touched_node)->row;
        sqlite3_stmt *write = sqlite_sql_start(store, SQL_TALLY_WRITE);

        CHECK(row->created == row->delivered + row->dropped + row->expired + row->live + row->dead);
        sqlite_bind_text(write, 1, slice_of(row->account));
        sqlite_bind_u64(write, 2, row->created);
        sqlite_bind_u64(write, 3, row->delivered);
        sqlite_bind_u64(write, 4, row->dropped);
        sqlite_bind_u64(write, 5, row->expired);
        sqlite_bind_u64(write, 6, row->redriven);
        sqlite_bind_u64(write, 7, row->live);
        sqlite_bind_u64(write, 8, row->dead);
        TRY(sqlite_sql_run(store, write));
    }
    return ERR_OK;
}

void sqlite_tallies_keep(struct sqlite_store *store)
{
    LIST_FOREACH (node, &store->touched_tallies) {
        list_remove(node);
    }
}

void sqlite_tallies_undo(struct sqlite_store *store)
{
    LIST_FOREACH (node, &store->touched_tallies) {
        struct sqlite_tally *tally = CONTAINER_OF(node, struct sqlite_tally, touched_node);

        tally->row = tally->kept;
        list_remove(node);
    }
}

enum err sqlite_tallies_load(struct sqlite_store *store)
{
    sqlite3_stmt *walk = sqlite_sql_start(store, SQL_TALLY_WALK);
    bool has_row;

    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        const struct slice account = sqlite_column_slice(walk, 0);
        struct store_tally_row *row;

        if (account.len > STORE_ACCOUNT_CHARS) {
            return sqlite_sql_failed(store, SQLITE_CORRUPT);
        }
        row = &tally_get(store, account)->row;
        row->created = sqlite_column_u64(walk, 1);
        row->delivered = sqlite_column_u64(walk, 2);
        row->dropped = sqlite_column_u64(walk, 3);
        row->expired = sqlite_column_u64(walk, 4);
        row->redriven = sqlite_column_u64(walk, 5);
        row->live = sqlite_column_u64(walk, 6);
        row->dead = sqlite_column_u64(walk, 7);
        if (row->created != row->delivered + row->dropped + row->expired + row->live + row->dead) {
            return sqlite_sql_failed(store, SQLITE_CORRUPT);
        }
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return ERR_OK;
}

void sqlite_tallies_free(struct sqlite_store *store)
{
    size_t cursor = 0;
    struct sqlite_tally *tally;

    for (tally = map_next(&store->tallies, &cursor); tally != NULL;
         tally = map_next(&store->tallies, &cursor)) {
        xfree(tally);
    }
    map_clean_up(&store->tallies);
}

/* ---- STORE_TALLY --------------------------------------------------------------------------- */

/* The earliest due of the lane's deliveries, claimed or not. */
static uint64_t oldest_due_of(const struct sqlite_lane *lane)
{
    uint64_t due_ms = lane->next_due_ms;

    LIST_FOREACH (node, &lane->claims) {
        due_ms = MIN_OF(due_ms, CONTAINER_OF(node, struct sqlite_claim, node)->due_ms);
    }
    return due_ms;
}

static void find_oldest_due(struct sqlite_store *store)
{
    size_t cursor = 0;
    struct sqlite_lane *lane;

    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        if (lane->live_count > 0) {
            struct store_tally_row *row =
                &tally_get(store, store_lane_account(slice_of(lane->name)))->row;
            const uint64_t due_ms = oldest_due_of(lane);

            if (row->oldest_due_ms == 0 || due_ms < row->oldest_due_ms) {
                row->oldest_due_ms = due_ms;
            }
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct store_tally_row *left = a;
    const struct store_tally_row *right = b;

    return strcmp(left->account, right->account);
}

enum err sqlite_tally_run(struct sqlite_store *store, struct store_tally *tally)
{
    size_t cursor = 0;
    struct sqlite_tally *kept;

    for (kept = map_next(&store->tallies, &cursor); kept != NULL;
         kept = map_next(&store->tallies, &cursor)) {
        kept->row.oldest_due_ms = 0;
    }
    find_oldest_due(store);
    tally->rows = xcalloc(store->tallies.count, sizeof(tally->rows[0]));
    tally->row_count = 0;
    tally->bytes_used = store->header.bytes_used;
    tally->commits = store->commits;
    tally->commit_entries = store->commit_entries;
    cursor = 0;
    for (kept = map_next(&store->tallies, &cursor); kept != NULL;
         kept = map_next(&store->tallies, &cursor)) {
        tally->rows[tally->row_count++] = kept->row;
    }
    if (tally->row_count > 0) {
        qsort(tally->rows, tally->row_count, sizeof(tally->rows[0]), compare_rows);
    }
    return ERR_OK;
}
