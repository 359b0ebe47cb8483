/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_test_pattern.c - `weir test-pattern`: try patterns on events, as EventBridge's
 * TestEventPattern does, without a gateway.
 *
 * A line with a question is answered with a line, in order.  Patterns and events count with their
 * exact text; a string stands for the text it holds.  A question that cannot be answered gets
 * {"error": …} with the sentence that EventBridge gives.
 *
 * Memory: one line at a time.
 */
#include "core/check.h"
#include "core/json_write.h"
#include "gateway/cli.h"
#include "gateway/cli_lines.h"
#include "gateway/cli_lists.h"
#include "gateway/cli_match.h"
#include "routing/matcher.h"
#include "routing/pattern.h"

static const char test_usage[] =
    "usage: weir test-pattern [--lists FILE]\n"
    "\n"
    "Read lines {\"id\": …, \"pattern\": …, \"event\": …} from standard input and answer each, in\n"
    "order, with {\"id\": …, \"match\": true|false} or {\"id\": …, \"error\": MESSAGE}, where "
    "MESSAGE "
    "is\n"
    "the one that EventBridge's TestEventPattern gives.\n"
    "\n" CLI_LISTS_HELP;

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
        return cli_read_text(reader, token, arena, &question->pattern);
    }
    if (slice_eq(key, SLICE("event"))) {
        return cli_read_text(reader, token, arena, &question->event);
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

/* What answering needs between questions. */
struct asking {
    struct arena arena;
    struct matcher_scratch *scratch;
    struct partner_lists *lists; /* NULL: none */
};

static enum err ask(const struct question *question, struct asking *asking, bool *matches,
                    struct err_why *why)
{
    struct pattern *pattern = NULL;
    size_t steps_left = PATTERN_STEPS_MAX;
    struct matcher_answer answer;
    struct matcher *matcher;
    enum err err;

    TRY(pattern_compile(question->pattern, &pattern, why));
    err = cli_lists_check(asking->lists, pattern, why);
    if (err != ERR_OK) {
        pattern_release(pattern);
        return err;
    }
    matcher = matcher_new((const struct pattern *const *)&pattern, 1);
    pattern_release(pattern);
    err = matcher_match((const struct matcher *const *)&matcher, 1, question->event, &steps_left,
                        asking->scratch, &answer);
    if (err == ERR_OK) {
        *matches = answer.match_count > 0;
    } else {
        (void)err_because(err, why, "Parameter Event is not valid.");
    }
    matcher_release(matcher);
    return err;
}

/* Answer one line into `out`.  False if the line was no question. */
static bool answer_question(struct slice line, struct asking *asking, struct buf *out)
{
    struct question question;
    struct err_why why = {.text = ""};
    struct json_writer writer;
    bool matches = false;
    const bool is_question = read_question(line, &asking->arena, &question, &why) == ERR_OK;
    const bool is_answered = is_question && ask(&question, asking, &matches, &why) == ERR_OK;

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
    const char *lists = NULL;
    const struct cli_option options[] = {{"--lists", &lists, NULL}, {NULL, NULL, NULL}};
    struct asking asking = {.lists = NULL};
    struct buf line;
    struct buf out;
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, test_usage, &code)) {
        return code;
    }
    if (!cli_lists_read(lists, &asking.lists)) {
        return CLI_FAILED;
    }
    code = CLI_DONE;
    asking.scratch = matcher_scratch_new();
    matcher_use_lists(asking.scratch, asking.lists);
    buf_init(&line, CLI_LINE_BYTES_MAX);
    buf_init(&out, SIZE_MAX / 2);
    for (;;) {
        const enum cli_line result = cli_read_line(stdin, &line);

        if (result == CLI_LINE_END) {
            break;
        }
        if (result == CLI_LINE_TOO_LONG) {
            cli_put_error("the line is too long", &out);
            code = CLI_FAILED;
        } else if (!answer_question(buf_slice(&line), &asking, &out)) {
            code = CLI_FAILED;
        }
        cli_print_line(&out);
        (void)fflush(stdout); /* whoever asks line by line waits for it */
        arena_reset(&asking.arena);
    }
    arena_clean_up(&asking.arena);
    matcher_scratch_destroy(asking.scratch);
    partner_lists_release(asking.lists);
    buf_clean_up(&line);
    buf_clean_up(&out);
    return cli_finish(code);
}
