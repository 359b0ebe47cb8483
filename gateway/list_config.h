/* SPDX-License-Identifier: Apache-2.0
 *
 * list_config.h - a list of the catalog, as people write it.
 *
 *     {"name": "partners", "accounts": ["444455556666"]}
 *     {"name": "office", "cidrs": ["192.0.2.0/24"]}
 *     {"name": "words", "strings": ["alpha"]}
 *
 * One of the three says what it is a list of; without any, it is one of accounts.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "routing/partner_list.h"

enum {
    LIST_COUNT_MAX = 1000,
    LIST_ENTRIES_TOTAL_MAX = 1000000, /* of all lists of a catalog, those that were synced too */
};

/* Call `on_mistake` for each mistake in the meaning of a list whose shape is right: where in it
 * (".accounts[3]") and what. */
void list_config_check(const json_t *list,
                       void (*on_mistake)(void *context, const char *where, const char *what),
                       void *context);
/* How many entries stand in the document. */
size_t list_config_count(const json_t *document);
/* A new list of the same kind as the document, with the entries that stand in it. */
MUST_USE enum err list_config_read(const json_t *document, struct partner_list **list,
                                   struct err_why *why);
/* Read the lists of a catalog file, {"lists": […]}, checked; the caller's reference. */
MUST_USE enum err list_config_read_file(struct slice text, struct partner_lists **lists,
                                        struct err_why *why);
