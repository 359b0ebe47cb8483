/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_trace.c - the decisions on an event's way in, as its trace keeps them.
 *
 * They are noted where an entry ends, not where each is made, so that an event costs the same few
 * lines whatever became of it.  A duplicate is one line more for the event that it repeats: nobody
 * will ever ask for its own id, which no one was told.  What was refused is noted under the id that
 * its sender gave, if he gave one.
 */
#include "core/moment.h"
#include "gateway/ingest_internal.h"
#include "gateway/trace.h"

static void note_arrival(const struct open_batch *batch, const struct trace_note *end)
{
    const struct trace_note arrival = {
        .kind = batch->moment != NULL   ? TRACE_SCHEDULED
                : batch->replay != NULL ? TRACE_REPLAYED
                                        : TRACE_RECEIVED,
        .account = end->account,
        .event_id = end->event_id,
        .at_ms = batch->commit.now_ms,
    };

    trace_note(batch->ingest->options.trace, &arrival);
}

static uint64_t count_rules(const struct walk *walk)
{
    uint64_t count = 0;

    for (size_t i = 0; i < walk->stored->delivery_count; i++) {
        count += i == 0 || walk->labels[i].data != walk->labels[i - 1].data ? 1 : 0;
    }
    return count;
}

static uint64_t count_archives(const struct store_entry *stored)
{
    uint64_t count = 0;

    for (size_t i = 0; i < stored->archiving_count; i++) {
        count += stored->archivings[i].is_full ? 0 : 1;
    }
    return count;
}

void ingest_trace_stored(const struct open_batch *batch, const struct walk *walk)
{
    const struct store_entry *stored = walk->stored;
    struct trace *trace = batch->ingest->options.trace;
    struct trace_note note = {
        .account = walk->account->id,
        .event_id = walk->event->id,
        .at_ms = moment_now_ms(),
    };

    if (stored->verdict == STORE_DUPLICATE) {
        note.kind = TRACE_DUPLICATE;
        note.event_id = slice_of(stored->duplicate_of);
        note.number = stored->stands_for;
        trace_note(trace, &note);
        return;
    }
    note_arrival(batch, &note);
    note.kind = stored->delivery_count > 0 ? TRACE_MATCHED : TRACE_UNMATCHED;
    note.number = count_rules(walk);
    trace_note(trace, &note);
    if (stored->conflict) {
        note.kind = TRACE_CONFLICT;
        trace_note(trace, &note);
    }
    if (stored->delivery_count > 0) {
        note.kind = TRACE_COMMITTED;
        note.number = stored->delivery_count;
        trace_note(trace, &note);
    }
    note.kind = TRACE_ARCHIVED;
    note.number = count_archives(stored);
    if (note.number > 0) {
        trace_note(trace, &note);
    }
}

void ingest_trace_answered(const struct open_batch *batch, size_t index)
{
    static const enum trace_kind kinds[] = {
        [OUTCOME_REFUSED] = TRACE_REFUSED,      [OUTCOME_THROTTLED] = TRACE_THROTTLED,
        [OUTCOME_FAILED] = TRACE_FAILED,        [OUTCOME_UNMATCHED] = TRACE_UNMATCHED,
        [OUTCOME_DUPLICATE] = TRACE_KIND_COUNT, /* told when the store answered */
        [OUTCOME_COMMITTED] = TRACE_KIND_COUNT,
    };
    const struct ingest_entry *entry = &batch->public.entries[index];
    const struct walk *walk = &batch->walks[index];
    const struct account *account =
        walk->account != NULL ? walk->account : batch->public.principal.account;
    const struct trace_note note = {
        .kind = kinds[walk->outcome],
        .account = account->id,
        .event_id = walk->event != NULL ? walk->event->id : entry->draft.id,
        .at_ms = moment_now_ms(),
        .err = entry->err,
    };

    if (note.kind == TRACE_KIND_COUNT ||
        (note.kind == TRACE_UNMATCHED && walk->stored != NULL)) { /* told likewise */
        return;
    }
    note_arrival(batch, &note);
    trace_note(batch->ingest->options.trace, &note);
}
