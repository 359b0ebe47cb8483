/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_internal.h - what a compiled set is made of, and what a match writes down.
 *
 *   matcher_build.c   from patterns to paths, predicates, conditions and branches
 *   matcher_post.c    through which predicate each branch is reached
 *   matcher_walk.c    through the event, to the leaves that some path names
 *   matcher_field.c   the predicates that a leaf satisfies, by
 *   matcher_affix.c     prefixes and suffixes
 *   matcher_range.c     ranges of numbers
 *   matcher_stars.c     wildcards
 *   matcher_arrays.c  do the leaves of a branch agree about array elements?
 *   matcher.c         the story
 *
 * Everything has a number, and numbers are what is stored:
 *
 *   node       a place in the tree of key names       path       a node that some condition names
 *   predicate  path + operator + operand              condition  path + set of predicates
 *   branch     the conditions of one alternative of one pattern
 */
#pragma once

#include <stdatomic.h>

#include "core/arena.h"
#include "core/buf.h"
#include "routing/matcher.h"
#include "routing/pattern_internal.h"
#include "routing/scan.h"

#define MATCHER_NONE         UINT32_MAX
#define MATCHER_IS_PREDICATE ((uint32_t)1 << 31)

/* ---- the set ------------------------------------------------------------------------------- */

struct matcher_node {
    struct slice name;     /* of the key, without dots */
    uint64_t first_bytes;  /* a bit for the first byte of each child's name, modulo 64 */
    uint64_t second_bytes; /* and for what stands behind that in a key */
    uint32_t parent;
    uint32_t path; /* or NONE */
    bool has_children;
};

/* Of an empty name the byte is the quote behind it. */
static inline uint64_t matcher_first_byte_bit(struct slice name)
{
    return (uint64_t)1 << ((name.len > 0 ? (uint8_t)name.data[0] : (uint8_t)'"') & 63);
}

/* Are these the same bytes?  Most that are asked about are, and short. */
static inline bool matcher_is_same(struct slice a, struct slice b)
{
    uint64_t a_words[2], b_words[2];

    if (a.len != b.len) {
        return false;
    }
    if (a.len < sizeof(*a_words) || a.len > sizeof(a_words)) {
        return slice_eq(a, b);
    }
    memcpy(&a_words[0], a.data, sizeof(*a_words));
    memcpy(&b_words[0], b.data, sizeof(*b_words));
    memcpy(&a_words[1], a.data + a.len - sizeof(*a_words), sizeof(*a_words));
    memcpy(&b_words[1], b.data + b.len - sizeof(*b_words), sizeof(*b_words));
    return ((a_words[0] ^ b_words[0]) | (a_words[1] ^ b_words[1])) == 0;
}

/* How the operand of a predicate is looked up. */
enum matcher_kind {
    MATCHER_TEXT,
    MATCHER_FOLDED,   /* of ASCII, kept in lower case */
    MATCHER_NUMBER,   /* a double */
    MATCHER_SPELLING, /* a number that no double holds */
    MATCHER_ADDRESS,
    MATCHER_TRUE,
    MATCHER_FALSE,
    MATCHER_NULL,
    MATCHER_PRESENT,
    MATCHER_ANY_STRING,
    MATCHER_PREFIX,
    MATCHER_SUFFIX,
    MATCHER_FOLDED_PREFIX,
    MATCHER_FOLDED_SUFFIX,
    MATCHER_RANGE,
    MATCHER_BLOCK,
    MATCHER_WILDCARD,
    MATCHER_FOLDED_OTHER, /* a case-blind operand beyond ASCII, looked at one by one */
    MATCHER_FOLDED_PREFIX_OTHER,
    MATCHER_FOLDED_SUFFIX_OTHER,
    MATCHER_IN_LIST, /* asked of the lists that the match brings along */
    MATCHER_KIND_COUNT,
};

struct matcher_predicate {
    struct slice key; /* the operand as bytes: equal predicates have equal keys */
    uint32_t path;
    uint8_t kind;
};

/* Hash tables of numbers; an empty slot holds NONE. */
struct matcher_slot {
    uint32_t hash;
    uint32_t number;
};
struct matcher_table {
    struct matcher_slot *slots;
    size_t slot_count; /* a power of two */
    size_t count;
};

/* A predicate that is looked at one by one. */
struct matcher_single {
    const struct predicate *predicate;
    uint32_t number;
};

/* What the rarer operators of a path are looked up in; each may be NULL. */
struct matcher_fields {
    struct matcher_affixes *prefixes, *suffixes, *folded_prefixes, *folded_suffixes;
    struct matcher_ranges *ranges;
    struct matcher_stars *stars;
    uint64_t block_bits[3]; /* lengths of CIDR blocks: of IPv4, of IPv6 below 64 and from 64 on */
};

struct matcher_path {
    uint32_t kinds; /* a bit per matcher_kind that occurs */
    uint32_t is_present, is_true, is_false, is_null, any_string; /* predicates, or NONE */
    uint32_t single_count;
    struct matcher_single *singles; /* what no index holds */
    struct matcher_fields *fields;  /* or NULL */
};

struct matcher_condition {
    uint32_t path;
    uint32_t start;          /* in `members`: the predicates, ascending; then for each */
    uint32_t positive_count; /* anything-but the count of its operands and these, ascending */
    uint16_t negation_count;
    bool may_be_absent;
};

/* What to ask about a condition: its number, or, with MATCHER_IS_PREDICATE, that of the one
 * predicate which it consists of; NONE asks nothing. */
struct matcher_branch {
    uint32_t pattern;
    uint32_t start; /* in `branch_conditions`, in the order of paths; in `branch_tests` */
    uint32_t condition_count;
    uint32_t test_count; /* what is left to ask once it is reached and its guard holds */
};

/* A branch waiting at its predicate; the guard is what to ask first. */
struct matcher_posting {
    uint32_t branch;
    uint32_t guard;
};

struct matcher {
    _Atomic uint32_t references;
    struct arena arena;         /* operands and names */
    struct matcher_node *nodes; /* the first is the root */
    struct matcher_path *paths;
    struct matcher_predicate *predicates;
    struct matcher_condition *conditions;
    uint32_t *sole_predicates; /* by condition: the one that it consists of, or NONE */
    uint32_t *members;
    struct matcher_branch *branches;
    uint32_t *branch_conditions;
    uint32_t *branch_tests;
    struct matcher_posting *postings; /* of one predicate: by guard */
    uint32_t *posting_starts;         /* by predicate, and one more */
    struct matcher_posting *always;   /* branches that no predicate leads to */
    struct matcher_table edges;       /* nodes by parent and name */
    struct matcher_table exact;       /* predicates by path, kind and key */
    size_t node_count, path_count, predicate_count, condition_count, member_count, branch_count,
        branch_condition_count, always_count, pattern_count;
    uint32_t mark_count; /* parts of wildcards */
};

/* matcher_table.c */
void matcher_table_init(struct matcher_table *table);
/* Put a number that is not there yet. */
void matcher_table_put(struct matcher_table *table, uint64_t hash, uint32_t number);
/* A keyed hash: nobody can aim at one slot. */
uint64_t matcher_hash(uint64_t salt, struct slice bytes);
uint64_t matcher_hash_edge(uint32_t parent, struct slice name);
uint64_t matcher_hash_step(uint32_t node, uint8_t byte);
uint64_t matcher_hash_key(uint32_t path, enum matcher_kind kind, struct slice key);
uint32_t matcher_find_child(const struct matcher *matcher, uint32_t parent, struct slice name,
                            uint64_t hash);
uint32_t matcher_find_predicate(const struct matcher *matcher, uint32_t path,
                                enum matcher_kind kind, struct slice key);
/* Send for the slots where a hash would be, then for the predicate in the first of them. */
static inline void matcher_foresee_slot(const struct matcher *matcher, uint64_t hash)
{
    __builtin_prefetch(&matcher->exact.slots[(uint32_t)hash & (matcher->exact.slot_count - 1)]);
}
static inline void matcher_foresee_predicate(const struct matcher *matcher, uint64_t hash)
{
    const uint32_t number =
        matcher->exact.slots[(uint32_t)hash & (matcher->exact.slot_count - 1)].number;

    if (number != MATCHER_NONE) {
        __builtin_prefetch(&matcher->predicates[number]);
    }
}
/* The same with the hash at hand. */
uint32_t matcher_find_hashed(const struct matcher *matcher, uint32_t path, enum matcher_kind kind,
                             struct slice key, uint64_t hash);

/* ---- building ------------------------------------------------------------------------------ */

/* matcher_field.c: sort the single predicates of every path into indexes. */
void matcher_index_fields(struct matcher *matcher);
/* `predicates` are numbers of prefixes, or of suffixes (is_backwards); in the set's arena. */
struct matcher_affixes *matcher_affixes_new(struct matcher *matcher, const uint32_t *predicates,
                                            size_t count, bool is_backwards);
struct matcher_ranges *matcher_ranges_new(struct matcher *matcher, const uint32_t *predicates,
                                          size_t count);
struct matcher_stars *matcher_stars_new(struct matcher *matcher,
                                        const struct matcher_single *wildcards, size_t count);
void matcher_stars_destroy(struct matcher_stars *stars);
size_t matcher_stars_memory_bytes(const struct matcher_stars *stars);
/* matcher_post.c: choose the access of every branch and fill the postings. */
void matcher_post_branches(struct matcher *matcher);
/* matcher_build.c: the predicate {"exists": true} of a path. */
uint32_t matcher_add_presence(struct matcher *matcher, uint32_t path);

/* ---- a match ------------------------------------------------------------------------------- */

/* Growable arrays that keep their memory. */
struct matcher_numbers {
    uint32_t *items;
    size_t count, max;
};
void matcher_numbers_append(struct matcher_numbers *numbers, uint32_t number);

/* Append the predicates that hold of a text or number. */
void matcher_affixes_find(const struct matcher *matcher, const struct matcher_affixes *affixes,
                          struct slice text, struct matcher_numbers *found);
void matcher_ranges_find(const struct matcher_ranges *ranges, double value,
                         struct matcher_numbers *found);
/* `marks` has room for all parts of the set; `mark` is a value that stands there for no other
 * text. */
void matcher_stars_find(const struct matcher_stars *stars, struct slice text, uint64_t *marks,
                        uint64_t mark, struct matcher_numbers *found);

/* An array of the event, and a container in one. */
struct matcher_array {
    uint32_t id;            /* among those of at least two elements */
    uint32_t element_count; /* containers only */
    uint32_t end_order;
};
struct matcher_element {
    uint32_t array;
    uint32_t outer; /* element, or NONE */
    uint32_t index;
    uint32_t order; /* of its first leaf */
};

struct matcher_leaf {
    struct slice text;
    uint32_t path;
    uint32_t element; /* or NONE */
    uint32_t order;
    uint32_t next;               /* of the same path, or NONE */
    uint32_t hit_start, hit_end; /* in `hits`: the predicates that it satisfies */
    uint64_t hash;               /* of a string whose path asks for equal ones */
    uint8_t type;                /* enum leaf_type */
};

/* What is known of a path of a set and this event, if `epoch` is the event's. */
struct matcher_finding {
    uint32_t epoch;
    uint32_t first, last; /* leaves */
    uint32_t leaf_count;
    uint32_t settled_count; /* leaves of which the element is known */
    uint32_t listed;        /* where its leaves are listed for the search, or NONE */
    bool is_in_element;     /* some leaf lies in one */
    bool is_flat;           /* every leaf lies in an element of one array, and in no other */
    uint32_t array;         /* that array, if so */
};

/* What one set makes of an event. */
struct matcher_side {
    const struct matcher *matcher;
    uint64_t *predicate_bits; /* those that some leaf satisfies */
    /* by number; current if they hold the epoch */
    uint64_t *condition_states;       /* epoch and enum matcher_state */
    uint64_t *condition_accepts;      /* epoch and place in `accepts` */
    uint64_t *condition_bitmaps;      /* epoch and place in `bitmaps` */
    uint32_t *pattern_epochs;         /* those that matched */
    uint32_t *search_epochs;          /* branches that were searched */
    struct matcher_finding *findings; /* by path */
    size_t predicate_word_max, condition_max, pattern_max, branch_max, finding_max, mark_max;
    struct matcher_leaf *leaves;
    size_t leaf_count, leaf_max;
    struct matcher_numbers hits;
    bool is_spent;   /* too much was to be asked of this event: nothing matches, not for certain */
    uint64_t *marks; /* by part of a wildcard: epoch and leaf */
    struct matcher_numbers fired;      /* predicates that lead to branches */
    struct matcher_numbers candidates; /* branches whose guard lets them pass */
    struct matcher_numbers matches;
    struct matcher_numbers listed;    /* leaves by path */
    struct matcher_numbers accepts;   /* by listed leaf of a condition: does it? */
    struct matcher_numbers bitmaps;   /* by element: does a condition accept a leaf in it? */
    struct matcher_numbers exhausted; /* patterns */
};

enum matcher_state {
    MATCHER_FAILS,
    MATCHER_HOLDS,  /* with or without others beside it */
    MATCHER_MAY_BE, /* only beside others that fix elements in which its leaves are absent */
};

struct matcher_frame {
    uint32_t nodes[MATCHER_SETS_MAX]; /* or NONE */
    uint32_t element;                 /* innermost around what the container holds */
    uint32_t array;                   /* NONE: an object */
    size_t at;                        /* the operator to go on from */
    uint64_t first_bytes;             /* of all nodes */
    uint64_t second_bytes;
};

struct matcher_scratch {
    struct scan scan;
    const struct partner_lists *lists; /* of now; NULL: none */
    uint32_t epoch;                    /* one more with each event */
    struct matcher_side sides[MATCHER_SETS_MAX];
    size_t side_count;
    struct buf text; /* what was unescaped; does not move while an event is matched */
    struct buf folded;
    struct matcher_array *arrays;
    size_t array_count, array_max;
    struct matcher_element *elements;
    size_t element_count, element_max;
    uint32_t constraining_count; /* arrays with an id */
    uint32_t order;              /* of the next leaf */
    struct matcher_frame frames[JSON_DEPTH_MAX];
    size_t *steps_left;
    struct matcher_search *search;
};

/* Does some leaf satisfy the predicate? */
static inline bool matcher_is_hit(const struct matcher_side *side, uint32_t predicate)
{
    return (side->predicate_bits[predicate / 64] >> (predicate % 64) & 1) != 0;
}

/* Walk a scanned event and note its leaves and what they satisfy. */
void matcher_walk(struct matcher_scratch *scratch);
/* A leaf was noted: send for what its probe will read. */
void matcher_foresee(const struct matcher_side *side, struct matcher_leaf *leaf);
/* For all leaves, append the predicates that each satisfies to the hits. */
void matcher_probe_all(struct matcher_scratch *scratch, struct matcher_side *side);
/* Does the condition hold alone? */
enum matcher_state matcher_ask(struct matcher_scratch *scratch, struct matcher_side *side,
                               uint32_t number);
/* Does this leaf satisfy it? */
bool matcher_condition_accepts(const struct matcher_side *side,
                               const struct matcher_condition *condition,
                               const struct matcher_leaf *leaf);
/* Is there one pick of leaves that agrees about array elements?  No condition of the branch fails
 * alone. */
enum pattern_verdict matcher_search(struct matcher_scratch *scratch, struct matcher_side *side,
                                    const struct matcher_branch *branch);
void matcher_search_destroy(struct matcher_search *search);
