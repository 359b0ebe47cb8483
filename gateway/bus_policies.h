/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policies.h - the resource policies of all buses that have one.
 */
#pragma once

#include "accounts/bus_policy.h"
#include "core/trie.h"
#include "gateway/catalog.h"

/* "ACCOUNT/BUS" -> a compiled policy.  A copy of one (trie_copy) shares all of them. */
void bus_policies_init(struct trie *policies);
/* Bring the entry of a bus up to what its document, "bus/ACCOUNT/BUS", says now.
 * ERR_STORE_CORRUPT with the name in `why` if it does not compile. */
MUST_USE enum err bus_policies_update(struct trie *policies, const struct catalog *catalog,
                                      struct slice name, struct err_why *why);
/* NULL if that bus has none. */
const struct bus_policy *bus_policies_find(const struct trie *policies, struct slice account,
                                           struct slice bus);
