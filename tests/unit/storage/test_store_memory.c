/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_memory.c - the memory engine under the contract suite.
 */
#include "tests/unit/storage/store_contract.h"

static struct store *engine_open(uint64_t bytes_max)
{
    const struct store_options options = {.bytes_max = bytes_max};

    return store_memory_new(&options);
}

static void engine_close(void)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONTRACT_TESTS, CONTRACT_TESTS_SIZED};

    return cmocka_run_group_tests_name("store_memory", tests, NULL, NULL);
}
