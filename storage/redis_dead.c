/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_dead.c - dead letters over all partitions, in the order of their ids.
 *
 * An id is the clock of its partition * 64 + the partition, and clocks are milliseconds * 64 and a
 * count, so ids of all partitions together are in the order of burial, closely enough.  A walk goes
 * in steps: each partition gives a page of letters behind the last id; up to the *horizon*, the
 * lowest end of a page that was not the partition's last, nothing can be missing, so the letters up
 * to there are taken in order, and the filter decides.  What is beyond the horizon is asked for
 * again.
 *
 * A page has hundreds of letters, and their events may be large, on the one connection that commits
 * go by as well.  So the letters of a step are taken in *chunks*: so many of them that their
 * records have 1 MiB together, which is what a claim may bring too.  Where the letter itself says
 * enough, as for the retention's sweep, no record is read.
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
    CHUNK_LETTERS = 256,
    CHUNK_BYTES = 1 << 20,   /* of records; one that is larger comes alone */
    LETTER_FIXED_BYTES = 46, /* up to the lane: lua/bury.lua */
    ROW_BYTES = 256,
};

struct letter {
    uint64_t id;
    uint64_t record_bytes;
    struct slice bytes;
    struct store_dead *dead; /* once its record has been read, until it has been decided */
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
    size_t letter_at; /* those before it are decided */
    size_t chunk_end;
    bool filters_by_record; /* bus, rule and target are in the record */
    struct arena page;
    /* what to do with those that are meant */
    struct store_dead_list *list;
    struct store_dead_edit *edit;
    size_t listed_count;
    bool is_full;
};

static void walk_step(struct redis_job *job);
static void chunk_begin(struct redis_job *job);

static bool reads_records(const struct walk *walk)
{
    return walk->list != NULL || walk->filters_by_record;
}

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

static void add_letter(struct walk *walk, uint64_t id, struct slice bytes, uint64_t record_bytes)
{
    if (walk->letter_count == walk->letter_room) {
        walk->letter_room = MAX_OF(walk->letter_room * 2, (size_t)PAGE_LETTERS);
        walk->letters = xrealloc(walk->letters, walk->letter_room * sizeof(walk->letters[0]));
    }
    walk->letters[walk->letter_count++] = (struct letter){
        .id = id, .record_bytes = record_bytes, .bytes = arena_copy(&walk->page, bytes)};
}

void redis_dead_find_read(struct redis_batch *batch, const redisReply *reply)
{
    struct walk *walk = batch->rows[0].item;
    uint64_t was_last;
    uint64_t clock;
    uint64_t record_bytes;

    if (!redis_reply_u64(redis_reply_at(reply, 0), &was_last) ||
        !redis_reply_u64(redis_reply_at(reply, 1), &clock)) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    if (was_last == 0) {
        walk->has_more_pages = true;
        walk->horizon_id = MIN_OF(walk->horizon_id, id_of(clock, batch->partition));
    }
    for (size_t i = 2; i + 2 < redis_reply_count(reply); i += 3) {
        const struct slice bytes = redis_reply_text(redis_reply_at(reply, i + 1));

        if (redis_reply_u64(redis_reply_at(reply, i), &clock) &&
            redis_reply_u64(redis_reply_at(reply, i + 2), &record_bytes) &&
            bytes.len > LETTER_FIXED_BYTES) {
            add_letter(walk, id_of(clock, batch->partition), bytes, record_bytes);
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

struct letter_parts {
    struct store_ref ref;
    struct slice lane;
    struct slice reason;
    struct slice message;
};

static bool letter_parse(const struct letter *letter, struct letter_parts *parts)
{
    struct slice rest = slice_from(letter->bytes, LETTER_FIXED_BYTES);

    parts->ref = (struct store_ref){.seq = 0};
    if (!redis_ref_unpack(slice_from(slice_first(letter->bytes, LETTER_FIXED_BYTES), 36),
                          &parts->ref) ||
        !take_text(&rest, &parts->lane) || !take_text(&rest, &parts->reason) ||
        !take_text(&rest, &parts->message) || parts->lane.len > STORE_LANE_CHARS_MAX) {
        log_error("store.dead_letter_damaged", LOG_U64("id", letter->id));
        return false;
    }
    return true;
}

/* Put letter and record together; a letter whose record is damaged keeps an empty body. */
static struct store_dead *dead_new(const struct redis_store *store, const struct letter *letter,
                                   struct slice stored)
{
    const char *head = letter->bytes.data;
    struct store_record_parts parts = {.account = SLICE("")};
    struct letter_parts own;
    struct record record;
    struct record_delivery delivery;
    struct store_dead *dead;
    bool is_whole;

    if (!letter_parse(letter, &own)) {
        return NULL;
    }
    parts.account = store_lane_account(own.lane);
    is_whole = record_decode(&store->uuid, 0, stored, &record) == ERR_OK &&
               record_delivery(&record, own.ref.ordinal, &delivery) == ERR_OK;
    if (is_whole) {
        parts = (struct store_record_parts){.account = record.account,
                                            .event_id = record.event_id,
                                            .bus = delivery.bus,
                                            .rule = delivery.rule,
                                            .target_id = delivery.target_id,
                                            .body = record.body};
    } else {
        log_error("store.record_damaged", LOG_U64("seq", own.ref.seq));
    }
    dead = store_dead_new(own.reason, own.message);
    dead->id = letter->id;
    dead->buried_ms = redis_get_u64(head);
    dead->attempt_count = redis_get_u32(head + 8);
    dead->record = store_record_new(&parts);
    dead->record->ref = own.ref;
    store_name_copy(dead->record->ref.lane, sizeof(dead->record->ref.lane), own.lane);
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

static void read_record(struct redis_job *job, struct letter *letter)
{
    struct redis_batch *batch = redis_batch_for(
        job->store, REDIS_DEAD_READ, (unsigned)(letter->id % REDIS_PARTITIONS), ROW_BYTES);

    redis_batch_arg_u64(batch, letter->id / REDIS_PARTITIONS);
    redis_batch_add_row(batch, job, letter);
}

void redis_dead_read_read(struct redis_batch *batch, const redisReply *reply)
{
    if (redis_reply_count(reply) != batch->row_count) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        const redisReply *record = redis_reply_at(reply, i);
        struct letter *letter = batch->rows[i].item;

        if (redis_reply_is_string(record) || redis_reply_is_nil(record)) { /* not gone by now */
            letter->dead = dead_new(batch->store, letter, redis_reply_text(record));
        }
    }
}

/* A letter whose record was to be read and is gone by now is not meant. */
static bool is_meant(const struct walk *walk, const struct letter *letter)
{
    const struct store_dead *dead = letter->dead;
    struct store_dead_facts facts = {.id = letter->id,
                                     .buried_ms = redis_get_u64(letter->bytes.data)};
    struct letter_parts parts;

    if (dead != NULL) {
        facts.account = dead->record->account;
        facts.bus = dead->record->bus;
        facts.rule = dead->record->rule;
        facts.target_id = dead->record->target_id;
        facts.reason = dead->reason;
    } else if (!reads_records(walk) && letter_parse(letter, &parts)) {
        facts.account = store_lane_account(parts.lane);
        facts.reason = parts.reason;
    } else {
        return false;
    }
    return store_dead_matches(&walk->filter, &facts);
}

/* ---- what is done with them ---------------------------------------------------------------- */

static void edit_one(struct redis_job *job, const struct letter *letter)
{
    static const char *const names[] = {
        [STORE_DEAD_REDRIVE] = "r", [STORE_DEAD_DROP] = "p", [STORE_DEAD_EXPIRE] = "e"};
    struct walk *walk = job->state;
    struct redis_batch *batch = redis_batch_for(
        job->store, REDIS_DEAD_EDIT, (unsigned)(letter->id % REDIS_PARTITIONS), ROW_BYTES);

    if (batch->row_count == 0) {
        redis_batch_arg(batch, slice_of(names[walk->edit->edit]));
        redis_batch_arg_u64(batch, walk->edit->now_ms);
    }
    redis_batch_arg_u64(batch, letter->id / REDIS_PARTITIONS);
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

/* When the list is full this one starts the next page. */
static void list_one(struct walk *walk, struct letter *letter)
{
    if (walk->listed_count == walk->list->count_max ||
        !store_dead_page_takes(walk->list, letter->dead->record->body.len)) {
        walk->list->has_more = true;
        walk->is_full = true;
        return;
    }
    list_append(&walk->list->dead, &letter->dead->node);
    letter->dead = NULL;
    walk->listed_count++;
}

static void take_one(struct redis_job *job, struct letter *letter)
{
    struct walk *walk = job->state;

    if (walk->list != NULL) {
        list_one(walk, letter);
    } else if (walk->edit->dry_run) {
        walk->edit->count++;
    } else {
        edit_one(job, letter);
    }
}

/* What was meant in the chunk is listed, counted or edited. */
static void on_taken(struct redis_job *job)
{
    struct walk *walk = job->state;

    if (job->err != ERR_OK || walk->is_full) {
        walk_end(job);
    } else if (walk->letter_at < walk->letter_count) {
        chunk_begin(job);
    } else if (walk->has_more_pages) {
        walk->after_id = walk->horizon_id;
        walk_step(job);
    } else {
        walk_end(job);
    }
}

/* The records of the chunk are here, if they are needed: decide, in the order of ids. */
static void on_chunk(struct redis_job *job)
{
    struct walk *walk = job->state;

    if (job->err != ERR_OK) {
        walk_end(job);
        return;
    }
    for (; walk->letter_at < walk->chunk_end && !walk->is_full; walk->letter_at++) {
        struct letter *letter = &walk->letters[walk->letter_at];

        if (is_meant(walk, letter)) {
            take_one(job, letter);
        }
        store_dead_free(letter->dead);
        letter->dead = NULL;
    }
    redis_batches_send(job->store); /* one edit's letters never share a call with another's */
    job->on_parts = on_taken;
    if (job->part_count == 1) { /* nothing was edited */
        on_taken(job);
    }
}

/* How many letters may be looked at before the records that they bring are put to use. */
static size_t chunk_letters_max(const struct walk *walk)
{
    if (walk->list == NULL || walk->filters_by_record) {
        return CHUNK_LETTERS;
    }
    return MIN_OF(walk->list->count_max - walk->listed_count, (size_t)CHUNK_LETTERS - 1) + 1;
}

static void chunk_begin(struct redis_job *job)
{
    struct walk *walk = job->state;
    const size_t end = MIN_OF(walk->letter_count, walk->letter_at + chunk_letters_max(walk));
    uint64_t bytes = 0;

    walk->chunk_end = walk->letter_at;
    while (walk->chunk_end < end) {
        struct letter *letter = &walk->letters[walk->chunk_end];

        if (reads_records(walk)) {
            if (bytes > 0 && bytes + letter->record_bytes > CHUNK_BYTES) {
                break;
            }
            bytes += letter->record_bytes;
            read_record(job, letter);
        }
        walk->chunk_end++;
    }
    redis_batches_send(job->store);
    job->on_parts = on_chunk;
    if (job->part_count == 1) { /* no records are needed */
        on_chunk(job);
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
    chunk_begin(job);
}

/* The first unsettled page of each partition. */
static void walk_step(struct redis_job *job)
{
    struct walk *walk = job->state;

    for (size_t i = 0; i < walk->letter_count; i++) {
        store_dead_free(walk->letters[i].dead);
    }
    walk->letter_count = 0;
    walk->letter_at = 0;
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
    walk->filters_by_record =
        filter->bus.len > 0 || filter->rule.len > 0 || filter->target_id.len > 0;
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
    list->body_bytes = 0;
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
