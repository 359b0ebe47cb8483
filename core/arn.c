/* SPDX-License-Identifier: Apache-2.0
 *
 * arn.c - one reader of ARNs, so that who checks one and who uses it see the same account.
 */
#include "core/arn.h"

static bool is_label(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') {
            return false;
        }
    }
    return true;
}

bool arn_split(struct slice text, struct arn *arn)
{
    struct slice rest = text;

    *arn = (struct arn){.partition = {NULL, 0}};
    if (!slice_eq(slice_cut(&rest, ':'), SLICE("arn"))) {
        return false;
    }
    arn->partition = slice_cut(&rest, ':');
    arn->service = slice_cut(&rest, ':');
    arn->region = slice_cut(&rest, ':');
    arn->account = slice_cut(&rest, ':');
    arn->resource = rest;
    return arn->partition.len > 0 && arn->service.len > 0 && arn->resource.len > 0 &&
           is_label(arn->partition) && is_label(arn->region);
}
