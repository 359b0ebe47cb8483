/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_sqlite.c - the embedded engine under the contract suite, in a folder of its own.
 */
#include "tests/unit/storage/store_contract.h"

#include "core/log.h"
#include "tests/lib/store_folder.h"

static char folder[64];

static struct store *engine_open(uint64_t bytes_max)
{
    struct store_options options = {.bytes_max = bytes_max};
    struct store *store;
    struct err_why why;

    folder_make(folder, sizeof(folder));
    options.folder = slice_of(folder);
    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void engine_close(void)
{
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONTRACT_TESTS, CONTRACT_TESTS_SIZED};

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
