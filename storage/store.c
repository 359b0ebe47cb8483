/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - the part of the contract that no engine has of its own: how answers travel home, the
 * limits of a batch, and the memory of what is handed out.
 *
 * What an engine hands out (records, dead letters, documents, tallies) is one block each, with the
 * strings behind the struct, so that the receiver frees it in one step on its own thread.
 */
#include "storage/store_internal.h"

#include <signal.h>

#include "core/arena.h"
#include "core/check.h"
#include "storage/record.h"

void store_destroy(struct store *store)
{
    if (store != NULL) {
        store->ops->destroy(store);
    }
}

/* Signals are the business of other threads. */
int store_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument)
{
    sigset_t all;
    sigset_t before;
    int code;

    (void)sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    code = pthread_create(thread, NULL, run, argument);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return code;
}

struct store_op *store_op_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct store_op, mail);
}

static void on_arrival_home(struct mail *mail)
{
    struct store_op *op = store_op_of(mail);

    op->on_done(op);
}

void store_answer(struct store_op *op, enum err err)
{
    CHECK(op->home != NULL);
    CHECK(op->on_done != NULL);
    op->err = err;
    op->mail.on_arrival = on_arrival_home;
    mailbox_send(op->home, &op->mail);
}

/* ---- the size of a batch ------------------------------------------------------------------- */

static enum err check_delivery(const struct store_delivery *delivery, struct slice account)
{
    CHECK(slice_eq(store_lane_account(delivery->lane), account));
    if (delivery->lane.len > STORE_LANE_CHARS_MAX || delivery->bus.len > UINT16_MAX ||
        delivery->rule.len > UINT16_MAX || delivery->target_id.len > UINT16_MAX) {
        return ERR_TOO_LARGE;
    }
    return ERR_OK;
}

enum err store_commit_check(const struct store_commit *commit)
{
    for (size_t i = 0; i < commit->entry_count; i++) {
        const struct store_entry *entry = &commit->entries[i];

        CHECK(entry->account.len == STORE_ACCOUNT_CHARS);
        CHECK(!entry->has_guard || entry->guard_grace_ms < entry->guard_ttl_ms);
        if (entry->event_id.len > STORE_EVENT_ID_CHARS_MAX ||
            entry->body.len > STORE_ENTRY_BODY_BYTES_MAX ||
            entry->delivery_count > STORE_ENTRY_DELIVERIES_MAX ||
            entry->archiving_count > STORE_ENTRY_ARCHIVES_MAX) {
            return ERR_TOO_LARGE;
        }
        for (size_t k = 0; k < entry->delivery_count; k++) {
            TRY(check_delivery(&entry->deliveries[k], entry->account));
        }
        if (record_len(entry) > STORE_ENTRY_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    return ERR_OK;
}

struct store_entry store_entry_bare(const struct store_entry *entry)
{
    return (struct store_entry){
        .account = entry->account, .event_id = entry->event_id, .body = entry->body};
}

uint64_t store_archived_cost(size_t record_len)
{
    return (uint64_t)record_len + STORE_ARCHIVED_COST;
}

/* A quarter is the central archives' own: no member can fill it. */
uint64_t store_archives_share(uint64_t total, const struct store_archiving *archiving)
{
    return archiving->is_central ? total : total - total / 4;
}

uint64_t store_event_cost(size_t record_len, size_t delivery_count)
{
    return record_len + (uint64_t)delivery_count * STORE_DELIVERY_COST;
}

uint64_t store_commit_cost(const struct store_commit *commit)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < commit->entry_count; i++) {
        const struct store_entry *entry = &commit->entries[i];

        if (entry->delivery_count > 0) {
            cost += store_event_cost(record_len(entry), entry->delivery_count);
        }
        if (entry->archiving_count > 0) {
            const struct store_entry bare = store_entry_bare(entry);

            cost += entry->archiving_count * store_archived_cost(record_len(&bare));
        }
        if (entry->has_mark) {
            cost += STORE_MARK_COST;
        }
        if (entry->has_guard) {
            cost += STORE_MARK_COST;
        }
    }
    return cost;
}

size_t store_purge_max(const struct store_commit *commit)
{
    return STORE_MARK_PURGE_BASE + STORE_MARK_PURGE_PER_ENTRY * commit->entry_count;
}

bool store_guard_is_past_grace(const struct store_entry *entry, uint64_t expires_ms,
                               uint64_t now_ms)
{
    /* First seen at expires - ttl; written as a sum, so that nothing falls below zero. */
    return now_ms + entry->guard_ttl_ms > expires_ms + entry->guard_grace_ms;
}

static void digest_text(struct slice kind, struct slice text, struct digest *digest)
{
    struct digest_stream stream = {0};

    digest_stream_begin(&stream);
    digest_stream_add(&stream, kind);
    digest_stream_add(&stream, text);
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
}

void store_once_mark(const struct store_once *once, struct digest *key, struct digest *content)
{
    digest_text(SLICE("once/name:"), slice_of(once->name), key);
    digest_text(SLICE("once/due:"),
                (struct slice){(const char *)&once->due_ms, sizeof(once->due_ms)}, content);
}

struct slice store_lane_account(struct slice lane)
{
    return slice_first(lane, slice_find(lane, '/'));
}

bool store_lane_is_of(struct slice lane, struct slice first)
{
    return slice_has_prefix(lane, first) &&
           (lane.len == first.len || lane.data[first.len] == STORE_LANE_STEP);
}

bool store_lane_has_state(struct slice lane)
{
    return slice_find(lane, STORE_LANE_STEP) < lane.len;
}

void store_advance_check(const struct store_advance *advance)
{
    const struct slice from = slice_of(advance->ref.lane);
    const struct slice first = slice_first(from, slice_find(from, STORE_LANE_STEP));

    CHECK(advance->state.len <= STORE_STATE_BYTES_MAX);
    CHECK(store_lane_has_state(slice_of(advance->lane)));
    CHECK(store_lane_is_of(slice_of(advance->lane), first));
}

void store_name_copy(char *out, size_t size, struct slice name)
{
    CHECK(name.len < size);
    if (name.len > 0) {
        memcpy(out, name.data, name.len);
    }
    out[name.len] = '\0';
}

/* ---- what is handed out -------------------------------------------------------------------- */

static struct slice put_behind(char **room, struct slice bytes)
{
    const struct slice copy = {*room, bytes.len};

    if (bytes.len > 0) {
        memcpy(*room, bytes.data, bytes.len);
    }
    *room += bytes.len;
    return copy;
}

struct store_record *store_record_new(const struct store_record_parts *parts)
{
    const size_t len = parts->account.len + parts->event_id.len + parts->bus.len + parts->rule.len +
                       parts->target_id.len + parts->body.len + parts->state.len;
    struct store_record *record = xmalloc(sizeof(*record) + len);
    char *room = (char *)(record + 1);

    *record = (struct store_record){0};
    list_init(&record->node);
    record->account = put_behind(&room, parts->account);
    record->event_id = put_behind(&room, parts->event_id);
    record->bus = put_behind(&room, parts->bus);
    record->rule = put_behind(&room, parts->rule);
    record->target_id = put_behind(&room, parts->target_id);
    record->body = put_behind(&room, parts->body);
    record->state = put_behind(&room, parts->state);
    return record;
}

void store_record_free(struct store_record *record)
{
    xfree(record);
}

struct store_dead *store_dead_new(struct slice reason, struct slice message)
{
    struct store_dead *dead = xmalloc(sizeof(*dead) + reason.len + message.len);
    char *room = (char *)(dead + 1);

    *dead = (struct store_dead){0};
    list_init(&dead->node);
    dead->reason = put_behind(&room, reason);
    dead->message = put_behind(&room, message);
    return dead;
}

void store_dead_free(struct store_dead *dead)
{
    if (dead != NULL) {
        store_record_free(dead->record);
        xfree(dead);
    }
}

struct store_archived *store_archived_new(const struct record *record, struct store_place place)
{
    const size_t len = record->account.len + record->event_id.len + record->body.len;
    struct store_archived *archived = xmalloc(sizeof(*archived) + len);
    char *room = (char *)(archived + 1);

    *archived = (struct store_archived){.place = place, .accepted_ms = record->accepted_ms};
    list_init(&archived->node);
    archived->account = put_behind(&room, record->account);
    archived->event_id = put_behind(&room, record->event_id);
    archived->body = put_behind(&room, record->body);
    return archived;
}

void store_archived_free(struct store_archived *archived)
{
    xfree(archived);
}

bool store_place_before(const struct store_place *a, const struct store_place *b)
{
    if (a->time_ms != b->time_ms) {
        return a->time_ms < b->time_ms;
    }
    return a->seq != b->seq ? a->seq < b->seq : a->part < b->part;
}

void store_records_free(struct list *records)
{
    LIST_FOREACH (node, records) {
        list_remove(node);
        store_record_free(CONTAINER_OF(node, struct store_record, node));
    }
}

void store_dead_all_free(struct list *dead)
{
    LIST_FOREACH (node, dead) {
        list_remove(node);
        store_dead_free(CONTAINER_OF(node, struct store_dead, node));
    }
}

void store_archived_all_free(struct list *events)
{
    LIST_FOREACH (node, events) {
        list_remove(node);
        store_archived_free(CONTAINER_OF(node, struct store_archived, node));
    }
}

void store_archive_sizes_clean_up(struct store_archive_sizes *sizes)
{
    xfree(sizes->rows);
    sizes->rows = NULL;
    sizes->row_count = 0;
}

void store_catalog_read_clean_up(struct store_catalog_read *read)
{
    struct arena *arena = read->memory;

    if (arena != NULL) {
        arena_clean_up(arena);
        xfree(arena);
    }
    read->memory = NULL;
    read->documents = NULL;
    read->document_count = 0;
}

void store_tally_clean_up(struct store_tally *tally)
{
    xfree(tally->rows);
    tally->rows = NULL;
    tally->row_count = 0;
}

/* ---- a page of dead letters ----------------------------------------------------------------- */

bool store_dead_page_takes(struct store_dead_list *list, size_t body_len)
{
    if (!list_is_empty(&list->dead) && list->body_bytes + body_len > STORE_DEAD_PAGE_BYTES_MAX) {
        return false;
    }
    list->body_bytes += body_len;
    return true;
}

/* ---- which dead letters an operator means -------------------------------------------------- */

static bool is_any_or(struct slice wanted, struct slice seen)
{
    return wanted.len == 0 || slice_eq(wanted, seen);
}

bool store_dead_matches(const struct store_dead_filter *filter,
                        const struct store_dead_facts *facts)
{
    if (filter->id != 0 && filter->id != facts->id) {
        return false;
    }
    if (facts->buried_ms < filter->since_ms) {
        return false;
    }
    if (filter->until_ms != 0 && facts->buried_ms >= filter->until_ms) {
        return false;
    }
    return is_any_or(filter->account, facts->account) && is_any_or(filter->bus, facts->bus) &&
           is_any_or(filter->rule, facts->rule) && is_any_or(filter->target_id, facts->target_id) &&
           is_any_or(filter->reason, facts->reason);
}
