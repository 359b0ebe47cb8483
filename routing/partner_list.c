/* SPDX-License-Identifier: Apache-2.0
 *
 * partner_list.c - three kinds of sets in one table of byte keys.
 *
 *     accounts   the twelve digits                         "111122223333"
 *     CIDRs      address with its host bits zero, then     c0 00 02 00 | 18
 *                the number of bits
 *     strings    the bytes
 *
 * An address is looked up once for each length that some block of its family has, as the compiled
 * matcher does for `cidr`.  The table is keyed (core/map.h): entries come from outside.
 *
 * A list that is not there holds nothing, so a pattern that names it takes everybody for a
 * stranger, which is the side to err on for a list of friends.
 *
 * Memory: keys live in the list's arena, names in that of the lists.
 */
#include "routing/partner_list.h"

#include <stdatomic.h>

#include "core/arena.h"
#include "core/arn.h"
#include "core/check.h"
#include "core/map.h"
#include "routing/ip.h"

enum { ACCOUNT_DIGITS = 12 };

struct partner_list {
    _Atomic uint32_t references;
    enum partner_kind kind;
    struct arena arena;
    struct map entries;           /* key -> the list itself */
    size_t byte_count;            /* of the text of what was added */
    uint64_t v4_bits, v6_bits[3]; /* lengths of blocks, a bit for each */
};

struct partner_lists {
    _Atomic uint32_t references;
    struct arena arena; /* names */
    struct map lists;   /* name -> struct partner_list, a reference each */
};

/* ---- keys ---------------------------------------------------------------------------------- */

static bool is_account(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len == ACCOUNT_DIGITS;
}

/* The account that an ARN names, if it is one of AWS. */
static bool account_of_arn(struct slice text, struct arn *arn)
{
    return arn_split(text, arn) && slice_has_prefix(arn->partition, SLICE("aws")) &&
           is_account(arn->account);
}

static enum err account_key(struct slice entry, struct slice *key, struct err_why *why)
{
    struct arn arn;

    *key = entry;
    if (is_account(entry)) {
        return ERR_OK;
    }
    if (account_of_arn(entry, &arn) && slice_eq(arn.service, SLICE("iam")) &&
        slice_eq(arn.resource, SLICE("root"))) {
        *key = arn.account;
        return ERR_OK;
    }
    return err_because(ERR_BAD_VALUE, why, "must be a 12-digit account id");
}

static enum err block_key(struct slice entry, char key[static IP_BLOCK_BYTES_MAX], size_t *len,
                          struct err_why *why)
{
    struct slice rest = entry;
    const struct slice text = slice_cut(&rest, '/');
    struct ip_address address;
    uint64_t bits;

    if (ip_parse(text, &address) != IP_OK) {
        return err_because(ERR_BAD_VALUE, why, "must be a CIDR block such as 192.0.2.0/24");
    }
    bits = address.len * 8U;
    if (rest.data != NULL && (!slice_to_u64(rest, &bits) || bits > address.len * 8U)) {
        return err_because(ERR_BAD_VALUE, why, "must have from 0 to %u bits behind its slash",
                           address.len * 8U);
    }
    *len = ip_block_key(&address, (unsigned)bits, key);
    return ERR_OK;
}

static uint64_t *lengths_of(struct partner_list *list, size_t key_len, unsigned bits)
{
    return key_len == 5 ? &list->v4_bits : &list->v6_bits[bits / 64];
}

/* ---- a list -------------------------------------------------------------------------------- */

struct partner_list *partner_list_new(enum partner_kind kind)
{
    struct partner_list *list = xcalloc(1, sizeof(*list));

    list->references = 1;
    list->kind = kind;
    return list;
}

static enum err add_key(struct partner_list *list, struct slice key, struct err_why *why)
{
    if (map_get(&list->entries, key) != NULL) {
        return ERR_OK;
    }
    if (list->entries.count == PARTNER_LIST_ENTRIES_MAX) {
        return err_because(ERR_TOO_LARGE, why, "the list holds more than %d entries",
                           PARTNER_LIST_ENTRIES_MAX);
    }
    (void)map_put(&list->entries, arena_copy(&list->arena, key), list);
    return ERR_OK;
}

static enum err add_block(struct partner_list *list, struct slice entry, struct err_why *why)
{
    char key[IP_BLOCK_BYTES_MAX];
    unsigned bits;
    size_t len = 0;

    TRY(block_key(entry, key, &len, why));
    TRY(add_key(list, (struct slice){key, len}, why));
    bits = (uint8_t)key[len - 1];
    *lengths_of(list, len, bits) |= (uint64_t)1 << bits % 64;
    return ERR_OK;
}

enum err partner_list_add(struct partner_list *list, struct slice entry, struct err_why *why)
{
    struct slice key = entry;

    if (entry.len == 0 || entry.len > PARTNER_ENTRY_CHARS_MAX) {
        return err_because(ERR_BAD_VALUE, why, "must have 1 to %d characters",
                           PARTNER_ENTRY_CHARS_MAX);
    }
    list->byte_count += entry.len;
    if (list->byte_count > PARTNER_LIST_BYTES_MAX) {
        return err_because(ERR_TOO_LARGE, why, "the list is longer than %d bytes",
                           PARTNER_LIST_BYTES_MAX);
    }
    switch (list->kind) {
    case PARTNER_ACCOUNTS:
        TRY(account_key(entry, &key, why));
        return add_key(list, key, why);
    case PARTNER_CIDRS:
        return add_block(list, entry, why);
    case PARTNER_STRINGS:
        break;
    }
    return add_key(list, key, why);
}

struct partner_list *partner_list_acquire(struct partner_list *list)
{
    CHECK(atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed) > 0);
    return list;
}

void partner_list_release(struct partner_list *list)
{
    if (list == NULL || atomic_fetch_sub_explicit(&list->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    map_clean_up(&list->entries);
    arena_clean_up(&list->arena);
    xfree(list);
}

size_t partner_list_count(const struct partner_list *list)
{
    return list->entries.count;
}

static bool holds_account(const struct partner_list *list, struct slice text)
{
    struct arn arn;

    if (text.len == ACCOUNT_DIGITS) { /* too short for an ARN */
        return map_get(&list->entries, text) != NULL;
    }
    return account_of_arn(text, &arn) && map_get(&list->entries, arn.account) != NULL;
}

static bool holds_block(const struct partner_list *list, const struct ip_address *address,
                        uint64_t lengths, unsigned base)
{
    for (; lengths != 0; lengths &= lengths - 1) {
        char key[IP_BLOCK_BYTES_MAX];
        const size_t len = ip_block_key(address, base + (unsigned)__builtin_ctzll(lengths), key);

        if (map_get(&list->entries, (struct slice){key, len}) != NULL) {
            return true;
        }
    }
    return false;
}

static bool holds_address(const struct partner_list *list, struct slice text)
{
    struct ip_address address;

    if (ip_parse(text, &address) != IP_OK) {
        return false;
    }
    if (address.len == 4) {
        return holds_block(list, &address, list->v4_bits, 0);
    }
    return holds_block(list, &address, list->v6_bits[0], 0) ||
           holds_block(list, &address, list->v6_bits[1], 64) ||
           holds_block(list, &address, list->v6_bits[2], 128);
}

bool partner_list_holds(const struct partner_list *list, struct slice text)
{
    switch (list->kind) {
    case PARTNER_ACCOUNTS:
        return holds_account(list, text);
    case PARTNER_CIDRS:
        return holds_address(list, text);
    case PARTNER_STRINGS:
        break;
    }
    return map_get(&list->entries, text) != NULL;
}

bool partner_list_is_name(struct slice name)
{
    static const char allowed[] =
        ".-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < name.len; i++) {
        if (memchr(allowed, name.data[i], sizeof(allowed) - 1) == NULL) {
            return false;
        }
    }
    return name.len > 0 && name.len <= PARTNER_LIST_NAME_CHARS_MAX;
}

/* ---- the lists of one moment --------------------------------------------------------------- */

struct partner_lists *partner_lists_new(void)
{
    struct partner_lists *lists = xcalloc(1, sizeof(*lists));

    lists->references = 1;
    return lists;
}

void partner_lists_put(struct partner_lists *lists, struct slice name, struct partner_list *list)
{
    const void *old =
        map_put(&lists->lists, arena_copy(&lists->arena, name), partner_list_acquire(list));

    CHECK(old == NULL);
}

struct partner_lists *partner_lists_acquire(struct partner_lists *lists)
{
    CHECK(atomic_fetch_add_explicit(&lists->references, 1, memory_order_relaxed) > 0);
    return lists;
}

void partner_lists_release(struct partner_lists *lists)
{
    struct partner_list *list;
    size_t cursor = 0;

    if (lists == NULL ||
        atomic_fetch_sub_explicit(&lists->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    while ((list = map_next(&lists->lists, &cursor)) != NULL) {
        partner_list_release(list);
    }
    map_clean_up(&lists->lists);
    arena_clean_up(&lists->arena);
    xfree(lists);
}

struct partner_list *partner_lists_get(const struct partner_lists *lists, struct slice name)
{
    return lists != NULL ? map_get(&lists->lists, name) : NULL;
}

bool partner_lists_hold(const struct partner_lists *lists, struct slice name, struct slice text)
{
    const struct partner_list *list = partner_lists_get(lists, name);

    return list != NULL && partner_list_holds(list, text);
}
