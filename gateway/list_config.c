/* SPDX-License-Identifier: Apache-2.0
 *
 * list_config.c - from the entries of a list's document to the set that patterns ask.
 *
 * Checking builds the list and throws it away: what a list takes, and how much, is said in one
 * place (routing/partner_list.c).
 */
#include "gateway/list_config.h"

#include "core/check.h"
#include "gateway/catalog_check.h"
#include "gateway/catalog_file.h"

enum { MISTAKES_MAX = 20 }; /* of one list: a wrong file need not be told of line by line */

static const struct {
    const char *member;
    enum partner_kind kind;
} kinds[] = {
    {"accounts", PARTNER_ACCOUNTS},
    {"cidrs", PARTNER_CIDRS},
    {"strings", PARTNER_STRINGS},
};

/* The entries and what they are; NULL where the document has none. */
static const json_t *entries_of(const json_t *document, const char **member,
                                enum partner_kind *kind)
{
    *member = kinds[0].member;
    *kind = kinds[0].kind;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const json_t *entries = json_object_get(document, kinds[i].member);

        if (json_is_array(entries)) {
            *member = kinds[i].member;
            *kind = kinds[i].kind;
            return entries;
        }
    }
    return NULL;
}

static enum err add(struct partner_list *list, const json_t *entry, struct err_why *why)
{
    const struct slice text = {json_string_value(entry), json_string_length(entry)};

    return json_is_string(entry) ? partner_list_add(list, text, why)
                                 : err_because(ERR_BAD_VALUE, why, "must be a string");
}

static size_t count_kinds(const json_t *document)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const json_t *entries = json_object_get(document, kinds[i].member);

        count += entries != NULL && !json_is_null(entries) ? 1 : 0;
    }
    return count;
}

void list_config_check(const json_t *list,
                       void (*on_mistake)(void *context, const char *where, const char *what),
                       void *context)
{
    enum partner_kind kind;
    const char *member;
    const json_t *entries = entries_of(list, &member, &kind);
    struct partner_list *draft = partner_list_new(kind);
    size_t mistake_count = 0;
    enum err err = ERR_OK;

    if (count_kinds(list) > 1) {
        on_mistake(context, "", "must have one of accounts, cidrs and strings");
    }
    for (size_t i = 0;
         i < json_array_size(entries) && mistake_count < MISTAKES_MAX && err != ERR_TOO_LARGE;
         i++) {
        struct err_why why;

        err = add(draft, json_array_get(entries, i), &why);
        if (err != ERR_OK) {
            char where[64];

            (void)snprintf(where, sizeof(where), ".%s[%zu]", member, i);
            on_mistake(context, where, why.text);
            mistake_count++;
        }
    }
    partner_list_release(draft);
}

size_t list_config_count(const json_t *document)
{
    enum partner_kind kind;
    const char *member;

    return json_array_size(entries_of(document, &member, &kind));
}

enum err list_config_read(const json_t *document, struct partner_list **list, struct err_why *why)
{
    enum partner_kind kind;
    const char *member;
    const json_t *entries = entries_of(document, &member, &kind);
    enum err err = ERR_OK;

    *list = partner_list_new(kind);
    for (size_t i = 0; i < json_array_size(entries) && err == ERR_OK; i++) {
        err = add(*list, json_array_get(entries, i), why);
    }
    if (err != ERR_OK) {
        partner_list_release(*list);
        *list = NULL;
    }
    return err;
}

/* ---- a file -------------------------------------------------------------------------------- */

static enum err read_lists(const json_t *file, struct partner_lists *lists, struct err_why *why)
{
    const json_t *documents = json_object_get(file, "lists");

    for (size_t i = 0; i < json_array_size(documents); i++) {
        const json_t *document = json_array_get(documents, i);
        const json_t *name = json_object_get(document, "name");
        struct partner_list *list;

        TRY(list_config_read(document, &list, why));
        partner_lists_put(lists, (struct slice){json_string_value(name), json_string_length(name)},
                          list);
        partner_list_release(list);
    }
    return ERR_OK;
}

enum err list_config_read_file(struct slice text, struct partner_lists **lists, struct err_why *why)
{
    json_t *file = NULL;
    json_t *mistakes;
    const json_t *first;
    enum err err = ERR_OK;

    *lists = NULL;
    TRY(catalog_file_read(text, &file, why));
    mistakes = catalog_check(file);
    first = json_array_get(mistakes, 0);
    if (first != NULL) {
        err = err_because(ERR_BAD_CATALOG, why, "%s: %s",
                          json_string_value(json_object_get(first, "path")),
                          json_string_value(json_object_get(first, "message")));
    } else {
        *lists = partner_lists_new();
        err = read_lists(file, *lists, why);
    }
    json_decref(mistakes);
    json_decref(file);
    return err;
}
