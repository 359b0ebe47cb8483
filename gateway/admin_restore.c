/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_restore.c - an operator gives a store that lost it the catalog back: POST /v1/restore.
 *
 * The catalog comes from a file of `weir backup --catalog`, or from this gateway's own memory,
 * which outlives its Redis and is newer.  It is put in steps, since one command of that size would
 * hold up everybody.  While the document meta/restoring is there, which the first step makes and
 * the last one takes away, what the store holds counts as nothing: replicas keep what they have in
 * memory, and change nothing.  A restore that was broken off is simply run again.
 *
 * Revisions go on above every one that this gateway or the file knows, so that no replica takes
 * what is put back for known, and no older document of the lost store fits in again.
 *
 * Nothing is restored over a catalog that is in use: the store must hold none of its own, the audit
 * log of refused attempts apart.  And a file that is older than what this gateway remembers would
 * bring back keys that were revoked since, so that has to be asked for by name.
 */
#include "gateway/admin.h"

#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/audit.h"
#include "gateway/catalog_backup.h"
#include "storage/store.h"

enum { STEP_DOCUMENTS = 500, STEP_BYTES = 1 << 20 };

#define UID_NAME "meta/uid"
static const uint64_t uid_jump = (uint64_t)1 << 32; /* more than any catalog draws */

enum stage {
    STAGE_MARK,      /* the store begins to hold a part */
    STAGE_DOCUMENTS, /* which grows */
    STAGE_UNMARK,    /* and is whole */
};

struct restoring {
    struct control *control;
    struct request *request;
    struct arena arena;
    struct catalog_backup backup;
    bool is_from_memory;
    uint64_t
        uid_next; /* what targets and archives get from now on, above all that were ever given */
    uint64_t rev_min;
    struct store_catalog_read read; /* what is there already */
    enum stage stage;
    struct store_document mark;
    struct store_document *documents; /* to put, deletions included, the mark apart */
    size_t document_count;
    size_t done_count;
    struct store_catalog_put put;
    struct catalog_look look;
    struct err_why why;
};

static void restore_end(struct restoring *job, enum err err)
{
    if (err != ERR_OK) {
        log_error("catalog.restore", LOG_ERR(err), LOG_TEXT("why", job->why.text));
        admin_respond_error(job->request, err, &job->why);
    } else {
        log_warn("catalog.restored", LOG_U64("documents", job->backup.document_count),
                 LOG_U64("rev", job->put.rev),
                 LOG_TEXT("from", job->is_from_memory ? "memory" : "file"));
        admin_respond_tree(
            job->request, 200,
            json_pack("{s:I, s:I, s:I, s:s}", "documents", (json_int_t)job->backup.document_count,
                      "rev", (json_int_t)job->put.rev, "at_ms", (json_int_t)job->backup.at_ms,
                      "from", job->is_from_memory ? "memory" : "file"));
    }
    arena_clean_up(&job->arena);
    xfree(job);
}

/* ---- steps -------------------------------------------------------------------------------- */

static void put_next(struct restoring *job);

static void on_read_whole(struct catalog_look *look, enum err err)
{
    struct restoring *job = CONTAINER_OF(look, struct restoring, look);

    if (err != ERR_OK) {
        (void)err_because(err, &job->why,
                          "the catalog is restored, but this gateway could not read it: %s",
                          err_text(err));
    }
    restore_end(job, err);
}

static void on_put(struct store_op *op)
{
    struct restoring *job = CONTAINER_OF(op, struct restoring, put.op);

    if (op->err != ERR_OK || control_store(job->control) == NULL) {
        const enum err err = op->err != ERR_OK ? op->err : ERR_STOPPING;

        restore_end(job, err_because(err, &job->why,
                                     "broken off after %zu of %zu documents: %s; run it again",
                                     job->done_count, job->document_count, err_text(err)));
        return;
    }
    switch (job->stage) {
    case STAGE_MARK:
        job->mark.rev = job->put.rev;
        job->stage = STAGE_DOCUMENTS;
        put_next(job);
        break;
    case STAGE_DOCUMENTS:
        job->done_count += job->put.document_count;
        put_next(job);
        break;
    case STAGE_UNMARK:
        job->look.on_done = on_read_whole;
        control_look_whole(job->control, &job->look);
        break;
    }
}

static void put(struct restoring *job, const struct store_document *documents, size_t count)
{
    job->put = (struct store_catalog_put){
        .op = {.kind = STORE_CATALOG_PUT, .home = control_mailbox(job->control), .on_done = on_put},
        .documents = documents,
        .document_count = count,
        .rev_min = job->rev_min,
    };
    store_submit(control_store(job->control), &job->put.op);
}

static void put_next(struct restoring *job)
{
    const struct store_document *first = &job->documents[job->done_count];
    const size_t left = job->document_count - job->done_count;
    size_t count = 0;
    size_t bytes = 0;

    if (left == 0) {
        job->stage = STAGE_UNMARK;
        job->mark.value = (struct slice){NULL, 0};
        put(job, &job->mark, 1);
        return;
    }
    while (count < MIN_OF(left, (size_t)STEP_DOCUMENTS) && (count == 0 || bytes < STEP_BYTES)) {
        bytes += first[count].value.len;
        count++;
    }
    put(job, first, count);
}

/* ---- what is there, and what is to be ----------------------------------------------------- */

static bool is_of_the_gateway_alone(struct slice name)
{
    return audit_owns(name) || slice_has_prefix(name, SLICE("meta/"));
}

static enum err check_is_lost(const struct store_catalog_read *read, struct err_why *why)
{
    if (catalog_restore_state(read->documents, read->document_count) == CATALOG_RESTORE_UNDER_WAY) {
        return ERR_OK; /* one that was broken off */
    }
    for (size_t i = 0; i < read->document_count; i++) {
        if (!is_of_the_gateway_alone(read->documents[i].name)) {
            return err_because(ERR_CONFLICT, why,
                               "the store has a catalog (%.*s): nothing is restored over it",
                               SLICE_ARG(read->documents[i].name));
        }
    }
    return ERR_OK;
}

/* What was owed outlives the catalog: deliveries and archives name their targets and rules by uid,
 * so one that was drawn after the backup must not be given to another. */
static void plan_uids(struct restoring *job, const struct map *present, struct map *wanted)
{
    const struct slice name = SLICE(UID_NAME);
    const struct store_document *old = map_get(present, name);
    struct store_document *document = NULL;

    for (size_t i = 0; i < job->document_count && document == NULL; i++) {
        document = slice_eq(job->documents[i].name, name) ? &job->documents[i] : NULL;
    }
    if (document == NULL) {
        document = &job->documents[job->document_count++];
        *document = (struct store_document){.name = name, .rev = old != NULL ? old->rev : 0};
        (void)map_put(wanted, name, job);
    }
    document->value =
        arena_printf(&job->arena, "{\"manager\":\"weir\",\"next\":%" PRIu64 "}", job->uid_next);
}

/* Every document of the backup on top of what is there, and what is there beside them away. */
static void plan(struct restoring *job)
{
    const struct store_catalog_read *read = &job->read;
    struct map present = {0};
    struct map wanted = {0};
    char mark[1] = {1};

    job->documents = ARENA_ARRAY(&job->arena, struct store_document,
                                 job->backup.document_count + read->document_count + 1);
    for (size_t i = 0; i < read->document_count; i++) {
        (void)map_put(&present, read->documents[i].name, &read->documents[i]);
    }
    for (size_t i = 0; i < job->backup.document_count; i++) {
        const struct store_document *old = map_get(&present, job->backup.documents[i].name);

        (void)map_put(&wanted, job->backup.documents[i].name, mark);
        job->documents[job->document_count] = job->backup.documents[i];
        job->documents[job->document_count++].rev = old != NULL ? old->rev : 0;
    }
    plan_uids(job, &present, &wanted);
    for (size_t i = 0; i < read->document_count; i++) {
        const struct store_document *old = &read->documents[i];

        if (slice_eq(old->name, SLICE(CATALOG_RESTORING))) {
            job->mark.rev = old->rev;
        } else if (map_get(&wanted, old->name) == NULL) {
            job->documents[job->document_count++] = (struct store_document){
                .name = arena_copy(&job->arena, old->name), .rev = old->rev};
        }
    }
    map_clean_up(&wanted);
    map_clean_up(&present);
    job->mark.name = SLICE(CATALOG_RESTORING);
    job->mark.value = arena_printf(&job->arena, "{\"since_ms\":%" PRIu64 "}", moment_now_ms());
    job->rev_min = MAX_OF(job->rev_min, read->rev) + 1;
}

static void on_read(struct store_op *op)
{
    struct restoring *job = CONTAINER_OF(op, struct restoring, read.op);
    enum err err = op->err;

    if (err == ERR_OK) {
        err = check_is_lost(&job->read, &job->why);
    } else {
        (void)err_because(err, &job->why, "the store cannot be read: %s", err_text(err));
    }
    if (err == ERR_OK && control_store(job->control) == NULL) {
        err = ERR_STOPPING;
    }
    if (err == ERR_OK) {
        plan(job);
    }
    store_catalog_read_clean_up(&job->read);
    if (err != ERR_OK) {
        restore_end(job, err);
    } else {
        put(job, &job->mark, 1);
    }
}

/* ---- from where --------------------------------------------------------------------------- */

static bool knows_a_catalog(const struct catalog *catalog)
{
    const struct catalog_document *document;
    size_t cursor = 0;

    while ((document = map_next(&catalog->documents, &cursor)) != NULL) {
        if (!is_of_the_gateway_alone(slice_of(document->name)) && !document->is_absent) {
            return true;
        }
    }
    return false;
}

static uint64_t uid_of(const json_t *counter)
{
    return (uint64_t)json_integer_value(json_object_get(counter, "next"));
}

/* Above what the backup and this gateway know, with room for what neither does. */
static uint64_t choose_uid(const struct restoring *job, const struct catalog *catalog)
{
    const struct catalog_document *known = catalog_get(catalog, SLICE(UID_NAME));
    uint64_t most = known != NULL ? uid_of(known->value) : 1;

    for (size_t i = 0; i < job->backup.document_count; i++) {
        const struct store_document *document = &job->backup.documents[i];

        if (slice_eq(document->name, SLICE(UID_NAME))) {
            json_t *counter = json_loadb(document->value.data, document->value.len, 0, NULL);

            most = MAX_OF(most, uid_of(counter));
            json_decref(counter);
        }
    }
    return most + uid_jump;
}

/* One way for both: memory is written down and read back. */
static enum err take_backup(struct restoring *job, const char *path, bool may_be_older)
{
    const struct catalog *catalog = control_catalog(job->control);
    const uint8_t *seal_key = control_seal_key(job->control);
    struct buf text;
    enum err err = ERR_OK;

    if (path == NULL && !knows_a_catalog(catalog)) {
        return err_because(ERR_NOT_FOUND, &job->why,
                           "this gateway remembers no catalog: name a file of `weir backup "
                           "--catalog`, or ask a replica that was not restarted");
    }
    buf_init(&text, CATALOG_BACKUP_BYTES_MAX);
    err = path != NULL ? file_read(path, &text, &job->why)
                       : catalog_backup_write(catalog, seal_key, moment_now_ms(), &text);
    if (err == ERR_OK) {
        err = catalog_backup_read(buf_slice(&text), seal_key, &job->arena, &job->backup, &job->why);
    }
    buf_clean_up(&text);
    job->rev_min = MAX_OF(job->backup.rev, MAX_OF(catalog->rev, catalog->own_rev));
    job->uid_next = choose_uid(job, catalog);
    if (err == ERR_OK && job->rev_min > job->backup.rev && knows_a_catalog(catalog) &&
        !may_be_older) {
        return err_because(ERR_CONFLICT, &job->why,
                           "this gateway remembers a newer catalog (revision %" PRIu64
                           ", the file has %" PRIu64 "): leave out the file to restore that one; "
                           "an older one brings back what was revoked since",
                           job->rev_min, job->backup.rev);
    }
    return err;
}

/* `*path` is NULL where none is named; else of `body`. */
static enum err read_wish(const json_t *body, const char **path, bool *may_be_older,
                          struct err_why *why)
{
    const json_t *path_member = json_object_get(body, "path");
    const json_t *older = json_object_get(body, "older");
    const size_t known = (path_member != NULL ? 1U : 0U) + (older != NULL ? 1U : 0U);

    *path = json_string_value(path_member);
    *may_be_older = json_is_true(older);
    if (!json_is_object(body) || json_object_size(body) != known ||
        (older != NULL && !json_is_boolean(older)) ||
        (path_member != NULL && (*path == NULL || (*path)[0] != '/'))) {
        return err_because(ERR_BAD_REQUEST, why,
                           "the body may have `path`, an absolute path, and `older`, a boolean");
    }
    return ERR_OK;
}

void admin_restore(struct admin_call *call)
{
    struct restoring *job = xcalloc(1, sizeof(*job));
    const struct slice text =
        call->request->body.len > 0 ? buf_slice(&call->request->body) : SLICE("{}");
    json_t *body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    const char *path;
    bool may_be_older;
    enum err err = read_wish(body, &path, &may_be_older, &job->why);

    job->control = call->control;
    job->request = call->request;
    if (err == ERR_OK) {
        job->is_from_memory = path == NULL;
        err = take_backup(job, path, may_be_older);
    }
    json_decref(body);
    if (err != ERR_OK) {
        restore_end(job, err);
        return;
    }
    job->read.op = (struct store_op){
        .kind = STORE_CATALOG_READ, .home = control_mailbox(call->control), .on_done = on_read};
    store_submit(control_store(call->control), &job->read.op);
}
