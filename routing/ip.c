/* SPDX-License-Identifier: Apache-2.0
 *
 * ip.c - IPv4 and IPv6 literals in the spellings that EventBridge takes for addresses.
 *
 * First the form is looked at (four groups of digits, or hex digits and colons), then the value.
 * A text of another form is an ordinary string and never an error by itself.  No zone, no mixed
 * "::ffff:10.0.0.1", no octal: `inet_pton` is stricter in some spellings and wider in others.
 *
 * Memory: none.
 */
#include "routing/ip.h"

#include "core/check.h"

enum { V4_TEXT_CHARS_MAX = 15, GROUP_MAX = 0xffff };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool has_v4_form(struct slice text)
{
    unsigned group_count = 0;

    while (text.data != NULL) {
        const struct slice group = slice_cut(&text, '.');

        for (size_t i = 0; i < group.len; i++) {
            if (group.data[i] < '0' || group.data[i] > '9') {
                return false;
            }
        }
        if (group.len == 0 || ++group_count > 4) {
            return false;
        }
    }
    return group_count == 4;
}

static bool has_v6_form(struct slice text)
{
    bool has_colon = false;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == ':') {
            has_colon = true;
        } else if (hex_value(text.data[i]) < 0) {
            return false;
        }
    }
    return has_colon;
}

static bool read_v4(struct slice text, struct ip_address *address)
{
    if (text.len > V4_TEXT_CHARS_MAX) {
        return false;
    }
    address->len = 4;
    for (size_t i = 0; i < 4; i++) {
        uint64_t octet;

        if (!slice_to_u64(slice_cut(&text, '.'), &octet) || octet > 255) {
            return false;
        }
        address->bytes[i] = (uint8_t)octet;
    }
    return true;
}

/* The groups of a text of hex digits and colons, in the order of the text. */
struct v6_groups {
    uint8_t bytes[16];
    size_t len;
    bool has_gap;
    size_t gap; /* where "::" stands, in bytes */
};

static bool put_group(struct v6_groups *groups, struct slice digits)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        value = value << 4 | (unsigned)hex_value(digits.data[i]);
        if (value > GROUP_MAX) {
            return false;
        }
    }
    if (groups->len + 2 > sizeof(groups->bytes)) {
        return false;
    }
    groups->bytes[groups->len++] = (uint8_t)(value >> 8);
    groups->bytes[groups->len++] = (uint8_t)(value & 0xff);
    return true;
}

static bool read_groups(struct slice text, struct v6_groups *groups)
{
    if (text.len < 2 || (text.data[0] == ':' && text.data[1] != ':')) {
        return false;
    }
    if (text.data[0] == ':') {
        text = slice_from(text, 1); /* the gap is seen at the second colon */
    }
    while (text.len > 0) {
        const struct slice digits = slice_first(text, slice_find(text, ':'));
        const bool has_colon = digits.len < text.len;

        text = slice_from(text, digits.len + (has_colon ? 1 : 0));
        if (digits.len == 0) {
            if (groups->has_gap) {
                return false;
            }
            groups->has_gap = true;
            groups->gap = groups->len;
        } else if (!put_group(groups, digits) || (has_colon && text.len == 0)) {
            return false; /* a single colon may not end the text */
        }
    }
    return true;
}

static bool is_v4_mapped(const uint8_t bytes[static 16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static bool read_v6(struct slice text, struct ip_address *address)
{
    struct v6_groups groups = {.len = 0};
    uint8_t bytes[16] = {0};

    if (!read_groups(text, &groups) || groups.has_gap == (groups.len == sizeof(bytes))) {
        return false;
    }
    if (!groups.has_gap) {
        groups.gap = groups.len;
    }
    memcpy(bytes, groups.bytes, groups.gap);
    memcpy(bytes + sizeof(bytes) - (groups.len - groups.gap), groups.bytes + groups.gap,
           groups.len - groups.gap);
    if (is_v4_mapped(bytes)) {
        address->len = 4;
        memcpy(address->bytes, bytes + 12, 4);
    } else {
        address->len = 16;
        memcpy(address->bytes, bytes, sizeof(bytes));
    }
    return true;
}

enum ip_result ip_parse(struct slice text, struct ip_address *address)
{
    *address = (struct ip_address){.len = 0};
    if (has_v4_form(text)) {
        return read_v4(text, address) ? IP_OK : IP_INVALID;
    }
    if (has_v6_form(text)) {
        return read_v6(text, address) ? IP_OK : IP_INVALID;
    }
    return IP_NOT_OF_FORM;
}

bool ip_eq(const struct ip_address *a, const struct ip_address *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool ip_in_block(const struct ip_address *address, const struct ip_address *block, unsigned bits)
{
    const unsigned whole = bits / 8;
    const unsigned rest = bits % 8;

    CHECK(bits <= block->len * 8U);
    if (address->len != block->len || memcmp(address->bytes, block->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (address->bytes[whole] ^ block->bytes[whole]) >> (8 - rest) == 0;
}

size_t ip_block_key(const struct ip_address *address, unsigned bits,
                    char key[static IP_BLOCK_BYTES_MAX])
{
    for (unsigned i = 0; i < address->len; i++) {
        const unsigned kept = bits <= 8 * i ? 0 : MIN_OF(bits - 8 * i, 8U);

        key[i] = (char)(address->bytes[i] & (0xff00 >> kept));
    }
    key[address->len] = (char)bits;
    return address->len + 1U;
}
