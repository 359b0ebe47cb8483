/* SPDX-License-Identifier: Apache-2.0
 *
 * ip.h - IP addresses as event patterns read them, which is how Java reads them.
 */
#pragma once

#include "core/slice.h"

struct ip_address {
    uint8_t len; /* 4 or 16 */
    uint8_t bytes[16];
};

enum ip_result {
    IP_OK,
    IP_NOT_OF_FORM, /* neither d.d.d.d nor hex digits with a colon */
    IP_INVALID,     /* of the form, but no address: 999.1.1.1 */
};

/* Read an address.  Leading zeros are decimal, and a v4-mapped IPv6 address becomes IPv4. */
enum ip_result ip_parse(struct slice text, struct ip_address *address);
bool ip_eq(const struct ip_address *a, const struct ip_address *b);
/* Do the first `bits` bits agree? Addresses of different families never do. */
bool ip_in_block(const struct ip_address *address, const struct ip_address *block, unsigned bits);

enum { IP_BLOCK_BYTES_MAX = 17 };
/* A block as bytes, equal for equal blocks: the address with the other bits zero, then their
 * number.  How many bytes. */
size_t ip_block_key(const struct ip_address *address, unsigned bits,
                    char key[static IP_BLOCK_BYTES_MAX]);
