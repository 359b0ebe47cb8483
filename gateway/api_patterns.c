/* SPDX-License-Identifier: Apache-2.0
 *
 * api_patterns.c - does this pattern match this event? Answered where it came.
 *
 * The action looks at the envelope, where everything else takes any JSON object for an event: the
 * service wants these six members, and says no more than that the parameter is not valid.
 *
 * Callers that expect EventBridge get its language and its refusals; weir's own operator is for
 * those that say they know it.
 */
#include "gateway/api_patterns.h"

#include "core/json.h"
#include "routing/partner_list.h"
#include "routing/pattern.h"

static const struct api_member test_input[] = {
    {"EventPattern", API_TEXT, true, 0, PATTERN_BYTES_MAX, API_ANY_CHARS, NULL},
    {"Event", API_TEXT, true, 0, UINT32_MAX, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};

static bool has_envelope(struct slice event, struct arena *arena)
{
    static const struct slice wanted[] = {
        SLICE_INIT("id"),   SLICE_INIT("account"), SLICE_INIT("source"),
        SLICE_INIT("time"), SLICE_INIT("region"),  SLICE_INIT("detail-type"),
    };
    struct json_reader reader;
    struct json_token token;
    struct slice value;
    unsigned found = 0;

    json_reader_init(&reader, event, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return false;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = json_token_text(&token, arena);

        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            found |= slice_eq(key, wanted[i]) ? 1U << i : 0;
        }
        (void)json_next(&reader, &token);
        if (json_read_value(&reader, &token, &value) != ERR_OK) {
            return false;
        }
    }
    return found == (1U << ARRAY_LEN(wanted)) - 1;
}

static bool has_list(const struct api_call *call, const struct catalog *catalog, struct slice name)
{
    char document[PARTNER_LIST_NAME_CHARS_MAX + sizeof("list/")];

    if (catalog == NULL) {
        return partner_lists_get(call->lists, name) != NULL;
    }
    (void)snprintf(document, sizeof(document), "list/%.*s", SLICE_ARG(name));
    return catalog_get(catalog, slice_of(document)) != NULL;
}

enum err api_compile_pattern(struct api_call *call, const struct catalog *catalog,
                             struct slice text, struct pattern **pattern)
{
    struct err_why why = {.text = ""};
    const struct slice *names;
    size_t count;
    const enum err err = call->may_ask_lists ? pattern_compile(text, pattern, &why)
                                             : pattern_compile_plain(text, pattern, &why);

    if (err != ERR_OK) {
        return api_fail(call, "InvalidEventPatternException", "%s", why.text);
    }
    names = pattern_lists(*pattern, &count);
    for (size_t i = 0; i < count; i++) {
        if (!has_list(call, catalog, names[i])) {
            pattern_release(*pattern);
            *pattern = NULL;
            return api_fail(call, "InvalidEventPatternException",
                            "Event pattern is not valid. Reason: There is no list %.*s",
                            SLICE_ARG(names[i]));
        }
    }
    return ERR_OK;
}

static enum err test_pattern(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    const struct slice event = api_text(call, "Event");
    struct err_why why = {.text = ""};
    struct event_tree *tree;
    struct pattern *pattern;

    (void)catalog; /* none: it computes */
    (void)edit;
    TRY(api_compile_pattern(call, NULL, api_text(call, "EventPattern"), &pattern));
    if (event_tree_read(event, &call->arena, &tree, &why) != ERR_OK ||
        !has_envelope(event, &call->arena)) {
        pattern_release(pattern);
        return api_fail(call, "ValidationException", "Parameter Event is not valid.");
    }
    event_tree_use_lists(tree, call->lists);
    call->output = json_pack("{s:b}", "Result", pattern_matches(pattern, tree) ? 1 : 0);
    pattern_release(pattern);
    return ERR_OK;
}

const struct api_action api_test_pattern = {SLICE_INIT("TestEventPattern"), test_input,
                                            test_pattern, API_COMPUTES};
