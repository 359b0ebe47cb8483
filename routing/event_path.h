/* SPDX-License-Identifier: Apache-2.0
 *
 * event_path.h - the value at one place of an event, as its sender wrote it.
 *
 *     source                     a member of the envelope
 *     $.detail.id                the same as detail.id
 *     detail.findings[0].Id      a member of the first element
 *
 * Names are joined by dots, an index stands in brackets; a name that holds a dot or a bracket
 * cannot be named.  Of a member that is given twice the later counts, as it does for patterns'
 * readers.
 */
#pragma once

#include "routing/event.h"

enum { EVENT_PATH_BYTES_MAX = 256, EVENT_PATH_STEPS_MAX = 16 };

/* Is this a path, and does it begin at a member of the envelope?  ERR_BAD_VALUE with what is wrong.
 */
MUST_USE enum err event_path_check(struct slice path, struct err_why *why);

struct event_value {
    struct slice text;
    bool is_json; /* JSON text as it came; else the characters of a member of the envelope */
};

/* The value at a checked path.  False: there is nothing, or null, or an empty string: what names
 * nothing.  The draft is valid JSON; the arena takes names that are written with escapes. */
bool event_path_find(const struct event_draft *draft, struct slice path, struct arena *arena,
                     struct event_value *value);
