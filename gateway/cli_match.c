/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_match.c - `weir match`: hold events against rules without a gateway.
 *
 * A line with an event is answered with a line of names, in order.  A rule's pattern and an event
 * count with their exact text, so numbers keep their spelling and keys may repeat; a string stands
 * for the text it holds.  Any JSON object is an event here: only the API asks for an envelope.
 *
 * A line that cannot be answered gets {"error": …} in its place, so that answers stay in step with
 * events, and the exit code tells at the end.
 *
 * Memory: one line at a time; the compiled rules, and with --bench all events, until the end.
 */
#include "gateway/cli_match.h"

#include "core/check.h"
#include "core/file.h"
#include "core/json_write.h"
#include "core/map.h"
#include "core/moment.h"
#include "gateway/cli.h"
#include "gateway/cli_lines.h"
#include "gateway/cli_lists.h"
#include "routing/matcher.h"
#include "routing/pattern.h"

enum {
    RULES_BYTES_MAX = 1 << 30,
    BENCH_PASSES_MAX = 1000000,
};

/* ---- events -------------------------------------------------------------------------------- */

/* The event that a line holds: an object, or a string with the text of one. */
static enum err read_event(struct slice line, struct arena *arena, struct slice *event,
                           struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    *event = line;
    if (slice_trim(line).len == 0 || slice_trim(line).data[0] != '"') {
        return ERR_OK;
    }
    json_reader_init(&reader, line, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) == JSON_TYPE_STRING) {
        *event = json_token_text(&token, arena);
        (void)json_next(&reader, &token);
    }
    return token.type == JSON_TYPE_END ? ERR_OK : json_fault(&reader, why);
}

/* ---- rules --------------------------------------------------------------------------------- */

struct rule_file {
    struct buf text;
    struct arena arena;
    struct map names;
    struct slice *rules; /* names, in the order of the file: a pattern's number is its place */
    size_t count, max;
    struct matcher_builder *builder;
    struct matcher *matcher;
    struct partner_lists *lists; /* NULL: none */
    uint64_t build_us;
};

/* One member of the rules file.  False, with the reason printed, if it is no rule. */
static bool read_rule(struct rule_file *file, struct json_reader *reader, struct json_token *token)
{
    const struct slice name = json_token_text(token, &file->arena);
    struct pattern *pattern = NULL;
    struct err_why why = {.text = "the rule is not a pattern"};
    struct slice text;

    if (json_next(reader, token) == JSON_TYPE_ERROR ||
        cli_read_text(reader, token, &file->arena, &text) != ERR_OK) {
        return true; /* the caller sees the fault */
    }
    if (map_put(&file->names, name, file) != NULL) {
        (void)fprintf(stderr, "weir: rule \"%.*s\" is named twice\n", SLICE_ARG(name));
        return false;
    }
    if (pattern_compile(text, &pattern, &why) != ERR_OK ||
        cli_lists_check(file->lists, pattern, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: rule \"%.*s\": %s\n", SLICE_ARG(name), why.text);
        pattern_release(pattern);
        return false;
    }
    if (file->count == file->max) {
        file->max = 2 * file->max + 16;
        file->rules = xrealloc(file->rules, sizeof(*file->rules) * file->max);
    }
    file->rules[file->count++] = name;
    matcher_add(file->builder, pattern);
    pattern_release(pattern); /* the compiled set needs it no more */
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

    buf_init(&file->text, RULES_BYTES_MAX);
    if (file_read(path, &file->text, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    file->builder = matcher_begin();
    if (!read_members(file)) {
        return false;
    }
    file->matcher = matcher_finish(file->builder);
    file->builder = NULL;
    file->build_us = moment_steady_us() - start_us;
    return true;
}

static void rule_file_clean_up(struct rule_file *file)
{
    if (file->builder != NULL) {
        file->matcher = matcher_finish(file->builder);
    }
    matcher_release(file->matcher);
    partner_lists_release(file->lists);
    xfree(file->rules);
    map_clean_up(&file->names);
    arena_clean_up(&file->arena);
    buf_clean_up(&file->text);
}

/* ---- match --------------------------------------------------------------------------------- */

static const char match_usage[] =
    "usage: weir match --rules RULES.json [--lists FILE] [--bench N] [EVENTS.ndjson]\n"
    "\n"
    "Hold every line of EVENTS (standard input without a file) against every rule and print the\n"
    "names of the rules that match, sorted, as a JSON array.  RULES.json is {\"NAME\": PATTERN, "
    "…}.\n"
    "A line that is no event prints {\"error\": …}, and the exit code is 1 at the end.\n"
    "\n" CLI_LISTS_HELP "\n"
    "--bench N loads the events first, matches all of them N times on one thread, and prints one\n"
    "object: events, bytes, rules and matches of one pass; seconds of all passes, events and\n"
    "megabytes per second; ruleset_bytes and build_seconds of the rules.\n";

/* What asking needs between events. */
struct asking {
    const struct rule_file *file;
    struct arena arena;
    struct matcher_scratch *scratch;
    struct matcher_answer answer;
};

static struct asking asking_begin(const struct rule_file *file)
{
    struct asking asking = {.file = file, .scratch = matcher_scratch_new()};

    matcher_use_lists(asking.scratch, file->lists);
    return asking;
}

static void asking_end(struct asking *asking)
{
    arena_clean_up(&asking->arena);
    matcher_scratch_destroy(asking->scratch);
}

/* Which rules match the event of this line?  The answer holds until the next. */
static enum err ask_line(struct asking *asking, struct slice line, struct err_why *why)
{
    const struct matcher *const sets[] = {asking->file->matcher};
    size_t steps_left = SIZE_MAX;
    struct event_tree *tree;
    struct slice event;
    enum err err;

    arena_reset(&asking->arena);
    TRY(read_event(line, &asking->arena, &event, why));
    err = matcher_match(sets, 1, event, &steps_left, asking->scratch, &asking->answer);
    if (err != ERR_OK) {
        err = event_tree_read(event, &asking->arena, &tree, why); /* says what is wrong */
        CHECK(err != ERR_OK);
    }
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The names that match, sorted, as a JSON array into `out`. */
static void write_answer(struct asking *asking, struct buf *out)
{
    const struct matcher_answer *answer = &asking->answer;
    struct slice *names = ARENA_ARRAY(&asking->arena, struct slice, answer->match_count);
    struct json_writer writer;

    for (size_t i = 0; i < answer->match_count; i++) {
        names[i] = asking->file->rules[answer->matches[i]];
    }
    if (answer->match_count > 1) {
        qsort(names, answer->match_count, sizeof(*names), compare_names);
    }
    json_write_begin(&writer, out);
    json_write_array_begin(&writer);
    for (size_t i = 0; i < answer->match_count; i++) {
        json_write_string(&writer, names[i]);
    }
    json_write_array_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
}

static int match_lines(const struct rule_file *file, FILE *events)
{
    struct asking asking = asking_begin(file);
    struct buf line;
    struct buf out;
    int code = CLI_DONE;

    buf_init(&line, CLI_LINE_BYTES_MAX);
    buf_init(&out, SIZE_MAX / 2);
    for (;;) {
        struct err_why why = {.text = "the line is too long"};
        const enum cli_line result = cli_read_line(events, &line);

        if (result == CLI_LINE_END) {
            break;
        }
        if (result == CLI_LINE_READ && ask_line(&asking, buf_slice(&line), &why) == ERR_OK) {
            write_answer(&asking, &out);
        } else {
            cli_put_error(why.text, &out);
            code = CLI_FAILED;
        }
        cli_print_line(&out);
    }
    asking_end(&asking);
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

    buf_init(&line, CLI_LINE_BYTES_MAX);
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
static bool run_pass(struct bench *bench, struct asking *asking)
{
    size_t number = 0;

    bench->match_count = 0;
    for (const struct bench_event *event = bench->first; event != NULL; event = event->next) {
        struct err_why why;

        number++;
        if (ask_line(asking, event->text, &why) != ERR_OK) {
            (void)fprintf(stderr, "weir: event %zu: %s\n", number, why.text);
            return false;
        }
        bench->match_count += asking->answer.match_count;
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
    json_write_key_u64(&writer, SLICE("ruleset_bytes"), matcher_memory_bytes(file->matcher));
    write_decimal(&writer, SLICE("build_seconds"), (double)file->build_us / 1e6);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    cli_print_line(&out);
    buf_clean_up(&out);
}

static int match_bench(const struct rule_file *file, FILE *events, uint64_t passes)
{
    struct bench bench = {.event_count = 0};
    struct asking asking = asking_begin(file);
    bool is_good = load_events(&bench, events);
    const uint64_t start_us = moment_steady_us();

    for (uint64_t pass = 0; is_good && pass < passes; pass++) {
        is_good = run_pass(&bench, &asking);
    }
    bench.elapsed_us = moment_steady_us() - start_us;
    if (is_good) {
        print_bench(&bench, file, passes);
    }
    asking_end(&asking);
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
    const char *lists = NULL;
    const char *path = NULL;
    const struct cli_option options[] = {
        {"--rules", &rules, NULL},
        {"--lists", &lists, NULL},
        {"--bench", &bench, NULL},
        {NULL, NULL, NULL},
    };
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
    code = cli_lists_read(lists, &file.lists) && read_rules(&file, rules)
               ? match_file(&file, path, passes)
               : CLI_FAILED;
    rule_file_clean_up(&file);
    return code;
}
