/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_archive.c - archives over all partitions: an event lies where its account's deliveries do,
 * so that one script keeps both, and an archive of the central bus is spread out.
 *
 * A page is read in two calls of each partition.  The first tells the places that it has next; of
 * all partitions together the lowest are the page, as many as have 1 MiB together, and only their
 * records are read.  One that was trimmed in between is passed over.
 */
#include "core/check.h"
#include "core/log.h"
#include "storage/redis_store.h"

enum { ROW_BYTES = 256, PLACE_BYTES = 16, SIZES_PAGE = 64 };

/* Numbers that a script takes. */
static const uint64_t number_max = (UINT64_C(1) << 53) - 2;

/* ---- places -------------------------------------------------------------------------------- */

struct found {
    struct store_place place;
    uint64_t record_bytes;
    struct store_archived *archived; /* once it is read */
};

struct page {
    struct found *found;
    size_t count;
    size_t room;
};

static int compare_found(const void *a, const void *b)
{
    const struct store_place *left = &((const struct found *)a)->place;
    const struct store_place *right = &((const struct found *)b)->place;

    return store_place_before(left, right) ? -1 : store_place_before(right, left);
}

static void page_end(struct redis_job *job)
{
    struct page *page = job->state;
    struct store_archive_read *read = (struct store_archive_read *)job->op;

    for (size_t i = 0; i < page->count; i++) {
        struct store_archived *archived = page->found[i].archived;

        if (archived != NULL && job->err == ERR_OK) {
            list_append(&read->events, &archived->node);
        } else {
            store_archived_free(archived);
        }
    }
    xfree(page->found);
    job->on_parts = NULL;
}

static void read_record(struct redis_job *job, struct found *found)
{
    const struct store_archive_read *read = (struct store_archive_read *)job->op;
    struct redis_batch *batch =
        redis_batch_for(job->store, REDIS_ARCHIVE_READ, found->place.part, ROW_BYTES);
    char *place = arena_alloc(&batch->memory, PLACE_BYTES);

    for (size_t i = 0; i < 8; i++) {
        place[i] = (char)(found->place.time_ms >> (56 - 8 * i));
        place[8 + i] = (char)(found->place.seq >> (56 - 8 * i));
    }
    redis_batch_arg_u64(batch, read->archive);
    redis_batch_arg(batch, (struct slice){place, PLACE_BYTES});
    redis_batch_add_row(batch, job, found);
}

/* Every partition has said what it has: choose the page, and read it. */
static void page_choose(struct redis_job *job)
{
    struct page *page = job->state;
    struct store_archive_read *read = (struct store_archive_read *)job->op;
    uint64_t bytes = 0;
    size_t count = 0;

    job->on_parts = page_end;
    if (job->err != ERR_OK || page->count == 0) {
        page_end(job);
        return;
    }
    qsort(page->found, page->count, sizeof(page->found[0]), compare_found);
    while (count < page->count && count < read->count_max) {
        bytes += store_archived_cost(page->found[count].record_bytes);
        if (count > 0 && bytes > STORE_ARCHIVE_PAGE_BYTES) {
            break;
        }
        count++;
    }
    read->has_more = page->count > count;
    read->end = page->found[count - 1].place;
    page->count = count;
    for (size_t i = 0; i < count; i++) {
        read_record(job, &page->found[i]);
    }
}

void redis_archive_read_begin(struct redis_store *store, struct store_archive_read *read)
{
    struct redis_job *job = redis_job_new(store, &read->op);

    CHECK(read->count_max > 0 && read->count_max <= STORE_ARCHIVE_PAGE_MAX);
    list_init(&read->events);
    read->end = read->after;
    read->has_more = false;
    job->state = ARENA_NEW(&job->memory, struct page);
    job->on_parts = page_choose;
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        struct redis_batch *batch = redis_batch_for(store, REDIS_ARCHIVE_FIND, i, ROW_BYTES);

        redis_batch_arg_u64(batch, read->archive);
        redis_batch_arg_u64(batch, MIN_OF(read->after.time_ms, number_max));
        redis_batch_arg_u64(batch, MIN_OF(read->after.seq, number_max));
        redis_batch_arg(batch, i <= read->after.part ? SLICE("1") : SLICE("0"));
        redis_batch_arg_u64(batch, MIN_OF(read->until_ms, number_max));
        redis_batch_arg_u64(batch, read->count_max + 1);
        redis_batch_add_row(batch, job, job->state);
    }
}

void redis_archive_find_read(struct redis_batch *batch, const redisReply *reply)
{
    struct page *page = batch->rows[0].item;

    for (size_t i = 0; i < redis_reply_count(reply); i++) {
        const redisReply *row = redis_reply_at(reply, i);
        const struct slice place = redis_reply_text(redis_reply_at(row, 0));
        struct found found = {.archived = NULL};

        if (place.len != PLACE_BYTES ||
            !redis_reply_u64(redis_reply_at(row, 1), &found.record_bytes)) {
            batch->err = ERR_REMOTE_FAILED;
            return;
        }
        found.place = (struct store_place){.time_ms = redis_get_u64(place.data),
                                           .seq = redis_get_u64(place.data + 8),
                                           .part = batch->partition};
        if (page->count == page->room) {
            page->room = MAX_OF(page->room * 2, (size_t)64);
            page->found = xrealloc(page->found, page->room * sizeof(page->found[0]));
        }
        page->found[page->count++] = found;
    }
}

void redis_archive_read_read(struct redis_batch *batch, const redisReply *reply)
{
    if (redis_reply_count(reply) != batch->row_count) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        struct found *found = batch->rows[i].item;
        const struct slice stored = redis_reply_text(redis_reply_at(reply, i));
        struct record record;

        if (stored.data == NULL) {
            continue; /* trimmed meanwhile */
        }
        if (record_decode(&batch->store->uuid, 0, stored, &record) != ERR_OK) {
            log_error("store.record_damaged", LOG_U64("seq", found->place.seq));
            continue;
        }
        found->archived = store_archived_new(&record, found->place);
    }
}

/* ---- trim ---------------------------------------------------------------------------------- */

void redis_archive_trim_begin(struct redis_store *store, struct store_archive_trim *trim)
{
    struct redis_job *job = redis_job_new(store, &trim->op);

    CHECK(trim->count_max > 0 && trim->count_max <= STORE_ARCHIVE_PAGE_MAX);
    trim->count = 0;
    trim->has_more = false;
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        struct redis_batch *batch = redis_batch_for(store, REDIS_ARCHIVE_TRIM, i, ROW_BYTES);

        redis_batch_arg_u64(batch, trim->archive);
        if (trim->before_ms == UINT64_MAX) {
            redis_batch_arg(batch, SLICE(""));
        } else {
            redis_batch_arg_u64(batch, MIN_OF(trim->before_ms, number_max));
        }
        redis_batch_arg_u64(batch, trim->count_max);
        redis_batch_add_row(batch, job, trim);
    }
}

void redis_archive_trim_read(struct redis_batch *batch, const redisReply *reply)
{
    struct store_archive_trim *trim = batch->rows[0].item;
    uint64_t count;
    uint64_t has_more;

    if (!redis_reply_u64(redis_reply_at(reply, 0), &count) ||
        !redis_reply_u64(redis_reply_at(reply, 1), &has_more)) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    trim->count += count;
    trim->has_more = trim->has_more || has_more == 1;
}

/* ---- sizes --------------------------------------------------------------------------------- */

/* What one partition has of an archive. */
struct share {
    struct store_archive_size size;
    unsigned part;
};

struct shares {
    struct share *items;
    size_t count;
    size_t room;
};

static int compare_shares(const void *a, const void *b)
{
    const struct share *left = a;
    const struct share *right = b;

    if (left->size.archive != right->size.archive) {
        return left->size.archive < right->size.archive ? -1 : 1;
    }
    return (int)left->part - (int)right->part;
}

static void add_share(struct store_archive_sizes *sizes, const struct store_archive_size *share)
{
    struct store_archive_size *sum;

    if (sizes->row_count == 0 || sizes->rows[sizes->row_count - 1].archive != share->archive) {
        sizes->rows[sizes->row_count++] = *share;
        return;
    }
    sum = &sizes->rows[sizes->row_count - 1];
    sum->event_count += share->event_count;
    sum->bytes += share->bytes;
    sum->left_out_count += share->left_out_count;
}

/* What the partitions have said, each archive of each once, added up. */
static void sizes_finish(struct redis_job *job)
{
    struct store_archive_sizes *sizes = (struct store_archive_sizes *)job->op;
    struct shares *shares = job->state;

    if (job->err == ERR_OK && shares->count > 0) {
        qsort(shares->items, shares->count, sizeof(shares->items[0]), compare_shares);
        sizes->rows = xcalloc(shares->count, sizeof(sizes->rows[0]));
        for (size_t i = 0; i < shares->count; i++) {
            if (i == 0 || compare_shares(&shares->items[i - 1], &shares->items[i]) != 0) {
                add_share(sizes, &shares->items[i].size);
            }
        }
    }
    xfree(shares->items);
    job->on_parts = NULL;
}

static void ask_sizes(struct redis_job *job, unsigned partition, struct slice cursor)
{
    struct redis_batch *batch =
        redis_batch_for(job->store, REDIS_ARCHIVE_SIZES, partition, ROW_BYTES);

    redis_batch_arg(batch, arena_copy(&batch->memory, cursor));
    redis_batch_arg_u64(batch, SIZES_PAGE);
    redis_batch_add_row(batch, job, job->state);
}

void redis_archive_sizes_begin(struct redis_store *store, struct store_archive_sizes *sizes)
{
    struct redis_job *job = redis_job_new(store, &sizes->op);

    sizes->rows = NULL;
    sizes->row_count = 0;
    job->state = ARENA_NEW(&job->memory, struct shares);
    job->on_parts = sizes_finish;
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        ask_sizes(job, i, SLICE("0"));
    }
}

static bool read_share(const redisReply *row, struct store_archive_size *size)
{
    return redis_reply_u64(redis_reply_at(row, 0), &size->archive) &&
           redis_reply_u64(redis_reply_at(row, 1), &size->event_count) &&
           redis_reply_u64(redis_reply_at(row, 2), &size->bytes) &&
           redis_reply_u64(redis_reply_at(row, 3), &size->left_out_count);
}

void redis_archive_sizes_read(struct redis_batch *batch, const redisReply *reply)
{
    struct redis_job *job = batch->rows[0].job;
    struct shares *shares = batch->rows[0].item;
    const struct slice cursor = redis_reply_text(redis_reply_at(reply, 0));

    if (cursor.len == 0) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    for (size_t i = 1; i < redis_reply_count(reply); i++) {
        struct share share = {.part = batch->partition};

        if (!read_share(redis_reply_at(reply, i), &share.size)) {
            batch->err = ERR_REMOTE_FAILED;
            return;
        }
        if (shares->count == shares->room) {
            shares->room = MAX_OF(shares->room * 2, (size_t)64);
            shares->items = xrealloc(shares->items, shares->room * sizeof(shares->items[0]));
        }
        shares->items[shares->count++] = share;
    }
    if (!slice_eq(cursor, SLICE("0")) && job->err == ERR_OK) {
        ask_sizes(job, batch->partition, cursor);
    }
}
