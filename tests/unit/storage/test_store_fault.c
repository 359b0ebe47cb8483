/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_fault.c - the embedded engine on a disk that fails: S7, S8, and that no answer lies.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "core/log.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"
#include "tests/lib/vfs_fault.h"

#define ACCOUNT "111122223333"
#define LANE    ACCOUNT "/t1"

enum { T0 = 1000000, ALL = 1000000 };

struct fixture {
    char folder[64];
    uint64_t reserve_bytes;
    struct desk desk;
    unsigned next_id;
};

static void open_store(struct fixture *fixture)
{
    const struct store_options options = {.folder = slice_of(fixture->folder),
                                          .reserve_bytes = fixture->reserve_bytes};
    struct store *store;
    struct err_why why;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&fixture->desk, store);
}

static void reopen(struct fixture *fixture)
{
    desk_close(&fixture->desk);
    vfs_fault_reset();
    open_store(fixture);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    vfs_fault_reset();
    folder_make(fixture->folder, sizeof(fixture->folder));
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    desk_close(&fixture->desk);
    vfs_fault_reset();
    folder_remove(fixture->folder);
    xfree(fixture);
    return 0;
}

/* Commit one event with a mark of its own; `verdict` may be NULL. */
static enum err commit_as(struct fixture *fixture, const char *id, enum store_verdict *verdict)
{
    const struct desk_event event = {
        .account = ACCOUNT, .id = id, .key = id, .ttl_ms = 300000, .lanes = {LANE}};
    struct desk_entry out = {.entry = {.verdict = STORE_COMMITTED}};
    const enum err err = desk_commit(&fixture->desk, T0, &event, &out);

    if (verdict != NULL) {
        *verdict = out.entry.verdict;
    }
    return err;
}

static enum err commit(struct fixture *fixture)
{
    char id[24];

    (void)snprintf(id, sizeof(id), "e-%u", fixture->next_id++);
    return commit_as(fixture, id, NULL);
}

/* ---- the flush fails: nothing can be trusted any more -------------------------------------------
 */

static const struct {
    enum vfs_call call;
    int code;
} fatal_rows[] = {
    {VFS_SYNC, SQLITE_IOERR_FSYNC},
    {VFS_WRITE, SQLITE_IOERR_WRITE},
};

static void s8_a_failed_flush_fails_everybody_from_then_on(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;

    for (size_t i = 0; i < ARRAY_LEN(fatal_rows); i++) {
        struct store_tally tally = {.row_count = 0};
        struct store_catalog_read read = {.since = 0};
        struct store_claim claim;
        enum store_verdict verdict;

        char lost[16];

        (void)snprintf(lost, sizeof(lost), "e-lost-%zu", i);
        assert_int_equal(commit(fixture), ERR_OK);
        vfs_fault_arm(fatal_rows[i].call, "-wal", 1, 1, fatal_rows[i].code); /* once is enough */
        assert_int_equal(commit_as(fixture, lost, NULL), ERR_STORE_FAILED);
        assert_int_equal(commit_as(fixture, "e-later", NULL), ERR_STORE_FAILED);
        desk_claim_start(&claim, LANE, T0, 1);
        assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_STORE_FAILED);
        assert_true(list_is_empty(&claim.records));
        assert_int_equal(desk_run(desk, &tally.op, STORE_TALLY), ERR_STORE_FAILED);
        assert_null(tally.rows);
        assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_STORE_FAILED);
        assert_int_equal(desk_park(desk, LANE, 0), ERR_STORE_FAILED);

        assert_int_equal(store_trouble(desk->store), ERR_STORE_FAILED);
        reopen(fixture); /* only a new process helps; the unknown outcome may be either */
        assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live,
                         desk_tally(desk, ACCOUNT, NULL).created);
        assert_int_equal(commit_as(fixture, lost, &verdict), ERR_OK);
        assert_int_equal(commit_as(fixture, lost, &verdict), ERR_OK);
        assert_int_equal(verdict, STORE_DUPLICATE);
    }
}

/* Everybody who waits for the flush that fails is told, reads behind the write included. */
static void s8_all_who_wait_are_told(void **state)
{
    enum { COUNT = 20 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    static const struct desk_event event = {.account = ACCOUNT, .id = "e", .lanes = {LANE}};
    struct desk_entry entries[COUNT];
    struct store_commit commits[COUNT];
    struct store_claim claims[COUNT];
    size_t failed_count = 0;

    vfs_fault_arm(VFS_SYNC, "-wal", 1, ALL, SQLITE_IOERR_FSYNC);
    for (size_t i = 0; i < COUNT; i++) {
        entries[i].entry = desk_entry(&event, entries[i].deliveries);
        commits[i] =
            (struct store_commit){.now_ms = T0, .entries = &entries[i].entry, .entry_count = 1};
        desk_submit(desk, &commits[i].op, STORE_COMMIT);
        desk_claim_start(&claims[i], LANE, T0, 1);
        desk_submit(desk, &claims[i].op, STORE_CLAIM);
    }
    desk_await(desk, 2 * COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct store_ref ref;

        failed_count += commits[i].op.err == ERR_STORE_FAILED ? 1 : 0;
        if (claims[i].op.err == ERR_OK) {
            (void)desk_take_refs(&claims[i].records, &ref, 1);
        } else {
            assert_true(list_is_empty(&claims[i].records));
        }
    }
    assert_true(failed_count > 0);
    assert_int_equal(commit(fixture), ERR_STORE_FAILED);
}

static void a_read_that_fails_fails_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct store_claim claim;

    assert_int_equal(commit(fixture), ERR_OK);
    reopen(fixture); /* nothing of the table is in SQLite's cache */
    vfs_fault_arm(VFS_READ, "weir.db", 1, ALL, SQLITE_IOERR_READ);
    desk_claim_start(&claim, LANE, T0, 1);
    assert_int_equal(desk_run(&fixture->desk, &claim.op, STORE_CLAIM), ERR_STORE_FAILED);
    assert_int_equal(commit(fixture), ERR_STORE_FAILED);
}

/* Commit large events until the store fails, where one call of the kind on the file fails. */
static void fail_in_a_checkpoint(struct fixture *fixture, enum vfs_call call, const char *suffix,
                                 int code)
{
    char *body = xmalloc((1 << 20) + 1);
    const struct desk_event event = {.account = ACCOUNT, .id = "e", .body = body, .lanes = {LANE}};
    const uint64_t before = desk_tally(&fixture->desk, ACCOUNT, NULL).live;
    uint64_t answered = 0;
    enum err err = ERR_OK;

    memset(body, 'b', 1 << 20);
    body[1 << 20] = '\0';
    vfs_fault_arm(call, suffix, 1, 1, code); /* once is enough */
    for (int i = 0; i < 40 && err == ERR_OK; i++) {
        err = desk_commit(&fixture->desk, T0, &event, NULL);
        answered += err == ERR_OK ? 1 : 0;
    }
    assert_int_equal(err, ERR_STORE_FAILED);
    assert_true(answered >= 1);
    xfree(body);
    reopen(fixture); /* what was answered is in the log */
    assert_in_range(desk_tally(&fixture->desk, ACCOUNT, NULL).live, before + answered,
                    before + answered + 1);
}

/* A checkpoint runs between batches, when nobody waits.  Only it touches the database, and reads
 * the log. */
static void a_checkpoint_that_fails_fails_the_store(void **state)
{
    static const struct {
        enum vfs_call call;
        const char *suffix;
        int code;
    } rows[] = {
        {VFS_WRITE, "weir.db", SQLITE_IOERR_WRITE},
        {VFS_SYNC, "weir.db", SQLITE_IOERR_FSYNC},
        {VFS_READ, "-wal", SQLITE_IOERR_READ},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fail_in_a_checkpoint(*state, rows[i].call, rows[i].suffix, rows[i].code);
    }
}

/* Goal:   whichever write or flush fails, what was answered is there afterwards.
 * Method: let the n-th fail, n growing until none does. */
static void s8_a_fault_at_every_step_loses_no_answer(void **state)
{
    struct fixture *fixture = *state;

    for (size_t row = 0; row < ARRAY_LEN(fatal_rows); row++) {
        bool has_failed = true;

        for (size_t nth = 1; has_failed; nth += 1 + nth / 8) {
            const uint64_t live = desk_tally(&fixture->desk, ACCOUNT, NULL).live;
            uint64_t answered = 0;

            has_failed = false;
            vfs_fault_arm(fatal_rows[row].call, "", nth, 1, fatal_rows[row].code);
            for (int i = 0; i < 3 && !has_failed; i++) {
                const enum err err = commit(fixture);

                has_failed = err != ERR_OK;
                assert_true(err == ERR_OK || err == ERR_STORE_FAILED);
                answered += has_failed ? 0 : 1;
            }
            reopen(fixture);
            assert_in_range(desk_tally(&fixture->desk, ACCOUNT, NULL).live, live + answered,
                            live + answered + (has_failed ? 1 : 0));
        }
    }
}

/* ---- the disk is full ---------------------------------------------------------------------------
 */

static void s7_a_full_disk_refuses_events_and_lets_outcomes_through(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    const struct store_document document = {SLICE_INIT("rule/a"), SLICE_INIT("{}"), 0};
    struct store_catalog_put put = {.documents = &document, .document_count = 1};
    struct store_ref refs[4];
    struct store_tally_row tally;

    for (int i = 0; i < 4; i++) {
        assert_int_equal(commit(fixture), ERR_OK);
    }
    fixture->reserve_bytes = UINT64_MAX; /* more than any disk has: always full */
    reopen(fixture);
    assert_int_equal(commit(fixture), ERR_STORE_FULL);
    assert_int_equal(store_trouble(desk->store), ERR_STORE_FULL);
    assert_int_equal(desk_run(desk, &put.op, STORE_CATALOG_PUT), ERR_STORE_FULL);
    assert_int_equal(desk_claim(desk, LANE, T0, 4, refs), 4);
    assert_int_equal(desk_settle(desk, refs, 1), ERR_OK);
    assert_int_equal(desk_retry(desk, refs[1], T0 + 50, 1), ERR_OK);
    assert_int_equal(desk_bury(desk, refs[2], T0, "given-up"), ERR_OK);
    tally = desk_tally(desk, ACCOUNT, NULL);
    assert_int_equal(tally.delivered, 1);
    assert_int_equal(tally.dead, 1);
    assert_int_equal(tally.live, 2);
    assert_int_equal(store_trouble(desk->store), ERR_STORE_FULL);
    fixture->reserve_bytes = 0;
    reopen(fixture);
    assert_int_equal(store_trouble(desk->store), ERR_OK);
    assert_int_equal(commit(fixture), ERR_OK);
}

/* The write itself finds the disk full: the batch is undone and run without its events.  Memory
 * must be as before, or the claims that the retry needs would be gone. */
static void s7_a_commit_that_does_not_fit_takes_nothing_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref refs[2];
    struct store_retry retry = {.due_ms = T0 + 50, .attempt_count = 1};
    struct store_claim claim;
    struct store_tally tally = {.row_count = 0};
    static const struct desk_event event = {.account = ACCOUNT,
                                            .id = "e-x",
                                            .key = "x",
                                            .ttl_ms = 5000,
                                            .lanes = {LANE},
                                            .claim = true};
    struct desk_entry entry;
    struct store_commit refused = {
        .now_ms = T0 + 2, .claim_until_ms = T0 + 9, .entries = &entry.entry, .entry_count = 1};

    entry.entry = desk_entry(&event, entry.deliveries);
    assert_int_equal(commit(fixture), ERR_OK);
    assert_int_equal(commit(fixture), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE, T0, 2, refs), 2);
    retry.ref = refs[0];
    desk_claim_start(&claim, LANE, T0 + 60, 4);

    vfs_fault_arm(VFS_WRITE, "-wal", 1, 1, SQLITE_FULL);
    desk_submit(desk, &refused.op, STORE_COMMIT);
    desk_submit(desk, &retry.op, STORE_RETRY);
    desk_submit(desk, &claim.op, STORE_CLAIM);
    desk_submit(desk, &tally.op, STORE_TALLY);
    desk_await(desk, desk->done_count + 4);

    assert_int_equal(refused.op.err, ERR_STORE_FULL);
    assert_int_equal(retry.op.err, ERR_OK);
    assert_int_equal(claim.op.err, ERR_OK);
    assert_int_equal(desk_take_refs(&claim.records, refs, 2), 1);
    assert_int_equal(refs[0].seq, retry.ref.seq);
    assert_int_equal(tally.op.err, ERR_OK);
    assert_int_equal(tally.rows[0].live, 2);
    store_tally_clean_up(&tally);
    vfs_fault_reset();
    assert_int_equal(desk_run(desk, &refused.op, STORE_COMMIT), ERR_OK); /* no mark stayed behind */
    assert_int_equal(entry.entry.verdict, STORE_COMMITTED);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, 3);
}

static bool has_ballast(const struct fixture *fixture)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/ballast", fixture->folder);
    return access(path, F_OK) == 0;
}

static void s7_the_ballast_is_given_up_for_outcomes(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref ref;

    assert_int_equal(commit(fixture), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &ref), 1);
    assert_true(has_ballast(fixture));
    vfs_fault_arm(VFS_WRITE, "-wal", 1, 2, SQLITE_FULL); /* the try, and the try without events */
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_false(has_ballast(fixture));
    vfs_fault_reset();
    assert_int_equal(commit(fixture), ERR_OK); /* there is room again */
    assert_true(has_ballast(fixture));
}

static void an_outcome_that_fits_nowhere_can_be_told_again(void **state)
{
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref ref;

    assert_int_equal(commit(fixture), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE, T0, 1, &ref), 1);
    vfs_fault_arm(VFS_WRITE, "-wal", 1, ALL, SQLITE_FULL);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_STORE_FULL);
    assert_int_equal(desk_retry(desk, ref, T0, 1), ERR_STORE_FULL);
    assert_int_equal(desk_bury(desk, ref, T0, "given-up"), ERR_STORE_FULL);
    vfs_fault_reset();
    while (store_trouble(desk->store) != ERR_OK) { /* it looks for room by itself */
        assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, 1);
    }
    assert_int_equal(desk_retry(desk, ref, T0 + 1, 1), ERR_OK); /* the claim is still ours */
    assert_int_equal(desk_claim(desk, LANE, T0 + 1, 1, &ref), 1);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).delivered, 1);
}

/* A walk over many dead letters keeps what its earlier steps have done. */
static void an_edit_that_meets_a_full_disk_tells_how_far_it_came(void **state)
{
    enum { COUNT = 600 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_bury *buries = xcalloc(COUNT, sizeof(*buries));
    struct store_dead_edit edit = {.edit = STORE_DEAD_DROP};
    struct store_dead_list list = {.count_max = COUNT};
    struct store_dead_list late = {.count_max = COUNT};
    size_t listed_count = 0;

    for (size_t i = 0; i < COUNT; i++) {
        static const struct desk_event event = {
            .account = ACCOUNT, .id = "e", .lanes = {LANE}, .claim = true};
        struct desk_entry out;

        assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
        buries[i] = (struct store_bury){
            .ref = desk_ref(out.entry.seq, 0, LANE, out.deliveries[0].claim_no), .reason = "r"};
        desk_submit(desk, &buries[i].op, STORE_BURY);
        desk_await(desk, desk->done_count + 1);
    }
    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    vfs_fault_arm(VFS_SYNC, "-wal", 2, ALL, SQLITE_FULL);
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_STORE_FULL);
    assert_in_range(edit.count, 1, COUNT - 1);
    vfs_fault_reset();
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).dropped, edit.count);
    assert_int_equal(desk_run(desk, &late.op, STORE_DEAD_LIST), ERR_OK);
    LIST_FOREACH (node, &late.dead) {
        listed_count++;
        store_dead_free(CONTAINER_OF(node, struct store_dead, node));
    }
    assert_int_equal(listed_count, COUNT - edit.count);
    LIST_FOREACH (node, &list.dead) {
        store_dead_free(CONTAINER_OF(node, struct store_dead, node));
    }
    xfree(buries);
}

/* ---- the disk fails while the store opens -------------------------------------------------- */

static void a_store_that_cannot_open_says_why(void **state)
{
    struct fixture *fixture = *state;
    const struct store_options options = {.folder = slice_of(fixture->folder)};
    size_t nth;

    assert_int_equal(commit(fixture), ERR_OK);
    desk_close(&fixture->desk);
    for (nth = 1;; nth++) {
        struct store *store;
        struct err_why why = {.text = ""};
        enum err err;

        vfs_fault_arm(VFS_READ, "", nth, 1, SQLITE_IOERR_READ);
        err = store_sqlite_open(&options, &store, &why);
        vfs_fault_reset();
        if (err == ERR_OK) {
            store_destroy(store);
            break;
        }
        assert_null(store);
        assert_int_equal(err, ERR_SYSTEM);
        assert_non_null(strstr(why.text, fixture->folder));
    }
    assert_true(nth > 3);
    open_store(fixture);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(s8_a_failed_flush_fails_everybody_from_then_on),
        TEST(s8_all_who_wait_are_told),
        TEST(a_read_that_fails_fails_the_store),
        TEST(a_checkpoint_that_fails_fails_the_store),
        TEST(s8_a_fault_at_every_step_loses_no_answer),
        TEST(s7_a_full_disk_refuses_events_and_lets_outcomes_through),
        TEST(s7_a_commit_that_does_not_fit_takes_nothing_with_it),
        TEST(s7_the_ballast_is_given_up_for_outcomes),
        TEST(an_outcome_that_fits_nowhere_can_be_told_again),
        TEST(an_edit_that_meets_a_full_disk_tells_how_far_it_came),
        TEST(a_store_that_cannot_open_says_why),
    };

    vfs_fault_install();
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_fault", tests, NULL, NULL);
}
