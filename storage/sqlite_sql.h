/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_sql.h - the statements of the embedded engine, prepared once and kept.
 *
 * A call binds, steps and leaves the statement reset; the first failure is noted in the store and
 * stops the transaction.
 */
#pragma once

#include <sqlite3.h>

#include "core/err.h"
#include "core/slice.h"

struct sqlite_store;

enum sqlite_statement {
#define STATEMENT(name, text) SQL_##name,
#include "storage/sqlite_sql.def"
#undef STATEMENT
    SQLITE_STATEMENT_COUNT
};

/* Prepare all of them; the schema is there. */
MUST_USE enum err sqlite_sql_prepare(struct sqlite_store *store);
void sqlite_sql_finalize(struct sqlite_store *store);

/* Begin binding: resets the statement. */
sqlite3_stmt *sqlite_sql_start(struct sqlite_store *store, enum sqlite_statement statement);
void sqlite_bind_u64(sqlite3_stmt *statement, int index, uint64_t value);
/* The bytes stay the caller's and must outlive the step. */
void sqlite_bind_text(sqlite3_stmt *statement, int index, struct slice text);
void sqlite_bind_blob(sqlite3_stmt *statement, int index, struct slice bytes);

/* Step once: is there a row?  ERR_STORE_FAILED after noting why.  At the end, and on failure, the
 * statement is reset. */
MUST_USE enum err sqlite_sql_next(struct sqlite_store *store, sqlite3_stmt *statement,
                                  bool *has_row);
/* Step a statement that gives no rows. */
MUST_USE enum err sqlite_sql_run(struct sqlite_store *store, sqlite3_stmt *statement);
/* Run a text without parameters, at open. */
MUST_USE enum err sqlite_sql_text(struct sqlite_store *store, const char *text);
/* Note SQLite's code as the failure of this transaction. */
enum err sqlite_sql_failed(struct sqlite_store *store, int code);

uint64_t sqlite_column_u64(sqlite3_stmt *statement, int index);
/* Text or blob, good until the next step. */
struct slice sqlite_column_slice(sqlite3_stmt *statement, int index);
