/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_store.c - one measurement of one engine per call, for tests/bench/store.py.
 *
 *     bench_store speed STORE WHAT DEPTH MS      WHAT: commit, settle or both
 *     bench_store bytes STORE KIND COUNT         KIND: mark or event
 *     bench_store bare FILE DEPTH MS
 *
 * STORE is embedded:FOLDER or a redis:// URL.  DEPTH operations are under way all the time.
 *
 *     commit  a 1 KiB event with a dedup mark and one claimed delivery, durable when answered
 *     settle  the end of a delivery that was committed before, outside of the measured time
 *     both    commits, each settled after its answer while the next goes on, as a gateway does
 *     bare    append DEPTH KiB to a file, fdatasync: what this disk gives to anybody
 *
 * It prints one line: count, seconds, and the 50th and 99th percentile of an operation's
 * microseconds.  Nothing is believed: at the end the store's own counters must say what was
 * answered, or the program fails.
 */
#include <fcntl.h>
#include <malloc.h>
#include <sqlite3.h>
#include <unistd.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "core/seal.h"
#include "core/tls.h"
#include "tests/lib/store_desk.h"

#define ACCOUNT "111122223333"

enum {
    EVENT_BYTES = 1024,
    SLOTS_MAX = 256,
    LANES = 50,
    SAMPLES_MAX = 4 << 20,
    MARK_TTL_MS = 5000,
    CLAIM_MS = 90000,
};

struct slot {
    struct store_commit commit;
    struct store_settle settle;
    struct store_entry entry;
    struct store_delivery deliveries[DESK_LANES_MAX];
    struct store_ref ref;
    char id[40];
    char lane[32];
    uint64_t begin_us;
    bool is_settling;
};

static struct {
    struct store *store;
    struct mailbox box;
    struct slot slots[SLOTS_MAX];
    char body[EVENT_BYTES + 1];
    struct store_ref *refs; /* of what was committed and not settled yet */
    size_t ref_count;
    size_t under_way_count;
    uint64_t committed_count;
    uint64_t settled_count;
    uint64_t commits_wanted; /* where the number ends a run, not the time */
    uint64_t end_us;         /* no operation begins after this */
    bool settles_at_once;
    bool has_marks;
    bool has_deliveries;
    uint32_t mark_ttl_ms;
    uint32_t *samples; /* microseconds of each operation that is measured */
    size_t sample_count;
} bench = {.has_marks = true, .has_deliveries = true, .mark_ttl_ms = MARK_TTL_MS};

static void sample(uint64_t begin_us)
{
    if (bench.sample_count < SAMPLES_MAX) {
        bench.samples[bench.sample_count++] = (uint32_t)(moment_steady_us() - begin_us);
    }
}

/* ---- operations ---------------------------------------------------------------------------- */

static void on_committed(struct store_op *op);
static void on_settled(struct store_op *op);

static void begin_commit(struct slot *slot)
{
    const uint64_t now_ms = moment_now_ms();
    struct desk_event event = {.account = ACCOUNT,
                               .id = slot->id,
                               .body = bench.body,
                               .key = bench.has_marks ? "" : NULL,
                               .ttl_ms = bench.mark_ttl_ms,
                               .lanes = {bench.has_deliveries ? slot->lane : NULL},
                               .claim = true};

    (void)snprintf(slot->lane, sizeof(slot->lane), ACCOUNT "/t%zu",
                   (size_t)(slot - bench.slots) % LANES);
    random_uuid(slot->id);
    slot->entry = desk_entry(&event, slot->deliveries);
    random_bytes(slot->entry.key.bytes, sizeof(slot->entry.key.bytes));
    slot->commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = &bench.box, .on_done = on_committed},
        .now_ms = now_ms,
        .claim_until_ms = now_ms + CLAIM_MS,
        .entries = &slot->entry,
        .entry_count = 1};
    bench.under_way_count++;
    slot->begin_us = moment_steady_us();
    store_submit(bench.store, &slot->commit.op);
}

static void begin_settle(struct slot *slot, const struct store_ref *ref)
{
    slot->ref = *ref;
    slot->settle = (struct store_settle){
        .op = {.kind = STORE_SETTLE, .home = &bench.box, .on_done = on_settled},
        .refs = &slot->ref,
        .ref_count = 1};
    slot->is_settling = true;
    bench.under_way_count++;
    slot->begin_us = bench.settles_at_once ? slot->begin_us : moment_steady_us();
    store_submit(bench.store, &slot->settle.op);
}

static bool may_commit(void)
{
    return bench.commits_wanted > 0
               ? bench.committed_count + bench.under_way_count < bench.commits_wanted
               : moment_steady_us() < bench.end_us;
}

static void on_committed(struct store_op *op)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, commit.op);
    struct store_ref ref;

    CHECK(op->err == ERR_OK);
    CHECK(slot->entry.verdict == STORE_COMMITTED);
    sample(slot->begin_us);
    bench.committed_count++;
    bench.under_way_count--;
    ref = desk_ref(slot->entry.seq, 0, slot->lane, slot->deliveries[0].claim_no);
    if (bench.settles_at_once && !slot->is_settling) {
        begin_settle(slot, &ref);
    } else if (bench.has_deliveries && bench.ref_count < SAMPLES_MAX) {
        bench.refs[bench.ref_count++] = ref;
    }
    if (may_commit()) {
        begin_commit(slot);
    }
}

static void on_settled(struct store_op *op)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, settle.op);

    CHECK(op->err == ERR_OK);
    slot->is_settling = false;
    bench.settled_count++;
    bench.under_way_count--;
    if (!bench.settles_at_once) {
        sample(slot->begin_us);
        if (bench.ref_count > 0) {
            begin_settle(slot, &bench.refs[--bench.ref_count]);
        }
    }
}

/* Until nothing is under way; the seconds it took. */
static double run(uint64_t begin_us)
{
    while (bench.under_way_count > 0) {
        mailbox_wait(&bench.box, -1);
        (void)mailbox_drain(&bench.box);
    }
    return (double)(moment_steady_us() - begin_us) / 1e6;
}

static double run_commits(size_t depth, uint64_t span_ms)
{
    const uint64_t begin_us = moment_steady_us();

    bench.sample_count = 0;
    bench.end_us = begin_us + span_ms * 1000;
    for (size_t i = 0; i < depth && may_commit(); i++) {
        begin_commit(&bench.slots[i]);
    }
    return run(begin_us);
}

static double run_settles(size_t depth)
{
    const uint64_t begin_us = moment_steady_us();

    bench.sample_count = 0;
    for (size_t i = 0; i < depth && bench.ref_count > 0; i++) {
        begin_settle(&bench.slots[i], &bench.refs[--bench.ref_count]);
    }
    return run(begin_us);
}

/* ---- what the store says -------------------------------------------------------------------- */

/* Does the store count what was answered? */
static void check_counts(struct store_tally_row before)
{
    struct desk desk;
    struct store_tally_row after;

    desk_open(&desk, bench.store);
    after = desk_tally(&desk, ACCOUNT, NULL);
    mailbox_clean_up(&desk.box);
    CHECK(after.created - before.created == (bench.has_deliveries ? bench.committed_count : 0));
    CHECK(after.delivered - before.delivered == bench.settled_count);
    CHECK(after.created == after.delivered + after.live);
}

static struct store_tally_row count(void)
{
    struct desk desk;
    struct store_tally_row row;

    desk_open(&desk, bench.store);
    row = desk_tally(&desk, ACCOUNT, NULL);
    mailbox_clean_up(&desk.box);
    return row;
}

static int compare_samples(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void print_line(uint64_t done_count, double seconds)
{
    CHECK(bench.sample_count > 0);
    qsort(bench.samples, bench.sample_count, sizeof(bench.samples[0]), compare_samples);
    (void)printf("%" PRIu64 " %.6f %u %u\n", done_count, seconds,
                 bench.samples[bench.sample_count / 2],
                 bench.samples[bench.sample_count * 99 / 100]);
}

/* ---- measurements --------------------------------------------------------------------------- */

static void measure_speed(const char *what, size_t depth, uint64_t span_ms)
{
    const struct store_tally_row before = count();
    double seconds;

    bench.settles_at_once = strcmp(what, "both") == 0;
    seconds = run_commits(depth, span_ms);
    if (strcmp(what, "settle") == 0) {
        const uint64_t committed = bench.committed_count;

        CHECK(bench.ref_count == committed);
        seconds = run_settles(depth);
        CHECK(bench.settled_count == committed);
        print_line(bench.settled_count, seconds);
    } else {
        print_line(bench.committed_count, seconds);
        check_counts(before);
        (void)run_settles(SLOTS_MAX); /* the next measurement finds nothing owed */
    }
    check_counts(before);
}

/* What is on the heap without SQLite's cache, which has a bound of its own. */
static ssize_t heap_bytes(void)
{
    const struct mallinfo2 heap = mallinfo2();

    return (ssize_t)(heap.uordblks + heap.hblkhd) - (ssize_t)sqlite3_memory_used();
}

/* Prints what the heap has grown by; the disk is the caller's to ask. */
static void measure_bytes(const char *kind, uint64_t wanted)
{
    const struct store_tally_row before = count();
    const ssize_t heap = heap_bytes();

    bench.has_marks = strcmp(kind, "mark") == 0;
    bench.has_deliveries = !bench.has_marks;
    bench.mark_ttl_ms = 3600000;
    bench.commits_wanted = wanted;
    (void)run_commits(SLOTS_MAX, 0);
    CHECK(bench.committed_count == wanted);
    check_counts(before);
    (void)printf("%zd\n", heap_bytes() - heap);
}

static void measure_bare(const char *path, size_t depth, uint64_t span_ms)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *bytes = xcalloc(depth, EVENT_BYTES);
    const uint64_t begin_us = moment_steady_us();
    uint64_t done_count = 0;

    CHECK(fd >= 0);
    do {
        const uint64_t one_us = moment_steady_us();

        CHECK(write(fd, bytes, depth * EVENT_BYTES) == (ssize_t)(depth * EVENT_BYTES));
        CHECK(fdatasync(fd) == 0);
        sample(one_us);
        done_count += depth;
    } while (moment_steady_us() - begin_us < span_ms * 1000);
    print_line(done_count, (double)(moment_steady_us() - begin_us) / 1e6);
    xfree(bytes);
    (void)close(fd);
}

/* ---- which store ----------------------------------------------------------------------------- */

static enum err open_store(const char *name, struct err_why *why)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    static const char embedded[] = "embedded:";
    const size_t prefix_len = sizeof(embedded) - 1;

    if (strncmp(name, embedded, prefix_len) == 0) {
        return store_sqlite_open(&(struct store_options){.folder = slice_of(name + prefix_len)},
                                 &bench.store, why);
    }
    return store_redis_open(&(struct store_redis_options){.url = slice_of(name),
                                                          .durability = SLICE("aof"),
                                                          .seal_key = seal_key},
                            &bench.store, why);
}

int main(int argc, char **argv)
{
    const bool is_bare = argc == 5 && strcmp(argv[1], "bare") == 0;
    const bool is_speed = argc == 6 && strcmp(argv[1], "speed") == 0;
    const bool is_bytes = argc == 5 && strcmp(argv[1], "bytes") == 0;
    const size_t depth = is_bare || is_speed ? strtoull(argv[argc - 2], NULL, 10) : 1;
    const uint64_t last = argc > 1 ? strtoull(argv[argc - 1], NULL, 10) : 0;
    struct err_why why;

    if ((!is_bare && !is_speed && !is_bytes) || depth < 1 || depth > SLOTS_MAX) {
        (void)fputs("usage: bench_store (speed STORE WHAT DEPTH MS | bytes STORE KIND COUNT | bare "
                    "FILE DEPTH MS)\n",
                    stderr);
        return 2;
    }
    log_set_level(LOG_ERROR);
    digest_init();
    memset(bench.body, 'b', EVENT_BYTES);
    bench.samples = xcalloc(SAMPLES_MAX, sizeof(bench.samples[0]));
    bench.refs = xcalloc(SAMPLES_MAX, sizeof(bench.refs[0]));
    if (is_bare) {
        measure_bare(argv[2], depth, last);
        return 0;
    }
    if (open_store(argv[2], &why) != ERR_OK) {
        (void)fprintf(stderr, "bench_store: %s\n", why.text);
        return 1;
    }
    mailbox_init(&bench.box, NULL);
    if (is_speed) {
        measure_speed(argv[3], depth, last);
    } else {
        measure_bytes(argv[3], last);
    }
    store_destroy(bench.store);
    mailbox_clean_up(&bench.box);
    return 0;
}
