/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policy.h - the resource policy of an event bus: who beside its owner may do what with it.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
 *= https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum { BUS_POLICY_CHARS_MAX = 10240 };

struct bus_policy;

/* Read a policy into `arena`, of which it becomes a part.  ERR_BAD_VALUE with what and where in
 * `why`: anything that this evaluator would not judge exactly is refused, never passed over. */
MUST_USE enum err bus_policy_compile(struct slice text, struct arena *arena,
                                     const struct bus_policy **policy, struct err_why *why);

/* One use of a bus.  Empty slices are absent. */
struct bus_policy_call {
    struct slice account;         /* of the caller, 12 digits */
    struct slice org_path;        /* of that account: "o-a1/r-b2/ou-c3" */
    struct slice action;          /* "events:PutEvents" */
    struct slice resource;        /* ARN of the bus, or of the rule that is acted on */
    struct slice source_arn;      /* of the rule that sends */
    struct slice source;          /* of the event, with PutEvents */
    struct slice detail_type;     /* the same */
    struct slice creator_account; /* whose is the rule that is acted on */
    bool is_sent_by_rule;
};

enum bus_policy_verdict {
    BUS_POLICY_SILENT, /* no statement speaks of it */
    BUS_POLICY_ALLOWS,
    BUS_POLICY_DENIES, /* a denying statement does, whatever others allow */
};

/* NULL is the policy that says nothing. */
enum bus_policy_verdict bus_policy_judge(const struct bus_policy *policy,
                                         const struct bus_policy_call *call);
