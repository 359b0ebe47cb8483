/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_internal.h - what a compiled pattern is made of, for the files that compile and match.
 */
#pragma once

#include <stdatomic.h>

#include "core/check.h"
#include "routing/event_tree.h"
#include "routing/ip.h"
#include "routing/pattern.h"
#include "routing/pattern_syntax.h"
#include "routing/wildcard.h"

enum predicate_kind {
    PREDICATE_TEXT,    /* a string, equal byte for byte */
    PREDICATE_ADDRESS, /* a string that spells this address */
    PREDICATE_NUMBER,  /* a number of this value, or of this spelling */
    PREDICATE_TRUE,
    PREDICATE_FALSE,
    PREDICATE_NULL,
    PREDICATE_PREFIX,
    PREDICATE_SUFFIX,
    PREDICATE_IGNORE_CASE,
    PREDICATE_PREFIX_IGNORE_CASE,
    PREDICATE_SUFFIX_IGNORE_CASE,
    PREDICATE_WILDCARD,
    PREDICATE_RANGE,   /* a comparable number within bounds */
    PREDICATE_BLOCK,   /* a string that spells an address of this CIDR block */
    PREDICATE_IN_LIST, /* a string that the list of this name holds */
    PREDICATE_PRESENT,
    PREDICATE_ABSENT, /* never true of a leaf: see pattern_condition.may_be_absent */
    PREDICATE_NOT,    /* any leaf that none of `operands` accepts */
};

/* One entry of a match list. */
struct predicate {
    enum predicate_kind kind;
    struct slice text; /* operand of the string kinds; spelling of a number; name of a list */
    bool is_comparable;
    double low, high; /* a number has both equal; a missing bound is infinite */
    bool is_low_open, is_high_open;
    struct ip_address address;
    unsigned bits;
    struct wildcard wildcard;
    struct predicate *operands; /* list of PREDICATE_NOT */
    struct predicate *next;     /* in its list */
};

/* One path with its match list. */
struct pattern_condition {
    uint32_t id;         /* within the pattern */
    uint32_t list_start; /* of its match list in the text of the pattern, brackets included */
    struct slice path;   /* the key names joined by dots */
    struct predicate *predicates;
    uint32_t list_len;
    bool may_be_absent; /* {"exists": false} is in the list */
    bool asks_lists;    /* in-list is, or stands under an anything-but of it */
};

/* One way to match: every condition must hold, in one set of array elements. */
struct pattern_branch {
    struct pattern_condition **conditions; /* by path, in Java's string order */
    size_t condition_count;
};

struct pattern {
    _Atomic uint32_t references;
    struct arena arena; /* where the pattern itself lives */
    struct slice text;
    struct pattern_branch *branches;
    size_t branch_count;
    size_t condition_count; /* ids of conditions are below */
    struct slice *lists;    /* names, each once */
    size_t list_count;
};

/* pattern_leaf.c: read the rest of a match list whose "[" was just read.  On failure the syntax
 * holds the sentence. */
MUST_USE enum err pattern_read_list(struct pattern_syntax *syntax, struct arena *arena,
                                    struct pattern_condition *condition);
/* What pattern_leaf.c and pattern_but.c share.  The struct grows at *tail. */
struct predicate_list {
    struct predicate *first;
    struct predicate **tail;
};
struct predicate *predicate_append(struct predicate_list *list, struct arena *arena);
void predicate_set_number(struct predicate *predicate, struct slice text);
/* Parse the text of a wildcard predicate. */
MUST_USE enum err predicate_parse_wildcard(struct pattern_syntax *syntax, struct arena *arena,
                                           struct predicate *predicate);
/* The string that names a list, which is the current token, if it is one. */
MUST_USE enum err predicate_read_list(struct pattern_syntax *syntax, struct predicate *predicate);
/* The next token must close the object. */
MUST_USE enum err pattern_expect_object_end(struct pattern_syntax *syntax, const char *otherwise);
/* The value of the key anything-but, to the end of the operator object. */
MUST_USE enum err pattern_read_anything_but(struct pattern_syntax *syntax, struct arena *arena,
                                            struct predicate *predicate);
/* pattern_match.c: does one leaf satisfy one entry, with these lists (NULL: none)? */
bool predicate_accepts(const struct predicate *predicate, const struct event_leaf *leaf,
                       const struct partner_lists *lists);
/* pattern_complexity.c: the greatest complexity of any path of any branch, or `limit` + 1. */
unsigned pattern_complexity(const struct pattern *pattern, unsigned limit);
/* Java's order of strings: by UTF-16 unit.  <0, 0, >0. */
int pattern_compare_paths(struct slice a, struct slice b);
