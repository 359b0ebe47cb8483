/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.h - what was decided about the latest events, by event id.
 *
 * One per worker, in memory only, bounded: the newest events push out the oldest.  It holds names,
 * numbers and times, never a payload and nothing of a credential.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

struct trace;

enum trace_kind {
#define STEP(constant, name, number, sentence) TRACE_##constant,
#include "gateway/trace.def"
#undef STEP
    TRACE_KIND_COUNT
};

enum {
    TRACE_EVENT_BYTES = 1024, /* what one event may take, in round figures */
    TRACE_LINES_MAX = 1024,   /* of one answer */
};

/* One decision.  Slices are copied or, being names that repeat, kept once. */
struct trace_note {
    enum trace_kind kind;
    struct slice account; /* 12 digits */
    struct slice event_id;
    uint64_t at_ms;
    uint64_t until_ms; /* RETRIED, PARKED: not before; 0: nothing to say */
    uint64_t number;   /* what it counts is in trace.def */
    enum err err;      /* ERR_OK: none */
    struct slice rule; /* each may be empty */
    struct slice target;
    struct slice sequence_step; /* which step of a sequence it is about */
    struct slice reason;        /* a constant such as "target-removed" */
};

/* For the decisions of `event_max` events; with 0 it keeps nothing. */
struct trace *trace_new(size_t event_max);
/* NULL is fine. */
void trace_destroy(struct trace *trace);
void trace_note(struct trace *trace, const struct trace_note *note);

/* All that several traces know of one event id, which several accounts may have used. */
struct trace_answer {
    struct slice event_id;
    struct arena arena;
    struct trace_note *lines; /* everything copied */
    size_t line_count;
    uint64_t omitted; /* decisions in the middle that were not kept */
};

/* `event_id` is copied. */
void trace_answer_init(struct trace_answer *answer, struct slice event_id);
void trace_answer_clean_up(struct trace_answer *answer);
/* On the thread that owns `trace`. */
void trace_find(const struct trace *trace, struct trace_answer *answer);
/* In the order of time, and of one moment by what must come first. */
void trace_answer_sort(struct trace_answer *answer);

const char *trace_kind_name(enum trace_kind kind);
/* NULL: its number says nothing. */
const char *trace_kind_number(enum trace_kind kind);
