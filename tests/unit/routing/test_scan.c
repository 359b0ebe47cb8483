/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scan.c - the scanner accepts what the strict reader accepts, by every kernel, and its list
 * of operators is that of the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/json.h"
#include "core/moment.h"
#include "routing/scan.h"

enum { ROUNDS = 60000, TEXT_BYTES_MAX = 1400 };

static uint64_t random_state;

/* SplitMix64: any seed is a good one. */
static unsigned random_below(unsigned bound)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

/* The answer of the strict reader. */
static bool is_object(struct slice text)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    return json_next(&reader, &token) == JSON_TYPE_OBJECT_BEGIN &&
           json_check(text, JSON_DEPTH_MAX, NULL) == ERR_OK;
}

/* What a walk over the text has found before an operator. */
enum before { NOTHING, A_STRING, A_SCALAR };

static bool is_operator(char byte)
{
    return byte != '\0' && strchr("{}[]:,", byte) != NULL;
}

static bool is_kind(const struct scan *scan, size_t number, enum before before)
{
    const uint8_t kind = scan->kinds[number];
    const char *at = scan->text.data + scan->at[number];
    const char byte = *at;

    return scan_is_open(scan, number) == (byte == '{' || byte == '[') &&
           scan_is_close(scan, number) == (byte == '}' || byte == ']') &&
           ((kind & SCAN_BEHIND_QUOTE) != 0) == (before == A_STRING && at[-1] == '"') &&
           ((kind & SCAN_BEHIND_VALUE) != 0) == (before != NOTHING) &&
           (strchr("{}[]", byte) == NULL ||
            ((kind & SCAN_CURLY) != 0) == (byte == '{' || byte == '}'));
}

/* Do the brackets, if the operator is one, know each other? */
static bool is_paired(const struct scan *scan, size_t number)
{
    if (scan_is_open(scan, number)) {
        return scan->partners[number] > number &&
               scan->partners[scan->partners[number]] == number &&
               scan_is_close(scan, scan->partners[number]);
    }
    return !scan_is_close(scan, number) ||
           (scan->partners[number] < number && scan->partners[scan->partners[number]] == number);
}

/* Hold the operators of a valid text against a plain walk. */
static bool is_described(const struct scan *scan)
{
    const struct slice text = scan->text;
    enum before before = NOTHING;
    size_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"') {
            for (i++; text.data[i] != '"'; i++) {
                i += text.data[i] == '\\' ? 1 : 0;
            }
            before = A_STRING;
        } else if (is_operator(text.data[i])) {
            if (number == scan->count || scan->at[number] != i || !is_kind(scan, number, before) ||
                !is_paired(scan, number)) {
                return false;
            }
            before = NOTHING;
            number++;
        } else if (strchr(" \t\r\n", text.data[i]) == NULL) {
            before = A_SCALAR;
        }
    }
    return number == scan->count;
}

static void check(struct scan *scan, struct slice text)
{
    const bool expected = is_object(text);

    for (enum scan_kernel kernel = SCAN_BEST; kernel <= SCAN_AVX512; kernel++) {
        if (!scan_has_kernel(kernel)) {
            continue;
        }
        if (scan_run_by(scan, text, kernel) != expected) {
            fail_msg("kernel %d: %.*s should be %s", (int)kernel, SLICE_ARG(text),
                     expected ? "accepted" : "refused");
        }
        if (expected && !is_described(scan)) {
            fail_msg("kernel %d: wrong description of %.*s", (int)kernel, SLICE_ARG(text));
        }
    }
}

static void test_facts_of_the_grammar(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "{}",
        " {} ",
        "{}{}",
        "{},",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{}}",
        "{{}}",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1 2}",
        "{\"a\":\"b\":1}",
        "{\"a\":\"b\" \"c\"}",
        "{\"a\":1\"b\"}",
        "{\"a\":{}\"b\":1}",
        "{\"a\":{},\"b\":[]}",
        "{\"a\":[1,2,[]]}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[:1]}",
        "{\"a\":[\"b\":1]}",
        "{\"a\":[1}",
        "{\"a\":[1}]",
        "{\"a\":{\"b\",\"c\":1}}",
        "{\"a\":1,\"b\"}",
        "{\"a\":1,2}",
        "{\"a\":1,[]}",
        "{[]}",
        "{1:2}",
        "{a:1}",
        "{\"a\":b}",
        "{\"a\":[]1}",
        "{\"a\":[]\"b\"}",
        "{\"a\":\"b\"[]}",
        "{\"a\":1[]}",
        "{\"a\"::1}",
        "{\"a\":0}",
        "{\"a\":-0}",
        "{\"a\":00}",
        "{\"a\":01}",
        "{\"a\":-01}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1.}",
        "{\"a\":.1}",
        "{\"a\":1.5}",
        "{\"a\":1.5.5}",
        "{\"a\":1e5}",
        "{\"a\":1E+5}",
        "{\"a\":1e-05}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":1e5e5}",
        "{\"a\":1e5.5}",
        "{\"a\":1.e5}",
        "{\"a\":1.0e5}",
        "{\"a\":1-2}",
        "{\"a\":--1}",
        "{\"a\":true}",
        "{\"a\":false,\"b\":null}",
        "{\"a\":tru}",
        "{\"a\":truee}",
        "{\"a\":true1}",
        "{\"a\":nul}",
        "{\"a\":true\"b\"}",
        "{\"a\":[true[]]}",
        "{true:1}",
        "{\"a\":1true}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":\"\\n\\u00e9\\\\\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":\"\\u00\"}",
        "{\"a\":\"\\\"}",
        "{\"a\":\"b}",
        "{\\\"a\":1}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\x01\"}",
        "{\t\"a\"\r\n:\n1}",
        "{\v}",
        "\xef\xbb\xbf{}",
        "{\"a\":\"\xc3\xa9\"}",
        "{\"a\":\"\xc3\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\xc3\xa9}",
        "{\"a\":\"\xf0\x9f\x98\x80\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}",
        "{}\xc3\xa9",
        "{} 1",
        "1 {}",
        "{}\"a\"",
        "\"a\"{}",
        ":{}",
        "{}:",
    };
    struct scan scan = {.has_escapes = false};
    char padded[256];

    (void)state;
    /* at every place of a block: the facts must hold across its edges, too */
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t blanks = 0; blanks < 70; blanks++) {
            const int len = snprintf(padded, sizeof(padded), "%*s%s", (int)blanks, "", texts[i]);

            check(&scan, (struct slice){padded, (size_t)len});
        }
    }
    check(&scan, (struct slice){"{\"a\":\"\0\"}", 9});
    check(&scan, (struct slice){"{\"a\":\0}", 7});
    scan_clean_up(&scan);
}

static void test_depth(void **state)
{
    struct scan scan = {.has_escapes = false};
    char text[2 * JSON_DEPTH_MAX + 32];

    (void)state;
    for (size_t depth = JSON_DEPTH_MAX - 2; depth < JSON_DEPTH_MAX + 2; depth++) {
        size_t len = 0;

        len += (size_t)snprintf(text, sizeof(text), "{\"a\":");
        memset(text + len, '[', depth);
        len += depth;
        memset(text + len, ']', depth);
        len += depth;
        text[len++] = '}';
        check(&scan, (struct slice){text, len});
    }
    scan_clean_up(&scan);
}

static size_t put(char *text, size_t len, const char *piece)
{
    const size_t piece_len = MIN_OF(strlen(piece), TEXT_BYTES_MAX - len);

    memcpy(text + len, piece, piece_len);
    return len + piece_len;
}

static size_t put_value(char *text, size_t len, unsigned depth)
{
    static const char *const scalars[] = {
        "1",           "-0.5",
        "1e9",         "12345678901234567890",
        "true",        "false",
        "null",        "\"\"",
        "\"a\"",       "\"{}\"",
        "\"\\\"\"",    "\"\\\\\"",
        "\"\\u0041\"", "\"\xc3\xa9\xe2\x82\xac\"",
        "0",           "-1E-2",
    };
    static const char *const blanks[] = {"", "", "", " ", "\n  ", "\t"};
    const unsigned count = random_below(4);
    const bool is_object = depth == 0 || random_below(2) == 0;

    if (depth > 0 && (depth > 5 || random_below(2) == 0)) {
        return put(text, len, scalars[random_below(ARRAY_LEN(scalars))]);
    }
    len = put(text, len, is_object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        len = put(text, len, i > 0 ? "," : "");
        len = put(text, len, blanks[random_below(ARRAY_LEN(blanks))]);
        if (is_object) {
            len = put(text, len, random_below(2) == 0 ? "\"key\"" : "\"a longer key\"");
            len = put(text, len, blanks[random_below(ARRAY_LEN(blanks))]);
            len = put(text, len, ":");
            len = put(text, len, blanks[random_below(ARRAY_LEN(blanks))]);
        }
        len = put_value(text, len, depth + 1);
        len = put(text, len, blanks[random_below(ARRAY_LEN(blanks))]);
    }
    return put(text, len, is_object ? "}" : "]");
}

/* Goal:   no text is judged otherwise than by the strict reader.
 * Method: valid texts, and the same with a few bytes changed, added or taken away. */
static void test_random_texts(void **state)
{
    static const char bytes[] = "{}[]:,\"\\ 01e.-+tfnu\n\x01\x80\xc3\xa9";
    const char *given = getenv("WEIR_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : moment_now_ms();
    struct scan scan = {.has_escapes = false};
    char text[TEXT_BYTES_MAX + 8];
    size_t good_count = 0;

    (void)state;
    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t len;

        random_state = seed + round;
        len = put_value(text, 0, 0);
        for (unsigned change = random_below(3); change > 0 && len > 0; change--) {
            const size_t at = random_below((unsigned)len);
            const char byte = bytes[random_below(sizeof(bytes) - 1)];

            switch (random_below(3)) {
            case 0:
                text[at] = byte;
                break;
            case 1:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;
            default:
                memmove(text + at + 1, text + at, len - at);
                text[at] = byte;
                len++;
                break;
            }
        }
        good_count += is_object((struct slice){text, len}) ? 1 : 0;
        check(&scan, (struct slice){text, len});
    }
    scan_clean_up(&scan);
    assert_in_range(good_count, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_of_the_grammar),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_random_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
