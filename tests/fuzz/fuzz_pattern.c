/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: pattern_compile, event_tree_read, pattern_evaluate
 *
 * The input is a pattern, and behind the first NUL an event.  Any bytes either compile or give a
 * refusal in EventBridge's form, never both and never neither; what compiles is JSON for the strict
 * reader, too; what is read as an event is a JSON object for it, and nothing else is; and asking
 * twice gives one answer.
 */
#include "core/check.h"
#include "core/json.h"
#include "routing/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum pattern_verdict evaluate(const struct pattern *pattern, const struct event_tree *tree)
{
    size_t steps_left = PATTERN_STEPS_MAX;
    const enum pattern_verdict verdict = pattern_evaluate(pattern, tree, &steps_left);

    CHECK(steps_left <= PATTERN_STEPS_MAX);
    return verdict;
}

static void match(const struct pattern *pattern, struct slice event)
{
    struct arena arena = {0};
    struct event_tree *tree;
    struct err_why why;
    const enum err err = event_tree_read(event, &arena, &tree, &why);

    CHECK(err == ERR_OK || err == ERR_BAD_JSON);
    if (err == ERR_OK) {
        CHECK(json_check(event, JSON_DEPTH_MAX, NULL) == ERR_OK);
        CHECK(pattern == NULL || evaluate(pattern, tree) == evaluate(pattern, tree));
    } else {
        const size_t at = slice_find(event, '{');

        CHECK(at == event.len || json_check(event, JSON_DEPTH_MAX, NULL) != ERR_OK ||
              slice_trim(slice_first(event, at)).len > 0);
    }
    arena_clean_up(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice event = {(const char *)data, size};
    const struct slice text = slice_cut(&event, '\0');
    struct pattern *pattern = NULL;
    struct err_why why = {.text = ""};
    const enum err err = pattern_compile(text, &pattern, &why);

    CHECK((err == ERR_OK) == (pattern != NULL));
    if (err == ERR_OK) {
        CHECK(json_check(text, JSON_DEPTH_MAX, NULL) == ERR_OK);
        CHECK(slice_eq(pattern_text(pattern), text));
    } else {
        CHECK(err == ERR_BAD_PATTERN);
        CHECK(slice_has_prefix(slice_of(why.text), SLICE("Event pattern is not valid. Reason: ")));
    }
    if (event.data != NULL) {
        match(pattern, event);
    }
    pattern_release(pattern);
    return 0;
}
