/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - a replay's document, read and written member by member.
 *
 * It lies in the catalog because everything about it is compare-and-set there already: who starts
 * it, who cancels it, which replica holds it and how far that one has come cannot contradict each
 * other, on any engine.
 */
#include "gateway/replay.h"

#include "core/check.h"
#include "gateway/catalog.h"

bool replay_owns(struct slice name)
{
    return slice_has_prefix(name, SLICE("replay/"));
}

bool replay_is_open(const json_t *replay)
{
    const struct slice state = json_member_text(replay, "state");

    return slice_eq(state, SLICE("STARTING")) || slice_eq(state, SLICE("RUNNING")) ||
           slice_eq(state, SLICE("CANCELLING"));
}

uint64_t replay_number(const json_t *replay, const char *member)
{
    return (uint64_t)json_integer_value(json_object_get(replay, member));
}

void replay_put_number(json_t *replay, const char *member, uint64_t number)
{
    CHECK(json_object_set_new(replay, member, json_integer((json_int_t)number)) == 0);
}

void replay_set_state(json_t *replay, const char *state)
{
    CHECK(json_object_set_new(replay, "state", json_string(state)) == 0);
}

void replay_end(json_t *replay, const char *state, const char *reason, uint64_t now_ms)
{
    replay_set_state(replay, state);
    replay_put_number(replay, "ended_ms", now_ms);
    json_object_del(replay, "holder");
    json_object_del(replay, "held_until_ms");
    if (reason != NULL) {
        CHECK(json_object_set_new(replay, "reason", json_string(reason)) == 0);
    }
}

struct store_place replay_place(const json_t *replay)
{
    const json_t *place = json_object_get(replay, "place");

    if (!json_is_array(place)) {
        return (struct store_place){.time_ms = replay_number(replay, "from_ms")};
    }
    return (struct store_place){
        .time_ms = (uint64_t)json_integer_value(json_array_get(place, 0)),
        .seq = (uint64_t)json_integer_value(json_array_get(place, 1)),
        .part = (uint32_t)json_integer_value(json_array_get(place, 2)),
    };
}

void replay_put_place(json_t *replay, const struct store_place *place)
{
    json_t *numbers = json_pack("[I, I, I]", (json_int_t)place->time_ms, (json_int_t)place->seq,
                                (json_int_t)place->part);

    CHECK(numbers != NULL && json_object_set_new(replay, "place", numbers) == 0);
}

enum err replay_check(struct slice name, const json_t *value, struct err_why *why)
{
    static const char *const texts[] = {"name", "archive", "bus", "state"};
    static const char *const numbers[] = {"uid", "from_ms", "to_ms", "since_ms"};
    const json_t *filters = json_object_get(value, "filter_arns");

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (json_member_text(value, texts[i]).len == 0) {
            return err_because(ERR_BAD_CATALOG, why, "%.*s: %s: must be a string", SLICE_ARG(name),
                               texts[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!json_is_integer(json_object_get(value, numbers[i])) ||
            json_integer_value(json_object_get(value, numbers[i])) < 0) {
            return err_because(ERR_BAD_CATALOG, why, "%.*s: %s: must be a whole number",
                               SLICE_ARG(name), numbers[i]);
        }
    }
    if (json_array_size(filters) > REPLAY_FILTERS_MAX) {
        return err_because(ERR_BAD_CATALOG, why, "%.*s: filter_arns: too many", SLICE_ARG(name));
    }
    return ERR_OK;
}
