/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_commit.c - commit in the memory engine: known already, or remembered from now on.
 *
 * Marks lie in two lists: all of them by age, so that expired ones are dropped from the front, and
 * those of one dedup key together, because the same key with other content is not a duplicate and
 * gets a mark of its own.  A guard is a mark whose content is nothing: its key alone counts.
 *
 * Invariant: a mark is on both lists; a mark key exists while it has a mark.
 */
#include "storage/memory_internal.h"

#include "core/check.h"
#include "storage/record.h"

/* ---- marks --------------------------------------------------------------------------------- */

static void mark_free(struct memory_store *store, struct memory_mark *mark)
{
    struct memory_mark_key *key = mark->key;

    list_remove(&mark->by_age);
    list_remove(&mark->by_key);
    xfree(mark);
    if (list_is_empty(&key->marks)) {
        (void)map_remove(&store->mark_keys, digest_slice(&key->key));
        xfree(key);
    }
}

static void purge(struct memory_store *store, uint64_t now_ms, size_t count_max)
{
    for (size_t i = 0; i < count_max && !list_is_empty(&store->marks); i++) {
        struct memory_mark *oldest = CONTAINER_OF(store->marks.next, struct memory_mark, by_age);

        if (oldest->expires_ms > now_ms) {
            return;
        }
        mark_free(store, oldest);
        store->bytes_used -= STORE_MARK_COST;
    }
}

/* The live mark of this key and content; sets `conflict` if there is one of the key only. */
static struct memory_mark *mark_find(struct memory_store *store, const struct digest *key_digest,
                                     const struct digest *content, uint64_t now_ms, bool *conflict)
{
    struct memory_mark_key *key = map_get(&store->mark_keys, digest_slice(key_digest));

    *conflict = false;
    if (key == NULL) {
        return NULL;
    }
    LIST_FOREACH (node, &key->marks) {
        struct memory_mark *mark = CONTAINER_OF(node, struct memory_mark, by_key);

        if (mark->expires_ms <= now_ms) {
            continue;
        }
        if (slice_eq(digest_slice(&mark->content), digest_slice(content))) {
            *conflict = false;
            return mark;
        }
        *conflict = true;
    }
    return NULL;
}

static void mark_add(struct memory_store *store, const struct digest *key_digest,
                     const struct digest *content, struct slice event_id, uint64_t expires_ms)
{
    struct memory_mark_key *key = map_get(&store->mark_keys, digest_slice(key_digest));
    struct memory_mark *mark = xcalloc(1, sizeof(*mark));

    if (key == NULL) {
        key = xcalloc(1, sizeof(*key));
        key->key = *key_digest;
        list_init(&key->marks);
        (void)map_put(&store->mark_keys, digest_slice(&key->key), key);
    }
    mark->key = key;
    mark->content = *content;
    mark->expires_ms = expires_ms;
    mark->answered_count = 1;
    store_name_copy(mark->event_id, sizeof(mark->event_id), event_id);
    list_append(&store->marks, &mark->by_age);
    list_append(&key->marks, &mark->by_key);
    store->bytes_used += STORE_MARK_COST;
}

void memory_marks_free(struct memory_store *store)
{
    while (!list_is_empty(&store->marks)) {
        mark_free(store, CONTAINER_OF(store->marks.next, struct memory_mark, by_age));
    }
    map_clean_up(&store->mark_keys);
}

/* ---- entries ------------------------------------------------------------------------------- */

static void delivery_init(struct memory_store *store, struct memory_event *event, uint32_t ordinal,
                          const struct store_commit *commit, const struct store_entry *entry)
{
    struct store_delivery *from = &entry->deliveries[ordinal];
    struct memory_delivery *delivery = &event->deliveries[ordinal];
    const struct store_record_parts parts = {.account = entry->account,
                                             .event_id = entry->event_id,
                                             .bus = from->bus,
                                             .rule = from->rule,
                                             .target_id = from->target_id,
                                             .body = entry->body};

    list_init(&delivery->node);
    delivery->state = MEMORY_LIVE;
    delivery->event = event;
    delivery->lane = memory_lane_get(store, from->lane);
    delivery->record = store_record_new(&parts);
    delivery->record->ref.seq = event->seq;
    delivery->record->ref.ordinal = ordinal;
    store_name_copy(delivery->record->ref.lane, sizeof(delivery->record->ref.lane), from->lane);
    delivery->record->accepted_ms = commit->now_ms;
    delivery->record->budget_from_ms = commit->now_ms;
    delivery->record->due_ms = commit->now_ms;
    from->claim_no =
        from->claim ? memory_claim_new(store, delivery, commit->now_ms, commit->claim_until_ms) : 0;
    from->claim = from->claim_no != 0;
    memory_lane_add(delivery);
}

static void event_new(struct memory_store *store, const struct store_commit *commit,
                      const struct store_entry *entry)
{
    const size_t count = entry->delivery_count;
    struct memory_event *event =
        xcalloc(1, sizeof(*event) + count * sizeof(struct memory_delivery));
    struct store_tally_row *tally = memory_tally_of(store, entry->account);

    event->seq = entry->seq;
    event->cost = store_event_cost(record_len(entry), count);
    event->delivery_count = count;
    event->owed_count = count;
    for (size_t i = 0; i < count; i++) {
        delivery_init(store, event, (uint32_t)i, commit, entry);
    }
    (void)map_put(&store->events, (struct slice){(const char *)&event->seq, sizeof(event->seq)},
                  event);
    store->bytes_used += event->cost;
    tally->created += count;
    tally->live += count;
}

static void answer_duplicate(struct store_entry *entry, struct memory_mark *known)
{
    entry->verdict = STORE_DUPLICATE;
    entry->conflict = false;
    entry->stands_for = ++known->answered_count;
    store_name_copy(entry->duplicate_of, sizeof(entry->duplicate_of), slice_of(known->event_id));
    for (size_t i = 0; i < entry->delivery_count; i++) {
        entry->deliveries[i].claim = false;
        entry->deliveries[i].claim_no = 0;
    }
    for (size_t i = 0; i < entry->archiving_count; i++) {
        entry->archivings[i].is_full = false;
    }
}

static void entry_run(struct memory_store *store, const struct store_commit *commit,
                      struct store_entry *entry)
{
    static const struct digest nothing;
    struct memory_mark *known = NULL;
    struct memory_mark *guard = NULL;
    bool ignored;

    entry->verdict = STORE_COMMITTED;
    entry->conflict = false;
    entry->duplicate_of[0] = '\0';
    entry->stands_for = 1;
    entry->seq = 0;
    if (entry->has_mark) {
        known = mark_find(store, &entry->key, &entry->content, commit->now_ms, &entry->conflict);
    }
    if (entry->has_guard) {
        guard = mark_find(store, &entry->guard_key, &nothing, commit->now_ms, &ignored);
    }
    if (known == NULL && guard != NULL &&
        store_guard_is_past_grace(entry, guard->expires_ms, commit->now_ms)) {
        known = guard;
    }
    if (entry->has_guard && guard == NULL) {
        store->last_seq++; /* a handle spent on it, as where marks are rows */
        mark_add(store, &entry->guard_key, &nothing,
                 known != NULL ? slice_of(known->event_id) : entry->event_id,
                 commit->now_ms + entry->guard_ttl_ms);
    }
    if (known != NULL) {
        answer_duplicate(entry, known);
        return;
    }
    entry->seq = ++store->last_seq;
    if (entry->has_mark) {
        mark_add(store, &entry->key, &entry->content, entry->event_id,
                 commit->now_ms + entry->mark_ttl_ms);
    }
    if (entry->delivery_count > 0) {
        event_new(store, commit, entry);
    }
    memory_archive_keep(store, commit, entry);
}

enum err memory_commit_run(struct memory_store *store, struct store_commit *commit)
{
    TRY(store_commit_check(commit));
    purge(store, commit->now_ms, store_purge_max(commit));
    if (store->bytes_max != 0 && store->bytes_used + store_commit_cost(commit) > store->bytes_max) {
        return ERR_STORE_FULL;
    }
    for (size_t i = 0; i < commit->entry_count; i++) {
        entry_run(store, commit, &commit->entries[i]);
    }
    store->commits++;
    store->commit_entries += commit->entry_count;
    return ERR_OK;
}

/* ---- moments ------------------------------------------------------------------------------- */

enum err memory_once_run(struct memory_store *store, struct store_once *once)
{
    const uint64_t expires_ms = once->due_ms + once->keep_ms;
    struct digest key;
    struct digest content;
    bool ignored;

    store_once_mark(once, &key, &content);
    purge(store, once->now_ms, STORE_MARK_PURGE_BASE);
    once->is_mine = expires_ms > once->now_ms &&
                    mark_find(store, &key, &content, once->now_ms, &ignored) == NULL;
    if (once->is_mine) {
        store->last_seq++; /* as of a guard */
        mark_add(store, &key, &content, SLICE(""), expires_ms);
    }
    return ERR_OK;
}
