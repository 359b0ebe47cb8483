/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log.c - one line per fact, always JSON, always ASCII, whatever is logged.
 */
#include "tests/lib/death.h"

#include <pthread.h>

#include "core/check.h"
#include "core/json.h"
#include "core/log.h"

enum { CAPTURE_MAX = 1 << 16 };

/* What log_write() writes goes to a file from here on. */
struct capture {
    FILE *file;
    int stderr_kept;
    char text[CAPTURE_MAX];
    size_t len;
};

static struct capture capture;

static void capture_begin(void)
{
    capture.file = tmpfile();
    assert_non_null(capture.file);
    capture.stderr_kept = dup(STDERR_FILENO);
    assert_true(capture.stderr_kept >= 0);
    assert_int_equal(dup2(fileno(capture.file), STDERR_FILENO), STDERR_FILENO);
}

static struct slice capture_end(void)
{
    assert_int_equal(dup2(capture.stderr_kept, STDERR_FILENO), STDERR_FILENO);
    close(capture.stderr_kept);
    rewind(capture.file);
    capture.len = fread(capture.text, 1, sizeof(capture.text), capture.file);
    assert_int_equal(fclose(capture.file), 0);
    return (struct slice){capture.text, capture.len};
}

/* One whole line of valid JSON in printable ASCII. */
static void assert_is_line(struct slice line)
{
    struct err_why why;

    assert_true(line.len > 0);
    assert_int_equal(line.data[line.len - 1], '\n');
    line.len--;
    for (size_t i = 0; i < line.len; i++) {
        assert_in_range(line.data[i], 0x20, 0x7E);
    }
    if (json_check(line, 1, &why) != ERR_OK) {
        fail_msg("%.*s: %s", SLICE_ARG(line), why.text);
    }
}

/* What follows the time, which differs from run to run. */
static void assert_line(struct slice line, const char *wanted)
{
    const size_t time_len = strlen("{\"time\":\"2026-01-01T00:00:00.000Z\"");

    assert_is_line(line);
    line.len--;
    assert_true(slice_has_prefix(line, SLICE("{\"time\":\"2")));
    if (!slice_eq(slice_from(line, time_len), slice_of(wanted))) {
        fail_msg("%.*s", SLICE_ARG(line));
    }
}

static void test_a_line_carries_its_fields(void **state)
{
    (void)state;
    capture_begin();
    log_warn("delivery.retry", LOG_TEXT("target", "arn:aws:sqs:us-east-1:1:q"),
             LOG_U64("most", UINT64_MAX), LOG_I64("least", INT64_MIN), LOG_ERR(ERR_REMOTE_TIMEOUT),
             LOG_TEXT("none", NULL));
    assert_line(capture_end(),
                ",\"level\":\"warn\",\"name\":\"delivery.retry\","
                "\"target\":\"arn:aws:sqs:us-east-1:1:q\",\"most\":18446744073709551615,"
                "\"least\":-9223372036854775808,\"err\":\"REMOTE_TIMEOUT\",\"none\":\"\"}");
}

static void test_text_from_outside_cannot_forge_a_line(void **state)
{
    static const struct {
        struct slice text;
        const char *written;
    } rows[] = {
        {SLICE_INIT("x\"}\n{\"level\":\"error"), "x\\\"}\\u000a{\\\"level\\\":\\\"error"},
        {SLICE_INIT("back\\slash"), "back\\\\slash"},
        {SLICE_INIT("\x1b[2J\x7f\0"), "\\u001b[2J\\u007f\\u0000"},
        {SLICE_INIT("\xC3\xA9\xE2\x80\xAE"), "\\u00e9\\u202e"},
        {SLICE_INIT("\xF0\x9F\x94\x92"), "\\ud83d\\udd12"},
        {SLICE_INIT("a\xFF\xC3"), "a\\ufffd\\ufffd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char wanted[256];

        (void)snprintf(wanted, sizeof(wanted),
                       ",\"level\":\"info\",\"name\":\"n\",\"text\":\"%s\"}", rows[i].written);
        capture_begin();
        log_info("n", LOG_SLICE("text", rows[i].text));
        assert_line(capture_end(), wanted);
    }
}

static void test_long_text_is_cut(void **state)
{
    char text[300];
    char wanted[400];

    (void)state;
    memset(text, 'x', sizeof(text));
    (void)snprintf(wanted, sizeof(wanted),
                   ",\"level\":\"info\",\"name\":\"n\",\"text\":\"%.256s\"}", text);
    capture_begin();
    log_info("n", LOG_SLICE("text", ((struct slice){text, sizeof(text)})));
    assert_line(capture_end(), wanted);
}

/* Goal:   fields that do not fit are left out whole, and the line says so. */
static void test_a_line_that_is_too_long_says_so(void **state)
{
    struct log_field fields[10];
    char text[256];

    (void)state;
    memset(text, 1, sizeof(text)); /* six characters each */
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        fields[i] = LOG_SLICE("text", ((struct slice){text, sizeof(text)}));
    }
    capture_begin();
    log_write(LOG_ERROR, "n", fields, ARRAY_LEN(fields));
    const struct slice line = capture_end();

    assert_is_line(line);
    assert_true(slice_has_suffix(line, SLICE("\\u0001\",\"cut\":true}\n")));
}

static void test_lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    capture_begin();
    log_debug("hidden", LOG_U64("n", 1));
    log_set_level(LOG_ERROR);
    log_warn("hidden", LOG_U64("n", 1));
    assert_int_equal(capture_end().len, 0);
    capture_begin();
    log_error("shown", LOG_U64("n", 1));
    log_set_level(LOG_DEBUG);
    log_debug("shown", LOG_U64("n", 2));
    log_set_level(LOG_INFO);
    struct slice lines = capture_end();

    assert_non_null(strstr(lines.data, "\"level\":\"error\",\"name\":\"shown\",\"n\":1}\n"));
    assert_non_null(strstr(lines.data, "\"level\":\"debug\",\"name\":\"shown\",\"n\":2}\n"));
}

static void *log_many(void *unused)
{
    for (unsigned i = 0; i < 50; i++) {
        log_info("thread", LOG_TEXT("text", "a line of some length from one of several threads"));
    }
    return unused;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    unsigned count = 0;

    (void)state;
    capture_begin();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (struct slice left = capture_end(); left.len > 0; count++) {
        const size_t len = slice_find(left, '\n') + 1;

        assert_is_line(slice_first(left, len));
        left = slice_from(left, len);
    }
    assert_int_equal(count, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_carries_its_fields),
        cmocka_unit_test(test_text_from_outside_cannot_forge_a_line),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_a_line_that_is_too_long_says_so),
        cmocka_unit_test(test_lines_below_the_level_are_not_written),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
