/* SPDX-License-Identifier: Apache-2.0
 *
 * target_wire.c - what the kinds of targets that are AWS services have in common on the wire.
 *
 * Where requests go: against AWS the host follows from service, Region and partition; an override
 * of the configuration replaces scheme, authority and the beginning of the path, as the SDKs'
 * AWS_ENDPOINT_URL does, and the signature covers what is really sent.
 *
 * What a delivery is called: one digest serves as name of an execution, client token and
 * deduplication id, so that a repeated attempt is recognised wherever the service can.
 *
 * Pure; memory is the caller's arena.
 */
#include "delivery/target_wire.h"

#include "core/check.h"
#include "core/json.h"

/* ---- places ------------------------------------------------------------------------------- */

struct slice target_endpoint(const struct target_options *options, struct slice service)
{
    struct slice general = {NULL, 0};

    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct target_endpoint *endpoint = &options->endpoints[i];

        if (slice_eq(endpoint->service, service) && endpoint->url.len > 0) {
            return endpoint->url;
        }
        if (endpoint->service.len == 0) {
            general = endpoint->url;
        }
    }
    return general;
}

void target_place_set(struct target_place *place, struct slice url, struct arena *arena)
{
    struct slice rest = url;
    size_t slash;

    if (slice_has_suffix(rest, SLICE("/"))) {
        rest.len--;
    }
    place->url = arena_printf(arena, "%.*s/", SLICE_ARG(rest)).data;
    rest = slice_of(place->url);
    rest = slice_from(rest, slice_has_prefix(rest, SLICE("https://")) ? 8 : 7);
    slash = slice_find(rest, '/');
    place->host = slice_first(rest, slash);
    place->path = slice_from(rest, slash);
}

void target_place_open(struct target_place *place, const struct target_options *options,
                       const struct arn *arn, struct arena *arena)
{
    const struct slice endpoint = target_endpoint(options, arn->service);
    const char *suffix = slice_eq(arn->partition, SLICE("aws-cn")) ? ".cn" : "";

    *place = (struct target_place){.service = arn->service, .region = arn->region};
    if (endpoint.len > 0) {
        target_place_set(place, endpoint, arena);
    } else {
        target_place_set(place,
                         arena_printf(arena, "https://%.*s.%.*s.amazonaws.com%s",
                                      SLICE_ARG(arn->service), SLICE_ARG(arn->region), suffix),
                         arena);
    }
}

static bool is_in(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

bool target_name_is(struct slice name, size_t max, const char *more)
{
    static const char letters[] =
        "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < name.len; i++) {
        if (!is_in(name.data[i], letters) && !is_in(name.data[i], more)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= max;
}

bool target_arn_is(const struct arn *arn, struct slice service)
{
    for (size_t i = 0; i < arn->account.len; i++) {
        if (!is_in(arn->account.data[i], "0123456789")) {
            return false;
        }
    }
    return slice_eq(arn->service, service) && target_name_is(arn->region, 32, "") &&
           arn->account.len == 12 && target_name_is(arn->partition, 16, "");
}

/* ---- requests ----------------------------------------------------------------------------- */

void target_begin_post(const struct target_place *place, struct slice content_type,
                       struct target_request *request)
{
    request->method = "POST";
    request->url = place->url;
    request->path = place->path;
    request->host = place->host;
    request->headers[0] = (struct header){SLICE("content-type"), content_type};
    request->header_count = 1;
    request->service = place->service;
    request->region = place->region;
}

void target_begin_json(const struct target_place *place, const char *version, struct slice action,
                       struct target_request *request)
{
    const bool is_old = strcmp(version, "1.0") == 0;

    CHECK(is_old || strcmp(version, "1.1") == 0);
    target_begin_post(
        place, is_old ? SLICE("application/x-amz-json-1.0") : SLICE("application/x-amz-json-1.1"),
        request);
    request->headers[request->header_count++] = (struct header){SLICE("x-amz-target"), action};
}

/* Each field with its length before it, so that no two lists of fields write the same bytes. */
void target_identity(const struct target_item *item, struct digest *digest)
{
    const struct slice fields[] = {item->account,   item->event_id, item->rule,
                                   item->target_id, item->step,     item->event};
    struct digest_stream stream = {0};
    char length[24];

    digest_stream_begin(&stream);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        (void)snprintf(length, sizeof(length), "%zu:", fields[i].len);
        digest_stream_add(&stream, slice_of(length));
        digest_stream_add(&stream, fields[i]);
    }
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
}

/* ---- replies ------------------------------------------------------------------------------ */

bool target_reply_is_good(const struct target_reply *reply)
{
    return reply->err == ERR_OK && reply->status >= 200 && reply->status <= 299;
}

struct slice target_reply_text(const struct target_reply *reply, struct slice key,
                               struct arena *arena)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;

    json_reader_init(&reader, reply->body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return (struct slice){NULL, 0};
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const bool is_wanted = slice_eq(token.raw, key);

        if (json_next(&reader, &token) == JSON_TYPE_STRING && is_wanted) {
            return json_token_text(&token, arena);
        }
        if (json_read_value(&reader, &token, &skipped) != ERR_OK) {
            break;
        }
    }
    return (struct slice){NULL, 0};
}

void target_judge_whole(const struct target_reply *reply, const struct target_error *own,
                        size_t own_count, size_t count, struct arena *arena,
                        struct target_verdict *verdicts)
{
    struct target_verdict *first = &verdicts[0];
    struct target_fault fault;

    CHECK(count >= 1);
    target_fault_read(reply, arena, &fault);
    target_fault_judge(reply, &fault, own, own_count, first);
    if (count > 1 && first->action == TARGET_BURY && first->err == ERR_REMOTE_REJECTED) {
        first->action = TARGET_SPLIT;
        first->reason = NULL;
    }
    for (size_t i = 1; i < count; i++) {
        verdicts[i] = *first;
    }
}

void target_settle(struct target_verdict *verdict)
{
    target_verdict_set(verdict, TARGET_SETTLE, ERR_OK, NULL, SLICE(""), SLICE(""));
}

void target_bad_reply(struct target_verdict *verdict, struct slice text)
{
    target_verdict_set(verdict, TARGET_RETRY, ERR_REMOTE_FAILED, NULL, SLICE("BadReply"), text);
}

bool target_refuse(struct target_verdict *verdict, enum err err, const char *reason,
                   struct slice code, struct slice text)
{
    target_verdict_set(verdict, TARGET_BURY, err, reason, code, text);
    return false;
}
