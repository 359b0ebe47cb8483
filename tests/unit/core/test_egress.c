/* SPDX-License-Identifier: Apache-2.0
 *
 * test_egress.c - which addresses may be dialled, in every spelling that leads to them.
 */
#include "core/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/egress.h"

#define URL "https://sqs.us-east-1.amazonaws.com/"

static bool may_dial(const struct egress *egress, const char *url, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        return egress_may_dial(egress, url, (const void *)&v4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return egress_may_dial(egress, url, (const void *)&v6);
}

static const char *const public_addresses[] = {
    "1.1.1.1",          "9.255.255.255",      "11.0.0.0",        "52.94.0.1",
    "100.63.255.255",   "100.128.0.0",        "126.255.255.255", "128.0.0.1",
    "169.253.255.255",  "169.255.0.0",        "172.15.255.255",  "172.32.0.0",
    "192.0.1.0",        "192.167.255.255",    "192.169.0.0",     "198.17.255.255",
    "198.20.0.0",       "223.255.255.255",    "2600:1f18::1",    "2a00:1450::1",
    "::ffff:52.94.0.1", "64:ff9b::52.94.0.1", "2002:345e:1::1",  "fe00::1",
    "2001:4860::1",
};

static const char *const special_addresses[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::1",
    "2001:db8::1",
    "100::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "5f00::1",
};

static const char *const metadata_addresses[] = {
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
};

/* Goal: by itself only what is public may be dialled. */
static void test_only_public_addresses(void **state)
{
    const struct egress egress = {.allow_count = 0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(public_addresses); i++) {
        if (!may_dial(&egress, URL, public_addresses[i])) {
            fail_msg("%s is public", public_addresses[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(special_addresses); i++) {
        if (may_dial(&egress, URL, special_addresses[i])) {
            fail_msg("%s may be dialled", special_addresses[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(metadata_addresses); i++) {
        if (may_dial(&egress, URL, metadata_addresses[i])) {
            fail_msg("%s may be dialled", metadata_addresses[i]);
        }
    }
    assert_false(egress_may_dial(&egress, URL, &(struct sockaddr){.sa_family = AF_UNIX}));
}

/* Goal: a range opens what lies in it, in every spelling, and never a metadata service. */
static void test_a_range_opens_itself_alone(void **state)
{
    struct egress egress = {.allow_count = 2};

    (void)state;
    assert_int_equal(egress_range_parse(SLICE("10.1.0.0/16"), &egress.allow[0]), ERR_OK);
    assert_int_equal(egress_range_parse(SLICE("fd00::/8"), &egress.allow[1]), ERR_OK);
    assert_true(may_dial(&egress, URL, "10.1.255.255"));
    assert_true(may_dial(&egress, URL, "::ffff:10.1.0.1"));
    assert_true(may_dial(&egress, URL, "64:ff9b::10.1.0.1"));
    assert_true(may_dial(&egress, URL, "fd12::1"));
    assert_false(may_dial(&egress, URL, "10.2.0.0"));
    assert_false(may_dial(&egress, URL, "fc00::1"));
    assert_int_equal(egress_range_parse(SLICE("0.0.0.0/0"), &egress.allow[0]), ERR_OK);
    assert_int_equal(egress_range_parse(SLICE("::/0"), &egress.allow[1]), ERR_OK);
    assert_true(may_dial(&egress, URL, "127.0.0.1"));
    for (size_t i = 0; i < ARRAY_LEN(metadata_addresses); i++) {
        assert_false(may_dial(&egress, URL, metadata_addresses[i]));
    }
}

/* Goal: what the operator has configured as an endpoint may be local; a URL that only begins like
 * it may not, and metadata may not. */
static void test_endpoints_may_be_local(void **state)
{
    const struct egress egress = {
        .endpoints = {SLICE_INIT("http://127.0.0.1:4566"), SLICE_INIT("https://sqs.internal/")},
        .endpoint_count = 2};
    static const struct {
        const char *url;
        bool is_below;
    } rows[] = {
        {"http://127.0.0.1:4566", true},        {"http://127.0.0.1:4566/", true},
        {"http://127.0.0.1:4566/a/b", true},    {"http://127.0.0.1:45660/", false},
        {"http://127.0.0.1:4566.evil/", false}, {"http://127.0.0.1:4566@evil/", false},
        {"https://127.0.0.1:4566/", false},     {"https://sqs.internal/", true},
        {"https://sqs.internal.evil/", false},  {URL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (may_dial(&egress, rows[i].url, "127.0.0.1") != rows[i].is_below) {
            fail_msg("%s: expected %d", rows[i].url, rows[i].is_below);
        }
    }
    assert_false(may_dial(&egress, "http://127.0.0.1:4566/", "169.254.169.254"));
}

/* Goal: only ports that are named are dialled, but for what is below a configured endpoint. */
static void test_ports(void **state)
{
    static const struct {
        uint16_t port;
        const char *url;
        bool may;
    } rows[] = {
        {443, URL, true}, {8443, URL, true},  {80, URL, false},
        {0, URL, false},  {4430, URL, false}, {80, "https://sqs.internal/", true},
    };
    const struct egress egress = {.ports = {443, 8443},
                                  .port_count = 2,
                                  .endpoints = {SLICE_INIT("https://sqs.internal/")},
                                  .endpoint_count = 1};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(rows[i].port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(rows[i].port)};

        assert_int_equal(inet_pton(AF_INET, "8.8.8.8", &v4.sin_addr), 1);
        assert_int_equal(inet_pton(AF_INET6, "2600::1", &v6.sin6_addr), 1);
        if (egress_may_dial(&egress, rows[i].url, (const void *)&v4) != rows[i].may ||
            egress_may_dial(&egress, rows[i].url, (const void *)&v6) != rows[i].may) {
            fail_msg("port %u of %s: expected %d", rows[i].port, rows[i].url, rows[i].may);
        }
    }
}

/* Goal: what is no range is refused, and so is one whose bits say more than its prefix. */
static void test_what_is_a_range(void **state)
{
    static const char *const good[] = {"10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "0.0.0.0/0",
                                       "fd00::/8",   "::1",      "::1/128",     "::/0"};
    static const char *const bad[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.1/8",
                                      "10.0.0/8",
                                      "010.0.0.0/8",
                                      "fd00::/129",
                                      "fd00::1/8",
                                      "example.com",
                                      "10.0.0.0/8/8",
                                      "10.0.0.0/-1",
                                      "10.0.0.0 /8",
                                      "fd00::%eth0"};
    struct egress_range range;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (egress_range_parse(slice_of(good[i]), &range) != ERR_OK) {
            fail_msg("%s was refused", good[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (egress_range_parse(slice_of(bad[i]), &range) != ERR_BAD_VALUE) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_public_addresses),
        cmocka_unit_test(test_a_range_opens_itself_alone),
        cmocka_unit_test(test_endpoints_may_be_local),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_what_is_a_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
