/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.h - what a replay's document says.
 *
 *   replay/OWNER/NAME   OWNER is "central" or the account of the archive's bus
 *   name, description, archive, uid (of the archive), bus, from_ms, to_ms, filter_arns
 *   state, reason, since_ms (when it was started), ended_ms, last_ms (time of the last event)
 *   place               [time, seq, part] of the last event that was brought back
 *   holder, held_until_ms   the replica that brings them back, and how long others leave it alone
 *
 * Nothing that a worker uses is made of it.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/slice.h"
#include "storage/store_archive.h"

enum {
    REPLAY_RUNNING_MAX = 10, /* of one account */
    REPLAY_KEPT_MAX = 1000,  /* of one account, ended ones included: the oldest of those go */
    REPLAY_FILTERS_MAX = 300,
};

/* Is a document of that name a replay's? */
bool replay_owns(struct slice name);
/* STARTING, RUNNING or CANCELLING? */
bool replay_is_open(const json_t *replay);
uint64_t replay_number(const json_t *replay, const char *member);
void replay_put_number(json_t *replay, const char *member, uint64_t number);
void replay_set_state(json_t *replay, const char *state);
/* In a final state, now, and with nobody who holds it; a NULL reason: none. */
void replay_end(json_t *replay, const char *state, const char *reason, uint64_t now_ms);
/* Where it goes on: behind that place. */
struct store_place replay_place(const json_t *replay);
void replay_put_place(json_t *replay, const struct store_place *place);
/* A document that another replica wrote: ERR_BAD_CATALOG with the reason. */
MUST_USE enum err replay_check(struct slice name, const json_t *value, struct err_why *why);
