/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_index.h - the documents of a catalog in the order of their names.
 */
#pragma once

#include "core/map.h"

struct catalog_document;

/* Borrows the documents.  A zeroed struct is an empty index. */
struct catalog_index {
    struct catalog_document **documents; /* by name, bytewise */
    size_t count;
    size_t cap;
};

void catalog_index_clean_up(struct catalog_index *index);
/* Put a document in its place; there is none of that name. */
void catalog_index_put(struct catalog_index *index, struct catalog_document *document);
/* Take out the document of that name, if there is one. */
void catalog_index_remove(struct catalog_index *index, struct slice name);
/* Begin again with all of `documents` (name -> struct catalog_document): what many changes at once
 * cost least by. */
void catalog_index_rebuild(struct catalog_index *index, const struct map *documents);
/* The documents whose names begin with `prefix`: *count from the one returned on.  Valid until the
 * next change. */
struct catalog_document *const *catalog_index_range(const struct catalog_index *index,
                                                    struct slice prefix, size_t *count);
