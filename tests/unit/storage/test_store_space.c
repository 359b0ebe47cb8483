/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_space.c - what the embedded store takes of disk and memory, and gives back.
 *
 * The files are looked at from outside.  A tally is a question that the store's thread answers
 * between batches: after it, what the thread does when idle comes next.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "core/log.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

#define ACCOUNT "111122223333"
#define LANE    ACCOUNT "/t1"

enum { T0 = 1000000 };

struct fixture {
    char folder[64];
    struct desk desk;
};

static void open_store(struct fixture *fixture)
{
    const struct store_options options = {.folder = slice_of(fixture->folder)};
    struct store *store;
    struct err_why why;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&fixture->desk, store);
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    folder_make(fixture->folder, sizeof(fixture->folder));
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    desk_close(&fixture->desk);
    folder_remove(fixture->folder);
    xfree(fixture);
    return 0;
}

static off_t size_of(const struct fixture *fixture, const char *name)
{
    struct stat status;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* What a flood took is used again, and the log does not grow with it. */
static void space_of_ended_deliveries_is_used_again(void **state)
{
    enum { ROUNDS = 12, EVENTS = 40, BODY = 20000 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    char *body = xmalloc(BODY + 1);

    memset(body, 'b', BODY);
    body[BODY] = '\0';
    for (int round = 0; round < ROUNDS; round++) {
        const struct desk_event event = {
            .account = ACCOUNT, .id = "e", .body = body, .lanes = {LANE}};
        struct store_ref refs[EVENTS];

        for (int i = 0; i < EVENTS; i++) {
            assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
        }
        assert_int_equal(desk_claim(desk, LANE, T0, EVENTS, refs), EVENTS);
        assert_int_equal(desk_settle(desk, refs, EVENTS), ERR_OK);
    }
    assert_true(size_of(fixture, "weir.db-wal") < 24 << 20);
    desk_close(desk);                                             /* the log is written back */
    assert_true(size_of(fixture, "weir.db") < 3 * EVENTS * BODY); /* of 12 times as much */
    xfree(body);
    open_store(fixture);
}

/* After a flood an idle thread gives free pages back. */
static void a_flood_is_given_back_to_the_disk(void **state)
{
    enum { EVENTS = 24, BODY = 1 << 20 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    char *body = xmalloc(BODY + 1);
    const struct desk_event event = {.account = ACCOUNT, .id = "e", .body = body, .lanes = {LANE}};
    struct store_ref refs[EVENTS];

    memset(body, 'b', BODY);
    body[BODY] = '\0';
    for (int i = 0; i < EVENTS; i++) {
        assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
    }
    assert_int_equal(desk_claim(desk, LANE, T0, EVENTS, refs), EVENTS);
    assert_int_equal(desk_settle(desk, refs, EVENTS), ERR_OK);
    do { /* each tally finds the thread idle again a moment later */
        (void)desk_tally(desk, ACCOUNT, NULL);
    } while (size_of(fixture, "weir.db") > 20 << 20);
    xfree(body);
}

/* Goal:   one request that fills the log does not leave it large for good.
 * Method: 20 entries of 4 MiB in one commit are one transaction; some commits later the log is
 *         below what it may keep, and what was committed is there. */
static void a_log_that_grew_is_cut_back(void **state)
{
    enum { ENTRIES = 20, KEPT = 64 << 20 };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    char *body = xmalloc(STORE_ENTRY_BODY_BYTES_MAX + 1);
    const struct desk_event large = {.account = ACCOUNT, .id = "e", .body = body, .lanes = {LANE}};
    const struct desk_event small = {.account = ACCOUNT, .id = "e", .lanes = {LANE}};
    struct desk_entry *rooms = xcalloc(ENTRIES, sizeof(*rooms));
    struct store_entry entries[ENTRIES];
    struct store_commit commit = {.now_ms = T0, .entries = entries, .entry_count = ENTRIES};

    memset(body, 'b', STORE_ENTRY_BODY_BYTES_MAX);
    body[STORE_ENTRY_BODY_BYTES_MAX] = '\0';
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = desk_entry(&large, rooms[i].deliveries);
    }
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    assert_true(size_of(fixture, "weir.db-wal") > KEPT);
    for (int i = 0; i < 3; i++) { /* the first begins the log anew */
        assert_int_equal(desk_commit(desk, T0, &small, NULL), ERR_OK);
    }
    assert_true(size_of(fixture, "weir.db-wal") <= KEPT);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, ENTRIES + 3);
    xfree(rooms);
    xfree(body);
}

/* Goal:   a transaction lies in memory until it is committed, so it is cut by the rows that it
 *         writes, not by the events.
 * Method: requests of one event to as many targets as an event may have, all handed over before the
 *         first is done: each is a flush of its own. */
static void events_to_many_targets_do_not_share_a_flush(void **state)
{
    enum { REQUESTS = 6, TARGETS = STORE_ENTRY_DELIVERIES_MAX };
    struct fixture *fixture = *state;
    struct desk *desk = &fixture->desk;
    struct store_delivery *deliveries = xcalloc(TARGETS, sizeof(*deliveries));
    static const struct desk_event event = {.account = ACCOUNT, .id = "e", .lanes = {LANE}};
    struct desk_entry room;
    struct store_entry entries[REQUESTS];
    struct store_commit commits[REQUESTS];
    struct store_tally tally = {.row_count = 0};

    for (size_t i = 0; i < TARGETS; i++) {
        (void)desk_entry(&event, room.deliveries);
        deliveries[i] = room.deliveries[0];
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        entries[i] = desk_entry(&event, room.deliveries);
        entries[i].deliveries = deliveries;
        entries[i].delivery_count = TARGETS;
        commits[i] = (struct store_commit){.now_ms = T0, .entries = &entries[i], .entry_count = 1};
        desk_submit(desk, &commits[i].op, STORE_COMMIT);
    }
    desk_await(desk, REQUESTS);
    assert_int_equal(desk_run(desk, &tally.op, STORE_TALLY), ERR_OK);
    assert_int_equal(tally.commits, REQUESTS);
    assert_int_equal(tally.rows[0].live, REQUESTS * TARGETS);
    store_tally_clean_up(&tally);
    xfree(deliveries);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(space_of_ended_deliveries_is_used_again),
        TEST(a_flood_is_given_back_to_the_disk),
        TEST(a_log_that_grew_is_cut_back),
        TEST(events_to_many_targets_do_not_share_a_flush),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_space", tests, NULL, NULL);
}
