/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_explain.c - why an event does not match: GET and POST /v1/explain.
 *
 *     {"rule": "central/NAME", "event": {…}}        that rule
 *     {"all": true, "event": {…}, "bus": NAME}      of all rules that the event meets on that bus
 * of its account and on the central bus, those that match and those that nearly do
 *
 * A GET says the same in its query.  The event counts with its exact text.  It is judged by the
 * rules in force and goes nowhere.
 *
 * The work is bounded, because it runs between changes: so many rules, and one budget of search
 * steps for all of them.  An answer that could not look at every rule says so.
 *
 * Memory: the request's arena; the answer in a buf.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/json.h"
#include "routing/event_tree.h"
#include "routing/explain.h"

enum {
    RULES_MAX = 10000,
    MISSES_MAX = 20,
    MATCHES_MAX = 100,
    ANSWER_BYTES_MAX = 8 << 20,
    LABEL_SHOWN_MAX = 256,
};

struct question {
    struct slice rule; /* its label, or */
    bool is_all;
    struct slice bus;
    struct slice event; /* JSON text */
};

/* ---- reading ------------------------------------------------------------------------------- */

static enum err read_text(struct json_reader *reader, struct json_token *token, struct arena *arena,
                          struct slice *text)
{
    if (json_next(reader, token) == JSON_TYPE_STRING) {
        *text = json_token_text(token, arena);
        return ERR_OK;
    }
    return token->type == JSON_TYPE_ERROR ? ERR_BAD_JSON : ERR_BAD_REQUEST;
}

/* The value of the member `key`, which was just read. */
static enum err read_member(struct json_reader *reader, struct json_token *token, struct slice key,
                            struct arena *arena, struct question *question)
{
    if (slice_eq(key, SLICE("rule"))) {
        return read_text(reader, token, arena, &question->rule);
    }
    if (slice_eq(key, SLICE("bus"))) {
        return read_text(reader, token, arena, &question->bus);
    }
    if (json_next(reader, token) == JSON_TYPE_ERROR) {
        return ERR_BAD_JSON;
    }
    if (slice_eq(key, SLICE("event"))) {
        return json_read_value(reader, token, &question->event);
    }
    question->is_all = token->type == JSON_TYPE_TRUE;
    return slice_eq(key, SLICE("all")) &&
                   (token->type == JSON_TYPE_TRUE || token->type == JSON_TYPE_FALSE)
               ? ERR_OK
               : ERR_BAD_REQUEST;
}

static enum err read_body(struct slice body, struct arena *arena, struct question *question,
                          struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, body, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN && token.type != JSON_TYPE_ERROR) {
        return err_because(ERR_BAD_REQUEST, why, "the body must be an object");
    }
    while (token.type != JSON_TYPE_ERROR && json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = json_token_text(&token, arena);

        if (read_member(&reader, &token, key, arena, question) == ERR_BAD_REQUEST) {
            return err_because(ERR_BAD_REQUEST, why, "%.*s: unknown member, or not of its type",
                               SLICE_ARG(slice_first(key, LABEL_SHOWN_MAX)));
        }
    }
    if (token.type == JSON_TYPE_ERROR || json_next(&reader, &token) != JSON_TYPE_END) {
        return json_fault(&reader, why);
    }
    return ERR_OK;
}

static enum err read_question(const struct admin_call *call, struct question *question,
                              struct err_why *why)
{
    struct request *request = call->request;

    *question = (struct question){.bus = SLICE("default")};
    if (slice_eq(request->method, SLICE("POST"))) {
        TRY(read_body(buf_slice(&request->body), &request->arena, question, why));
    } else {
        const struct slice bus = admin_parameter(call, SLICE("bus"));

        question->rule = admin_parameter(call, SLICE("rule"));
        question->event = admin_parameter(call, SLICE("event"));
        question->is_all = slice_eq(admin_parameter(call, SLICE("all")), SLICE("true"));
        question->bus = bus.data != NULL ? bus : question->bus;
    }
    if (question->event.len == 0) {
        return err_because(ERR_BAD_REQUEST, why, "event: is missing");
    }
    if ((question->rule.len > 0) == question->is_all) {
        return err_because(ERR_BAD_REQUEST, why, "name a `rule`, or ask for `all`");
    }
    return ERR_OK;
}

/* ---- one rule ------------------------------------------------------------------------------ */

/* "central/NAME" or "ACCOUNT/BUS/NAME"; only the name of a bus may hold a slash. */
static const struct rule *find_rule(const struct ruleset *ruleset, struct slice label)
{
    const struct rule *rule;
    size_t slash = label.len;

    while (slash > 0 && label.data[slash - 1] != '/') {
        slash--;
    }
    rule = ruleset_rule(ruleset, slice_first(label, slash > 0 ? slash - 1 : 0),
                        slice_from(label, slash));
    return rule != NULL && rule->archive == 0 ? rule : NULL;
}

static enum err explain_rule(const struct ruleset *ruleset, const struct question *question,
                             const struct event_tree *tree, struct json_writer *writer,
                             struct err_why *why)
{
    const struct rule *rule = find_rule(ruleset, question->rule);
    size_t steps_left = PATTERN_STEPS_MAX;
    struct explanation explanation;

    if (rule == NULL) {
        return err_because(ERR_NOT_FOUND, why, "there is no rule %.*s",
                           SLICE_ARG(slice_first(question->rule, LABEL_SHOWN_MAX)));
    }
    if (rule->pattern == NULL) {
        return err_because(ERR_BAD_REQUEST, why, "%.*s has a schedule, and no pattern",
                           SLICE_ARG(rule->label));
    }
    explain(rule->pattern, tree, &steps_left, &explanation);
    json_write_key_string(writer, SLICE("rule"), rule->label);
    json_write_key_bool(writer, SLICE("enabled"), rule->is_enabled);
    explain_write(&explanation, writer);
    return ERR_OK;
}

/* ---- all rules ----------------------------------------------------------------------------- */

struct miss {
    const struct rule *rule;
    struct explanation explanation;
};

struct survey {
    const struct event_tree *tree;
    size_t steps_left;
    size_t rule_count, examined_count, match_count, miss_count;
    const struct rule *matches[MATCHES_MAX];
    struct miss misses[MISSES_MAX]; /* the nearest first */
};

/* By how many conditions fail, then by how many hold; of equals the earlier stays. */
static bool is_nearer(const struct explanation *a, const struct explanation *b)
{
    return a->failed_count != b->failed_count ? a->failed_count < b->failed_count
                                              : a->condition_count > b->condition_count;
}

static void note_miss(struct survey *survey, const struct rule *rule,
                      const struct explanation *explanation)
{
    size_t at = survey->miss_count;

    while (at > 0 && is_nearer(explanation, &survey->misses[at - 1].explanation)) {
        at--;
    }
    if (at == MISSES_MAX) {
        return;
    }
    survey->miss_count = MIN_OF(survey->miss_count + 1, (size_t)MISSES_MAX);
    memmove(&survey->misses[at + 1], &survey->misses[at],
            sizeof(survey->misses[0]) * (survey->miss_count - at - 1));
    survey->misses[at] = (struct miss){.rule = rule, .explanation = *explanation};
}

static void survey_bus(struct survey *survey, const struct ruleset *ruleset, struct slice bus)
{
    struct arena arena = {0};
    struct rule **rules;
    const size_t count = ruleset_rules(ruleset, bus, &arena, &rules);

    for (size_t i = 0; i < count; i++) {
        struct explanation explanation;

        if (!rules[i]->is_enabled || rules[i]->pattern == NULL || rules[i]->archive != 0) {
            continue;
        }
        survey->rule_count++;
        if (survey->examined_count == RULES_MAX || survey->steps_left == 0) {
            continue;
        }
        survey->examined_count++;
        explain(rules[i]->pattern, survey->tree, &survey->steps_left, &explanation);
        if (explanation.reason != EXPLAIN_MATCH) {
            note_miss(survey, rules[i], &explanation);
        } else if (survey->match_count++ < MATCHES_MAX) {
            survey->matches[survey->match_count - 1] = rules[i];
        }
    }
    arena_clean_up(&arena);
}

static void write_survey(const struct survey *survey, struct json_writer *writer)
{
    json_write_key_u64(writer, SLICE("rules"), survey->rule_count);
    json_write_key_u64(writer, SLICE("examined"), survey->examined_count);
    json_write_key_u64(writer, SLICE("matched"), survey->match_count);
    json_write_key(writer, SLICE("matches"));
    json_write_array_begin(writer);
    for (size_t i = 0; i < MIN_OF(survey->match_count, (size_t)MATCHES_MAX); i++) {
        json_write_string(writer, survey->matches[i]->label);
    }
    json_write_array_end(writer);
    json_write_key(writer, SLICE("misses"));
    json_write_array_begin(writer);
    for (size_t i = 0; i < survey->miss_count; i++) {
        json_write_object_begin(writer);
        json_write_key_string(writer, SLICE("rule"), survey->misses[i].rule->label);
        explain_write(&survey->misses[i].explanation, writer);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

/* "ACCOUNT/NAME" */
static struct slice bus_of(struct slice account, struct slice name, struct arena *arena)
{
    char *key = arena_alloc(arena, account.len + 1 + name.len);

    memcpy(key, account.data, account.len);
    key[account.len] = '/';
    memcpy(key + account.len + 1, name.data, name.len);
    return (struct slice){key, account.len + 1 + name.len};
}

static enum err explain_all(const struct ruleset *ruleset, const struct question *question,
                            const struct event_tree *tree, struct arena *arena,
                            struct json_writer *writer, struct err_why *why)
{
    const struct event_path *path = event_tree_find(tree, SLICE("account"));
    struct survey *survey;

    if (path == NULL || path->leaves[0]->type != LEAF_STRING || path->leaves[0]->text.len == 0) {
        return err_because(ERR_BAD_REQUEST, why, "event: has no account, so no bus to look at");
    }
    survey = xcalloc(1, sizeof(*survey));
    survey->tree = tree;
    survey->steps_left = RULESET_STEPS_MAX;
    survey_bus(survey, ruleset, bus_of(path->leaves[0]->text, question->bus, arena));
    survey_bus(survey, ruleset, SLICE("central"));
    write_survey(survey, writer);
    xfree(survey);
    return ERR_OK;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static enum err answer(const struct admin_call *call, struct buf *out, struct err_why *why)
{
    const struct ruleset *ruleset = control_snapshot(call->control)->ruleset;
    struct question question;
    struct event_tree *tree;
    struct json_writer writer;

    TRY(read_question(call, &question, why));
    TRY(event_tree_read(question.event, &call->request->arena, &tree, why));
    event_tree_use_lists(tree, ruleset_lists(control_snapshot(call->control)->ruleset));
    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    if (question.is_all) {
        TRY(explain_all(ruleset, &question, tree, &call->request->arena, &writer, why));
    } else {
        TRY(explain_rule(ruleset, &question, tree, &writer, why));
    }
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

void admin_explain(struct admin_call *call)
{
    struct err_why why = {.text = ""};
    struct buf out;
    enum err err;

    buf_init(&out, ANSWER_BYTES_MAX);
    err = answer(call, &out, &why);
    if (err == ERR_OK) {
        admin_respond_json(call->request, buf_slice(&out));
    } else {
        admin_respond_error(call->request, err, &why);
    }
    buf_clean_up(&out);
}
