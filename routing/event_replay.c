/* SPDX-License-Identifier: Apache-2.0
 *
 * event_replay.c - an archived event comes back: its own bytes, and which replay it is of.
 *
 * The service writes `replay-name` between `region` and `resources`.  An envelope that already has
 * one, because its sender replayed it, gets the new one in its place: a key must not stand twice.
 */
#include "core/check.h"
#include "routing/event.h"

/* What of the envelope is left out, for what is put in: nothing at `start`, or a value there. */
struct gap {
    size_t start;
    size_t end;
    bool has_key; /* it is the value of a `replay-name` */
};

static enum err find_gap(struct slice envelope, struct arena *arena, struct gap *gap)
{
    struct json_reader reader;
    struct json_token token;
    bool has_place = false;

    json_reader_init(&reader, envelope, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_JSON;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = json_token_text(&token, arena);
        const size_t start = (size_t)(token.raw.data - envelope.data) - 1;
        const bool is_mark = slice_eq(key, SLICE("replay-name"));
        struct slice value;

        (void)json_next(&reader, &token);
        TRY(json_read_value(&reader, &token, &value));
        if (is_mark) {
            gap->start = (size_t)(value.data - envelope.data);
            gap->end = gap->start + value.len;
            gap->has_key = true;
            return ERR_OK;
        }
        if (!has_place && slice_eq(key, SLICE("resources"))) {
            *gap = (struct gap){.start = start, .end = start};
            has_place = true;
        }
    }
    return has_place ? ERR_OK : ERR_BAD_VALUE;
}

enum err event_replay(struct slice envelope, struct slice replay,
                      const struct event_defaults *defaults, struct event **event)
{
    struct arena arena = {0};
    struct event_draft draft;
    struct gap gap = {.has_key = false};
    struct slice text;
    enum err err = find_gap(envelope, &arena, &gap);

    if (err == ERR_OK) {
        text = arena_printf(&arena,
                            gap.has_key ? "%.*s\"%.*s\"%.*s" : "%.*s\"replay-name\":\"%.*s\",%.*s",
                            SLICE_ARG(slice_first(envelope, gap.start)), SLICE_ARG(replay),
                            SLICE_ARG(slice_from(envelope, gap.end)));
        err = event_read_envelope(text, &arena, &draft, NULL);
    }
    if (err == ERR_OK) {
        *event = event_complete(&draft, defaults);
    }
    arena_clean_up(&arena);
    return err;
}
