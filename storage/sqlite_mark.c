/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_mark.c - which events are known already: the table `mark` and two hash tables beside it.
 *
 *     marks       hash of (key, content) -> sequence: a candidate for "duplicate", whose row is
 *                 read and compared before it is believed
 *     mark_keys   hash of (key)          -> how many marks have it: "the key is known with other
 *                 content", a counter's worth of information, so the hash alone decides
 *
 * A guard is a row like the others, with a sequence of its own and a content of nothing (32 zero
 * bytes), so that its key alone finds it.
 *
 * Marks expire from the front of the table, in the order of commits; a mark with a long window
 * holds back the removal of those behind it, never their expiry, which each lookup checks by
 * itself.
 *
 * Invariant: a row of `mark` has one slot in `marks` and one count in `mark_keys`.
 * Memory:    two slots of 24 bytes per mark, at most half filled tables.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

static const struct digest guard_content;

struct mark_hashes {
    uint64_t exact;
    uint64_t key;
};

/* What is looked for, and the id of the event that was found. */
struct lookup {
    struct slice key;
    struct slice content;
    uint64_t now_ms;
    uint64_t expires_ms;    /* out, with the id */
    struct mark_slot *slot; /* out, good until the table changes */
    char event_id[STORE_EVENT_ID_CHARS_MAX + 1];
};

static struct mark_hashes hashes_of(struct slice key, struct slice content)
{
    char both[2 * DIGEST_BYTES];

    CHECK(key.len == DIGEST_BYTES);
    CHECK(content.len == DIGEST_BYTES);
    memcpy(both, key.data, DIGEST_BYTES);
    memcpy(both + DIGEST_BYTES, content.data, DIGEST_BYTES);
    return (struct mark_hashes){.exact = map_hash((struct slice){both, sizeof(both)}),
                                .key = map_hash(key)};
}

static uint32_t crc_of(const struct sqlite_store *store, uint64_t seq, struct slice key,
                       struct slice content, struct slice id)
{
    const struct slice columns[] = {key, content, id};

    return record_row_crc(&store->uuid, "mark", seq, columns, ARRAY_LEN(columns));
}

/* ---- the tables ---------------------------------------------------------------------------- */

static void tables_add(struct sqlite_store *store, struct mark_hashes hashes, uint64_t seq,
                       uint64_t expires_ms)
{
    size_t cursor = 0;
    struct mark_slot *key = mark_table_next(&store->mark_keys, hashes.key, &cursor);

    mark_table_add(&store->marks, hashes.exact, seq, expires_ms);
    if (key == NULL) {
        mark_table_add(&store->mark_keys, hashes.key, 1, expires_ms);
    } else {
        key->value++;
        mark_slot_set_moment(key, MAX_OF((uint64_t)key->expires_ms, expires_ms));
    }
}

static void tables_remove(struct sqlite_store *store, struct mark_hashes hashes, uint64_t seq)
{
    size_t cursor = 0;
    struct mark_slot *key = mark_table_next(&store->mark_keys, hashes.key, &cursor);

    mark_table_remove(&store->marks, hashes.exact, seq);
    if (key != NULL && key->value > 1) {
        key->value--;
    } else {
        mark_table_remove(&store->mark_keys, hashes.key, 1);
    }
}

/* ---- lookup -------------------------------------------------------------------------------- */

/* Is the mark `seq` really the one looked for?  Then its id becomes the answer. */
static enum err compare(struct sqlite_store *store, uint64_t seq, struct lookup *lookup,
                        bool *is_same)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_MARK_READ);
    struct slice id;
    bool has_row;

    *is_same = false;
    sqlite_bind_u64(read, 1, seq);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (!has_row) {
        return ERR_OK; /* purged a moment ago */
    }
    id = sqlite_column_slice(read, 2);
    if (slice_eq(sqlite_column_slice(read, 0), lookup->key) &&
        slice_eq(sqlite_column_slice(read, 1), lookup->content) &&
        sqlite_column_u64(read, 3) ==
            crc_of(store, seq, sqlite_column_slice(read, 0), sqlite_column_slice(read, 1), id)) {
        *is_same = true;
        store_name_copy(lookup->event_id, sizeof(lookup->event_id), id);
    }
    (void)sqlite3_reset(read);
    return ERR_OK;
}

static enum err find(struct sqlite_store *store, struct lookup *lookup,
                     enum sqlite_mark_answer *answer)
{
    const struct mark_hashes hashes = hashes_of(lookup->key, lookup->content);
    size_t cursor = 0;
    struct mark_slot *slot;

    for (slot = mark_table_next(&store->marks, hashes.exact, &cursor); slot != NULL;
         slot = mark_table_next(&store->marks, hashes.exact, &cursor)) {
        bool is_same = false;

        if (slot->expires_ms > lookup->now_ms) {
            TRY(compare(store, slot->value, lookup, &is_same));
        }
        if (is_same) {
            lookup->expires_ms = slot->expires_ms;
            lookup->slot = slot;
            *answer = SQLITE_MARK_DUPLICATE;
            return ERR_OK;
        }
    }
    cursor = 0;
    slot = mark_table_next(&store->mark_keys, hashes.key, &cursor);
    *answer =
        slot != NULL && slot->expires_ms > lookup->now_ms ? SQLITE_MARK_CONFLICT : SQLITE_MARK_NEW;
    return ERR_OK;
}

/* The mark answers one entry more.  A batch that is run again counts again: it is for people. */
static uint64_t count_answer(struct mark_slot *slot)
{
    if (slot->answered_count < MARK_ANSWERED_MAX) {
        slot->answered_count++;
    }
    return slot->answered_count;
}

enum err sqlite_mark_find(struct sqlite_store *store, struct store_entry *entry, uint64_t now_ms,
                          enum sqlite_mark_answer *answer)
{
    struct lookup lookup = {.key = digest_slice(&entry->key),
                            .content = digest_slice(&entry->content),
                            .now_ms = now_ms};

    TRY(find(store, &lookup, answer));
    if (*answer == SQLITE_MARK_DUPLICATE) {
        entry->stands_for = count_answer(lookup.slot);
    }
    store_name_copy(entry->duplicate_of, sizeof(entry->duplicate_of), slice_of(lookup.event_id));
    return ERR_OK;
}

enum err sqlite_guard_find(struct sqlite_store *store, struct store_entry *entry, uint64_t now_ms,
                           enum sqlite_guard_answer *answer)
{
    struct lookup lookup = {.key = digest_slice(&entry->guard_key),
                            .content = digest_slice(&guard_content),
                            .now_ms = now_ms};
    enum sqlite_mark_answer known;

    TRY(find(store, &lookup, &known));
    if (known != SQLITE_MARK_DUPLICATE) {
        *answer = SQLITE_GUARD_NEW;
    } else if (!store_guard_is_past_grace(entry, lookup.expires_ms, now_ms)) {
        *answer = SQLITE_GUARD_IN_GRACE;
    } else {
        *answer = SQLITE_GUARD_REPEATED;
        if (entry->duplicate_of[0] == '\0') { /* the mark's answer goes first */
            entry->stands_for = count_answer(lookup.slot);
            store_name_copy(entry->duplicate_of, sizeof(entry->duplicate_of),
                            slice_of(lookup.event_id));
        }
    }
    return ERR_OK;
}

/* ---- changes ------------------------------------------------------------------------------- */

static void note_change(struct sqlite_store *store, struct sqlite_mark_change **list,
                        struct mark_hashes hashes, uint64_t seq)
{
    struct sqlite_mark_change *change = ARENA_NEW(&store->batch_arena, struct sqlite_mark_change);

    *change = (struct sqlite_mark_change){
        .next = *list, .exact_hash = hashes.exact, .key_hash = hashes.key, .seq = seq};
    *list = change;
}

/* A row of `mark`, and what goes with it. */
struct mark {
    uint64_t seq;
    uint64_t expires_ms;
    struct slice key;
    struct slice content;
    struct slice event_id;
};

static enum err add_mark(struct sqlite_store *store, const struct mark *mark)
{
    const struct mark_hashes hashes = hashes_of(mark->key, mark->content);
    sqlite3_stmt *add = sqlite_sql_start(store, SQL_MARK_ADD);

    sqlite_bind_u64(add, 1, mark->seq);
    sqlite_bind_u64(add, 2, mark->expires_ms);
    sqlite_bind_blob(add, 3, mark->key);
    sqlite_bind_blob(add, 4, mark->content);
    sqlite_bind_text(add, 5, mark->event_id);
    sqlite_bind_u64(add, 6, crc_of(store, mark->seq, mark->key, mark->content, mark->event_id));
    TRY(sqlite_sql_run(store, add));
    tables_add(store, hashes, mark->seq, mark->expires_ms);
    note_change(store, &store->marks_added, hashes, mark->seq);
    store->header.bytes_used += STORE_MARK_COST;
    if (store->oldest_mark_expires_ms == UINT64_MAX) {
        store->oldest_mark_expires_ms = mark->expires_ms;
    }
    return ERR_OK;
}

enum err sqlite_mark_add(struct sqlite_store *store, const struct store_entry *entry,
                         uint64_t now_ms)
{
    return add_mark(store, &(struct mark){.seq = entry->seq,
                                          .expires_ms = now_ms + entry->mark_ttl_ms,
                                          .key = digest_slice(&entry->key),
                                          .content = digest_slice(&entry->content),
                                          .event_id = entry->event_id});
}

enum err sqlite_guard_add(struct sqlite_store *store, const struct store_entry *entry,
                          struct slice event_id, uint64_t now_ms)
{
    TRY(sqlite_write_begin(store));
    return add_mark(store, &(struct mark){.seq = ++store->header.last_seq,
                                          .expires_ms = now_ms + entry->guard_ttl_ms,
                                          .key = digest_slice(&entry->guard_key),
                                          .content = digest_slice(&guard_content),
                                          .event_id = event_id});
}

static enum err delete_up_to(struct sqlite_store *store, uint64_t last_seq, size_t count)
{
    sqlite3_stmt *purge = sqlite_sql_start(store, SQL_MARK_PURGE);

    if (count == 0) {
        return ERR_OK;
    }
    TRY(sqlite_write_begin(store));
    sqlite_bind_u64(purge, 1, last_seq);
    TRY(sqlite_sql_run(store, purge));
    store->header.bytes_used -= MIN_OF((uint64_t)count * STORE_MARK_COST, store->header.bytes_used);
    return ERR_OK;
}

enum err sqlite_marks_purge(struct sqlite_store *store, uint64_t now_ms, size_t count_max)
{
    sqlite3_stmt *walk;
    uint64_t last_seq = 0;
    size_t count = 0;
    bool has_row;

    if (store->oldest_mark_expires_ms > now_ms) {
        return ERR_OK;
    }
    walk = sqlite_sql_start(store, SQL_MARK_WALK);
    store->oldest_mark_expires_ms = UINT64_MAX;
    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        const uint64_t expires_ms = sqlite_column_u64(walk, 1);

        if (expires_ms > now_ms || count == count_max) {
            store->oldest_mark_expires_ms = expires_ms;
            (void)sqlite3_reset(walk);
            break;
        }
        last_seq = sqlite_column_u64(walk, 0);
        note_change(store, &store->marks_purged,
                    hashes_of(sqlite_column_slice(walk, 2), sqlite_column_slice(walk, 3)),
                    last_seq);
        count++;
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return delete_up_to(store, last_seq, count);
}

enum err sqlite_once_run(struct sqlite_store *store, struct store_once *once)
{
    const uint64_t expires_ms = once->due_ms + once->keep_ms;
    struct digest key;
    struct digest content;
    struct lookup lookup;
    enum sqlite_mark_answer known;

    store_once_mark(once, &key, &content);
    lookup = (struct lookup){
        .key = digest_slice(&key), .content = digest_slice(&content), .now_ms = once->now_ms};
    once->is_mine = false;
    TRY(sqlite_marks_purge(store, once->now_ms, STORE_MARK_PURGE_BASE));
    TRY(find(store, &lookup, &known));
    if (expires_ms <= once->now_ms || known == SQLITE_MARK_DUPLICATE) {
        return ERR_OK;
    }
    TRY(sqlite_write_begin(store));
    TRY(add_mark(store, &(struct mark){.seq = ++store->header.last_seq,
                                       .expires_ms = expires_ms,
                                       .key = lookup.key,
                                       .content = lookup.content,
                                       .event_id = SLICE("")}));
    once->is_mine = true;
    return ERR_OK;
}

/* ---- after the transaction ----------------------------------------------------------------- */

static void remove_all(struct sqlite_store *store, const struct sqlite_mark_change *change)
{
    for (; change != NULL; change = change->next) {
        tables_remove(store,
                      (struct mark_hashes){.exact = change->exact_hash, .key = change->key_hash},
                      change->seq);
    }
}

void sqlite_marks_keep(struct sqlite_store *store)
{
    remove_all(store, store->marks_purged);
    store->marks_added = NULL;
    store->marks_purged = NULL;
}

/* The moment in `mark_keys` may stay too late: then a conflict is counted that is none. */
void sqlite_marks_undo(struct sqlite_store *store)
{
    remove_all(store, store->marks_added);
    store->marks_added = NULL;
    store->marks_purged = NULL;
    store->oldest_mark_expires_ms = 0;
}

enum err sqlite_marks_load(struct sqlite_store *store)
{
    sqlite3_stmt *walk = sqlite_sql_start(store, SQL_MARK_WALK);
    bool has_row;

    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        const uint64_t seq = sqlite_column_u64(walk, 0);
        const struct slice key = sqlite_column_slice(walk, 2);
        const struct slice content = sqlite_column_slice(walk, 3);
        const struct slice id = sqlite_column_slice(walk, 4);

        if (key.len != DIGEST_BYTES || content.len != DIGEST_BYTES ||
            id.len > STORE_EVENT_ID_CHARS_MAX) {
            return sqlite_sql_failed(store, SQLITE_CORRUPT);
        }
        if (sqlite_column_u64(walk, 5) == crc_of(store, seq, key, content, id)) {
            tables_add(store, hashes_of(key, content), seq, sqlite_column_u64(walk, 1));
        } else {
            log_error("store.mark_damaged", LOG_U64("seq", seq));
        }
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return ERR_OK;
}

void sqlite_marks_free(struct sqlite_store *store)
{
    mark_table_clean_up(&store->marks);
    mark_table_clean_up(&store->mark_keys);
}
