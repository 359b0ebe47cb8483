/* SPDX-License-Identifier: Apache-2.0
 *
 * model_store.c - the embedded engine and its oracle, compared over random operations.
 *
 * Between bursts the embedded store is sometimes destroyed and opened again; then the oracle is
 * made to forget claims and parks, as a restart does.
 */
#include "tests/model/store_compare.h"

#include "tests/lib/store_folder.h"

enum { SEEDS = 8, BURSTS = 250, BYTES_MAX = 60000 };

static struct store *open_again(struct model *model)
{
    const struct store_options options = {.folder = slice_of(model->folder),
                                          .bytes_max = BYTES_MAX};
    struct store *store;
    struct err_why why;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static struct store *open_embedded(struct model *model)
{
    folder_make(model->folder, sizeof(model->folder));
    return open_again(model);
}

static void restart_embedded(struct model *model)
{
    store_destroy(model->desks[1].store);
    model->desks[1].store = open_again(model);
    for (size_t a = 0; a < ACCOUNTS; a++) {
        for (size_t t = 0; t < TARGETS; t++) {
            assert_int_equal(desk_park(&model->desks[0], lane_of(a, t), 0), ERR_OK);
        }
    }
    for (size_t i = 0; i < model->held_count; i++) {
        model->held[i].refs[0].claim = 0;
        model->held[i].refs[1].claim = 0;
    }
}

static void close_embedded(struct model *model)
{
    folder_remove(model->folder);
}

/* Goal:   the embedded engine answers as the oracle does, through restarts.
 * Method: the same random bursts for both; every answer compared. */
static void the_embedded_store_agrees_with_the_oracle(void **state)
{
    static const struct model_engine embedded = {.name = "embedded",
                                                 .bytes_max = BYTES_MAX,
                                                 .archive_bytes_max = ARCHIVE_BYTES_MAX,
                                                 .restart_one_in = 25,
                                                 .is_counting_bytes = true,
                                                 .open = open_embedded,
                                                 .restart = restart_embedded,
                                                 .close = close_embedded};

    (void)state;
    run_seeds(&embedded, SEEDS, BURSTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_embedded_store_agrees_with_the_oracle),
    };

    return cmocka_run_group_tests_name("model_store", tests, NULL, NULL);
}
