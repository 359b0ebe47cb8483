/* SPDX-License-Identifier: Apache-2.0
 *
 * target.h - the contract of every kind of target: how a call is built and how its reply is read.
 *
 * A kind is pure: it takes deliveries and gives a request, takes a reply and gives a verdict per
 * delivery.  The coordinator signs, sends, waits and records.  An opened target is bound to one ARN
 * and lives as long as its destination, on one thread.
 */
#pragma once

#include "core/arena.h"
#include "core/arn.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/header.h"
#include "core/slice.h"

enum {
    TARGET_BATCH_MAX = 10,
    TARGET_HEADERS_MAX = 8,
    TARGET_MESSAGE_BYTES_MAX = 256,
    TARGET_ATTRIBUTES_MAX = 8,
};

/* What stands beside a message: a string under a name. */
struct target_attribute {
    struct slice name;
    struct slice value;
};

/* What a target adds to an HTTP request of its own, filled in from the event. */
struct target_http {
    const struct slice *path_values; /* one for each `*` of the endpoint's path */
    size_t path_value_count;
    const struct header *headers;
    size_t header_count;
    const struct header *queries;
    size_t query_count;
};

/* One delivery as a target sees it. */
struct target_item {
    struct slice body;  /* the bytes that the target shall get */
    struct slice event; /* those of the event itself; `body` is the same slice if none was made */
    struct slice event_id;
    struct slice account;
    struct slice rule;      /* "BUS/RULE" */
    struct slice target_id; /* Id of the target in its rule */
    struct slice step;      /* of a sequence; empty outside of one */
    bool wants_reply;       /* by a step: of calls that may be waited for or not, wait */
    struct slice message_group_id;
    const struct target_http *http;            /* NULL: nothing */
    const struct target_attribute *attributes; /* of a message to a queue; usually none */
    size_t attribute_count;
};

enum target_action {
    TARGET_SETTLE, /* taken */
    TARGET_RETRY,  /* later, one attempt spent */
    TARGET_SPLIT,  /* the batch was refused, not this item: send it alone, no attempt spent */
    TARGET_RENEW,  /* credentials had expired: fetch new ones and repeat, once */
    TARGET_BURY,   /* never */
};

struct target_verdict {
    enum target_action action;
    enum err err;                               /* ERR_OK only with SETTLE */
    uint64_t retry_after_ms;                    /* what the target asked for, clamped; 0: nothing */
    const char *reason;                         /* BURY: a constant */
    char message[TARGET_MESSAGE_BYTES_MAX + 1]; /* for a person; from outside, so escape it */
};

/* A request before it is signed, or one that nobody signs: then `path`, `query`, `host`, `service`
 * and `region` stay empty, and the headers are those of `plain`.  In the arena of the call, or
 * constant. */
struct target_request {
    const char *method;
    const char *url;
    struct slice path;                         /* as on the wire */
    struct slice query;                        /* the same, without '?' */
    struct slice host;                         /* as the Host header says it */
    struct header headers[TARGET_HEADERS_MAX]; /* host not among them */
    size_t header_count;
    struct slice service; /* for the signature */
    struct slice region;
    const struct header *plain; /* of a request that nobody signs */
    size_t plain_count;
    uint64_t mark;    /* comes back with the reply */
    struct buf *body; /* in: the caller's, empty; out: filled */
};

struct target_reply {
    enum err err;          /* ERR_OK: a complete reply of any status */
    struct slice err_text; /* why there is none, for a person; may be empty */
    unsigned status;
    struct slice headers; /* "name: value\n" lines, names in lower case */
    struct slice body;
    uint64_t mark;   /* of its request */
    uint64_t now_ms; /* when it came */
};

/* Where calls to one service go instead of to AWS. */
struct target_endpoint {
    struct slice service; /* as signatures name it; empty: every service not named otherwise */
    struct slice url;     /* "http://127.0.0.1:4566" */
};

struct target_options {
    const struct target_endpoint *endpoints;
    size_t endpoint_count;
    size_t sqs_batch_bytes_max;              /* sum of bodies in one call to a queue */
    struct api_destination *api_destination; /* what the ARN names, where it names one */
};

struct api_destination;
struct target_ops;

/* First member of each kind's own struct. */
struct target {
    const struct target_ops *ops;
};

struct target_ops {
    struct slice service;         /* as in its ARNs */
    struct slice resource_prefix; /* as in its ARNs, where two kinds share a service */
    size_t batch_count_max;
    bool is_plain; /* its requests are not signed: no AWS credentials are asked for */

    /* Bind to an ARN.  ERR_BAD_VALUE with a reason if it is none of this kind. */
    enum err (*open)(const struct target_options *options, struct slice arn, struct target **target,
                     struct err_why *why);
    void (*close)(struct target *target);

    /* How many bytes of items one call may carry, now. */
    size_t (*batch_bytes_max)(const struct target *target);

    /* May this item be sent at all?  False: `verdict` says why it must be buried. */
    bool (*check)(const struct target *target, const struct target_item *item,
                  struct target_verdict *verdict);

    /* Must something be looked up before the first send?  Then build_lookup is called instead of
     * build, and read_lookup returns true when the target is ready, else a verdict for every item
     * that waits, which may ask to wait before the next lookup.  NULL: never. */
    bool (*needs_lookup)(const struct target *target, uint64_t now_ms);
    enum err (*build_lookup)(const struct target *target, struct arena *arena,
                             struct target_request *request);
    bool (*read_lookup)(struct target *target, const struct target_reply *reply,
                        struct arena *arena, struct target_verdict *verdict);

    /* ERR_TOO_LARGE if the items do not fit into the body's maximum. */
    enum err (*build)(const struct target *target, const struct target_item *items, size_t count,
                      struct arena *arena, struct target_request *request);
    /* Which elements of an XML reply are lists, for step_result().  NULL: none is known. */
    struct slice (*reply_lists)(const struct target *target);
    /* One verdict per item, in order. */
    void (*classify)(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts);
};

extern const struct target_ops target_sqs;
extern const struct target_ops target_lambda;
extern const struct target_ops target_sns;
extern const struct target_ops target_states;
extern const struct target_ops target_ssm;
extern const struct target_ops target_api;
extern const struct target_ops target_events;
extern const struct target_ops target_universal;

/* The kind that serves this ARN, or NULL. */
const struct target_ops *target_find(struct slice arn);

/* May this ARN be a target?  ERR_BAD_VALUE with the reason.  What opens here opens later too: the
 * kind itself is asked. */
MUST_USE enum err target_check_arn(struct slice arn, struct err_why *why);

/* May a target of this ARN, which may be one, get this constant input?  ERR_BAD_VALUE with the
 * reason that a dead letter would have. */
MUST_USE enum err target_check_input(struct slice arn, struct slice input, struct err_why *why);

/* Value of a reply header, trimmed; empty if absent. */
struct slice target_reply_header(const struct target_reply *reply, struct slice name);

/* What an AWS service said: the error's short name (after '#', before ':') and its message. */
struct target_fault {
    struct slice code;
    struct slice message;
};

/* Read both from headers and body, JSON or XML, of an error reply; either may come out empty. */
void target_fault_read(const struct target_reply *reply, struct arena *arena,
                       struct target_fault *fault);

/* Verdict of a reply that failed as a whole, by code before status: JSON services throttle with
 * HTTP 400.  `own` is the kind's own table, asked first; it may be NULL with count 0. */
struct target_error {
    struct slice code;
    enum target_action action;
    enum err err;
    const char *reason; /* BURY only */
};
void target_fault_judge(const struct target_reply *reply, const struct target_fault *fault,
                        const struct target_error *own, size_t own_count,
                        struct target_verdict *verdict);

/* Verdict for an error code alone, such as one entry of a batch. */
void target_code_judge(const struct target_fault *fault, bool is_sender_fault,
                       const struct target_error *own, size_t own_count,
                       struct target_verdict *verdict);

/* What a Retry-After header asks for, in seconds alone and clamped; 0: nothing. */
uint64_t target_retry_after_ms(const struct target_reply *reply);

/* Fill a verdict; the message is "CODE: TEXT", cut to fit. */
void target_verdict_set(struct target_verdict *verdict, enum target_action action, enum err err,
                        const char *reason, struct slice code, struct slice text);
