/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_schema.c - opening the database: settings, tables, recovery, and what makes it refuse.
 *
 *     header    one row: format, uuid, and the totals that change with each transaction
 *     event     seq -> checksummed record (record.c), freed with the last delivery
 *     delivery  what is owed, in the order in which lanes pay: (lane, due, seq, ordinal)
 *     step      (seq, ordinal) -> what a delivery of several steps has kept of those behind it
 *     mark      dedup marks in the order of commits, so that they expire from the front
 *     dead      dead letters; their events stay in `event`
 *     archived  (archive, time, seq) -> checksummed record of an event that an archive keeps
 *     archive   how many those are, their bytes, and how many found it full
 *     catalog   documents and tombstones, each with its revision
 *     tally     counters per account
 *
 * SQLite runs with a write-ahead log that is flushed at every commit (synchronous=FULL), alone
 * (locking_mode=EXCLUSIVE: the log's index stays in our memory, no shared file), and writes nothing
 * before a commit (cache_spill=OFF), so a full disk or a bad one is met in one place.  A log that
 * one great commit has made longer than 64 MiB is cut back to that when it begins anew.
 *
 * Space: pages that ended events leave are reused; auto_vacuum=INCREMENTAL also lets the thread
 * give them back to the disk in small steps after a flood, which costs one map page in 800.
 *
 * Recovery is SQLite's own and may be killed at any point.  Afterwards the batch number in `header`
 * must not lie behind the side file (sqlite_folder.c); then lanes, marks and tallies are read. That
 * is one walk over what is owed, and no look at the events: how many they are stands in `header`.
 *
 * Format 1 had no such number, formats 1 and 2 had no steps, and those before 4 no archives: such a
 * store is counted once, gets the tables that it lacks, and is of the present format from then on.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"
#include "core/random.h"

enum { FORMAT = 4, FORMAT_UNCOUNTED = 1, SCRATCH_BYTES_MAX = STORE_ENTRY_BYTES_MAX };

_Static_assert(STORE_EMBEDDED_CACHE_BYTES == 65536 * 1024, "the setting cache_size says so");

static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
                               "PRAGMA page_size = 4096;"
                               "PRAGMA auto_vacuum = INCREMENTAL;"
                               "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA cache_size = -65536;"
                               "PRAGMA cache_spill = OFF;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA journal_size_limit = 67108864;"
                               "PRAGMA secure_delete = OFF;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;";

#define STEP_TABLE                                                                                 \
    " step (seq INTEGER NOT NULL, ordinal INTEGER NOT NULL, state BLOB NOT NULL,"                  \
    " crc INTEGER NOT NULL, PRIMARY KEY (seq, ordinal)) STRICT, WITHOUT ROWID;"

#define ARCHIVE_TABLES                                                                             \
    " archived (archive INTEGER NOT NULL, time INTEGER NOT NULL, seq INTEGER NOT NULL,"            \
    " cost INTEGER NOT NULL, record BLOB NOT NULL) STRICT;"                                        \
    "CREATE UNIQUE INDEX IF NOT EXISTS archived_place ON archived (archive, time, seq);"           \
    "CREATE TABLE IF NOT EXISTS archive (id INTEGER PRIMARY KEY, events INTEGER NOT NULL,"         \
    " bytes INTEGER NOT NULL, left_out INTEGER NOT NULL) STRICT;"

static const char tables[] =
    "CREATE TABLE header (format INTEGER NOT NULL, uuid BLOB NOT NULL, batch INTEGER NOT NULL,"
    " bytes_used INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_dead INTEGER NOT NULL,"
    " rev INTEGER NOT NULL, events INTEGER NOT NULL) STRICT;"
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, cost INTEGER NOT NULL, record BLOB NOT NULL)"
    " STRICT;"
    "CREATE TABLE delivery (lane TEXT NOT NULL, due INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " ordinal INTEGER NOT NULL, attempts INTEGER NOT NULL, past_attempts INTEGER NOT NULL,"
    " last_err INTEGER NOT NULL, budget_from INTEGER NOT NULL,"
    " PRIMARY KEY (lane, due, seq, ordinal)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX delivery_event ON delivery (seq, ordinal);"
    "CREATE TABLE" STEP_TABLE "CREATE TABLE" ARCHIVE_TABLES
    "CREATE TABLE mark (seq INTEGER PRIMARY KEY, expires INTEGER NOT NULL, key BLOB NOT NULL,"
    " content BLOB NOT NULL, id TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;"
    "CREATE TABLE dead (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, ordinal INTEGER NOT NULL,"
    " lane TEXT NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " past_attempts INTEGER NOT NULL, last_err INTEGER NOT NULL, budget_from INTEGER NOT NULL,"
    " buried INTEGER NOT NULL, account TEXT NOT NULL, bus TEXT NOT NULL, rule TEXT NOT NULL,"
    " target_id TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, crc INTEGER NOT NULL)"
    " STRICT;"
    "CREATE INDEX dead_event ON dead (seq);"
    "CREATE INDEX dead_account ON dead (account);"
    "CREATE TABLE catalog (name TEXT NOT NULL, rev INTEGER NOT NULL, value BLOB NOT NULL,"
    " crc INTEGER NOT NULL, PRIMARY KEY (name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX catalog_rev ON catalog (rev);"
    "CREATE TABLE tally (account TEXT NOT NULL, created INTEGER NOT NULL,"
    " delivered INTEGER NOT NULL, dropped INTEGER NOT NULL, expired INTEGER NOT NULL,"
    " redriven INTEGER NOT NULL, live INTEGER NOT NULL, dead INTEGER NOT NULL,"
    " PRIMARY KEY (account)) STRICT, WITHOUT ROWID;";

/* ---- the first time ------------------------------------------------------------------------ */

static enum err create_header(struct sqlite_store *store)
{
    sqlite3_stmt *insert = NULL;
    int code = sqlite3_prepare_v2(store->db, "INSERT INTO header VALUES (?1, ?2, 0, 0, 0, 0, 0, 0)",
                                  -1, &insert, NULL);

    if (code == SQLITE_OK) {
        random_bytes(store->uuid.bytes, sizeof(store->uuid.bytes));
        sqlite_bind_u64(insert, 1, FORMAT);
        sqlite_bind_blob(insert, 2,
                         (struct slice){(const char *)store->uuid.bytes, STORE_UUID_BYTES});
        code = sqlite3_step(insert);
        (void)sqlite3_finalize(insert);
    }
    return code == SQLITE_DONE ? ERR_OK : sqlite_sql_failed(store, code);
}

static enum err create(struct sqlite_store *store)
{
    TRY(sqlite_sql_text(store, "BEGIN IMMEDIATE"));
    TRY(sqlite_sql_text(store, tables));
    TRY(create_header(store));
    return sqlite_sql_text(store, "COMMIT");
}

/* How many tables and indexes are there? */
static enum err count_schema(struct sqlite_store *store, int *count)
{
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(store->db, "SELECT count(*) FROM sqlite_schema", -1, &statement, NULL);

    *count = 0;
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        *count = sqlite3_column_int(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? ERR_OK : sqlite_sql_failed(store, code);
}

/* ---- every time ---------------------------------------------------------------------------- */

/* The row on which `statement` stands: the columns of either format. */
static enum err take_header(struct sqlite_store *store, sqlite3_stmt *statement,
                            struct err_why *why)
{
    const uint64_t format = sqlite_column_u64(statement, 0);
    struct slice uuid;

    if (format < FORMAT_UNCOUNTED || format > FORMAT) {
        return err_because(ERR_STORE_CORRUPT, why,
                           "store %s: it has format %" PRIu64 ", this weir reads format %d",
                           store->folder.database_path, format, FORMAT);
    }
    uuid = sqlite_column_slice(statement, 1);
    if (uuid.len != STORE_UUID_BYTES) {
        return err_because(ERR_STORE_CORRUPT, why, "store %s: the header is damaged",
                           store->folder.database_path);
    }
    memcpy(store->uuid.bytes, uuid.data, STORE_UUID_BYTES);
    store->header = (struct sqlite_header){
        .batch = sqlite_column_u64(statement, 2),
        .bytes_used = sqlite_column_u64(statement, 3),
        .last_seq = sqlite_column_u64(statement, 4),
        .last_dead_id = sqlite_column_u64(statement, 5),
        .rev = sqlite_column_u64(statement, 6),
        .event_count = format != FORMAT_UNCOUNTED ? sqlite_column_u64(statement, 7) : 0,
    };
    store->kept_header = store->header;
    store->format = (unsigned)format;
    return ERR_OK;
}

/* Asked before the other statements are prepared, which an older format does not know. */
static enum err read_header(struct sqlite_store *store, struct err_why *why)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, "SELECT * FROM header", -1, &statement, NULL);
    enum err err;

    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW) {
        err = take_header(store, statement, why);
    } else if (code == SQLITE_DONE) {
        err = err_because(ERR_STORE_CORRUPT, why, "store %s: the header is missing",
                          store->folder.database_path);
    } else {
        err = sqlite_sql_failed(store, code);
    }
    (void)sqlite3_finalize(statement);
    return err;
}

static enum err upgrade(struct sqlite_store *store, struct err_why *why)
{
    if (store->format == FORMAT) {
        return ERR_OK;
    }
    log_info("store.upgrade", LOG_TEXT("folder", store->folder.path),
             LOG_U64("from", store->format), LOG_U64("to", FORMAT));
    TRY(sqlite_sql_text(store, "BEGIN IMMEDIATE"));
    if (store->format == FORMAT_UNCOUNTED) {
        TRY(sqlite_sql_text(store,
                            "ALTER TABLE header ADD COLUMN events INTEGER NOT NULL DEFAULT 0;"
                            "UPDATE header SET events = (SELECT count(*) FROM event)"));
    }
    TRY(sqlite_sql_text(store, "CREATE TABLE IF NOT EXISTS" STEP_TABLE
                               "CREATE TABLE IF NOT EXISTS" ARCHIVE_TABLES
                               "UPDATE header SET format = 4; COMMIT"));
    return read_header(store, why);
}

enum err sqlite_header_write(struct sqlite_store *store)
{
    sqlite3_stmt *statement = sqlite_sql_start(store, SQL_HEADER_WRITE);

    sqlite_bind_u64(statement, 1, store->header.batch);
    sqlite_bind_u64(statement, 2, store->header.bytes_used);
    sqlite_bind_u64(statement, 3, store->header.last_seq);
    sqlite_bind_u64(statement, 4, store->header.last_dead_id);
    sqlite_bind_u64(statement, 5, store->header.rev);
    sqlite_bind_u64(statement, 6, store->header.event_count);
    return sqlite_sql_run(store, statement);
}

/* Is everything there that was ever flushed? */
static enum err check_durable(struct sqlite_store *store, struct err_why *why)
{
    uint64_t flushed_batch;

    TRY(sqlite_folder_durable_read(&store->folder, &store->uuid, &flushed_batch, why));
    if (store->header.batch < flushed_batch) {
        return err_because(
            ERR_STORE_CORRUPT, why,
            "store %s: it ends with commit %" PRIu64 " but commit %" PRIu64
            " was flushed and answered: the database or its log is damaged.  Restore a backup, or "
            "remove the file `durable` beside it to go on without the lost commits",
            store->folder.database_path, store->header.batch, flushed_batch);
    }
    return ERR_OK;
}

static enum err load(struct sqlite_store *store)
{
    TRY(sqlite_tallies_load(store));
    TRY(sqlite_archives_load(store));
    TRY(sqlite_lanes_load(store));
    return sqlite_marks_load(store);
}

static enum err open_database(struct sqlite_store *store)
{
    const int code =
        sqlite3_open_v2(store->folder.database_path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code != SQLITE_OK) {
        return sqlite_sql_failed(store, code);
    }
    (void)sqlite3_extended_result_codes(store->db, 1);
    /* A last checkpoint is our decision: after a failure the files stay as they are. */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return sqlite_sql_text(store, settings);
}

static enum err open_steps(struct sqlite_store *store, struct err_why *why)
{
    int schema_count;

    TRY(open_database(store));
    TRY(count_schema(store, &schema_count));
    if (schema_count == 0 && sqlite_folder_has_history(&store->folder)) {
        return err_because(ERR_STORE_CORRUPT, why,
                           "store %s: it is empty, but commits were flushed here.  Restore a "
                           "backup, or remove the file `durable` beside it to begin anew",
                           store->folder.database_path);
    }
    if (schema_count == 0) {
        TRY(create(store));
        if (sqlite_folder_sync(&store->folder) != ERR_OK) {
            return err_because(ERR_SYSTEM, why, "store folder %s: cannot flush it",
                               store->folder.path);
        }
    }
    TRY(read_header(store, why));
    TRY(check_durable(store, why));
    TRY(upgrade(store, why));
    TRY(sqlite_sql_prepare(store));
    return load(store);
}

enum err sqlite_schema_open(struct sqlite_store *store, struct err_why *why)
{
    enum err err;

    buf_init(&store->scratch, SCRATCH_BYTES_MAX);
    err = open_steps(store, why);
    if (err != ERR_STORE_FAILED) {
        return err;
    }
    switch (store->failure & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or column is missing */
        return err_because(ERR_STORE_CORRUPT, why, "store %s: it is damaged, or not weir's: %s",
                           store->folder.database_path, sqlite3_errmsg(store->db));
    default:
        return err_because(ERR_SYSTEM, why, "store %s: %s (SQLite code %d)",
                           store->folder.database_path, sqlite3_errmsg(store->db), store->failure);
    }
}

void sqlite_schema_close(struct sqlite_store *store)
{
    sqlite_sql_finalize(store);
    if (store->db != NULL) {
        CHECK(sqlite3_close(store->db) == SQLITE_OK);
        store->db = NULL;
    }
    sqlite_lanes_free(store);
    sqlite_marks_free(store);
    sqlite_tallies_free(store);
    arena_clean_up(&store->batch_arena);
    buf_clean_up(&store->scratch);
    sqlite_folder_clean_up(&store->folder);
}
