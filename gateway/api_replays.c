/* SPDX-License-Identifier: Apache-2.0
 *
 * api_replays.c - StartReplay and what belongs to it.
 *
 * A replay belongs to whom its archive belongs, and is found in the same way (api_archives.c). What
 * is asked for is written into its document; who does it is control_replay.c.
 *
 * Of one account at most ten are open at once.  Ended ones are kept, so that their names stay taken
 * and their outcome can be read; past a thousand the oldest make room.
 */
#include "gateway/api_replays.h"

#include "core/arn.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/api_archives.h"
#include "gateway/bus_name.h"
#include "gateway/config.h"
#include "gateway/replay.h"

enum { NAME_CHARS_MAX = 64 };

#define SECONDS_MAX UINT64_C(253402300799) /* the year 9999 */

static const struct api_member destination_members[] = {
    {"Arn", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"FilterArns", API_TEXTS, false, 1, 1600, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member start_input[] = {
    {"ReplayName", API_TEXT, true, 1, NAME_CHARS_MAX, API_NAME_CHARS, NULL},
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"EventSourceArn", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"EventStartTime", API_MOMENT, true, 0, SECONDS_MAX, API_ANY_CHARS, NULL},
    {"EventEndTime", API_MOMENT, true, 0, SECONDS_MAX, API_ANY_CHARS, NULL},
    {"Destination", API_OBJECT, true, 0, 0, API_ANY_CHARS, destination_members},
    API_MEMBERS_END,
};
static const struct api_member name_input[] = {
    {"ReplayName", API_TEXT, true, 1, 1600, API_NAME_OR_ARN, NULL},
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"NamePrefix", API_TEXT, false, 1, NAME_CHARS_MAX, API_NAME_CHARS, NULL},
    {"EventSourceArn", API_TEXT, false, 1, 1600, API_ANY_CHARS, NULL},
    {"State", API_TEXT, false, 0, 64, API_REPLAY_STATE, NULL},
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- what is shown ------------------------------------------------------------------------ */

/* The owner in a document's name: "replay/OWNER/NAME". */
static struct slice owner_of(const struct catalog_document *replay)
{
    struct slice rest = slice_from(slice_of(replay->name), strlen("replay/"));

    return slice_cut(&rest, '/');
}

/* What ListReplays tells of each. */
static json_t *show(struct api_call *call, const struct catalog_document *document)
{
    const json_t *replay = document->value;
    json_t *shown = json_object();

    api_put_text(shown, "ReplayName", json_member_text(replay, "name"));
    api_put_text(shown, "EventSourceArn",
                 api_kept_arn(call, "archive", api_owner_account(call, owner_of(document)),
                              json_member_text(replay, "archive")));
    api_put_text(shown, "State", json_member_text(replay, "state"));
    api_put_text(shown, "StateReason", json_member_text(replay, "reason"));
    api_put_moment(shown, "EventStartTime", replay_number(replay, "from_ms"));
    api_put_moment(shown, "EventEndTime", replay_number(replay, "to_ms"));
    api_put_moment(shown, "EventLastReplayedTime", replay_number(replay, "last_ms"));
    api_put_moment(shown, "ReplayStartTime", replay_number(replay, "since_ms"));
    api_put_moment(shown, "ReplayEndTime", replay_number(replay, "ended_ms"));
    return shown;
}

static enum err find_replay(struct api_call *call, const struct catalog *catalog,
                            struct api_kept *kept)
{
    TRY(api_kept_look(call, catalog, "replay", "replayName", api_text(call, "ReplayName"), kept));
    return kept->document != NULL ? ERR_OK
                                  : api_fail(call, "ResourceNotFoundException",
                                             "Replay %.*s does not exist.", SLICE_ARG(kept->name));
}

/* ---- starting ----------------------------------------------------------------------------- */

static struct slice destination_arn(const struct api_call *call)
{
    return json_member_text(json_object_get(call->input, "Destination"), "Arn");
}

static uint64_t moment_of(const struct api_call *call, const char *member)
{
    return (uint64_t)(json_number_value(json_object_get(call->input, member)) * 1e3 + 0.5);
}

static enum err find_destination(struct api_call *call, const struct catalog *catalog,
                                 struct api_bus *bus)
{
    struct bus_name name;

    if (!bus_name_read(destination_arn(call), &name) || name.account.len == 0) {
        return api_fail(call, "ValidationException",
                        "Parameter Destination.Arn is not valid. Reason: Must contain an event bus "
                        "ARN.");
    }
    return api_bus_find(call, catalog, destination_arn(call), API_NO_RULE, bus);
}

static enum err find_archive(struct api_call *call, const struct catalog *catalog,
                             const struct api_bus *bus, struct api_kept *archive)
{
    const struct slice text = api_text(call, "EventSourceArn");

    if (!slice_has_prefix(text, SLICE("arn:"))) {
        return api_fail(call, "ValidationException",
                        "Parameter EventSourceArn is not valid. Reason: Must contain an archive "
                        "ARN.");
    }
    TRY(api_kept_look(call, catalog, "archive", "EventSourceArn", text, archive));
    if (archive->document == NULL) {
        return api_fail(call, "ValidationException",
                        "Parameter EventSourceArn is not valid. Reason: Archive %.*s does not "
                        "exist.",
                        SLICE_ARG(archive->name));
    }
    return slice_eq(json_member_text(archive->document->value, "bus"), bus->key)
               ? ERR_OK
               : api_fail(call, "ValidationException",
                          "Parameter Destination.Arn is not valid. Reason: Cross event bus replay "
                          "is not permitted.");
}

/* Each is a rule of that bus: "rule/NAME" on the default one, else "rule/BUS/NAME". */
static enum err check_filters(struct api_call *call, const struct api_bus *bus)
{
    const json_t *filters =
        json_object_get(json_object_get(call->input, "Destination"), "FilterArns");
    const struct slice folder =
        slice_eq(bus->name, SLICE("default"))
            ? SLICE("rule/")
            : arena_printf(&call->arena, "rule/%.*s/", SLICE_ARG(bus->name));

    if (json_array_size(filters) > REPLAY_FILTERS_MAX) {
        return api_fail(call, "ValidationException",
                        "Parameter Destination.FilterArns is not valid. Reason: At most %d rules "
                        "can be named.",
                        REPLAY_FILTERS_MAX);
    }
    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *item = json_array_get(filters, i);
        const struct slice text = {json_string_value(item), json_string_length(item)};
        struct arn arn;

        if (!arn_split(text, &arn) || !slice_eq(arn.service, SLICE("events")) ||
            !slice_eq(arn.account, bus->account) || !slice_has_prefix(arn.resource, folder)) {
            return api_fail(call, "ValidationException",
                            "Parameter Destination.FilterArns is not valid. Reason: %.*s is not "
                            "the ARN of a rule of the event bus.",
                            SLICE_ARG(text));
        }
    }
    return ERR_OK;
}

/* Room for one more of this owner; what has ended longest ago makes it, if need be. */
static enum err make_room(struct api_call *call, const struct catalog *catalog, struct slice owner,
                          struct catalog_edit *edit)
{
    const struct slice prefix = arena_printf(&call->arena, "replay/%.*s/", SLICE_ARG(owner));
    const struct catalog_document *oldest = NULL;
    const struct catalog_document **all;
    size_t count;
    size_t open_count = 0;

    all = catalog_with_prefix(catalog, prefix, &call->arena, &count);
    for (size_t i = 0; i < count; i++) {
        if (replay_is_open(all[i]->value)) {
            open_count++;
        } else if (oldest == NULL || replay_number(all[i]->value, "ended_ms") <
                                         replay_number(oldest->value, "ended_ms")) {
            oldest = all[i];
        }
    }
    if (open_count >= REPLAY_RUNNING_MAX) {
        return api_fail(call, "LimitExceededException",
                        "The requested resource exceeds the maximum number allowed.");
    }
    if (count >= REPLAY_KEPT_MAX && oldest != NULL) {
        catalog_edit_put(edit, catalog, slice_of(oldest->name), NULL);
    }
    return ERR_OK;
}

static json_t *document_of(struct api_call *call, const struct api_kept *archive)
{
    const json_t *filters =
        json_object_get(json_object_get(call->input, "Destination"), "FilterArns");
    json_t *replay = json_object();

    api_put_text(replay, "name", api_text(call, "ReplayName"));
    api_put_text(replay, "description", api_text(call, "Description"));
    api_put_text(replay, "archive", archive->name);
    api_put_text(replay, "bus", json_member_text(archive->document->value, "bus"));
    replay_put_number(replay, "uid", replay_number(archive->document->value, "uid"));
    replay_put_number(replay, "from_ms", moment_of(call, "EventStartTime"));
    replay_put_number(replay, "to_ms", moment_of(call, "EventEndTime"));
    replay_put_number(replay, "since_ms", moment_now_ms());
    replay_set_state(replay, "STARTING");
    json_object_set_new(replay, "manager", json_string(call->caller.manager));
    if (json_array_size(filters) > 0) {
        json_object_set_new(replay, "filter_arns", json_deep_copy(filters));
    }
    return replay;
}

static enum err start_replay(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    struct api_kept archive;
    struct api_kept same;
    struct api_bus bus;
    struct slice owner;
    json_t *replay;

    TRY(find_destination(call, catalog, &bus));
    TRY(find_archive(call, catalog, &bus, &archive));
    TRY(check_filters(call, &bus));
    if (moment_of(call, "EventStartTime") >= moment_of(call, "EventEndTime")) {
        return api_fail(
            call, "ValidationException",
            "Parameter EventEndTime is not valid. Reason: EventStartTime must be before "
            "EventEndTime.");
    }
    TRY(api_kept_look(call, catalog, "replay", "replayName",
                      api_kept_arn(call, "replay", archive.account, api_text(call, "ReplayName")),
                      &same));
    if (same.document != NULL) {
        return api_fail(call, "ResourceAlreadyExistsException", "Replay %.*s already exists.",
                        SLICE_ARG(same.name));
    }
    owner = catalog_archive_owner(archive.document->value);
    TRY(make_room(call, catalog, owner, edit));
    replay = document_of(call, &archive);
    catalog_edit_put(
        edit, catalog,
        arena_printf(&call->arena, "replay/%.*s/%.*s", SLICE_ARG(owner), SLICE_ARG(same.name)),
        replay);
    call->output = json_object();
    api_put_text(call->output, "ReplayArn",
                 api_kept_arn(call, "replay", archive.account, same.name));
    api_put_text(call->output, "State", SLICE("STARTING"));
    api_put_moment(call->output, "ReplayStartTime", replay_number(replay, "since_ms"));
    json_decref(replay);
    return ERR_OK;
}

static enum err cancel_replay(struct api_call *call, const struct catalog *catalog,
                              struct catalog_edit *edit)
{
    struct api_kept kept;
    struct slice state;
    json_t *replay;

    TRY(find_replay(call, catalog, &kept));
    state = json_member_text(kept.document->value, "state");
    if (!slice_eq(state, SLICE("STARTING")) && !slice_eq(state, SLICE("RUNNING"))) {
        return api_fail(call, "IllegalStatusException",
                        "Replay %.*s is not in a valid state for this operation.",
                        SLICE_ARG(kept.name));
    }
    replay = json_deep_copy(kept.document->value);
    replay_set_state(replay, "CANCELLING");
    catalog_edit_put(edit, catalog, slice_of(kept.document->name), replay);
    json_decref(replay);
    call->output = json_object();
    api_put_text(call->output, "ReplayArn", api_kept_arn(call, "replay", kept.account, kept.name));
    api_put_text(call->output, "State", SLICE("CANCELLING"));
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum err describe_replay(struct api_call *call, const struct catalog *catalog,
                                struct catalog_edit *edit)
{
    struct api_kept kept;
    const json_t *replay;
    const json_t *filters;
    json_t *destination;

    (void)edit;
    TRY(find_replay(call, catalog, &kept));
    replay = kept.document->value;
    filters = json_object_get(replay, "filter_arns");
    call->output = show(call, kept.document);
    api_put_text(call->output, "ReplayArn", api_kept_arn(call, "replay", kept.account, kept.name));
    api_put_text(call->output, "Description", json_member_text(replay, "description"));
    destination = json_object();
    api_put_text(destination, "Arn", api_key_arn(call, json_member_text(replay, "bus")));
    if (filters != NULL) {
        json_object_set_new(destination, "FilterArns", json_deep_copy(filters));
    }
    json_object_set_new(call->output, "Destination", destination);
    return ERR_OK;
}

static bool is_wanted(const struct api_call *call, const struct api_kept *archive,
                      const json_t *replay)
{
    const struct slice state = api_text(call, "State");

    return slice_has_prefix(json_member_text(replay, "name"), api_text(call, "NamePrefix")) &&
           (archive == NULL || slice_eq(archive->name, json_member_text(replay, "archive"))) &&
           (state.len == 0 || slice_eq(state, json_member_text(replay, "state")));
}

/* The caller's, or those of the archive's account when one is asked for. */
static const struct catalog_document **replays_to_list(struct api_call *call,
                                                       const struct catalog *catalog,
                                                       const struct api_kept *archive,
                                                       size_t *count)
{
    if (archive == NULL || archive->document == NULL) {
        return api_kept_all(call, catalog, "replay", count);
    }
    return catalog_with_prefix(
        catalog,
        arena_printf(&call->arena, "replay/%.*s/",
                     SLICE_ARG(catalog_archive_owner(archive->document->value))),
        &call->arena, count);
}

static enum err list_replays(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    const struct slice source = api_text(call, "EventSourceArn");
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    const struct catalog_document **replays;
    struct api_page page;
    struct api_kept archive;
    size_t count;

    (void)edit;
    call->output = json_pack("{s:o}", "Replays", list);
    TRY(api_check_filters(call));
    if (source.len > 0) {
        TRY(api_kept_look(call, catalog, "archive", "EventSourceArn", source, &archive));
    }
    TRY(api_page_read(call, &page));
    replays = replays_to_list(call, catalog, source.len > 0 ? &archive : NULL, &count);
    api_kept_sort(replays, count);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = json_member_text(replays[i]->value, "name");

        if (!is_wanted(call, source.len > 0 ? &archive : NULL, replays[i]->value) ||
            !api_page_begins(&page, name)) {
            continue;
        }
        if (json_array_size(list) == page.limit) {
            api_page_end(call, last);
            break;
        }
        json_array_append_new(list, show(call, replays[i]));
        last = name;
    }
    return ERR_OK;
}

const struct api_action api_start_replay = {SLICE_INIT("StartReplay"), start_input, start_replay,
                                            API_CHANGES};
const struct api_action api_describe_replay = {SLICE_INIT("DescribeReplay"), name_input,
                                               describe_replay, API_READS};
const struct api_action api_cancel_replay = {SLICE_INIT("CancelReplay"), name_input, cancel_replay,
                                             API_CHANGES};
const struct api_action api_list_replays = {SLICE_INIT("ListReplays"), list_input, list_replays,
                                            API_READS};
