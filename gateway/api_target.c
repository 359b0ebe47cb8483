/* SPDX-License-Identifier: Apache-2.0
 *
 * api_target.c - a target of the catalog as the API shows it.
 *
 * The API knows one ARN per target.  A sequence of steps, which it does not know, is shown as the
 * target of its first step.
 */
#include "gateway/api_target.h"

#include "gateway/api_spelling.h"

json_t *api_target_from_catalog(json_t *target)
{
    json_t *result = api_from_catalog(target);

    json_object_del(result, "Uid");
    if (json_object_get(result, "Arn") == NULL) {
        const json_t *first = json_array_get(json_object_get(result, "Steps"), 0);

        json_object_set(result, "Arn", json_object_get(json_object_get(first, "Target"), "Arn"));
        json_object_del(result, "Steps");
    }
    return result;
}
