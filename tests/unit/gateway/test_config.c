/* SPDX-License-Identifier: Apache-2.0
 *
 * test_config.c - defaults, every type of setting, and a clear word for each mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/config.h"

#define LEAST "\"central_account\":\"999999999999\",\"listen\":{\"data\":{\"cleartext\":true}}"

static void test_the_least_configuration_takes_every_default(void **state)
{
    struct config config;
    struct err_why why = {.text = ""};

    (void)state;
    assert_int_equal(config_parse(&config, SLICE("{" LEAST "}"), SLICE("/etc/weir"), &why), ERR_OK);
    assert_true(slice_eq(config.region, SLICE("us-east-1")));
    assert_true(slice_eq(config.store, SLICE("embedded:/etc/weir/state")));
    assert_true(slice_eq(config_state_folder(&config), SLICE("/etc/weir/state")));
    assert_true(slice_eq(config.seal_key, SLICE("/etc/weir/seal.key")));
    assert_true(slice_eq(config.data_address, SLICE("0.0.0.0:8443")));
    assert_int_equal(config.memory_limit, UINT64_C(4) << 30);
    assert_int_equal(config.idle_ms, 60000);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.strict_bus);
    config_clean_up(&config);
}

static void test_each_type_is_read(void **state)
{
    struct config config;
    struct err_why why = {.text = ""};

    (void)state;
    assert_int_equal(
        config_parse(&config,
                     SLICE("{" LEAST ",\"workers\":3,\"store\":\"memory:\",\"log_level\":\"warn\","
                           "\"memory_limit\":\"2GiB\",\"strict_bus\":true,"
                           "\"limits\":{\"body\":65536,\"entries_total\":\"32KiB\","
                           "\"idle_time\":\"5m\"},"
                           "\"aws\":{\"endpoint\":null,\"endpoints\":{\"sqs\":\"http://a:1\"}},"
                           "\"redis\":{\"user\":null,\"durability\":\"aof\"},"
                           "\"egress\":{\"allow\":[],\"ports\":[443],\"ca\":null},"
                           "\"seal_key\":\"/run/key\"}"),
                     SLICE("/etc/weir"), &why),
        ERR_OK);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.log_level, LOG_WARN);
    assert_int_equal(config.memory_limit, UINT64_C(2) << 30);
    assert_int_equal(config.body_max, 65536);
    assert_int_equal(config.entries_total_max, 32768);
    assert_int_equal(config.idle_ms, 300000);
    assert_true(config.strict_bus);
    assert_int_equal(config.aws_endpoint.len, 0);
    assert_true(slice_eq(config.aws_endpoint_sqs, SLICE("http://a:1")));
    assert_true(slice_eq(config.seal_key, SLICE("/run/key")));
    assert_true(slice_eq(config_state_folder(&config), SLICE("/etc/weir")));
    config_clean_up(&config);
}

static void test_a_redis_store_has_its_settings(void **state)
{
    struct config config;
    struct err_why why = {.text = ""};

    (void)state;
    assert_int_equal(
        config_parse(&config,
                     SLICE("{" LEAST ",\"store\":\"rediss://redis.local:6380/2\",\"redis\":{"
                           "\"user\":\"weir\",\"password_file\":\"redis.password\","
                           "\"ca\":\"/run/ca.pem\",\"certificate\":\"c.pem\",\"key\":\"k.pem\","
                           "\"durability\":\"managed-log\",\"wait_replicas\":2}}"),
                     SLICE("/etc/weir"), &why),
        ERR_OK);
    assert_true(config_has_redis(&config));
    assert_true(slice_eq(config.store, SLICE("rediss://redis.local:6380/2")));
    assert_true(slice_eq(config_state_folder(&config), SLICE("/etc/weir")));
    assert_true(slice_eq(config.redis_user, SLICE("weir")));
    assert_true(slice_eq(config.redis_password_file, SLICE("/etc/weir/redis.password")));
    assert_true(slice_eq(config.redis_ca, SLICE("/run/ca.pem")));
    assert_true(slice_eq(config.redis_certificate, SLICE("/etc/weir/c.pem")));
    assert_true(slice_eq(config.redis_key, SLICE("/etc/weir/k.pem")));
    assert_true(slice_eq(config.redis_durability, SLICE("managed-log")));
    assert_int_equal(config.redis_wait_replicas, 2);
    config_clean_up(&config);
}

static void test_each_mistake_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"{", "line 1"},
        {"[]", "must be a JSON object"},
        {"{\"listen\":{\"data\":{\"cleartext\":true}}}", "central_account: is required"},
        {"{\"central_account\":\"12\"}", "central_account: must be a 12-digit account id"},
        {"{\"central_account\":\"999999999999\"}", "listen.data.certificate: is required"},
        {"{" LEAST ",\"typo\":1}", "typo: unknown key"},
        {"{" LEAST ",\"limits\":{\"typo\":1}}", "limits.typo: unknown key"},
        {"{" LEAST ",\"limits\":7}", "limits: must be an object"},
        {"{" LEAST ",\"workers\":\"two\"}", "workers: must be a number"},
        {"{" LEAST ",\"workers\":257}", "workers: 257 is not in 0..256"},
        {"{" LEAST ",\"workers\":1,\"workers\":2}", "duplicate"},
        {"{" LEAST ",\"memory_limit\":\"4GB\"}", "memory_limit: must be a number of bytes"},
        {"{" LEAST ",\"memory_limit\":\"64MiB\"}", "memory_limit: limits.inflight"},
        {"{" LEAST ",\"limits\":{\"idle_time\":\"soon\"}}", "limits.idle_time: must be a span"},
        {"{" LEAST ",\"limits\":{\"entries_total\":\"1MiB\",\"body\":\"64KiB\"}}",
         "limits.entries_total: is more than limits.body"},
        {"{" LEAST ",\"store\":\"tape:\"}", "store: must be embedded:DIR, redis://HOST:PORT/DB"},
        {"{" LEAST ",\"store\":\"redis://\"}", "store: must be "},
        {"{" LEAST ",\"store\":\"redis://h:0/0\"}", "store: must be "},
        {"{" LEAST ",\"store\":\"redis://u:p@h:1/0\"}", "store: must be "},
        {"{" LEAST ",\"store\":\"redis://h:1/0\",\"redis\":{\"ca\":\"ca.pem\"}}",
         "are for rediss:// stores"},
        {"{" LEAST ",\"store\":\"rediss://h:1/0\",\"redis\":{\"key\":\"k.pem\"}}",
         "redis.certificate: is required together with redis.key"},
        {"{" LEAST ",\"store\":\"redis://h:1/0\",\"redis\":{\"user\":\"weir\"}}",
         "redis.user: needs redis.password_file"},
        {"{" LEAST ",\"redis\":{\"durability\":\"always\"}}",
         "redis.durability: must be aof, managed-log or relaxed"},
        {"{" LEAST ",\"store\":7}", "store: must be"},
        {"{" LEAST ",\"log_level\":\"loud\"}", "log_level: must be debug, info, warn or error"},
        {"{" LEAST ",\"aws\":{\"endpoint\":\"sqs.local\"}}", "aws.endpoint: must be an http://"},
        {"{" LEAST ",\"redis\":{\"wait_replicas\":17}}", "redis.wait_replicas: 17 is not in 0..16"},
        {"{" LEAST ",\"redis\":{\"typo\":null}}", "redis.typo: unknown key"},
        {"{" LEAST ",\"egress\":{\"allow\":[\"10.0.0.0/8\",\"10.0.0.1/8\"]}}",
         "egress.allow[1]: must be a range"},
        {"{" LEAST ",\"aws_identity\":{\"server_id\":\"a b\"}}",
         "aws_identity.server_id: must consist of"},
        {"{" LEAST ",\"aws_identity\":{\"regions\":[\"us-east-1\",\"x/y\"]}}",
         "aws_identity.regions[1]: must be a Region"},
        {"{" LEAST ",\"egress\":{\"allow\":[\"example.com\"]}}",
         "egress.allow[0]: must be a range"},
        {"{" LEAST ",\"egress\":{\"ports\":[]}}", "egress.ports: must be a list of 1 to 16 ports"},
        {"{" LEAST ",\"egress\":{\"ports\":[443,0]}}",
         "egress.ports: must be a list of ports, each"},
        {"{" LEAST ",\"egress\":{\"ports\":[65536]}}",
         "egress.ports: must be a list of ports, each"},
        {"{" LEAST ",\"egress\":{\"ports\":[\"443\"]}}",
         "egress.ports: must be a list of ports, each"},
        {"{" LEAST ",\"strict_bus\":1}", "strict_bus: must be true or false"},
        {"{\"central_account\":\"999999999999\",\"listen\":{\"data\":{\"names\":\"x\"}}}",
         "listen.data.names: must be a list of strings"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        struct err_why why = {.text = ""};
        const enum err err =
            config_parse(&config, slice_of(rows[i].text), SLICE("/etc/weir"), &why);

        if (err != ERR_BAD_CONFIG || strstr(why.text, rows[i].why) == NULL) {
            fail_msg("%s: got %s \"%s\", expected \"%s\"", rows[i].text, err_name(err), why.text,
                     rows[i].why);
        }
    }
}

/* Goal:   what the embedded store holds of its file is part of the limit; Redis has none here.
 * Method: a limit of a size between the two sums: 64 + 64 + 8 MiB, and 64 MiB less. */
static void test_the_memory_limit_counts_the_cache_of_an_embedded_store(void **state)
{
    static const struct {
        const char *limit;
        const char *store;
        enum err err;
    } rows[] = {
        {"135MiB", "embedded:s", ERR_BAD_CONFIG},
        {"136MiB", "embedded:s", ERR_OK},
        {"71MiB", "redis://h:1/0", ERR_BAD_CONFIG},
        {"72MiB", "redis://h:1/0", ERR_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        struct err_why why = {.text = ""};
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "{" LEAST ",\"memory_limit\":\"%s\",\"store\":\"%s\",\"limits\":"
                       "{\"inflight\":\"32MiB\",\"delivery_window\":\"32MiB\","
                       "\"trace_events\":8192}}",
                       rows[i].limit, rows[i].store);
        if (config_parse(&config, slice_of(text), SLICE("/etc/weir"), &why) != rows[i].err) {
            fail_msg("%s with %s: %s", rows[i].limit, rows[i].store, why.text);
        }
        config_clean_up(&config);
    }
}

static void test_a_missing_file_is_named(void **state)
{
    struct config config;
    struct err_why why = {.text = ""};

    (void)state;
    assert_int_equal(config_load(&config, "/nowhere/weir.json", &why), ERR_SYSTEM);
    assert_non_null(strstr(why.text, "/nowhere/weir.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_configuration_takes_every_default),
        cmocka_unit_test(test_each_type_is_read),
        cmocka_unit_test(test_a_redis_store_has_its_settings),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_the_memory_limit_counts_the_cache_of_an_embedded_store),
        cmocka_unit_test(test_a_missing_file_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
