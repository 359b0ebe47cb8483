/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - the contract of weir's memory: what was promised, to whom it is owed, what is
 * configured.
 *
 * Every call is an operation: a struct of the caller's with its inputs, handed over by
 * store_submit() and given back, outputs filled, by `on_done` on the submitting thread's mailbox,
 * always later, never inside the call.  Nothing blocks a loop.  Engines: store_memory (tests, and
 * the oracle of the others), store_sqlite (one node, own disk) and store_redis (any number of
 * replicas); all pass one contract suite.
 *
 *   S1  commit answers per entry; when on_done runs, what it says is durable.
 *   S2  mark, body, deliveries and counters of an entry appear together or not at all.
 *   S3  a body lives until its last delivery has ended, and no longer.
 *   S4  settle, retry, advance and bury are idempotent; the last three act only while the claim is
 *       ours, which the engine tells by `store_ref.claim`.
 *   S5  nothing is trimmed: capacity is enforced at admission (ERR_STORE_FULL), never by deletion.
 *   S6  every operation is answered.
 *   S7  settle, retry, advance and bury work when the store is full.
 *   S8  an unknown outcome is an error, never success.
 *   S9  every key and record carries its account.
 *   S10 a guard is seen once: `guard_grace_ms` after its first entry, every other entry under it is
 *       a duplicate of that entry, whatever mark it brings.
 *   S11 archives (store_archive.h) get their copy in the step of S2; one that is full gets none,
 * and the answer says so.
 *
 * A *lane* is one account's deliveries to one configured target, named "ACCOUNT/TARGET-UID".  A
 * delivery of several steps goes on, by STORE_ADVANCE, in lanes of the same name with
 * STORE_LANE_STEP and the step's name behind it, and takes a *state* along: bytes that the store
 * keeps as they are, until the delivery has ended.
 *
 * Operations of one thread run in the order in which it submitted them.  Answers may overtake each
 * other: a read need not wait for the flush that an earlier commit waits for.
 *
 * A *claim* holds a delivery back from other claims until a moment.  When that has passed, the
 * delivery is due again, and the claim ends with the next claim of its lane at the latest; so do
 * all claims of an engine of one process when it restarts, and, when a lane is parked, the claims
 * of the process that parks it.
 */
#pragma once

#include "core/digest.h"
#include "core/err.h"
#include "core/list.h"
#include "core/mailbox.h"
#include "core/slice.h"

struct store;

enum {
    STORE_LANE_CHARS_MAX = 64,
    STORE_EVENT_ID_CHARS_MAX = 64,
    STORE_REASON_CHARS_MAX = 48,
    STORE_MESSAGE_BYTES_MAX = 512,
    STORE_EMBEDDED_CACHE_BYTES = 64 << 20, /* what the embedded engine holds of its file */
    STORE_CLAIM_MAX = 64,                  /* records of one lane that one process may hold */
    STORE_LANES_MAX = 1024,                /* named by one STORE_LANES */
    STORE_ENTRY_DELIVERIES_MAX = 4096,
    STORE_ENTRY_BODY_BYTES_MAX = 4 << 20,
    STORE_ENTRY_BYTES_MAX = 16 << 20, /* body and the names of all deliveries */
    STORE_STATE_BYTES_MAX = 40 << 10,
    STORE_DEAD_PAGE_BYTES_MAX = 4 << 20, /* of bodies in one STORE_DEAD_LIST */
    STORE_LANE_STEP = '.',
    STORE_ENTRY_ARCHIVES_MAX = 64,
};

enum store_op_kind {
    STORE_COMMIT,
    STORE_CLAIM,
    STORE_LANES,
    STORE_SETTLE,
    STORE_RETRY,
    STORE_ADVANCE,
    STORE_BURY,
    STORE_PARK,
    STORE_DEAD_LIST,
    STORE_DEAD_EDIT,
    STORE_CATALOG_PUT,
    STORE_CATALOG_READ,
    STORE_TALLY,
    STORE_LEASE,
    STORE_ONCE,
    STORE_BACKUP,
    STORE_ARCHIVE_READ,
    STORE_ARCHIVE_TRIM,
    STORE_ARCHIVE_SIZES,
};

/* Common head of every operation; first member of each struct below. */
struct store_op {
    struct mail mail; /* private to the engine while submitted */
    enum store_op_kind kind;
    struct mailbox *home;                 /* in: where on_done runs */
    void (*on_done)(struct store_op *op); /* in */
    enum err err;                         /* out */
};

/* ---- commit -------------------------------------------------------------------------------- */

/* One target's share of an event. */
struct store_delivery {
    struct slice lane;
    struct slice bus;       /* "central" or "ACCOUNT/NAME", for dead letters */
    struct slice rule;      /* rule name */
    struct slice target_id; /* the target's Id in its rule */
    /* in: claim it for me.  out: is it claimed?  It is not while the lane is parked, holds
     * STORE_CLAIM_MAX claims already, or owes something that is due and unclaimed: first things
     * first.  What is not claimed here comes by STORE_CLAIM. */
    bool claim;
    uint64_t claim_no; /* out: for `store_ref.claim`; 0 when not claimed */
};

/* An archive that is to keep a copy of an event. */
struct store_archiving {
    uint64_t archive;   /* in: never 0, never used again for another */
    uint64_t bytes_max; /* in: what it may hold; in Redis, of the events of one partition */
    bool is_central; /* in: may have all that archives may hold together; others three quarters */
    bool is_full;    /* out: no copy was made, and that was counted with the archive */
};

enum store_verdict {
    STORE_COMMITTED,
    STORE_DUPLICATE,
};

struct store_entry {
    /* in; the bytes stay valid until on_done */
    struct slice account;  /* the account of the event, 12 digits */
    struct slice event_id; /* unique unless content differs under one key */
    struct slice body;     /* the envelope as it will be delivered */
    bool has_mark;
    struct digest key;     /* dedup key: digest of account + layer + identity */
    struct digest content; /* digest of what must be equal for a duplicate */
    uint64_t mark_ttl_ms;
    /* A second identity, against replay.  The mark is asked first; an entry that it does not know
     * is a duplicate all the same when its guard was first seen more than the grace ago.  A new
     * guard is recorded in the same step, under the EventId with which the entry is answered: a
     * repeat under a new guard leaves that guard known too. */
    bool has_guard;
    struct digest guard_key; /* never equal to a dedup key */
    uint64_t guard_ttl_ms;   /* one constant for all guards of a store: it tells their age */
    uint64_t guard_grace_ms; /* less than the ttl */
    struct store_delivery *deliveries; /* none: only the mark and copies in archives are kept */
    size_t delivery_count;
    struct store_archiving *archivings;
    size_t archiving_count;
    uint64_t time_ms; /* by which archives keep it in order */

    /* out */
    enum store_verdict verdict;
    bool conflict; /* the key was known with other content: committed all the same, counted */
    char duplicate_of[STORE_EVENT_ID_CHARS_MAX + 1]; /* EventId of the first, when DUPLICATE */
    /* Entries that the mark or guard behind this verdict has answered, this one included: 1 when
     * COMMITTED.  For people: an engine that restarts may begin again. */
    uint64_t stands_for;
    uint64_t seq; /* the engine's handle of the event */
};

/* All entries of one request.  Each entry is atomic; the call is one durable step, shared with
 * whatever else waits for the same flush.  err (STORE_FULL, STORE_FAILED, STORE_BUSY, TOO_LARGE)
 * is of the whole batch: then nothing of it is committed, as far as the engine can know. */
struct store_commit {
    struct store_op op;
    uint64_t now_ms;
    uint64_t claim_until_ms; /* for deliveries with `claim` */
    struct store_entry *entries;
    size_t entry_count;
};

/* ---- deliveries ---------------------------------------------------------------------------- */

/* Names one delivery, and the claim that its holder has on it. */
struct store_ref {
    uint64_t seq;
    uint64_t claim;   /* from store_record.ref or store_delivery.claim_no; 0: none */
    uint32_t ordinal; /* index among the event's deliveries */
    char lane[STORE_LANE_CHARS_MAX + 1];
};

/* A delivery read back.  Allocated by the engine; the receiver frees it with store_record_free().
 */
struct store_record {
    struct list node;
    struct store_ref ref;
    uint64_t accepted_ms;
    uint64_t budget_from_ms;     /* when its retry budget began: accepted, or redriven last */
    uint32_t attempt_count;      /* within that budget */
    uint32_t past_attempt_count; /* in the budgets before: history */
    uint32_t last_err;           /* enum err of the last failure, 0 if none */
    uint64_t due_ms;
    struct slice account;
    struct slice event_id;
    struct slice bus;
    struct slice rule;
    struct slice target_id;
    struct slice body;
    struct slice state; /* as advanced last; empty before.  Not of a dead letter */
};

void store_record_free(struct store_record *record);

/* Claim up to `count_max` deliveries of one lane that are due and unclaimed, oldest due first, as
 * far as the lane then holds no more than STORE_CLAIM_MAX claims.  A parked lane gives nothing.
 *
 * A record that fails its checksum is never handed out: it is logged, stays live, and stays claimed
 * until the engine restarts. */
struct store_claim {
    struct store_op op;
    uint64_t now_ms;
    uint64_t claim_until_ms;
    size_t count_max;
    char lane[STORE_LANE_CHARS_MAX + 1];
    /* out */
    struct list records; /* struct store_record */
    bool has_more;       /* due and unclaimed deliveries remain */
    /* When more falls due: the earliest due of what waits, or end of a claim (those just made
     * included); of a parked lane, the end of the park; with `has_more`, now.  UINT64_MAX if it
     * owes nothing. */
    uint64_t next_due_ms;
};

/* Name lanes that hold deliveries due by `now_ms`, unclaimed or with a claim past its end, and are
 * not parked, in name order after `after` (empty: from the start). For start-up, and for taking
 * over what others left. */
struct store_lanes {
    struct store_op op;
    uint64_t now_ms;
    char after[STORE_LANE_CHARS_MAX + 1];
    size_t count_max; /* <= STORE_LANES_MAX */
    /* out */
    char (*lanes)[STORE_LANE_CHARS_MAX + 1]; /* in: room for count_max; out: filled */
    size_t count;
    bool has_more;
};

/* Delivered: the delivery ends, whoever holds a claim on it; one that has ended is passed over. May
 * be lost in a crash, which means a redelivery; never anything else.  Nothing hurries: it is
 * answered with the next flush. */
struct store_settle {
    struct store_op op;
    const struct store_ref *refs;
    size_t ref_count;
};

/* Due again at `due_ms`, no longer claimed.  ERR_CLAIM_LOST if it was not ours any more. */
struct store_retry {
    struct store_op op;
    struct store_ref ref;
    uint64_t due_ms;
    uint32_t attempt_count;
    enum err last_err;
};

/* Goes on in `lane`: due there at once and unclaimed, with a new retry budget, its attempts now
 * history, and `state` in the place of the one it had.  `lane` is the one it was committed to with
 * STORE_LANE_STEP and a name behind it.  Durable when on_done runs.  ERR_CLAIM_LOST as above: then
 * nothing has changed, or it is done already and somebody else has gone on from there. */
struct store_advance {
    struct store_op op;
    struct store_ref ref;
    char lane[STORE_LANE_CHARS_MAX + 1];
    uint64_t now_ms;
    uint32_t attempt_count; /* made in the lane that it leaves */
    enum err last_err;
    struct slice state; /* <= STORE_STATE_BYTES_MAX, valid until on_done */
};

/* Given up: a dead letter with payload and reason.  ERR_CLAIM_LOST as above. */
struct store_bury {
    struct store_op op;
    struct store_ref ref;
    uint64_t now_ms;
    uint32_t attempt_count;
    char reason[STORE_REASON_CHARS_MAX + 1];   /* a constant such as "target-removed" */
    char message[STORE_MESSAGE_BYTES_MAX + 1]; /* bounded, for a person */
};

/* Nothing of this lane is due before `until_ms` (0: resume); the claims end that this process
 * holds on it.  An engine of one process forgets it in a restart. */
struct store_park {
    struct store_op op;
    char lane[STORE_LANE_CHARS_MAX + 1];
    uint64_t until_ms;
};

/* ---- dead letters -------------------------------------------------------------------------- */

struct store_dead_filter {
    struct slice account; /* each empty: any */
    struct slice bus;
    struct slice rule;
    struct slice target_id;
    struct slice reason;
    uint64_t since_ms; /* buried at this moment or later */
    uint64_t until_ms; /* buried before this moment; 0: any */
    uint64_t id;       /* one dead letter, or 0 */
};

struct store_dead {
    struct list node;
    uint64_t id;
    uint64_t buried_ms;
    uint32_t attempt_count;
    struct store_record *record; /* owned; its body is empty if it failed its checksum */
    struct slice reason;
    struct slice message;
};

void store_dead_free(struct store_dead *dead);

/* How far a long walk has come, which an engine does in steps so that commits pass in between. */
struct store_walk {
    uint64_t kept_id; /* done and durable up to here */
    uint64_t step_id; /* done up to here in the step under way */
    uint64_t last_id; /* where the walk ends */
    uint64_t step_count;
    bool is_begun;
    bool is_finished;
};

/* A page of them: it ends at `count_max`, or before the body with which it would hold more than
 * STORE_DEAD_PAGE_BYTES_MAX of them; the first always comes. */
struct store_dead_list {
    struct store_op op;
    struct store_dead_filter filter;
    uint64_t after_id; /* 0: from the start */
    size_t count_max;
    struct store_walk walk; /* private to the engine */
    size_t body_bytes;      /* likewise: of what is listed so far */
    /* out */
    struct list dead; /* struct store_dead, by id */
    bool has_more;
};

enum store_dead_edit_kind { STORE_DEAD_REDRIVE, STORE_DEAD_DROP, STORE_DEAD_EXPIRE };

/* Redrive: due now again in its lane, with id, event, state and history, and a new retry budget.
 * Drop: ended, body freed.  Expire: the same, counted as ended by its retention.  Each dead letter
 * is one atomic step; many take several flushes, and after an error `count` of them are done. */
struct store_dead_edit {
    struct store_op op;
    enum store_dead_edit_kind edit;
    struct store_dead_filter filter;
    uint64_t now_ms;
    bool dry_run;
    struct store_walk walk; /* private to the engine */
    /* out */
    uint64_t count;
};

/* ---- catalog ------------------------------------------------------------------------------- */

/* One versioned document: its name is "kind/key", its value JSON text. */
struct store_document {
    struct slice name;
    struct slice value; /* empty: deleted (a put deletes, a read reports) */
    /* put: the revision it must replace, 0 = must not exist (so a deletion names one). read: its
     * own */
    uint64_t rev;
};

/* All documents, of distinct names, in one atomic step, or ERR_CONFLICT and none. */
struct store_catalog_put {
    struct store_op op;
    const struct store_document *documents;
    size_t document_count;
    uint64_t rev_min; /* the revision is not below it: for a catalog that is put back */
    /* out */
    uint64_t rev;          /* of the whole catalog; the documents now carry it */
    size_t conflict_index; /* the document that did not fit, after ERR_CONFLICT */
};

/* Every document with a revision above `since` (0: all), in name order, tombstones included when
 * since > 0. */
struct store_catalog_read {
    struct store_op op;
    uint64_t since;
    /* out; free with store_catalog_read_clean_up() */
    struct store_document *documents;
    size_t document_count;
    uint64_t rev;
    void *memory;
};

void store_catalog_read_clean_up(struct store_catalog_read *read);

/* ---- counters ------------------------------------------------------------------------------ */

/* Deliveries of one account, changed in the same atomic step as the delivery itself:
 * created = delivered + dropped + expired + live + dead. */
struct store_tally_row {
    char account[13];
    uint64_t created;
    uint64_t delivered;
    uint64_t dropped;
    uint64_t expired;
    uint64_t redriven;
    uint64_t live;
    uint64_t dead;
    uint64_t oldest_due_ms; /* earliest due among the live, claimed ones included; 0 if none */
};

/* A store that is shared is walked in steps: each row is of one moment, not all of the same, and
 * what was submitted later may be in it. */
struct store_tally {
    struct store_op op;
    /* out; free with store_tally_clean_up() */
    struct store_tally_row *rows; /* by account */
    size_t row_count;
    uint64_t bytes_used;
    uint64_t commits; /* flushes that carried commits, since start */
    uint64_t commit_entries;
};

void store_tally_clean_up(struct store_tally *tally);

/* ---- rates, and what happens once -------------------------------------------------------------
 */

/* Tokens for one account's next moment, out of what all replicas may spend together. */
struct store_lease_row {
    char account[13];         /* in */
    uint64_t rate_per_second; /* in: 1 or more */
    uint64_t burst;           /* in: 1 or more */
    uint64_t used;            /* in: spent on credit since the last lease: charged in any case */
    uint64_t wanted;          /* in */
    uint64_t granted;         /* out: 0 to wanted */
};

/* For stores that replicas share; a store of one process has no use for it (ERR_UNSUPPORTED), since
 * that process can count for itself.  Granted and used together stay within rate * T + burst in any
 * window of T seconds over all replicas, credit apart.  Not kept through a restart of the last
 * replica. */
struct store_lease {
    struct store_op op;
    uint64_t now_ms; /* of the caller; a shared store goes by its own clock */
    struct store_lease_row *rows;
    size_t row_count;
    /* out */
    uint64_t replicas; /* alive, this one included: 1 where a store has only one */
};

enum { STORE_ONCE_NAME_CHARS_MAX = 192 };

/* Is this replica the one that acts on the moment `due_ms` of `name`?  True for exactly one caller,
 * in a restarted process too, while `due_ms` is less than `keep_ms` ago. */
struct store_once {
    struct store_op op;
    uint64_t now_ms;
    uint64_t due_ms;
    uint64_t keep_ms;
    char name[STORE_ONCE_NAME_CHARS_MAX + 1];
    /* out */
    bool is_mine;
};

/* Copy the store to a new file while it works, in steps between batches.  The copy is what a
 * recovery would find at one moment within the call.  ERR_UNSUPPORTED where the store is no file of
 * ours; ERR_SYSTEM with `why` when it cannot be written; an existing file is never replaced. */
struct store_backup {
    struct store_op op;
    struct slice path; /* absolute; borrowed until on_done */
    /* out */
    uint64_t bytes;
    struct err_why why;
};

/* ---- the engines --------------------------------------------------------------------------- */

struct store_ops {
    void (*submit)(struct store *store, struct store_op *op);
    void (*destroy)(struct store *store);
};

/* What an engine of our own disk had to pay when it opened; zero for the others. */
struct store_recovery {
    uint64_t took_ms; /* from the call that opens until it may be used */
    uint64_t event_count;
    uint64_t delivery_count; /* live: dead letters are not among them */
};

struct store {
    const struct store_ops *ops;
    const char *kind; /* "memory", "embedded", "redis" */
    /* Other processes may change it as well; their failures pass, where those of a store of our own
     * are for good.  Set before any other thread sees the store. */
    bool is_shared;
    struct store_recovery recovery; /* set before any other thread sees the store */
    /* As published: "flushed", "aof", "managed-log" or "relaxed: …"; a constant string each time,
     * and an engine may learn better while it runs: read it by store_guarantee(). */
    _Atomic(const char *) guarantee;
    /* Redis: how often the one behind a name turned out to be another: failovers and restarts. */
    _Atomic uint64_t replid_changes;
    _Atomic(enum err) trouble;
};

struct store_options {
    struct slice folder;        /* embedded: where the files lie; created 0700 */
    uint64_t bytes_max;         /* commits beyond give ERR_STORE_FULL; 0: no limit */
    uint64_t archive_bytes_max; /* of that, what all archives together may hold; 0: no limit */
    uint64_t reserve_bytes;     /* disk space always left free */
};

/* What a commit would probably be answered just now: ERR_OK, ERR_STORE_FULL or ERR_STORE_FAILED.  A
 * hint from any thread, for readiness and for refusing before bodies are read; an engine that is
 * full says OK about once a second, so that somebody tries. */
static inline enum err store_trouble(struct store *store)
{
    return atomic_load_explicit(&store->trouble, memory_order_relaxed);
}

static inline const char *store_guarantee(struct store *store)
{
    return atomic_load_explicit(&store->guarantee, memory_order_acquire);
}

static inline uint64_t store_replid_changes(struct store *store)
{
    return atomic_load_explicit(&store->replid_changes, memory_order_relaxed);
}

/* Any thread. The op is the engine's until on_done. */
static inline void store_submit(struct store *store, struct store_op *op)
{
    store->ops->submit(store, op);
}
/* Finishes and answers what was submitted, then frees.  Not from on_done.  NULL is fine. */
void store_destroy(struct store *store);

struct store *store_memory_new(const struct store_options *options);
/* What a Redis store needs to be reached.  Slices are borrowed for the call, paths are absolute. */
struct store_redis_options {
    struct slice url;           /* redis://HOST:PORT/DB or rediss://HOST:PORT/DB */
    struct slice user;          /* empty: the default user */
    struct slice password_file; /* empty: none; read again when Redis refuses the password */
    struct slice ca;            /* rediss: authorities; empty: the system's */
    struct slice certificate;   /* rediss: of this client; empty: none */
    struct slice key;
    struct slice durability; /* "aof", "managed-log" or "relaxed" */
    uint64_t wait_replicas;  /* that must have a commit before it is answered, where there are
                                any */
    uint64_t check_ms;       /* between two looks at its settings; 0: 30 s */
    const uint8_t *seal_key; /* SEAL_KEY_BYTES; documents of the catalog carry a MAC under it */
};

/* Connect, check version, persistence and eviction, and start the store's thread.  An unreachable
 * Redis is waited for 10 s in all, then ERR_REMOTE_UNREACHABLE; a Redis that may
 * not be used (evicts keys, too old, foreign partition count) is ERR_BAD_CONFIG.  Each with a
 * reason. */
MUST_USE enum err store_redis_open(const struct store_redis_options *options, struct store **store,
                                   struct err_why *why);

/* Open or create; recovers before it returns.  ERR_STORE_CORRUPT, ERR_STORE_BUSY (another process
 * holds it) or ERR_SYSTEM, each with a reason. */
MUST_USE enum err store_sqlite_open(const struct store_options *options, struct store **store,
                                    struct err_why *why);
