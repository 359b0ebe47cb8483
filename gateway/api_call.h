/* SPDX-License-Identifier: Apache-2.0
 *
 * api_call.h - one call that reads or changes the catalog by the EventBridge API.
 *
 * It is taken by a worker, which proves the caller and checks the input's shape, goes to control's
 * thread by mail, acts there, and comes home with an answer.
 */
#pragma once

#include "gateway/api_shape.h"
#include "gateway/audit.h"
#include "gateway/catalog.h"
#include "gateway/ingest.h"
#include "storage/store_archive.h"

struct api_call;

enum api_action_kind {
    API_COMPUTES, /* looks at its input only; runs where the request came in */
    API_READS,
    API_READS_SIZES, /* and what the store holds of each archive: call->sizes */
    API_CHANGES,
};

struct api_action {
    struct slice name;              /* "PutRule" */
    const struct api_member *input; /* first the object: a rule, a bus, an ARN */
    /* Read the catalog and, if it changes, fill `edit`; both are NULL when it computes, `edit` when
     * it reads.  Fills call->output; an error comes from api_fail().  May run again, from the
     * start, when another change was faster. */
    enum err (*act)(struct api_call *call, const struct catalog *catalog,
                    struct catalog_edit *edit);
    enum api_action_kind kind;
};

/* Who calls, copied from the principal: the snapshot may change meanwhile. */
struct api_caller {
    char credential[AUDIT_ACTOR_CHARS_MAX + 1];
    char peer[AUDIT_FROM_CHARS_MAX + 1];
    char account[ACCOUNT_ID_CHARS + 1];
    bool is_operator; /* may manage every account's buses and the central one */
    char manager[CATALOG_MANAGER_CHARS_MAX + 1]; /* of what it makes: api:ACCOUNT, api:operator */
};

struct api_call {
    struct api_caller caller;
    struct slice action; /* "PutRule" */
    const struct config *config;
    const uint8_t *seal_key;                 /* for secrets that a document keeps */
    const json_t *input;                     /* as action->input says */
    bool may_ask_lists;                      /* header x-weir-extensions: in-list */
    const struct partner_lists *lists;       /* those in force, where it computes; else NULL */
    const struct store_archive_sizes *sizes; /* of API_READS_SIZES */
    struct arena arena;                      /* for the whole call */
    json_t *output;                          /* NULL: {} */
};

/* The call's answer is HTTP 400 with this code, such as "ResourceNotFoundException", and message.
 * Returns ERR_BAD_REQUEST, so that `return api_fail(…)` reads as one step. */
enum err api_fail(struct api_call *call, const char *code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A member of the input: a text (empty if absent), a number, or a bool. */
struct slice api_text(const struct api_call *call, const char *member);
bool api_flag(const struct api_call *call, const char *member);
uint64_t api_number(const struct api_call *call, const char *member, uint64_t fallback);
/* Put a text into the output, or leave it out when it is empty. */
void api_put_text(json_t *object, const char *member, struct slice text);
/* Put a moment into the output, in seconds; 0: leave it out. */
void api_put_moment(json_t *object, const char *member, uint64_t ms);
/* Make `key` of a document what the input's `member` says: absent changes nothing, an empty text
 * takes it away. */
void api_change_text(const struct api_call *call, const char *member, json_t *document,
                     const char *key);
/* ValidationException for the first of these members that the input has: weir does not offer it,
 * and does not forget it either. */
MUST_USE enum err api_refuse_members(struct api_call *call, const char *const *members,
                                     size_t count);

/* Calls of one worker, and how many may be open at once. */
struct api_desk;
struct control;
struct api_desk *api_desk_new(struct control *control, struct mailbox *home,
                              const struct config *config);
void api_desk_destroy(struct api_desk *desk);
/* No call is under way. */
bool api_desk_is_idle(const struct api_desk *desk);
/* Take a proven request: answers it, now or later.  `lists` are those in force. */
void api_desk_take(struct api_desk *desk, struct request *request,
                   const struct principal *principal, const struct partner_lists *lists,
                   const struct api_action *action);
