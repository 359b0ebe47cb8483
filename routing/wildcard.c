/* SPDX-License-Identifier: Apache-2.0
 *
 * wildcard.c - parsing and matching of patterns with stars.
 *
 * A star takes any run of bytes, also none.  The parts between stars are looked for from left to
 * right, each at its first place behind the one before; the first part must begin the text and the
 * last must end it.  Taking the first place is never wrong: it leaves the most for what follows.
 *
 * Memory: the parts live in the caller's arena.
 */
#include "routing/wildcard.h"

#include "core/check.h"

static bool is_escapable(char byte)
{
    return byte == '*' || byte == '\\';
}

static size_t count_stars(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += text.data[i] == '*' ? 1 : 0;
    }
    return count;
}

enum wildcard_result wildcard_parse(struct slice text, struct arena *arena,
                                    struct wildcard *wildcard, size_t *position)
{
    char *bytes = arena_alloc(arena, text.len);
    struct slice *part;

    wildcard->parts = ARENA_ARRAY(arena, struct slice, count_stars(text) + 1);
    part = wildcard->parts;
    *part = (struct slice){bytes, 0};
    for (size_t i = 0; i < text.len; i++) {
        *position = i;
        if (text.data[i] == '*') {
            if (i + 1 < text.len && text.data[i + 1] == '*') {
                return WILDCARD_DOUBLE_STAR;
            }
            part++;
            *part = (struct slice){bytes, 0};
            continue;
        }
        if (text.data[i] == '\\') {
            if (i + 1 == text.len || !is_escapable(text.data[i + 1])) {
                return WILDCARD_BAD_ESCAPE;
            }
            i++;
        }
        *bytes++ = text.data[i];
        part->len++;
    }
    wildcard->part_count = (size_t)(part - wildcard->parts) + 1;
    return WILDCARD_OK;
}

/* Drop from `text` everything up to the end of the first `part` in it. */
static bool skip_past(struct slice *text, struct slice part)
{
    const char *found;

    if (part.len == 0) {
        return true;
    }
    found = text->len > 0 ? memmem(text->data, text->len, part.data, part.len) : NULL;
    if (found == NULL) {
        return false;
    }
    *text = slice_from(*text, (size_t)(found - text->data) + part.len);
    return true;
}

bool wildcard_matches(const struct wildcard *wildcard, struct slice text)
{
    const size_t last = wildcard->part_count - 1;

    CHECK(wildcard->part_count > 0);
    if (last == 0) {
        return slice_eq(text, wildcard->parts[0]);
    }
    if (!slice_has_prefix(text, wildcard->parts[0])) {
        return false;
    }
    text = slice_from(text, wildcard->parts[0].len);
    for (size_t i = 1; i < last; i++) {
        if (!skip_past(&text, wildcard->parts[i])) {
            return false;
        }
    }
    return slice_has_suffix(text, wildcard->parts[last]);
}
