/* SPDX-License-Identifier: Apache-2.0
 *
 * list_book.h - the lists of the catalog at one moment, compiled, and which document each is of.
 */
#pragma once

#include "gateway/catalog.h"
#include "routing/partner_list.h"

struct list_book; /* immutable and counted */

/* Compile the lists of the catalog; what `previous` (may be NULL; of the same catalog) has of the
 * same documents is used again.  A document that does not compile is ERR_STORE_CORRUPT. */
MUST_USE enum err list_book_new(const struct catalog *catalog, const struct list_book *previous,
                                struct list_book **book, struct err_why *why);
struct list_book *list_book_acquire(struct list_book *book);
/* The last release frees. NULL is fine. */
void list_book_release(struct list_book *book);
struct partner_lists *list_book_lists(struct list_book *book);
