/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_item.c - what the target gets of one delivery.
 *
 * It is made anew at each attempt, from the event as it was stored and the target as it is
 * described now: a template that is put right heals what still waits, and a dead letter keeps the
 * event itself.
 *
 * Memory: the call's arena; what was not changed is borrowed from the delivery and the snapshot.
 */
#include "delivery/delivery_internal.h"

#include "routing/rule.h"
#include "routing/sequence.h"

static enum err transform_body(struct call *call, const struct delivery *delivery,
                               struct slice document, struct slice *body, struct err_why *why)
{
    const struct rule *rule = delivery->lane->rule;
    const struct transform_source source = {.event = delivery->body,
                                            .document = document,
                                            .rule_arn = rule->arn,
                                            .rule_name = rule->name,
                                            .accepted_ms = delivery->accepted_ms};

    buf_clear(&call->input);
    TRY(transform_render(delivery->lane->target->transform, &source, &call->arena, &call->input,
                         why));
    *body = arena_copy(&call->arena, buf_slice(&call->input));
    return ERR_OK;
}

/* One pass over the document for each value that is a path; most are none. */
static enum err fill_parameter(struct call *call, const struct path_parameter *parameter,
                               struct slice document, struct slice *value)
{
    return path_parameter_fill(parameter, document, call->engine->options.input_bytes_max,
                               &call->arena, value);
}

static enum err fill_named(struct call *call, const struct rule_parameter *parameters, size_t count,
                           struct slice document, const struct header **filled)
{
    struct header *headers = ARENA_ARRAY(&call->arena, struct header, count);

    for (size_t i = 0; i < count; i++) {
        headers[i].name = parameters[i].name;
        TRY(fill_parameter(call, &parameters[i].value, document, &headers[i].value));
    }
    *filled = headers;
    return ERR_OK;
}

static enum err fill_http(struct call *call, const struct rule_http *rule, struct slice document,
                          struct target_item *item)
{
    struct target_http *http = ARENA_NEW(&call->arena, struct target_http);
    struct slice *values = ARENA_ARRAY(&call->arena, struct slice, rule->path_value_count);

    *http = (struct target_http){.path_values = values,
                                 .path_value_count = rule->path_value_count,
                                 .header_count = rule->header_count,
                                 .query_count = rule->query_count};
    for (size_t i = 0; i < rule->path_value_count; i++) {
        TRY(fill_parameter(call, &rule->path_values[i], document, &values[i]));
    }
    TRY(fill_named(call, rule->headers, rule->header_count, document, &http->headers));
    TRY(fill_named(call, rule->queries, rule->query_count, document, &http->queries));
    item->http = http;
    return ERR_OK;
}

bool delivery_item_fill(struct call *call, const struct delivery *delivery,
                        struct target_item *item, struct target_verdict *verdict)
{
    const struct lane *lane = delivery->lane;
    const struct rule_target *target = lane->target;
    struct slice document = delivery->body; /* that paths are read in */
    struct err_why why;
    enum err err = ERR_OK;

    why.text[0] = '\0';
    *item = (struct target_item){.body = delivery->body,
                                 .event = delivery->body,
                                 .event_id = delivery->event_id,
                                 .account = slice_first(lane->name, slice_find(lane->name, '/')),
                                 .rule = lane->label,
                                 .target_id = target->id};
    if (lane->is_dlq) {
        delivery_dlq_unwrap(delivery->body, &call->arena, item);
        return true;
    }
    if (lane->step != NULL) {
        item->step = lane->step->name;
        item->wants_reply = lane->step->keep_count > 0;
        document = sequence_document(delivery->body, delivery->state, &call->arena);
    }
    if (target->transform != NULL) {
        err = transform_body(call, delivery, document, &item->body, &why);
    }
    if (err == ERR_OK) {
        err = path_parameter_fill(&target->message_group_id, document,
                                  call->engine->options.input_bytes_max, &call->arena,
                                  &item->message_group_id);
    }
    if (err == ERR_OK && target->http != NULL) {
        err = fill_http(call, target->http, document, item);
    }
    if (err != ERR_OK) {
        target_verdict_set(
            verdict, TARGET_BURY, err, err == ERR_TOO_LARGE ? "input-too-large" : "invalid-input",
            SLICE("InputTransformer"), slice_of(why.text[0] != '\0' ? why.text : err_text(err)));
    }
    return err == ERR_OK;
}
