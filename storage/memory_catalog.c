/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_catalog.c - documents and counters in the memory engine.
 *
 * A put is judged whole before anything changes.  A deleted document stays as a tombstone without
 * value, so that who asks "what changed since" learns of it.
 */
#include "storage/memory_internal.h"

#include "core/arena.h"
#include "core/check.h"

/* ---- documents ----------------------------------------------------------------------------- */

static bool fits(const struct memory_store *store, const struct store_document *document)
{
    const struct memory_document *old = map_get(&store->documents, document->name);
    const bool exists = old != NULL && old->value_len > 0;

    return exists ? document->rev == old->rev : document->rev == 0 && document->value.len > 0;
}

/* The first document that does not fit or has the name of an earlier one, or the count. */
static size_t find_misfit(const struct memory_store *store, const struct store_catalog_put *put)
{
    struct map seen = {0};
    size_t i;

    for (i = 0; i < put->document_count; i++) {
        const struct store_document *document = &put->documents[i];
        char present[1] = {1};

        if (!fits(store, document) || map_get(&seen, document->name) != NULL) {
            break;
        }
        (void)map_put(&seen, document->name, present);
    }
    map_clean_up(&seen);
    return i;
}

static void write_document(struct memory_store *store, const struct store_document *document)
{
    struct memory_document *kept = map_get(&store->documents, document->name);

    if (kept == NULL) {
        kept = xcalloc(1, sizeof(*kept));
        kept->name = xstrndup(document->name.data, document->name.len);
        kept->name_len = document->name.len;
        (void)map_put(&store->documents, (struct slice){kept->name, kept->name_len}, kept);
    }
    xfree(kept->value);
    kept->value =
        xstrndup(document->value.len > 0 ? document->value.data : "", document->value.len);
    kept->value_len = document->value.len;
    kept->rev = store->rev;
}

enum err memory_catalog_put_run(struct memory_store *store, struct store_catalog_put *put)
{
    const size_t misfit = find_misfit(store, put);

    put->rev = store->rev;
    put->conflict_index = 0;
    if (misfit < put->document_count) {
        put->conflict_index = misfit;
        return ERR_CONFLICT;
    }
    store->rev = MAX_OF(store->rev + 1, put->rev_min);
    for (size_t i = 0; i < put->document_count; i++) {
        write_document(store, &put->documents[i]);
    }
    put->rev = store->rev;
    return ERR_OK;
}

static int compare_documents(const void *a, const void *b)
{
    const struct store_document *left = a;
    const struct store_document *right = b;

    return slice_compare(left->name, right->name);
}

enum err memory_catalog_read_run(struct memory_store *store, struct store_catalog_read *read)
{
    struct arena *arena = xcalloc(1, sizeof(*arena));
    size_t cursor = 0;
    const struct memory_document *kept;

    read->memory = arena;
    read->documents = ARENA_ARRAY(arena, struct store_document, store->documents.count);
    read->document_count = 0;
    read->rev = store->rev;
    for (kept = map_next(&store->documents, &cursor); kept != NULL;
         kept = map_next(&store->documents, &cursor)) {
        if (kept->rev > read->since && (kept->value_len > 0 || read->since > 0)) {
            read->documents[read->document_count++] = (struct store_document){
                .name = arena_copy(arena, (struct slice){kept->name, kept->name_len}),
                .value = arena_copy(arena, (struct slice){kept->value, kept->value_len}),
                .rev = kept->rev};
        }
    }
    if (read->document_count > 0) {
        qsort(read->documents, read->document_count, sizeof(read->documents[0]), compare_documents);
    }
    return ERR_OK;
}

void memory_catalog_free(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_document *kept;

    for (kept = map_next(&store->documents, &cursor); kept != NULL;
         kept = map_next(&store->documents, &cursor)) {
        xfree(kept->name);
        xfree(kept->value);
        xfree(kept);
    }
    map_clean_up(&store->documents);
}

/* ---- counters ------------------------------------------------------------------------------ */

struct store_tally_row *memory_tally_of(struct memory_store *store, struct slice account)
{
    struct memory_tally *tally = map_get(&store->tallies, account);

    if (tally == NULL) {
        tally = xcalloc(1, sizeof(*tally));
        store_name_copy(tally->row.account, sizeof(tally->row.account), account);
        (void)map_put(&store->tallies, slice_of(tally->row.account), tally);
    }
    return &tally->row;
}

static void find_oldest_due(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_lane *lane;

    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        if (!list_is_empty(&lane->deliveries)) {
            const struct memory_delivery *first =
                CONTAINER_OF(lane->deliveries.next, struct memory_delivery, node);
            struct store_tally_row *row =
                memory_tally_of(store, store_lane_account(slice_of(lane->name)));

            if (row->oldest_due_ms == 0 || first->record->due_ms < row->oldest_due_ms) {
                row->oldest_due_ms = first->record->due_ms;
            }
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct store_tally_row *left = a;
    const struct store_tally_row *right = b;

    return strcmp(left->account, right->account);
}

enum err memory_tally_run(struct memory_store *store, struct store_tally *tally)
{
    size_t cursor = 0;
    struct memory_tally *kept;

    tally->rows = xcalloc(store->tallies.count, sizeof(tally->rows[0]));
    tally->row_count = 0;
    tally->bytes_used = store->bytes_used;
    tally->commits = store->commits;
    tally->commit_entries = store->commit_entries;
    for (kept = map_next(&store->tallies, &cursor); kept != NULL;
         kept = map_next(&store->tallies, &cursor)) {
        kept->row.oldest_due_ms = 0;
    }
    find_oldest_due(store);
    cursor = 0;
    for (kept = map_next(&store->tallies, &cursor); kept != NULL;
         kept = map_next(&store->tallies, &cursor)) {
        tally->rows[tally->row_count++] = kept->row;
    }
    if (tally->row_count > 0) {
        qsort(tally->rows, tally->row_count, sizeof(tally->rows[0]), compare_rows);
    }
    return ERR_OK;
}

void memory_tallies_free(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_tally *kept;

    for (kept = map_next(&store->tallies, &cursor); kept != NULL;
         kept = map_next(&store->tallies, &cursor)) {
        xfree(kept);
    }
    map_clean_up(&store->tallies);
}
