/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: json_next, json_check, json_read_value, json_unescape, json_compact,
 *                   json_write_string
 *
 * Any bytes either are one JSON value or are not, and every way of asking agrees.  Of a valid one:
 * the first token's value is the whole text without the blanks around it; compacting gives a valid
 * text that compacts to itself; what a string stands for, written again, stands for the same.
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct slice raw)
{
    struct json_writer writer;
    struct buf text;
    struct buf again;
    struct buf back;

    buf_init(&text, raw.len); /* never longer than its escapes */
    buf_init(&again, raw.len * 6 + 2);
    buf_init(&back, raw.len);
    CHECK(json_unescape(raw, &text) == ERR_OK);
    json_write_begin(&writer, &again);
    json_write_string(&writer, buf_slice(&text));
    CHECK(json_write_end(&writer) == ERR_OK);
    CHECK(json_check(buf_slice(&again), 0, NULL) == ERR_OK);
    CHECK(json_unescape((struct slice){again.data + 1, again.len - 2}, &back) == ERR_OK);
    CHECK(slice_eq(buf_slice(&back), buf_slice(&text)));
    buf_clean_up(&text);
    buf_clean_up(&again);
    buf_clean_up(&back);
}

/* Is it valid, read token by token? */
static bool walk(struct slice text)
{
    struct json_reader reader;
    struct json_token token;
    size_t position = 0;

    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    while (json_next(&reader, &token) != JSON_TYPE_END && token.type != JSON_TYPE_ERROR) {
        CHECK(reader.position > position);
        CHECK(reader.position <= text.len);
        CHECK(token.raw.data >= text.data);
        CHECK(token.raw.data + token.raw.len <= text.data + reader.position);
        position = reader.position;
        if (token.type == JSON_TYPE_STRING || token.type == JSON_TYPE_KEY) {
            CHECK(token.has_escapes == (slice_find(token.raw, '\\') < token.raw.len));
            check_string(token.raw);
        }
    }
    CHECK((token.type == JSON_TYPE_ERROR) == (reader.fault_text != NULL));
    return token.type == JSON_TYPE_END;
}

/* Is it valid, cut out as one value? */
static bool cut_out(struct slice text)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    (void)json_next(&reader, &token);
    if (json_read_value(&reader, &token, &value) != ERR_OK) {
        return false;
    }
    CHECK(json_check(value, JSON_DEPTH_MAX, NULL) == ERR_OK);
    return json_next(&reader, &token) == JSON_TYPE_END;
}

static void check_compact(struct slice text)
{
    struct buf once;
    struct buf twice;

    buf_init(&once, text.len);
    buf_init(&twice, text.len);
    CHECK(json_compact(text, &once) == ERR_OK);
    CHECK(json_check(buf_slice(&once), JSON_DEPTH_MAX, NULL) == ERR_OK);
    CHECK(json_compact(buf_slice(&once), &twice) == ERR_OK);
    CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_clean_up(&once);
    buf_clean_up(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct err_why why = {""};
    const bool is_valid = json_check(text, JSON_DEPTH_MAX, &why) == ERR_OK;

    CHECK(is_valid == (why.text[0] == '\0'));
    CHECK(walk(text) == is_valid);
    CHECK(cut_out(text) == is_valid);
    if (is_valid) {
        check_compact(text);
    }
    return 0;
}
