/* SPDX-License-Identifier: Apache-2.0
 *
 * api_archives.h - CreateArchive and what belongs to it.
 */
#pragma once

#include "gateway/api_names.h"

extern const struct api_action api_create_archive;
extern const struct api_action api_describe_archive;
extern const struct api_action api_update_archive;
extern const struct api_action api_delete_archive;
extern const struct api_action api_list_archives;

enum { API_ARCHIVE_NAME_CHARS_MAX = 48 };

/* An archive or replay that the caller named, and may see and change if it exists. */
struct api_kept {
    struct slice account;
    struct slice name;
    const struct catalog_document *document; /* NULL: there is none */
};

/* What `text`, a name or an ARN, means among the documents of `kind` ("archive" or "replay"), whose
 * ARNs are of the same word: one of the caller's account; by ARN, an operator reaches any
 * account's. Only an operator finds what belongs to the central bus.  AccessDeniedException for
 * another account's; ValidationException, in the name of `member`, for what is neither. */
MUST_USE enum err api_kept_look(struct api_call *call, const struct catalog *catalog,
                                const char *kind, const char *member, struct slice text,
                                struct api_kept *kept);
struct slice api_kept_arn(struct api_call *call, const char *kind, struct slice account,
                          struct slice name);
/* "central/NAME" is in the central account. */
struct slice api_owner_account(const struct api_call *call, struct slice owner);
/* The ARN of the bus that an archive or replay names: "central" or "ACCOUNT/NAME". */
struct slice api_key_arn(struct api_call *call, struct slice bus);
/* All documents of that kind that the caller's account has, and an operator's of the central bus.
 */
const struct catalog_document **api_kept_all(struct api_call *call, const struct catalog *catalog,
                                             const char *kind, size_t *count);
/* In the order of their names. */
void api_kept_sort(const struct catalog_document **documents, size_t count);
/* At most one filter; ValidationException. */
MUST_USE enum err api_check_filters(struct api_call *call);
