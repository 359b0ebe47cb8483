/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_check.h - may this Redis be trusted with what was promised, and how far: asked on every new
 * connection before calls are let through, and again every `recheck_ms` of the link.
 *
 * Refused (ERR_BAD_CONFIG): older than 7.0, evicting (maxmemory-policy other than noeviction),
 * no-appendfsync-on-rewrite, a database that is not ours to use.  Anything else weaker than an
 * append-only file flushed at every write is used, and published as "relaxed: …".
 */
#pragma once

#include "storage/redis_link.h"

struct redis_check;

struct redis_check_options {
    struct slice durability; /* "aof", "managed-log" or "relaxed" */
    uint64_t wait_replicas;  /* that commits wait for, where there are replicas */
    /* Runs on the loop after each verdict that differs from the one before.  May be NULL. */
    void (*on_verdict)(struct redis_check *check, void *context);
    void *context;
};

/* What was seen last. */
struct redis_verdict {
    enum err err;            /* ERR_NOT_READY: not asked yet; ERR_BAD_CONFIG: refused */
    char reason[256];        /* for ERR_BAD_CONFIG */
    const char *guarantee;   /* a constant: "aof", "managed-log", "relaxed: …" */
    bool may_commit;         /* false as soon as what was kept could be lost or evicted */
    uint64_t used_bytes;     /* of memory, the fullest node's */
    uint64_t max_bytes;      /* 0: no maxmemory */
    unsigned used_percent;   /* of the fullest node; 0 without a maxmemory */
    uint64_t replica_count;  /* connected, the least of all nodes */
    char replid[41];         /* master_replid of the node asked last */
    uint64_t replid_changes; /* since the start: failovers, or another data set */
    int64_t clock_offset_ms; /* Redis's clock minus ours */
    uint64_t check_count;
};

struct redis_check *redis_check_new(const struct redis_check_options *options);
/* After the link that it served. */
void redis_check_destroy(struct redis_check *check);
/* The on_greeted of the link's options; `context` is the check. */
void redis_check_on_greeted(struct redis_node *node, void *context);
const struct redis_verdict *redis_check_verdict(const struct redis_check *check);
