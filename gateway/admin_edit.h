/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_edit.h - a change of one document that an operator asked for, from request to answer.
 */
#pragma once

#include "gateway/admin.h"
#include "storage/store.h"

struct admin_edit {
    struct control_change change; /* .why: of an error, also before it is submitted */
    struct control *control;
    struct request *request;
    /* Fill `changes`; `old` is the document of `name`, NULL if there is none.  May run again. */
    enum err (*plan)(struct admin_edit *edit, const struct catalog *catalog,
                     const struct catalog_document *old, struct catalog_edit *changes);
    /* The answer, once the change is in force; NULL: `secret`, else `answer`. */
    json_t *(*describe)(struct admin_edit *edit, const struct catalog *catalog);
    struct slice name; /* of the document; in the request's arena */
    char manager[CATALOG_MANAGER_CHARS_MAX + 1];
    bool is_by_operator;
    bool takes_over; /* what another manager made */
    bool must_exist;
    bool has_condition;  /* If-Match: */
    bool matches_any;    /* any revision, */
    uint64_t wanted_rev; /* or this one */
    json_t *value;       /* owned */
    json_t *answer;      /* owned */
    struct buf secret;   /* an answer that is to be wiped */
    bool sets_suspension;
    bool is_suspended;
    bool tells_debts; /* add to the answer what the account of `debtor` still owes */
    struct slice debtor;
    struct store_tally tally;
};

/* "account/ID" of the route's account, in the request's arena. */
struct slice admin_account_name(const struct admin_call *call);
/* An account as it may be shown, credentials included and nothing that makes them secret; the
 * caller's reference. */
json_t *admin_account_describe(struct control *control, const struct catalog_document *account);
/* A credential that opens more than its own account's door. */
bool admin_credential_is_for_operators(const json_t *credential);
/* Begin one.  If-Match is read here; what is wrong with it comes out at admin_edit_submit(). */
struct admin_edit *
admin_edit_new(struct admin_call *call, struct slice name,
               enum err (*plan)(struct admin_edit *edit, const struct catalog *catalog,
                                const struct catalog_document *old, struct catalog_edit *changes));
/* The body, a JSON object, into `value`. */
MUST_USE enum err admin_edit_read_body(struct admin_edit *edit);
/* Carry it out and answer, or answer with `err` and edit->change.why.  The edit is gone then. */
void admin_edit_submit(struct admin_edit *edit, enum err err);
/* ETag: the revision. */
void admin_edit_set_tag(struct request *request, uint64_t rev);
