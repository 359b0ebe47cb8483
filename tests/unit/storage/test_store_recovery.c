/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_recovery.c - what an embedded store finds when it opens: itself, or a reason to
 * refuse.
 *
 * Damage is done to closed stores through SQLite, or to copies of the files of a running one, whose
 * log still holds the commits.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>

#include "core/log.h"
#include "storage/store_archive.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

#define ACCOUNT "111122223333"
#define LANE    ACCOUNT "/t1"

enum { T0 = 1000000, COPY_BYTES_MAX = 16 << 20 };

struct fixture {
    char folder[64];
    char copy[64];
    struct desk desk;
};

static enum err try_open(const char *folder, struct store **store, struct err_why *why)
{
    const struct store_options options = {.folder = slice_of(folder)};

    return store_sqlite_open(&options, store, why);
}

static void open_at(struct fixture *fixture, const char *folder)
{
    struct store *store;
    struct err_why why;

    if (try_open(folder, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&fixture->desk, store);
}

static void reopen(struct fixture *fixture)
{
    desk_close(&fixture->desk);
    open_at(fixture, fixture->folder);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    folder_make(fixture->folder, sizeof(fixture->folder));
    folder_make(fixture->copy, sizeof(fixture->copy));
    open_at(fixture, fixture->folder);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->desk.store != NULL) {
        desk_close(&fixture->desk);
    }
    folder_remove(fixture->folder);
    folder_remove(fixture->copy);
    xfree(fixture);
    return 0;
}

static void commit(struct fixture *fixture, const char *id, const char *body)
{
    const struct desk_event event = {
        .account = ACCOUNT, .id = id, .body = body, .key = id, .ttl_ms = 300000, .lanes = {LANE}};
    struct desk_entry out;

    assert_int_equal(desk_commit(&fixture->desk, T0, &event, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
}

/* ---- the files ----------------------------------------------------------------------------- */

static void path_of(char *path, size_t size, const char *folder, const char *name)
{
    assert_true(snprintf(path, size, "%s/%s", folder, name) < (int)size);
}

static size_t read_file(const char *folder, const char *name, char *bytes)
{
    char path[128];
    int fd;
    ssize_t len;

    path_of(path, sizeof(path), folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    len = read(fd, bytes, COPY_BYTES_MAX);
    assert_true(len >= 0);
    assert_true(len < COPY_BYTES_MAX);
    (void)close(fd);
    return (size_t)len;
}

static void write_file(const char *folder, const char *name, const char *bytes, size_t len)
{
    char path[128];
    int fd;

    path_of(path, sizeof(path), folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    (void)close(fd);
}

/* What a kill at this moment would leave, in fixture->copy. */
static void copy_files(struct fixture *fixture)
{
    static const char *const names[] = {"weir.db", "weir.db-wal", "durable"};
    char *bytes = xmalloc(COPY_BYTES_MAX);

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        write_file(fixture->copy, names[i], bytes, read_file(fixture->folder, names[i], bytes));
    }
    xfree(bytes);
}

static void run_sql(const char *folder, const char *text)
{
    char path[128];
    sqlite3 *db;

    path_of(path, sizeof(path), folder, "weir.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    }
    assert_true(sqlite3_changes(db) > 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_refused(const char *folder, enum err expected, const char *words)
{
    struct store *store;
    struct err_why why = {.text = ""};
    const enum err err = try_open(folder, &store, &why);

    if (err == ERR_OK) {
        store_destroy(store);
    }
    assert_string_equal(err_name(err), err_name(expected));
    assert_null(store);
    if (strstr(why.text, words) == NULL) {
        fail_msg("expected \"%s\" in: %s", words, why.text);
    }
}

/* ---- a restart ----------------------------------------------------------------------------- */

static void a_restart_resumes_what_is_owed(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref refs[4];
    struct store_tally_row tally;
    const struct desk_event again = {
        .account = ACCOUNT, .id = "other", .key = "e-1", .ttl_ms = 300000, .lanes = {LANE}};
    struct desk_entry out;
    uint64_t bytes_before;
    uint64_t bytes_after;
    uint64_t last_seq;

    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    commit(fixture, "e-3", "[3]");
    assert_int_equal(desk_claim(desk, LANE, T0, 4, refs), 3);
    assert_int_equal(desk_settle(desk, refs, 1), ERR_OK);
    assert_int_equal(desk_bury(desk, refs[1], T0, "given-up"), ERR_OK);
    assert_int_equal(desk_park(desk, LANE, T0 + 9999), ERR_OK);
    last_seq = refs[2].seq;
    (void)desk_tally(desk, ACCOUNT, &bytes_before);

    reopen(fixture);
    tally = desk_tally(desk, ACCOUNT, &bytes_after);
    assert_int_equal(bytes_after, bytes_before);
    assert_int_equal(tally.created, 3);
    assert_int_equal(tally.delivered, 1);
    assert_int_equal(tally.dead, 1);
    assert_int_equal(tally.live, 1);
    assert_int_equal(desk_claim(desk, LANE, T0, 4, refs), 1); /* claims and parks are forgotten */
    assert_int_equal(refs[0].seq, last_seq);
    assert_int_equal(desk_commit(desk, T0, &again, &out), ERR_OK); /* marks are not */
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_string_equal(out.entry.duplicate_of, "e-1");
    assert_int_equal(desk_settle(desk, refs, 1), ERR_OK);
}

/* Goal:   what a start recovered is what was owed before, and nobody counted for it.
 * Method: events of one and two deliveries, one of them ended, one buried, one repeated. */
static void a_restart_tells_what_it_recovered(void **state)
{
    struct fixture *fixture = *state;
    const struct desk_event wide = {
        .account = ACCOUNT, .id = "e-4", .lanes = {LANE, ACCOUNT "/t2", ACCOUNT "/t3"}};
    const struct desk_event again = {
        .account = ACCOUNT, .id = "e-9", .key = "e-1", .ttl_ms = 300000, .lanes = {LANE}};
    const struct store_recovery *recovery = &fixture->desk.store->recovery;
    struct store_ref refs[2];

    assert_int_equal(recovery->event_count, 0);
    assert_int_equal(recovery->delivery_count, 0);
    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    commit(fixture, "e-3", "[3]");
    assert_int_equal(desk_commit(&fixture->desk, T0, &again, NULL), ERR_OK);
    assert_int_equal(desk_commit(&fixture->desk, T0, &wide, NULL), ERR_OK);
    assert_int_equal(desk_claim(&fixture->desk, LANE, T0, 2, refs), 2);
    assert_int_equal(desk_settle(&fixture->desk, refs, 1), ERR_OK);
    assert_int_equal(desk_bury(&fixture->desk, refs[1], T0, "given-up"), ERR_OK);
    reopen(fixture);
    recovery = &fixture->desk.store->recovery;
    assert_int_equal(recovery->event_count, 3);    /* the buried one keeps its event */
    assert_int_equal(recovery->delivery_count, 4); /* one, and three */
    assert_true(recovery->took_ms < 600000);
}

/* Goal:   a store of the format before is counted once, and opens with all it held.
 * Method: take from a closed store what that format did not have. */
static void a_store_of_the_format_before_is_counted(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    desk_close(&fixture->desk);
    run_sql(fixture->folder, "ALTER TABLE header DROP COLUMN events; UPDATE header SET format = 1");
    open_at(fixture, fixture->folder);
    assert_int_equal(fixture->desk.store->recovery.event_count, 2);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, 2);
    commit(fixture, "e-3", "[3]");
    reopen(fixture);
    assert_int_equal(fixture->desk.store->recovery.event_count, 3);
}

/* Goal:   a store of the format without steps gets its table, and what is between steps survives.
 * Method: take the table from a closed store, then advance in the one that was opened. */
static void a_store_of_the_format_without_steps_gets_them(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_claim claim;
    struct store_ref ref;

    commit(fixture, "e-1", "[1]");
    desk_close(desk);
    run_sql(fixture->folder, "DROP TABLE step; UPDATE header SET format = 2");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk->store->recovery.event_count, 1);
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &ref), 1);
    assert_int_equal(desk_advance(desk, ref, LANE ".next", T0 + 1, SLICE("kept")), ERR_OK);
    reopen(fixture);
    assert_int_equal(desk_claim(desk, LANE, T0 + 1, 1, &ref), 0);
    desk_claim_start(&claim, LANE ".next", T0 + 1, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    assert_true(slice_eq(CONTAINER_OF(claim.records.next, struct store_record, node)->state,
                         SLICE("kept")));
    assert_int_equal(desk_take_refs(&claim.records, &ref, 1), 1);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    desk_close(desk); /* and it left nothing: one row more would break a rule of the table */
    run_sql(fixture->folder,
            "INSERT INTO step SELECT 1, count(*), x'00', 1 / (count(*) = 0) FROM step");
    open_at(fixture, fixture->folder);
}

static void a_restart_never_reuses_a_number(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref first;
    struct store_ref second;

    commit(fixture, "e-1", "[1]");
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &first), 1);
    assert_int_equal(desk_settle(desk, &first, 1), ERR_OK);
    reopen(fixture);
    commit(fixture, "e-2", "[2]");
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &second), 1);
    assert_true(second.seq > first.seq);
}

/* A settle without a claim in memory finds its row all the same. */
static void a_settle_from_before_the_restart_counts(void **state)
{
    struct fixture *fixture = *state;
    struct store_ref ref;

    commit(fixture, "e-1", "[1]");
    assert_int_equal(desk_claim(&fixture->desk, LANE, T0, 1, &ref), 1);
    reopen(fixture);
    assert_int_equal(desk_retry(&fixture->desk, ref, T0, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_settle(&fixture->desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).delivered, 1);
}

/* ---- whose folder it is ------------------------------------------------------------------------
 */

static void a_folder_has_one_owner(void **state)
{
    struct fixture *fixture = *state;

    assert_refused(fixture->folder, ERR_STORE_BUSY, "another process holds it");
    reopen(fixture); /* and the first is none the worse */
}

static void files_are_private_and_do_not_leak_into_children(void **state)
{
    static const char *const names[] = {"weir.db", "weir.db-wal", "durable", "ballast"};
    struct fixture *fixture = *state;
    struct stat status;
    char path[128];
    int seen_count = 0;

    commit(fixture, "e-1", "[1]");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        path_of(path, sizeof(path), fixture->folder, names[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    for (int fd = 3; fd < 64; fd++) {
        char link[32];
        ssize_t len;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        len = readlink(link, path, sizeof(path) - 1);
        if (len > 0 && strncmp(path, fixture->folder, strlen(fixture->folder)) == 0) {
            assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
            seen_count++;
        }
    }
    assert_true(seen_count >= 4); /* folder, database, log, side file */
}

static void a_bad_place_is_refused_with_its_reason(void **state)
{
    struct fixture *fixture = *state;
    char path[128];

    path_of(path, sizeof(path), fixture->copy, "a/b");
    assert_refused(path, ERR_SYSTEM, "cannot create it");
    assert_refused("", ERR_SYSTEM, "no path");
    write_file(fixture->copy, "file", "x", 1);
    path_of(path, sizeof(path), fixture->copy, "file");
    assert_refused(path, ERR_SYSTEM, "cannot open it");
    assert_int_equal(chmod(fixture->copy, 0770), 0);
    assert_refused(fixture->copy, ERR_SYSTEM, "others may write to it");
    assert_int_equal(chmod(fixture->copy, 0700), 0);
}

static void a_missing_folder_is_created_private(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    char path[128];
    struct store *store;
    struct err_why why;

    path_of(path, sizeof(path), fixture->copy, "new");
    assert_int_equal(try_open(path, &store, &why), ERR_OK);
    assert_string_equal(store->kind, "embedded");
    assert_string_equal(store_guarantee(store), "flushed");
    store_destroy(store);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    folder_remove(path);
}

/* ---- torn or damaged ----------------------------------------------------------------------------
 */

static void what_a_kill_leaves_is_recovered(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    copy_files(fixture);
    desk_close(&fixture->desk);
    open_at(fixture, fixture->copy);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, 2);
}

/* A write that was under way when the power failed: a frame that does not validate, at the end. */
static void a_torn_tail_is_discarded(void **state)
{
    struct fixture *fixture = *state;
    char *log = xmalloc(COPY_BYTES_MAX);
    size_t len;

    commit(fixture, "e-1", "[1]");
    copy_files(fixture);
    len = read_file(fixture->copy, "weir.db-wal", log);
    assert_true(len > 4096);
    memset(log + len, 'x', 5000);
    write_file(fixture->copy, "weir.db-wal", log, len + 5000);
    xfree(log);
    desk_close(&fixture->desk);
    open_at(fixture, fixture->copy);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, 1);
}

/* Where the last transaction but one of a log ends.  What lies behind the last frame with the salt
 * of the head is of before the log was begun anew: whether that has happened, when the store was
 * idle after it had been made, is a matter of time. */
static size_t end_of_last_but_one(const char *log, size_t len)
{
    enum { LOG_HEAD = 32, FRAME_HEAD = 24, PAGE = 4096, SALT = 8 };
    static const char no_size[4];
    size_t last = 0;
    size_t last_but_one = 0;

    for (size_t at = LOG_HEAD; at + FRAME_HEAD + PAGE <= len; at += FRAME_HEAD + PAGE) {
        if (!slice_eq((struct slice){log + at + SALT, SALT}, (struct slice){log + 16, SALT})) {
            break;
        }
        if (memcmp(log + at + 4, no_size, sizeof(no_size)) !=
            0) { /* size of the database: the end */
            last_but_one = last;
            last = at + FRAME_HEAD + PAGE;
        }
    }
    assert_true(last_but_one > 0);
    return last_but_one;
}

static void damage_of_the_flushed_log_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *log = xmalloc(COPY_BYTES_MAX);
    size_t len;
    size_t end;

    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    copy_files(fixture);
    len = read_file(fixture->copy, "weir.db-wal", log);
    end = end_of_last_but_one(log, len);
    log[end - 1000] = (char)(log[end - 1000] ^ 1); /* one bit, before a whole transaction */
    write_file(fixture->copy, "weir.db-wal", log, len);
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "was flushed and answered");
    write_file(fixture->copy, "weir.db-wal", log, 0); /* the whole log gone */
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "flushed");
    write_file(fixture->copy, "weir.db", log, 0); /* everything gone */
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "commits were flushed here");
    xfree(log);
}

static void a_side_file_that_is_gone_or_torn_tells_nothing(void **state)
{
    struct fixture *fixture = *state;
    char path[128];

    commit(fixture, "e-1", "[1]");
    copy_files(fixture);
    write_file(fixture->copy, "durable", "weirdur1 torn", 13);
    desk_close(&fixture->desk);
    open_at(fixture, fixture->copy);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, 1);
    desk_close(&fixture->desk);
    path_of(path, sizeof(path), fixture->copy, "durable");
    assert_int_equal(unlink(path), 0);
    open_at(fixture, fixture->copy);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, 1);
}

static void a_side_file_of_another_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *bytes = xmalloc(COPY_BYTES_MAX);
    struct store *store;
    struct err_why why;
    size_t len;

    commit(fixture, "e-1", "[1]");
    len = read_file(fixture->folder, "durable", bytes);
    assert_true(len > 0);
    assert_int_equal(try_open(fixture->copy, &store, &why), ERR_OK);
    store_destroy(store);
    write_file(fixture->copy, "durable", bytes, len);
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "belongs to another store");
    xfree(bytes);
}

static void a_database_that_is_not_ours_is_refused(void **state)
{
    struct fixture *fixture = *state;

    write_file(fixture->copy, "weir.db", "this is no database, and long enough to tell", 44);
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "damaged, or not weir's");
    write_file(fixture->copy, "weir.db", "", 0);
    {
        char path[128];
        sqlite3 *db;

        path_of(path, sizeof(path), fixture->copy, "weir.db");
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE other (x)", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    assert_refused(fixture->copy, ERR_STORE_CORRUPT, "damaged, or not weir's");
}

/* Goal:   a store of the format without archives gets their tables, and an archive outlives
 * restarts. Method: take the tables from a closed store, then archive into the one that was opened.
 */
static void a_store_of_the_format_without_archives_gets_them(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_archiving archiving = {.archive = 3, .bytes_max = 1 << 20};
    struct store_entry entry = {.account = SLICE(ACCOUNT),
                                .event_id = SLICE("e-2"),
                                .body = SLICE("[2]"),
                                .archivings = &archiving,
                                .archiving_count = 1,
                                .time_ms = T0};
    struct store_commit add = {.now_ms = T0, .entries = &entry, .entry_count = 1};
    struct store_archive_read read = {.archive = 3, .until_ms = T0, .count_max = 9};
    struct store_archive_trim trim = {.archive = 3, .before_ms = UINT64_MAX, .count_max = 9};

    commit(fixture, "e-1", "[1]");
    desk_close(desk);
    run_sql(fixture->folder,
            "DROP TABLE archived; DROP TABLE archive; UPDATE header SET format = 3");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk_run(desk, &add.op, STORE_COMMIT), ERR_OK);
    reopen(fixture);
    assert_int_equal(desk_run(desk, &read.op, STORE_ARCHIVE_READ), ERR_OK);
    assert_false(list_is_empty(&read.events));
    store_archived_all_free(&read.events);
    assert_int_equal(desk_run(desk, &trim.op, STORE_ARCHIVE_TRIM), ERR_OK);
    assert_int_equal(trim.count, 1);
    reopen(fixture);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, 1);
}

static void headers_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *sql;
        const char *words;
    } rows[] = {
        {"UPDATE header SET format = 5", "it has format 5"},
        {"UPDATE header SET format = 4, uuid = x'00'", "header is damaged"},
        {"DELETE FROM header", "header is missing"},
    };
    struct fixture *fixture = *state;

    desk_close(&fixture->desk);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run_sql(fixture->folder, rows[i].sql);
        assert_refused(fixture->folder, ERR_STORE_CORRUPT, rows[i].words);
    }
}

static void counters_that_do_not_add_up_are_refused(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, "e-1", "[1]");
    desk_close(&fixture->desk);
    run_sql(fixture->folder, "UPDATE tally SET delivered = 7");
    assert_refused(fixture->folder, ERR_STORE_CORRUPT, "damaged");
}

/* ---- single records ------------------------------------------------------------------------ */

/* One flipped bit, a record in another's place, a record that is gone: never handed out. */
static void a_damaged_record_is_held_back_alone(void **state)
{
    static const char *const damages[] = {
        "UPDATE event SET record = CAST(record || ')' AS BLOB) WHERE seq = 2",
        "UPDATE event SET record = (SELECT record FROM event WHERE seq = 1) WHERE seq = 2",
        "UPDATE event SET record = x'00' WHERE seq = 2",
        "DELETE FROM event WHERE seq = 2",
    };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;

    commit(fixture, "e-1", "[1]");
    commit(fixture, "e-2", "[2]");
    commit(fixture, "e-3", "[3]");
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct store_ref refs[4];
        struct store_claim claim;

        desk_close(desk);
        run_sql(fixture->folder, damages[i]);
        open_at(fixture, fixture->folder);
        assert_int_equal(desk_claim(desk, LANE, T0, 4, refs), 2);
        assert_int_equal(refs[0].seq, 1);
        assert_int_equal(refs[1].seq, 3);
        assert_int_equal(desk_park(desk, LANE, 0), ERR_OK); /* does not let it loose */
        desk_claim_start(&claim, LANE, T0 + 5000, 4);
        assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
        assert_false(claim.has_more);
        assert_int_equal(desk_take_refs(&claim.records, refs, 4), 2);
        assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, 3); /* and it is not forgotten */
    }
}

static void a_delivery_row_that_fits_no_record_is_held_back(void **state)
{
    struct fixture *fixture = *state;
    struct store_ref refs[4];

    commit(fixture, "e-1", "[1]");
    desk_close(&fixture->desk);
    run_sql(fixture->folder, "UPDATE delivery SET lane = '" ACCOUNT "/t9'");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk_claim(&fixture->desk, ACCOUNT "/t9", T0, 4, refs), 0);
    desk_close(&fixture->desk);
    run_sql(fixture->folder, "UPDATE delivery SET lane = '" LANE "', ordinal = 5");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk_claim(&fixture->desk, LANE, T0, 4, refs), 0);
}

static void a_damaged_mark_is_forgotten(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, "e-1", "[1]");
    desk_close(&fixture->desk);
    run_sql(fixture->folder, "UPDATE mark SET id = 'e-X'");
    open_at(fixture, fixture->folder);
    commit(fixture, "e-1", "[1]"); /* no duplicate, rather than a wrong EventId */
}

static void a_dead_letter_of_a_damaged_event_has_no_body(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_dead_list list = {.count_max = 4};
    struct store_dead *dead;
    struct store_ref ref;

    commit(fixture, "e-1", "[1]");
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &ref), 1);
    assert_int_equal(desk_bury(desk, ref, T0, "given-up"), ERR_OK);
    desk_close(desk);
    run_sql(fixture->folder, "UPDATE event SET record = x'01020304'");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    assert_false(list_is_empty(&list.dead));
    dead = CONTAINER_OF(list_take_first(&list.dead), struct store_dead, node);
    assert_int_equal(dead->record->body.len, 0);
    assert_true(slice_eq(dead->reason, SLICE("given-up")));
    store_dead_free(dead);
    desk_close(desk);
    run_sql(fixture->folder, "UPDATE dead SET reason = 'other'");
    open_at(fixture, fixture->folder);
    list = (struct store_dead_list){.count_max = 4};
    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    assert_true(list_is_empty(&list.dead)); /* what it says cannot be trusted */
}

/* An event that is damaged by the time its delivery is given up is buried without names. */
static void a_delivery_of_a_damaged_event_can_be_buried(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    const struct desk_event two = {.account = ACCOUNT, .id = "e-1", .lanes = {LANE, ACCOUNT "/t2"}};
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, T0, &two, &out), ERR_OK);
    desk_close(desk);
    run_sql(fixture->folder, "DELETE FROM event");
    open_at(fixture, fixture->folder);
    {
        struct store_ref ref = desk_ref(out.entry.seq, 0, LANE, 0);
        struct store_ref none[1];

        assert_int_equal(desk_claim(desk, LANE, T0, 1, none), 0);
        ref.claim = 1; /* the number that the held-back claim got, as the first of this run */
        assert_int_equal(desk_bury(desk, ref, T0, "given-up"), ERR_OK);
        assert_int_equal(desk_tally(desk, ACCOUNT, NULL).dead, 1);
    }
}

static void a_damaged_catalog_is_not_read(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    const struct store_document document = {SLICE_INIT("rule/a"), SLICE_INIT("{\"on\":1}"), 0};
    struct store_catalog_put put = {.documents = &document, .document_count = 1};
    struct store_catalog_read read = {.since = 0};

    assert_int_equal(desk_run(desk, &put.op, STORE_CATALOG_PUT), ERR_OK);
    desk_close(desk);
    run_sql(fixture->folder, "UPDATE catalog SET value = CAST('{\"on\":0}' AS BLOB)");
    open_at(fixture, fixture->folder);
    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_STORE_CORRUPT);
    assert_null(read.memory);
}

enum { TELLING_AT = 500 }; /* where the bodies below tell their event's id */

static void commit_telling(struct fixture *fixture, int number)
{
    char id[16];
    char body[TELLING_AT + 16];

    (void)snprintf(id, sizeof(id), "e-%d", number);
    memset(body, 'b', TELLING_AT);
    memcpy(body + TELLING_AT, id, strlen(id) + 1);
    commit(fixture, id, body);
}

/* Open what lies in fixture->copy and claim everything: each body tells its own event's id.  False
 * if the store refuses to open. */
static bool gives_only_what_was_put_in(struct fixture *fixture)
{
    struct store *store;
    struct store_claim claim;
    struct err_why why;

    if (try_open(fixture->copy, &store, &why) != ERR_OK) {
        return false;
    }
    desk_open(&fixture->desk, store);
    desk_claim_start(&claim, LANE, T0 + 1, STORE_CLAIM_MAX);
    (void)desk_run(&fixture->desk, &claim.op, STORE_CLAIM); /* it may fail */
    LIST_FOREACH (node, &claim.records) {
        struct store_record *record = CONTAINER_OF(node, struct store_record, node);

        assert_int_equal(slice_find(record->body, 'e'), TELLING_AT);
        assert_true(slice_eq(slice_from(record->body, TELLING_AT), record->event_id));
        store_record_free(record);
    }
    desk_close(&fixture->desk);
    return true;
}

/* Goal:   whatever bit flips in the database, no payload but the right one comes out, and nothing
 *         crashes.
 * Method: one random bit of a closed store at a time; it is refused, fails, or holds back, or gives
 *         what was put in. */
static void a_flipped_bit_never_becomes_a_payload(void **state)
{
    enum { EVENTS = 30, FLIPS = 250 };
    struct fixture *fixture = *state;
    char *bytes = xmalloc(COPY_BYTES_MAX);
    uint64_t random = 88172645463325252U;
    size_t refused_count = 0;
    size_t len;

    for (int i = 0; i < EVENTS; i++) {
        commit_telling(fixture, i);
    }
    desk_close(&fixture->desk);
    len = read_file(fixture->folder, "weir.db", bytes);
    for (int i = 0; i < FLIPS; i++) {
        char *byte;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        byte = &bytes[random / 8 % len];
        *byte = (char)(*byte ^ 1 << random % 8);
        write_file(fixture->copy, "weir.db", bytes, len);
        *byte = (char)(*byte ^ 1 << random % 8);
        refused_count += gives_only_what_was_put_in(fixture) ? 0 : 1;
    }
    print_message("%d flips, %zu refused at open\n", FLIPS, refused_count);
    xfree(bytes);
    open_at(fixture, fixture->folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_restart_resumes_what_is_owed),
        TEST(a_restart_tells_what_it_recovered),
        TEST(a_store_of_the_format_before_is_counted),
        TEST(a_store_of_the_format_without_steps_gets_them),
        TEST(a_store_of_the_format_without_archives_gets_them),
        TEST(a_restart_never_reuses_a_number),
        TEST(a_settle_from_before_the_restart_counts),
        TEST(a_folder_has_one_owner),
        TEST(files_are_private_and_do_not_leak_into_children),
        TEST(a_bad_place_is_refused_with_its_reason),
        TEST(a_missing_folder_is_created_private),
        TEST(what_a_kill_leaves_is_recovered),
        TEST(a_torn_tail_is_discarded),
        TEST(damage_of_the_flushed_log_is_refused),
        TEST(a_side_file_that_is_gone_or_torn_tells_nothing),
        TEST(a_side_file_of_another_store_is_refused),
        TEST(a_database_that_is_not_ours_is_refused),
        TEST(headers_that_do_not_fit_are_refused),
        TEST(counters_that_do_not_add_up_are_refused),
        TEST(a_damaged_record_is_held_back_alone),
        TEST(a_delivery_row_that_fits_no_record_is_held_back),
        TEST(a_damaged_mark_is_forgotten),
        TEST(a_dead_letter_of_a_damaged_event_has_no_body),
        TEST(a_delivery_of_a_damaged_event_can_be_buried),
        TEST(a_damaged_catalog_is_not_read),
        TEST(a_flipped_bit_never_becomes_a_payload),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_recovery", tests, NULL, NULL);
}
