/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog_watch.c - what one replica puts, another one follows; and what it cannot follow.
 *
 * Two replicas on one loop share a memory store; the store says it is shared, as a Redis is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ev.h>

#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog_document.h"
#include "gateway/catalog_watch.h"

#define ACCOUNT_A "account/111122223333"
#define ACCOUNT_B "account/444455556666"
#define VALUE_A   "{\"id\":\"111122223333\",\"manager\":\"apply:x\"}"
#define VALUE_B   "{\"id\":\"444455556666\",\"manager\":\"apply:x\",\"is_suspended\":true}"

#define API_KEY                                                                                    \
    "{\"account\":\"111122223333\",\"kind\":\"api-key\",\"header\":\"x-api-key\",\"hash\":"        \
    "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}"

struct replica {
    struct catalog catalog;
    struct catalog_age age;
    struct catalog_watch *watch;
    unsigned change_count;
};

struct world {
    struct ev_loop *loop;
    struct mailbox box;
    struct store *store;
    struct replica replicas[2];
};

/* A store that is out of reach on command. */
struct flaky {
    struct store_ops ops;
    const struct store_ops *real;
    enum err err;
    unsigned count;        /* of what was submitted */
    unsigned whole_count;  /* of reads of all documents */
    struct store *instead; /* after a failover; or NULL */
};

static struct flaky flaky;

static void on_refused(struct mail *mail)
{
    struct store_op *op = CONTAINER_OF(mail, struct store_op, mail);

    op->on_done(op);
}

static void submit_flaky(struct store *store, struct store_op *op)
{
    flaky.count++;
    if (op->kind == STORE_CATALOG_READ &&
        CONTAINER_OF(op, struct store_catalog_read, op)->since == 0) {
        flaky.whole_count++;
    }
    if (flaky.err == ERR_OK) {
        flaky.real->submit(flaky.instead != NULL ? flaky.instead : store, op);
        return;
    }
    op->err = flaky.err;
    op->mail.on_arrival = on_refused;
    mailbox_send(op->home, &op->mail);
}

static void count_change(void *context)
{
    struct replica *replica = context;

    replica->change_count++;
}

static void replica_open(struct world *world, struct replica *replica)
{
    catalog_init(&replica->catalog);
    atomic_init(&replica->age.read_ms, 0);
    replica->change_count = 0;
    replica->watch = catalog_watch_new(&(struct catalog_watch_options){
        .loop = world->loop,
        .mailbox = &world->box,
        .store = world->store,
        .catalog = &replica->catalog,
        .age = &replica->age,
        .on_change = count_change,
        .context = replica,
    });
}

static int world_open(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world->loop = ev_loop_new(EVFLAG_AUTO);
    mailbox_init(&world->box, world->loop);
    world->store = store_memory_new(&(struct store_options){0});
    world->store->is_shared = true;
    flaky = (struct flaky){.ops = *world->store->ops, .real = world->store->ops};
    flaky.ops.submit = submit_flaky;
    world->store->ops = &flaky.ops;
    replica_open(world, &world->replicas[0]);
    replica_open(world, &world->replicas[1]);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(world->replicas); i++) {
        catalog_watch_stop(world->replicas[i].watch);
    }
    store_destroy(world->store);
    mailbox_clean_up(&world->box);
    for (size_t i = 0; i < ARRAY_LEN(world->replicas); i++) {
        catalog_watch_destroy(world->replicas[i].watch);
        catalog_clean_up(&world->replicas[i].catalog);
    }
    ev_loop_destroy(world->loop);
    xfree(world);
    return 0;
}

/* ---- one question, one answer ---- */

struct question {
    struct catalog_look look;
    struct store_catalog_put put;
    enum err err;
    bool is_done;
};

static void on_looked(struct catalog_look *look, enum err err)
{
    struct question *question = CONTAINER_OF(look, struct question, look);

    question->err = err;
    question->is_done = true;
}

static void await(struct world *world, const struct question *question)
{
    while (!question->is_done) {
        ev_run(world->loop, EVRUN_ONCE);
    }
}

static enum err look(struct world *world, size_t index)
{
    struct question question = {.look = {.on_done = on_looked}};

    catalog_watch_look(world->replicas[index].watch, &question.look);
    assert_false(question.is_done); /* always later */
    await(world, &question);
    return question.err;
}

static void on_put(struct store_op *op)
{
    struct question *question = CONTAINER_OF(op, struct question, put.op);

    question->err = op->err;
    question->is_done = true;
}

/* Put one document as some replica would; its revision, or 0 after ERR_CONFLICT. */
static uint64_t put(struct world *world, const char *name, const char *value, uint64_t rev)
{
    const struct store_document document = {
        .name = slice_of(name), .value = slice_of(value), .rev = rev};
    struct question question = {
        .put = {.op = {.kind = STORE_CATALOG_PUT, .home = &world->box, .on_done = on_put},
                .documents = &document,
                .document_count = 1}};

    store_submit(world->store, &question.put.op);
    await(world, &question);
    assert_true(question.err == ERR_OK || question.err == ERR_CONFLICT);
    return question.err == ERR_OK ? question.put.rev : 0;
}

static const json_t *value_of(const struct replica *replica, const char *name)
{
    const struct catalog_document *document = catalog_get(&replica->catalog, slice_of(name));

    return document != NULL ? document->value : NULL;
}

/* ---- tests ---- */

static void test_each_replica_follows_changes_and_deletions(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    const uint64_t first = put(world, ACCOUNT_A, VALUE_A, 0);

    (void)put(world, ACCOUNT_B, VALUE_B, 0);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_non_null(value_of(replica, ACCOUNT_A));
    assert_true(json_is_true(json_object_get(value_of(replica, ACCOUNT_B), "is_suspended")));
    assert_int_equal(replica->change_count, 1);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_int_equal(replica->change_count, 1); /* nothing new: nobody is told */
    (void)put(world, ACCOUNT_A, "", first);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_null(value_of(replica, ACCOUNT_A));
    assert_int_equal(replica->change_count, 2);
    assert_int_equal(world->replicas[1].change_count, 0);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_null(value_of(&world->replicas[1], ACCOUNT_A));
    assert_non_null(value_of(&world->replicas[1], ACCOUNT_B));
}

/* Goal:   a replica that put something while others did too skips nobody's change.
 * Method: ours is revision 2, another's 1 is not known when ours is absorbed. */
static void test_an_own_put_hides_no_other(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct catalog_edit edit;
    struct err_why why = {.text = ""};
    json_t *value = json_loads(VALUE_B, 0, NULL);

    catalog_edit_init(&edit);
    catalog_edit_put(&edit, &replica->catalog, SLICE(ACCOUNT_B), value);
    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    assert_int_equal(
        catalog_absorb_own(&replica->catalog, &edit, put(world, ACCOUNT_B, VALUE_B, 0), &why),
        ERR_OK);
    assert_int_equal(replica->catalog.rev, 0);
    assert_non_null(value_of(replica, ACCOUNT_B));
    assert_null(value_of(replica, ACCOUNT_A));
    assert_int_equal(look(world, 0), ERR_OK);
    assert_non_null(value_of(replica, ACCOUNT_A));
    assert_int_equal(replica->catalog.rev, 2);
    json_decref(value);
    catalog_edit_clean_up(&edit);
}

/* Goal:   a document that cannot be is refused alone: its last good value and all others stay in
 *         force, and its revision is known, so that somebody can put it right. */
static void test_a_bad_document_is_refused_alone(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct arena arena = {0};
    uint64_t rev = put(world, ACCOUNT_A, VALUE_A, 0);
    size_t count;

    assert_int_equal(look(world, 0), ERR_OK);
    rev = put(world, ACCOUNT_A, "{\"id\":\"111122223333\",\"limits\":7}", rev);
    (void)put(world, ACCOUNT_B, "{\"id\":\"111122223333\"}", 0); /* not what its name says */
    (void)put(world, "bus/111122223333/x", "{\"account\":\"111122223333\",\"name\":\"x\"}", 0);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_int_equal(replica->catalog.refused_count, 2);
    assert_string_equal(json_string_value(json_object_get(value_of(replica, ACCOUNT_A), "manager")),
                        "apply:x");
    assert_non_null(value_of(replica, "bus/111122223333/x"));
    (void)catalog_of_kind(&replica->catalog, SLICE("account"), &arena, &count);
    assert_int_equal(count, 1); /* B has had no good value */
    assert_int_equal(catalog_get(&replica->catalog, SLICE(ACCOUNT_A))->rev, rev);
    (void)put(world, ACCOUNT_A, VALUE_A, rev);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_int_equal(replica->catalog.refused_count, 1);
    arena_clean_up(&arena);
}

static void test_what_no_catalog_holds_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        bool is_good;
    } rows[] = {
        {ACCOUNT_A, VALUE_A, true},
        {ACCOUNT_A, "[]", false},
        {ACCOUNT_A, "{\"id\":\"12\"}", false},
        {ACCOUNT_A, "{\"id\":\"444455556666\"}", false},
        {"account/12", "{\"id\":\"12\"}", false},
        {ACCOUNT_A, "{\"id\":\"111122223333\",\"dedup\":{\"window\":\"long\"}}", false},
        {"rule/central/r", "{\"bus\":\"central\",\"name\":\"r\",\"pattern\":\"{\\\"a\\\":[1]}\"}",
         true},
        {"rule/central/r", "{\"bus\":\"central\",\"name\":\"r\",\"pattern\":\"{\\\"a\\\":1}\"}",
         false},
        {"rule/central/r", "{\"bus\":\"central\",\"name\":\"s\",\"pattern\":\"{\\\"a\\\":[1]}\"}",
         false},
        {"bus/111122223333/x", "{\"account\":\"111122223333\",\"name\":\"y\"}", false},
        {"credential/k", API_KEY, true},
        {"credential/k", "{\"account\":\"1\",\"kind\":\"sigv4\"}", false},
        {"credential/k", "{\"account\":\"111122223333\",\"kind\":\"sigv4\"}", true},
        {"credential/k", "{\"account\":\"111122223333\",\"kind\":\"oauth\"}", false},
        {"credential/k", "{\"account\":\"111122223333\"}", false},
        {"credential/k", "{\"account\":\"111122223333\",\"kind\":\"api-key\"}", false},
        {"of-a-later-version/k", "{\"anything\":1}", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *value = json_loads(rows[i].value, 0, NULL);
        struct err_why why = {.text = ""};
        const enum err err = catalog_document_check(slice_of(rows[i].name), value, &why);

        if ((err == ERR_OK) != rows[i].is_good || (err != ERR_OK && why.text[0] == '\0')) {
            fail_msg("%s %s: got %s \"%s\"", rows[i].name, rows[i].value, err_name(err), why.text);
        }
        json_decref(value);
    }
}

static void test_the_age_is_that_of_the_last_read_that_succeeded(void **state)
{
    struct world *world = *state;
    struct catalog_age *age = &world->replicas[0].age;
    const uint64_t before_ms = moment_steady_ms();
    uint64_t read_ms;

    assert_int_equal(look(world, 0), ERR_OK);
    read_ms = atomic_load(&age->read_ms);
    assert_in_range(read_ms, before_ms, moment_steady_ms());
    assert_false(catalog_age_is_stale(age, read_ms + CATALOG_STALE_MS));
    assert_true(catalog_age_is_stale(age, read_ms + CATALOG_STALE_MS + 1));
    flaky.err = ERR_STORE_BUSY;
    assert_int_equal(look(world, 0), ERR_STORE_BUSY);
    assert_int_equal(atomic_load(&age->read_ms), read_ms);
    flaky.err = ERR_OK;
    assert_int_equal(look(world, 0), ERR_OK);
    assert_in_range(atomic_load(&age->read_ms), read_ms, moment_steady_ms());
}

/* Goal:   while a change is put no look is under way, and who asked for one is answered after. */
static void test_a_hold_delays_looks(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct question question = {.look = {.on_done = on_looked}};

    catalog_watch_hold(replica->watch);
    catalog_watch_look(replica->watch, &question.look);
    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    assert_false(question.is_done);
    assert_null(value_of(replica, ACCOUNT_A));
    catalog_watch_release(replica->watch);
    await(world, &question);
    assert_int_equal(question.err, ERR_OK);
    assert_non_null(value_of(replica, ACCOUNT_A));
}

/* ---- a store that lost what it had acknowledged ---- */

/* The store is another one from now on, which holds A only: revision 1. */
static uint64_t fail_over(struct world *world)
{
    uint64_t rev;

    flaky.instead = store_memory_new(&(struct store_options){0});
    rev = put(world, ACCOUNT_A, VALUE_A, 0);
    assert_int_equal(rev, 1);
    return rev;
}

static void end_failover(void)
{
    store_destroy(flaky.instead);
    flaky.instead = NULL;
}

/* Goal:   a revocation that is put after a failover arrives, though its revision was known as
 *         another change's; and what was lost is gone here as everywhere.
 * Method: revisions 1 to 4 are known, the store goes on from 1. */
static void test_a_deletion_after_a_loss_arrives(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[1];
    uint64_t rev = put(world, ACCOUNT_A, VALUE_A, 0);

    rev = put(world, ACCOUNT_B, VALUE_B, 0);
    rev = put(world, ACCOUNT_B, VALUE_B, rev);
    rev = put(world, "credential/lost", API_KEY, 0);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_int_equal(replica->catalog.rev, rev);
    rev = fail_over(world);
    (void)put(world, "credential/k", API_KEY, 0);
    (void)put(world, ACCOUNT_A, "", rev);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_int_equal(replica->catalog.rev, 3);
    assert_null(value_of(replica, ACCOUNT_A));
    assert_null(value_of(replica, ACCOUNT_B));
    assert_null(value_of(replica, "credential/lost"));
    assert_non_null(value_of(replica, "credential/k"));
    assert_int_equal(replica->change_count, 2);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_int_equal(replica->change_count, 2); /* and from then on as ever */
    (void)put(world, "credential/k", "", 2);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_null(value_of(replica, "credential/k"));
    end_failover();
}

/* Goal:   a loss that was made up for before anybody looked is found by the sign of a failover.
 * Method: both stores are at revision 2, with other values; the count of data sets moves. */
static void test_another_data_set_is_read_as_a_whole(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[1];
    unsigned whole_count;

    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    (void)put(world, ACCOUNT_B, "{\"id\":\"444455556666\",\"manager\":\"apply:x\"}", 0);
    assert_int_equal(look(world, 1), ERR_OK);
    (void)fail_over(world);
    (void)put(world, ACCOUNT_B, VALUE_B, 0);
    atomic_store(&world->store->replid_changes, 1);
    whole_count = flaky.whole_count;
    assert_int_equal(look(world, 1), ERR_OK);
    assert_true(json_is_true(json_object_get(value_of(replica, ACCOUNT_B), "is_suspended")));
    assert_int_equal(flaky.whole_count, whole_count + 1);
    assert_int_equal(look(world, 1), ERR_OK);
    assert_int_equal(flaky.whole_count, whole_count + 1); /* once */
    end_failover();
}

/* Goal:   a store without any catalog is not followed, and nobody builds on it. */
static void test_an_emptied_store_is_not_followed(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];

    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    assert_int_equal(look(world, 0), ERR_OK);
    flaky.instead = store_memory_new(&(struct store_options){0});
    assert_int_equal(look(world, 0), ERR_STORE_CORRUPT);
    assert_int_equal(look(world, 0), ERR_STORE_CORRUPT);
    assert_non_null(value_of(replica, ACCOUNT_A));
    assert_int_equal(replica->change_count, 1);
    (void)put(world, ACCOUNT_B, VALUE_B, 0); /* somebody begins anew */
    assert_int_equal(look(world, 0), ERR_OK);
    assert_null(value_of(replica, ACCOUNT_A));
    assert_non_null(value_of(replica, ACCOUNT_B));
    end_failover();
}

/* Goal:   a credential whose new form is not understood opens nothing, and its last form neither.
 */
static void test_a_credential_of_an_unknown_kind_ends_the_known_one(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct arena arena = {0};
    const uint64_t rev = put(world, "credential/k", API_KEY, 0);
    size_t count;

    assert_int_equal(look(world, 0), ERR_OK);
    (void)put(world, "credential/k", "{\"account\":\"111122223333\",\"kind\":\"oauth\"}", rev);
    assert_int_equal(look(world, 0), ERR_OK);
    assert_int_equal(replica->catalog.refused_count, 1);
    assert_int_equal(replica->change_count, 2); /* so that a snapshot without it is compiled */
    (void)catalog_of_kind(&replica->catalog, SLICE("credential"), &arena, &count);
    assert_int_equal(count, 0);
    arena_clean_up(&arena);
}

/* ---- who asks again when told ---- */

struct again {
    struct world *world;
    struct question first;
    struct question second; /* asked from the callback of `first` */
    struct question other;  /* asked with `first`; puts a change when it is told */
    bool second_was_early;
};

static void on_first(struct catalog_look *look, enum err err)
{
    struct again *again = CONTAINER_OF(look, struct again, first.look);

    on_looked(look, err);
    catalog_watch_look(again->world->replicas[0].watch, &again->second.look);
}

static void on_other(struct catalog_look *look, enum err err)
{
    struct again *again = CONTAINER_OF(look, struct again, other.look);

    on_looked(look, err);
    again->second_was_early = again->second.is_done;
    catalog_watch_hold(again->world->replicas[0].watch);
    catalog_watch_release(again->world->replicas[0].watch);
}

/* Goal:   a look asked for while others are told is a read of its own, and who is told after it was
 *         asked may still hold the watch.
 * Method: a read is held up by a hold until two looks wait for it; the first of the two asks again
 *         when it is told, the second one holds. */
static void test_a_look_from_a_callback_is_a_read_of_its_own(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct again again = {.world = world,
                          .first.look.on_done = on_first,
                          .second.look.on_done = on_looked,
                          .other.look.on_done = on_other};
    unsigned read_count;

    catalog_watch_hold(replica->watch);
    catalog_watch_look(replica->watch, &again.first.look);
    catalog_watch_look(replica->watch, &again.other.look);
    read_count = flaky.count;
    catalog_watch_release(replica->watch);
    await(world, &again.other);
    assert_true(again.first.is_done);
    assert_false(again.second_was_early);
    assert_false(again.second.is_done); /* its read has just begun */
    await(world, &again.second);
    assert_int_equal(again.second.err, ERR_OK);
    assert_int_equal(flaky.count, read_count + 2);
}

/* Goal:   a read that comes home after the stop, and after its store has closed, teaches nothing
 *         and touches no store.
 * Method: the read was answered, its mail is not delivered before the store is gone. */
static void test_a_read_that_outlives_its_store_is_not_followed(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[0];
    struct question question = {.look = {.on_done = on_looked}};

    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    catalog_watch_look(replica->watch, &question.look);
    catalog_watch_stop(replica->watch);
    assert_false(question.is_done);
    store_destroy(world->store);
    world->store = NULL;
    await(world, &question);
    assert_int_equal(question.err, ERR_STOPPING);
    assert_null(value_of(replica, ACCOUNT_A));
    assert_int_equal(atomic_load(&replica->age.read_ms), 0);
}

static void test_a_started_watch_follows_by_itself(void **state)
{
    struct world *world = *state;
    struct replica *replica = &world->replicas[1];

    catalog_watch_start(replica->watch);
    (void)put(world, ACCOUNT_A, VALUE_A, 0);
    while (replica->change_count == 0) {
        ev_run(world->loop, EVRUN_ONCE);
    }
    assert_non_null(value_of(replica, ACCOUNT_A));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_replica_follows_changes_and_deletions, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(test_an_own_put_hides_no_other, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_bad_document_is_refused_alone, world_open,
                                        world_close),
        cmocka_unit_test(test_what_no_catalog_holds_is_refused),
        cmocka_unit_test_setup_teardown(test_the_age_is_that_of_the_last_read_that_succeeded,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_hold_delays_looks, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_deletion_after_a_loss_arrives, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(test_another_data_set_is_read_as_a_whole, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(test_an_emptied_store_is_not_followed, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(test_a_credential_of_an_unknown_kind_ends_the_known_one,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_look_from_a_callback_is_a_read_of_its_own,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_read_that_outlives_its_store_is_not_followed,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(test_a_started_watch_follows_by_itself, world_open,
                                        world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
