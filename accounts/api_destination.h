/* SPDX-License-Identifier: Apache-2.0
 *
 * api_destination.h - an API destination with its connection: where to call, and as whom.
 *
 * Immutable and counted: made by the control thread, used by every snapshot that holds the same
 * and by the worker that calls it.  Its arena holds secrets and is wiped at the end.
 */
#pragma once

#include <stdatomic.h>

#include "core/arena.h"
#include "core/slice.h"

enum {
    API_PARAMETERS_MAX = 100, /* of one kind, of one connection */
    API_PARAMETER_CHARS_MAX = 512,
    API_ENDPOINT_CHARS_MAX = 2048,
};

/* What a connection adds to each request. */
struct api_parameter {
    struct slice name;
    struct slice value;
    bool is_secret;
};
struct api_parameter_list {
    const struct api_parameter *items;
    size_t count;
};
struct api_parameters {
    struct api_parameter_list headers;
    struct api_parameter_list queries;
    struct api_parameter_list bodies; /* members of a JSON object, or of a form */
};

/* Where a token is got, and with what. */
struct api_oauth {
    struct slice endpoint; /* https URL */
    const char *method;    /* a constant */
    struct slice client_id;
    struct slice client_secret;
    struct api_parameters more;
};

enum api_authorization {
    API_UNAUTHORIZED, /* the connection is gone, or was deauthorized: nothing may be sent */
    API_HEADER,       /* BASIC and API_KEY: one header that stays the same */
    API_OAUTH,
};

struct api_destination {
    _Atomic uint32_t references;
    struct arena arena;          /* holds all that follows */
    struct slice arn;            /* arn:aws:events:REGION:ACCOUNT:api-destination/NAME/UUID */
    struct slice name_arn;       /* the same without /UUID */
    struct slice endpoint;       /* https URL, each `*` of its path a path parameter */
    const char *method;          /* a constant */
    uint64_t calls_per_second;   /* at most */
    uint64_t edition;            /* of the catalog's document that it was made of, and */
    uint64_t connection_edition; /* of what its connection sends; 0: there is none */
    enum api_authorization authorization;
    struct api_parameter header; /* of API_HEADER */
    struct api_oauth oauth;      /* of API_OAUTH */
    struct api_parameters invocation;
};

/* An empty one with one reference, living in its own arena: the maker fills it, then changes it no
 * more. */
struct api_destination *api_destination_new(void);
struct api_destination *api_destination_acquire(struct api_destination *destination);
/* The last release wipes and frees. NULL is fine. */
void api_destination_release(struct api_destination *destination);

/* POST, GET, HEAD, OPTIONS, PUT, PATCH or DELETE as a constant; NULL for anything else. */
const char *api_method(struct slice text);
/* May weir call this URL?  "https://HOST[:PORT][/PATH][?QUERY]" with a host that is a name, no
 * user, no fragment, and no character that a URL must escape; else a constant that says what is
 * wrong.  NULL: it may. */
const char *api_endpoint_fault(struct slice url);
/* Does this header belong to the connection itself or to the sender, so that nobody may set it?
 * ASCII case does not count.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html */
bool api_header_is_reserved(struct slice name);
/* 1 to 512 characters of a token of RFC 9110. */
bool api_header_name_is_good(struct slice name);
/* No control character but a tab. */
bool api_header_value_is_good(struct slice value);
