/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit.c - the audit log on every engine: a ring of chained records in the catalog, appended
 * to by two processes at once, read back, and falsified by somebody who can write to the store.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"
#include "gateway/audit.h"
#include "tests/lib/redis_daemon.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

enum { RECORDS_MAX = 100, ACTS = 150, T0 = 1000000 };

static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};

/* ---- the engines --------------------------------------------------------------------------- */

static struct redis_daemon server;
static char folder[4096];

struct engine {
    struct store *(*open)(void);
    void (*close)(void);
};

static struct store *open_memory(void)
{
    return store_memory_new(&(struct store_options){.bytes_max = 0});
}

static void close_memory(void)
{
}

static struct store *open_sqlite(void)
{
    struct store *store;
    struct err_why why;

    folder_make(folder, sizeof(folder));
    if (store_sqlite_open(&(struct store_options){.folder = slice_of(folder)}, &store, &why) !=
        ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void close_sqlite(void)
{
    folder_remove(folder);
}

static struct store *open_redis(void)
{
    static const char *const options[] = {"--appendonly", "no", NULL};
    struct store *store;
    struct err_why why;
    char url[64];

    redis_daemon_start(&server, options);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)server.port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("relaxed"),
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void close_redis(void)
{
    redis_daemon_stop(&server);
}

static const struct engine engines[] = {
    {open_memory, close_memory}, {open_sqlite, close_sqlite}, {open_redis, close_redis}};

/* ---- a process that acts ------------------------------------------------------------------- */

/* An act that makes the account `number`, with its record. */
static void plan(struct catalog_edit *edit, const struct catalog *catalog, const char *actor,
                 unsigned number)
{
    const struct audit_options options = {
        .seal_key = seal_key, .records_max = RECORDS_MAX, .now_ms = T0 + number};
    struct audit_note note = {.action = "PUT /v1/accounts/*"};
    json_t *value = json_pack("{s:s}", "manager", "api:operator");
    char name[64];

    (void)snprintf(name, sizeof(name), "account/%012u", number);
    json_object_set_new(value, "id", json_string(name + strlen("account/")));
    audit_fill(note.actor, sizeof(note.actor), slice_of(actor));
    catalog_edit_init(edit);
    catalog_edit_put(edit, catalog, slice_of(name), value);
    (void)audit_add(edit, catalog, &options, &note, ERR_OK, NULL);
    json_decref(value);
}

static enum err put(struct desk *desk, struct catalog *catalog, struct catalog_edit *edit)
{
    struct store_catalog_put put = {.documents = edit->documents, .document_count = edit->count};
    struct err_why why;
    enum err err = desk_run(desk, &put.op, STORE_CATALOG_PUT);

    if (err == ERR_OK) {
        err = catalog_absorb_own(catalog, edit, put.rev, &why);
    }
    catalog_edit_clean_up(edit);
    return err;
}

static void look(struct desk *desk, struct catalog *catalog)
{
    struct store_catalog_read read = {.since = catalog->rev};
    struct catalog_follow found;

    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    catalog_follow(catalog, read.documents, read.document_count, read.rev, &found);
    assert_int_equal(found.refused_count, 0);
    store_catalog_read_clean_up(&read);
}

/* What verification says; asserts that it names so many records. */
static json_t *verify(struct desk *desk, const struct catalog *known, size_t mistake_count)
{
    struct store_catalog_read read = {.since = 0};
    json_t *answer;

    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    answer = audit_verify(read.documents, read.document_count, known, seal_key);
    assert_int_equal(json_array_size(json_object_get(answer, "mistakes")), mistake_count);
    assert_int_equal(json_is_true(json_object_get(answer, "verified")), mistake_count == 0);
    store_catalog_read_clean_up(&read);
    return answer;
}

static json_int_t number_of(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

/* ---- the stories --------------------------------------------------------------------------- */

/* Two plan on top of the same end of the chain: the store takes one, and nothing of the other. */
static void collide(struct desk *desk, struct catalog *one, struct catalog *other)
{
    struct catalog_edit first;
    struct catalog_edit second;

    look(desk, one);
    look(desk, other);
    plan(&first, one, "one", ACTS);
    plan(&second, other, "other", ACTS + 1);
    assert_int_equal(put(desk, one, &first), ERR_OK);
    assert_int_equal(put(desk, other, &second), ERR_CONFLICT);
    look(desk, other);
    assert_non_null(catalog_get(other, SLICE("account/000000000150")));
    assert_null(catalog_get(other, SLICE("account/000000000151")));
    plan(&second, other, "other", ACTS + 1);
    assert_int_equal(put(desk, other, &second), ERR_OK);
}

/* Somebody who can write to the store, but has not the key, puts another value in its place. */
static void falsify(struct desk *desk, struct catalog *catalog, const char *name, const char *value)
{
    struct store_document document = {.name = slice_of(name), .value = slice_of(value)};
    struct store_catalog_put put = {.documents = &document, .document_count = 1};

    look(desk, catalog);
    document.rev = catalog_get(catalog, document.name)->rev;
    assert_int_equal(desk_run(desk, &put.op, STORE_CATALOG_PUT), ERR_OK);
}

static void run_story(struct desk *desk)
{
    struct catalog one;
    struct catalog other;
    struct catalog_edit edit;
    json_t *answer;

    catalog_init(&one);
    catalog_init(&other);
    for (unsigned i = 0; i < ACTS; i++) {
        plan(&edit, &one, "one", i);
        assert_int_equal(put(desk, &one, &edit), ERR_OK);
    }
    collide(desk, &one, &other);
    answer = verify(desk, &other, 0);
    assert_int_equal(number_of(answer, "records"), RECORDS_MAX);
    assert_int_equal(number_of(answer, "last"), ACTS + 2);
    assert_int_equal(number_of(answer, "first"), ACTS + 2 - RECORDS_MAX + 1);
    json_decref(answer);

    answer = audit_list(&other, 0, 2);
    assert_int_equal(json_array_size(json_object_get(answer, "records")), 2);
    assert_int_equal(number_of(json_array_get(json_object_get(answer, "records"), 0), "seq"),
                     ACTS + 2);
    json_decref(answer);

    falsify(desk, &other, "audit/000090", ""); /* record 90 is gone */
    answer = verify(desk, &other, 1);
    assert_int_equal(number_of(json_array_get(json_object_get(answer, "mistakes"), 0), "record"),
                     90);
    json_decref(answer);
    catalog_clean_up(&one);
    catalog_clean_up(&other);
}

/* Goal:   on every engine the log is one unbroken ring, whoever appends, and shows what was taken
 *         out.
 * Method: more acts than it keeps, by one process, then by two at the same place. */
static void the_log_is_a_ring_on_every_engine(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        struct desk desk;

        desk_open(&desk, engines[i].open());
        run_story(&desk);
        desk_close(&desk);
        engines[i].close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_log_is_a_ring_on_every_engine)};

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
