/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: matcher_new, matcher_match, scan_run_by
 *
 * The input is some patterns, each behind a line feed, and behind the first NUL an event.  Every
 * kernel of the scanner accepts the event if and only if the plain reader does; and a compiled set
 * of all patterns matches exactly those that the plain evaluator matches.
 */
#include "core/check.h"
#include "routing/matcher.h"
#include "routing/partner_list.h"
#include "routing/pattern.h"
#include "routing/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATTERNS_MAX = 8 };

static size_t compile(struct slice texts, struct pattern *patterns[static PATTERNS_MAX])
{
    size_t count = 0;

    while (texts.data != NULL && count < PATTERNS_MAX) {
        struct err_why why;

        if (pattern_compile(slice_cut(&texts, '\n'), &patterns[count], &why) == ERR_OK) {
            count++;
        }
    }
    return count;
}

static void scan_all_ways(struct slice event, bool is_event)
{
    struct scan scan = {.has_escapes = false};

    for (enum scan_kernel kernel = SCAN_BEST; kernel <= SCAN_AVX512; kernel++) {
        CHECK(!scan_has_kernel(kernel) || scan_run_by(&scan, event, kernel) == is_event);
    }
    scan_clean_up(&scan);
}

/* The lists that patterns of the corpus ask. */
static struct partner_lists *make_lists(void)
{
    static const struct {
        const char *name;
        enum partner_kind kind;
        const char *entry;
    } lists[] = {{"a", PARTNER_ACCOUNTS, "111122223333"},
                 {"c", PARTNER_CIDRS, "10.0.0.0/9"},
                 {"s", PARTNER_STRINGS, "x"}};
    struct partner_lists *all = partner_lists_new();

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct partner_list *list = partner_list_new(lists[i].kind);

        CHECK(partner_list_add(list, slice_of(lists[i].entry), NULL) == ERR_OK);
        partner_lists_put(all, slice_of(lists[i].name), list);
        partner_list_release(list);
    }
    return all;
}

/* A verdict for each pattern against the set's list. */
static void compare(struct pattern *const *patterns, size_t count, const struct event_tree *tree,
                    const struct matcher_answer *answer)
{
    size_t listed = 0;

    for (size_t i = 0; i < count; i++) {
        size_t steps_left = PATTERN_STEPS_MAX;
        const enum pattern_verdict verdict = pattern_evaluate(patterns[i], tree, &steps_left);
        const bool is_listed = listed < answer->match_count && answer->matches[listed] == i;

        CHECK((verdict == PATTERN_MATCH) == is_listed);
        listed += is_listed ? 1 : 0;
    }
    CHECK(listed == answer->match_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice event = {(const char *)data, size};
    const struct slice texts = slice_cut(&event, '\0');
    struct pattern *patterns[PATTERNS_MAX];
    const size_t count = compile(texts, patterns);
    struct matcher *matcher = matcher_new((const struct pattern *const *)patterns, count);
    struct matcher_scratch *scratch = matcher_scratch_new();
    struct partner_lists *lists = make_lists();
    struct arena arena = {0};
    struct event_tree *tree;
    struct matcher_answer answer;
    size_t steps_left = SIZE_MAX;

    matcher_use_lists(scratch, lists);
    if (event.data != NULL) {
        const bool is_event = event_tree_read(event, &arena, &tree, NULL) == ERR_OK;

        scan_all_ways(event, is_event);
        CHECK((matcher_match((const struct matcher *const *)&matcher, 1, event, &steps_left,
                             scratch, &answer) == ERR_OK) == is_event);
        if (is_event) {
            event_tree_use_lists(tree, lists);
            compare(patterns, count, tree, &answer);
        }
    }
    for (size_t i = 0; i < count; i++) {
        pattern_release(patterns[i]);
    }
    matcher_release(matcher);
    matcher_scratch_destroy(scratch);
    partner_lists_release(lists);
    arena_clean_up(&arena);
    return 0;
}
