/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_disk.c - the embedded engine on a disk that is really full.
 *
 * The program gives itself a mount namespace with a small tmpfs, which says ENOSPC as disks do.
 * Where namespaces are forbidden the tests are skipped; test_store_fault.c has the same story with
 * faults of its own making.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/log.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

#define ACCOUNT "111122223333"
#define LANE    ACCOUNT "/t1"

enum {
    T0 = 1000000,
    DISK_BYTES = 48 << 20,
    RESERVE_BYTES = 16 << 20,
    BODY_BYTES = 64 << 10,
    EVENTS_MAX = DISK_BYTES / BODY_BYTES, /* more than fit */
};

static bool has_disk; /* may this process mount? */

struct fixture {
    char folder[64];
    struct desk desk;
    size_t accepted_count;
};

static void write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        (void)close(fd);
    }
}

/* Before any thread.  Root needs no user namespace, anybody else becomes root in one of his own. */
static bool enter_namespace(void)
{
    char map[64];
    const uid_t uid = geteuid();
    const gid_t gid = getegid();

    if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) {
        return false;
    }
    if (uid != 0) {
        write_text("/proc/self/setgroups", "deny");
        (void)snprintf(map, sizeof(map), "0 %u 1", uid);
        write_text("/proc/self/uid_map", map);
        (void)snprintf(map, sizeof(map), "0 %u 1", gid);
        write_text("/proc/self/gid_map", map);
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void open_store(struct fixture *fixture)
{
    char folder[80];
    struct store_options options = {.reserve_bytes = RESERVE_BYTES};
    struct store *store;
    struct err_why why;

    (void)snprintf(folder, sizeof(folder), "%s/store", fixture->folder);
    options.folder = slice_of(folder);
    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&fixture->desk, store);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    char options[64];

    *state = fixture;
    if (!has_disk) {
        return 0;
    }
    folder_make(fixture->folder, sizeof(fixture->folder));
    (void)snprintf(options, sizeof(options), "size=%d,mode=700", DISK_BYTES);
    if (mount("weir-test", fixture->folder, "tmpfs", 0, options) != 0) {
        return -1;
    }
    open_store(fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (has_disk) {
        desk_close(&fixture->desk);
        assert_int_equal(umount2(fixture->folder, MNT_DETACH), 0);
        folder_remove(fixture->folder);
    }
    xfree(fixture);
    return 0;
}

static enum err commit(struct fixture *fixture, size_t number)
{
    static char body[BODY_BYTES + 1];
    char id[24];
    const struct desk_event event = {
        .account = ACCOUNT, .id = id, .body = body, .key = id, .ttl_ms = 300000, .lanes = {LANE}};

    memset(body, 'b', BODY_BYTES);
    (void)snprintf(id, sizeof(id), "e-%zu", number);
    return desk_commit(&fixture->desk, T0, &event, NULL);
}

static void commit_until_full(struct fixture *fixture)
{
    enum err err = ERR_OK;

    while (err == ERR_OK) {
        err = commit(fixture, fixture->accepted_count);
        fixture->accepted_count += err == ERR_OK ? 1 : 0;
        assert_true(fixture->accepted_count < EVENTS_MAX);
    }
    assert_int_equal(err, ERR_STORE_FULL);
}

/* Take every free byte, as a neighbour on the same disk would. */
static void fill_the_rest(const struct fixture *fixture, const char *name)
{
    static const char zeros[4096];
    char path[80];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros)) {
        /* more */
    }
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
}

static void remove_file(const struct fixture *fixture, const char *name)
{
    char path[80];

    (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    assert_int_equal(unlink(path), 0);
}

/* Claim and settle all that is owed; how many. */
static size_t deliver_all(struct fixture *fixture)
{
    struct store_ref refs[STORE_CLAIM_MAX];
    size_t sum = 0;
    size_t count;

    do {
        count = desk_claim(&fixture->desk, LANE, T0, STORE_CLAIM_MAX, refs);
        if (count > 0) {
            assert_int_equal(desk_settle(&fixture->desk, refs, count), ERR_OK);
        }
        sum += count;
    } while (count > 0);
    return sum;
}

static void wait_for_room(struct fixture *fixture)
{
    while (store_trouble(fixture->desk.store) != ERR_OK) { /* the store looks by itself */
        (void)desk_tally(&fixture->desk, ACCOUNT, NULL);
    }
}

/* Goal:   the reserve stops events before the disk is full; what is owed is delivered all the
 *         same, its space is used again, and a restart finds what was answered.
 * Method: events until they are refused, restart, deliver, events again. */
static void the_reserve_is_kept_for_what_is_owed(void **state)
{
    struct fixture *fixture = *state;
    size_t accepted;

    if (!has_disk) {
        skip();
    }
    commit_until_full(fixture);
    accepted = fixture->accepted_count;
    assert_true(accepted > 100);
    desk_close(&fixture->desk);
    open_store(fixture);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).live, accepted);
    assert_int_equal(deliver_all(fixture), accepted);
    assert_int_equal(desk_tally(&fixture->desk, ACCOUNT, NULL).delivered, accepted);
    wait_for_room(fixture);
    assert_int_equal(commit(fixture, EVENTS_MAX), ERR_OK);
}

/* Goal:   when others take the last byte, outcomes are still written, nothing answered is lost, and
 *         the store serves again when there is room.
 * Method: fill the disk beside the store, deliver half, remove the filling. */
static void a_disk_without_a_byte_left_takes_outcomes(void **state)
{
    enum { EVENTS = 80 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_ref refs[STORE_CLAIM_MAX];

    if (!has_disk) {
        skip();
    }
    while (fixture->accepted_count < EVENTS) {
        assert_int_equal(commit(fixture, fixture->accepted_count++), ERR_OK);
    }
    fill_the_rest(fixture, "neighbour");
    assert_int_equal(commit(fixture, EVENTS), ERR_STORE_FULL);
    assert_int_equal(store_trouble(desk->store), ERR_STORE_FULL);
    assert_int_equal(desk_claim(desk, LANE, T0, 40, refs), 40);
    assert_int_equal(desk_settle(desk, refs, 20), ERR_OK);
    for (size_t i = 20; i < 40; i++) {
        assert_int_equal(desk_bury(desk, refs[i], T0, "given-up"), ERR_OK);
    }
    assert_int_equal(commit(fixture, EVENTS), ERR_STORE_FULL);
    desk_close(desk); /* the disk is still full, and a store opens on it */
    open_store(fixture);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).delivered, 20);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).dead, 20);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, EVENTS - 40);
    remove_file(fixture, "neighbour");
    assert_int_equal(commit(fixture, EVENTS), ERR_OK);
    assert_int_equal(deliver_all(fixture), EVENTS - 40 + 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_reserve_is_kept_for_what_is_owed),
        TEST(a_disk_without_a_byte_left_takes_outcomes),
    };

    has_disk = enter_namespace();
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_disk", tests, NULL, NULL);
}
