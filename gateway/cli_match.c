/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_match.c - `weir match` and `weir test-pattern`: ask the matcher without a gateway.
 *
 * Both read lines of JSON and answer each with a line, in order.  Where a pattern or an event is
 * asked for, a JSON value counts with its exact text, so numbers keep their spelling and keys may
 * repeat; a string stands for the text it holds.  Any JSON object is an event here: only the API
 * asks for an envelope.
 *
 * A line that cannot be answered gets {"error": …} in its place, so that answers stay in step with
 * questions, and the exit code tells at the end.
 *
 * Memory: one line at a time; rules, and with --bench all events, until the end.
 */
#include "gateway/cli_match.h"

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/map.h"
#include "core/moment.h"
#include "gateway/cli.h"
#include "gateway/cli_lines.h"
#include "routing/pattern.h"

enum {
    RULES_BYTES_MAX = 1 << 30,
    LINE_BYTES_MAX = 64 << 20,
    BENCH_PASSES_MAX = 1000000,
};

/* ---- what a line holds ---------------------------------------------------------------------- */

/* The text that a JSON value stands for; the value's first token was just read. */
static enum err read_text(struct json_reader *reader, const struct json_token *token,
                          struct arena *arena, struct slice *text)
{
    if (token->type == JSON_TYPE_STRING) {
        *text = json_token_text(token, arena);
        return ERR_OK;
    }
    return json_read_value(reader, token, text);
}

/* An event as a line holds it: an object, or a string with the text of one. */
static enum err read_event(struct slice line, struct arena *arena, struct event_tree **tree,
                           struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, line, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) == JSON_TYPE_STRING) {
        const struct slice text = json_token_text(&token, arena);

        if (json_next(&reader, &token) != JSON_TYPE_END) {
            return json_fault(&reader, why);
        }
        line = text;
    }
    return event_tree_read(line, arena, tree, why);
}

/* ---- rules --------------------------------------------------------------------------------- */

struct named_rule {
    struct slice name;
    struct pattern *pattern;
    struct named_rule *next; /* in the order of the file */
};

struct rule_file {
    struct buf text;
    struct arena arena;
    struct map names;
    struct named_rule **rules; /* sorted by name */
    size_t count;
    struct named_rule *first;
    uint64_t build_us;
};

static int compare_names(const void *a, const void *b)
{
    const struct named_rule *const *left = a;
    const struct named_rule *const *right = b;

    return slice_compare((*left)->name, (*right)->name);
}

/* One member of the rules file.  False, with the reason printed, if it is no rule. */
static bool read_rule(struct rule_file *file, struct json_reader *reader, struct json_token *token)
{
    struct named_rule *rule = ARENA_NEW(&file->arena, struct named_rule);
    struct err_why why = {.text = "the rule is not a pattern"};
    struct slice text;

    rule->name = json_token_text(token, &file->arena);
    if (json_next(reader, token) == JSON_TYPE_ERROR ||
        read_text(reader, token, &file->arena, &text) != ERR_OK) {
        return true; /* the caller sees the fault */
    }
    if (map_put(&file->names, rule->name, rule) != NULL) {
        (void)fprintf(stderr, "weir: rule \"%.*s\" is named twice\n", SLICE_ARG(rule->name));
        return false;
    }
    if (pattern_compile(text, &rule->pattern, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: rule \"%.*s\": %s\n", SLICE_ARG(rule->name), why.text);
        return false;
    }
    rule->next = file->first;
    file->first = rule;
    file->count++;
    return true;
}

static bool read_members(struct rule_file *file)
{
    struct json_reader reader;
    struct json_token token;
    struct err_why why;
    bool is_good = true;

    json_reader_init(&reader, buf_slice(&file->text), JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN && token.type != JSON_TYPE_ERROR) {
        (void)fprintf(stderr, "weir: the rules must be an object of patterns by name\n");
        return false;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        is_good = read_rule(file, &reader, &token) && is_good;
    }
    if (token.type != JSON_TYPE_OBJECT_END || json_next(&reader, &token) != JSON_TYPE_END) {
        (void)json_fault(&reader, &why);
        (void)fprintf(stderr, "weir: the rules are not valid JSON: %s\n", why.text);
        return false;
    }
    return is_good;
}

static bool read_rules(struct rule_file *file, const char *path)
{
    struct err_why why = {.text = ""};
    const uint64_t start_us = moment_steady_us();
    size_t i = 0;

    buf_init(&file->text, RULES_BYTES_MAX);
    if (file_read(path, &file->text, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    if (!read_members(file)) {
        return false;
    }
    file->rules = ARENA_ARRAY(&file->arena, struct named_rule *, file->count);
    for (struct named_rule *rule = file->first; rule != NULL; rule = rule->next) {
        file->rules[i++] = rule;
    }
    qsort(file->rules, file->count, sizeof(struct named_rule *), compare_names);
    file->build_us = moment_steady_us() - start_us;
    return true;
}

static void rule_file_clean_up(struct rule_file *file)
{
    for (struct named_rule *rule = file->first; rule != NULL; rule = rule->next) {
        pattern_release(rule->pattern);
    }
    map_clean_up(&file->names);
    arena_clean_up(&file->arena);
    buf_clean_up(&file->text);
}

static size_t rule_file_bytes(const struct rule_file *file)
{
    size_t bytes = 0;

    for (size_t i = 0; i < file->count; i++) {
        bytes += sizeof(*file->rules[i]) + pattern_memory_bytes(file->rules[i]->pattern);
    }
    return bytes;
}

/* ---- match --------------------------------------------------------------------------------- */

static const char match_usage[] =
    "usage: weir match --rules RULES.json [--bench N] [EVENTS.ndjson]\n"
    "\n"
    "Hold every line of EVENTS (standard input without a file) against every rule and print the\n"
    "names of the rules that match, sorted, as a JSON array.  RULES.json is {\"NAME\": PATTERN, "
    "…}.\n"
    "A line that is no event prints {\"error\": …}, and the exit code is 1 at the end.\n"
    "\n"
    "--bench N loads the events first, matches all of them N times on one thread, and prints one\n"
    "object: events, bytes, rules and matches of one pass; seconds of all passes, events and\n"
    "megabytes per second; ruleset_bytes and build_seconds of the rules.\n";

/* The names that match one event, as a JSON array into `out`. */
static void answer_event(const struct rule_file *file, const struct event_tree *tree,
                         struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    json_write_array_begin(&writer);
    for (size_t i = 0; i < file->count; i++) {
        if (pattern_matches(file->rules[i]->pattern, tree)) {
            json_write_string(&writer, file->rules[i]->name);
        }
    }
    json_write_array_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
}

static int match_lines(const struct rule_file *file, FILE *events)
{
    struct arena arena = {0};
    struct buf line;
    struct buf out;
    int code = CLI_DONE;

    buf_init(&line, LINE_BYTES_MAX);
    buf_init(&out, SIZE_MAX / 2);
    for (;;) {
        struct err_why why = {.text = "the line is too long"};
        const enum cli_line result = cli_read_line(events, &line);
        struct event_tree *tree = NULL;

        if (result == CLI_LINE_END) {
            break;
        }
        if (result == CLI_LINE_READ &&
            read_event(buf_slice(&line), &arena, &tree, &why) == ERR_OK) {
            answer_event(file, tree, &out);
        } else {
            cli_put_error(why.text, &out);
            code = CLI_FAILED;
        }
        cli_print_line(&out);
        arena_reset(&arena);
    }
    arena_clean_up(&arena);
    buf_clean_up(&line);
    buf_clean_up(&out);
    return code;
}

/* ---- bench --------------------------------------------------------------------------------- */

struct bench_event {
    struct slice text;
    struct bench_event *next;
};

struct bench {
    struct arena arena; /* the events */
    struct bench_event *first;
    size_t event_count;
    size_t byte_count;
    size_t match_count; /* of one pass */
    uint64_t elapsed_us;
};

static bool load_events(struct bench *bench, FILE *events)
{
    struct bench_event **last = &bench->first;
    struct buf line;
    enum cli_line result;

    buf_init(&line, LINE_BYTES_MAX);
    while ((result = cli_read_line(events, &line)) == CLI_LINE_READ) {
        struct bench_event *event = ARENA_NEW(&bench->arena, struct bench_event);

        event->text = arena_copy(&bench->arena, buf_slice(&line));
        bench->event_count++;
        bench->byte_count += line.len;
        *last = event;
        last = &event->next;
    }
    buf_clean_up(&line);
    if (result == CLI_LINE_TOO_LONG) {
        (void)fprintf(stderr, "weir: event %zu is too long\n", bench->event_count + 1);
    }
    return result == CLI_LINE_END;
}

/* All events once. */
static bool run_pass(struct bench *bench, const struct rule_file *file, struct arena *arena)
{
    size_t number = 0;

    bench->match_count = 0;
    for (const struct bench_event *event = bench->first; event != NULL; event = event->next) {
        struct event_tree *tree = NULL;
        struct err_why why;

        number++;
        arena_reset(arena);
        if (read_event(event->text, arena, &tree, &why) != ERR_OK) {
            (void)fprintf(stderr, "weir: event %zu: %s\n", number, why.text);
            return false;
        }
        for (size_t i = 0; i < file->count; i++) {
            bench->match_count += pattern_matches(file->rules[i]->pattern, tree) ? 1 : 0;
        }
    }
    return true;
}

static void write_decimal(struct json_writer *writer, struct slice key, double value)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%.6f", value);
    json_write_key(writer, key);
    json_write_raw(writer, slice_of(text));
}

static void print_bench(const struct bench *bench, const struct rule_file *file, uint64_t passes)
{
    const double seconds = (double)MAX_OF(bench->elapsed_us, 1) / 1e6;
    const double count = (double)passes;
    struct json_writer writer;
    struct buf out;

    buf_init(&out, 4096);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    json_write_key_u64(&writer, SLICE("events"), bench->event_count);
    json_write_key_u64(&writer, SLICE("bytes"), bench->byte_count);
    json_write_key_u64(&writer, SLICE("rules"), file->count);
    json_write_key_u64(&writer, SLICE("matches"), bench->match_count);
    write_decimal(&writer, SLICE("seconds"), seconds);
    write_decimal(&writer, SLICE("events_per_second"),
                  count * (double)bench->event_count / seconds);
    write_decimal(&writer, SLICE("megabytes_per_second"),
                  count * (double)bench->byte_count / 1e6 / seconds);
    json_write_key_u64(&writer, SLICE("ruleset_bytes"), rule_file_bytes(file));
    write_decimal(&writer, SLICE("build_seconds"), (double)file->build_us / 1e6);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    cli_print_line(&out);
    buf_clean_up(&out);
}

static int match_bench(const struct rule_file *file, FILE *events, uint64_t passes)
{
    struct bench bench = {.event_count = 0};
    struct arena arena = {0};
    bool is_good = load_events(&bench, events);
    const uint64_t start_us = moment_steady_us();

    for (uint64_t pass = 0; is_good && pass < passes; pass++) {
        is_good = run_pass(&bench, file, &arena);
    }
    bench.elapsed_us = moment_steady_us() - start_us;
    if (is_good) {
        print_bench(&bench, file, passes);
    }
    arena_clean_up(&arena);
    arena_clean_up(&bench.arena);
    return is_good ? CLI_DONE : CLI_FAILED;
}

static int match_file(const struct rule_file *file, const char *path, uint64_t passes)
{
    FILE *events = path != NULL && strcmp(path, "-") != 0 ? fopen(path, "rb") : stdin;
    int code;

    if (events == NULL) {
        (void)fprintf(stderr, "weir: cannot open %s\n", path);
        return CLI_FAILED;
    }
    code = passes > 0 ? match_bench(file, events, passes) : match_lines(file, events);
    if (ferror(events) != 0) {
        (void)fprintf(stderr, "weir: cannot read the events\n");
        code = CLI_FAILED;
    }
    if (events != stdin) {
        (void)fclose(events);
    }
    return cli_finish(code);
}

int cli_match(int argc, char **argv)
{
    struct cli_common common = {0};
    const char *rules = NULL;
    const char *bench = NULL;
    const char *path = NULL;
    const struct cli_option options[] = {
        {"--rules", &rules, NULL}, {"--bench", &bench, NULL}, {NULL, NULL, NULL}};
    struct rule_file file = {.count = 0};
    size_t operand_count;
    uint64_t passes = 0;
    int code;

    if (!cli_parse(argc, argv, options, &common, &path, 1, &operand_count, match_usage, &code)) {
        return code;
    }
    if (rules == NULL) {
        (void)fprintf(stderr, "weir: --rules RULES.json is needed\n%s", match_usage);
        return CLI_USAGE;
    }
    if (bench != NULL &&
        (!slice_to_u64(slice_of(bench), &passes) || passes == 0 || passes > BENCH_PASSES_MAX)) {
        (void)fprintf(stderr, "weir: --bench takes a number from 1 to %d\n%s", BENCH_PASSES_MAX,
                      match_usage);
        return CLI_USAGE;
    }
    code = read_rules(&file, rules) ? match_file(&file, path, passes) : CLI_FAILED;
    rule_file_clean_up(&file);
    return code;
}

/* ---- test-pattern -------------------------------------------------------------------------- */

static const char test_usage[] =
    "usage: weir test-pattern\n"
    "\n"
    "Read lines {\"id\": …, \"pattern\": …, \"event\": …} from standard input and answer each, in\n"
    "order, with {\"id\": …, \"match\": true|false} or {\"id\": …, \"error\": MESSAGE}, where "
    "MESSAGE "
    "is\n"
    "the one that EventBridge's TestEventPattern gives.\n";

struct question {
    struct slice id; /* JSON text; null if none was read */
    struct slice pattern;
    struct slice event;
};

/* One member of a question; its key was just read. */
static enum err read_question_member(struct json_reader *reader, struct json_token *token,
                                     struct arena *arena, struct question *question)
{
    const struct slice key = json_token_text(token, arena);
    struct slice other;

    if (json_next(reader, token) == JSON_TYPE_ERROR) {
        return ERR_BAD_JSON;
    }
    if (slice_eq(key, SLICE("pattern"))) {
        return read_text(reader, token, arena, &question->pattern);
    }
    if (slice_eq(key, SLICE("event"))) {
        return read_text(reader, token, arena, &question->event);
    }
    TRY(json_read_value(reader, token, &other));
    if (slice_eq(key, SLICE("id"))) {
        question->id = other;
    }
    return ERR_OK;
}

static enum err read_question(struct slice line, struct arena *arena, struct question *question,
                              struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    *question = (struct question){.id = SLICE("null")};
    json_reader_init(&reader, line, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) == JSON_TYPE_OBJECT_BEGIN) {
        while (json_next(&reader, &token) == JSON_TYPE_KEY) {
            if (read_question_member(&reader, &token, arena, question) != ERR_OK) {
                return json_fault(&reader, why);
            }
        }
        if (token.type != JSON_TYPE_ERROR) {
            (void)json_next(&reader, &token);
        }
    }
    if (token.type == JSON_TYPE_ERROR) {
        return json_fault(&reader, why);
    }
    if (token.type != JSON_TYPE_END || question->pattern.data == NULL ||
        question->event.data == NULL) {
        return err_because(ERR_BAD_VALUE, why,
                           "a line must be an object with `pattern` and `event`");
    }
    return ERR_OK;
}

static enum err ask(const struct question *question, struct arena *arena, bool *matches,
                    struct err_why *why)
{
    struct pattern *pattern = NULL;
    struct event_tree *tree;
    enum err err;

    TRY(pattern_compile(question->pattern, &pattern, why));
    err = event_tree_read(question->event, arena, &tree, NULL);
    if (err == ERR_OK) {
        *matches = pattern_matches(pattern, tree);
    } else {
        (void)err_because(err, why, "Parameter Event is not valid.");
    }
    pattern_release(pattern);
    return err;
}

/* Answer one line into `out`.  False if the line was no question. */
static bool answer_question(struct slice line, struct arena *arena, struct buf *out)
{
    struct question question;
    struct err_why why = {.text = ""};
    struct json_writer writer;
    bool matches = false;
    const bool is_question = read_question(line, arena, &question, &why) == ERR_OK;
    const bool is_answered = is_question && ask(&question, arena, &matches, &why) == ERR_OK;

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("id"));
    json_write_raw(&writer, question.id);
    if (is_answered) {
        json_write_key_bool(&writer, SLICE("match"), matches);
    } else {
        json_write_key_string(&writer, SLICE("error"), slice_of(why.text));
    }
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    return is_question;
}

int cli_test_pattern(int argc, char **argv)
{
    struct cli_common common = {0};
    const struct cli_option options[] = {{NULL, NULL, NULL}};
    struct arena arena = {0};
    struct buf line;
    struct buf out;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, test_usage, &code)) {
        return code;
    }
    code = CLI_DONE;
    buf_init(&line, LINE_BYTES_MAX);
    buf_init(&out, SIZE_MAX / 2);
    for (;;) {
        const enum cli_line result = cli_read_line(stdin, &line);

        if (result == CLI_LINE_END) {
            break;
        }
        if (result == CLI_LINE_TOO_LONG) {
            cli_put_error("the line is too long", &out);
            code = CLI_FAILED;
        } else if (!answer_question(buf_slice(&line), &arena, &out)) {
            code = CLI_FAILED;
        }
        cli_print_line(&out);
        (void)fflush(stdout); /* whoever asks line by line waits for it */
        arena_reset(&arena);
    }
    arena_clean_up(&arena);
    buf_clean_up(&line);
    buf_clean_up(&out);
    return cli_finish(code);
}
