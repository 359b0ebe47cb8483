/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_since.c - a schedule keeps its anchor for as long as nobody changes when it is due.
 *
 * Without it a rate would begin anew with each apply of the same file, and a replica that starts
 * could not tell a moment that it missed from one that came before the schedule was made.
 */
#include "gateway/catalog_since.h"

static bool is_enabled(const json_t *document)
{
    return !slice_eq(json_member_text(document, "state"), SLICE("DISABLED"));
}

static bool are_due_alike(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"schedule_expression", "schedule_expression_timezone",
                                       "start_date", "end_date"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!slice_eq(json_member_text(a, keys[i]), json_member_text(b, keys[i]))) {
            return false;
        }
    }
    return is_enabled(b);
}

void catalog_since_give(json_t *document, const json_t *old, uint64_t now_ms)
{
    json_t *kept = json_object_get(old, "since_ms");

    if (json_member_text(document, "schedule_expression").len == 0 || !is_enabled(document)) {
        json_object_del(document, "since_ms");
    } else if (kept != NULL && are_due_alike(document, old)) {
        json_object_set(document, "since_ms", kept);
    } else {
        json_object_set_new(document, "since_ms", json_integer((json_int_t)now_ms));
    }
}
