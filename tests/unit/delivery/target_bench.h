/* SPDX-License-Identifier: Apache-2.0
 *
 * target_bench.h - one opened target of any kind, what it builds, and how it judges.
 *
 * Each test of a kind is then two tables: requests, and replies with their verdicts.  Everything is
 * static, so each program has its own copy.
 */
#pragma once

#include "delivery/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/digest.h"

#define BENCH_UNUSED __attribute__((unused))

struct bench {
    struct arena arena;
    struct buf body;
    struct target *target;
    struct target_request request;
    struct target_verdict verdicts[TARGET_BATCH_MAX];
};

/* Open it at `endpoint`, or against AWS if that is NULL. */
BENCH_UNUSED static void bench_open(struct bench *b, const char *arn, const char *endpoint)
{
    const struct target_endpoint any = {.url = slice_of(endpoint)};
    const struct target_options options = {
        .endpoints = &any, .endpoint_count = 1, .sqs_batch_bytes_max = 1024};
    const struct target_ops *ops = target_find(slice_of(arn));
    struct err_why why = {""};

    *b = (struct bench){0};
    digest_init();
    buf_init(&b->body, 4 << 20);
    b->request.body = &b->body;
    assert_non_null(ops);
    if (ops->open(&options, slice_of(arn), &b->target, &why) != ERR_OK) {
        fail_msg("%s: %s", arn, why.text);
    }
}

BENCH_UNUSED static void bench_close(struct bench *b)
{
    b->target->ops->close(b->target);
    buf_clean_up(&b->body);
    arena_clean_up(&b->arena);
}

BENCH_UNUSED static struct target_item bench_item(const char *body)
{
    return (struct target_item){.body = slice_of(body),
                                .event = slice_of(body),
                                .event_id = SLICE("6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10"),
                                .account = SLICE("111122223333"),
                                .rule = SLICE("central/high"),
                                .target_id = SLICE("soar")};
}

/* Build the request for some items; its body as text. */
BENCH_UNUSED static const char *bench_build(struct bench *b, const struct target_item *items,
                                            size_t count)
{
    buf_clear(&b->body);
    b->request = (struct target_request){.body = &b->body};
    assert_int_equal(b->target->ops->build(b->target, items, count, &b->arena, &b->request),
                     ERR_OK);
    assert_in_range(b->request.header_count, 0, TARGET_HEADERS_MAX);
    return arena_cstr(&b->arena, buf_slice(&b->body));
}

BENCH_UNUSED static const char *bench_text(struct bench *b, struct slice text)
{
    return arena_cstr(&b->arena, text);
}

BENCH_UNUSED static const char *bench_header(struct bench *b, const char *name)
{
    return bench_text(b, header_value(b->request.headers, b->request.header_count, slice_of(name)));
}

/* One reply and what it must mean. */
struct bench_row {
    unsigned status;
    const char *headers; /* "name: value\n" lines, or NULL */
    const char *body;
    enum target_action one;   /* for one item */
    enum target_action batch; /* for two; ignored where the kind sends no batches */
    enum err err;
    const char *reason; /* BURY of one */
};

BENCH_UNUSED static void bench_judge(struct bench *b, const struct target_item *items, size_t count,
                                     unsigned status, const char *headers, const char *body)
{
    const struct target_reply reply = {
        .status = status, .headers = slice_of(headers), .body = slice_of(body)};

    memset(b->verdicts, 0xA5, sizeof(b->verdicts));
    b->target->ops->classify(b->target, items, count, &reply, &b->arena, b->verdicts);
}

BENCH_UNUSED static void bench_expect_rows(struct bench *b, const struct bench_row *rows,
                                           size_t row_count)
{
    const struct target_item items[] = {bench_item("{\"n\":1}"), bench_item("{\"n\":2}")};
    const size_t most = b->target->ops->batch_count_max > 1 ? 2 : 1;

    for (size_t i = 0; i < row_count; i++) {
        const struct bench_row *row = &rows[i];

        for (size_t count = 1; count <= most; count++) {
            const enum target_action wanted = count == 1 ? row->one : row->batch;

            bench_judge(b, items, count, row->status, row->headers, row->body);
            for (size_t k = 0; k < count; k++) {
                const struct target_verdict *verdict = &b->verdicts[k];
                const char *reason = wanted == TARGET_BURY ? row->reason : NULL;

                if (verdict->action != wanted || verdict->err != row->err ||
                    (verdict->reason == NULL) != (reason == NULL) ||
                    (reason != NULL && strcmp(reason, verdict->reason) != 0)) {
                    fail_msg("row %zu (%u %s), %zu of %zu: action %d, %s, reason %s", i,
                             row->status, row->body != NULL ? row->body : "", k + 1, count,
                             (int)verdict->action, err_name(verdict->err),
                             verdict->reason != NULL ? verdict->reason : "none");
                }
            }
        }
    }
}

/* None of these ARNs may open, nor pass target_check_arn(). */
BENCH_UNUSED static void bench_refuses(const struct target_ops *ops, const char *const *arns,
                                       size_t count)
{
    const struct target_options options = {0};

    for (size_t i = 0; i < count; i++) {
        struct target *target = NULL;
        struct err_why why = {""};

        if (ops->open(&options, slice_of(arns[i]), &target, &why) != ERR_BAD_VALUE ||
            why.text[0] == '\0') {
            fail_msg("\"%s\" was opened", arns[i]);
        }
        assert_int_equal(target_check_arn(slice_of(arns[i]), &why), ERR_BAD_VALUE);
    }
}

#define BENCH_RETRIED(status, body, err)                                                           \
    {                                                                                              \
        status, NULL, body, TARGET_RETRY, TARGET_RETRY, err, NULL                                  \
    }
/* Of where it goes: for all of a batch alike. */
#define BENCH_BURIED(status, body, err, reason)                                                    \
    {                                                                                              \
        status, NULL, body, TARGET_BURY, TARGET_BURY, err, reason                                  \
    }
/* Of what it holds: one by one. */
#define BENCH_REJECTED(status, body, reason)                                                       \
    {                                                                                              \
        status, NULL, body, TARGET_BURY, TARGET_SPLIT, ERR_REMOTE_REJECTED, reason                 \
    }
#define BENCH_RENEWED(status, body)                                                                \
    {                                                                                              \
        status, NULL, body, TARGET_RENEW, TARGET_RENEW, ERR_REMOTE_EXPIRED, NULL                   \
    }
#define BENCH_SETTLED(status, body)                                                                \
    {                                                                                              \
        status, NULL, body, TARGET_SETTLE, TARGET_SETTLE, ERR_OK, NULL                             \
    }
