/* SPDX-License-Identifier: Apache-2.0
 *
 * slice.c - comparing and cutting borrowed bytes.  Never for secrets: see digest.h.
 */
#include "core/slice.h"

#include "core/check.h"

struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? strlen(text) : 0};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static int to_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

bool slice_eq_ignore_case(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (to_lower(a.data[i]) != to_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

int slice_compare(struct slice a, struct slice b)
{
    const size_t shared = MIN_OF(a.len, b.len);
    const int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;

    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool slice_has_suffix(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

struct slice slice_from(struct slice s, size_t from)
{
    if (from >= s.len) {
        return (struct slice){s.data != NULL ? s.data + s.len : NULL, 0};
    }
    return (struct slice){s.data + from, s.len - from};
}

struct slice slice_first(struct slice s, size_t len)
{
    return (struct slice){s.data, MIN_OF(len, s.len)};
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

size_t slice_find(struct slice s, char byte)
{
    const char *found = s.len > 0 ? memchr(s.data, byte, s.len) : NULL;

    return found != NULL ? (size_t)(found - s.data) : s.len;
}

struct slice slice_cut(struct slice *s, char byte)
{
    const size_t at = slice_find(*s, byte);
    const struct slice head = slice_first(*s, at);

    *s = at < s->len ? slice_from(*s, at + 1) : (struct slice){NULL, 0};
    return head;
}

bool slice_to_u64(struct slice s, uint64_t *value)
{
    uint64_t sum = 0;

    CHECK(value != NULL);
    if (s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        const unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
    }
    *value = sum;
    return true;
}
