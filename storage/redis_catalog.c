/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_catalog.c - documents in Redis.
 *
 * Who can write to Redis must not own the routes, so a document carries a MAC under a key derived
 * from `seal_key`, over its name, its revision and its value: a forged one, an old one put back in
 * place, or one moved to another name, does not validate.  The MAC needs the revision before the
 * script gives it: it is signed for the one after the last that was seen, and signed again when
 * another replica was faster.
 *
 * A change waits for replicas as commits do, so a failover cannot take back what was answered.
 *
 * A catalog is read in pages, in the order of revisions.  A document that changes meanwhile moves
 * behind the page that is read, so it comes again, newer; at the last page the whole is true.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/log.h"
#include "core/map.h"

enum {
    TIMEOUT_MS = 2000,
    SIGN_ROUNDS_MAX = 32,
    WAIT_ROUNDS_MAX = 40, /* of 50 ms */
    REV_BYTES = 8,
    HEAD_BYTES = REV_BYTES + DIGEST_BYTES, /* before a value: lua/catalog_put.lua */
    PAGE_DOCUMENTS = 512,
    PAGE_BYTES = 1 << 20,
};

static const struct slice catalog_keys[] = {
    {"{catalog}:d", 11}, {"{catalog}:r", 11}, {"{catalog}:v", 11}};

static void put_u64(char *out, uint64_t value)
{
    for (size_t i = 0; i < REV_BYTES; i++) {
        out[i] = (char)(value >> (56 - 8 * i));
    }
}

static void sign(const struct redis_store *store, struct slice name, uint64_t rev,
                 struct slice value, struct digest *mac)
{
    struct arena arena = {0};
    const size_t len = 2 * REV_BYTES + name.len + value.len;
    char *bytes = arena_alloc(&arena, len);

    put_u64(bytes, rev);
    put_u64(bytes + REV_BYTES, name.len);
    memcpy(bytes + (size_t)2 * REV_BYTES, name.data, name.len);
    if (value.len > 0) {
        memcpy(bytes + (size_t)2 * REV_BYTES + name.len, value.data, value.len);
    }
    digest_hmac_sha256(digest_slice(&store->mac_key), (struct slice){bytes, len}, mac);
    arena_clean_up(&arena);
}

/* ---- put ----------------------------------------------------------------------------------- */

struct put_state {
    struct redis_job *job;
    struct redis_waiter waiter;
    unsigned rounds;
    unsigned wait_rounds;
    bool is_done;
};

/* Changes are few, and nobody repeats one by himself: ask for two seconds before it is an error. */
static void on_put_waited(struct redis_waiter *waiter, enum err err)
{
    struct put_state *state = CONTAINER_OF(waiter, struct put_state, waiter);

    if (err == ERR_STORE_BUSY && ++state->wait_rounds < WAIT_ROUNDS_MAX) {
        redis_wait_add(state->job->store, state->job->connection, waiter);
    } else {
        redis_job_part_done(state->job, redis_store_err(err));
    }
}

static void wait_for_replicas(struct redis_job *job)
{
    struct put_state *state = job->state;

    if (redis_waits_for_replicas(job->store)) {
        state->job = job;
        state->waiter.on_waited = on_put_waited;
        job->part_count++;
        redis_wait_add(job->store, job->connection, &state->waiter);
    }
}

static void put_send(struct redis_job *job);

static void on_put(struct redis_job *job, const redisReply *reply, void *item)
{
    struct store_catalog_put *put = (struct store_catalog_put *)job->op;
    struct put_state *state = job->state;
    uint64_t index;
    uint64_t rev;
    uint64_t done;

    (void)item;
    if (reply == NULL) {
        return;
    }
    if (!redis_reply_u64(redis_reply_at(reply, 1), &index) ||
        !redis_reply_u64(redis_reply_at(reply, 2), &rev)) {
        job->err = ERR_STORE_BUSY;
        return;
    }
    job->store->catalog_rev = rev;
    put->rev = rev;
    if (redis_reply_u64(redis_reply_at(reply, 0), &done)) {
        state->is_done = done == 1; /* else signed for another revision */
        if (state->is_done) {
            wait_for_replicas(job);
        }
    } else { /* -1 */
        put->conflict_index = index;
        job->err = ERR_CONFLICT;
    }
}

static void on_put_round(struct redis_job *job)
{
    struct put_state *state = job->state;

    if (job->err != ERR_OK || state->is_done) {
        return;
    }
    if (++state->rounds >= SIGN_ROUNDS_MAX) {
        job->err = ERR_STORE_BUSY;
        return;
    }
    put_send(job);
}

static struct slice signed_document(struct redis_job *job, const struct store_document *document,
                                    uint64_t rev)
{
    const size_t len = HEAD_BYTES + document->value.len;
    char *bytes = arena_alloc(&job->memory, len);
    struct digest mac;

    sign(job->store, document->name, rev, document->value, &mac);
    put_u64(bytes, rev);
    memcpy(bytes + REV_BYTES, mac.bytes, DIGEST_BYTES);
    if (document->value.len > 0) {
        memcpy(bytes + HEAD_BYTES, document->value.data, document->value.len);
    }
    return (struct slice){bytes, len};
}

static void put_send(struct redis_job *job)
{
    const struct store_catalog_put *put = (struct store_catalog_put *)job->op;
    const uint64_t rev = MAX_OF(job->store->catalog_rev + 1, put->rev_min);
    const size_t count = 2 + 3 * put->document_count;
    struct slice *args = ARENA_ARRAY(&job->memory, struct slice, count);
    const struct redis_command command = {.args = args,
                                          .arg_count = count,
                                          .script = redis_script_of(REDIS_CATALOG_PUT),
                                          .keys = catalog_keys,
                                          .key_count = ARRAY_LEN(catalog_keys),
                                          .timeout_ms = TIMEOUT_MS};

    args[0] = arena_u64(&job->memory, rev);
    args[1] = arena_u64(&job->memory, put->rev_min);
    for (size_t i = 0; i < put->document_count; i++) {
        const struct store_document *document = &put->documents[i];

        args[2 + 3 * i] = document->name;
        args[3 + 3 * i] = arena_u64(&job->memory, document->rev);
        args[4 + 3 * i] = signed_document(job, document, rev);
    }
    redis_job_call(job, &command, on_put, NULL);
}

void redis_catalog_put_begin(struct redis_store *store, struct store_catalog_put *put)
{
    struct redis_job *job = redis_job_new(store, &put->op);

    put->conflict_index = 0;
    job->state = ARENA_NEW(&job->memory, struct put_state);
    job->on_parts = on_put_round;
    put_send(job);
}

/* ---- read ---------------------------------------------------------------------------------- */

struct read_state {
    struct arena *arena; /* of what is handed out */
    struct map index;    /* name -> place + 1 */
    struct store_document *documents;
    size_t count;
    size_t room;
    uint64_t since;
    struct slice after;
    bool has_more;
};

static void read_page(struct redis_job *job);

static enum err keep_document(struct redis_job *job, const redisReply *reply, size_t at)
{
    struct read_state *state = job->state;
    const struct slice name = redis_reply_text(redis_reply_at(reply, at));
    const struct slice bytes = redis_reply_text(redis_reply_at(reply, at + 2));
    struct store_document document = {.name = arena_copy(state->arena, name)};
    struct digest mac;
    size_t place;

    if (!redis_reply_u64(redis_reply_at(reply, at + 1), &document.rev)) {
        return ERR_STORE_BUSY;
    }
    if (bytes.len >= HEAD_BYTES) {
        document.value = arena_copy(state->arena, slice_from(bytes, HEAD_BYTES));
        sign(job->store, name, document.rev, document.value, &mac);
    }
    if (bytes.len < HEAD_BYTES ||
        !digest_equal(digest_slice(&mac),
                      slice_first(slice_from(bytes, REV_BYTES), DIGEST_BYTES))) {
        log_error("store.document_forged", LOG_SLICE("name", name), LOG_U64("rev", document.rev));
        return ERR_STORE_CORRUPT;
    }
    place = (size_t)(uintptr_t)map_get(&state->index, document.name);
    if (place == 0) {
        if (state->count == state->room) {
            state->room = MAX_OF(state->room * 2, (size_t)PAGE_DOCUMENTS);
            state->documents =
                xrealloc(state->documents, state->room * sizeof(state->documents[0]));
        }
        place = ++state->count;
        /* The map borrows the name, which the arena keeps; the value is a place, never NULL. */
        (void)map_put(&state->index, document.name, (void *)(uintptr_t)place);
    }
    state->documents[place - 1] = document;
    state->since = document.rev;
    state->after = document.name;
    return ERR_OK;
}

static void on_page(struct redis_job *job, const redisReply *reply, void *item)
{
    struct store_catalog_read *read = (struct store_catalog_read *)job->op;
    struct read_state *state = job->state;
    uint64_t has_more;

    (void)item;
    if (reply == NULL) {
        return;
    }
    if (!redis_reply_u64(redis_reply_at(reply, 0), &read->rev) ||
        !redis_reply_u64(redis_reply_at(reply, 1), &has_more)) {
        job->err = ERR_STORE_BUSY;
        return;
    }
    state->has_more = has_more == 1;
    for (size_t i = 2; i + 2 < redis_reply_count(reply) && job->err == ERR_OK; i += 3) {
        job->err = keep_document(job, reply, i);
    }
}

static int compare_documents(const void *a, const void *b)
{
    return slice_compare(((const struct store_document *)a)->name,
                         ((const struct store_document *)b)->name);
}

static void hand_out(struct store_catalog_read *read, struct read_state *state)
{
    read->documents = ARENA_ARRAY(state->arena, struct store_document, state->count);
    for (size_t i = 0; i < state->count; i++) {
        if (state->documents[i].value.len > 0 || read->since > 0) {
            read->documents[read->document_count++] = state->documents[i];
        }
    }
    if (read->document_count > 0) {
        qsort(read->documents, read->document_count, sizeof(read->documents[0]), compare_documents);
    }
}

static void on_read_round(struct redis_job *job)
{
    struct store_catalog_read *read = (struct store_catalog_read *)job->op;
    struct read_state *state = job->state;

    if (job->err == ERR_OK && state->has_more) {
        read_page(job);
        return;
    }
    if (job->err == ERR_OK) {
        job->store->catalog_rev = read->rev;
        hand_out(read, state);
    } else {
        store_catalog_read_clean_up(read);
    }
    map_clean_up(&state->index);
    xfree(state->documents);
}

static void read_page(struct redis_job *job)
{
    struct read_state *state = job->state;
    const struct slice args[] = {arena_u64(&job->memory, state->since), state->after,
                                 arena_u64(&job->memory, PAGE_DOCUMENTS),
                                 arena_u64(&job->memory, PAGE_BYTES)};
    const struct redis_command command = {.args = args,
                                          .arg_count = ARRAY_LEN(args),
                                          .script = redis_script_of(REDIS_CATALOG_READ),
                                          .keys = catalog_keys,
                                          .key_count = ARRAY_LEN(catalog_keys),
                                          .timeout_ms = TIMEOUT_MS};

    state->has_more = false;
    redis_job_call(job, &command, on_page, NULL);
}

void redis_catalog_read_begin(struct redis_store *store, struct store_catalog_read *read)
{
    struct redis_job *job = redis_job_new(store, &read->op);
    struct read_state *state = ARENA_NEW(&job->memory, struct read_state);

    read->memory = xcalloc(1, sizeof(struct arena));
    read->documents = NULL;
    read->document_count = 0;
    read->rev = 0;
    state->arena = read->memory;
    state->since = read->since;
    state->after = SLICE("");
    job->state = state;
    job->on_parts = on_read_round;
    read_page(job);
}
