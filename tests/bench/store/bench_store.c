/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_store.c - how many durable events a second, beside a bare write and flush of the same
 * bytes.
 *
 *     bench_store FOLDER [SECONDS]       FOLDER: on the disk that is meant; files are made in it
 *
 * For 1, 16 and 256 operations under way, two loops take turns in the same run:
 *
 *     bare    append that many KiB to a file, fdatasync
 *     store   that many commits under way (1 KiB event, mark, one claimed delivery), each settled
 *             after its answer
 *
 * Both count events a second.  The figure to quote is the ratio; the absolute numbers belong to the
 * disk.
 */
#include <fcntl.h>
#include <unistd.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "tests/lib/store_desk.h"

enum { EVENT_BYTES = 1024, SLOTS_MAX = 256, TURNS = 3, LANES = 50 };

struct slot {
    struct store_commit commit;
    struct store_settle settle;
    struct store_entry entry;
    struct store_delivery deliveries[DESK_LANES_MAX];
    struct store_ref ref;
    char id[40];
    char lane[32];
    bool is_settling;
};

static struct {
    struct store *store;
    struct mailbox box;
    struct slot slots[SLOTS_MAX];
    char body[EVENT_BYTES + 1];
    uint64_t committed_count;
    size_t under_way_count;
    bool is_stopping;
} bench;

static void on_committed(struct store_op *op);

static void begin(struct slot *slot)
{
    const uint64_t now_ms = moment_now_ms();
    struct desk_event event = {.account = "111122223333",
                               .id = slot->id,
                               .body = bench.body,
                               .key = "",
                               .ttl_ms = 5000,
                               .lanes = {slot->lane},
                               .claim = true};

    (void)snprintf(slot->lane, sizeof(slot->lane), "111122223333/t%zu",
                   (size_t)(slot - bench.slots) % LANES);
    random_uuid(slot->id);
    slot->entry = desk_entry(&event, slot->deliveries);
    random_bytes(slot->entry.key.bytes, sizeof(slot->entry.key.bytes));
    slot->commit = (struct store_commit){
        .op = {.kind = STORE_COMMIT, .home = &bench.box, .on_done = on_committed},
        .now_ms = now_ms,
        .claim_until_ms = now_ms + 90000,
        .entries = &slot->entry,
        .entry_count = 1};
    bench.under_way_count++;
    store_submit(bench.store, &slot->commit.op);
}

static void on_settled(struct store_op *op)
{
    CHECK(op->err == ERR_OK);
    CONTAINER_OF(op, struct slot, settle.op)->is_settling = false;
    bench.under_way_count--;
}

/* Settle it, and begin the next without waiting for that, as a gateway does. */
static void on_committed(struct store_op *op)
{
    struct slot *slot = CONTAINER_OF(op, struct slot, commit.op);

    CHECK(op->err == ERR_OK);
    bench.committed_count++;
    bench.under_way_count--;
    if (!slot->is_settling) {
        slot->ref = desk_ref(slot->entry.seq, 0, slot->lane, slot->deliveries[0].claim_no);
        slot->settle = (struct store_settle){
            .op = {.kind = STORE_SETTLE, .home = &bench.box, .on_done = on_settled},
            .refs = &slot->ref,
            .ref_count = 1};
        slot->is_settling = true;
        bench.under_way_count++;
        store_submit(bench.store, &slot->settle.op);
    }
    if (!bench.is_stopping) {
        begin(slot);
    }
}

static double run_store(size_t depth, uint64_t span_ms)
{
    const uint64_t begin_us = moment_steady_us();
    const uint64_t before = bench.committed_count;

    bench.is_stopping = false;
    for (size_t i = 0; i < depth; i++) {
        begin(&bench.slots[i]);
    }
    while (bench.under_way_count > 0) {
        mailbox_wait(&bench.box, -1);
        (void)mailbox_drain(&bench.box);
        bench.is_stopping = moment_steady_us() - begin_us > span_ms * 1000;
    }
    return (double)(bench.committed_count - before) * 1e6 / (double)(moment_steady_us() - begin_us);
}

static double run_bare(int fd, size_t depth, uint64_t span_ms)
{
    const uint64_t begin_us = moment_steady_us();
    char *bytes = xcalloc(depth, EVENT_BYTES);
    uint64_t count = 0;

    do {
        CHECK(write(fd, bytes, depth * EVENT_BYTES) == (ssize_t)(depth * EVENT_BYTES));
        CHECK(fdatasync(fd) == 0);
        count += depth;
    } while (moment_steady_us() - begin_us < span_ms * 1000);
    xfree(bytes);
    return (double)count * 1e6 / (double)(moment_steady_us() - begin_us);
}

static void run_all(int fd, uint64_t span_ms)
{
    static const size_t depths[] = {1, 16, 256};

    (void)printf("under way   bare events/s   store events/s   ratio\n");
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        double bare = 0;
        double store = 0;

        for (int turn = 0; turn < TURNS; turn++) {
            bare += run_bare(fd, depths[i], span_ms) / TURNS;
            store += run_store(depths[i], span_ms) / TURNS;
        }
        (void)printf("%9zu   %13.0f   %14.0f   %5.2f\n", depths[i], bare, store, store / bare);
    }
}

int main(int argc, char **argv)
{
    char path[4096];
    struct store_options options = {.reserve_bytes = 0};
    struct err_why why;
    int fd;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_store FOLDER [SECONDS]\n");
        return 2;
    }
    log_set_level(LOG_ERROR);
    digest_init();
    memset(bench.body, 'b', EVENT_BYTES);
    (void)snprintf(path, sizeof(path), "%s/bare", argv[1]);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)snprintf(path, sizeof(path), "%s/store", argv[1]);
    options.folder = slice_of(path);
    if (fd < 0 || store_sqlite_open(&options, &bench.store, &why) != ERR_OK) {
        (void)fprintf(stderr, "bench_store: cannot write to %s\n", argv[1]);
        return 1;
    }
    mailbox_init(&bench.box, NULL);
    run_all(fd, argc > 2 ? strtoull(argv[2], NULL, 10) * 1000 : 2000);
    store_destroy(bench.store);
    mailbox_clean_up(&bench.box);
    (void)close(fd);
    return 0;
}
