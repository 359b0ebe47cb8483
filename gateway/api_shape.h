/* SPDX-License-Identifier: Apache-2.0
 *
 * api_shape.h - what the input of an action looks like, as a table, and the words for what does not
 * fit it.
 *
 * The tables are those of the service's own API model: member, type, required or not, bounds and
 * the regular expression as its messages quote it.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/slice.h"

enum api_type {
    API_TEXT,
    API_SECRET, /* a text that no message quotes */
    API_NUMBER,
    API_MOMENT, /* seconds, possibly with a fraction */
    API_BOOL,
    API_OBJECT,
    API_OBJECTS,  /* a list */
    API_TEXTS,    /* a list; the bounds are those of each text */
    API_TEXT_MAP, /* the bounds are those of each value */
};

/* What a text may consist of. */
enum api_charset {
    API_ANY_CHARS,
    API_NAME_CHARS, /* of rules, targets, archives ... */
    API_BUS_CHARS,  /* the name of a bus as CreateEventBus takes it */
    API_BUS_OR_ARN, /* a bus's name or ARN */
    API_RULE_STATE, /* an enumeration, as are those of archives and replays */
    API_ARCHIVE_STATE,
    API_REPLAY_STATE,
    API_STATEMENT_CHARS, /* of permissions */
    API_ACTION_CHARS,
    API_PRINCIPAL_CHARS,
    API_NAME_OR_ARN, /* of what an account owns; an ARN may be 1600 long */
    API_CONNECTION_ARN,
    API_CONNECTION_STATE, /* enumerations */
    API_AUTHORIZATION_TYPE,
    API_HTTP_METHOD,
    API_OAUTH_METHOD,
    API_URL_CHARS,
    API_AUTH_CHARS, /* of what authorizes: no colon, no control character */
    API_HEADER_NAME,
    API_HEADER_VALUE,
    API_PLAIN_CHARS, /* no control character */
    API_NOT_BLANK,
};

struct api_member {
    const char *name; /* as on the wire; NULL ends a table */
    enum api_type type;
    bool is_required;
    uint64_t min; /* characters, items of a list of objects, or the number itself */
    uint64_t max;
    enum api_charset charset;
    const struct api_member *members; /* of objects */
};

/* Rows that many tables have. */
/* clang-format off */
#define API_BUS_MEMBER   {"EventBusName", API_TEXT, false, 1, 1600, API_BUS_OR_ARN, NULL}
#define API_PAGE_MEMBERS {"NextToken", API_TEXT, false, 1, 2048, API_ANY_CHARS, NULL}, \
                         {"Limit", API_NUMBER, false, 1, 100, API_ANY_CHARS, NULL}
#define API_MEMBERS_END  {NULL, API_TEXT, false, 0, 0, API_ANY_CHARS, NULL}
/* clang-format on */

/* Does `input` have this shape?  ERR_BAD_JSON for a value of another JSON type, with one sentence
 * in `why`; ERR_BAD_REQUEST for broken constraints, all of them listed as the service lists them.
 * Members that the table does not have, and nulls, are passed over. */
MUST_USE enum err api_shape_check(const json_t *input, const struct api_member *members,
                                  struct err_why *why);
