/* SPDX-License-Identifier: Apache-2.0
 *
 * list_book.c - a change of one list compiles that list, and nothing else.
 *
 * Both books and the catalog's documents are in the order of names, so that finding what can be
 * used again is one walk.
 */
#include "gateway/list_book.h"

#include <stdatomic.h>

#include "core/check.h"
#include "gateway/list_config.h"

struct list_book_entry {
    char name[PARTNER_LIST_NAME_CHARS_MAX + 1];
    uint64_t edition; /* of its document */
    struct partner_list *list;
};

struct list_book {
    _Atomic uint32_t references;
    struct list_book_entry *entries; /* by name */
    size_t count;
    struct partner_lists *lists;
};

static const struct list_book_entry *find_previous(const struct list_book *previous,
                                                   struct slice name, uint64_t edition, size_t *at)
{
    while (previous != NULL && *at < previous->count) {
        const struct list_book_entry *entry = &previous->entries[*at];
        const int order = slice_compare(slice_of(entry->name), name);

        if (order > 0) {
            return NULL;
        }
        (*at)++;
        if (order == 0) {
            return entry->edition == edition ? entry : NULL;
        }
    }
    return NULL;
}

static enum err fill(struct list_book *book, const struct list_book *previous,
                     const struct catalog_document **documents, size_t count, struct err_why *why)
{
    struct err_why detail = {.text = ""};
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        const struct slice name = slice_from(slice_of(documents[i]->name), strlen("list/"));
        const struct list_book_entry *known =
            find_previous(previous, name, documents[i]->edition, &at);
        struct list_book_entry *entry = &book->entries[book->count];

        if (known != NULL) {
            entry->list = partner_list_acquire(known->list);
        } else if (list_config_read(documents[i]->value, &entry->list, &detail) != ERR_OK) {
            return err_because(ERR_STORE_CORRUPT, why, "%s: %s", documents[i]->name, detail.text);
        }
        (void)snprintf(entry->name, sizeof(entry->name), "%.*s", SLICE_ARG(name));
        entry->edition = documents[i]->edition;
        partner_lists_put(book->lists, name, entry->list);
        book->count++;
    }
    return ERR_OK;
}

enum err list_book_new(const struct catalog *catalog, const struct list_book *previous,
                       struct list_book **result, struct err_why *why)
{
    struct list_book *book = xcalloc(1, sizeof(*book));
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("list"), &arena, &count);
    enum err err;

    atomic_init(&book->references, 1);
    book->lists = partner_lists_new();
    book->entries = xcalloc(MAX_OF(count, (size_t)1), sizeof(*book->entries));
    err = fill(book, previous, documents, count, why);
    arena_clean_up(&arena);
    if (err != ERR_OK) {
        list_book_release(book);
        book = NULL;
    }
    *result = book;
    return err;
}

struct list_book *list_book_acquire(struct list_book *book)
{
    CHECK(atomic_fetch_add_explicit(&book->references, 1, memory_order_relaxed) > 0);
    return book;
}

void list_book_release(struct list_book *book)
{
    if (book == NULL || atomic_fetch_sub_explicit(&book->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < book->count; i++) {
        partner_list_release(book->entries[i].list);
    }
    partner_lists_release(book->lists);
    xfree(book->entries);
    xfree(book);
}

struct partner_lists *list_book_lists(struct list_book *book)
{
    return book->lists;
}
