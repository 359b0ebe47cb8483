/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.h - the control thread's copy of everything configured at run time.
 *
 * The store holds the truth as versioned documents; this is that truth in memory.  A document is
 * named "kind/key": account/ID, credential/ID, bus/ACCOUNT/NAME, rule/BUS/NAME (BUS is `central`
 * or ACCOUNT/NAME), schedule/NAME, archive/OWNER/NAME (OWNER is `central` or the account of its
 * bus), replay/OWNER/NAME, connection/ACCOUNT/NAME, api_destination/ACCOUNT/NAME, list/NAME,
 * meta/uid. Beside what its owner wrote, each holds its `manager`.
 */
#pragma once

#include <jansson.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/map.h"
#include "core/slice.h"
#include "gateway/catalog_index.h"
#include "storage/store.h"

enum {
    CATALOG_NAME_CHARS_MAX = 1800,
    CATALOG_MANAGER_CHARS_MAX = 64,
    CATALOG_DOCUMENT_BYTES_MAX = 256 * 1024,
    CATALOG_FILE_BYTES_MAX = 16 * 1024 * 1024,
    CATALOG_RETENTION_DAYS_MAX = 36500,
};

struct catalog_document {
    char *name;
    json_t *value;
    uint64_t rev;
    uint64_t edition; /* of this catalog, given once: another value, another edition */
    bool is_refused;  /* the stored value of `rev` is not good: `value` is the last good one */
    bool is_absent;   /* there has been no good one: `value` is empty, and no kind lists it */
};

/* A document that is another, or is new or gone, since what is in force was compiled. */
struct catalog_change {
    struct slice name;
    struct slice bus; /* that the document said then; empty: none */
    char bytes[];     /* of both */
};

struct catalog_edit;

struct catalog {
    struct map documents; /* name -> struct catalog_document */
    struct catalog_index index;
    bool is_index_behind; /* amid many changes: it is made anew at their end */
    uint64_t rev;         /* everything up to here is known */
    uint64_t own_rev;     /* of our newest put: may be beyond `rev` */
    uint64_t edition;     /* the last that was given to a document */
    size_t refused_count; /* documents that are refused */
    struct map changed;   /* name -> struct catalog_change, since catalog_changes_clear() */
};

void catalog_init(struct catalog *catalog);
void catalog_clean_up(struct catalog *catalog);
/* Take over what the store reports: documents with a value replace or appear, those without one
 * disappear.  ERR_STORE_CORRUPT, with the name in `why`, for a value that is not a JSON object. */
MUST_USE enum err catalog_absorb(struct catalog *catalog, const struct store_document *documents,
                                 size_t count, uint64_t rev, struct err_why *why);
/* Take over what the store reports of changes by others, tombstones included.  What is known
 * already (a revision that is not newer) is passed over.  A value that no weir of this version
 * could have checked is refused: its revision is noted, so that a change can replace it, and the
 * last good value stays, a credential's apart, which opens nothing then; `why` names the first
 * such. */
struct catalog_follow {
    /* out */
    size_t changed_count; /* documents that are different now, the audit log's apart */
    size_t refused_count; /* documents that were refused now */
    struct err_why why;
};
void catalog_follow(struct catalog *catalog, const struct store_document *documents, size_t count,
                    uint64_t rev, struct catalog_follow *follow);
/* Be what the store holds now, after a loss or a change of the store's data set: `documents` are
 * all that it has.  What it lacks disappears, and a revision may be lower than the known one, or
 * the same with another value. */
void catalog_resync(struct catalog *catalog, const struct store_document *documents, size_t count,
                    uint64_t rev, struct catalog_follow *follow);
/* Take over what we put ourselves, as revision `rev`: another's change may lie between, and is
 * still to be read then. */
MUST_USE enum err catalog_absorb_own(struct catalog *catalog, struct catalog_edit *edit,
                                     uint64_t rev, struct err_why *why);
/* What has changed has been compiled. */
void catalog_changes_clear(struct catalog *catalog);
/* The document of that name, or NULL. */
const struct catalog_document *catalog_get(const struct catalog *catalog, struct slice name);
/* Every document of one kind, sorted by name; the array is in `arena`. */
const struct catalog_document **catalog_of_kind(const struct catalog *catalog, struct slice kind,
                                                struct arena *arena, size_t *count);

/* Every document whose name begins with `prefix`, sorted by name; the array is in `arena`. */
const struct catalog_document **catalog_with_prefix(const struct catalog *catalog,
                                                    struct slice prefix, struct arena *arena,
                                                    size_t *count);

/* What one change of the catalog writes, in one atomic step. */
struct catalog_edit {
    struct arena arena; /* holds names and values */
    struct store_document *documents;
    size_t count;
    size_t cap;
};

void catalog_edit_init(struct catalog_edit *edit);
void catalog_edit_clean_up(struct catalog_edit *edit);
/* Put `value` under `name`, on top of the revision the catalog holds now (absent: must not exist).
 * NULL deletes.  The value is rendered at once and still the caller's. */
void catalog_edit_put(struct catalog_edit *edit, const struct catalog *catalog, struct slice name,
                      const json_t *value);

/* Of the audit log, or a replay: no worker uses anything that is made of it. */
bool catalog_is_aside(struct slice name);
/* A string member of a document's object, or the empty slice. */
struct slice json_member_text(const json_t *object, const char *key);
/* Whose an archive is: "central", or the account of its bus. */
struct slice catalog_archive_owner(const json_t *archive);
/* The NAME of `apply --name`: letters, digits, `.`, `_` and `-`, at most CATALOG_MANAGER_CHARS_MAX;
 * else ERR_BAD_REQUEST. */
MUST_USE enum err catalog_name_check(struct slice name, struct err_why *why);
