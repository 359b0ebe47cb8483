/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_lists.c - rules and lists are documents of their own; this is what holds them together.
 *
 * A list that is not there holds nothing, so a rule that names one would quietly take every
 * partner for a stranger.  Therefore a file that names such a list is refused, and so is one that
 * deletes a list which a rule still asks.  Rules are looked into only if the word is in their text.
 */
#include "gateway/catalog_lists.h"

#include "core/check.h"
#include "gateway/list_config.h"
#include "routing/pattern.h"

/* What holds patterns. */
static const struct {
    const char *section;
    const char *kind;
} askers[] = {{"rules", "rule"}, {"schedules", "schedule"}, {"archives", "archive"}};

/* The catalog as it will be. */
struct outlook {
    const struct catalog *catalog;
    const struct catalog_edit *edit;
    struct map edited; /* name -> struct store_document */
    struct arena arena;
    char where[128];
    char missing[PARTNER_LIST_NAME_CHARS_MAX + 1]; /* empty: every list is there */
};

static bool will_exist(const struct outlook *outlook, struct slice document)
{
    const struct store_document *edited = map_get(&outlook->edited, document);

    return edited != NULL ? edited->value.len > 0 : catalog_get(outlook->catalog, document) != NULL;
}

/* ---- what a rule asks ---------------------------------------------------------------------- */

static bool may_ask(struct slice text)
{
    static const struct slice word = SLICE_INIT("in-list");

    return text.len > 0 && (memmem(text.data, text.len, word.data, word.len) != NULL ||
                            memchr(text.data, '\\', text.len) != NULL); /* it may be escaped */
}

/* Note the first list of a pattern that will not be there.  False if there is one. */
static bool look_into(struct outlook *outlook, struct slice text)
{
    char document[sizeof(outlook->missing) + sizeof("list/")];
    struct pattern *pattern = NULL;
    const struct slice *names;
    size_t count;

    if (!may_ask(text) || pattern_compile(text, &pattern, NULL) != ERR_OK) {
        return true;
    }
    names = pattern_lists(pattern, &count);
    for (size_t i = 0; i < count && outlook->missing[0] == '\0'; i++) {
        (void)snprintf(document, sizeof(document), "list/%.*s", SLICE_ARG(names[i]));
        if (!will_exist(outlook, slice_of(document))) {
            (void)snprintf(outlook->missing, sizeof(outlook->missing), "%.*s", SLICE_ARG(names[i]));
        }
    }
    pattern_release(pattern);
    return outlook->missing[0] == '\0';
}

/* The rule's own pattern and those of its steps; the place of the first that misses a list. */
static bool look_into_rule(struct outlook *outlook, const json_t *rule)
{
    const json_t *targets = json_object_get(rule, "targets");

    (void)snprintf(outlook->where, sizeof(outlook->where), "pattern");
    if (!look_into(outlook, json_member_text(rule, "pattern"))) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *steps = json_object_get(json_array_get(targets, i), "steps");

        for (size_t k = 0; k < json_array_size(steps); k++) {
            (void)snprintf(outlook->where, sizeof(outlook->where), "targets[%zu].steps[%zu].when",
                           i, k);
            if (!look_into(outlook, json_member_text(json_array_get(steps, k), "when"))) {
                return false;
            }
        }
    }
    return true;
}

static enum err check_section(struct outlook *outlook, const json_t *file, const char *section,
                              struct err_why *why)
{
    const json_t *rules = json_object_get(file, section);

    for (size_t i = 0; i < json_array_size(rules); i++) {
        if (!look_into_rule(outlook, json_array_get(rules, i))) {
            return err_because(ERR_BAD_CATALOG, why, "%s[%zu].%s: there is no list %s", section, i,
                               outlook->where, outlook->missing);
        }
    }
    return ERR_OK;
}

/* Those that the change leaves as they are. */
static enum err check_others(struct outlook *outlook, const char *kind, struct err_why *why)
{
    size_t count;
    const struct catalog_document **rules =
        catalog_of_kind(outlook->catalog, slice_of(kind), &outlook->arena, &count);

    for (size_t i = 0; i < count; i++) {
        if (map_get(&outlook->edited, slice_of(rules[i]->name)) == NULL &&
            !look_into_rule(outlook, rules[i]->value)) {
            return err_because(ERR_CONFLICT, why, "list/%s is still asked by %s", outlook->missing,
                               rules[i]->name);
        }
    }
    return ERR_OK;
}

static bool deletes_lists(const struct catalog_edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        if (edit->documents[i].value.len == 0 &&
            slice_has_prefix(edit->documents[i].name, SLICE("list/"))) {
            return true;
        }
    }
    return false;
}

/* ---- how much ------------------------------------------------------------------------------ */

static enum err check_size(const struct outlook *outlook, const json_t *file, struct err_why *why)
{
    const json_t *lists = json_object_get(file, "lists");
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(outlook->catalog, SLICE("list"), &arena, &count);
    size_t entry_count = 0;
    size_t list_count = json_array_size(lists);

    for (size_t i = 0; i < json_array_size(lists); i++) {
        entry_count += list_config_count(json_array_get(lists, i));
    }
    for (size_t i = 0; i < count; i++) {
        if (map_get(&outlook->edited, slice_of(documents[i]->name)) == NULL) {
            entry_count += list_config_count(documents[i]->value);
            list_count++;
        }
    }
    arena_clean_up(&arena);
    if (list_count > LIST_COUNT_MAX) {
        return err_because(ERR_BAD_CATALOG, why, "lists: more than %d in the whole catalog",
                           LIST_COUNT_MAX);
    }
    if (entry_count > LIST_ENTRIES_TOTAL_MAX) {
        return err_because(ERR_BAD_CATALOG, why, "lists: more than %d entries in the whole catalog",
                           LIST_ENTRIES_TOTAL_MAX);
    }
    return ERR_OK;
}

enum err catalog_lists_check(const struct catalog *catalog, const json_t *file,
                             const struct catalog_edit *edit, struct err_why *why)
{
    struct outlook outlook = {.catalog = catalog, .edit = edit};
    enum err err = ERR_OK;

    for (size_t i = 0; i < edit->count; i++) {
        (void)map_put(&outlook.edited, edit->documents[i].name, &edit->documents[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(askers) && err == ERR_OK; i++) {
        err = check_section(&outlook, file, askers[i].section, why);
        if (err == ERR_OK && deletes_lists(edit)) {
            err = check_others(&outlook, askers[i].kind, why);
        }
    }
    if (err == ERR_OK && json_object_get(file, "lists") != NULL) {
        err = check_size(&outlook, file, why);
    }
    map_clean_up(&outlook.edited);
    arena_clean_up(&outlook.arena);
    return err;
}
