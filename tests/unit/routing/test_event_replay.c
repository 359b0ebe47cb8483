/* SPDX-License-Identifier: Apache-2.0
 *
 * test_event_replay.c - where `replay-name` goes, and what else stays as it was.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "routing/event.h"

#define HEAD                                                                                       \
    "{\"version\":\"0\",\"id\":\"i-1\",\"detail-type\":\"t\",\"source\":\"s\","                    \
    "\"account\":\"111122223333\",\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"us-east-1\","
#define TAIL "\"resources\":[\"a\"],\"detail\":{\"resources\":1.0,\"replay-name\":\"no\"}}"

static enum err replay(const char *envelope, struct event **event)
{
    const struct event_defaults defaults = {.id = SLICE("other"),
                                            .account = SLICE("111122223333"),
                                            .region = SLICE("eu-west-1"),
                                            .now_ms = 1};

    *event = NULL;
    return event_replay(slice_of(envelope), SLICE("again"), &defaults, event);
}

/* Goal: the name stands where the service puts it, once, and every other byte is kept. */
static void the_name_is_put_in_and_nothing_else_changes(void **state)
{
    static const char *const rows[][2] = {
        {HEAD TAIL, HEAD "\"replay-name\":\"again\"," TAIL},
        {HEAD "\"replay-name\":\"before\"," TAIL, HEAD "\"replay-name\":\"again\"," TAIL},
        {HEAD "\"replay\\u002dname\" : [1, {\"a\":2}] ," TAIL,
         HEAD "\"replay\\u002dname\" : \"again\" ," TAIL},
        {"{ \"resources\" : [], \"source\":\"s\", \"detail-type\":\"t\", \"detail\":{}, "
         "\"replay-name\":null, \"version\":\"0\",\"id\":\"i-1\",\"account\":\"111122223333\","
         "\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"r\"}",
         "{ \"resources\" : [], \"source\":\"s\", \"detail-type\":\"t\", \"detail\":{}, "
         "\"replay-name\":\"again\", \"version\":\"0\",\"id\":\"i-1\",\"account\":\"111122223333\","
         "\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"r\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event *event;

        assert_int_equal(replay(rows[i][0], &event), ERR_OK);
        assert_true(slice_eq(event->bytes, slice_of(rows[i][1])));
        assert_true(slice_eq(event->id, SLICE("i-1")));
        event_release(event);
    }
}

static void what_is_no_whole_event_is_refused(void **state)
{
    static const char *const rows[] = {
        "", "[]", "{}", HEAD "\"detail\":{}}", HEAD, "{\"resources\":[],\"source\":1}"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event *event;

        assert_int_not_equal(replay(rows[i], &event), ERR_OK);
        assert_null(event);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_put_in_and_nothing_else_changes),
        cmocka_unit_test(what_is_no_whole_event_is_refused),
    };

    return cmocka_run_group_tests_name("event_replay", tests, NULL, NULL);
}
