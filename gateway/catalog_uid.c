/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_uid.c - a target keeps its number for as long as its rule has a target of that id.
 */
#include "gateway/catalog_uid.h"

#include "core/check.h"

static const json_t *target_of_id(const json_t *rule, struct slice id)
{
    const json_t *targets = json_object_get(rule, "targets");

    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *target = json_array_get(targets, i);

        if (slice_eq(json_member_text(target, "id"), id)) {
            return target;
        }
    }
    return NULL;
}

static uint64_t draw(struct catalog_uid *uid)
{
    if (!uid->has_drawn) {
        const struct catalog_document *counter = catalog_get(uid->catalog, SLICE("meta/uid"));

        uid->next = counter != NULL
                        ? (uint64_t)json_integer_value(json_object_get(counter->value, "next"))
                        : 1;
        uid->has_drawn = true;
    }
    return uid->next++;
}

void catalog_uid_give(struct catalog_uid *uid, json_t *rule, const json_t *old_rule)
{
    json_t *targets = json_object_get(rule, "targets");

    for (size_t i = 0; i < json_array_size(targets); i++) {
        json_t *target = json_array_get(targets, i);
        const json_t *old = target_of_id(old_rule, json_member_text(target, "id"));
        json_t *kept = json_object_get(old, "uid");

        if (kept != NULL) {
            json_object_set(target, "uid", kept);
        } else {
            json_object_set_new(target, "uid", json_integer((json_int_t)draw(uid)));
        }
    }
}

void catalog_uid_give_archive(struct catalog_uid *uid, json_t *archive, const json_t *old,
                              uint64_t now_ms)
{
    if (old != NULL && slice_eq(json_member_text(old, "bus"), json_member_text(archive, "bus"))) {
        json_object_set(archive, "uid", json_object_get(old, "uid"));
        json_object_set(archive, "since_ms", json_object_get(old, "since_ms"));
    } else {
        json_object_set_new(archive, "uid", json_integer((json_int_t)draw(uid)));
        json_object_set_new(archive, "since_ms", json_integer((json_int_t)now_ms));
    }
}

void catalog_uid_put(const struct catalog_uid *uid, struct catalog_edit *edit)
{
    json_t *counter;

    if (!uid->has_drawn) {
        return;
    }
    counter = json_pack("{s:I, s:s}", "next", (json_int_t)uid->next, "manager", "weir");
    CHECK(counter != NULL);
    catalog_edit_put(edit, uid->catalog, SLICE("meta/uid"), counter);
    json_decref(counter);
}
