/* SPDX-License-Identifier: Apache-2.0
 *
 * egress.h - which addresses outgoing calls may dial.
 */
#pragma once

#include <sys/socket.h>

#include "core/err.h"
#include "core/slice.h"

enum { EGRESS_ALLOW_MAX = 64, EGRESS_PORTS_MAX = 16, EGRESS_ENDPOINTS_MAX = 32 };

/* Addresses as IPv6; IPv4 is ::ffff:a.b.c.d. */
struct egress_range {
    uint8_t address[16];
    unsigned bits;
};

/* Filled by its owner, then constant; what the slices point to is borrowed. */
struct egress {
    struct egress_range allow[EGRESS_ALLOW_MAX];
    size_t allow_count;
    uint16_t ports[EGRESS_PORTS_MAX];
    size_t port_count; /* 0: every port */
    /* URLs that the operator has configured: calls below them may go anywhere but to metadata. */
    struct slice endpoints[EGRESS_ENDPOINTS_MAX];
    size_t endpoint_count;
};

/* "10.1.0.0/16", "fd12:3456::/32", or one address. ERR_BAD_VALUE otherwise, also for bits that
 * stand behind the prefix. */
MUST_USE enum err egress_range_parse(struct slice text, struct egress_range *range);

/* May a call to `url` dial this address?  A metadata service never; below a configured endpoint any
 * other; else a public address or one inside an allowed range, at one of the ports.  An IPv4
 * address inside an IPv6 one (mapped, compatible, translated, NAT64, 6to4) counts as that IPv4
 * address.
 *
 *= https://www.iana.org/assignments/iana-ipv4-special-registry/
 *= https://www.iana.org/assignments/iana-ipv6-special-registry/
 */
bool egress_may_dial(const struct egress *egress, const char *url, const struct sockaddr *address);
