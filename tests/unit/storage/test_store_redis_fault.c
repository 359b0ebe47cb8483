/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_redis_fault.c - the Redis engine when answers are lost, replicas stand still, and
 * memory is full.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"
#include "core/moment.h"
#include "core/seal.h"
#include "tests/lib/redis_thief.h"
#include "tests/lib/store_desk.h"

#define ACCOUNT "111122223333"
#define LANE    ACCOUNT "/t1"

enum { T0 = 1000000, PATIENCE_MS = 60000 };

struct stage {
    struct redis_daemon redis;
    struct redis_thief thief;
    struct desk desk;
};

static struct store *open_store(uint16_t port, uint64_t wait_replicas)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    char url[64];
    struct store *store;
    struct err_why why;

    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("aof"),
                                                       .wait_replicas = wait_replicas,
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static int setup(void **state)
{
    static const char *const flushed[] = {
        "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0", NULL};
    struct stage *stage = xcalloc(1, sizeof(*stage));

    log_set_level(LOG_ERROR);
    redis_daemon_start(&stage->redis, flushed);
    redis_thief_start(&stage->thief, stage->redis.port);
    desk_open(&stage->desk, open_store(stage->thief.port, 0));
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;

    if (stage->desk.store != NULL) {
        desk_close(&stage->desk);
    }
    redis_thief_stop(&stage->thief);
    redis_daemon_stop(&stage->redis);
    xfree(stage);
    return 0;
}

static const struct desk_event lost = {.account = ACCOUNT,
                                       .id = "e-lost",
                                       .key = "k",
                                       .ttl_ms = 300000,
                                       .lanes = {LANE},
                                       .claim = true};

/* Claim as soon as something may be claimed at that moment; how many came. */
static size_t claim_soon(struct desk *desk, uint64_t now_ms, struct store_ref *refs, size_t ref_max)
{
    const uint64_t end_ms = moment_steady_ms() + PATIENCE_MS;
    struct store_claim claim;
    enum err err;
    size_t count = 0;

    while (count == 0 && moment_steady_ms() < end_ms) {
        desk_claim_start(&claim, LANE, now_ms, ref_max);
        err = desk_run(desk, &claim.op, STORE_CLAIM);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
        count = desk_take_refs(&claim.records, refs, ref_max);
    }
    return count;
}

static void await_down(const struct stage *stage)
{
    while (store_trouble(stage->desk.store) == ERR_OK) {
        (void)poll(NULL, 0, 1); /* the engine's thread says so */
    }
}

static uint64_t commits_of(struct desk *desk, uint64_t *entries)
{
    struct store_tally tally = {.commits = 0};

    assert_int_equal(desk_run(desk, &tally.op, STORE_TALLY), ERR_OK);
    *entries = tally.commit_entries;
    store_tally_clean_up(&tally);
    return tally.commits;
}

/* ---- lost answers -------------------------------------------------------------------------- */

/* Goal:   a delivery whose commit was executed and not answered does not wait for the end of a
 * claim that nobody holds; a claim of the same millisecond that somebody holds stays. */
static void the_claim_of_a_lost_commit_is_released(void **state)
{
    struct stage *stage = *state;
    struct desk_event held = lost;
    struct desk_entry out;
    struct store_ref refs[4];
    uint64_t entries;

    held.id = "e-held";
    held.key = "h";
    assert_int_equal(desk_commit(&stage->desk, T0, &held, &out), ERR_OK);
    assert_true(out.deliveries[0].claim);
    redis_thief_wait_for(&stage->thief, "e-lost");
    assert_int_equal(desk_commit(&stage->desk, T0, &lost, NULL), ERR_STORE_BUSY);
    redis_thief_open(&stage->thief);
    assert_int_equal(claim_soon(&stage->desk, T0, refs, 4), 1);
    assert_true(refs[0].seq != out.entry.seq);
    assert_int_equal(desk_commit(&stage->desk, T0, &lost, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_int_equal(desk_tally(&stage->desk, ACCOUNT, NULL).created, 2);
    assert_int_equal(commits_of(&stage->desk, &entries), 2); /* the lost one is not among them */
    assert_int_equal(entries, 2);
}

/* Goal: what is told again because its answer was lost is not answered as a lost claim. */
static void outcomes_that_are_told_again_are_answered_as_the_first_time(void **state)
{
    struct stage *stage = *state;
    struct desk_entry out;
    struct store_ref ref;

    assert_int_equal(desk_commit(&stage->desk, T0, &lost, &out), ERR_OK);
    ref = desk_ref(out.entry.seq, 0, LANE, out.deliveries[0].claim_no);
    redis_thief_wait_for(&stage->thief, "1000777");
    {
        struct store_retry retry = {
            .ref = ref, .due_ms = T0 + 777, .attempt_count = 3, .last_err = ERR_REMOTE_FAILED};

        desk_submit(&stage->desk, &retry.op, STORE_RETRY);
        await_down(stage);
        redis_thief_open(&stage->thief);
        desk_await(&stage->desk, stage->desk.done_count + 1);
        assert_int_equal(retry.op.err, ERR_OK);
    }
    assert_int_equal(desk_retry(&stage->desk, ref, T0 + 777, 3), ERR_CLAIM_LOST);
    assert_int_equal(desk_claim(&stage->desk, LANE, T0 + 776, 1, &ref), 0);
    assert_int_equal(desk_claim(&stage->desk, LANE, T0 + 777, 1, &ref), 1);
    redis_thief_wait_for(&stage->thief, "the-state-kept");
    {
        struct store_advance advance = {
            .ref = ref, .lane = LANE ".next", .now_ms = T0 + 790, .state = SLICE("the-state-kept")};

        desk_submit(&stage->desk, &advance.op, STORE_ADVANCE);
        await_down(stage);
        redis_thief_open(&stage->thief);
        desk_await(&stage->desk, stage->desk.done_count + 1);
        assert_int_equal(advance.op.err, ERR_OK);
    }
    assert_int_equal(desk_advance(&stage->desk, ref, LANE ".next", T0 + 790, SLICE("other")),
                     ERR_CLAIM_LOST);
    assert_int_equal(desk_claim(&stage->desk, LANE ".next", T0 + 790, 1, &ref), 1);
    redis_thief_wait_for(&stage->thief, "given-up");
    {
        struct store_bury bury = {
            .ref = ref, .now_ms = T0 + 800, .attempt_count = 3, .reason = "given-up"};

        desk_submit(&stage->desk, &bury.op, STORE_BURY);
        await_down(stage);
        redis_thief_open(&stage->thief);
        desk_await(&stage->desk, stage->desk.done_count + 1);
        assert_int_equal(bury.op.err, ERR_OK);
    }
    assert_int_equal(desk_tally(&stage->desk, ACCOUNT, NULL).dead, 1);
    assert_int_equal(desk_tally(&stage->desk, ACCOUNT, NULL).live, 0);
}

/* Goal:   a park whose answer was lost is not told again once the lane was resumed.
 * Method: the resume comes while the park waits to be told again, and no later. */
static void a_park_does_not_outlive_a_resume(void **state)
{
    struct stage *stage = *state;
    struct store_park park = {.lane = LANE, .until_ms = T0 + 9999};
    struct store_park resume = {.lane = LANE, .until_ms = 0};
    struct desk_event event = lost;
    struct store_ref ref;

    event.claim = false;
    assert_int_equal(desk_commit(&stage->desk, T0, &event, NULL), ERR_OK);
    redis_thief_wait_for(&stage->thief, "1009999");
    desk_submit(&stage->desk, &park.op, STORE_PARK);
    await_down(stage);
    desk_submit(&stage->desk, &resume.op, STORE_PARK);
    redis_thief_open(&stage->thief);
    desk_await(&stage->desk, stage->desk.done_count + 2);
    assert_int_equal(park.op.err, ERR_OK);
    assert_int_equal(resume.op.err, ERR_OK);
    assert_int_equal(claim_soon(&stage->desk, T0, &ref, 1), 1);
}

static enum err ask_moment(struct desk *desk, bool *is_mine)
{
    struct store_once once = {
        .now_ms = T0, .due_ms = T0, .keep_ms = PATIENCE_MS, .name = "schedule/nightly"};
    const enum err err = desk_run(desk, &once.op, STORE_ONCE);

    *is_mine = once.is_mine;
    return err;
}

/* Goal: a moment that was given, and the answer lost, is given to who asked when it asks again. */
static void a_moment_is_not_lost_with_its_answer(void **state)
{
    struct stage *stage = *state;
    struct desk other;
    bool is_mine;
    enum err err;

    desk_open(&other, open_store(stage->redis.port, 0));
    redis_thief_wait_for(&stage->thief, "nightly");
    assert_int_equal(ask_moment(&stage->desk, &is_mine), ERR_STORE_BUSY);
    assert_false(is_mine);
    redis_thief_open(&stage->thief);
    assert_int_equal(ask_moment(&other, &is_mine), ERR_OK);
    assert_false(is_mine);
    do {
        err = ask_moment(&stage->desk, &is_mine);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
    } while (err != ERR_OK);
    assert_true(is_mine);
    assert_int_equal(ask_moment(&stage->desk, &is_mine), ERR_OK);
    assert_false(is_mine); /* once */
    desk_close(&other);
}

/* ---- silence ------------------------------------------------------------------------------- */

/* Goal: a lease is given up early, and what waits behind it goes on. */
static void a_lease_does_not_wait_as_long_as_a_commit(void **state)
{
    struct stage *stage = *state;
    struct store_lease_row row = {
        .account = ACCOUNT, .rate_per_second = 10, .burst = 10, .wanted = 3};
    struct store_lease lease = {.now_ms = T0, .rows = &row, .row_count = 1};
    struct store_park park = {.lane = LANE, .until_ms = T0};
    const size_t done_before = stage->desk.done_count;

    assert_int_equal(desk_run(&stage->desk, &lease.op, STORE_LEASE), ERR_OK);
    assert_int_equal(row.granted, 3);
    assert_int_equal(kill(stage->redis.pid, SIGSTOP), 0);
    park.op.err = ERR_OK;
    desk_submit(&stage->desk, &park.op, STORE_PARK);
    desk_submit(&stage->desk, &lease.op, STORE_LEASE);
    desk_await(&stage->desk, done_before + 2);
    assert_int_equal(lease.op.err, ERR_STORE_BUSY);
    assert_int_equal(park.op.err, ERR_INTERNAL); /* still under way */
    assert_int_equal(kill(stage->redis.pid, SIGCONT), 0);
    desk_await(&stage->desk, done_before + 3);
    assert_int_equal(park.op.err, ERR_OK);
}

static uint64_t wait_calls(const struct redis_daemon *redis)
{
    char answer[16384];
    const char *at;

    redis_daemon_ask(redis, "INFO commandstats\r\n", answer, sizeof(answer));
    at = strstr(answer, "cmdstat_wait:calls=");
    return at == NULL ? 0 : strtoull(at + strlen("cmdstat_wait:calls="), NULL, 10);
}

/* Goal:   a replica that stands still costs a turn one WAIT, not one for each partition, and what
 * it did not confirm is not answered, nor is its claim kept. Method: one commit of 100 accounts;
 * Redis counts the WAITs. */
static void one_wait_serves_all_commits_of_a_turn(void **state)
{
    enum { ACCOUNTS = 100 };
    struct stage *stage = *state;
    struct redis_daemon replica;
    char port[8];
    const char *const options[] = {"--replicaof", "127.0.0.1", port, NULL};
    char answer[256];
    char accounts[ACCOUNTS][13];
    char lanes[ACCOUNTS][32];
    struct store_entry entries[ACCOUNTS];
    struct store_delivery deliveries[ACCOUNTS][DESK_LANES_MAX];
    struct store_commit commit = {
        .now_ms = T0, .claim_until_ms = T0 + 1000, .entries = entries, .entry_count = ACCOUNTS};
    uint64_t before;
    enum err err;

    desk_close(&stage->desk);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)stage->redis.port);
    redis_daemon_start(&replica, options);
    do {
        redis_daemon_ask(&stage->redis, "WAIT 1 100\r\n", answer, sizeof(answer));
    } while (strcmp(answer, ":1\r\n") != 0);
    desk_open(&stage->desk, open_store(stage->redis.port, 1));
    for (size_t i = 0; i < ACCOUNTS; i++) {
        (void)snprintf(accounts[i], sizeof(accounts[i]), "1111222200%02zu", i);
        (void)snprintf(lanes[i], sizeof(lanes[i]), "%s/t1", accounts[i]);
        entries[i] = desk_entry(
            &(struct desk_event){
                .account = accounts[i], .id = "e-many", .lanes = {lanes[i]}, .claim = true},
            deliveries[i]);
    }
    do { /* a busy machine may take longer than a commit waits */
        err = desk_run(&stage->desk, &commit.op, STORE_COMMIT);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
    } while (err != ERR_OK);
    assert_int_equal(kill(replica.pid, SIGSTOP), 0);
    before = wait_calls(&stage->redis);
    commit.now_ms = T0 + 1;
    commit.claim_until_ms = T0 + 1001;
    for (size_t i = 0; i < ACCOUNTS; i++) {
        deliveries[i][0].claim = true;
    }
    assert_int_equal(desk_run(&stage->desk, &commit.op, STORE_COMMIT), ERR_STORE_BUSY);
    assert_in_range(wait_calls(&stage->redis) - before, 1, 8);
    assert_int_equal(kill(replica.pid, SIGCONT), 0);
    redis_daemon_stop(&replica);
}

/* ---- many lanes ---------------------------------------------------------------------------- */

/* Goal: every lane of one account is named, in order, each once, however many there are. */
static void all_lanes_of_a_partition_are_named(void **state)
{
    enum { LANES = 5000, EACH = 2500 };
    struct stage *stage = *state;
    char(*names)[24] = xcalloc(LANES, sizeof(*names));
    struct store_delivery *deliveries = xcalloc(LANES, sizeof(*deliveries));
    char(*found)[STORE_LANE_CHARS_MAX + 1] = xcalloc(STORE_LANES_MAX, sizeof(*found));
    struct store_lanes lanes = {.now_ms = T0, .count_max = STORE_LANES_MAX, .lanes = found};
    size_t count = 0;

    for (size_t i = 0; i < LANES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), ACCOUNT "/t%04zu", i);
        deliveries[i] = (struct store_delivery){.lane = slice_of(names[i]),
                                                .bus = SLICE("central"),
                                                .rule = SLICE("rule"),
                                                .target_id = SLICE("target")};
    }
    for (size_t i = 0; i < LANES; i += EACH) {
        struct store_entry entry = {.account = SLICE(ACCOUNT),
                                    .event_id = SLICE("e"),
                                    .body = SLICE("{}"),
                                    .deliveries = deliveries + i,
                                    .delivery_count = EACH};
        struct store_commit commit = {
            .now_ms = T0, .claim_until_ms = T0 + 1, .entries = &entry, .entry_count = 1};

        assert_int_equal(desk_run(&stage->desk, &commit.op, STORE_COMMIT), ERR_OK);
    }
    do {
        assert_int_equal(desk_run(&stage->desk, &lanes.op, STORE_LANES), ERR_OK);
        for (size_t i = 0; i < lanes.count; i++) {
            assert_string_equal(found[i], names[count]);
            count++;
        }
        if (lanes.count > 0) {
            memcpy(lanes.after, found[lanes.count - 1], sizeof(lanes.after));
        }
    } while (lanes.has_more);
    assert_int_equal(count, LANES);
    xfree(found);
    xfree(deliveries);
    xfree(names);
}

/* ---- a full store -------------------------------------------------------------------------- */

static uint64_t used_memory(const struct redis_daemon *redis)
{
    char answer[16384];

    redis_daemon_ask(redis, "INFO memory\r\n", answer, sizeof(answer));
    return strtoull(strstr(answer, "used_memory:") + strlen("used_memory:"), NULL, 10);
}

static void set_maxmemory(const struct redis_daemon *redis, uint64_t bytes)
{
    char command[64];
    char answer[64];

    (void)snprintf(command, sizeof(command), "CONFIG SET maxmemory %" PRIu64 "\r\n", bytes);
    redis_daemon_ask(redis, command, answer, sizeof(answer));
    assert_string_equal(answer, "+OK\r\n");
}

/* Goal:   a Redis at its maxmemory takes no events and trims none; everything that drains goes on;
 *         and when enough has ended, events are taken again.
 * Method: 40 events of 64 KiB; then maxmemory is what is used. */
static void a_full_redis_drains_and_takes_events_again(void **state)
{
    enum { EVENTS = 40, BODY = 65536, ROOM = 1 << 20 };
    struct stage *stage = *state;
    struct desk *desk = &stage->desk;
    char *body = xmalloc(BODY + 1);
    struct desk_event event = {.account = ACCOUNT, .id = "e", .body = body, .lanes = {LANE}};
    struct store_dead_edit redrive = {.edit = STORE_DEAD_REDRIVE, .now_ms = T0 + 10};
    struct store_ref refs[EVENTS];
    struct store_ref ref;

    memset(body, 'b', BODY);
    body[BODY] = '\0';
    for (size_t i = 0; i < EVENTS; i++) {
        assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
    }
    set_maxmemory(&stage->redis, used_memory(&stage->redis));
    assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_STORE_FULL);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, EVENTS);
    /* Claims hold no more than 1 MiB of records each. */
    for (size_t count = 0; count < EVENTS;) {
        const size_t more = desk_claim(desk, LANE, T0, EVENTS - count, refs + count);

        assert_true(more > 0);
        count += more;
    }
    assert_int_equal(desk_retry(desk, refs[0], T0 + 5, 1), ERR_OK);
    assert_int_equal(desk_bury(desk, refs[1], T0 + 5, "given-up"), ERR_OK);
    assert_int_equal(desk_run(desk, &redrive.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(redrive.count, 1);
    assert_int_equal(desk_park(desk, LANE, T0 + 20), ERR_OK);
    assert_int_equal(desk_park(desk, LANE, 0), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE, T0 + 10, 1, &ref), 1);
    assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_STORE_FULL);
    assert_int_equal(desk_settle(desk, refs + 2, EVENTS - 2), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).delivered, EVENTS - 2);
    assert_true(used_memory(&stage->redis) > ROOM);
    assert_int_equal(desk_commit(desk, T0 + 30, &event, NULL), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT, NULL).live, 3);
    xfree(body);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_claim_of_a_lost_commit_is_released),
        TEST(outcomes_that_are_told_again_are_answered_as_the_first_time),
        TEST(a_park_does_not_outlive_a_resume),
        TEST(a_moment_is_not_lost_with_its_answer),
        TEST(a_lease_does_not_wait_as_long_as_a_commit),
        TEST(one_wait_serves_all_commits_of_a_turn),
        TEST(all_lanes_of_a_partition_are_named),
        TEST(a_full_redis_drains_and_takes_events_again),
    };

    digest_init();
    return cmocka_run_group_tests_name("store_redis_fault", tests, NULL, NULL);
}
