/* SPDX-License-Identifier: Apache-2.0
 *
 * sequence.h - the steps of a target that is a sequence: which comes next, and what is kept of
 * each.
 *
 * What a sequence has kept is one JSON object, its *state*: a member for each step that was done or
 * has failed, under the step's name.
 *
 *     {"context": {"tags": [...]}, "notify": {"error": {"reason": "...", "message": "..."}}}
 *
 * A step that was passed over has no member.  Paths find it at `$.steps` beside the event, patterns
 * of `when` at {"event": EVENT, "steps": STATE}.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"
#include "routing/rule.h"

enum {
    SEQUENCE_STEPS_MAX = 16,
    SEQUENCE_STATE_BYTES_MAX = 32 << 10,
    SEQUENCE_NAME_CHARS_MAX = 24,
    SEQUENCE_KEEP_MAX = 32,
};

/* The step of that name, or NULL. */
const struct rule_step *sequence_step(const struct rule_target *target, struct slice name);

/* The first step from `from` on that is to run: its `when` holds, with these lists (NULL: none),
 * or it has none.  step_count when there is none.  Errors: ERR_BAD_JSON where event and state
 * cannot be read as one document. */
MUST_USE enum err sequence_next(const struct rule_target *target, size_t from, struct slice event,
                                struct slice state, const struct partner_lists *lists,
                                struct arena *arena, size_t *next);

/* The event with the state as its member `steps`, whatever the event has there. */
struct slice sequence_document(struct slice event, struct slice state, struct arena *arena);

/* What `step` keeps of its result, any JSON value, in the arena: an object with a member for each
 * path that leads somewhere, or the value at its only path (null if there is none).  Of a list it
 * may be the one that matches a pattern; as text it fits into a string of a template.
 * ERR_TOO_LARGE past SEQUENCE_STATE_BYTES_MAX; ERR_BAD_JSON. */
MUST_USE enum err sequence_keep(const struct rule_step *step, struct slice result,
                                struct arena *arena, struct slice *kept);
/* What stands for a step that failed and was gone on from. */
struct slice sequence_failure(struct slice reason, struct slice message, struct arena *arena);
/* The state with `value` under `name`, in the place of one that is there.  ERR_TOO_LARGE likewise.
 */
MUST_USE enum err sequence_put(struct slice state, struct slice name, struct slice value,
                               struct arena *arena, struct slice *result);
