/* SPDX-License-Identifier: Apache-2.0
 *
 * api_owned.h - what an account owns under a name alone: connections and API destinations.
 *
 * The service's calls name one of the caller's own.  weir takes its ARN too, with the UUID or
 * without, so that an operator can manage those of every account.
 */
#pragma once

#include "gateway/api_call.h"

/* How a kind is spelled, and spoken of. */
struct api_owned_kind {
    const char *arn_kind;      /* "api-destination" */
    const char *document_kind; /* "api_destination" */
    const char *section;       /* of the catalog's file */
    const char *list;          /* in the answer of its list */
    const char *plural;        /* in messages */
    const char *one;
};
extern const struct api_owned_kind api_connection_kind;
extern const struct api_owned_kind api_destination_kind;

/* One that the caller may manage. In the call's arena or its input. */
struct api_owned {
    const struct api_owned_kind *kind;
    struct slice account;
    struct slice name;
    struct slice document_name;
    const struct catalog_document *document; /* NULL: it does not exist */
};

/* The one that `text` names, there or not.  AccessDeniedException for another account's unless an
 * operator calls, before it is known whether it exists; ValidationException for an ARN of something
 * else. */
MUST_USE enum err api_owned_look(struct api_call *call, const struct catalog *catalog,
                                 const struct api_owned_kind *kind, const char *parameter,
                                 struct slice text, struct api_owned *owned);
/* The same, or ResourceNotFoundException. */
MUST_USE enum err api_owned_find(struct api_call *call, const struct catalog *catalog,
                                 const struct api_owned_kind *kind, const char *parameter,
                                 struct slice text, struct api_owned *owned);
/* The one that the member Name names, to be made: ResourceAlreadyExistsException,
 * LimitExceededException, ResourceNotFoundException for an account that the catalog lacks. */
MUST_USE enum err api_owned_begin(struct api_call *call, const struct catalog *catalog,
                                  const struct api_owned_kind *kind, struct api_owned *owned);
/* The one that the member Name names, to be changed: AccessDeniedException for what somebody else
 * manages. */
MUST_USE enum err api_owned_change(struct api_call *call, const struct catalog *catalog,
                                   const struct api_owned_kind *kind, struct api_owned *owned);
/* Put `document` (the caller's reference) as it, checked.  ValidationException. */
MUST_USE enum err api_owned_put(struct api_call *call, const struct catalog *catalog,
                                const struct api_owned *owned, json_t *document,
                                struct catalog_edit *edit);

struct slice api_owned_arn(struct api_call *call, const struct api_owned_kind *kind,
                           const json_t *document);
/* Put a moment of the document ("created_ms") into an answer, as seconds, if it is there. */
void api_owned_put_time(json_t *answer, const char *member, const json_t *document,
                        const char *key);

/* The caller's own of one kind, a page of them: those whose name has NamePrefix and that `shows`
 * gives an answer for (the caller's reference); NULL leaves one out. */
typedef json_t *(*api_owned_show_fn)(struct api_call *call, const struct catalog *catalog,
                                     const json_t *document);
MUST_USE enum err api_owned_list(struct api_call *call, const struct catalog *catalog,
                                 const struct api_owned_kind *kind, api_owned_show_fn show);
