/* SPDX-License-Identifier: Apache-2.0
 *
 * event.h - the EventBridge envelope: read from a caller, completed, and from then on immutable.
 *
 * An event is counted and may be shared between threads.  Its bytes are what targets receive: an
 * envelope posted whole stays byte for byte as received, an entry of PutEvents becomes an envelope
 * in EventBridge's key order with white space between tokens of its detail removed.
 */
#pragma once

#include <stdatomic.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/slice.h"

enum {
    EVENT_ID_CHARS_MAX = 64,
    EVENT_SOURCE_BYTES_MAX = 256,
    EVENT_DETAIL_TYPE_BYTES_MAX = 128,
};

struct event {
    _Atomic uint32_t references;
    /* all immutable; slices into `bytes` or into the same allocation, unescaped */
    struct slice bytes;
    struct slice id;
    struct slice account; /* 12 digits */
    struct slice source;
    struct slice detail_type;
    struct slice region;
    struct slice time;
    uint64_t accepted_ms;

    struct arena arena; /* private: where the event itself lives */
};

struct event *event_acquire(struct event *event);
/* The last release frees. NULL is fine. */
void event_release(struct event *event);

/* What a caller gave of an event, before weir completed it.  Absent members have a NULL pointer.
 * Slices borrow from the text or the arena. */
struct event_draft {
    struct slice bytes; /* the whole envelope as received; NULL for a PutEvents entry */
    struct slice id;
    struct slice version;
    struct slice account;
    struct slice source;
    struct slice detail_type;
    struct slice time; /* ISO 8601 */
    struct slice region;
    struct slice resources; /* JSON text of the array */
    struct slice detail;    /* JSON text of the object */
};

/* Read one envelope as `POST /events` takes it: a JSON object with string members `source` and
 * `detail-type` and an object `detail`; `id`, `version`, `account`, `time`, `region`, `resources`
 * optional.  Duplicate envelope keys, NUL in an envelope string, a value of a wrong type, an
 * account that is not 12 digits, or a length over its maximum give ERR_BAD_VALUE; broken JSON
 * ERR_BAD_JSON; each with what and where in `why`. Other members are kept, unread. */
MUST_USE enum err event_read_envelope(struct slice text, struct arena *arena,
                                      struct event_draft *draft, struct err_why *why);

/* What fills the gaps of a draft. */
struct event_defaults {
    struct slice id;      /* used when the draft has none */
    struct slice account; /* the account of the event, always used: the caller bound it before */
    struct slice region;
    uint64_t now_ms;
};

/* Make the event.  A draft with `bytes` keeps them; missing members are put in front of the first
 * key, everything else stays.  Without `bytes` the envelope is written in EventBridge's key order
 * (version, id, detail-type, source, account, time, region, resources, detail), detail compacted.
 */
struct event *event_complete(const struct event_draft *draft,
                             const struct event_defaults *defaults);

/* The event that a replay makes of `envelope`, which was a whole event once: the same bytes with
 * `replay-name` in front of `resources`, or in the place of one that is there.  `replay` is a name
 * that needs no escape.  ERR_BAD_JSON or ERR_BAD_VALUE if the envelope is none. */
MUST_USE enum err event_replay(struct slice envelope, struct slice replay,
                               const struct event_defaults *defaults, struct event **event);

/* Is this the JSON text of an object? For the Detail of PutEvents: ERR_MALFORMED_DETAIL if not. */
MUST_USE enum err event_check_detail(struct slice text);
