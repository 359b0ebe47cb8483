/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_pool.h - one compiled set for all buses whose patterns are the same.
 */
#pragma once

#include "routing/matcher.h"
#include "routing/rule.h"

struct matcher_pool; /* counted; used by one thread at a time */

struct matcher_pool *matcher_pool_new(void);
struct matcher_pool *matcher_pool_acquire(struct matcher_pool *pool);
/* The last release frees, from any thread. NULL is fine. */
void matcher_pool_release(struct matcher_pool *pool);
/* The set over what events can match of these rules, number i of rules[i]: one that is in use
 * already, or compiled now.  The caller's reference; NULL if no event can match any. */
struct matcher *matcher_pool_get(struct matcher_pool *pool, struct rule *const *rules,
                                 size_t count);
/* The same, compiled without the pool: on any thread. */
struct matcher *matcher_pool_compile(struct rule *const *rules, size_t count);
