/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_call.h - any call of the AWS API by its name: what is known of it, and how its input travels.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/header.h"
#include "core/slice.h"

enum aws_protocol { AWS_JSON, AWS_QUERY, AWS_EC2, AWS_REST_JSON, AWS_REST_XML };

/* How a value is written. */
enum aws_kind {
    AWS_SCALAR,
    AWS_BLOB,
    AWS_STRUCTURE,
    AWS_LIST,
    AWS_MAP,
    AWS_RAW, /* JSON that travels as it stands */
};

/* Where a member of the input goes. */
enum aws_place { AWS_IN_BODY, AWS_IN_PATH, AWS_IN_QUERY, AWS_IN_HEADER, AWS_IN_HEADERS };

struct aws_shape {
    enum aws_kind kind;
    int first;         /* STRUCTURE: of its members; LIST, MAP: the shape of its values */
    int count;         /* STRUCTURE: of its members */
    const char *item;  /* LIST, MAP in a form: what stands before the number, "" for nothing */
    const char *key;   /* MAP in a form */
    const char *value; /* MAP in a form */
};

struct aws_member {
    const char *name; /* as the SDKs and an input call it */
    const char *wire; /* as it travels */
    enum aws_place place;
    int shape;
};

struct aws_call {
    const char *service;
    const char *action;
    const char *method;
    const char *uri;     /* "/path/{Name}/{Rest+}?fixed" */
    int input;           /* shape, or -1: none */
    const char *payload; /* the member that is the body, or NULL */
    const char *token;   /* the member that makes a repeat harmless, or NULL */
    const char *lists;   /* in an XML reply: "Wrapper/Item Item ... ", see step_result.h */
};

struct aws_service {
    const char *name;        /* as SDKs call it: "sfn" */
    const char *signing;     /* as signatures call it: "states" */
    const char *host_prefix; /* before ".REGION.amazonaws.com" */
    enum aws_protocol protocol;
    const char *version; /* of JSON ("1.1"), or of the API */
    const char *target_prefix;
    const char *global_host;   /* of a service that has one for all Regions, or NULL */
    const char *global_region; /* which then signs */
    const char *actions;       /* JSON: "Action Other:Token ... " */
};

/* One call, found. */
struct aws_operation {
    const struct aws_service *service;
    const struct aws_call *call; /* NULL: a service that speaks JSON */
    struct slice action;         /* as on the wire, "BatchUpdateFindings" */
    struct slice token;          /* member that makes a repeat harmless, or empty */
};

/* Find "securityhub", "batchUpdateFindings".  ERR_BAD_VALUE with what is not known. */
MUST_USE enum err aws_operation_find(struct slice service, struct slice action,
                                     struct aws_operation *operation, struct err_why *why);

enum { AWS_WRITTEN_HEADERS_MAX = 4 };

/* A call as it travels; slices in the arena, or constants. */
struct aws_written {
    const char *method;
    struct slice path;  /* encoded, without the leading '/' */
    struct slice query; /* without '?' */
    struct header headers[AWS_WRITTEN_HEADERS_MAX];
    size_t header_count;
    struct buf *body; /* in: the caller's, empty */
};

/* Write an input, which is a JSON object with the members that the SDKs have.  `token` is taken for
 * operation->token where the input does not set that.  ERR_BAD_VALUE with what is wrong with it;
 * ERR_TOO_LARGE past the maximum of the body. */
MUST_USE enum err aws_operation_write(const struct aws_operation *operation, struct slice input,
                                      struct slice token, struct arena *arena,
                                      struct aws_written *written, struct err_why *why);

/* Of the table, for the writer. */
const struct aws_shape *aws_shape_at(int index);
const struct aws_member *aws_member_at(int index);
