/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_crash.c - kill -9, again and again: what was answered is there.
 *
 * A child opens the store, keeps sixteen operations under way and tells each answer through a pipe
 * the moment it has it.  The parent kills it at a random moment (while it opens and recovers, too),
 * opens the same store and compares: every answered commit is known, no settle that was answered is
 * owed again, the ledger is balanced, and of what was not answered there is no more than was under
 * way.  All rounds share one store, so each recovers what the kills before it left.
 *
 * WEIR_SEED=N replays the moments of one run, as far as a scheduler can be replayed.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

#define ACCOUNT "111122223333"
#define LANE_1  ACCOUNT "/t1"
#define LANE_2  ACCOUNT "/t2"

enum { T0 = 1000000, ROUNDS = 36, SLOTS = 16, ID_BYTES = 24, EVENTS_MAX = 200000 };

/* What the child tells: one write, never torn. */
struct news {
    char what; /* 'C' committed, 'S' settled */
    uint32_t number;
};

/* ---- the child ---------------------------------------------------------------------------------
 */

struct slot {
    struct store_commit commit;
    struct store_settle settle;
    struct store_entry entry;
    struct store_delivery deliveries[DESK_LANES_MAX];
    struct store_ref ref;
    char id[ID_BYTES];
    uint32_t number;
};

static struct {
    struct store *store;
    struct mailbox box;
    struct slot slots[SLOTS];
    uint32_t next_number;
    int pipe_fd;
} child;

static void tell(char what, uint32_t number)
{
    struct news news;

    memset(&news, 0, sizeof(news));
    news.what = what;
    news.number = number;
    CHECK(write(child.pipe_fd, &news, sizeof(news)) == (ssize_t)sizeof(news));
}

static void on_committed(struct store_op *op);

static void begin(struct slot *slot)
{
    struct desk_event event = {.account = ACCOUNT,
                               .id = slot->id,
                               .key = slot->id,
                               .ttl_ms = 300000,
                               .lanes = {LANE_1, LANE_2},
                               .claim = true};

    slot->number = child.next_number++;
    (void)snprintf(slot->id, sizeof(slot->id), "e-%u", slot->number);
    slot->entry = desk_entry(&event, slot->deliveries);
    slot->commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = &child.box, .on_done = on_committed},
        .now_ms = T0,
        .claim_until_ms = T0 + 1000,
        .entries = &slot->entry,
        .entry_count = 1};
    store_submit(child.store, &slot->commit.op);
}

static void on_settled(struct store_op *op)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, settle.op);

    CHECK(op->err == ERR_OK);
    tell('S', slot->number);
    begin(slot);
}

/* Tell, then settle the first delivery of every second event. */
static void on_committed(struct store_op *op)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, commit.op);

    CHECK(op->err == ERR_OK);
    CHECK(slot->entry.verdict == STORE_COMMITTED);
    tell('C', slot->number);
    if (slot->number % 2 != 0) {
        begin(slot);
        return;
    }
    slot->ref = desk_ref(slot->entry.seq, 0, LANE_1, slot->deliveries[0].claim_no);
    slot->settle = (struct store_settle){
        .op = {.kind = STORE_SETTLE, .home = &child.box, .on_done = on_settled},
        .refs = &slot->ref,
        .ref_count = 1};
    store_submit(child.store, &slot->settle.op);
}

static _Noreturn void live_until_killed(const char *folder, uint32_t first_number, int pipe_fd)
{
    const struct store_options options = {.folder = slice_of(folder)};
    struct err_why why;

    child.pipe_fd = pipe_fd;
    child.next_number = first_number;
    CHECK(store_sqlite_open(&options, &child.store, &why) == ERR_OK);
    mailbox_init(&child.box, NULL);
    for (size_t i = 0; i < SLOTS; i++) {
        begin(&child.slots[i]);
    }
    for (;;) {
        mailbox_wait(&child.box, -1);
        (void)mailbox_drain(&child.box);
    }
}

/* ---- the parent ---------------------------------------------------------------------------------
 */

struct run {
    char folder[64];
    uint64_t seed;
    uint32_t next_number;
    uint32_t committed_count; /* over all rounds, as told */
    uint32_t settled_count;
    bool is_committed[EVENTS_MAX];
};

static uint64_t draw(struct run *run, uint64_t below)
{
    run->seed ^= run->seed << 13;
    run->seed ^= run->seed >> 7;
    run->seed ^= run->seed << 17;
    return run->seed % below;
}

static bool hear(struct run *run, int fd)
{
    struct news news;
    const ssize_t len = read(fd, &news, sizeof(news));

    if (len == 0) {
        return false;
    }
    assert_int_equal(len, sizeof(news));
    assert_true(news.number < EVENTS_MAX);
    run->next_number = MAX_OF(run->next_number, news.number + 1);
    if (news.what == 'C') {
        assert_false(run->is_committed[news.number]);
        run->is_committed[news.number] = true;
        run->committed_count++;
    } else {
        run->settled_count++;
    }
    return true;
}

/* Listen for `span_ms`, counted from the first news if `after_first`. */
static void listen_for(struct run *run, int fd, uint64_t span_ms, bool after_first)
{
    uint64_t end_ms = moment_steady_ms() + (after_first ? 60000 : span_ms);
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    uint64_t now_ms;

    for (now_ms = moment_steady_ms(); now_ms < end_ms; now_ms = moment_steady_ms()) {
        if (poll(&waited, 1, (int)(end_ms - now_ms)) > 0) {
            if (!hear(run, fd)) {
                fail_msg("the child ended by itself");
            }
            if (after_first) {
                after_first = false;
                end_ms = moment_steady_ms() + span_ms;
            }
        }
    }
}

static void live_and_kill(struct run *run, int round)
{
    const uint64_t span_ms = draw(run, 40);
    int fds[2];
    pid_t pid;
    int status;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        live_until_killed(run->folder, run->next_number, fds[1]);
    }
    (void)close(fds[1]);
    listen_for(run, fds[0], span_ms, round % 4 != 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (hear(run, fds[0])) {
        /* what it told before it died */
    }
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* Commit the event again: known, or new? */
static enum store_verdict verdict_of(struct desk *desk, uint32_t number)
{
    char id[ID_BYTES];
    const struct desk_event event = {
        .account = ACCOUNT, .id = id, .key = id, .ttl_ms = 300000, .lanes = {NULL}};
    struct desk_entry out;

    (void)snprintf(id, sizeof(id), "e-%u", number);
    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    return out.entry.verdict;
}

static void check_round(struct run *run, uint32_t first_number, int round)
{
    const struct store_options options = {.folder = slice_of(run->folder)};
    const uint32_t under_way_max = (uint32_t)(round + 1) * SLOTS;
    struct store *store;
    struct err_why why;
    struct desk desk;
    struct store_tally_row tally;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("round %d: %s", round, why.text);
    }
    desk_open(&desk, store);
    tally = desk_tally(&desk, ACCOUNT, NULL); /* balanced, or the desk ends the test */
    assert_in_range(tally.created, 2 * (uint64_t)run->committed_count,
                    2 * (uint64_t)(run->committed_count + under_way_max));
    assert_in_range(tally.delivered, run->settled_count, run->settled_count + under_way_max);
    for (uint32_t number = first_number; number < run->next_number; number++) {
        if (run->is_committed[number]) {
            assert_int_equal(verdict_of(&desk, number), STORE_DUPLICATE);
        }
    }
    desk_close(&desk);
    run->next_number += SLOTS; /* those under way may be known without having been told */
}

static void what_was_answered_survives_kill(void **state)
{
    const char *asked = getenv("WEIR_SEED");
    struct run *run = xcalloc(1, sizeof(*run));

    (void)state;
    run->seed = asked != NULL ? strtoull(asked, NULL, 10) : random_u64() | 1;
    print_message("seed %" PRIu64 "\n", run->seed);
    folder_make(run->folder, sizeof(run->folder));
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t first_number = run->next_number;

        live_and_kill(run, round);
        check_round(run, first_number, round);
    }
    print_message("%d kills, %u commits and %u settles answered, none lost\n", ROUNDS,
                  run->committed_count, run->settled_count);
    assert_true(run->committed_count > ROUNDS);
    assert_true(run->settled_count > 0);
    folder_remove(run->folder);
    xfree(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_answered_survives_kill)};

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
