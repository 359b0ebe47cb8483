/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest.h - the story of a request's events: who, may it, what, where, remember, answer.
 *
 * api and forward read their own formats into drafts and write their own answers; between the two
 * every event walks the same steps here.  One per worker, no locks.
 */
#pragma once

#include "accounts/principal.h"
#include "core/stats.h"
#include "gateway/request.h"
#include "gateway/snapshot.h"
#include "routing/event.h"
#include "storage/store_archive.h"

struct api_desk;
struct catalog_age;
struct config;
struct delivery_engine;
struct ev_loop;
struct identity_desk;
struct ingest;
struct trace;

struct ingest_options {
    struct ev_loop *loop;
    struct mailbox *mailbox;
    struct store *store;
    struct delivery_engine *engine;
    const struct config *config;
    struct catalog_age *catalog_age;     /* of the catalog that snapshots are made of */
    struct stats *stats;                 /* of this thread */
    struct trace *trace;                 /* of this thread */
    struct api_desk *api_desk;           /* of this thread: for requests that bring no events */
    struct identity_desk *identity_desk; /* of this thread: for proofs that AWS judges */
};

/* One event on its way.  The caller fills the upper half. */
struct ingest_entry {
    struct event_draft draft;
    struct slice bus_account; /* empty: the account of the event */
    struct slice bus_name;    /* "default" when the caller named none */
    enum err err;             /* set beforehand: refused for its form, and not looked at */
    char message[256];        /* what and where, for a person; empty: the error's own text */

    char event_id[STORE_EVENT_ID_CHARS_MAX + 1];
    bool is_duplicate;
    uint64_t retry_after_ms; /* with ERR_THROTTLED */
};

/* A moment at which a rule's schedule is due. */
struct ingest_moment {
    struct rule *rule; /* the caller's reference, until on_done */
    uint64_t due_ms;
    /* It is durable, here or by another replica; or nobody is owed anything; or an error to be
     * tried again. */
    void (*on_done)(struct ingest_moment *moment, enum err err);
};

/* What is brought back, and to whom. */
struct ingest_replay_order {
    struct slice name;        /* of the replay */
    struct slice run;         /* tells it from every other, one of the same name before included */
    struct slice bus_account; /* of the bus whose rules get it */
    struct slice bus_name;
    bool is_central;
    const struct slice *rules; /* ARNs of those that do; none: all */
    size_t rule_count;
};

/* One archived event on its way back. */
struct ingest_replay {
    const struct ingest_replay_order *order; /* the caller's until on_done, as is the event */
    const struct store_archived *archived;
    /* Its deliveries are durable, or nobody is owed it; or an error to be tried again. */
    void (*on_done)(struct ingest_replay *replay, enum err err);
};

/* How long an event that came back is known, should its page be read again after a failure. */
enum { INGEST_REPLAY_MARK_MS = 3600 * 1000 };

/* How late a moment is still acted upon, and how long it is remembered: longer. */
enum { INGEST_MOMENT_LATE_MS = 3600 * 1000, INGEST_MOMENT_MARK_MS = 4200 * 1000 };

/* All entries of one request. Lives from ingest_batch_new() until on_done returns. */
struct ingest_batch {
    struct request *request;
    struct principal principal;
    struct ingest_entry *entries;
    size_t entry_count;
    void (*on_done)(struct ingest_batch *batch);
};

struct ingest *ingest_new(const struct ingest_options *options);
/* No batch may be open. NULL is fine. */
void ingest_destroy(struct ingest *ingest);
/* From now on events are judged by this snapshot; batches under way keep theirs. */
void ingest_use(struct ingest *ingest, struct snapshot *snapshot);
/* Make the event of that moment and owe it to the targets of its rule, once over all replicas.
 * on_done runs once, possibly before this returns. */
void ingest_schedule(struct ingest *ingest, struct ingest_moment *moment);
/* Owe an archived event to the rules of its bus once more.  on_done runs once, possibly before this
 * returns. */
void ingest_replay(struct ingest *ingest, struct ingest_replay *replay);
struct api_desk *ingest_api_desk(const struct ingest *ingest);
struct identity_desk *ingest_identity_desk(const struct ingest *ingest);
const struct snapshot *ingest_snapshot(const struct ingest *ingest);
/* ERR_OK, or why events are refused before their bodies are read: the store failed, or what is
 * known of accounts and credentials is too old.  A full store refuses entry by entry. */
MUST_USE enum err ingest_check_store(const struct ingest *ingest);
/* Does this gateway answer under that authority (host, or host:port)? */
bool ingest_has_name(const struct ingest *ingest, struct slice authority);
/* Limits that readers of requests ask for. */
size_t ingest_entries_total_max(const struct ingest *ingest);
size_t ingest_entry_count_max(const struct ingest *ingest);
/* How long a token speaks for its client. */
uint64_t ingest_token_ms(const struct ingest *ingest);
/* Batches whose answer or whose commit is still open. */
size_t ingest_open_count(const struct ingest *ingest);

/* Before the body: could this request's credential be good? Work without the body only.  `why` is
 * told what cannot be read, never why a credential was refused.  Of the EventBridge API: a
 * signature, or the token of a principal of AWS. */
MUST_USE enum err ingest_check_api(struct ingest *ingest, struct request *request,
                                   struct err_why *why);
/* The same of a request that is not signed: a key, Basic, or a Bearer token. */
MUST_USE enum err ingest_check_caller(struct ingest *ingest, struct request *request);
/* With the body: who is it?  The principal is good until the request is answered. */
MUST_USE enum err ingest_prove_api(struct ingest *ingest, struct request *request,
                                   struct principal *principal, struct err_why *why);
MUST_USE enum err ingest_prove_caller(struct ingest *ingest, struct request *request,
                                      struct principal *principal);
/* Count a request that arrived whole, and how long its bytes took. */
void ingest_note_request(struct ingest *ingest, const struct request *request);
/* Count a request that was refused before its entries were read. */
void ingest_count_refused(struct ingest *ingest, enum err err);

/* A batch of `entry_count` zeroed entries. */
struct ingest_batch *ingest_batch_new(struct ingest *ingest, struct request *request,
                                      const struct principal *principal, size_t entry_count);
/* Walk every entry to its outcome; on_done runs once, possibly before this returns when nothing had
 * to be stored.  An entry without err was accepted: what it promised is durable. */
void ingest_submit(struct ingest_batch *public);
