/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policies.c - policies by bus, each compiled once, when its bus changes.
 *
 * Memory: a policy lives in an arena of its own and is counted.
 */
#include "gateway/bus_policies.h"

#include <stdatomic.h>

struct held_policy {
    _Atomic uint32_t references;
    struct arena arena; /* holds this and the rest */
    struct slice key;
    const struct bus_policy *policy;
};

static void acquire(void *value)
{
    struct held_policy *held = value;

    atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
}

static void release(void *value)
{
    struct held_policy *held = value;

    if (atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) == 1) {
        struct arena arena = held->arena;

        arena_clean_up(&arena);
    }
}

void bus_policies_init(struct trie *policies)
{
    static const struct trie_values values = {.acquire = acquire, .release = release};

    trie_init(policies, &values);
}

enum err bus_policies_update(struct trie *policies, const struct catalog *catalog,
                             struct slice name, struct err_why *why)
{
    const struct slice key = slice_from(name, strlen("bus/"));
    const struct catalog_document *document = catalog_get(catalog, name);
    const struct slice text = document != NULL && !document->is_absent
                                  ? json_member_text(document->value, "policy")
                                  : (struct slice){NULL, 0};
    struct arena arena = {0};
    struct held_policy *held;
    struct err_why detail = {.text = ""};

    if (text.len == 0) {
        (void)trie_remove(policies, key);
        return ERR_OK;
    }
    held = ARENA_NEW(&arena, struct held_policy);
    held->references = 1;
    held->key = arena_copy(&arena, key);
    if (bus_policy_compile(text, &arena, &held->policy, &detail) != ERR_OK) {
        arena_clean_up(&arena);
        return err_because(ERR_STORE_CORRUPT, why, "%.*s: %s", SLICE_ARG(name), detail.text);
    }
    held->arena = arena;
    trie_put(policies, held->key, held);
    release(held);
    return ERR_OK;
}

const struct bus_policy *bus_policies_find(const struct trie *policies, struct slice account,
                                           struct slice bus)
{
    const struct held_policy *held;
    char key[512];
    int len;

    if (policies->count == 0) {
        return NULL;
    }
    len = snprintf(key, sizeof(key), "%.*s/%.*s", SLICE_ARG(account), SLICE_ARG(bus));
    if (len <= 0 || (size_t)len >= sizeof(key)) {
        return NULL;
    }
    held = trie_get(policies, (struct slice){key, (size_t)len});
    return held != NULL ? held->policy : NULL;
}
