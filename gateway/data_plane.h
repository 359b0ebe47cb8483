/* SPDX-License-Identifier: Apache-2.0
 *
 * data_plane.h - which paths the data listener knows, and who answers them.
 */
#pragma once

#include "gateway/ingest.h"

/* The handler of one worker's data listener: `/` is the EventBridge API, `/events` takes envelopes,
 * anything else is 404. `ingest` outlives the listener. */
struct request_handler data_plane_handler(struct ingest *ingest);
