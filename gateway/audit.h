/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h - what was done to this gateway, by whom, from where, and what came of it.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/seal.h"
#include "gateway/catalog.h"

enum {
    AUDIT_ACTOR_CHARS_MAX = 48,
    AUDIT_FROM_CHARS_MAX = 64,
    AUDIT_ACTION_CHARS_MAX = 64,
    AUDIT_OBJECT_CHARS_MAX = 128,
    AUDIT_MESSAGE_CHARS_MAX = 160,
};

/* Who does what, known before it is done.  Without an action it is nobody's act. */
struct audit_note {
    char actor[AUDIT_ACTOR_CHARS_MAX + 1];   /* "operator", the id of a credential, "apply:NAME" */
    char from[AUDIT_FROM_CHARS_MAX + 1];     /* address of the peer */
    char action[AUDIT_ACTION_CHARS_MAX + 1]; /* "PutRule", "POST /v1/backup" */
    char object[AUDIT_OBJECT_CHARS_MAX + 1];
};

/* Fill a member of a note: cut to its room, and what is no printable ASCII becomes `?`. */
void audit_fill(char *member, size_t size, struct slice text);

struct audit_options {
    const uint8_t *seal_key; /* SEAL_KEY_BYTES: the chain is keyed by it */
    uint64_t records_max;    /* kept; 1 or more */
    uint64_t now_ms;
};

/* Add the record of an act to `edit`, which holds what the act changes (or nothing), so that the
 * store takes both in one step or neither.  Of two acts at the same place in the chain the store
 * refuses the later: it is to be planned again.  Returns the record's place. */
uint64_t audit_add(struct catalog_edit *edit, const struct catalog *catalog,
                   const struct audit_options *options, const struct audit_note *note,
                   enum err result, const char *message);

/* Of an edit that is stored: log the new end of the chain, if it has one, so that whoever keeps the
 * logs elsewhere can tell a store that was put back to an earlier state. */
void audit_log_end(const struct catalog_edit *edit);

/* Is this the name of a document of the log? */
bool audit_owns(struct slice name);

/* The newest `count_max` records before place `before` (0: from the end), newest first:
 * {"records":[…],"next":PLACE}; the caller's reference. */
json_t *audit_list(const struct catalog *catalog, uint64_t before, size_t count_max);

/* Look at all documents of a store: {"verified":BOOL,"records":N,"first":N,"last":N,
 * "mistakes":[{"record":N,"problem":"…"}]}, of which there are at most AUDIT_MISTAKES_MAX; the
 * caller's reference.  `known` is what this process knows: a log that ends before it has lost its
 * end. */
enum { AUDIT_MISTAKES_MAX = 100 };
json_t *audit_verify(const struct store_document *documents, size_t count,
                     const struct catalog *known, const uint8_t seal_key[static SEAL_KEY_BYTES]);
