/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_sqlite.c - the embedded engine under the contract suite, in a folder of its own.
 */
#include "tests/unit/storage/store_contract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "tests/lib/store_folder.h"

static char folder[64];

static struct store *engine_open(uint64_t bytes_max)
{
    struct store_options options = {.bytes_max = bytes_max};
    struct store *store;
    struct err_why why;

    folder_make(folder, sizeof(folder));
    options.folder = slice_of(folder);
    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void engine_close(void)
{
    folder_remove(folder);
}

/* ---- backup -------------------------------------------------------------------------------- */

enum { BACKUP_EVENTS = 600, BACKUP_BODY_BYTES = 16 * 1024 };

static void commit_big(struct desk *desk, size_t number)
{
    static char body[BACKUP_BODY_BYTES];
    char id[32];
    const struct desk_event event = {
        .account = ACCOUNT_A, .id = id, .body = body, .lanes = {LANE_A, LANE_A2}};

    memset(body, ' ', sizeof(body) - 1);
    body[0] = '{';
    body[sizeof(body) - 2] = '}';
    (void)snprintf(id, sizeof(id), "e-%zu", number);
    assert_int_equal(desk_commit(desk, T0 + number, &event, NULL), ERR_OK);
}

static enum err backup_run(struct desk *desk, const char *path, struct store_backup *backup)
{
    *backup = (struct store_backup){.path = slice_of(path)};
    return desk_run(desk, &backup->op, STORE_BACKUP);
}

/* How many deliveries of the lane the store hands out, each with its body. */
static size_t claim_all(struct desk *desk, const char *lane)
{
    struct store_ref refs[STORE_CLAIM_MAX];
    size_t count;
    size_t sum = 0;

    do {
        count = desk_claim(desk, lane, T0 * 2, STORE_CLAIM_MAX, refs);
        assert_int_equal(desk_settle(desk, refs, count), ERR_OK);
        sum += count;
    } while (count > 0);
    return sum;
}

static bool is_there(const char *path, const char *suffix)
{
    char whole[128];

    (void)snprintf(whole, sizeof(whole), "%s%s", path, suffix);
    return access(whole, F_OK) == 0;
}

static void a_backup_under_load_opens_as_a_store_that_owes_the_same(void **state)
{
    struct desk *desk = *state;
    struct desk clerk;
    struct desk restored;
    struct store_options options = {0};
    struct store_backup backup;
    struct stat status;
    struct err_why why;
    struct store *store;
    char copy_folder[64];
    char path[96];
    bool seen_partial = false;
    size_t count = 0;
    size_t owed;

    folder_make(copy_folder, sizeof(copy_folder));
    (void)snprintf(path, sizeof(path), "%s/weir.db", copy_folder);
    while (count < BACKUP_EVENTS) {
        commit_big(desk, count++);
    }
    backup = (struct store_backup){.path = slice_of(path)};
    desk_open(&clerk, desk->store); /* hears of the copy, while the desk hears of commits */
    desk_submit(&clerk, &backup.op, STORE_BACKUP);
    for (; clerk.done_count == 0; (void)mailbox_drain(&clerk.box)) {
        commit_big(desk, count++);
        seen_partial = seen_partial || (is_there(path, ".partial") && !is_there(path, ""));
    }
    assert_true(seen_partial);
    assert_false(is_there(path, ".partial"));
    mailbox_clean_up(&clerk.box);
    assert_int_equal(backup.op.err, ERR_OK);
    assert_true(count - BACKUP_EVENTS >= 2); /* commits went on meanwhile */
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal((uint64_t)status.st_size, backup.bytes);

    options.folder = slice_of(copy_folder);
    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&restored, store);
    owed = claim_all(&restored, LANE_A);
    assert_in_range(owed, BACKUP_EVENTS, count);
    assert_int_equal(claim_all(&restored, LANE_A2), owed);
    desk_close(&restored);
    folder_remove(copy_folder);
}

static void a_backup_never_replaces_a_file_and_says_why_it_cannot_be_made(void **state)
{
    struct desk *desk = *state;
    struct store_backup backup;
    struct stat status;
    char taken[96];
    char path[96];
    int fd;

    (void)snprintf(taken, sizeof(taken), "%s/taken", folder);
    fd = open(taken, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "mine", 4), 4);
    (void)close(fd);
    assert_int_equal(backup_run(desk, taken, &backup), ERR_SYSTEM);
    assert_non_null(strstr(backup.why.text, "File exists"));
    assert_int_equal(stat(taken, &status), 0);
    assert_int_equal(status.st_size, 4);
    (void)snprintf(path, sizeof(path), "%s/taken.partial", folder);
    assert_int_equal(rename(taken, path), 0); /* of a copy that a kill cut short, or a person's */
    assert_int_equal(backup_run(desk, taken, &backup), ERR_SYSTEM);
    assert_non_null(strstr(backup.why.text, "NAME.partial: File exists"));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(backup_run(desk, "relative.db", &backup), ERR_SYSTEM);
    assert_int_equal(backup_run(desk, "", &backup), ERR_SYSTEM);
    assert_int_equal(backup_run(desk, "/nowhere/at/all.db", &backup), ERR_SYSTEM);
    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
}

/* Whether the copy was done or given up, a file is there only if it is whole. */
static void a_backup_that_a_stop_cuts_short_leaves_no_file(void **state)
{
    struct desk *desk = *state;
    struct store_backup first;
    struct store_backup second;
    char path[96];
    char other[96];

    (void)snprintf(path, sizeof(path), "%s/first", folder);
    (void)snprintf(other, sizeof(other), "%s/second", folder);
    for (size_t i = 0; i < BACKUP_EVENTS; i++) {
        commit_big(desk, i);
    }
    first = (struct store_backup){.path = slice_of(path)};
    second = (struct store_backup){.path = slice_of(other)};
    desk_submit(desk, &first.op, STORE_BACKUP);
    desk_submit(desk, &second.op, STORE_BACKUP);
    store_destroy(desk->store);
    desk->store = NULL;
    (void)mailbox_drain(&desk->box);
    assert_int_not_equal(first.op.err, ERR_INTERNAL);
    assert_int_not_equal(second.op.err, ERR_OK);
    assert_int_equal(access(path, F_OK) == 0, first.op.err == ERR_OK);
    assert_int_not_equal(access(other, F_OK), 0);
    assert_false(is_there(path, ".partial"));
}

/* Goal:   a copy never silently takes the place of a store that has told more.
 * Method: copy, commit, and put the copy beside what is left of the store. */
static void a_backup_beside_what_was_flushed_later_is_refused(void **state)
{
    struct desk *desk = *state;
    struct store_options options = {.folder = slice_of(folder)};
    struct store_backup backup;
    struct store *store;
    struct err_why why;
    char copy[96];
    char name[96];

    (void)snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(backup_run(desk, copy, &backup), ERR_OK);
    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    store_destroy(desk->store);
    desk->store = NULL;
    (void)snprintf(name, sizeof(name), "%s/weir.db-wal", folder);
    assert_int_equal(unlink(name), 0);
    (void)snprintf(name, sizeof(name), "%s/weir.db", folder);
    assert_int_equal(rename(copy, name), 0);
    assert_int_equal(store_sqlite_open(&options, &store, &why), ERR_STORE_CORRUPT);
    assert_non_null(strstr(why.text, "was flushed and answered"));
    (void)snprintf(name, sizeof(name), "%s/durable", folder);
    assert_int_equal(unlink(name), 0); /* it is meant */
    assert_int_equal(store_sqlite_open(&options, &store, &why), ERR_OK);
    desk->store = store;
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TESTS,
        CONTRACT_TESTS_SIZED,
        CONTRACT_TEST(a_backup_under_load_opens_as_a_store_that_owes_the_same),
        CONTRACT_TEST(a_backup_never_replaces_a_file_and_says_why_it_cannot_be_made),
        CONTRACT_TEST(a_backup_that_a_stop_cuts_short_leaves_no_file),
        CONTRACT_TEST(a_backup_beside_what_was_flushed_later_is_refused),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
