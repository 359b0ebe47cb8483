/* SPDX-License-Identifier: Apache-2.0
 *
 * store_sqlite.c - the embedded engine: one thread, one database, one flush for all who wait.
 *
 * The good story: workers send operations to the thread's mailbox.  The thread takes everything
 * that has arrived, runs it in one transaction, commits (SQLite flushes its log), and sends each
 * operation home.  What arrives meanwhile is the next batch; so batches grow with the load and with
 * the slowness of the disk, no timer is needed, and an operation waits for two flushes at most.
 *
 * What changes nothing and stands before the first change of its batch goes home at once; after
 * it, it waits for the flush like the rest, for it may have seen what is not committed yet.
 * Settles and retries hurry nobody: alone they wait 5 ms for company.
 *
 * When a transaction fails, memory is put back to where the last one ended.  If the disk was full,
 * the batch is run again without its new events; anything else (a failed flush above all) is the
 * end: the page cache of a file whose flush failed tells lies, so everybody gets ERR_STORE_FAILED
 * from then on, and only a new process, which recovers from what is really on the disk, helps.
 *
 * Invariant: between batches memory and database agree, and the database is flushed.
 * Memory:    operations belong to their senders and are threaded through their own mail.
 * Threads:   everything below `thread_main` is the store thread.
 */
#include "storage/sqlite_internal.h"

#include <errno.h>
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"

enum { MAGIC = 0x73716c77 };

/* ---- queues -------------------------------------------------------------------------------- */

static void push(struct sqlite_queue *queue, struct mail *mail)
{
    mail->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = mail;
    } else {
        queue->first = mail;
    }
    queue->last = mail;
}

static struct mail *pop(struct sqlite_queue *queue)
{
    struct mail *mail = queue->first;

    if (mail != NULL) {
        queue->first = mail->next;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        mail->next = NULL;
    }
    return mail;
}

static bool is_lazy(const struct store_op *op)
{
    return op->kind == STORE_SETTLE || op->kind == STORE_RETRY;
}

/* Does it bring something new, which a full disk refuses? */
static bool is_new_load(const struct store_op *op)
{
    return op->kind == STORE_COMMIT || op->kind == STORE_CATALOG_PUT || op->kind == STORE_ONCE;
}

/* ---- what an operation puts out ---------------------------------------------------------------
 */

static void outputs_init(struct store_op *op)
{
    if (op->kind == STORE_CLAIM) {
        list_init(&((struct store_claim *)op)->records);
    } else if (op->kind == STORE_DEAD_LIST) {
        list_init(&((struct store_dead_list *)op)->dead);
        ((struct store_dead_list *)op)->walk = (struct store_walk){.is_begun = false};
    } else if (op->kind == STORE_DEAD_EDIT) {
        ((struct store_dead_edit *)op)->walk = (struct store_walk){.is_begun = false};
        ((struct store_dead_edit *)op)->count = 0;
    } else if (op->kind == STORE_CATALOG_READ) {
        ((struct store_catalog_read *)op)->memory = NULL;
    } else if (op->kind == STORE_TALLY) {
        ((struct store_tally *)op)->rows = NULL;
    } else if (op->kind == STORE_ARCHIVE_READ) {
        list_init(&((struct store_archive_read *)op)->events);
    } else if (op->kind == STORE_ARCHIVE_SIZES) {
        ((struct store_archive_sizes *)op)->rows = NULL;
    }
}

/* As before it ran; an edit keeps what its earlier steps have done for good. */
static void outputs_undo(struct store_op *op)
{
    if (op->kind == STORE_CLAIM) {
        store_records_free(&((struct store_claim *)op)->records);
    } else if (op->kind == STORE_DEAD_LIST) {
        store_dead_all_free(&((struct store_dead_list *)op)->dead);
        ((struct store_dead_list *)op)->walk.is_begun = false;
    } else if (op->kind == STORE_CATALOG_READ) {
        store_catalog_read_clean_up((struct store_catalog_read *)op);
    } else if (op->kind == STORE_TALLY) {
        store_tally_clean_up((struct store_tally *)op);
    } else if (op->kind == STORE_ARCHIVE_READ) {
        store_archived_all_free(&((struct store_archive_read *)op)->events);
    } else if (op->kind == STORE_ARCHIVE_SIZES) {
        store_archive_sizes_clean_up((struct store_archive_sizes *)op);
    }
}

/* Take over what the step of a walk has done; is there more to do? */
static bool walk_goes_on(struct store_op *op)
{
    struct store_walk *walk = NULL;

    if (op->kind == STORE_DEAD_LIST) {
        walk = &((struct store_dead_list *)op)->walk;
    } else if (op->kind == STORE_DEAD_EDIT) {
        walk = &((struct store_dead_edit *)op)->walk;
        ((struct store_dead_edit *)op)->count += walk->step_count;
    }
    if (walk == NULL || op->err != ERR_OK) {
        return false;
    }
    walk->kept_id = walk->step_id;
    return !walk->is_finished;
}

static void hint_trouble(struct sqlite_store *store, enum err err)
{
    atomic_store_explicit(&store->store.trouble, err, memory_order_relaxed);
}

static void send_home(struct sqlite_store *store, struct store_op *op)
{
    if (walk_goes_on(op)) {
        push(&store->unfinished, &op->mail);
        return;
    }
    if (op->kind == STORE_COMMIT && (op->err == ERR_OK || op->err == ERR_STORE_FULL)) {
        hint_trouble(store, op->err);
    }
    store_answer(op, op->err);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

enum err sqlite_write_begin(struct sqlite_store *store)
{
    if (!store->is_writing) {
        TRY(sqlite_sql_run(store, sqlite_sql_start(store, SQL_BEGIN)));
        store->is_writing = true;
    }
    return ERR_OK;
}

static enum err transaction_end(struct sqlite_store *store)
{
    if (!store->is_writing) {
        return ERR_OK;
    }
    store->header.batch++;
    TRY(sqlite_tallies_write(store));
    TRY(sqlite_header_write(store));
    return sqlite_sql_run(store, sqlite_sql_start(store, SQL_COMMIT));
}

/* The transaction is flushed, or there was none: what memory says is true now. */
static void memory_keep(struct sqlite_store *store)
{
    if (store->is_writing) {
        store->is_writing = false;
        store->may_shrink = true;
        store->commits += store->batch_commits > 0 ? 1 : 0;
        store->commit_entries += store->batch_entries;
        if (sqlite_folder_durable_write(&store->folder, &store->uuid, store->header.batch) !=
            ERR_OK) {
            log_warn("store.side_file", LOG_TEXT("folder", store->folder.path),
                     LOG_TEXT("reason", strerrordesc_np(errno)));
        }
    }
    if (store->header.bytes_used < store->kept_header.bytes_used && !store->is_full) {
        hint_trouble(store, ERR_OK);
    }
    store->batch_commits = 0;
    store->batch_entries = 0;
    store->kept_header = store->header;
    sqlite_lanes_keep(store);
    sqlite_marks_keep(store);
    sqlite_tallies_keep(store);
    arena_reset(&store->batch_arena);
}

static void transaction_undo(struct sqlite_store *store, const struct sqlite_queue *batch)
{
    if (sqlite3_get_autocommit(store->db) == 0) {
        (void)sqlite3_step(sqlite_sql_start(store, SQL_ROLLBACK));
    }
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++) {
        (void)sqlite3_reset(store->statements[i]);
    }
    for (struct mail *mail = batch->first; mail != NULL; mail = mail->next) {
        outputs_undo(store_op_of(mail));
    }
    store->is_writing = false;
    store->failure = SQLITE_OK;
    store->batch_commits = 0;
    store->batch_entries = 0;
    store->header = store->kept_header;
    sqlite_lanes_undo(store);
    sqlite_marks_undo(store);
    sqlite_tallies_undo(store);
    arena_reset(&store->batch_arena);
}

/* ---- batches ------------------------------------------------------------------------------------
 */

static enum err run_op(struct sqlite_store *store, struct store_op *op)
{
    switch (op->kind) {
    case STORE_COMMIT:
        return sqlite_commit_run(store, (struct store_commit *)op);
    case STORE_CLAIM:
        return sqlite_claim_run(store, (struct store_claim *)op);
    case STORE_LANES:
        return sqlite_lanes_run(store, (struct store_lanes *)op);
    case STORE_SETTLE:
        return sqlite_settle_run(store, (struct store_settle *)op);
    case STORE_RETRY:
        return sqlite_retry_run(store, (struct store_retry *)op);
    case STORE_ADVANCE:
        return sqlite_advance_run(store, (struct store_advance *)op);
    case STORE_BURY:
        return sqlite_bury_run(store, (struct store_bury *)op);
    case STORE_PARK:
        return sqlite_park_run(store, (struct store_park *)op);
    case STORE_DEAD_LIST:
        return sqlite_dead_list_run(store, (struct store_dead_list *)op);
    case STORE_DEAD_EDIT:
        return sqlite_dead_edit_run(store, (struct store_dead_edit *)op);
    case STORE_CATALOG_PUT:
        return sqlite_catalog_put_run(store, (struct store_catalog_put *)op);
    case STORE_CATALOG_READ:
        return sqlite_catalog_read_run(store, (struct store_catalog_read *)op);
    case STORE_TALLY:
        return sqlite_tally_run(store, (struct store_tally *)op);
    case STORE_ONCE:
        return sqlite_once_run(store, (struct store_once *)op);
    case STORE_ARCHIVE_READ:
        return sqlite_archive_read_run(store, (struct store_archive_read *)op);
    case STORE_ARCHIVE_TRIM:
        return sqlite_archive_trim_run(store, (struct store_archive_trim *)op);
    case STORE_ARCHIVE_SIZES:
        return sqlite_archive_sizes_run(store, (struct store_archive_sizes *)op);
    case STORE_LEASE:
    case STORE_BACKUP: /* never in a batch */
        return ERR_UNSUPPORTED;
    }
    check_failed("a kind of operation that store.h knows", __FILE__, __LINE__);
}

/* How much of a batch an operation takes: rows to write, for their pages lie in memory until the
 * commit, and bytes. */
static void weigh(const struct store_op *op, size_t *records, size_t *bytes)
{
    *records += 1;
    if (op->kind == STORE_COMMIT) {
        const struct store_commit *commit = (const struct store_commit *)op;

        for (size_t i = 0; i < commit->entry_count; i++) {
            const struct store_entry *entry = &commit->entries[i];

            *records += MAX_OF(entry->delivery_count, 1) + entry->archiving_count;
            *bytes += entry->body.len * (1 + entry->archiving_count);
        }
    } else if (op->kind == STORE_SETTLE) {
        *records += ((const struct store_settle *)op)->ref_count;
    } else if (op->kind == STORE_ARCHIVE_TRIM) {
        *records += ((const struct store_archive_trim *)op)->count_max;
    } else if (op->kind == STORE_ADVANCE) {
        *bytes += ((const struct store_advance *)op)->state.len;
    }
}

/* Run the operations in order and commit.  Those that need no flush leave the batch on the way.
 * Returns false when the transaction failed: `store->failure` says why, and nothing is undone. */
static bool try_batch(struct sqlite_store *store, struct sqlite_queue *batch, bool is_full)
{
    struct sqlite_queue todo = *batch;
    struct mail *mail;

    *batch = (struct sqlite_queue){.first = NULL};
    for (mail = pop(&todo); mail != NULL; mail = pop(&todo)) {
        struct store_op *op = store_op_of(mail);

        op->err = is_full && is_new_load(op) ? ERR_STORE_FULL : run_op(store, op);
        if (store->failure == SQLITE_OK && !store->is_writing) {
            memory_keep(store);
            send_home(store, op);
        } else {
            push(batch, mail);
        }
        if (store->failure != SQLITE_OK) {
            break;
        }
    }
    for (mail = pop(&todo); mail != NULL; mail = pop(&todo)) {
        push(batch, mail);
    }
    return store->failure == SQLITE_OK && transaction_end(store) == ERR_OK;
}

static void answer_all(struct sqlite_queue *queue, enum err err)
{
    struct mail *mail;

    for (mail = pop(queue); mail != NULL; mail = pop(queue)) {
        store_answer(store_op_of(mail), err);
    }
}

/* Nothing of this store can be trusted any more. */
static void fail(struct sqlite_store *store, struct sqlite_queue *batch)
{
    log_error("store.failed", LOG_TEXT("folder", store->folder.path),
              LOG_I64("code", store->failure), LOG_TEXT("reason", sqlite3_errstr(store->failure)),
              LOG_I64("errno", sqlite3_system_errno(store->db)), LOG_ERR(ERR_STORE_FAILED));
    store->has_failed = true;
    hint_trouble(store, ERR_STORE_FAILED);
    transaction_undo(store, batch);
    for (struct mail *mail = store->unfinished.first; mail != NULL; mail = mail->next) {
        outputs_undo(store_op_of(mail));
    }
    answer_all(batch, ERR_STORE_FAILED);
    answer_all(&store->unfinished, ERR_STORE_FAILED);
    answer_all(&store->queue, ERR_STORE_FAILED);
    sqlite_backup_give_up(store, "the store has failed");
    answer_all(&store->backups, ERR_STORE_FAILED);
    store->urgent_count = 0;
}

static bool was_disk_full(const struct sqlite_store *store)
{
    return (store->failure & 0xff) == SQLITE_FULL;
}

static void run_batch(struct sqlite_store *store, struct sqlite_queue *batch, bool is_full)
{
    bool is_done = try_batch(store, batch, is_full);
    struct mail *mail;

    if (!is_done && was_disk_full(store)) {
        transaction_undo(store, batch);
        is_done = try_batch(store, batch, true);
    }
    while (!is_done && was_disk_full(store)) {
        transaction_undo(store, batch);
        if (!sqlite_upkeep_make_room(store)) {
            hint_trouble(store, ERR_STORE_FULL);
            answer_all(batch, ERR_STORE_FULL);
            return;
        }
        is_done = try_batch(store, batch, true);
    }
    if (!is_done) {
        fail(store, batch);
        return;
    }
    memory_keep(store);
    for (mail = pop(batch); mail != NULL; mail = pop(batch)) {
        send_home(store, store_op_of(mail));
    }
}

/* Between batches: the copy grows a little.  False when there is none. */
static bool copy_on(struct sqlite_store *store)
{
    struct mail *mail = NULL;

    if (store->is_stopping) {
        sqlite_backup_give_up(store, "the store is closing");
        answer_all(&store->backups, ERR_STORE_BUSY);
        return false;
    }
    if (store->backup == NULL) {
        mail = pop(&store->backups);
    }
    return sqlite_backup_go_on(
        store, mail != NULL ? CONTAINER_OF(store_op_of(mail), struct store_backup, op) : NULL);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void on_submitted(struct mail *mail)
{
    (void)mail;
    check_failed("the store thread takes its mail without running it", __FILE__, __LINE__);
}

static void collect(struct sqlite_store *store)
{
    struct mail *mail = mailbox_take(&store->mailbox);

    while (mail != NULL) {
        struct mail *next = mail->next;
        struct store_op *op = store_op_of(mail);

        if (mail == &store->stop) {
            store->is_stopping = true;
        } else if (store->has_failed) {
            outputs_init(op);
            store_answer(op, ERR_STORE_FAILED);
        } else if (op->kind == STORE_BACKUP) {
            push(&store->backups, mail);
        } else {
            outputs_init(op);
            if (store->queue.first == NULL) {
                store->lazy_since_ms = moment_steady_ms();
            }
            store->urgent_count += is_lazy(op) ? 0 : 1;
            push(&store->queue, mail);
        }
        mail = next;
    }
}

/* Cut the next batch from what waits; returns whether it brings new load. */
static bool take_batch(struct sqlite_store *store, struct sqlite_queue *batch)
{
    size_t records = 0;
    size_t bytes = 0;
    bool has_new_load = false;

    *batch = store->unfinished;
    store->unfinished = (struct sqlite_queue){.first = NULL};
    while (store->queue.first != NULL && records < SQLITE_BATCH_RECORDS_MAX &&
           bytes < SQLITE_BATCH_BYTES_MAX) {
        struct mail *mail = pop(&store->queue);
        struct store_op *op = store_op_of(mail);

        weigh(op, &records, &bytes);
        has_new_load = has_new_load || is_new_load(op);
        store->urgent_count -= is_lazy(op) ? 0 : 1;
        push(batch, mail);
    }
    store->lazy_since_ms = 0; /* what did not fit has waited long enough */
    return has_new_load;
}

static bool has_work(const struct sqlite_store *store)
{
    return store->queue.first != NULL || store->unfinished.first != NULL;
}

/* May what waits wait longer, for company?  How long, or 0. */
static int lazy_wait_ms(const struct sqlite_store *store)
{
    const uint64_t waited_ms = moment_steady_ms() - store->lazy_since_ms;

    if (store->urgent_count > 0 || store->unfinished.first != NULL || store->is_stopping ||
        waited_ms >= SQLITE_SETTLE_IDLE_MS) {
        return 0;
    }
    return (int)(SQLITE_SETTLE_IDLE_MS - waited_ms);
}

/* Is the disk full?  If not, say so: who refuses early because of the hint would never learn it. */
static bool look_for_room(struct sqlite_store *store)
{
    const bool is_full = sqlite_upkeep_is_full(store);

    hint_trouble(store, is_full ? ERR_STORE_FULL : ERR_OK);
    return is_full;
}

static void work(struct sqlite_store *store)
{
    const int wait_ms = lazy_wait_ms(store);
    struct sqlite_queue batch;
    bool is_full = false;

    if (wait_ms > 0) {
        mailbox_wait(&store->mailbox, wait_ms);
        return;
    }
    if (take_batch(store, &batch) || store_trouble(&store->store) == ERR_STORE_FULL) {
        is_full = look_for_room(store);
    }
    run_batch(store, &batch, is_full);
    if (!store->has_failed) {
        (void)sqlite_upkeep_checkpoint(store, false);
    }
}

static void rest(struct sqlite_store *store)
{
    if (store->has_failed) {
        mailbox_wait(&store->mailbox, -1);
        return;
    }
    if (sqlite_upkeep_checkpoint(store, true) || sqlite_upkeep_shrink(store)) {
        return;
    }
    if (store_trouble(&store->store) == ERR_STORE_FULL) {
        mailbox_wait(&store->mailbox, SQLITE_FULL_LOOK_MS);
        (void)look_for_room(store);
    } else {
        mailbox_wait(&store->mailbox, -1);
    }
}

static void *thread_main(void *context)
{
    struct sqlite_store *store = context;
    struct sqlite_queue none = {.first = NULL};

    (void)pthread_setname_np(pthread_self(), "weir-store");
    for (;;) {
        bool is_copying;

        collect(store);
        is_copying = copy_on(store);
        if (has_work(store)) {
            work(store);
        } else if (store->is_stopping) {
            break;
        } else if (!is_copying) {
            rest(store);
        }
        if (store->failure != SQLITE_OK && !store->has_failed) {
            fail(store, &none); /* between batches: a checkpoint */
        }
    }
    return NULL;
}

/* ---- the engine ---------------------------------------------------------------------------- */

static struct sqlite_store *sqlite_of(struct store *base)
{
    struct sqlite_store *store = CONTAINER_OF(base, struct sqlite_store, store);

    CHECK_MAGIC(store, MAGIC);
    return store;
}

static void sqlite_submit(struct store *base, struct store_op *op)
{
    struct sqlite_store *store = sqlite_of(base);

    op->mail.on_arrival = on_submitted;
    mailbox_send(&store->mailbox, &op->mail);
}

static void sqlite_destroy(struct store *base)
{
    struct sqlite_store *store = sqlite_of(base);

    store->stop.on_arrival = on_submitted;
    mailbox_send(&store->mailbox, &store->stop);
    CHECK(pthread_join(store->thread, NULL) == 0);
    mailbox_clean_up(&store->mailbox);
    if (!store->has_failed) {
        sqlite_upkeep_close(store);
    }
    sqlite_schema_close(store);
    store->magic = 0;
    xfree(store);
}

static struct sqlite_store *store_new(const struct store_options *options)
{
    static const struct store_ops ops = {.submit = sqlite_submit, .destroy = sqlite_destroy};
    struct sqlite_store *store = xcalloc(1, sizeof(*store));

    store->store = (struct store){.ops = &ops, .kind = "embedded", .guarantee = "flushed"};
    store->magic = MAGIC;
    store->bytes_max = options->bytes_max;
    store->archive_bytes_max = options->archive_bytes_max;
    store->reserve_bytes = options->reserve_bytes;
    list_init(&store->touched_lanes);
    list_init(&store->touched_tallies);
    list_init(&store->batch_claims);
    return store;
}

enum err store_sqlite_open(const struct store_options *options, struct store **out,
                           struct err_why *why)
{
    const uint64_t begin_ms = moment_steady_ms();
    struct sqlite_store *store = store_new(options);
    struct store_recovery *recovery = &store->store.recovery;
    enum err err;

    *out = NULL;
    err = sqlite_folder_open(&store->folder, options->folder, why);
    if (err == ERR_OK) {
        err = sqlite_schema_open(store, why);
    }
    if (err != ERR_OK) {
        sqlite_schema_close(store);
        xfree(store);
        return err;
    }
    sqlite_upkeep_open(store);
    recovery->event_count = store->header.event_count;
    recovery->took_ms = moment_steady_ms() - begin_ms;
    log_info("store.open", LOG_SLICE("folder", options->folder),
             LOG_U64("batch", store->header.batch), LOG_U64("bytes_used", store->header.bytes_used),
             LOG_U64("lanes", store->lanes.count), LOG_U64("marks", store->marks.count),
             LOG_U64("recovered_events", recovery->event_count),
             LOG_U64("recovered_deliveries", recovery->delivery_count),
             LOG_U64("recovery_ms", recovery->took_ms));
    mailbox_init(&store->mailbox, NULL);
    CHECK(store_thread_start(&store->thread, thread_main, store) == 0);
    *out = &store->store;
    return ERR_OK;
}
