/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_archive.c - archives in the memory engine: one list each, in the order of places.
 *
 * An archive exists from its first event, or the first that it had no room for, until a trim of all
 * has emptied it.
 */
#include "core/check.h"
#include "storage/memory_internal.h"
#include "storage/record.h"

static struct slice key_of(const uint64_t *archive)
{
    return (struct slice){(const char *)archive, sizeof(*archive)};
}

static struct store_archived *archived_at(struct list *node)
{
    return CONTAINER_OF(node, struct store_archived, node);
}

static uint64_t cost_of(const struct store_archived *archived)
{
    const struct store_entry entry = {
        .account = archived->account, .event_id = archived->event_id, .body = archived->body};

    return store_archived_cost(record_len(&entry));
}

static struct memory_archive *archive_get(struct memory_store *store, uint64_t number)
{
    struct memory_archive *archive = map_get(&store->archives, key_of(&number));

    if (archive == NULL) {
        archive = xcalloc(1, sizeof(*archive));
        archive->size.archive = number;
        list_init(&archive->events);
        (void)map_put(&store->archives, key_of(&archive->size.archive), archive);
    }
    return archive;
}

static void insert(struct memory_archive *archive, struct store_archived *archived)
{
    struct list *place = &archive->events;

    while (place->prev != &archive->events &&
           store_place_before(&archived->place, &archived_at(place->prev)->place)) {
        place = place->prev;
    }
    list_insert_before(place, &archived->node);
}

static void keep_one(struct memory_store *store, const struct store_commit *commit,
                     const struct store_entry *entry, struct store_archiving *archiving)
{
    const struct record record = {.accepted_ms = commit->now_ms,
                                  .account = entry->account,
                                  .event_id = entry->event_id,
                                  .body = entry->body};
    const struct store_place place = {.time_ms = entry->time_ms, .seq = entry->seq};
    struct memory_archive *archive = archive_get(store, archiving->archive);
    struct store_archived *archived = store_archived_new(&record, place);
    const uint64_t cost = cost_of(archived);

    archiving->is_full =
        archive->size.bytes + cost > archiving->bytes_max ||
        (store->archive_bytes_max != 0 &&
         store->archive_bytes + cost > store_archives_share(store->archive_bytes_max, archiving));
    if (archiving->is_full) {
        archive->size.left_out_count++;
        store_archived_free(archived);
        return;
    }
    insert(archive, archived);
    archive->size.event_count++;
    archive->size.bytes += cost;
    store->archive_bytes += cost;
    store->bytes_used += cost;
}

void memory_archive_keep(struct memory_store *store, const struct store_commit *commit,
                         struct store_entry *entry)
{
    for (size_t i = 0; i < entry->archiving_count; i++) {
        keep_one(store, commit, entry, &entry->archivings[i]);
    }
}

enum err memory_archive_read_run(struct memory_store *store, struct store_archive_read *read)
{
    struct memory_archive *archive = map_get(&store->archives, key_of(&read->archive));
    size_t count = 0;
    size_t bytes = 0;

    CHECK(read->count_max > 0 && read->count_max <= STORE_ARCHIVE_PAGE_MAX);
    list_init(&read->events);
    read->end = read->after;
    read->has_more = false;
    if (archive == NULL) {
        return ERR_OK;
    }
    LIST_FOREACH (node, &archive->events) {
        const struct store_archived *from = archived_at(node);
        const struct record record = {.accepted_ms = from->accepted_ms,
                                      .account = from->account,
                                      .event_id = from->event_id,
                                      .body = from->body};

        if (!store_place_before(&read->after, &from->place) ||
            from->place.time_ms > read->until_ms) {
            continue;
        }
        if (count == read->count_max ||
            (count > 0 && bytes + cost_of(from) > STORE_ARCHIVE_PAGE_BYTES)) {
            read->has_more = true;
            break;
        }
        list_append(&read->events, &store_archived_new(&record, from->place)->node);
        read->end = from->place;
        count++;
        bytes += cost_of(from);
    }
    return ERR_OK;
}

static void drop(struct memory_store *store, struct memory_archive *archive,
                 struct store_archived *archived)
{
    const uint64_t cost = cost_of(archived);

    list_remove(&archived->node);
    archive->size.event_count--;
    archive->size.bytes -= cost;
    store->archive_bytes -= cost;
    store->bytes_used -= cost;
    store_archived_free(archived);
}

enum err memory_archive_trim_run(struct memory_store *store, struct store_archive_trim *trim)
{
    struct memory_archive *archive = map_get(&store->archives, key_of(&trim->archive));

    CHECK(trim->count_max > 0 && trim->count_max <= STORE_ARCHIVE_PAGE_MAX);
    trim->count = 0;
    trim->has_more = false;
    if (archive == NULL) {
        return ERR_OK;
    }
    LIST_FOREACH (node, &archive->events) {
        if (archived_at(node)->place.time_ms >= trim->before_ms) {
            break;
        }
        if (trim->count == trim->count_max) {
            trim->has_more = true;
            break;
        }
        drop(store, archive, archived_at(node));
        trim->count++;
    }
    if (trim->before_ms == UINT64_MAX && list_is_empty(&archive->events)) {
        (void)map_remove(&store->archives, key_of(&trim->archive));
        xfree(archive);
    }
    return ERR_OK;
}

static int compare_sizes(const void *a, const void *b)
{
    const uint64_t left = ((const struct store_archive_size *)a)->archive;
    const uint64_t right = ((const struct store_archive_size *)b)->archive;

    return left < right ? -1 : left > right;
}

enum err memory_archive_sizes_run(struct memory_store *store, struct store_archive_sizes *sizes)
{
    size_t cursor = 0;
    const struct memory_archive *archive;

    sizes->rows = xcalloc(MAX_OF(store->archives.count, (size_t)1), sizeof(sizes->rows[0]));
    sizes->row_count = 0;
    while ((archive = map_next(&store->archives, &cursor)) != NULL) {
        sizes->rows[sizes->row_count++] = archive->size;
    }
    qsort(sizes->rows, sizes->row_count, sizeof(sizes->rows[0]), compare_sizes);
    return ERR_OK;
}

void memory_archives_free(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_archive *archive;

    while ((archive = map_next(&store->archives, &cursor)) != NULL) {
        store_archived_all_free(&archive->events);
        xfree(archive);
    }
    map_clean_up(&store->archives);
}
