/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - run the best kernel over a text, and do what masks cannot.
 *
 * The kernel (scan_kernel.h) judges 64 bytes at once and lists the operators; what is left for
 * one-by-one is rare: escapes, literals, characters beyond ASCII.  Each opening bracket learns
 * where it closes, so whoever walks the text afterwards steps over a container in one step, however
 * large it is.
 *
 * Invariant: after a fault nothing that is left in the scan may be used.
 * Memory:    lists grow to the largest text and are kept.
 */
#include "routing/scan.h"

#include "core/check.h"
#include "core/utf8.h"
#include "routing/scan_internal.h"

/* ---- one by one ---------------------------------------------------------------------------- */

static bool is_hex_digit(char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* The byte behind a backslash, and what it asks for. */
static bool is_good_escape(struct slice text, size_t at)
{
    if (at >= text.len) {
        return false;
    }
    switch (text.data[at]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case 'u':
        break;
    default:
        return false;
    }
    for (size_t i = at + 1; i <= at + 4; i++) {
        if (i >= text.len || !is_hex_digit(text.data[i])) {
            return false;
        }
    }
    return true;
}

struct scan_found scan_read_escapes(struct scan *scan, uint64_t backslash, uint64_t escaped,
                                    size_t base)
{
    struct scan_found found = {.bits = escaped};

    scan->has_escapes = true;
    backslash &= ~escaped;
    while (backslash != 0) {
        const uint64_t bit = backslash & (0 - backslash);

        if (!is_good_escape(scan->text, base + (size_t)__builtin_ctzll(bit) + 1)) {
            found.faults |= bit;
        }
        found.bits |= bit << 1;
        found.carry = bit >> 63;
        backslash &= ~(bit | bit << 1);
    }
    return found;
}

static bool ends_scalar(struct slice text, size_t at)
{
    return at >= text.len ||
           (text.data[at] != '\0' && strchr(" \t\n\r,]}:[{\"", text.data[at]) != NULL);
}

struct scan_found scan_read_literals(const struct scan *scan, uint64_t starts, size_t base)
{
    static const struct slice literals[] = {SLICE_INIT("true"), SLICE_INIT("false"),
                                            SLICE_INIT("null")};
    struct scan_found found = {.bits = 0};

    for (; starts != 0; starts &= starts - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(starts);
        const struct slice rest = slice_from(scan->text, base + bit);
        uint64_t ones = 0;

        for (size_t i = 0; i < ARRAY_LEN(literals) && ones == 0; i++) {
            if (slice_has_prefix(rest, literals[i]) && ends_scalar(rest, literals[i].len)) {
                ones = ((uint64_t)1 << literals[i].len) - 1;
            }
        }
        found.bits |= ones << bit;
        found.carry = bit > 0 ? ones >> (64 - bit) : 0;
        found.faults |= ones == 0 ? 1 : 0;
    }
    return found;
}

struct scan_found scan_read_characters(const struct scan *scan, uint64_t high, uint64_t left,
                                       size_t base)
{
    const char *text = scan->text.data;
    const char *end = slice_end(scan->text);
    struct scan_found found = {.bits = 0};

    high &= ~(((uint64_t)1 << left) - 1);
    while (high != 0) {
        const unsigned bit = (unsigned)__builtin_ctzll(high);
        const size_t len = utf8_len(text + base + bit, end);

        if (len == 0) {
            found.faults = 1;
            return found;
        }
        if (bit + len >= SCAN_BLOCK_BYTES) {
            found.carry = bit + len - SCAN_BLOCK_BYTES;
            return found;
        }
        high &= ~(uint64_t)0 << (bit + len);
    }
    return found;
}

bool scan_ends_string(const struct scan *scan, size_t at)
{
    do {
        at--;
    } while (scan->text.data[at] <= ' '); /* outside strings: a blank */
    return scan->text.data[at] == '"';
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool are_blank(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != ' ' && bytes.data[i] != '\t' && bytes.data[i] != '\n' &&
            bytes.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* One object that nothing stands before or behind. */
static bool is_one_object(const struct scan *scan)
{
    const struct slice text = scan->text;
    size_t first, last;

    if (scan->count == 0) {
        return false;
    }
    first = scan->at[0];
    last = scan->at[scan->count - 1];
    return text.data[first] == '{' && are_blank(slice_first(text, first)) &&
           are_blank(slice_from(text, last + 1));
}

/* Every byte may be an operator, and lists are written and read a block at a time. */
static void make_room(struct scan *scan, size_t len)
{
    if (scan->max < len + SCAN_BLOCK_BYTES) {
        scan->max = 2 * len + SCAN_BLOCK_BYTES;
        scan->at = xrealloc(scan->at, sizeof(*scan->at) * scan->max);
        scan->partners = xrealloc(scan->partners, sizeof(*scan->partners) * scan->max);
        scan->kinds = xrealloc(scan->kinds, sizeof(*scan->kinds) * scan->max);
    }
}

bool scan_has_kernel(enum scan_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == SCAN_AVX512) {
        return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi2") &&
               __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("pclmul") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    }
    if (kernel == SCAN_AVX2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    }
#endif
    return kernel == SCAN_PORTABLE || kernel == SCAN_BEST;
}

static scan_kernel_fn choose_kernel(enum scan_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == SCAN_AVX512 || (kernel == SCAN_BEST && scan_has_kernel(SCAN_AVX512))) {
        return scan_avx512;
    }
    if (kernel == SCAN_AVX2 || (kernel == SCAN_BEST && scan_has_kernel(SCAN_AVX2))) {
        return scan_avx2;
    }
#endif
    return scan_portable;
}

bool scan_run_by(struct scan *scan, struct slice text, enum scan_kernel kernel)
{
    CHECK(scan_has_kernel(kernel));
    if (text.len >= SCAN_TEXT_BYTES_MAX) {
        return false;
    }
    make_room(scan, text.len);
    scan->text = text;
    scan->count = 0;
    scan->has_escapes = false;
    return choose_kernel(kernel)(scan) && is_one_object(scan);
}

bool scan_run(struct scan *scan, struct slice text)
{
    return scan_run_by(scan, text, SCAN_BEST);
}

void scan_clean_up(struct scan *scan)
{
    xfree(scan->at);
    xfree(scan->partners);
    xfree(scan->kinds);
    *scan = (struct scan){0};
}
