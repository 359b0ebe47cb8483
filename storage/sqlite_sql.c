/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_sql.c - the thin layer between the engine and SQLite's C API.
 *
 * SQLite's integers are signed; ours are unsigned and stay below 2^63 (moments, sequences, sizes).
 * A larger one can only come from a damaged file, and goes through here and back unchanged.
 *
 * A statement that is not reset holds a read lock on the log and would keep checkpoints from
 * finishing, so every path leaves it reset.
 */
#include "storage/sqlite_sql.h"

#include "core/check.h"
#include "storage/sqlite_internal.h"

static const char *const texts[SQLITE_STATEMENT_COUNT] = {
#define STATEMENT(name, text) [SQL_##name] = (text),
#include "storage/sqlite_sql.def"
#undef STATEMENT
};

enum err sqlite_sql_failed(struct sqlite_store *store, int code)
{
    CHECK(code != SQLITE_OK);
    if (store->failure == SQLITE_OK) {
        store->failure = code;
    }
    return ERR_STORE_FAILED;
}

enum err sqlite_sql_prepare(struct sqlite_store *store)
{
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++) {
        const int code = sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                            &store->statements[i], NULL);

        if (code != SQLITE_OK) {
            return sqlite_sql_failed(store, code);
        }
    }
    return ERR_OK;
}

void sqlite_sql_finalize(struct sqlite_store *store)
{
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
}

sqlite3_stmt *sqlite_sql_start(struct sqlite_store *store, enum sqlite_statement statement)
{
    sqlite3_stmt *started = store->statements[statement];

    CHECK(started != NULL);
    (void)sqlite3_reset(started); /* what it returns is the last step's failure, seen already */
    return started;
}

void sqlite_bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
    CHECK(sqlite3_bind_int64(statement, index, (sqlite3_int64)value) == SQLITE_OK);
}

void sqlite_bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
    CHECK(sqlite3_bind_text64(statement, index, text.len > 0 ? text.data : "", text.len,
                              SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
}

void sqlite_bind_blob(sqlite3_stmt *statement, int index, struct slice bytes)
{
    CHECK(sqlite3_bind_blob64(statement, index, bytes.len > 0 ? bytes.data : "", bytes.len,
                              SQLITE_STATIC) == SQLITE_OK);
}

enum err sqlite_sql_next(struct sqlite_store *store, sqlite3_stmt *statement, bool *has_row)
{
    const int code = sqlite3_step(statement);

    *has_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        return ERR_OK;
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? ERR_OK : sqlite_sql_failed(store, code);
}

enum err sqlite_sql_run(struct sqlite_store *store, sqlite3_stmt *statement)
{
    bool has_row;

    TRY(sqlite_sql_next(store, statement, &has_row));
    CHECK(!has_row);
    return ERR_OK;
}

enum err sqlite_sql_text(struct sqlite_store *store, const char *text)
{
    const int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? ERR_OK : sqlite_sql_failed(store, code);
}

uint64_t sqlite_column_u64(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

struct slice sqlite_column_slice(sqlite3_stmt *statement, int index)
{
    const char *data = sqlite3_column_blob(statement, index);

    return (struct slice){data, (size_t)sqlite3_column_bytes(statement, index)};
}
