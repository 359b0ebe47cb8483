/* SPDX-License-Identifier: Apache-2.0
 *
 * rule.h - a rule on a bus with its targets, as the catalog describes it: immutable and counted.
 */
#pragma once

#include <stdatomic.h>

#include "core/arena.h"
#include "core/slice.h"
#include "routing/path.h"
#include "routing/pattern.h"
#include "routing/schedule.h"
#include "routing/transform.h"

enum { RULE_TARGETS_MAX = 5 };

/* A header or a query parameter of an HTTP request: its value a text, or a path of the event. */
struct rule_parameter {
    struct slice name;
    struct path_parameter value;
};

/* HttpParameters of a target. */
struct rule_http {
    const struct path_parameter *path_values;
    size_t path_value_count;
    const struct rule_parameter *headers;
    size_t header_count;
    const struct rule_parameter *queries;
    size_t query_count;
};

struct rule_target {
    uint64_t uid;          /* never reused; what a stored delivery names */
    struct slice id;       /* EventBridge's Target.Id */
    struct slice arn;      /* on the central bus `{account}` stands for the account of the event */
    struct slice role_arn; /* the same; empty: the account's dispatch role, or weir's own */
    const struct transform *transform;      /* what it gets; NULL: the event as it is */
    struct path_parameter message_group_id; /* of a FIFO queue or topic, empty: none */
    const struct rule_http *http;           /* of an API destination; NULL: none */
    uint32_t attempts_max;                  /* RetryPolicy, default 185 */
    uint64_t age_max_ms;                    /* RetryPolicy, default 24 h */
    struct slice dlq_arn;          /* DeadLetterConfig, with {account} as in arn; empty: none */
    const struct rule_step *steps; /* of a sequence, which has no ARN of its own; else none */
    size_t step_count;
};

/* One thing that a step keeps of its result. */
struct rule_keep {
    struct slice name; /* empty: the only one, which has none */
    struct pattern
        *where; /* of the list at its path the first that matches; NULL: the value itself */
    struct json_path take; /* within that; no steps: all of it */
    bool as_text;          /* what is no string as the string of its JSON */
};

/* One step of a sequence. */
struct rule_step {
    struct slice name;
    struct rule_target target; /* what is called; uid, id and dlq_arn are the sequence's */
    struct pattern *when;      /* owned by the rule, as those of `keeps`; NULL: always */
    const struct rule_keep *keeps;
    const struct json_path *keep_paths; /* of each */
    size_t keep_count;                  /* 0: nothing is kept */
    bool goes_on;                       /* a failure is noted and the next step follows */
};

struct rule {
    _Atomic uint32_t references;
    struct arena arena;       /* holds everything below */
    struct slice bus_account; /* 12 digits */
    struct slice bus_name;    /* "central" on the central bus */
    bool is_central;          /* on the central bus */
    /* Whose roles it sends with on a bus that is not the central one: the bus's, or the member's
     * that made it there by that bus's policy. */
    struct slice owner_account;
    bool is_member_owned;   /* made by that member: sends to what that account may send to */
    bool is_operator_owned; /* managed by the central team: may use weir's own credentials */
    struct slice name;
    struct slice label; /* "central/NAME" or "ACCOUNT/BUS/NAME", as statistics show it */
    struct slice arn;
    bool is_enabled;
    uint64_t archive; /* not 0: no rule, but what this archive keeps of its bus; without targets */
    struct pattern *pattern;         /* owned reference; NULL: a schedule only */
    const struct schedule *schedule; /* NULL: none */
    struct schedule_frame frame;     /* what it is read by; owns a reference to its zone */
    struct slice event_source;       /* of the event that a moment of it makes */
    struct rule_target targets[RULE_TARGETS_MAX];
    size_t target_count;
};

/* An empty rule with one reference, living in its own arena: the maker fills it, then changes it no
 * more. */
struct rule *rule_new(void);
struct rule *rule_acquire(struct rule *rule);
/* The last release frees. NULL is fine. */
void rule_release(struct rule *rule);
/* `template` with each "{account}" replaced, in the arena; the template itself if it has none. */
struct slice rule_fill_account(struct slice template, struct slice account, struct arena *arena);
