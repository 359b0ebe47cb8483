/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_call.c - which calls of the AWS API are known, and where the table of them is.
 *
 * The table is made from botocore's models by generate_calls.py: every call of every service that
 * speaks JSON, whose input travels as it stands, and a chosen list of the others, with each member
 * of their inputs.  It is committed, so that a build needs no Python and a change of a call can be
 * read as a difference.
 *
 * Constant data, nothing else.
 */
#include "delivery/aws_call.h"

#include "core/check.h"

#include "delivery/aws_calls.inc"

const struct aws_shape *aws_shape_at(int index)
{
    CHECK(index >= 0);
    CHECK((size_t)index < ARRAY_LEN(shapes));
    return &shapes[index];
}

const struct aws_member *aws_member_at(int index)
{
    CHECK(index >= 0);
    CHECK((size_t)index < ARRAY_LEN(members));
    return &members[index];
}

/* "batchUpdateFindings" is "BatchUpdateFindings". */
static bool is_action(struct slice asked, struct slice known)
{
    return asked.len == known.len && asked.len > 0 &&
           slice_eq_ignore_case(slice_first(asked, 1), slice_first(known, 1)) &&
           slice_eq(slice_from(asked, 1), slice_from(known, 1));
}

static bool find_json(const struct aws_service *service, struct slice action,
                      struct aws_operation *operation)
{
    struct slice rest = slice_of(service->actions);

    while (rest.len > 0) {
        struct slice token = slice_cut(&rest, ' ');
        const struct slice known = slice_cut(&token, ':');

        if (is_action(action, known)) {
            operation->action = known;
            operation->token = token;
            return true;
        }
    }
    return false;
}

static bool find_listed(const struct aws_service *service, struct slice action,
                        struct aws_operation *operation)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (strcmp(calls[i].service, service->name) == 0 &&
            is_action(action, slice_of(calls[i].action))) {
            operation->call = &calls[i];
            operation->action = slice_of(calls[i].action);
            operation->token = slice_of(calls[i].token);
            return true;
        }
    }
    return false;
}

enum err aws_operation_find(struct slice service, struct slice action,
                            struct aws_operation *operation, struct err_why *why)
{
    *operation = (struct aws_operation){0};
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        if (slice_eq(service, slice_of(services[i].name))) {
            operation->service = &services[i];
        }
    }
    if (operation->service == NULL) {
        return err_because(ERR_BAD_VALUE, why,
                           "no service is called \"%.*s\", or none of its "
                           "calls can be made",
                           SLICE_ARG(slice_first(service, 64)));
    }
    if (operation->service->protocol == AWS_JSON
            ? !find_json(operation->service, action, operation)
            : !find_listed(operation->service, action, operation)) {
        return err_because(ERR_BAD_VALUE, why, "%s has no call \"%.*s\" that can be made",
                           operation->service->name, SLICE_ARG(slice_first(action, 64)));
    }
    return ERR_OK;
}
