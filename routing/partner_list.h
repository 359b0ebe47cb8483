/* SPDX-License-Identifier: Apache-2.0
 *
 * partner_list.h - named sets that patterns ask by {"in-list": NAME}: accounts, CIDR blocks or
 * strings.
 *
 * Patterns know lists by name only, so a list may change without a pattern being compiled again:
 * whoever matches brings along the lists of now.
 *
 * A list is filled by its maker, then never changes and may be shared between threads; so are the
 * lists of one moment together.  Both are counted.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

enum {
    PARTNER_LIST_ENTRIES_MAX = 100000,
    PARTNER_LIST_BYTES_MAX = 4 << 20, /* of the text of all entries */
    PARTNER_ENTRY_CHARS_MAX = 256,
    PARTNER_LIST_NAME_CHARS_MAX = 64,
};

enum partner_kind {
    PARTNER_ACCOUNTS, /* holds ids of its accounts, and ARNs that name one as their account */
    PARTNER_CIDRS,    /* holds the addresses within its blocks */
    PARTNER_STRINGS,  /* holds its entries, byte for byte */
};

struct partner_list;
struct partner_lists;

struct partner_list *partner_list_new(enum partner_kind kind);
/* Put one entry in; one that is there already counts once.  Accounts: a 12-digit id, or
 * "arn:aws:iam::ID:root".  CIDRs: "192.0.2.0/24", "2001:db8::/32", or one address.  Strings: 1 to
 * PARTNER_ENTRY_CHARS_MAX bytes.
 * Errors: ERR_BAD_VALUE, ERR_TOO_LARGE; `why` says what must be, without a place. */
MUST_USE enum err partner_list_add(struct partner_list *list, struct slice entry,
                                   struct err_why *why);
struct partner_list *partner_list_acquire(struct partner_list *list);
/* The last release frees. NULL is fine. */
void partner_list_release(struct partner_list *list);
size_t partner_list_count(const struct partner_list *list);
bool partner_list_holds(const struct partner_list *list, struct slice text);

/* 1 to PARTNER_LIST_NAME_CHARS_MAX of A-Z a-z 0-9 . - _ */
bool partner_list_is_name(struct slice name);

struct partner_lists *partner_lists_new(void);
/* Put a list under its name, which is copied; acquires it. There is none of that name yet. */
void partner_lists_put(struct partner_lists *lists, struct slice name, struct partner_list *list);
struct partner_lists *partner_lists_acquire(struct partner_lists *lists);
/* The last release frees. NULL is fine. */
void partner_lists_release(struct partner_lists *lists);
/* The list of that name, or NULL; `lists` may be NULL: there is none at all. */
struct partner_list *partner_lists_get(const struct partner_lists *lists, struct slice name);
/* Does the list of that name hold the text? One that is not there holds nothing. */
bool partner_lists_hold(const struct partner_lists *lists, struct slice name, struct slice text);
