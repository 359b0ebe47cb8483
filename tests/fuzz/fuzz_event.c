/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: event_read_envelope, event_complete, event_check_detail
 *
 * What is read as an envelope and completed is JSON that holds every received byte in order, and
 * reading it again gives the same members.  What passes as a detail is a JSON object, and an entry
 * made of it is an envelope.
 */
#include "core/check.h"
#include "core/json.h"
#include "routing/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An event as it came out must read as a whole envelope. */
static void read_again(const struct event *event)
{
    struct arena arena = {0};
    struct event_draft draft;

    CHECK(event_read_envelope(event->bytes, &arena, &draft, NULL) == ERR_OK);
    CHECK(draft.version.data != NULL);
    CHECK(draft.resources.data != NULL);
    CHECK(slice_eq(draft.id, event->id));
    CHECK(slice_eq(draft.account, event->account));
    CHECK(slice_eq(draft.source, event->source));
    CHECK(slice_eq(draft.detail_type, event->detail_type));
    CHECK(slice_eq(draft.region, event->region));
    CHECK(slice_eq(draft.time, event->time));
    arena_clean_up(&arena);
}

static void complete(const struct event_draft *draft, struct slice received)
{
    const struct event_defaults defaults = {
        .id = SLICE("7bf73129-1428-4cd3-a780-95db273d1602"),
        .account = draft->account.data != NULL ? draft->account : SLICE("111122223333"),
        .region = SLICE("us-east-1"),
        .now_ms = 1767225600000,
    };
    struct event *event = event_complete(draft, &defaults);
    const size_t head_len = received.data != NULL ? slice_find(received, '{') + 1 : 0;

    CHECK(slice_has_prefix(event->bytes, slice_first(received, head_len)));
    CHECK(slice_has_suffix(event->bytes, slice_from(received, head_len)));
    read_again(event);
    event_release(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct arena arena = {0};
    struct event_draft draft;
    struct err_why why = {.text = ""};
    const enum err err = event_read_envelope(text, &arena, &draft, &why);

    if (err == ERR_OK) {
        complete(&draft, text);
    } else {
        CHECK(err == ERR_BAD_JSON || err == ERR_BAD_VALUE);
        CHECK(why.text[0] != '\0');
    }
    if (event_check_detail(text) == ERR_OK) {
        draft = (struct event_draft){
            .source = SLICE("my.app"), .detail_type = SLICE("t"), .detail = text};
        complete(&draft, (struct slice){NULL, 0});
    }
    arena_clean_up(&arena);
    return 0;
}
