/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.h - what a lane's name stands for under one snapshot: target, credentials, destination.
 */
#pragma once

#include "accounts/directory.h"
#include "core/arena.h"
#include "core/slice.h"
#include "routing/ruleset.h"

/* Behind the name of a lane: the copies of its dead letters, for its target's queue. */
#define RESOLVE_DLQ_SUFFIX "/dlq"

struct resolution {
    const char *unknown; /* nobody here knows it: what a burial would say; else NULL */
    const char *refused; /* known, and may never be delivered: the reason; else NULL */
    const struct rule *rule;
    const struct rule_target *whole;  /* the target as configured */
    const struct rule_target *target; /* what is called: the same, or that of its step */
    const struct rule_step *step;     /* of a sequence; else NULL */
    const struct account *account;
    bool is_dlq; /* it is the target's dead-letter queue that is meant */
    /* with {account} filled in; in the arena or in the snapshot */
    struct slice arn;
    struct slice role_arn; /* empty: weir's own credentials */
    struct slice external_id;
    struct api_destination *api_destination; /* what the ARN names, where it names one */
    struct slice key; /* of the destination: equal keys share calls, hence credentials */
};

/* Resolve "ACCOUNT/TARGET-UID".  Credentials: the target's role, else the account's dispatch role,
 * else weir's own, but those only for a target in the central account of a rule that the central
 * team owns; without any it is refused with NO_PERMISSIONS.  Either argument may be NULL: then
 * everything is unknown.
 *
 * "ACCOUNT/TARGET-UID.STEP" stands for that step of a sequence, the name without a step for its
 * first.
 *
 * "ACCOUNT/TARGET-UID/dlq" stands for the target's dead-letter queue.  One in the central account
 * is written with weir's own credentials if the central team owns the rule; any other with the
 * dispatch role of the queue's account, which for a member's rule must be the rule's own.
 *
 * An API destination has credentials of its own, its connection's.  A member's rule reaches those
 * of its own account and what is shared with it.  One that does not exist is refused with
 * NO_RESOURCE, one whose connection is gone or was deauthorized with NO_PERMISSIONS. */
void resolve_lane(const struct directory *directory, const struct ruleset *ruleset,
                  struct slice lane, struct arena *arena, struct resolution *resolution);

/* Which of `worker_count` workers it belongs to; the same in every process. */
unsigned resolve_owner(const struct resolution *resolution, struct slice lane,
                       unsigned worker_count);
