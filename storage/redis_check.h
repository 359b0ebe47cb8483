/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_check.h - may this Redis be trusted with what was promised, and how far: asked on every new
 * connection before calls are let through, and again every `recheck_ms` of the link.
 *
 * Not let through: older than 7.0, evicting (maxmemory-policy other than noeviction), or
 * no-appendfsync-on-rewrite (ERR_BAD_CONFIG); loading, or a replica (ERR_STORE_BUSY: it may pass).
 * Anything else that is weaker than an append-only file flushed at every write is used, and
 * published as "relaxed: …".
 */
#pragma once

#include "storage/redis_link.h"

struct redis_check;

struct redis_check_options {
    struct slice durability; /* "aof", "managed-log" or "relaxed" */
    uint64_t wait_replicas;  /* that commits wait for, where there are replicas */
    /* Runs on the loop after every check.  May be NULL. */
    void (*on_verdict)(struct redis_check *check, void *context);
    void *context;
};

/* What was seen last, over all nodes that were asked. */
struct redis_verdict {
    enum err err;            /* ERR_NOT_READY: not asked yet; ERR_STORE_BUSY; ERR_BAD_CONFIG */
    const char *reason;      /* a constant, for ERR_BAD_CONFIG and ERR_STORE_BUSY; else "" */
    const char *guarantee;   /* a constant: "aof", "managed-log" or "relaxed: …" */
    bool may_commit;         /* false: what is kept could be evicted or lost against the promise */
    uint64_t used_bytes;     /* memory of the fullest node */
    uint64_t max_bytes;      /* its maxmemory; 0: none */
    unsigned used_percent;   /* 0 without a maxmemory */
    uint64_t replica_count;  /* connected; the least of all masters */
    char replid[41];         /* master_replid of the node asked last */
    uint64_t replid_changes; /* seen so far: failovers, restarts, another data set */
    int64_t clock_offset_ms; /* Redis's clock minus ours, of the node asked last */
    uint64_t check_count;
};

struct redis_check *redis_check_new(const struct redis_check_options *options);
/* After the link that it served.  NULL is fine. */
void redis_check_destroy(struct redis_check *check);
/* The link's options.on_greeted, when options.context is the check; else call it from there. */
void redis_check_on_greeted(struct redis_node *node, void *check);
/* Valid until the check is destroyed; changes between loop turns. */
const struct redis_verdict *redis_check_verdict(const struct redis_check *check);
