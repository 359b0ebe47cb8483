/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cli_match.c - `weir match` and `weir test-pattern` as a shell sees them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/check.h"
#include "gateway/cli_match.h"

enum { OUTPUT_BYTES_MAX = 16384 };

typedef int (*command_fn)(int argc, char **argv);

struct outcome {
    int code;
    char out[OUTPUT_BYTES_MAX];
    char err[OUTPUT_BYTES_MAX];
};

static FILE *temporary(const char *content)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fflush(file), 0);
    rewind(file);
    return file;
}

static void read_back(FILE *file, char out[static OUTPUT_BYTES_MAX])
{
    size_t len;

    rewind(file);
    len = fread(out, 1, OUTPUT_BYTES_MAX - 1, file);
    out[len] = '\0';
    (void)fclose(file);
}

/* Run a command in a process of its own; `arguments` ends with NULL. */
static void run(command_fn command, const char *const *arguments, const char *input,
                struct outcome *outcome)
{
    FILE *in = temporary(input);
    FILE *out = temporary("");
    FILE *err = temporary("");
    int status;
    pid_t child;

    (void)fflush(stdout);
    (void)fflush(stderr);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *copies[8];
        int argc = 0;

        while (arguments[argc] != NULL) {
            copies[argc] = strdup(arguments[argc]);
            argc++;
        }
        (void)dup2(fileno(in), 0);
        (void)dup2(fileno(out), 1);
        (void)dup2(fileno(err), 2);
        status = command(argc, copies);
        (void)fflush(stdout);
        exit(status); /* not _exit: leaks are looked for here */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    outcome->code = WEXITSTATUS(status);
    (void)fclose(in);
    read_back(out, outcome->out);
    read_back(err, outcome->err);
}

/* A file with `content`; its path stays valid until the next call. */
static const char *file_with(const char *content)
{
    static char path[64];
    FILE *file;
    int fd;

    (void)snprintf(path, sizeof(path), "/tmp/weir-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static const char rules_text[] = "{\"b\": {\"a\":[1]},\n"
                                 " \"a\": \"{\\\"a\\\":[{\\\"numeric\\\":[\\\">\\\",0]}]}\",\n"
                                 " \"\\u0063\\\"\": {\"x\":[{\"exists\":false}]}}\n";

static const char events_text[] = "{\"a\":1}\n"
                                  "{\"a\":2,\"x\":0}\n"
                                  "\"{\\\"a\\\":1}\"\n"
                                  "{\"a\":-1,\"x\":0}\n"
                                  "{\"a\":1.0}";

static const char answers_text[] = "[\"a\",\"b\",\"c\\\"\"]\n"
                                   "[\"a\"]\n"
                                   "[\"a\",\"b\",\"c\\\"\"]\n"
                                   "[]\n"
                                   "[\"a\",\"b\",\"c\\\"\"]\n";

static void test_each_event_gets_the_sorted_names(void **state)
{
    static struct outcome outcome;
    const char *rules = file_with(rules_text);
    const char *from_stdin[] = {"--rules", rules, NULL};

    (void)state;
    run(cli_match, from_stdin, events_text, &outcome);
    assert_string_equal(outcome.out, answers_text);
    assert_string_equal(outcome.err, "");
    assert_int_equal(outcome.code, 0);
    (void)unlink(rules);
}

static void test_events_may_come_from_a_file(void **state)
{
    static struct outcome outcome;
    char rules[64];
    const char *events;

    (void)state;
    (void)snprintf(rules, sizeof(rules), "%s", file_with(rules_text));
    events = file_with(events_text);
    run(cli_match, (const char *[]){events, "--rules", rules, NULL}, "", &outcome);
    assert_string_equal(outcome.out, answers_text);
    assert_int_equal(outcome.code, 0);
    (void)unlink(events);
    run(cli_match, (const char *[]){events, "--rules", rules, NULL}, "", &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.err, "cannot open"));
    (void)unlink(rules);
}

static void test_a_bad_line_is_answered_and_told_at_the_end(void **state)
{
    static struct outcome outcome;
    const char *rules = file_with(rules_text);

    (void)state;
    run(cli_match, (const char *[]){"--rules", rules, NULL},
        "{\"a\":1}\nnope\n[]\n\"1\"\n\n{\"a\":2,\"x\":1}\n", &outcome);
    assert_string_equal(
        outcome.out, "[\"a\",\"b\",\"c\\\"\"]\n"
                     "{\"error\":\"expected true, false or null, at byte 1 (line 1, column 2)\"}\n"
                     "{\"error\":\"the event is not a JSON object\"}\n"
                     "{\"error\":\"the event is not a JSON object\"}\n"
                     "{\"error\":\"the text ends too early, at byte 0 (line 1, column 1)\"}\n"
                     "[\"a\"]\n");
    assert_int_equal(outcome.code, 1);
    (void)unlink(rules);
}

static void test_bench_prints_one_object(void **state)
{
    static struct outcome outcome;
    static const char *const keys[] = {
        "{\"events\":5,",
        "\"bytes\":",
        "\"rules\":3,",
        "\"matches\":10,",
        "\"seconds\":",
        "\"events_per_second\":",
        "\"megabytes_per_second\":",
        "\"ruleset_bytes\":",
        "\"build_seconds\":",
    };
    const char *rules = file_with(rules_text);

    (void)state;
    run(cli_match, (const char *[]){"--rules", rules, "--bench", "2", NULL}, events_text, &outcome);
    assert_int_equal(outcome.code, 0);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strstr(outcome.out, keys[i]) == NULL) {
            fail_msg("no %s in %s", keys[i], outcome.out);
        }
    }
    run(cli_match, (const char *[]){"--rules", rules, "--bench", "2", NULL}, "{}\n[]\n", &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.err, "event 2"));
    (void)unlink(rules);
}

static void test_wrong_rules_are_refused_by_name(void **state)
{
    static const struct {
        const char *text;
        const char *reason;
    } rows[] = {
        {"{\"x\":{\"a\":[]}}", "rule \"x\": Event pattern is not valid. Reason: Empty arrays"},
        {"{\"x\":[1]}", "rule \"x\": Event pattern is not valid. Reason: Filter is not an object"},
        {"{\"x\":{\"a\":[1]},\"x\":{\"a\":[1]}}", "rule \"x\" is named twice"},
        {"[]", "must be an object"},
        {"", "not valid JSON"},
        {"{\"x\":{\"a\":[1]}} x", "not valid JSON"},
        {"{\"x\":{\"a\":[1}", "not valid JSON"},
    };
    static struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *rules = file_with(rows[i].text);

        run(cli_match, (const char *[]){"--rules", rules, NULL}, "{}", &outcome);
        if (outcome.code != 1 || strstr(outcome.err, rows[i].reason) == NULL) {
            fail_msg("%s: exit %d, %s", rows[i].text, outcome.code, outcome.err);
        }
        assert_string_equal(outcome.out, "");
        (void)unlink(rules);
    }
}

static void test_misuse_exits_with_two(void **state)
{
    static const char *const rows[][5] = {
        {NULL},
        {"--rules", NULL},
        {"--rules", "r", "--bench", "0", NULL},
        {"--rules", "r", "--bench", "x", NULL},
        {"--nope", NULL},
        {"--rules", "r", "a", "b", NULL},
    };
    static struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run(cli_match, rows[i], "", &outcome);
        assert_int_equal(outcome.code, 2);
        assert_string_equal(outcome.out, "");
    }
    run(cli_match, (const char *[]){"--help", NULL}, "", &outcome);
    assert_int_equal(outcome.code, 0);
    assert_non_null(strstr(outcome.out, "usage: weir match"));
    run(cli_test_pattern, (const char *[]){"--help", NULL}, "", &outcome);
    assert_int_equal(outcome.code, 0);
    run(cli_test_pattern, (const char *[]){"x", NULL}, "", &outcome);
    assert_int_equal(outcome.code, 2);
    run(cli_match, (const char *[]){"--rules", "/nonexistent/rules", NULL}, "", &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.err, "/nonexistent/rules"));
}

static void test_questions_are_answered_in_order(void **state)
{
    static const char input[] =
        "{\"id\":1,\"pattern\":{\"a\":[300]},\"event\":{\"a\":3e2}}\n"
        "{\"event\":{\"a\":2},\"pattern\":{\"a\":[300]},\"id\":\"x\",\"more\":[1]}\n"
        "{\"id\":{\"k\": 1},\"pattern\":\"{\\\"a\\\": 1}\",\"event\":{}}\n"
        "{\"id\":4,\"pattern\":{\"a\":[9007199254740993]},"
        "\"event\":\"{\\\"a\\\":9007199254740993}\"}\n"
        "{\"id\":5,\"pattern\":{\"a\":[1],\"a\":[2]},\"event\":{\"a\":2}}\n"
        "{\"id\":6,\"pattern\":{\"a\":[1]},\"event\":[]}\n"
        "{\"pattern\":{\"a\":[1]},\"event\":{}}\n";
    static struct outcome outcome;

    (void)state;
    run(cli_test_pattern, (const char *[]){NULL}, input, &outcome);
    assert_string_equal(
        outcome.out,
        "{\"id\":1,\"match\":true}\n"
        "{\"id\":\"x\",\"match\":false}\n"
        "{\"id\":{\"k\": 1},\"error\":\"Event pattern is not valid. Reason: \\\"a\\\" must be an "
        "object or an array\\n at [Source: (String)\\\"{\\\"a\\\": 1}\\\"; line: 1, column: 8]\"}\n"
        "{\"id\":4,\"match\":true}\n"
        "{\"id\":5,\"match\":true}\n"
        "{\"id\":6,\"error\":\"Parameter Event is not valid.\"}\n"
        "{\"id\":null,\"match\":false}\n");
    assert_int_equal(outcome.code, 0);
}

static void test_lines_that_ask_nothing_are_told_at_the_end(void **state)
{
    static const char input[] = "nope\n[]\n{\"id\":3,\"event\":{}}\n{\"id\":4,\"pattern\":{\n"
                                "{\"id\":5,\"pattern\":{\"a\":[1]},\"event\":{\"a\":1}} x\n";
    static struct outcome outcome;

    (void)state;
    run(cli_test_pattern, (const char *[]){NULL}, input, &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.out, "{\"id\":null,\"error\":\"expected true"));
    assert_non_null(strstr(outcome.out,
                           "{\"id\":3,\"error\":\"a line must be an object with `pattern` and "
                           "`event`\"}\n"));
    assert_non_null(strstr(outcome.out, "{\"id\":4,\"error\":\"the text ends too early"));
    assert_non_null(strstr(outcome.out, "{\"id\":5,\"error\":"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_gets_the_sorted_names),
        cmocka_unit_test(test_events_may_come_from_a_file),
        cmocka_unit_test(test_a_bad_line_is_answered_and_told_at_the_end),
        cmocka_unit_test(test_bench_prints_one_object),
        cmocka_unit_test(test_wrong_rules_are_refused_by_name),
        cmocka_unit_test(test_misuse_exits_with_two),
        cmocka_unit_test(test_questions_are_answered_in_order),
        cmocka_unit_test(test_lines_that_ask_nothing_are_told_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
