/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h - the listener of operators and of the command line, on the control thread.
 */
#pragma once

#include <ev.h>

#include "core/err.h"
#include "core/json_write.h"
#include "gateway/control.h"
#include "gateway/request.h"

struct admin;

/* Open the admin listener of the configuration.  Makes STATE/admin.token (0600) at first start. */
MUST_USE enum err admin_open(struct control *control, struct ev_loop *loop, struct admin **admin,
                             struct err_why *why);
/* NULL is fine. */
void admin_close(struct admin *admin);

/* One request that an operator sent, as its handler sees it. */
struct admin_call {
    struct control *control;
    struct request *request;
    struct slice rest; /* what the route's `*` stood for */
    uint64_t started_ms;
};

/* A parameter of the query, percent-decoded in the request's arena; empty if absent. */
struct slice admin_parameter(const struct admin_call *call, struct slice name);
/* Part of a path, percent-decoded likewise. */
struct slice admin_decode(const struct admin_call *call, struct slice text);
/* Answer 200 with this JSON; the bytes are copied. */
void admin_respond_json(struct request *request, struct slice json);
/* Answer {"error":{"code","message"}}; `why` may be NULL or empty. */
void admin_respond_error(struct request *request, enum err err, const struct err_why *why);

/* The handlers, by file. */
void admin_catalog_export(struct admin_call *call);
void admin_catalog_apply(struct admin_call *call);
void admin_account_list(struct admin_call *call);
void admin_account_show(struct admin_call *call);
void admin_account_suspend(struct admin_call *call);
void admin_account_resume(struct admin_call *call);
void admin_credential_issue(struct admin_call *call);
void admin_credential_revoke(struct admin_call *call);
void admin_stats_all(struct admin_call *call);
void admin_stats_part(struct admin_call *call);
void admin_stats_metrics(struct admin_call *call);
void admin_trace(struct admin_call *call);
void admin_dead_list(struct admin_call *call);
void admin_dead_redrive(struct admin_call *call);
void admin_dead_drop(struct admin_call *call);
void admin_backup(struct admin_call *call);
