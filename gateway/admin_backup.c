/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_backup.c - an operator asks for a copy of the store: POST /v1/backup {"path": "/abs"}.
 *
 * The file is made by the gateway, with the gateway's rights, at a path that must be new; the
 * answer comes when the copy is flushed, however long that takes, and traffic goes on meanwhile.
 */
#include "gateway/admin.h"

#include <jansson.h>

#include "core/check.h"
#include "core/moment.h"
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
static enum err read_path(struct request *request, struct slice *path, struct err_why *why)
{
    json_t *body = json_loadb(request->body.data != NULL ? request->body.data : "",
                              request->body.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *member = json_object_get(body, "path");
    const bool is_fit = json_object_size(body) == 1 && json_is_string(member) &&
                        json_string_value(member)[0] == '/';

    if (is_fit) {
        *path = arena_copy(&request->arena,
                           (struct slice){json_string_value(member), json_string_length(member)});
    }
    json_decref(body);
    return is_fit
               ? ERR_OK
               : err_because(ERR_BAD_REQUEST, why, "the body must be {\"path\": an absolute path}");
}

void admin_backup(struct admin_call *call)
{
    struct err_why why = {.text = ""};
    struct slice path = {NULL, 0};
    struct backing_up *job;
    const enum err err = read_path(call->request, &path, &why);

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
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
