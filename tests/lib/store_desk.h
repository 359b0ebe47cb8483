/* SPDX-License-Identifier: Apache-2.0
 *
 * store_desk.h - a store as a test wants it: one call, one answer.
 *
 * A desk is a mailbox without a loop.  desk_run() submits an operation and sleeps until it has come
 * home; it also sees to it that no engine answers inside the call.  Events are given as texts.
 */
#pragma once

#include "core/check.h"
#include "storage/store.h"

struct desk {
    struct store *store;
    struct mailbox box;
    size_t done_count;
};

static inline void desk_open(struct desk *desk, struct store *store)
{
    *desk = (struct desk){.store = store};
    mailbox_init(&desk->box, NULL);
}

/* Destroys the store first, so that its last answers find the box. */
static inline void desk_close(struct desk *desk)
{
    store_destroy(desk->store);
    desk->store = NULL;
    mailbox_clean_up(&desk->box);
}

static inline void desk_on_done(struct store_op *op)
{
    CONTAINER_OF(op->home, struct desk, box)->done_count++;
}

static inline void desk_submit(struct desk *desk, struct store_op *op, enum store_op_kind kind)
{
    const size_t done_before = desk->done_count;

    op->kind = kind;
    op->home = &desk->box;
    op->on_done = desk_on_done;
    op->err = ERR_INTERNAL;
    store_submit(desk->store, op);
    CHECK(desk->done_count == done_before); /* never inside the call */
}

static inline void desk_await(struct desk *desk, size_t done_count)
{
    while (desk->done_count < done_count) {
        mailbox_wait(&desk->box, -1);
        (void)mailbox_drain(&desk->box);
    }
}

static inline enum err desk_run(struct desk *desk, struct store_op *op, enum store_op_kind kind)
{
    desk_submit(desk, op, kind);
    desk_await(desk, desk->done_count + 1);
    return op->err;
}

/* ---- events -------------------------------------------------------------------------------- */

enum { DESK_LANES_MAX = 8 };

/* An event as a test writes it down.  Zero and NULL mean "none". */
struct desk_event {
    const char *account;
    const char *id;
    const char *body;
    const char *key; /* up to 32 characters: the dedup key; NULL: no mark */
    const char *content;
    uint64_t ttl_ms;
    const char *guard; /* up to 32 characters; NULL: none */
    uint64_t guard_ttl_ms;
    uint64_t grace_ms;
    const char *lanes[DESK_LANES_MAX + 1]; /* ends with NULL */
    bool claim;
};

/* What the store needs to be told about it, kept together. */
struct desk_entry {
    struct store_entry entry;
    struct store_delivery deliveries[DESK_LANES_MAX];
};

static inline struct digest desk_digest(const char *text)
{
    struct digest digest = {{0}};

    CHECK(strlen(text) <= sizeof(digest.bytes));
    memcpy(digest.bytes, text, strlen(text));
    return digest;
}

static inline struct store_entry desk_entry(const struct desk_event *event,
                                            struct store_delivery deliveries[DESK_LANES_MAX])
{
    struct store_entry entry = {
        .account = slice_of(event->account),
        .event_id = slice_of(event->id),
        .body = slice_of(event->body != NULL ? event->body : "{}"),
        .has_mark = event->key != NULL,
        .mark_ttl_ms = event->ttl_ms,
        .has_guard = event->guard != NULL,
        .guard_ttl_ms = event->guard_ttl_ms,
        .guard_grace_ms = event->grace_ms,
        .deliveries = deliveries,
    };

    if (event->key != NULL) {
        entry.key = desk_digest(event->key);
        entry.content = desk_digest(event->content != NULL ? event->content : "");
    }
    if (event->guard != NULL) {
        entry.guard_key = desk_digest(event->guard);
    }
    for (size_t i = 0; event->lanes[i] != NULL; i++) {
        deliveries[i] = (struct store_delivery){.lane = slice_of(event->lanes[i]),
                                                .bus = SLICE("central"),
                                                .rule = SLICE("rule"),
                                                .target_id = SLICE("target"),
                                                .claim = event->claim};
        entry.delivery_count++;
    }
    return entry;
}

/* Commit one event; `out` (may be NULL) gets the entry with its answers. */
static inline enum err desk_commit(struct desk *desk, uint64_t now_ms,
                                   const struct desk_event *event, struct desk_entry *out)
{
    struct desk_entry own;
    struct desk_entry *kept = out != NULL ? out : &own;
    struct store_commit commit = {.now_ms = now_ms, .claim_until_ms = now_ms + 1000};

    kept->entry = desk_entry(event, kept->deliveries);
    commit.entries = &kept->entry;
    commit.entry_count = 1;
    return desk_run(desk, &commit.op, STORE_COMMIT);
}

/* ---- deliveries ---------------------------------------------------------------------------- */

static inline struct store_ref desk_ref(uint64_t seq, uint32_t ordinal, const char *lane,
                                        uint64_t claim_no)
{
    struct store_ref ref = {.seq = seq, .ordinal = ordinal, .claim = claim_no};

    CHECK(strlen(lane) <= STORE_LANE_CHARS_MAX);
    memcpy(ref.lane, lane, strlen(lane));
    return ref;
}

/* The references of what a claim gave; frees the records. Returns how many. */
static inline size_t desk_take_refs(struct list *records, struct store_ref *refs, size_t ref_max)
{
    size_t count = 0;

    LIST_FOREACH (node, records) {
        struct store_record *record = CONTAINER_OF(node, struct store_record, node);

        CHECK(count < ref_max);
        refs[count++] = record->ref;
        list_remove(node);
        store_record_free(record);
    }
    return count;
}

static inline void desk_claim_start(struct store_claim *claim, const char *lane, uint64_t now_ms,
                                    size_t count_max)
{
    *claim = (struct store_claim){
        .now_ms = now_ms, .claim_until_ms = now_ms + 1000, .count_max = count_max};
    CHECK(strlen(lane) <= STORE_LANE_CHARS_MAX);
    memcpy(claim->lane, lane, strlen(lane));
}

/* Claim for one second; how many came, their references in `refs`. */
static inline size_t desk_claim(struct desk *desk, const char *lane, uint64_t now_ms,
                                size_t count_max, struct store_ref *refs)
{
    struct store_claim claim;
    enum err err;

    desk_claim_start(&claim, lane, now_ms, count_max);
    err = desk_run(desk, &claim.op, STORE_CLAIM);
    CHECK(err == ERR_OK);
    return desk_take_refs(&claim.records, refs, count_max);
}

static inline enum err desk_settle(struct desk *desk, const struct store_ref *refs, size_t count)
{
    struct store_settle settle = {.refs = refs, .ref_count = count};

    return desk_run(desk, &settle.op, STORE_SETTLE);
}

static inline enum err desk_retry(struct desk *desk, struct store_ref ref, uint64_t due_ms,
                                  uint32_t attempt_count)
{
    struct store_retry retry = {.ref = ref,
                                .due_ms = due_ms,
                                .attempt_count = attempt_count,
                                .last_err = ERR_REMOTE_FAILED};

    return desk_run(desk, &retry.op, STORE_RETRY);
}

/* After two attempts, on to `lane`. */
static inline enum err desk_advance(struct desk *desk, struct store_ref ref, const char *lane,
                                    uint64_t now_ms, struct slice state)
{
    struct store_advance advance = {
        .ref = ref, .now_ms = now_ms, .attempt_count = 2, .last_err = ERR_OK, .state = state};

    CHECK(strlen(lane) <= STORE_LANE_CHARS_MAX);
    memcpy(advance.lane, lane, strlen(lane));
    return desk_run(desk, &advance.op, STORE_ADVANCE);
}

static inline enum err desk_bury(struct desk *desk, struct store_ref ref, uint64_t now_ms,
                                 const char *reason)
{
    struct store_bury bury = {.ref = ref, .now_ms = now_ms, .attempt_count = 7};

    CHECK(strlen(reason) <= STORE_REASON_CHARS_MAX);
    memcpy(bury.reason, reason, strlen(reason));
    memcpy(bury.message, "the last words", sizeof("the last words"));
    return desk_run(desk, &bury.op, STORE_BURY);
}

static inline enum err desk_park(struct desk *desk, const char *lane, uint64_t until_ms)
{
    struct store_park park = {.until_ms = until_ms};

    CHECK(strlen(lane) <= STORE_LANE_CHARS_MAX);
    memcpy(park.lane, lane, strlen(lane));
    return desk_run(desk, &park.op, STORE_PARK);
}

/* ---- counters ------------------------------------------------------------------------------ */

/* The tally of one account, zero if it has none; checks every account's ledger on the way. */
static inline struct store_tally_row desk_tally(struct desk *desk, const char *account,
                                                uint64_t *bytes_used)
{
    struct store_tally tally = {0};
    struct store_tally_row found = {.created = 0};
    const enum err err = desk_run(desk, &tally.op, STORE_TALLY);

    CHECK(err == ERR_OK);
    for (size_t i = 0; i < tally.row_count; i++) {
        const struct store_tally_row *row = &tally.rows[i];

        CHECK(row->created == row->delivered + row->dropped + row->expired + row->live + row->dead);
        if (strcmp(row->account, account) == 0) {
            found = *row;
        }
    }
    if (bytes_used != NULL) {
        *bytes_used = tally.bytes_used;
    }
    store_tally_clean_up(&tally);
    return found;
}
