/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check.c - the shape of the catalog file as tables, then what tables cannot say.
 *
 * Each kind of object is a table of members: name, type, required or not.  One walker checks any
 * object against its table and names each mistake by its path (`rules[3].targets[0].arn`), so a new
 * member is one row.  After the shape, a few functions check meaning: a pattern compiles, an ARN is
 * of a service that weir delivers to, nothing is named twice, a rule's account exists.
 */
#include "gateway/catalog_check.h"

#include <stdarg.h>

#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog.h"
#include "gateway/dedup_config.h"
#include "routing/pattern.h"
#include "routing/rule.h"

enum member_type {
    MEMBER_TEXT,
    MEMBER_ACCOUNT,
    MEMBER_ACCOUNTS, /* or "*" */
    MEMBER_TEXTS,
    MEMBER_TEXT_MAP,
    MEMBER_BOOL,
    MEMBER_COUNT,
    MEMBER_SPAN,
    MEMBER_OBJECT,
    MEMBER_OBJECTS,
    MEMBER_PATTERN,
    MEMBER_DEDUP_LAYERS,
};

struct member {
    const char *key;
    enum member_type type;
    bool is_required;
    uint64_t max;                 /* characters, items, or the greatest number */
    const struct member *members; /* of MEMBER_OBJECT and MEMBER_OBJECTS; ends with a NULL key */
};

static const struct member limits_members[] = {
    {"events_per_second", MEMBER_COUNT, false, 1000000, NULL},
    {"burst", MEMBER_COUNT, false, 10000000, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member dedup_members[] = {
    {"window", MEMBER_SPAN, false, 86400000, NULL},
    {"by", MEMBER_DEDUP_LAYERS, false, 0, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member role_members[] = {
    {"arn", MEMBER_TEXT, true, 2048, NULL},
    {"external_id", MEMBER_TEXT, false, 1224, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member account_members[] = {
    {"id", MEMBER_ACCOUNT, true, 12, NULL},
    {"name", MEMBER_TEXT, false, 128, NULL},
    {"tags", MEMBER_TEXT_MAP, false, 50, NULL},
    {"org_path", MEMBER_TEXT, false, 1024, NULL},
    {"limits", MEMBER_OBJECT, false, 0, limits_members},
    {"sources", MEMBER_TEXTS, false, 256, NULL},
    {"dedup", MEMBER_OBJECT, false, 0, dedup_members},
    {"dispatch_role", MEMBER_OBJECT, false, 0, role_members},
    {"may_forward_for", MEMBER_ACCOUNTS, false, 10000, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member bus_members[] = {
    {"account", MEMBER_ACCOUNT, true, 12, NULL},
    {"name", MEMBER_TEXT, true, 256, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member sqs_members[] = {
    {"message_group_id", MEMBER_TEXT, false, 100, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member dead_letter_members[] = {
    {"arn", MEMBER_TEXT, true, 1600, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member retry_members[] = {
    {"maximum_retry_attempts", MEMBER_COUNT, false, 185, NULL},
    {"maximum_event_age_in_seconds", MEMBER_COUNT, false, 86400, NULL},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member target_members[] = {
    {"id", MEMBER_TEXT, true, 64, NULL},
    {"arn", MEMBER_TEXT, true, 1600, NULL},
    {"role_arn", MEMBER_TEXT, false, 1600, NULL},
    {"sqs_parameters", MEMBER_OBJECT, false, 0, sqs_members},
    {"dead_letter_config", MEMBER_OBJECT, false, 0, dead_letter_members},
    {"retry_policy", MEMBER_OBJECT, false, 0, retry_members},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member rule_members[] = {
    {"bus", MEMBER_TEXT, true, 300, NULL},
    {"name", MEMBER_TEXT, true, 64, NULL},
    {"description", MEMBER_TEXT, false, 512, NULL},
    {"state", MEMBER_TEXT, false, 16, NULL},
    {"pattern", MEMBER_PATTERN, true, 0, NULL},
    {"targets", MEMBER_OBJECTS, false, RULE_TARGETS_MAX, target_members},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};
static const struct member file_members[] = {
    {"accounts", MEMBER_OBJECTS, false, 100000, account_members},
    {"buses", MEMBER_OBJECTS, false, 100000, bus_members},
    {"rules", MEMBER_OBJECTS, false, 1000000, rule_members},
    {NULL, MEMBER_TEXT, false, 0, NULL},
};

/* ---- mistakes ----------------------------------------------------------------------------- */

struct path {
    char text[256];
};

static PRINTF_LIKE(3, 4) void mistake(json_t *mistakes, const struct path *path, const char *format,
                                      ...)
{
    struct err_why why;
    va_list arguments;

    if (json_array_size(mistakes) >= CATALOG_MISTAKES_MAX) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(why.text, sizeof(why.text), format, arguments);
    va_end(arguments);
    json_array_append_new(mistakes, json_pack("{s:s, s:o}", "path", path->text, "message",
                                              json_stringn_nocheck(why.text, strlen(why.text))));
}

static struct path path_member(const struct path *base, const char *key)
{
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s%s%.*s", 150, base->text,
                   base->text[0] != '\0' ? "." : "", 64, key);
    return path;
}

static struct path path_item(const struct path *base, size_t index)
{
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s[%zu]", 200, base->text, index);
    return path;
}

/* ---- the shape ---------------------------------------------------------------------------- */

static bool is_account(struct slice text)
{
    uint64_t number;

    return text.len == 12 && slice_to_u64(text, &number);
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void check_object(json_t *mistakes, const struct path *path, json_t *object,
                         const struct member *members);

static void check_texts(json_t *mistakes, const struct path *path, const json_t *value,
                        const struct member *member)
{
    if (!json_is_array(value) || json_array_size(value) > member->max) {
        mistake(mistakes, path, "must be a list of at most %" PRIu64 " strings", member->max);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const struct path place = path_item(path, i);

        if (!json_is_string(item) || json_string_length(item) == 0 ||
            json_string_length(item) > 256) {
            mistake(mistakes, &place, "must be a string of 1 to 256 characters");
        } else if (member->type == MEMBER_ACCOUNTS && !is_account(text_of(item)) &&
                   strcmp(json_string_value(item), "*") != 0) {
            mistake(mistakes, &place, "must be a 12-digit account id or \"*\"");
        }
    }
}

static void check_text_map(json_t *mistakes, const struct path *path, json_t *value, uint64_t max)
{
    const char *key;
    json_t *item;

    if (!json_is_object(value) || json_object_size(value) > max) {
        mistake(mistakes, path, "must be an object of at most %" PRIu64 " strings", max);
        return;
    }
    json_object_foreach(value, key, item)
    {
        if (!json_is_string(item) || json_string_length(item) > 256) {
            const struct path place = path_member(path, key);

            mistake(mistakes, &place, "must be a string of at most 256 characters");
        }
    }
}

static void check_objects(json_t *mistakes, const struct path *path, json_t *value,
                          const struct member *member)
{
    if (!json_is_array(value) || json_array_size(value) > member->max) {
        mistake(mistakes, path, "must be a list of at most %" PRIu64 " objects", member->max);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const struct path place = path_item(path, i);

        check_object(mistakes, &place, json_array_get(value, i), member->members);
    }
}

static void check_text(json_t *mistakes, const struct path *path, const json_t *value,
                       const struct member *member)
{
    uint64_t span_ms;

    if (!json_is_string(value)) {
        mistake(mistakes, path, "must be a string");
    } else if (json_string_length(value) == 0 ||
               (member->type != MEMBER_SPAN && json_string_length(value) > member->max)) {
        mistake(mistakes, path, "must have 1 to %" PRIu64 " characters", member->max);
    } else if (member->type == MEMBER_ACCOUNT && !is_account(text_of(value))) {
        mistake(mistakes, path, "must be a 12-digit account id");
    } else if (member->type == MEMBER_SPAN &&
               moment_parse_span(text_of(value), &span_ms) != ERR_OK) {
        mistake(mistakes, path, "must be a span of time such as \"90s\", \"5m\" or \"24h\"");
    } else if (member->type == MEMBER_SPAN && span_ms > member->max) {
        mistake(mistakes, path, "must be at most %" PRIu64 "s", member->max / 1000);
    }
}

/* catalog_file_read() turned the pattern into the string of its text. */
static void check_pattern(json_t *mistakes, const struct path *path, const json_t *value)
{
    struct err_why why = {.text = ""};
    struct pattern *pattern = NULL;

    if (!json_is_string(value)) {
        mistake(mistakes, path, "must be an event pattern");
    } else if (pattern_compile(text_of(value), &pattern, &why) != ERR_OK) {
        mistake(mistakes, path, "%s", why.text);
    }
    pattern_release(pattern);
}

struct layers_place {
    json_t *mistakes;
    const struct path *path;
};

static void on_layer_mistake(void *context, const char *where, const char *what)
{
    const struct layers_place *place = context;
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s%.*s", 200, place->path->text, 50, where);
    mistake(place->mistakes, &path, "%s", what);
}

static void check_layers(json_t *mistakes, const struct path *path, const json_t *value)
{
    struct layers_place place = {.mistakes = mistakes, .path = path};

    dedup_config_check(value, on_layer_mistake, &place);
}

static void check_member(json_t *mistakes, const struct path *path, json_t *value,
                         const struct member *member)
{
    switch (member->type) {
    case MEMBER_TEXT:
    case MEMBER_ACCOUNT:
    case MEMBER_SPAN:
        check_text(mistakes, path, value, member);
        break;
    case MEMBER_ACCOUNTS:
    case MEMBER_TEXTS:
        check_texts(mistakes, path, value, member);
        break;
    case MEMBER_TEXT_MAP:
        check_text_map(mistakes, path, value, member->max);
        break;
    case MEMBER_BOOL:
        if (!json_is_boolean(value)) {
            mistake(mistakes, path, "must be true or false");
        }
        break;
    case MEMBER_COUNT:
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) > member->max) {
            mistake(mistakes, path, "must be a whole number from 0 to %" PRIu64, member->max);
        }
        break;
    case MEMBER_OBJECT:
        check_object(mistakes, path, value, member->members);
        break;
    case MEMBER_OBJECTS:
        check_objects(mistakes, path, value, member);
        break;
    case MEMBER_PATTERN:
        check_pattern(mistakes, path, value);
        break;
    case MEMBER_DEDUP_LAYERS:
        check_layers(mistakes, path, value);
        break;
    default:
        CHECK(false);
    }
}

static const struct member *find_member(const struct member *members, const char *key)
{
    for (; members->key != NULL; members++) {
        if (strcmp(members->key, key) == 0) {
            return members;
        }
    }
    return NULL;
}

/* Members of the format that this version does not act on: told apart from typing errors. */
static bool is_for_later(const char *key)
{
    static const char *const keys[] = {
        "lists",
        "connections",
        "api_destinations",
        "archives",
        "schedules",
        "shared_targets",
        "steps",
        "input",
        "input_path",
        "input_transformer",
        "http_parameters",
        "schedule_expression",
        "run_command_parameters",
        "kinesis_parameters",
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void check_object(json_t *mistakes, const struct path *path, json_t *object,
                         const struct member *members)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        mistake(mistakes, path, "must be an object");
        return;
    }
    json_object_foreach(object, key, value)
    {
        const struct member *member = find_member(members, key);
        const struct path place = path_member(path, key);

        if (member == NULL && is_for_later(key)) {
            mistake(mistakes, &place, "is not supported by this version");
        } else if (member == NULL) {
            mistake(mistakes, &place, "unknown member");
        } else if (!json_is_null(value) || member->is_required) {
            check_member(mistakes, &place, value, member);
        }
    }
    for (; members->key != NULL; members++) {
        if (members->is_required && json_object_get(object, members->key) == NULL) {
            const struct path place = path_member(path, members->key);

            mistake(mistakes, &place, "is required");
        }
    }
}

/* ---- the meaning -------------------------------------------------------------------------- */

static void check_unique(json_t *mistakes, json_t *seen, const struct path *path, const char *name)
{
    if (json_object_get(seen, name) != NULL) {
        mistake(mistakes, path, "%s stands here a second time", name);
    }
    json_object_set_new(seen, name, json_true());
}

static bool is_name(struct slice text)
{
    static const char allowed[] =
        ".-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return text.len > 0;
}

static void check_name(json_t *mistakes, const struct path *base, const char *key,
                       const json_t *object)
{
    const struct path path = path_member(base, key);

    if (json_is_string(json_object_get(object, key)) && !is_name(json_member_text(object, key))) {
        mistake(mistakes, &path, "must consist of A-Z a-z 0-9 . - _");
    }
}

/* "arn:aws:sqs:REGION:ACCOUNT:NAME", where ACCOUNT may be {account} on the central bus. */
static void check_queue_arn(json_t *mistakes, const struct path *path, struct slice arn,
                            bool is_central)
{
    struct slice rest = arn;
    const struct slice head = slice_cut(&rest, ':');
    const struct slice partition = slice_cut(&rest, ':');
    const struct slice service = slice_cut(&rest, ':');
    const struct slice region = slice_cut(&rest, ':');
    const struct slice account = slice_cut(&rest, ':');
    const bool is_template = slice_eq(account, SLICE("{account}"));

    if (!slice_eq(head, SLICE("arn")) || partition.len == 0 || rest.len == 0) {
        mistake(mistakes, path, "is not an ARN");
    } else if (!slice_eq(service, SLICE("sqs"))) {
        mistake(mistakes, path, "targets of service \"%.*s\" are not supported; sqs is",
                SLICE_ARG(service));
    } else if (region.len == 0 || !(is_account(account) || is_template)) {
        mistake(mistakes, path, "an SQS ARN is arn:aws:sqs:REGION:ACCOUNT:NAME");
    } else if (is_template && !is_central) {
        mistake(mistakes, path, "{account} is for rules of the central bus");
    }
}

/* "arn:aws:iam::ACCOUNT:role/NAME", where ACCOUNT may be {account} in a target. */
static void check_role_arn(json_t *mistakes, const struct path *path, struct slice arn,
                           bool is_template_allowed)
{
    struct slice rest = arn;
    const struct slice head = slice_cut(&rest, ':');
    const struct slice partition = slice_cut(&rest, ':');
    const struct slice service = slice_cut(&rest, ':');
    const struct slice region = slice_cut(&rest, ':');
    const struct slice account = slice_cut(&rest, ':');
    const bool is_template = is_template_allowed && slice_eq(account, SLICE("{account}"));

    if (!slice_eq(head, SLICE("arn")) || !slice_has_prefix(partition, SLICE("aws")) ||
        !slice_eq(service, SLICE("iam")) || region.len > 0 ||
        !(is_account(account) || is_template) || !slice_has_prefix(rest, SLICE("role/"))) {
        mistake(mistakes, path, "must be the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME");
    }
}

static void check_target(json_t *mistakes, const struct path *path, const json_t *target,
                         bool is_central)
{
    const struct slice arn = json_member_text(target, "arn");
    const struct slice role = json_member_text(target, "role_arn");
    const json_t *sqs = json_object_get(target, "sqs_parameters");
    struct path place = path_member(path, "arn");

    check_name(mistakes, path, "id", target);
    if (arn.len > 0) {
        check_queue_arn(mistakes, &place, arn, is_central);
    }
    if (json_member_text(sqs, "message_group_id").len > 0 &&
        !slice_has_suffix(arn, SLICE(".fifo"))) {
        place = path_member(path, "sqs_parameters");
        mistake(mistakes, &place, "message_group_id is for FIFO queues, whose names end in .fifo");
    }
    if (json_object_get(target, "dead_letter_config") != NULL) {
        place = path_member(path, "dead_letter_config");
        mistake(mistakes, &place, "is not supported yet; dead letters are kept in the store");
    }
    if (role.len > 0) {
        place = path_member(path, "role_arn");
        check_role_arn(mistakes, &place, role, is_central);
    }
}

static void check_bus_name(json_t *mistakes, const struct path *path, struct slice bus)
{
    struct slice rest = bus;

    if (slice_eq(bus, SLICE("central"))) {
        return;
    }
    if (!is_account(slice_cut(&rest, '/')) || !is_name(rest)) {
        mistake(mistakes, path, "must be \"central\" or \"ACCOUNT/NAME\"");
    }
}

static void check_rule(json_t *mistakes, json_t *seen, const struct path *path, const json_t *rule)
{
    const struct slice bus = json_member_text(rule, "bus");
    const struct slice state = json_member_text(rule, "state");
    const json_t *targets = json_object_get(rule, "targets");
    const struct path targets_path = path_member(path, "targets");
    struct path place = path_member(path, "bus");
    json_t *ids = json_object();
    char name[512];

    check_bus_name(mistakes, &place, bus);
    check_name(mistakes, path, "name", rule);
    (void)snprintf(name, sizeof(name), "rule %.*s/%.*s", SLICE_ARG(bus),
                   SLICE_ARG(json_member_text(rule, "name")));
    check_unique(mistakes, seen, path, name);
    if (state.len > 0 && !slice_eq(state, SLICE("ENABLED")) &&
        !slice_eq(state, SLICE("DISABLED"))) {
        place = path_member(path, "state");
        mistake(mistakes, &place, "must be ENABLED or DISABLED");
    }
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *target = json_array_get(targets, i);

        place = path_item(&targets_path, i);
        check_target(mistakes, &place, target, slice_eq(bus, SLICE("central")));
        (void)snprintf(name, sizeof(name), "target %.*s",
                       SLICE_ARG(json_member_text(target, "id")));
        check_unique(mistakes, ids, &place, name);
    }
    json_decref(ids);
}

static void check_account(json_t *mistakes, json_t *seen, const struct path *path,
                          const json_t *account)
{
    const json_t *limits = json_object_get(account, "limits");
    const struct slice role = json_member_text(json_object_get(account, "dispatch_role"), "arn");
    char name[64];

    (void)snprintf(name, sizeof(name), "account %.*s", SLICE_ARG(json_member_text(account, "id")));
    check_unique(mistakes, seen, path, name);
    if (json_object_get(limits, "burst") != NULL &&
        json_object_get(limits, "events_per_second") == NULL) {
        const struct path place = path_member(path, "limits.burst");

        mistake(mistakes, &place, "needs events_per_second beside it");
    }
    if (role.len > 0) {
        const struct path place = path_member(path, "dispatch_role.arn");

        check_role_arn(mistakes, &place, role, false);
    }
}

static void check_bus(json_t *mistakes, json_t *seen, const struct path *path, const json_t *bus)
{
    char name[512];

    check_name(mistakes, path, "name", bus);
    (void)snprintf(name, sizeof(name), "bus %.*s/%.*s", SLICE_ARG(json_member_text(bus, "account")),
                   SLICE_ARG(json_member_text(bus, "name")));
    check_unique(mistakes, seen, path, name);
}

/* Call `check` for every object of one section. */
static void check_section(json_t *mistakes, json_t *seen, const json_t *file, const char *section,
                          void (*check)(json_t *mistakes, json_t *seen, const struct path *path,
                                        const json_t *object))
{
    const struct path root = {.text = ""};
    const struct path base = path_member(&root, section);
    const json_t *objects = json_object_get(file, section);

    for (size_t i = 0; i < json_array_size(objects); i++) {
        const struct path place = path_item(&base, i);

        check(mistakes, seen, &place, json_array_get(objects, i));
    }
}

json_t *catalog_check(json_t *file)
{
    json_t *mistakes = json_array();
    json_t *seen = json_object();
    const struct path root = {.text = ""};

    check_object(mistakes, &root, file, file_members);
    if (json_array_size(mistakes) == 0) {
        check_section(mistakes, seen, file, "accounts", check_account);
        check_section(mistakes, seen, file, "buses", check_bus);
        check_section(mistakes, seen, file, "rules", check_rule);
    }
    json_decref(seen);
    return mistakes;
}
