/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: event_identity_content, event_identity_finding, event_path_find
 *
 * White space between the tokens of a detail changes no identity of its event; another value does.
 * What is found at a path is JSON again.
 */
#include "core/check.h"
#include "core/json.h"
#include "routing/event_identity.h"
#include "routing/event_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct digest *a, const struct digest *b)
{
    return slice_eq(digest_slice(a), digest_slice(b));
}

/* The same tokens with white space around each. */
static void spread(struct slice json, struct buf *out)
{
    bool is_string = false;

    for (size_t i = 0; i < json.len; i++) {
        const char byte = json.data[i];
        const bool is_punctuation = !is_string && strchr("{}[]:,", byte) != NULL && byte != '\0';

        if (is_punctuation) {
            CHECK(buf_append(out, SLICE(" \t")) == ERR_OK);
        }
        CHECK(buf_append_byte(out, byte) == ERR_OK);
        if (is_punctuation) {
            CHECK(buf_append(out, SLICE("\r\n")) == ERR_OK);
        }
        if (is_string && byte == '\\') {
            CHECK(buf_append_byte(out, json.data[++i]) == ERR_OK);
        } else if (byte == '"') {
            is_string = !is_string;
        }
    }
}

/* The same detail with one member more in front. */
static void change(struct slice json, struct buf *out)
{
    const size_t brace = slice_find(json, '{') + 1;
    const struct slice rest = slice_from(json, brace);
    size_t i = 0;

    while (strchr(" \t\r\n", rest.data[i]) != NULL) {
        i++;
    }
    CHECK(buf_printf(out, "{\"\\u0001changed\":1%s%.*s", rest.data[i] == '}' ? "" : ",",
                     SLICE_ARG(rest)) == ERR_OK);
}

static void compare(const struct event_draft *draft, struct arena *arena)
{
    struct digest digests[4];
    struct event_draft other = *draft;
    struct event_value value;
    struct buf text;
    bool is_finding;

    buf_init(&text, draft->detail.len * 5 + 64);
    spread(draft->detail, &text);
    other.detail = buf_slice(&text);
    event_identity_content(draft, &digests[0]);
    event_identity_content(&other, &digests[1]);
    CHECK(same(&digests[0], &digests[1]));
    is_finding = event_identity_finding(draft, arena, &digests[2]);
    CHECK(event_identity_finding(&other, arena, &digests[3]) == is_finding);
    CHECK(!is_finding || same(&digests[2], &digests[3]));
    text.len = 0;
    change(draft->detail, &text);
    other.detail = buf_slice(&text);
    event_identity_content(&other, &digests[1]);
    CHECK(!same(&digests[0], &digests[1]));
    if (event_path_find(draft, SLICE("detail.findings[0].Id"), arena, &value)) {
        CHECK(json_check(value.text, JSON_DEPTH_MAX, NULL) == ERR_OK);
    }
    buf_clean_up(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice names[][2] = {
        {SLICE_INIT("aws.guardduty"), SLICE_INIT("GuardDuty Finding")},
        {SLICE_INIT("aws.securityhub"), SLICE_INIT("Security Hub Findings - Imported")},
    };
    struct event_draft draft = {.detail = {(const char *)data, size}};
    struct arena arena = {0};

    digest_init();
    for (size_t i = 0; i < ARRAY_LEN(names) && event_check_detail(draft.detail) == ERR_OK; i++) {
        draft.source = names[i][0];
        draft.detail_type = names[i][1];
        compare(&draft, &arena);
    }
    arena_clean_up(&arena);
    return 0;
}
