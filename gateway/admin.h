/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h - the listener of operators and of the command line, on the control thread.
 */
#pragma once

#include <ev.h>
#include <jansson.h>

#include "core/err.h"
#include "core/json_write.h"
#include "gateway/admin_access.h"
#include "gateway/control.h"
#include "gateway/request.h"

struct admin;

/* Open the admin listener of the configuration. */
MUST_USE enum err admin_open(struct control *control, struct ev_loop *loop, struct admin **admin,
                             struct err_why *why);
/* NULL is fine. */
void admin_close(struct admin *admin);

/* An act of an operator: what is to be recorded of it before its answer leaves. */
struct admin_act {
    struct control *control;
    struct request *request;
    const struct request_ops *ops; /* of the protocol below */
    struct audit_note note;
    enum err result;
    bool is_recorded; /* with what it changed */
};
/* The act that a request is; NULL where it only reads. */
struct admin_act *admin_act_of(const struct request *request);
/* The act's note for a change, which is recorded with it; tell the act when it was. */
void admin_act_lend(const struct request *request, struct control_change *change);
void admin_act_take_back(const struct request *request, const struct control_change *change);

/* One request that an operator sent, as its handler sees it. */
struct admin_call {
    struct control *control;
    struct request *request;
    struct slice rest; /* what the route's `*` stood for */
    struct admin_caller caller;
    uint64_t started_ms;
};

/* A parameter of the query, percent-decoded in the request's arena; empty if absent. */
struct slice admin_parameter(const struct admin_call *call, struct slice name);
/* Is the value of a parameter "true" or "1"? */
bool admin_is_on(struct slice value);
/* Part of a path, percent-decoded likewise. */
struct slice admin_decode(const struct admin_call *call, struct slice text);
/* Answer 200 with this JSON; the bytes are copied. */
void admin_respond_json(struct request *request, struct slice json);
/* Answer {"error":{"code","message"}}; `why` may be NULL or empty. */
void admin_respond_error(struct request *request, enum err err, const struct err_why *why);

/* Answer with this tree, whose reference is taken. */
void admin_respond_tree(struct request *request, unsigned status, json_t *tree);

/* The handlers: one for each row of the table. */
#define ROUTE(method, path, right, handler, sentence) void handler(struct admin_call *call);
#include "gateway/admin_routes.def"
#undef ROUTE
