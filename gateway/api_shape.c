/* SPDX-License-Identifier: Apache-2.0
 *
 * api_shape.c - one walker over all inputs.
 *
 * A broken constraint is a part "Value 'V' at 'path.1.member.name' failed to satisfy constraint:
 * ..."; paths are in lower camel case and count list items from 1.  The walk collects the parts and
 * puts their number in front, so a caller learns of all mistakes at once.
 */
#include "gateway/api_shape.h"

#include <ctype.h>

#include "accounts/api_destination.h"
#include "core/check.h"

enum { PATH_CHARS_MAX = 160, SHOWN_CHARS_MAX = 80, PARTS_SHOWN_MAX = 5 };

struct walk {
    struct err_why *why;
    char parts[sizeof(((struct err_why *)0)->text)];
    size_t part_count;
    bool has_wrong_type;
};

struct place {
    char text[PATH_CHARS_MAX];
};

static struct place place_member(const struct place *base, const char *name)
{
    struct place place;

    (void)snprintf(place.text, sizeof(place.text), "%.*s%s%c%.*s", 90, base->text,
                   base->text[0] != '\0' ? "." : "", tolower((unsigned char)name[0]), 60, name + 1);
    return place;
}

static struct place place_item(const struct place *base, size_t index)
{
    struct place place;

    (void)snprintf(place.text, sizeof(place.text), "%.*s.%zu.member", 120, base->text, index + 1);
    return place;
}

/* ---- what is wrong ------------------------------------------------------------------------ */

static PRINTF_LIKE(4, 5) void broken(struct walk *walk, const struct place *place,
                                     const char *shown, const char *format, ...)
{
    const size_t used = strlen(walk->parts);
    char constraint[200];
    va_list arguments;

    walk->part_count++;
    if (walk->part_count > PARTS_SHOWN_MAX) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(constraint, sizeof(constraint), format, arguments);
    va_end(arguments);
    (void)snprintf(walk->parts + used, sizeof(walk->parts) - used,
                   "%sValue%s at '%s' failed to satisfy constraint: Member must %s",
                   used > 0 ? "; " : "", shown, place->text, constraint);
}

static void wrong_type(struct walk *walk, const struct place *place, const char *wanted)
{
    if (!walk->has_wrong_type) {
        walk->has_wrong_type = true;
        (void)err_because(ERR_BAD_JSON, walk->why, "%s must be %s", place->text, wanted);
    }
}

/* " 'V'", cut to what a message can hold; nothing of a secret. */
static const char *shown(char room[static SHOWN_CHARS_MAX + 4], const json_t *value,
                         const struct api_member *member)
{
    if (member->type == API_SECRET) {
        return "";
    }
    (void)snprintf(room, SHOWN_CHARS_MAX + 4, " '%.*s'", SHOWN_CHARS_MAX, json_string_value(value));
    return room;
}

static uint64_t chars_max(const struct api_member *member, struct slice text)
{
    return member->charset == API_NAME_OR_ARN && slice_has_prefix(text, SLICE("arn:"))
               ? 1600
               : member->max;
}

/* ---- what texts consist of ---------------------------------------------------------------- */

static bool consists_of(struct slice text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if (!(isalnum(c) && c < 0x80) && (c == '\0' || strchr(more, c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_name(struct slice text)
{
    return consists_of(text, ".-_");
}

static bool is_bus(struct slice text)
{
    return consists_of(text, "/.-_");
}

static bool is_bus_or_arn(struct slice text)
{
    return consists_of(text, "/.-_:");
}

static bool is_state(struct slice text)
{
    return slice_eq(text, SLICE("ENABLED")) || slice_eq(text, SLICE("DISABLED")) ||
           slice_eq(text, SLICE("ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"));
}

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_eq(text, slice_of(*words))) {
            return true;
        }
    }
    return false;
}

static bool is_archive_state(struct slice text)
{
    static const char *const states[] = {"ENABLED",       "DISABLED",      "CREATING", "UPDATING",
                                         "CREATE_FAILED", "UPDATE_FAILED", NULL};

    return is_one_of(text, states);
}

static bool is_replay_state(struct slice text)
{
    static const char *const states[] = {"CANCELLED", "CANCELLING", "COMPLETED", "FAILED",
                                         "RUNNING",   "STARTING",   NULL};

    return is_one_of(text, states);
}

static bool is_statement(struct slice text)
{
    return consists_of(text, "-_");
}

static bool is_action(struct slice text)
{
    return slice_has_prefix(text, SLICE("events:")) &&
           consists_of(slice_from(text, strlen("events:")), "");
}

static bool is_principal(struct slice text)
{
    uint64_t number;

    return slice_eq(text, SLICE("*")) || (text.len == 12 && slice_to_u64(text, &number));
}

static bool is_name_or_arn(struct slice text)
{
    return slice_has_prefix(text, SLICE("arn:")) ? consists_of(text, "/.-_:") : is_name(text);
}

/* "arn:aws:events:REGION:ACCOUNT:connection/NAME/UUID" */
static bool is_connection_arn(struct slice text)
{
    struct slice rest = text;
    struct slice resource;
    struct slice uuid;
    uint64_t number;

    if (!slice_eq(slice_cut(&rest, ':'), SLICE("arn")) ||
        !slice_has_prefix(slice_cut(&rest, ':'), SLICE("aws")) ||
        !slice_eq(slice_cut(&rest, ':'), SLICE("events")) ||
        !consists_of(slice_cut(&rest, ':'), "-")) {
        return false;
    }
    resource = slice_cut(&rest, ':');
    if (resource.len > 0 && (resource.len != 12 || !slice_to_u64(resource, &number))) {
        return false;
    }
    uuid = rest;
    if (!slice_eq(slice_cut(&uuid, '/'), SLICE("connection"))) {
        return false;
    }
    resource = slice_cut(&uuid, '/');
    return resource.len > 0 && is_name(resource) && uuid.len > 0 && consists_of(uuid, "-");
}

static bool is_connection_state(struct slice text)
{
    static const char *const words[] = {
        "CREATING",     "UPDATING",    "DELETING",      "AUTHORIZED",
        "DEAUTHORIZED", "AUTHORIZING", "DEAUTHORIZING", NULL};

    return is_one_of(text, words);
}

static bool is_authorization_type(struct slice text)
{
    static const char *const words[] = {"BASIC", "OAUTH_CLIENT_CREDENTIALS", "API_KEY", NULL};

    return is_one_of(text, words);
}

static bool is_http_method(struct slice text)
{
    return api_method(text) != NULL;
}

static bool is_oauth_method(struct slice text)
{
    static const char *const words[] = {"GET", "POST", "PUT", NULL};

    return is_one_of(text, words);
}

static bool is_url(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%') {
            if (text.len - i < 3 || !isxdigit((unsigned char)text.data[i + 1]) ||
                !isxdigit((unsigned char)text.data[i + 2])) {
                return false;
            }
        } else if (!consists_of((struct slice){text.data + i, 1}, "-()_.!~*';/?:@&=+$,")) {
            return false;
        }
    }
    return true;
}

/* Characters from a blank on and tabs, but not tabs alone. */
static bool is_line(struct slice text, unsigned char last, char excluded)
{
    bool has_more = false;

    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f || c > last || c == (unsigned char)excluded) {
            return false;
        }
        has_more = has_more || c != '\t';
    }
    return has_more;
}

static bool is_authorizing(struct slice text)
{
    return is_line(text, UINT8_MAX, ':');
}

static bool is_header_value(struct slice text)
{
    return is_line(text, 0x7e, '\0');
}

static bool is_plain(struct slice text)
{
    return is_line(text, UINT8_MAX, '\t');
}

static bool is_not_blank(struct slice text)
{
    return slice_trim(text).len > 0;
}

static const struct {
    bool (*fits)(struct slice text);
    const char *constraint;
    bool is_enum; /* an empty text is none of them */
} charsets[] = {
    [API_ANY_CHARS] = {NULL, NULL, false},
    [API_NAME_CHARS] = {is_name, "satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+", false},
    [API_BUS_CHARS] = {is_bus, "satisfy regular expression pattern: [/\\.\\-_A-Za-z0-9]+", false},
    [API_BUS_OR_ARN] = {is_bus_or_arn,
                        "satisfy regular expression pattern: "
                        "(arn:aws[\\w-]*:events:[a-z]+-[a-z]+-[\\w-]+:[0-9]{12}:event-bus\\/)?"
                        "[/\\.\\-_A-Za-z0-9]+",
                        false},
    [API_RULE_STATE] = {is_state,
                        "satisfy enum value set: [ENABLED, DISABLED, "
                        "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]",
                        true},
    [API_ARCHIVE_STATE] = {is_archive_state,
                           "satisfy enum value set: [ENABLED, DISABLED, CREATING, "
                           "UPDATING, CREATE_FAILED, UPDATE_FAILED]",
                           true},
    [API_REPLAY_STATE] = {is_replay_state,
                          "satisfy enum value set: [CANCELLED, CANCELLING, "
                          "COMPLETED, FAILED, RUNNING, STARTING]",
                          true},
    [API_STATEMENT_CHARS] = {is_statement, "satisfy regular expression pattern: [a-zA-Z0-9-_]+",
                             false},
    [API_ACTION_CHARS] = {is_action, "satisfy regular expression pattern: events:[a-zA-Z]+", false},
    [API_PRINCIPAL_CHARS] = {is_principal, "satisfy regular expression pattern: (\\d{12}|\\*)",
                             false},
    [API_NAME_OR_ARN] = {is_name_or_arn, "satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+",
                         false},
    [API_CONNECTION_ARN] = {is_connection_arn,
                            "satisfy regular expression pattern: "
                            "^arn:aws([a-z]|\\-)*:events:([a-z]|\\d|\\-)*:([0-9]{12})?:"
                            "connection\\/[\\.\\-_A-Za-z0-9]+\\/[\\-A-Za-z0-9]+$",
                            false},
    [API_CONNECTION_STATE] = {is_connection_state,
                              "satisfy enum value set: [CREATING, UPDATING, DELETING, AUTHORIZED, "
                              "DEAUTHORIZED, AUTHORIZING, DEAUTHORIZING]",
                              true},
    [API_AUTHORIZATION_TYPE] = {is_authorization_type,
                                "satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, "
                                "API_KEY]",
                                true},
    [API_HTTP_METHOD] = {is_http_method,
                         "satisfy enum value set: [HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS]",
                         true},
    [API_OAUTH_METHOD] = {is_oauth_method, "satisfy enum value set: [GET, POST, PUT]", true},
    [API_URL_CHARS] = {is_url,
                       "satisfy regular expression pattern: "
                       "^((%[0-9A-Fa-f]{2}|[-()_.!~*';/?:@\\x26=+$,A-Za-z0-9])+)"
                       "([).!';/?:,])?$",
                       false},
    [API_AUTH_CHARS] = {is_authorizing,
                        "satisfy regular expression pattern: ^[ \\t]*[^\\x00-\\x1F:\\x7F]+"
                        "([ \\t]+[^\\x00-\\x1F:\\x7F]+)*[ \\t]*$",
                        false},
    [API_HEADER_NAME] = {api_header_name_is_good,
                         "satisfy regular expression pattern: "
                         "^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$",
                         false},
    [API_HEADER_VALUE] = {is_header_value,
                          "satisfy regular expression pattern: "
                          "^[ \\t]*[\\x20-\\x7E]+([ \\t]+[\\x20-\\x7E]+)*[ \\t]*$",
                          false},
    [API_PLAIN_CHARS] = {is_plain, "satisfy regular expression pattern: [^\\x00-\\x1F\\x7F]+",
                         false},
    [API_NOT_BLANK] = {is_not_blank, "satisfy regular expression pattern: ^(?!\\s*$).+", false},
};

/* ---- the walk ----------------------------------------------------------------------------- */

static void check_object(struct walk *walk, const struct place *place, const json_t *object,
                         const struct api_member *members);

static void check_text(struct walk *walk, const struct place *place, const json_t *value,
                       const struct api_member *member)
{
    const struct slice text = {json_string_value(value), json_string_length(value)};
    char room[SHOWN_CHARS_MAX + 4];

    if (!json_is_string(value)) {
        wrong_type(walk, place, "a string");
        return;
    }
    if (text.len < member->min) {
        broken(walk, place, shown(room, value, member),
               "have length greater than or equal to %" PRIu64, member->min);
    }
    if (text.len > chars_max(member, text)) {
        broken(walk, place, shown(room, value, member),
               "have length less than or equal to %" PRIu64, chars_max(member, text));
    }
    if (charsets[member->charset].fits != NULL &&
        (text.len > 0 || charsets[member->charset].is_enum) &&
        !charsets[member->charset].fits(text)) {
        broken(walk, place, shown(room, value, member), "%s", charsets[member->charset].constraint);
    }
}

static void check_number(struct walk *walk, const struct place *place, const json_t *value,
                         const struct api_member *member)
{
    const json_int_t number = json_integer_value(value);
    char room[SHOWN_CHARS_MAX];

    if (!json_is_integer(value)) {
        wrong_type(walk, place, "a whole number");
        return;
    }
    (void)snprintf(room, sizeof(room), " '%" JSON_INTEGER_FORMAT "'", number);
    if (number < (json_int_t)member->min) {
        broken(walk, place, room, "have value greater than or equal to %" PRIu64, member->min);
    } else if (number > (json_int_t)member->max) {
        broken(walk, place, room, "have value less than or equal to %" PRIu64, member->max);
    }
}

static void check_moment(struct walk *walk, const struct place *place, const json_t *value,
                         const struct api_member *member)
{
    const double seconds = json_number_value(value);

    if (!json_is_number(value)) {
        wrong_type(walk, place, "a number of seconds");
    } else if (!(seconds >= (double)member->min && seconds <= (double)member->max)) {
        broken(walk, place, "", "have value between %" PRIu64 " and %" PRIu64, member->min,
               member->max);
    }
}

static void check_list(struct walk *walk, const struct place *place, const json_t *list,
                       const struct api_member *member)
{
    if (!json_is_array(list)) {
        wrong_type(walk, place, "a list");
        return;
    }
    if (member->type == API_OBJECTS && json_array_size(list) < member->min) {
        broken(walk, place, " '[]'", "have length greater than or equal to %" PRIu64, member->min);
    }
    if (member->type == API_OBJECTS && json_array_size(list) > member->max) {
        broken(walk, place, "", "have length less than or equal to %" PRIu64, member->max);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct place item = place_item(place, i);

        if (member->type == API_OBJECTS) {
            check_object(walk, &item, json_array_get(list, i), member->members);
        } else {
            check_text(walk, &item, json_array_get(list, i), member);
        }
    }
}

static void check_map(struct walk *walk, const struct place *place, json_t *map,
                      const struct api_member *member)
{
    const char *key;
    json_t *value;

    if (!json_is_object(map)) {
        wrong_type(walk, place, "an object of strings");
        return;
    }
    json_object_foreach(map, key, value)
    {
        const struct place item = place_member(place, key);

        check_text(walk, &item, value, member);
    }
}

static void check_value(struct walk *walk, const struct place *place, json_t *value,
                        const struct api_member *member)
{
    switch (member->type) {
    case API_TEXT:
    case API_SECRET:
        check_text(walk, place, value, member);
        break;
    case API_NUMBER:
        check_number(walk, place, value, member);
        break;
    case API_MOMENT:
        check_moment(walk, place, value, member);
        break;
    case API_BOOL:
        if (!json_is_boolean(value)) {
            wrong_type(walk, place, "true or false");
        }
        break;
    case API_OBJECT:
        check_object(walk, place, value, member->members);
        break;
    case API_OBJECTS:
    case API_TEXTS:
        check_list(walk, place, value, member);
        break;
    case API_TEXT_MAP:
        check_map(walk, place, value, member);
        break;
    default:
        CHECK(false);
    }
}

static void check_object(struct walk *walk, const struct place *place, const json_t *object,
                         const struct api_member *members)
{
    if (!json_is_object(object)) {
        wrong_type(walk, place, "an object");
        return;
    }
    for (; members != NULL && members->name != NULL; members++) {
        json_t *value = json_object_get(object, members->name);
        const struct place member = place_member(place, members->name);

        if (value != NULL && !json_is_null(value)) {
            check_value(walk, &member, value, members);
        } else if (members->is_required) {
            broken(walk, &member, " null", "not be null");
        }
    }
}

enum err api_shape_check(const json_t *input, const struct api_member *members, struct err_why *why)
{
    const struct place root = {.text = ""};
    struct walk walk = {.why = why};

    if (!json_is_object(input)) {
        return err_because(ERR_BAD_JSON, why, "the input must be a JSON object");
    }
    check_object(&walk, &root, input, members);
    if (walk.has_wrong_type) {
        return ERR_BAD_JSON;
    }
    return walk.part_count == 0
               ? ERR_OK
               : err_because(ERR_BAD_REQUEST, why, "%zu validation error%s detected: %s",
                             walk.part_count, walk.part_count == 1 ? "" : "s", walk.parts);
}
