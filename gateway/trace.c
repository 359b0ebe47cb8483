/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.c - a ring of events, each with its first and its latest decisions.
 *
 * An event takes the next slot of the ring when its first decision is noted, and keeps it until the
 * ring has come round.  Of its decisions the first few stay (how it came in) and the latest stay
 * (where it is now); what a long history of retries has between is counted as omitted.
 *
 * Names of rules, targets and reasons repeat, so each is kept once, and past LABELS_MAX a new one
 * is "other": a tenant who renames his rules for ever costs no memory.
 *
 * A question walks the whole ring: it is rare, and an index by id alone would have to hold an id
 * that several accounts use.
 *
 * Memory: event_max slots of less than TRACE_EVENT_BYTES, touched only when used, and the labels.
 * Time:   only what notes bring.
 */
#include "gateway/trace.h"

#include "accounts/directory.h"
#include "core/check.h"
#include "core/map.h"
#include "storage/store.h"

enum {
    STEPS_FIRST = 4,
    STEPS_LATEST = 12,
    STEPS_MAX = STEPS_FIRST + STEPS_LATEST,
    LABELS_MAX = 16384,
    LABEL_BYTES_MAX = 2048,
    KEY_CHARS_MAX = ACCOUNT_ID_CHARS + 1 + STORE_EVENT_ID_CHARS_MAX,
};

struct label {
    struct slice text; /* behind it, with a NUL */
};

struct step {
    uint64_t at_ms;
    uint64_t until_ms;
    const struct label *rule; /* each NULL: none */
    const struct label *target;
    const struct label *sequence_step;
    const struct label *reason;
    uint32_t number;
    uint16_t err;
    uint8_t kind;
};

struct slot {
    struct slice key; /* "ACCOUNT/EVENT-ID", in `key_chars`; empty: never used */
    char key_chars[KEY_CHARS_MAX];
    uint64_t step_count; /* noted, kept or not */
    struct step steps[STEPS_MAX];
};

struct trace {
    size_t event_max;
    size_t next; /* slot to be taken next */
    struct slot *slots;
    struct map events; /* key -> struct slot */
    struct map labels; /* text -> struct label */
    struct label other;
};

_Static_assert(sizeof(struct slot) <= TRACE_EVENT_BYTES, "a slot takes what its limit says");

static const struct {
    const char *name;
    const char *number;
} kinds[] = {
#define STEP(constant, name, number, sentence) [TRACE_##constant] = {name, number},
#include "gateway/trace.def"
#undef STEP
};

const char *trace_kind_name(enum trace_kind kind)
{
    CHECK(kind < TRACE_KIND_COUNT);
    return kinds[kind].name;
}

const char *trace_kind_number(enum trace_kind kind)
{
    CHECK(kind < TRACE_KIND_COUNT);
    return kinds[kind].number;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct trace *trace_new(size_t event_max)
{
    struct trace *trace = xcalloc(1, sizeof(*trace));

    trace->event_max = event_max;
    trace->slots = event_max > 0 ? xcalloc(event_max, sizeof(*trace->slots)) : NULL;
    trace->other.text = SLICE("other");
    return trace;
}

void trace_destroy(struct trace *trace)
{
    size_t cursor = 0;
    struct label *label;

    if (trace == NULL) {
        return;
    }
    while ((label = map_next(&trace->labels, &cursor)) != NULL) {
        xfree(label);
    }
    map_clean_up(&trace->labels);
    map_clean_up(&trace->events);
    xfree(trace->slots);
    xfree(trace);
}

/* ---- noting -------------------------------------------------------------------------------- */

static const struct label *keep_label(struct trace *trace, struct slice text)
{
    struct label *label;
    char *copy;

    if (text.len == 0) {
        return NULL;
    }
    text = slice_first(text, LABEL_BYTES_MAX);
    label = map_get(&trace->labels, text);
    if (label != NULL) {
        return label;
    }
    if (trace->labels.count >= LABELS_MAX) {
        return &trace->other;
    }
    label = xcalloc(1, sizeof(*label) + text.len);
    copy = (char *)(label + 1);
    memcpy(copy, text.data, text.len);
    label->text = (struct slice){copy, text.len};
    (void)map_put(&trace->labels, label->text, label);
    return label;
}

/* The slot of this event; the oldest one's, if it has none yet. */
static struct slot *find_slot(struct trace *trace, const struct trace_note *note)
{
    char chars[KEY_CHARS_MAX];
    const struct slice key = {chars, ACCOUNT_ID_CHARS + 1 + note->event_id.len};
    struct slot *slot;

    memcpy(chars, note->account.data, ACCOUNT_ID_CHARS);
    chars[ACCOUNT_ID_CHARS] = '/';
    memcpy(chars + ACCOUNT_ID_CHARS + 1, note->event_id.data, note->event_id.len);
    slot = map_get(&trace->events, key);
    if (slot != NULL) {
        return slot;
    }
    slot = &trace->slots[trace->next];
    trace->next = (trace->next + 1) % trace->event_max;
    if (slot->key.len > 0) {
        CHECK(map_remove(&trace->events, slot->key) == slot);
    }
    memcpy(slot->key_chars, chars, key.len);
    slot->key = (struct slice){slot->key_chars, key.len};
    slot->step_count = 0;
    (void)map_put(&trace->events, slot->key, slot);
    return slot;
}

/* Where the n-th decision of an event stands. */
static size_t step_index(uint64_t n)
{
    return n < STEPS_FIRST ? (size_t)n : STEPS_FIRST + (size_t)((n - STEPS_FIRST) % STEPS_LATEST);
}

void trace_note(struct trace *trace, const struct trace_note *note)
{
    struct slot *slot;

    CHECK(note->kind < TRACE_KIND_COUNT);
    if (trace->event_max == 0 || note->event_id.len == 0 ||
        note->event_id.len > STORE_EVENT_ID_CHARS_MAX || note->account.len != ACCOUNT_ID_CHARS) {
        return;
    }
    slot = find_slot(trace, note);
    slot->steps[step_index(slot->step_count++)] = (struct step){
        .at_ms = note->at_ms,
        .until_ms = note->until_ms,
        .rule = keep_label(trace, note->rule),
        .target = keep_label(trace, note->target),
        .sequence_step = keep_label(trace, note->sequence_step),
        .reason = keep_label(trace, note->reason),
        .number = (uint32_t)MIN_OF(note->number, (uint64_t)UINT32_MAX),
        .err = (uint16_t)note->err,
        .kind = (uint8_t)note->kind,
    };
}

/* ---- answering ----------------------------------------------------------------------------- */

void trace_answer_init(struct trace_answer *answer, struct slice event_id)
{
    *answer = (struct trace_answer){.arena = {0}};
    answer->event_id = arena_copy(&answer->arena, event_id);
    answer->lines = ARENA_ARRAY(&answer->arena, struct trace_note, TRACE_LINES_MAX);
}

void trace_answer_clean_up(struct trace_answer *answer)
{
    arena_clean_up(&answer->arena);
}

static struct slice copy_label(struct arena *arena, const struct label *label)
{
    return label != NULL ? arena_copy(arena, label->text) : (struct slice){NULL, 0};
}

static void add_line(struct trace_answer *answer, const struct slot *slot, const struct step *step)
{
    if (answer->line_count == TRACE_LINES_MAX) {
        answer->omitted++;
        return;
    }
    answer->lines[answer->line_count++] = (struct trace_note){
        .kind = (enum trace_kind)step->kind,
        .account = arena_copy(&answer->arena, slice_first(slot->key, ACCOUNT_ID_CHARS)),
        .event_id = answer->event_id,
        .at_ms = step->at_ms,
        .until_ms = step->until_ms,
        .number = step->number,
        .err = (enum err)step->err,
        .rule = copy_label(&answer->arena, step->rule),
        .target = copy_label(&answer->arena, step->target),
        .sequence_step = copy_label(&answer->arena, step->sequence_step),
        .reason = copy_label(&answer->arena, step->reason),
    };
}

void trace_find(const struct trace *trace, struct trace_answer *answer)
{
    for (size_t i = 0; i < trace->event_max && trace->slots[i].key.len > 0; i++) {
        const struct slot *slot = &trace->slots[i];
        uint64_t n = 0;

        if (!slice_eq(slice_from(slot->key, ACCOUNT_ID_CHARS + 1), answer->event_id)) {
            continue;
        }
        while (n < slot->step_count) {
            if (n == STEPS_FIRST && slot->step_count > STEPS_MAX) {
                answer->omitted += slot->step_count - STEPS_MAX;
                n = slot->step_count - STEPS_LATEST;
            }
            add_line(answer, slot, &slot->steps[step_index(n++)]);
        }
    }
}

/* Of one moment on two threads, what came in stands before what went out. */
static bool stands_behind(const struct trace_note *a, const struct trace_note *b)
{
    return a->at_ms != b->at_ms ? a->at_ms > b->at_ms
                                : a->kind >= TRACE_CLAIMED && b->kind < TRACE_CLAIMED;
}

/* By insertion: what one thread noted is in order already, and the lines are few. */
void trace_answer_sort(struct trace_answer *answer)
{
    for (size_t i = 1; i < answer->line_count; i++) {
        const struct trace_note line = answer->lines[i];
        size_t k = i;

        for (; k > 0 && stands_behind(&answer->lines[k - 1], &line); k--) {
            answer->lines[k] = answer->lines[k - 1];
        }
        answer->lines[k] = line;
    }
}
