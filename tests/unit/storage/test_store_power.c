/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_power.c - after a power failure, every answered commit is there.
 *
 * kill -9 does not test the flush: the kernel still writes what the process had written.  Here a
 * layer under SQLite keeps what was really flushed, and at each write and flush of a small story
 * an image is made of what a power failure at that moment would leave: all that was flushed, and
 * of the rest nothing, or whatever a seed decides, 512 bytes at a time.  Each image is opened as a
 * store and compared with what had been answered by then.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdatomic.h>

#include "core/log.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"
#include "tests/lib/vfs_fault.h"

#define ACCOUNT "111122223333"
#define LANE_1  ACCOUNT "/t1"
#define LANE_2  ACCOUNT "/t2"

enum {
    T0 = 1000000,
    EVENTS = 20,
    IMAGES_MAX = 100,
    ID_CHARS = 15,
    BODY_BYTES_MAX = 300000,
};

/* One image and what the world had been told when it was made. */
struct image {
    char folder[64];
    size_t committed_count;
    size_t settled_count;
};

struct story {
    char folder[64];
    struct desk desk;
    atomic_size_t committed_count; /* answered */
    atomic_size_t settled_count;
    atomic_size_t settling_count; /* asked for */
    uint64_t seed;
    size_t every;      /* an image at each so many calls */
    size_t body_bytes; /* of each event */
    size_t call_count;
    struct image images[IMAGES_MAX];
    size_t image_count;
};

/* ---- the side file, which SQLite does not write ------------------------------------------------
 */

enum { SIDE_BYTES = 36 };

/* It is never flushed: as of now, not at all, or torn. */
static void image_side_file(const struct story *story, const struct image *image)
{
    char from[128];
    char to[128];
    char bytes[SIDE_BYTES];
    int fd;
    ssize_t len;

    if (story->call_count % 3 == 0) {
        return;
    }
    (void)snprintf(from, sizeof(from), "%s/durable", story->folder);
    (void)snprintf(to, sizeof(to), "%s/durable", image->folder);
    fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    len = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    len = story->call_count % 3 == 1 && len > 20 ? 20 : len;
    assert_int_equal(write(fd, bytes, (size_t)len), len);
    (void)close(fd);
}

/* Runs on the store thread, before a write or flush. */
static void on_call(void *context)
{
    struct story *story = context;
    struct image *image = &story->images[story->image_count];

    story->call_count++;
    if (story->call_count % story->every != 0 || story->image_count == IMAGES_MAX) {
        return;
    }
    folder_make(image->folder, sizeof(image->folder));
    image->committed_count = atomic_load(&story->committed_count);
    image->settled_count = atomic_load(&story->settled_count);
    vfs_fault_image(image->folder,
                    story->call_count % 4 == 0 ? 0 : story->seed + story->call_count);
    image_side_file(story, image);
    story->image_count++;
}

/* ---- the story ----------------------------------------------------------------------------- */

static struct store *open_at(const char *folder)
{
    const struct store_options options = {.folder = slice_of(folder)};
    struct store *store;
    struct err_why why;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static enum err commit_nth(struct desk *desk, size_t nth, size_t body_bytes, struct desk_entry *out)
{
    static char body[BODY_BYTES_MAX + 1];
    char id[ID_CHARS + 1];
    const struct desk_event event = {.account = ACCOUNT,
                                     .id = id,
                                     .body = body,
                                     .key = id,
                                     .ttl_ms = 300000,
                                     .lanes = {LANE_1, LANE_2}};

    memset(body, 'b', body_bytes);
    body[body_bytes] = '\0';
    (void)snprintf(id, sizeof(id), "e-%zu", nth);
    return desk_commit(desk, T0, &event, out);
}

/* Commit events one by one; of every fourth, settle the delivery on the first lane. */
static void live_through(struct story *story)
{
    for (size_t i = 0; i < EVENTS; i++) {
        struct desk_entry out;

        assert_int_equal(commit_nth(&story->desk, i, story->body_bytes, &out), ERR_OK);
        assert_int_equal(out.entry.verdict, STORE_COMMITTED);
        atomic_fetch_add(&story->committed_count, 1);
        if (i % 4 == 3) {
            const struct store_ref ref = desk_ref(out.entry.seq, 0, LANE_1, 0);

            assert_int_equal(desk_settle(&story->desk, &ref, 1), ERR_OK);
            atomic_fetch_add(&story->settled_count, 1);
        }
    }
}

/* ---- afterwards ---------------------------------------------------------------------------- */

static size_t count_lane(struct desk *desk, const char *lane)
{
    struct store_ref refs[STORE_CLAIM_MAX];

    return desk_claim(desk, lane, T0 + 1, STORE_CLAIM_MAX, refs);
}

static void check_image(const struct image *image)
{
    struct desk desk;
    struct store_tally_row tally;
    struct desk_entry out;

    desk_open(&desk, open_at(image->folder));
    tally = desk_tally(&desk, ACCOUNT, NULL); /* balanced, or the desk ends the test */
    /* Nothing answered is lost, and at most the one under way is there besides. */
    assert_in_range(tally.created, 2 * image->committed_count, 2 * image->committed_count + 2);
    assert_in_range(tally.delivered, image->settled_count, image->settled_count + 1);
    /* Both deliveries of an event, or none; bodies intact, or the claim would hold them back. */
    assert_int_equal(count_lane(&desk, LANE_2), tally.created / 2);
    assert_int_equal(count_lane(&desk, LANE_1), tally.created / 2 - tally.delivered);
    /* Its mark came with them. */
    for (size_t i = 0; i < tally.created / 2; i++) {
        assert_int_equal(commit_nth(&desk, i, 1, &out), ERR_OK);
        assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    }
    assert_int_equal(commit_nth(&desk, tally.created / 2, 1, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
    desk_close(&desk);
}

static void run_story(uint64_t seed, size_t body_bytes, size_t every)
{
    struct story *story = xcalloc(1, sizeof(*story));

    story->seed = seed;
    story->every = every;
    story->body_bytes = body_bytes;
    folder_make(story->folder, sizeof(story->folder));
    vfs_fault_record();
    desk_open(&story->desk, open_at(story->folder));
    vfs_fault_hook(on_call, story);
    live_through(story);
    vfs_fault_hook(NULL, NULL);
    desk_close(&story->desk);
    vfs_fault_reset();
    folder_remove(story->folder);
    assert_in_range(story->image_count, EVENTS, IMAGES_MAX - 1); /* all of the story */
    for (size_t i = 0; i < story->image_count; i++) {
        check_image(&story->images[i]);
        folder_remove(story->images[i].folder);
    }
    print_message("seed %" PRIu64 ": %zu images\n", seed, story->image_count);
    xfree(story);
}

static void every_answered_commit_survives_a_power_failure(void **state)
{
    (void)state;
    run_story(1, 300, 7);
    run_story(77, 3000, 8);
}

/* The same through a checkpoint, which moves what was committed from the log to the database: so
 * much is committed that one comes on the way. */
static void a_checkpoint_loses_nothing_either(void **state)
{
    (void)state;
    run_story(4242, BODY_BYTES_MAX, 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answered_commit_survives_a_power_failure),
        cmocka_unit_test(a_checkpoint_loses_nothing_either),
    };

    vfs_fault_install();
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_power", tests, NULL, NULL);
}
