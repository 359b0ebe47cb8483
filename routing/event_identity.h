/* SPDX-License-Identifier: Apache-2.0
 *
 * event_identity.h - what an event is known by, taken from the event itself.
 *
 * Three answers to "is this the same again?": all that it says, what its source calls the finding,
 * or the values at paths that an account chose.  Each is a digest of its own kind.
 */
#pragma once

#include "core/digest.h"
#include "routing/event.h"

/* Source, detail type, resources (absent is `[]`) and detail.  White space between tokens does not
 * count; everything else does: the order of members, the spelling of a number, an escape. */
void event_identity_content(const struct event_draft *draft, struct digest *digest);

/* The finding that it reports, in the state that it reports: source, detail type and the values
 * that its row of the table in event_identity.c names.  False: it is no finding that is known, or a
 * value is missing. */
bool event_identity_finding(const struct event_draft *draft, struct arena *arena,
                            struct digest *digest);

/* Its source, these checked paths, and the values there.  False: one has none. */
bool event_identity_paths(const struct event_draft *draft, const struct slice *paths, size_t count,
                          struct arena *arena, struct digest *digest);
