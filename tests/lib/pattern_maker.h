/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_maker.h - random patterns and events that meet: all operators over few keys and values,
 * nested, in arrays, repeated, with odd numbers and odd Unicode.
 *
 * Both are written from the same small store of pieces, so that most operators hold for some
 * values and fail for others.  The same seed gives the same texts.
 */
#pragma once

#include "core/buf.h"
#include "core/check.h"
#include "routing/partner_list.h"

static uint64_t maker_state;
static bool maker_asks_lists; /* patterns ask those of maker_lists(), and one that is not there */

/* SplitMix64: any seed is a good one. */
static unsigned maker_below(unsigned bound)
{
    uint64_t z = (maker_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

static void maker_put(struct buf *text, const char *piece)
{
    CHECK(buf_append(text, slice_of(piece)) == ERR_OK);
}

#define MAKER_PICK(array) ((array)[maker_below(ARRAY_LEN(array))])

/* ---- pieces -------------------------------------------------------------------------------- */

static const char *maker_key(void)
{
    static const char *const keys[] = {"a", "b",       "c",        "a",
                                       "b", "a.b",     "b.a",      "",
                                       ".", "\\u0061", "\xc3\xa9", "long key number one"};

    return MAKER_PICK(keys);
}

/* Without quotes, as in JSON. */
static const char *maker_text(void)
{
    static const char *const texts[] = {
        "",
        "a",
        "ab",
        "abc",
        "abab",
        "ABC",
        "Ab",
        "b",
        "bc",
        "a/b/c",
        "x*y",
        "x\\\\y",
        "\\u0061b",
        "stra\xc3\x9f\x65",
        "STRASSE",
        "k",
        "K",
        "\xe2\x84\xaa",
        "\\ud83d\\ude00",
        "\xf0\x9f\x98\x80",
        "\\ud83d",
        "\\u0000",
        "10.0.0.1",
        "10.0.0.01",
        "10.0.0.77",
        "10.1.0.1",
        "999.1.1.1",
        "2001:db8::1",
        "2001:0DB8:0:0:0:0:0:1",
        "::ffff:a00:1",
        "::1",
        "a::b",
        "5",
        "1.0",
        "null",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "arn:aws:iam::123456789012:role/x",
        "arn:aws:iam::210987654321:role/y",
    };

    return MAKER_PICK(texts);
}

static const char *maker_number(void)
{
    static const char *const numbers[] = {
        "0",
        "-0",
        "0.0",
        "1",
        "1.0",
        "10e-1",
        "1e0",
        "2",
        "3",
        "-1",
        "-1.5",
        "100",
        "1e2",
        "100.0",
        "5000000000",
        "9007199254740993",
        "9007199254740992",
        "0.1",
        "0.1000000000000000055",
        "1e400",
        "1.7976931348623157e308",
        "4.9e-324",
        "5e-324",
        "123456789012345678",
        "37.808480096967251",
        "-122.422003528252475",
        "0.30000000000000004",
        "1E+2",
        "2e-1",
    };

    return MAKER_PICK(numbers);
}

static void maker_put_string(struct buf *text, const char *piece)
{
    maker_put(text, "\"");
    maker_put(text, piece);
    maker_put(text, "\"");
}

/* ---- events -------------------------------------------------------------------------------- */

static void maker_put_scalar(struct buf *text)
{
    static const char *const literals[] = {"true", "false", "null"};
    const unsigned kind = maker_below(10);

    if (kind < 6) {
        maker_put_string(text, maker_text());
    } else if (kind < 9) {
        maker_put(text, maker_number());
    } else {
        maker_put(text, MAKER_PICK(literals));
    }
}

static void maker_put_container(struct buf *text, unsigned depth, bool is_object)
{
    static const char *const blanks[] = {"", "", "", " ", "\n"};
    const unsigned count = maker_below(4);

    maker_put(text, is_object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        maker_put(text, i > 0 ? "," : "");
        maker_put(text, MAKER_PICK(blanks));
        if (is_object) {
            maker_put_string(text, maker_key());
            maker_put(text, ":");
            maker_put(text, MAKER_PICK(blanks));
        }
        if (depth > 0 && maker_below(2) == 0) {
            maker_put_container(text, depth - 1, maker_below(2) == 0);
        } else {
            maker_put_scalar(text);
        }
        maker_put(text, MAKER_PICK(blanks));
    }
    maker_put(text, is_object ? "}" : "]");
}

static void maker_put_event(struct buf *text)
{
    maker_put_container(text, 4, true);
}

/* ---- patterns ------------------------------------------------------------------------------ */

static void maker_put_operand(struct buf *text, const char *name)
{
    maker_put(text, "{\"");
    maker_put(text, name);
    maker_put(text, "\":");
    maker_put_string(text, maker_text());
    maker_put(text, "}");
}

static const char *maker_wildcard(void)
{
    static const char *const wildcards[] = {
        "*",       "a*",  "*b", "a*c",          "*b*",  "a*b*",    "*:*",   "\\\\*",
        "x\\\\**", "*/x", "ab", "arn:*:role/x", "*a*b", "*role/*", "*aaa*", "10.*.0.1"};

    return MAKER_PICK(wildcards);
}

static void maker_put_range(struct buf *text)
{
    static const char *const lows[] = {">", ">="};
    static const char *const highs[] = {"<", "<="};
    static const char *const all[] = {"=", "<", "<=", ">", ">="};
    static const char *const bounds[][2] = {{"0", "1"},     {"-1", "2"},      {"1", "100"},
                                            {"0.1", "5e9"}, {"1.5", "1e300"}, {"-200", "-100"}};
    const unsigned which = maker_below(ARRAY_LEN(bounds));

    if (maker_below(2) == 0) {
        CHECK(buf_printf(text, "{\"numeric\":[\"%s\",%s,\"%s\",%s]}", MAKER_PICK(lows),
                         bounds[which][0], MAKER_PICK(highs), bounds[which][1]) == ERR_OK);
    } else {
        CHECK(buf_printf(text, "{\"numeric\":[\"%s\",%s]}", MAKER_PICK(all),
                         bounds[which][maker_below(2)]) == ERR_OK);
    }
}

static void maker_put_but(struct buf *text)
{
    static const char *const inner[] = {"prefix", "suffix", "equals-ignore-case", "wildcard"};
    static const char *const numbers[] = {"0", "1", "100", "-1.5"};
    const unsigned kind = maker_below(4);
    const unsigned count = 1 + maker_below(3);
    const char *name = MAKER_PICK(inner);

    maker_put(text, "{\"anything-but\":");
    if (kind == 0) {
        maker_put(text, "{\"");
        maker_put(text, name);
        maker_put(text, "\":");
    }
    maker_put(text, "[");
    for (unsigned i = 0; i < count; i++) {
        maker_put(text, i > 0 ? "," : "");
        if (kind == 1) {
            maker_put(text, MAKER_PICK(numbers));
        } else if (kind == 0 && strcmp(name, "wildcard") == 0) {
            maker_put_string(text, maker_wildcard());
        } else {
            const char *piece = maker_text();

            maker_put_string(text, kind == 0 && piece[0] == '\0' ? "a" : piece);
        }
    }
    maker_put(text, kind == 0 ? "]}}" : "]}");
}

/* Lists that hold some of the texts; the caller's reference. */
static inline struct partner_lists *maker_lists(void)
{
    static const struct {
        const char *name;
        enum partner_kind kind;
        const char *entries[3];
    } lists[] = {
        {"accounts", PARTNER_ACCOUNTS, {"123456789012", "555555555555", "000000000001"}},
        {"blocks", PARTNER_CIDRS, {"10.0.0.0/26", "2001:db8::/64", "10.1.0.1"}},
        {"words", PARTNER_STRINGS, {"ab", "K", "5"}},
    };
    struct partner_lists *all = partner_lists_new();

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct partner_list *list = partner_list_new(lists[i].kind);

        for (size_t k = 0; k < ARRAY_LEN(lists[i].entries); k++) {
            CHECK(partner_list_add(list, slice_of(lists[i].entries[k]), NULL) == ERR_OK);
        }
        partner_lists_put(all, slice_of(lists[i].name), list);
        partner_list_release(list);
    }
    return all;
}

static void maker_put_list(struct buf *text)
{
    static const char *const names[] = {"accounts", "blocks", "words", "words", "nowhere"};

    switch (maker_below(3)) {
    case 0:
        CHECK(buf_printf(text, "{\"in-list\":\"%s\"}", MAKER_PICK(names)) == ERR_OK);
        break;
    case 1:
        CHECK(buf_printf(text, "{\"anything-but\":{\"in-list\":\"%s\"}}", MAKER_PICK(names)) ==
              ERR_OK);
        break;
    default:
        CHECK(buf_printf(text, "{\"anything-but\":{\"in-list\":[\"%s\",\"%s\"]}}",
                         MAKER_PICK(names), MAKER_PICK(names)) == ERR_OK);
        break;
    }
}

static void maker_put_entry(struct buf *text)
{
    static const char *const blocks[] = {"10.0.0.0/24",   "10.0.0.77/8", "0.0.0.0/0",
                                         "2001:db8::/32", "::/0",        "10.0.0.0/31"};

    if (maker_asks_lists && maker_below(12) == 0) {
        maker_put_list(text);
        return;
    }
    switch (maker_below(18)) {
    case 0:
        maker_put_operand(text, "prefix");
        break;
    case 1:
        maker_put_operand(text, "suffix");
        break;
    case 2:
        maker_put_operand(text, "equals-ignore-case");
        break;
    case 3:
        maker_put(text, maker_below(2) == 0 ? "{\"prefix\":" : "{\"suffix\":");
        maker_put_operand(text, "equals-ignore-case");
        maker_put(text, "}");
        break;
    case 4:
    case 5:
        maker_put(text, "{\"wildcard\":");
        maker_put_string(text, maker_wildcard());
        maker_put(text, "}");
        break;
    case 6:
    case 7:
        maker_put_range(text);
        break;
    case 8:
        CHECK(buf_printf(text, "{\"cidr\":\"%s\"}", MAKER_PICK(blocks)) == ERR_OK);
        break;
    case 9:
        maker_put(text, "{\"exists\":true}");
        break;
    case 10:
        maker_put(text, "{\"exists\":false}");
        break;
    case 11:
    case 12:
        maker_put_but(text);
        break;
    case 13:
        maker_put_operand(text, "exactly");
        break;
    default:
        maker_put_scalar(text);
        break;
    }
}

static void maker_put_members(struct buf *text, unsigned depth, bool may_be_or)
{
    const unsigned count = 1 + maker_below(3);

    maker_put(text, "{");
    for (unsigned i = 0; i < count; i++) {
        maker_put(text, i > 0 ? "," : "");
        if (may_be_or && maker_below(8) == 0) {
            maker_put(text, "\"$or\":[");
            maker_put_members(text, depth, false);
            maker_put(text, ",");
            maker_put_members(text, depth, false);
            maker_put(text, "]");
            continue;
        }
        maker_put_string(text, maker_key());
        maker_put(text, ":");
        if (depth > 0 && maker_below(2) == 0) {
            maker_put_members(text, depth - 1, may_be_or);
        } else {
            const unsigned entry_count =
                maker_below(6) == 0 ? 1 + maker_below(20) : 1 + maker_below(2);

            maker_put(text, "[");
            for (unsigned j = 0; j < entry_count; j++) {
                maker_put(text, j > 0 ? "," : "");
                maker_put_entry(text);
            }
            maker_put(text, "]");
        }
    }
    maker_put(text, "}");
}

static void maker_put_pattern(struct buf *text)
{
    maker_put_members(text, 3, true);
}
