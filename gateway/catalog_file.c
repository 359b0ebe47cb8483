/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_file.c - why a pattern travels as text.
 *
 * In a pattern the spelling counts: 0.1 and 0.10000000000000001 compile differently, and the later
 * of two members wins.  A tree of doubles and unordered members would lose both, so before the tree
 * is built every pattern is replaced by the JSON string that holds its text, and on the way out the
 * text is put back as it was.
 */
#include "gateway/catalog_file.h"

#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "gateway/catalog_document.h"

enum {
    FILE_DEPTH_MAX = 64,
    DOCUMENT_DEPTH = 0,
    TARGET_DEPTH = DOCUMENT_DEPTH + 2, /* a document, its list of targets, one of them */
    STEP_DEPTH = TARGET_DEPTH + 2,
};

/* Where we are in the file, as far as patterns are concerned. */
struct quoter {
    struct json_reader reader;
    struct buf *out;
    size_t copied; /* bytes of the text that are in `out` already, or replaced */
};

static enum err copy_until(struct quoter *quoter, size_t position)
{
    CHECK(position >= quoter->copied);
    TRY(buf_append(quoter->out, slice_first(slice_from(quoter->reader.text, quoter->copied),
                                            position - quoter->copied)));
    quoter->copied = position;
    return ERR_OK;
}

/* The value after a key `pattern`: an object becomes a string, anything else stays. */
static enum err quote_value(struct quoter *quoter)
{
    struct json_token token;
    struct json_writer writer;
    struct slice value;
    size_t start;

    if (json_next(&quoter->reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return token.type == JSON_TYPE_ERROR ? ERR_BAD_JSON : ERR_OK;
    }
    start = (size_t)(token.raw.data - quoter->reader.text.data);
    TRY(json_read_value(&quoter->reader, &token, &value));
    TRY(copy_until(quoter, start));
    json_write_begin(&writer, quoter->out);
    json_write_string(&writer, value);
    TRY(json_write_end(&writer));
    quoter->copied = start + value.len;
    return ERR_OK;
}

/* Patterns stand at depth 3: the file, the list of rules, one rule; `when` at depth 7: targets, one
 * target, its steps, one step; and `where` in each thing that the step keeps. */
static enum err quote_patterns(struct slice text, struct buf *out, struct err_why *why)
{
    struct quoter quoter = {.out = out};
    struct json_token token;
    enum json_type type;

    json_reader_init(&quoter.reader, text, FILE_DEPTH_MAX);
    while ((type = json_next(&quoter.reader, &token)) != JSON_TYPE_END) {
        if (type == JSON_TYPE_KEY &&
            ((quoter.reader.depth == 3 && slice_eq(token.raw, SLICE("pattern"))) ||
             (quoter.reader.depth == 7 && slice_eq(token.raw, SLICE("when"))) ||
             (quoter.reader.depth == 9 && slice_eq(token.raw, SLICE("where"))))) {
            if (quote_value(&quoter) != ERR_OK) {
                return json_fault(&quoter.reader, why);
            }
        } else if (type == JSON_TYPE_ERROR) {
            return json_fault(&quoter.reader, why);
        }
    }
    return copy_until(&quoter, text.len);
}

enum err catalog_file_read(struct slice text, json_t **file, struct err_why *why)
{
    json_error_t fault;
    struct buf quoted;
    enum err err;

    buf_init(&quoted, (size_t)2 * CATALOG_FILE_BYTES_MAX);
    *file = NULL;
    err = quote_patterns(text, &quoted, why);
    if (err == ERR_OK) {
        *file = json_loadb(quoted.data, quoted.len, JSON_REJECT_DUPLICATES, &fault);
        if (*file == NULL) {
            err = err_because(ERR_BAD_CATALOG, why, "line %d: %s", fault.line, fault.text);
        }
    }
    buf_clean_up(&quoted);
    return err == ERR_OK ? ERR_OK : ERR_BAD_CATALOG;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Members that are weir's own, not the file's.  They stand in documents and targets only: deeper
 * down, tags and variables bear whatever names their owners chose. */
static bool is_private(const char *key, unsigned depth)
{
    return (depth == DOCUMENT_DEPTH && catalog_document_is_private(key)) ||
           (depth == TARGET_DEPTH && strcmp(key, "uid") == 0);
}

static bool is_pattern(const char *key, unsigned depth)
{
    return (depth == DOCUMENT_DEPTH && strcmp(key, "pattern") == 0) ||
           (depth == STEP_DEPTH && strcmp(key, "when") == 0) ||
           (depth == STEP_DEPTH + 2 && strcmp(key, "where") == 0);
}

static void write_public(struct json_writer *writer, json_t *value, unsigned depth);

static void write_object(struct json_writer *writer, json_t *object, unsigned depth)
{
    const char *key;
    json_t *member;

    json_write_object_begin(writer);
    json_object_foreach(object, key, member)
    {
        if (is_private(key, depth)) {
            continue;
        }
        json_write_key(writer, slice_of(key));
        if (is_pattern(key, depth) && json_is_string(member)) {
            json_write_raw(writer, json_member_text(object, key));
        } else {
            write_public(writer, member, depth + 1);
        }
    }
    json_write_object_end(writer);
}

static void write_public(struct json_writer *writer, json_t *value, unsigned depth)
{
    if (json_is_object(value)) {
        write_object(writer, value, depth);
    } else if (json_is_array(value)) {
        json_write_array_begin(writer);
        for (size_t i = 0; i < json_array_size(value); i++) {
            write_public(writer, json_array_get(value, i), depth + 1);
        }
        json_write_array_end(writer);
    } else {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        CHECK(text != NULL);
        json_write_raw(writer, slice_of(text));
        xfree(text);
    }
}

enum err catalog_file_write(const struct catalog *catalog, struct buf *out)
{
    static const struct {
        struct slice kind;
        struct slice section;
    } sections[] = {
        {SLICE_INIT("account"), SLICE_INIT("accounts")},
        {SLICE_INIT("bus"), SLICE_INIT("buses")},
        {SLICE_INIT("connection"), SLICE_INIT("connections")},
        {SLICE_INIT("api_destination"), SLICE_INIT("api_destinations")},
        {SLICE_INIT("list"), SLICE_INIT("lists")},
        {SLICE_INIT("rule"), SLICE_INIT("rules")},
        {SLICE_INIT("schedule"), SLICE_INIT("schedules")},
        {SLICE_INIT("archive"), SLICE_INIT("archives")},
    };
    struct json_writer writer;
    struct arena arena = {0};

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        size_t count;
        const struct catalog_document **documents =
            catalog_of_kind(catalog, sections[i].kind, &arena, &count);

        json_write_key(&writer, sections[i].section);
        json_write_array_begin(&writer);
        for (size_t k = 0; k < count; k++) {
            write_object(&writer, documents[k]->value, DOCUMENT_DEPTH);
        }
        json_write_array_end(&writer);
    }
    json_write_object_end(&writer);
    arena_clean_up(&arena);
    return json_write_end(&writer);
}
