/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_audit.c - operators read the audit log, and have it verified.
 *
 * The list is what this process knows.  To verify, the store is read anew: what was changed behind
 * weir's back is on the disk, not in this process's memory.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "storage/store.h"

enum { RECORDS_PAGE_DEFAULT = 100, RECORDS_PAGE_MAX = 1000 };

void admin_audit_list(struct admin_call *call)
{
    const struct slice limit = admin_parameter(call, SLICE("limit"));
    const struct slice next = admin_parameter(call, SLICE("next"));
    uint64_t count_max = RECORDS_PAGE_DEFAULT;
    uint64_t before = 0;
    struct err_why why;

    if ((limit.len > 0 && (!slice_to_u64(limit, &count_max) || count_max == 0)) ||
        (next.len > 0 && !slice_to_u64(next, &before))) {
        admin_respond_error(
            call->request,
            err_because(ERR_BAD_REQUEST, &why, "limit and next: must be numbers of at least 1"),
            &why);
        return;
    }
    admin_respond_tree(call->request, 200,
                       audit_list(control_catalog(call->control), before,
                                  (size_t)MIN_OF(count_max, (uint64_t)RECORDS_PAGE_MAX)));
}

struct verification {
    struct store_catalog_read read;
    struct control *control;
    struct request *request;
};

static void on_read(struct store_op *op)
{
    struct verification *job = CONTAINER_OF(op, struct verification, read.op);

    if (op->err != ERR_OK) {
        admin_respond_error(job->request, op->err, NULL);
    } else {
        admin_respond_tree(job->request, 200,
                           audit_verify(job->read.documents, job->read.document_count,
                                        control_catalog(job->control),
                                        control_seal_key(job->control)));
        store_catalog_read_clean_up(&job->read);
    }
    xfree(job);
}

void admin_audit_verify(struct admin_call *call)
{
    struct verification *job = xcalloc(1, sizeof(*job));

    job->control = call->control;
    job->request = call->request;
    job->read.op = (struct store_op){
        .kind = STORE_CATALOG_READ, .home = control_mailbox(call->control), .on_done = on_read};
    store_submit(control_store(call->control), &job->read.op);
}
