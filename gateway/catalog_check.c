/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check.c - the objects of the catalog file as tables, then what tables cannot say.
 *
 * After the shape (catalog_shape.c), a few functions check meaning: nothing is named twice, a name
 * is a name, a state is one of two.  Targets have a file of their own (catalog_check_target.c), and
 * so have connections with their API destinations (catalog_check_api.c).
 */
#include "gateway/catalog_check.h"

#include "accounts/bus_policy.h"
#include "core/arn.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check_internal.h"
#include "gateway/list_config.h"
#include "routing/rule.h"
#include "routing/schedule.h"

static const struct catalog_member limits_members[] = {
    {"events_per_second", CATALOG_COUNT, false, 1000000, NULL},
    {"burst", CATALOG_COUNT, false, 10000000, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member dedup_members[] = {
    {"window", CATALOG_SPAN, false, 86400000, NULL},
    {"by", CATALOG_DEDUP_LAYERS, false, 0, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member role_members[] = {
    {"arn", CATALOG_TEXT, true, 2048, NULL},
    {"external_id", CATALOG_TEXT, false, 1224, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member account_members[] = {
    {"id", CATALOG_ACCOUNT, true, 12, NULL},
    {"name", CATALOG_TEXT, false, 128, NULL},
    {"tags", CATALOG_TEXT_MAP, false, 50, NULL},
    {"org_path", CATALOG_TEXT, false, 1024, NULL},
    {"limits", CATALOG_OBJECT, false, 0, limits_members},
    {"sources", CATALOG_TEXTS, false, 256, NULL},
    {"dedup", CATALOG_OBJECT, false, 0, dedup_members},
    {"dispatch_role", CATALOG_OBJECT, false, 0, role_members},
    {"shared_targets", CATALOG_TEXTS, false, 256, NULL},
    {"may_forward_for", CATALOG_ACCOUNTS, false, 10000, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member bus_members[] = {
    {"account", CATALOG_ACCOUNT, true, 12, NULL},
    {"name", CATALOG_TEXT, true, 256, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"policy", CATALOG_TEXT, false, BUS_POLICY_CHARS_MAX, NULL},
    {"tags", CATALOG_TEXT_MAP, false, 50, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member rule_members[] = {
    {"bus", CATALOG_TEXT, true, 300, NULL},
    {"name", CATALOG_TEXT, true, 64, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"state", CATALOG_TEXT, false, 16, NULL},
    {"role_arn", CATALOG_TEXT, false, 1600, NULL},
    {"tags", CATALOG_TEXT_MAP, false, 50, NULL},
    {"pattern", CATALOG_PATTERN, false, 0, NULL},
    {"schedule_expression", CATALOG_TEXT, false, SCHEDULE_CHARS_MAX, NULL},
    {"targets", CATALOG_OBJECTS, false, RULE_TARGETS_MAX, catalog_target_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member schedule_members[] = {
    {"name", CATALOG_TEXT, true, 64, NULL},
    {"account", CATALOG_ACCOUNT, false, 12, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"state", CATALOG_TEXT, false, 16, NULL},
    {"schedule_expression", CATALOG_TEXT, true, SCHEDULE_CHARS_MAX, NULL},
    {"schedule_expression_timezone", CATALOG_TEXT, false, ZONE_NAME_CHARS_MAX, NULL},
    {"start_date", CATALOG_TEXT, false, 64, NULL},
    {"end_date", CATALOG_TEXT, false, 64, NULL},
    {"targets", CATALOG_OBJECTS, true, RULE_TARGETS_MAX, catalog_target_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member archive_members[] = {
    {"name", CATALOG_TEXT, true, 48, NULL},
    {"bus", CATALOG_TEXT, true, 300, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"pattern", CATALOG_PATTERN, false, 0, NULL},
    {"retention_days", CATALOG_COUNT, false, CATALOG_RETENTION_DAYS_MAX, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member list_members[] = {
    {"name", CATALOG_TEXT, true, PARTNER_LIST_NAME_CHARS_MAX, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"accounts", CATALOG_ENTRIES, false, PARTNER_LIST_ENTRIES_MAX, NULL},
    {"cidrs", CATALOG_ENTRIES, false, PARTNER_LIST_ENTRIES_MAX, NULL},
    {"strings", CATALOG_ENTRIES, false, PARTNER_LIST_ENTRIES_MAX, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member file_members[] = {
    {"accounts", CATALOG_OBJECTS, false, 100000, account_members},
    {"buses", CATALOG_OBJECTS, false, 100000, bus_members},
    {"connections", CATALOG_OBJECTS, false, 100000, catalog_connection_members},
    {"api_destinations", CATALOG_OBJECTS, false, 100000, catalog_api_destination_members},
    {"lists", CATALOG_OBJECTS, false, LIST_COUNT_MAX, list_members},
    {"rules", CATALOG_OBJECTS, false, 1000000, rule_members},
    {"schedules", CATALOG_OBJECTS, false, 100000, schedule_members},
    {"archives", CATALOG_OBJECTS, false, 100000, archive_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};

/* ---- the meaning -------------------------------------------------------------------------- */

static void check_bus_name(json_t *mistakes, const struct catalog_path *path, struct slice bus)
{
    struct slice rest = bus;

    if (slice_eq(bus, SLICE("central"))) {
        return;
    }
    if (!catalog_is_account(slice_cut(&rest, '/')) || !catalog_is_name(rest)) {
        catalog_mistake(mistakes, path, "must be \"central\" or \"ACCOUNT/NAME\"");
    }
}

/* State and targets of a rule or schedule. */
static void check_work(json_t *mistakes, const struct catalog_path *path, const json_t *object,
                       bool is_central)
{
    const struct slice state = json_member_text(object, "state");
    const json_t *targets = json_object_get(object, "targets");
    const struct catalog_path targets_path = catalog_path_member(path, "targets");
    struct catalog_path place = catalog_path_member(path, "state");
    json_t *ids = json_object();
    char name[512];

    if (state.len > 0 && !slice_eq(state, SLICE("ENABLED")) &&
        !slice_eq(state, SLICE("DISABLED"))) {
        catalog_mistake(mistakes, &place, "must be ENABLED or DISABLED");
    }
    for (size_t i = 0; i < json_array_size(targets); i++) {
        json_t *target = json_array_get(targets, i);

        place = catalog_path_item(&targets_path, i);
        catalog_check_target(mistakes, &place, target, is_central);
        (void)snprintf(name, sizeof(name), "target %.*s",
                       SLICE_ARG(json_member_text(target, "id")));
        catalog_check_unique(mistakes, ids, &place, name);
    }
    json_decref(ids);
}

static void check_rule_schedule(json_t *mistakes, const struct catalog_path *path,
                                const json_t *rule)
{
    const struct slice expression = json_member_text(rule, "schedule_expression");
    const struct catalog_path place = catalog_path_member(path, "schedule_expression");
    struct err_why why = {.text = ""};
    struct schedule schedule;

    if (expression.len == 0) {
        if (json_member_text(rule, "pattern").len == 0) {
            catalog_mistake(mistakes, path, "needs a pattern or a schedule_expression");
        }
    } else if (!slice_has_suffix(json_member_text(rule, "bus"), SLICE("/default"))) {
        catalog_mistake(mistakes, &place, "is for rules of an account's default bus");
    } else if (schedule_parse(expression, &schedule, &why) != ERR_OK) {
        catalog_mistake(mistakes, &place, "%s", why.text);
    } else if (schedule.kind == SCHEDULE_AT) {
        catalog_mistake(mistakes, &place, "at() is for schedules, not for rules");
    }
}

static void check_rule(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                       const json_t *rule)
{
    const struct slice bus = json_member_text(rule, "bus");
    const struct catalog_path place = catalog_path_member(path, "bus");
    char name[512];

    check_bus_name(mistakes, &place, bus);
    catalog_check_name(mistakes, path, "name", rule);
    (void)snprintf(name, sizeof(name), "rule %.*s/%.*s", SLICE_ARG(bus),
                   SLICE_ARG(json_member_text(rule, "name")));
    catalog_check_unique(mistakes, seen, path, name);
    check_rule_schedule(mistakes, path, rule);
    check_work(mistakes, path, rule, slice_eq(bus, SLICE("central")));
}

/* A moment, or 0 where the member is absent. */
static uint64_t check_date(json_t *mistakes, const struct catalog_path *path, const char *key,
                           const json_t *schedule)
{
    const struct catalog_path place = catalog_path_member(path, key);
    uint64_t ms = 0;

    if (json_is_string(json_object_get(schedule, key)) &&
        moment_from_iso(json_member_text(schedule, key), &ms) != ERR_OK) {
        catalog_mistake(mistakes, &place, "must be a moment such as 2026-11-20T13:00:00Z");
    }
    return ms;
}

static void check_moments(json_t *mistakes, const struct catalog_path *path, const json_t *document)
{
    const struct slice zone = json_member_text(document, "schedule_expression_timezone");
    struct schedule_frame frame = {
        .start_ms = check_date(mistakes, path, "start_date", document),
        .end_ms = check_date(mistakes, path, "end_date", document),
    };
    struct catalog_path place = catalog_path_member(path, "schedule_expression");
    struct err_why why = {.text = ""};
    struct schedule schedule;

    if (schedule_parse(json_member_text(document, "schedule_expression"), &schedule, &why) !=
        ERR_OK) {
        catalog_mistake(mistakes, &place, "%s", why.text);
        return;
    }
    if (zone.len > 0 && zone_load(zone, &frame.zone, &why) != ERR_OK) {
        place = catalog_path_member(path, "schedule_expression_timezone");
        catalog_mistake(mistakes, &place, "%s", why.text);
        return;
    }
    if (schedule_next(&schedule, &frame, 0) == SCHEDULE_NEVER) {
        catalog_mistake(mistakes, &place, "no moment of this time zone and these dates fits it");
    }
    zone_release(frame.zone);
}

static void check_schedule(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                           const json_t *schedule)
{
    char name[128];

    catalog_check_name(mistakes, path, "name", schedule);
    (void)snprintf(name, sizeof(name), "schedule %.*s",
                   SLICE_ARG(json_member_text(schedule, "name")));
    catalog_check_unique(mistakes, seen, path, name);
    check_moments(mistakes, path, schedule);
    check_work(mistakes, path, schedule, false);
}

/* Each names the account it reaches into, whole: a prefix stops behind it. */
static void check_shared_targets(json_t *mistakes, const struct catalog_path *path,
                                 const json_t *targets)
{
    const struct catalog_path base = catalog_path_member(path, "shared_targets");

    for (size_t i = 0; i < json_array_size(targets); i++) {
        const struct catalog_path place = catalog_path_item(&base, i);
        struct arn arn;

        if (!arn_split(catalog_text_of(json_array_get(targets, i)), &arn) ||
            !catalog_is_account(arn.account) || arn.resource.len == 0) {
            catalog_mistake(mistakes, &place,
                            "must be an ARN that names its account; it may end in *");
        }
    }
}

static void check_account(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                          const json_t *account)
{
    const json_t *limits = json_object_get(account, "limits");
    const struct slice role = json_member_text(json_object_get(account, "dispatch_role"), "arn");
    char name[64];

    (void)snprintf(name, sizeof(name), "account %.*s", SLICE_ARG(json_member_text(account, "id")));
    catalog_check_unique(mistakes, seen, path, name);
    if (json_object_get(limits, "burst") != NULL &&
        json_object_get(limits, "events_per_second") == NULL) {
        const struct catalog_path place = catalog_path_member(path, "limits.burst");

        catalog_mistake(mistakes, &place, "needs events_per_second beside it");
    }
    check_shared_targets(mistakes, path, json_object_get(account, "shared_targets"));
    if (role.len > 0) {
        const struct catalog_path place = catalog_path_member(path, "dispatch_role.arn");

        catalog_check_role_arn(mistakes, &place, role, false);
    }
}

static void check_bus(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                      const json_t *bus)
{
    const struct slice text = json_member_text(bus, "policy");
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    const struct bus_policy *policy;
    char name[512];

    if (text.len > 0 && bus_policy_compile(text, &arena, &policy, &why) != ERR_OK) {
        const struct catalog_path place = catalog_path_member(path, "policy");

        catalog_mistake(mistakes, &place, "%s", why.text);
    }
    arena_clean_up(&arena);
    catalog_check_name(mistakes, path, "name", bus);
    (void)snprintf(name, sizeof(name), "bus %.*s/%.*s", SLICE_ARG(json_member_text(bus, "account")),
                   SLICE_ARG(json_member_text(bus, "name")));
    catalog_check_unique(mistakes, seen, path, name);
}

static void check_archive(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                          const json_t *archive)
{
    const struct slice bus = json_member_text(archive, "bus");
    const struct catalog_path place = catalog_path_member(path, "bus");
    char name[512];

    check_bus_name(mistakes, &place, bus);
    catalog_check_name(mistakes, path, "name", archive);
    (void)snprintf(name, sizeof(name), "archive %.*s of %.*s",
                   SLICE_ARG(json_member_text(archive, "name")),
                   SLICE_ARG(catalog_archive_owner(archive)));
    catalog_check_unique(mistakes, seen, path, name);
}

static void check_list(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                       const json_t *list)
{
    struct catalog_place place = {.mistakes = mistakes, .path = path};
    char name[PARTNER_LIST_NAME_CHARS_MAX + 8];

    catalog_check_name(mistakes, path, "name", list);
    (void)snprintf(name, sizeof(name), "list %.*s", SLICE_ARG(json_member_text(list, "name")));
    catalog_check_unique(mistakes, seen, path, name);
    list_config_check(list, catalog_inner_mistake, &place);
}

/* Call `check` for every object of one section. */
static void check_section(json_t *mistakes, json_t *seen, const json_t *file, const char *section,
                          void (*check)(json_t *mistakes, json_t *seen,
                                        const struct catalog_path *path, const json_t *object))
{
    const struct catalog_path root = {.text = ""};
    const struct catalog_path base = catalog_path_member(&root, section);
    const json_t *objects = json_object_get(file, section);

    for (size_t i = 0; i < json_array_size(objects); i++) {
        const struct catalog_path place = catalog_path_item(&base, i);

        check(mistakes, seen, &place, json_array_get(objects, i));
    }
}

json_t *catalog_check(json_t *file)
{
    json_t *mistakes = json_array();
    json_t *seen = json_object();
    const struct catalog_path root = {.text = ""};

    catalog_check_object(mistakes, &root, file, file_members);
    if (json_array_size(mistakes) == 0) {
        check_section(mistakes, seen, file, "accounts", check_account);
        check_section(mistakes, seen, file, "buses", check_bus);
        check_section(mistakes, seen, file, "connections", catalog_check_connection);
        check_section(mistakes, seen, file, "api_destinations", catalog_check_api_destination);
        check_section(mistakes, seen, file, "lists", check_list);
        check_section(mistakes, seen, file, "rules", check_rule);
        check_section(mistakes, seen, file, "schedules", check_schedule);
        check_section(mistakes, seen, file, "archives", check_archive);
    }
    json_decref(seen);
    return mistakes;
}
