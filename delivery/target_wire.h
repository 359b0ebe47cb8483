/* SPDX-License-Identifier: Apache-2.0
 *
 * target_wire.h - what the kinds of targets that are AWS services have in common on the wire.
 */
#pragma once

#include "core/digest.h"
#include "delivery/target.h"

/* Where a service's requests go.  In the arena of whoever opened it. */
struct target_place {
    const char *url;   /* "https://HOST/" or "http://HOST:PORT/PREFIX/", NUL-terminated */
    struct slice host; /* as the Host header says it */
    struct slice path; /* of the URL, "/" at its end */
    struct slice service;
    struct slice region;
};

/* The override for this service, or empty. */
struct slice target_endpoint(const struct target_options *options, struct slice service);
/* Fill the URL's parts from an endpoint, "scheme://authority[/prefix]". */
void target_place_set(struct target_place *place, struct slice url, struct arena *arena);
/* The service in the Region of that ARN, or where it is overridden.  Borrows from `arn`. */
void target_place_open(struct target_place *place, const struct target_options *options,
                       const struct arn *arn, struct arena *arena);

/* Is it "arn:PARTITION:service:REGION:12 digits:RESOURCE" of that service? */
bool target_arn_is(const struct arn *arn, struct slice service);
/* 1 to `max` of A-Z a-z 0-9 - _ and whatever `more` holds. */
bool target_name_is(struct slice name, size_t max, const char *more);

/* POST to the place's root; the body is still to be written. */
void target_begin_post(const struct target_place *place, struct slice content_type,
                       struct target_request *request);
/* The same for the JSON protocols: `version` is "1.0" or "1.1", `action` "Prefix.Action". */
void target_begin_json(const struct target_place *place, const char *version, struct slice action,
                       struct target_request *request);

/* What names this delivery of this event to this step, and nothing else: equal over all attempts
 * and redrives.  The event's id is its sender's to choose, so account and bytes stand beside it;
 * the bytes are those of the event, because a changed transformer must not make it another. */
void target_identity(const struct target_item *item, struct digest *digest);

/* A complete reply that says 2xx? */
bool target_reply_is_good(const struct target_reply *reply);
/* The text of that member of the JSON object in the reply's body; empty if it has none. */
struct slice target_reply_text(const struct target_reply *reply, struct slice key,
                               struct arena *arena);
/* Judge a reply that failed as a whole, once for all `count` items.  Items that were refused for
 * what they hold go again one by one, because only one of them may be to blame. */
void target_judge_whole(const struct target_reply *reply, const struct target_error *own,
                        size_t own_count, size_t count, struct arena *arena,
                        struct target_verdict *verdicts);
/* Taken. */
void target_settle(struct target_verdict *verdict);
/* The reply is 2xx, and yet nothing says that the target has it: again. */
void target_bad_reply(struct target_verdict *verdict, struct slice text);
/* It can never be taken; false, as ops.check returns it. */
bool target_refuse(struct target_verdict *verdict, enum err err, const char *reason,
                   struct slice code, struct slice text);

/* Rows of a kind's table of errors. */
#define TARGET_RETRIED(name, err)                                                                  \
    {                                                                                              \
        SLICE_INIT(name), TARGET_RETRY, err, NULL                                                  \
    }
#define TARGET_BURIED(name, err, reason)                                                           \
    {                                                                                              \
        SLICE_INIT(name), TARGET_BURY, err, reason                                                 \
    }
