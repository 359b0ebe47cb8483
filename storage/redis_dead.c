/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_dead.c - dead letters over all partitions, in the order of their ids.
 *
 * An id is the clock of its partition * 64 + the partition, and clocks are milliseconds * 64 and a
 * count, so ids of all partitions together are in the order of burial, closely enough.  A walk goes
 * in steps: each partition gives a page of letters behind the last id; up to the *horizon*, the
 * lowest end of a page that was not the partition's last, nothing can be missing, so the letters up
 * to there are taken in order, their records are fetched, and the filter decides.  What is
 * beyond the horizon is asked for again.
 *
 * An edit looks at nothing that was buried after it began, so that letters which die again at once
 * do not keep it going for ever.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/log.h"

enum {
    PAGE_LETTERS = 64,
    CLOCKS_PER_MS = 64,
    LETTER_FIXED_BYTES = 46, /* up to the lane: lua/bury.lua */
    ROW_BYTES = 256,
};

struct letter {
    uint64_t id;
    struct slice bytes;
    struct store_dead *dead; /* once its record has been read */
};

struct walk {
    struct store_dead_filter filter;
    uint64_t after_id;
    uint64_t horizon_id;
    uint64_t until_clock; /* 0: no end */
    bool has_more_pages;
    struct letter *letters;
    size_t letter_count;
    size_t letter_room;
    struct arena page;
    /* what to do with those that are meant */
    struct store_dead_list *list;
    struct store_dead_edit *edit;
    size_t listed_count;
};

static void walk_step(struct redis_job *job);

static void walk_end(struct redis_job *job)
{
    struct walk *walk = job->state;

    for (size_t i = 0; i < walk->letter_count; i++) {
        store_dead_free(walk->letters[i].dead);
    }
    xfree(walk->letters);
    arena_clean_up(&walk->page);
    job->on_parts = NULL;
}

/* ---- pages of letters ---------------------------------------------------------------------- */

static uint64_t id_of(uint64_t clock, unsigned partition)
{
    return clock * REDIS_PARTITIONS + partition;
}

/* The last clock of the partition whose id is at most `id`; false if there is none. */
static bool clock_before(uint64_t id, unsigned partition, uint64_t *clock)
{
    *clock = id < partition ? 0 : (id - partition) / REDIS_PARTITIONS;
    return id >= partition;
}

static void find_in(struct redis_job *job, unsigned partition)
{
    struct walk *walk = job->state;
    struct redis_batch *batch = redis_batch_for(job->store, REDIS_DEAD_FIND, partition, ROW_BYTES);
    uint64_t clock;

    if (clock_before(walk->after_id, partition, &clock)) {
        redis_batch_arg_u64(batch, clock);
    } else {
        redis_batch_arg(batch, SLICE("-1"));
    }
    if (walk->until_clock != 0) {
        redis_batch_arg_u64(batch, walk->until_clock);
    } else {
        redis_batch_arg(batch, SLICE("+inf"));
    }
    redis_batch_arg_u64(batch, PAGE_LETTERS);
    redis_batch_arg(batch, walk->filter.account);
    redis_batch_arg(batch, walk->filter.reason);
    redis_batch_arg_u64(batch, walk->filter.since_ms);
    redis_batch_arg_u64(batch, walk->filter.until_ms);
    redis_batch_add_row(batch, job, walk);
}

static void add_letter(struct walk *walk, uint64_t id, struct slice bytes)
{
    if (walk->letter_count == walk->letter_room) {
        walk->letter_room = MAX_OF(walk->letter_room * 2, (size_t)PAGE_LETTERS);
        walk->letters = xrealloc(walk->letters, walk->letter_room * sizeof(walk->letters[0]));
    }
    walk->letters[walk->letter_count++] =
        (struct letter){.id = id, .bytes = arena_copy(&walk->page, bytes)};
}

void redis_dead_find_read(struct redis_batch *batch, const redisReply *reply)
{
    struct walk *walk = batch->rows[0].item;
    uint64_t was_last;
    uint64_t clock;

    if (!redis_reply_u64(redis_reply_at(reply, 0), &was_last) ||
        !redis_reply_u64(redis_reply_at(reply, 1), &clock)) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    if (was_last == 0) {
        walk->has_more_pages = true;
        walk->horizon_id = MIN_OF(walk->horizon_id, id_of(clock, batch->partition));
    }
    for (size_t i = 2; i + 1 < redis_reply_count(reply); i += 2) {
        const struct slice bytes = redis_reply_text(redis_reply_at(reply, i + 1));

        if (redis_reply_u64(redis_reply_at(reply, i), &clock) && bytes.len > LETTER_FIXED_BYTES) {
            add_letter(walk, id_of(clock, batch->partition), bytes);
        }
    }
}

/* ---- records of the letters ---------------------------------------------------------------- */

static bool take_text(struct slice *rest, struct slice *text)
{
    size_t len;

    if (rest->len < 2) {
        return false;
    }
    len = redis_get_u16(rest->data);
    if (rest->len < 2 + len) {
        return false;
    }
    *text = slice_first(slice_from(*rest, 2), len);
    *rest = slice_from(*rest, 2 + len);
    return true;
}

/* Put letter and record together; a letter whose record is damaged keeps an empty body. */
static struct store_dead *dead_new(const struct redis_store *store, const struct letter *letter,
                                   struct slice stored)
{
    const char *head = letter->bytes.data;
    struct slice rest = slice_from(letter->bytes, LETTER_FIXED_BYTES);
    struct store_record_parts parts = {.account = SLICE("")};
    struct record record;
    struct record_delivery delivery;
    struct store_ref ref = {.seq = 0};
    struct slice lane;
    struct slice reason;
    struct slice message;
    struct store_dead *dead;
    bool is_whole;

    if (!redis_ref_unpack(slice_from(slice_first(letter->bytes, LETTER_FIXED_BYTES), 36), &ref) ||
        !take_text(&rest, &lane) || !take_text(&rest, &reason) || !take_text(&rest, &message) ||
        lane.len > STORE_LANE_CHARS_MAX) {
        log_error("store.dead_letter_damaged", LOG_U64("id", letter->id));
        return NULL;
    }
    parts.account = store_lane_account(lane);
    is_whole = record_decode(&store->uuid, 0, stored, &record) == ERR_OK &&
               record_delivery(&record, ref.ordinal, &delivery) == ERR_OK;
    if (is_whole) {
        parts = (struct store_record_parts){.account = record.account,
                                            .event_id = record.event_id,
                                            .bus = delivery.bus,
                                            .rule = delivery.rule,
                                            .target_id = delivery.target_id,
                                            .body = record.body};
    } else {
        log_error("store.record_damaged", LOG_U64("seq", ref.seq));
    }
    dead = store_dead_new(reason, message);
    dead->id = letter->id;
    dead->buried_ms = redis_get_u64(head);
    dead->attempt_count = redis_get_u32(head + 8);
    dead->record = store_record_new(&parts);
    dead->record->ref = ref;
    store_name_copy(dead->record->ref.lane, sizeof(dead->record->ref.lane), lane);
    dead->record->accepted_ms = is_whole ? record.accepted_ms : 0;
    dead->record->attempt_count = dead->attempt_count;
    dead->record->past_attempt_count = redis_get_u32(head + 12);
    dead->record->last_err = redis_get_u32(head + 16);
    dead->record->budget_from_ms = redis_get_u64(head + 20);
    if (dead->record->budget_from_ms == 0) {
        dead->record->budget_from_ms = dead->record->accepted_ms;
    }
    dead->record->due_ms = redis_get_u64(head + 28);
    return dead;
}

static bool is_meant(const struct store_dead_filter *filter, const struct store_dead *dead)
{
    return store_dead_matches(filter, &(struct store_dead_facts){
                                          .id = dead->id,
                                          .buried_ms = dead->buried_ms,
                                          .account = dead->record->account,
                                          .bus = dead->record->bus,
                                          .rule = dead->record->rule,
                                          .target_id = dead->record->target_id,
                                          .reason = dead->reason,
                                      });
}

static void on_record(struct redis_job *job, const redisReply *reply, void *item)
{
    struct letter *letter = item;

    if (reply != NULL) {
        letter->dead = dead_new(job->store, letter, redis_reply_text(reply));
    }
}

static void fetch_record(struct redis_job *job, struct letter *letter)
{
    struct walk *walk = job->state;
    const unsigned partition = (unsigned)(letter->id % REDIS_PARTITIONS);
    const struct slice key = redis_key(&walk->page, "b", partition);
    const struct slice args[] = {
        SLICE("HGET"), key, {letter->bytes.data + 36, 8}}; /* the sequence of its ref */
    const struct redis_command command = {
        .args = args, .arg_count = ARRAY_LEN(args), .slot_key = key, .timeout_ms = 2000};

    redis_job_call(job, &command, on_record, letter);
}

/* ---- what is done with them ---------------------------------------------------------------- */

static void edit_one(struct redis_job *job, const struct store_dead *dead)
{
    static const char *const names[] = {
        [STORE_DEAD_REDRIVE] = "r", [STORE_DEAD_DROP] = "p", [STORE_DEAD_EXPIRE] = "e"};
    struct walk *walk = job->state;
    struct redis_batch *batch = redis_batch_for(job->store, REDIS_DEAD_EDIT,
                                                (unsigned)(dead->id % REDIS_PARTITIONS), ROW_BYTES);

    if (batch->row_count == 0) {
        redis_batch_arg(batch, slice_of(names[walk->edit->edit]));
        redis_batch_arg_u64(batch, walk->edit->now_ms);
    }
    redis_batch_arg_u64(batch, dead->id / REDIS_PARTITIONS);
    redis_batch_add_row(batch, job, walk->edit);
}

void redis_dead_edit_read(struct redis_batch *batch, const redisReply *reply)
{
    uint64_t count;

    if (!redis_reply_u64(reply, &count)) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    ((struct store_dead_edit *)batch->rows[0].item)->count += count;
}

/* Returns false when the list is full: this one starts the next page. */
static bool list_one(struct walk *walk, struct letter *letter)
{
    if (walk->listed_count == walk->list->count_max) {
        walk->list->has_more = true;
        return false;
    }
    list_append(&walk->list->dead, &letter->dead->node);
    letter->dead = NULL;
    walk->listed_count++;
    return true;
}

static void on_edited(struct redis_job *job)
{
    struct walk *walk = job->state;

    if (job->err == ERR_OK && walk->has_more_pages) {
        walk_step(job);
    } else {
        walk_end(job);
    }
}

/* All records are here: decide, in the order of ids. */
static void on_records(struct redis_job *job)
{
    struct walk *walk = job->state;
    bool goes_on = walk->has_more_pages;

    if (job->err != ERR_OK) {
        walk_end(job);
        return;
    }
    for (size_t i = 0; i < walk->letter_count; i++) {
        struct letter *letter = &walk->letters[i];

        if (letter->dead == NULL || !is_meant(&walk->filter, letter->dead)) {
            continue;
        }
        if (walk->list != NULL && !list_one(walk, letter)) {
            goes_on = false;
            break;
        }
        if (walk->edit != NULL && walk->edit->dry_run) {
            walk->edit->count++;
        } else if (walk->edit != NULL) {
            edit_one(job, letter->dead);
        }
    }
    redis_batches_send(job->store); /* one edit's letters never share a call with another's */
    walk->after_id = walk->horizon_id;
    walk->has_more_pages = goes_on;
    if (walk->edit != NULL && !walk->edit->dry_run) {
        job->on_parts = on_edited;
        if (job->part_count == 1) { /* nothing to edit in this step */
            on_edited(job);
        }
    } else if (goes_on) {
        walk_step(job);
    } else {
        walk_end(job);
    }
}

static int compare_letters(const void *a, const void *b)
{
    const struct letter *left = a;
    const struct letter *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

/* The pages are here: what lies beyond the horizon waits for another step. */
static void on_pages(struct redis_job *job)
{
    struct walk *walk = job->state;

    if (job->err != ERR_OK) {
        walk_end(job);
        return;
    }
    if (walk->letter_count > 0) {
        qsort(walk->letters, walk->letter_count, sizeof(walk->letters[0]), compare_letters);
    }
    while (walk->letter_count > 0 && walk->letters[walk->letter_count - 1].id > walk->horizon_id) {
        walk->letter_count--;
    }
    job->on_parts = on_records;
    for (size_t i = 0; i < walk->letter_count; i++) {
        fetch_record(job, &walk->letters[i]);
    }
    if (job->part_count == 1) { /* no letters in this step */
        on_records(job);
    }
}

/* The first unsettled page of each partition. */
static void walk_step(struct redis_job *job)
{
    struct walk *walk = job->state;

    for (size_t i = 0; i < walk->letter_count; i++) {
        store_dead_free(walk->letters[i].dead);
    }
    walk->letter_count = 0;
    arena_reset(&walk->page);
    walk->horizon_id = UINT64_MAX;
    walk->has_more_pages = false;
    job->on_parts = on_pages;
    if (walk->filter.account.len > 0) {
        find_in(job, redis_partition_of(walk->filter.account));
    } else {
        for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
            find_in(job, i);
        }
    }
    redis_batches_send(job->store); /* a step may begin outside of a turn's mail */
}

static struct redis_job *walk_new(struct redis_store *store, struct store_op *op,
                                  const struct store_dead_filter *filter)
{
    struct redis_job *job = redis_job_new(store, op);
    struct walk *walk = ARENA_NEW(&job->memory, struct walk);

    walk->filter = *filter;
    if (filter->id != 0) {
        walk->after_id = filter->id - 1;
        walk->until_clock = filter->id / REDIS_PARTITIONS;
    }
    if (filter->until_ms != 0) {
        const uint64_t until_clock = (filter->until_ms + 1000) * CLOCKS_PER_MS;

        walk->until_clock =
            walk->until_clock == 0 ? until_clock : MIN_OF(walk->until_clock, until_clock);
    }
    job->state = walk;
    return job;
}

void redis_dead_list_begin(struct redis_store *store, struct store_dead_list *list)
{
    struct redis_job *job = walk_new(store, &list->op, &list->filter);
    struct walk *walk = job->state;

    list_init(&list->dead);
    list->has_more = false;
    walk->list = list;
    walk->after_id = MAX_OF(walk->after_id, list->after_id);
    walk_step(job);
}

void redis_dead_edit_begin(struct redis_store *store, struct store_dead_edit *edit)
{
    struct redis_job *job = walk_new(store, &edit->op, &edit->filter);
    struct walk *walk = job->state;

    edit->count = 0;
    walk->edit = edit;
    if (walk->until_clock == 0) {
        const uint64_t now_ms = (uint64_t)(ev_now(store->loop) * 1000);

        walk->until_clock = (MAX_OF(edit->now_ms, now_ms) + 1000) * CLOCKS_PER_MS;
    }
    walk_step(job);
}
