/* SPDX-License-Identifier: Apache-2.0
 *
 * egress.c - which addresses outgoing calls may dial, judged by the address and not by its name.
 *
 * A name tells nothing: whoever owns it lets it lead to our metadata service, our loopback or our
 * network, and to another address at the next question.  So the address is judged when the socket
 * is made.  What is not public is refused, unless the operator has named it: the ranges of
 * egress.allow, and everything below the endpoints that he has configured himself.  So is a port
 * that he has not named: a URL must not reach a mail server or a database.  The metadata
 * services hand out credentials to whoever asks, so nothing opens them.
 *
 * All addresses are compared as IPv6; one that carries an IPv4 address is judged as that address.
 *
 * Pure: no memory, no lookup.
 */
#include "core/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/check.h"

#define V4_RANGE(a, b, c, d, prefix)                                                               \
    {                                                                                              \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 96 + (prefix)                      \
    }

static const struct egress_range metadata[] = {
    V4_RANGE(169, 254, 169, 254, 32),
    V4_RANGE(169, 254, 170, 2, 32),  /* of containers */
    V4_RANGE(169, 254, 170, 23, 32), /* of pods */
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128},
    {{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}, 128},
};

static const struct egress_range special[] = {
    V4_RANGE(0, 0, 0, 0, 8),                    /* this network */
    V4_RANGE(10, 0, 0, 0, 8),                   /* private */
    V4_RANGE(100, 64, 0, 0, 10),                /* carriers' NAT */
    V4_RANGE(127, 0, 0, 0, 8),                  /* loopback */
    V4_RANGE(169, 254, 0, 0, 16),               /* link-local */
    V4_RANGE(172, 16, 0, 0, 12),                /* private */
    V4_RANGE(192, 0, 0, 0, 24),                 /* protocol assignments */
    V4_RANGE(192, 0, 2, 0, 24),                 /* documentation */
    V4_RANGE(192, 88, 99, 0, 24),               /* 6to4 relays */
    V4_RANGE(192, 168, 0, 0, 16),               /* private */
    V4_RANGE(198, 18, 0, 0, 15),                /* benchmarks */
    V4_RANGE(198, 51, 100, 0, 24),              /* documentation */
    V4_RANGE(203, 0, 113, 0, 24),               /* documentation */
    V4_RANGE(224, 0, 0, 0, 4),                  /* multicast */
    V4_RANGE(240, 0, 0, 0, 4),                  /* reserved, broadcast */
    {{0}, 96},                                  /* unspecified, loopback */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48}, /* local NAT64 */
    {{0x01, 0x00}, 64},                         /* discard */
    {{0x20, 0x01, 0x00}, 23},                   /* protocol assignments, Teredo among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},             /* documentation */
    {{0x3f, 0xff}, 20},                         /* documentation */
    {{0x5f, 0x00}, 16},                         /* segment routing */
    {{0xfc}, 7},                                /* unique local */
    {{0xfe, 0x80}, 10},                         /* link-local */
    {{0xfe, 0xc0}, 10},                         /* site-local */
    {{0xff}, 8},                                /* multicast */
};

/* Where IPv6 carries an IPv4 address: a prefix, and the byte at which it begins. */
static const struct {
    struct egress_range prefix;
    size_t at;
} carriers[] = {
    {{{[8] = 0xff, [9] = 0xff}, 96}, 12}, /* ::ffff:0:a.b.c.d, translated */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12}, /* 64:ff9b::a.b.c.d, NAT64 */
    {{{0x20, 0x02}, 16}, 2},              /* 2002:a.b:c.d::, 6to4 */
    {{{0}, 96}, 12},                      /* ::a.b.c.d, compatible */
};

static bool is_in(const struct egress_range *range, const uint8_t address[static 16])
{
    const size_t whole = range->bits / 8;
    const unsigned rest = range->bits % 8;

    if (memcmp(range->address, address, whole) != 0) {
        return false;
    }
    return rest == 0 || (range->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const struct egress_range *ranges, size_t count,
                      const uint8_t address[static 16])
{
    for (size_t i = 0; i < count; i++) {
        if (is_in(&ranges[i], address)) {
            return true;
        }
    }
    return false;
}

static void map_v4(const uint8_t v4[static 4], uint8_t address[static 16])
{
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

    memcpy(mapped + 12, v4, 4);
    memcpy(address, mapped, sizeof(mapped));
}

/* :: and ::1 lie where compatible addresses do, and are none. */
static bool is_v6_own(const uint8_t address[static 16])
{
    static const uint8_t zeros[15] = {0};

    return memcmp(address, zeros, sizeof(zeros)) == 0 && address[15] <= 1;
}

static bool read_address(const struct sockaddr *from, uint8_t address[static 16])
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        uint8_t bytes[4];

        memcpy(bytes, &v4->sin_addr, sizeof(bytes));
        map_v4(bytes, address);
        return true;
    }
    if (from->sa_family != AF_INET6) {
        return false;
    }
    memcpy(address, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    for (size_t i = 0; i < ARRAY_LEN(carriers) && !is_v6_own(address); i++) {
        if (is_in(&carriers[i].prefix, address)) {
            uint8_t bytes[4];

            memcpy(bytes, address + carriers[i].at, sizeof(bytes));
            map_v4(bytes, address);
            break;
        }
    }
    return true;
}

static bool is_below_endpoint(const struct egress *egress, struct slice url)
{
    for (size_t i = 0; i < egress->endpoint_count; i++) {
        struct slice endpoint = egress->endpoints[i];

        endpoint.len -= slice_has_suffix(endpoint, SLICE("/")) ? 1 : 0;
        if (endpoint.len > 0 && slice_has_prefix(url, endpoint) &&
            (url.len == endpoint.len || url.data[endpoint.len] == '/')) {
            return true;
        }
    }
    return false;
}

/* The port stands at one place in both kinds of addresses. */
static bool is_port_open(const struct egress *egress, const struct sockaddr *address)
{
    const uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);

    for (size_t i = 0; i < egress->port_count; i++) {
        if (egress->ports[i] == port) {
            return true;
        }
    }
    return egress->port_count == 0;
}

bool egress_may_dial(const struct egress *egress, const char *url, const struct sockaddr *address)
{
    uint8_t bytes[16];

    if (!read_address(address, bytes) || is_in_any(metadata, ARRAY_LEN(metadata), bytes)) {
        return false;
    }
    if (is_below_endpoint(egress, slice_of(url))) {
        return true;
    }
    return is_port_open(egress, address) && (!is_in_any(special, ARRAY_LEN(special), bytes) ||
                                             is_in_any(egress->allow, egress->allow_count, bytes));
}

enum err egress_range_parse(struct slice text, struct egress_range *range)
{
    struct slice rest = text;
    const struct slice host = slice_cut(&rest, '/');
    const bool has_prefix = rest.data != NULL;
    uint64_t bits = 0;
    char chars[INET6_ADDRSTRLEN];
    uint8_t v4[4];
    unsigned offset = 0;

    if (host.len == 0 || host.len >= sizeof(chars) || (has_prefix && !slice_to_u64(rest, &bits))) {
        return ERR_BAD_VALUE;
    }
    (void)snprintf(chars, sizeof(chars), "%.*s", SLICE_ARG(host));
    if (inet_pton(AF_INET, chars, v4) == 1) {
        map_v4(v4, range->address);
        offset = 96;
    } else if (inet_pton(AF_INET6, chars, range->address) != 1) {
        return ERR_BAD_VALUE;
    }
    if (bits > 128U - offset) {
        return ERR_BAD_VALUE;
    }
    range->bits = has_prefix ? (unsigned)bits + offset : 128;
    for (unsigned i = range->bits; i < 128; i++) {
        if ((range->address[i / 8] >> (7 - i % 8) & 1) != 0) {
            return ERR_BAD_VALUE;
        }
    }
    return ERR_OK;
}
