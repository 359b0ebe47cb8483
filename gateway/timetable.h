/* SPDX-License-Identifier: Apache-2.0
 *
 * timetable.h - when each schedule of the catalog is due next, on control's thread.
 */
#pragma once

#include "gateway/snapshot.h"

struct timetable;

/* Someone to act on moments.  `act` gets one and answers it later by timetable_done(). */
struct timetable_options {
    void (*act)(void *context, struct rule *rule, uint64_t due_ms);
    void *context;
};

struct timetable *timetable_new(const struct timetable_options *options);
/* NULL is fine. */
void timetable_destroy(struct timetable *timetable);
/* From now on the schedules of this snapshot count; those it shares with the one before go on. */
void timetable_use(struct timetable *timetable, const struct snapshot *snapshot, uint64_t now_ms);
/* Act on what has come due. */
void timetable_look(struct timetable *timetable, uint64_t now_ms);
/* What became of a moment: ERR_OK, and the schedule goes on; else it is tried again, for as long as
 * a moment may be late. */
void timetable_done(struct timetable *timetable, const struct rule *rule, enum err err);
