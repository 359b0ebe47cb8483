/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_backup.c - an operator asks for a copy of the store: POST /v1/backup {"path": "/abs"}, or
 * of the catalog alone, with `"catalog": true`, which any store has.
 *
 * The file is made by the gateway, with the gateway's rights, at a path that must be new; the
 * answer comes when the copy is flushed, however long that takes, and traffic goes on meanwhile.
 */
#include "gateway/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "core/check.h"
#include "core/file.h"
#include "core/moment.h"
#include "gateway/catalog_backup.h"
#include "storage/store.h"

struct backing_up {
    struct store_backup backup;
    struct request *request;
    uint64_t started_ms; /* steady clock */
};

static void on_backed_up(struct store_op *op)
{
    struct backing_up *job = CONTAINER_OF(op, struct backing_up, backup.op);
    char text[96];

    if (op->err == ERR_OK) {
        (void)snprintf(text, sizeof(text), "{\"bytes\":%" PRIu64 ",\"took_ms\":%" PRIu64 "}",
                       job->backup.bytes, moment_steady_ms() - job->started_ms);
        admin_respond_json(job->request, slice_of(text));
    } else {
        admin_respond_error(job->request, op->err, &job->backup.why);
    }
    xfree(job);
}

/* The path of the body, in the request's arena. */
static enum err read_body(struct request *request, struct slice *path, bool *is_catalog,
                          struct err_why *why)
{
    json_t *body = json_loadb(request->body.data != NULL ? request->body.data : "",
                              request->body.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *member = json_object_get(body, "path");
    const json_t *catalog = json_object_get(body, "catalog");
    const bool is_fit = json_object_size(body) == (catalog != NULL ? 2 : 1) &&
                        (catalog == NULL || json_is_boolean(catalog)) && json_is_string(member) &&
                        json_string_value(member)[0] == '/';

    *is_catalog = json_is_true(catalog);

    if (is_fit) {
        *path = arena_copy(&request->arena,
                           (struct slice){json_string_value(member), json_string_length(member)});
    }
    json_decref(body);
    return is_fit
               ? ERR_OK
               : err_because(ERR_BAD_REQUEST, why,
                             "the body must have `path`, an absolute path, and may have `catalog`, "
                             "a boolean");
}

/* Written under its own name at once, which must be new, and filled in one step. */
static enum err write_new(const char *path, struct slice text, struct err_why *why)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum err err;

    if (fd < 0) {
        return err_because(ERR_SYSTEM, why, "%s: %s", path, strerror(errno));
    }
    (void)close(fd);
    err = file_write_private(path, text, why);
    if (err != ERR_OK) {
        (void)unlink(path);
    }
    return err;
}

static void back_up_catalog(const struct admin_call *call, struct slice path)
{
    const uint64_t started_ms = moment_steady_ms();
    struct err_why why = {.text = ""};
    struct buf text;
    char answer[96];
    enum err err;

    buf_init(&text, CATALOG_BACKUP_BYTES_MAX);
    err = catalog_backup_write(control_catalog(call->control), control_seal_key(call->control),
                               moment_now_ms(), &text);
    if (err == ERR_OK) {
        err = write_new(arena_cstr(&call->request->arena, path), buf_slice(&text), &why);
    }
    if (err == ERR_OK) {
        (void)snprintf(answer, sizeof(answer), "{\"bytes\":%zu,\"took_ms\":%" PRIu64 "}", text.len,
                       moment_steady_ms() - started_ms);
        admin_respond_json(call->request, slice_of(answer));
    } else {
        admin_respond_error(call->request, err, &why);
    }
    buf_clean_up(&text);
}

void admin_backup(struct admin_call *call)
{
    struct err_why why = {.text = ""};
    struct slice path = {NULL, 0};
    struct backing_up *job;
    bool is_catalog;
    const enum err err = read_body(call->request, &path, &is_catalog, &why);

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
        return;
    }
    if (is_catalog) {
        back_up_catalog(call, path);
        return;
    }
    job = xcalloc(1, sizeof(*job));
    job->request = call->request;
    job->started_ms = moment_steady_ms();
    job->backup = (struct store_backup){
        .op = {.kind = STORE_BACKUP,
               .home = control_mailbox(call->control),
               .on_done = on_backed_up},
        .path = path,
    };
    store_submit(control_store(call->control), &job->backup.op);
}
