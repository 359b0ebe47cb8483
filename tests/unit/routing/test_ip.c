/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ip.c - what is an address, which addresses are one, and which block holds which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/ip.h"

static void test_texts_that_are_addresses_and_texts_that_are_not(void **state)
{
    static const struct {
        const char *text;
        enum ip_result result;
        size_t len;
    } rows[] = {
        {"10.0.0.1", IP_OK, 4},
        {"255.255.255.255", IP_OK, 4},
        {"010.000.00.08", IP_OK, 4},
        {"256.0.0.1", IP_INVALID, 0},
        {"999.1.1.1", IP_INVALID, 0},
        {"10.0.0.00000001", IP_OK, 4},
        {"10.0.0.000000001", IP_INVALID, 0}, /* 16 characters: Java stops at 15 */
        {"10.0.0", IP_NOT_OF_FORM, 0},
        {"10.0.0.1.1", IP_NOT_OF_FORM, 0},
        {"10.0..1", IP_NOT_OF_FORM, 0},
        {"10.0.0.1 ", IP_NOT_OF_FORM, 0},
        {"10.0.0.x", IP_NOT_OF_FORM, 0},
        {"0x0a.0.0.1", IP_NOT_OF_FORM, 0},
        {"", IP_NOT_OF_FORM, 0},
        {"cafe", IP_NOT_OF_FORM, 0},
        {"::", IP_OK, 16},
        {"::1", IP_OK, 16},
        {"1::", IP_OK, 16},
        {"a::b", IP_OK, 16},
        {"2001:DB8:0:0:0:0:0:1", IP_OK, 16},
        {"00002001:db8::1", IP_OK, 16},
        {"1:2:3:4:5:6:7:8", IP_OK, 16},
        {"1:2:3:4:5:6:7::", IP_OK, 16},
        {"::2:3:4:5:6:7:8", IP_OK, 16},
        {"1:2:3:4:5:6:7:8::", IP_INVALID, 0},
        {"1:2:3:4:5:6:7", IP_INVALID, 0},
        {"1:2:3:4:5:6:7:8:9", IP_INVALID, 0},
        {"1::2::3", IP_INVALID, 0},
        {":::", IP_INVALID, 0},
        {":", IP_INVALID, 0},
        {":1", IP_INVALID, 0},
        {"1:", IP_INVALID, 0},
        {"1::2:", IP_INVALID, 0},
        {"10000::", IP_INVALID, 0},
        {"::ffff:a00:1", IP_OK, 4},
        {"::ffff:10.0.0.1", IP_NOT_OF_FORM, 0},
        {"fe80::1%eth0", IP_NOT_OF_FORM, 0},
        {"[::1]", IP_NOT_OF_FORM, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_address address;
        const enum ip_result result = ip_parse(slice_of(rows[i].text), &address);

        if (result != rows[i].result || (result == IP_OK && address.len != rows[i].len)) {
            fail_msg("%s: result %d, %u bytes", rows[i].text, (int)result, address.len);
        }
    }
}

static void test_spellings_of_one_address_are_equal(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool are_equal;
    } rows[] = {
        {"10.0.0.1", "10.0.0.01", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"2001:db8::1", "2001:0DB8:0:0:0:0:0:1", true},
        {"a::b", "000a::000b", true},
        {"::ffff:a00:1", "10.0.0.1", true},
        {"::a00:1", "10.0.0.1", false},
        {"1:0:0:0:0:0:0:0", "1::", true},
        {"0:0:0:0:0:0:0:1", "::1", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_address a;
        struct ip_address b;

        assert_int_equal(ip_parse(slice_of(rows[i].a), &a), IP_OK);
        assert_int_equal(ip_parse(slice_of(rows[i].b), &b), IP_OK);
        if (ip_eq(&a, &b) != rows[i].are_equal) {
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        }
    }
}

static void test_a_block_holds_its_family_only(void **state)
{
    static const struct {
        const char *block;
        unsigned bits;
        const char *address;
        bool is_inside;
    } rows[] = {
        {"10.0.0.77", 24, "10.0.0.0", true},
        {"10.0.0.77", 24, "10.0.0.255", true},
        {"10.0.0.77", 24, "10.0.1.0", false},
        {"10.0.0.0", 31, "10.0.0.1", true},
        {"10.0.0.0", 31, "10.0.0.2", false},
        {"10.128.0.0", 9, "10.255.255.255", true},
        {"10.128.0.0", 9, "10.127.255.255", false},
        {"0.0.0.0", 0, "255.1.2.3", true},
        {"0.0.0.0", 0, "::1", false},
        {"32.1.0.0", 16, "2001:db8::1", false},
        {"a00::", 16, "10.0.0.1", false},
        {"::", 0, "2001:db8::1", true},
        {"::", 0, "10.0.0.1", false},
        {"2001:db8::", 32, "2001:db8:ffff::", true},
        {"2001:db8::", 32, "2001:db9::", false},
        {"2001:db8::", 127, "2001:db8::1", true},
        {"2001:db8::", 127, "2001:db8::2", false},
        {"10.0.0.0", 8, "::ffff:a00:1", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_address block;
        struct ip_address address;

        assert_int_equal(ip_parse(slice_of(rows[i].block), &block), IP_OK);
        assert_int_equal(ip_parse(slice_of(rows[i].address), &address), IP_OK);
        if (ip_in_block(&address, &block, rows[i].bits) != rows[i].is_inside) {
            fail_msg("%s in %s/%u", rows[i].address, rows[i].block, rows[i].bits);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_that_are_addresses_and_texts_that_are_not),
        cmocka_unit_test(test_spellings_of_one_address_are_equal),
        cmocka_unit_test(test_a_block_holds_its_family_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
