/* SPDX-License-Identifier: Apache-2.0
 *
 * far_end.c - everything that weir calls, as cheap as it can be: STS, SQS, Lambda, a web hook.
 *
 *     far_end LOG SAMPLES ADDRESS [ADDRESS CERTIFICATE KEY]
 *
 * Prints the addresses it is bound to, the second of which speaks TLS, and serves until it is
 * ended. Each event that arrives is a line "ID MICROSECONDS" of LOG, by the steady clock; GET
 * /flush writes them out and answers how many there were.  The fullest request of each kind is kept
 * in the folder SAMPLES as lines "name: value", an empty line and the body, so that somebody else
 * can send it too. Nothing is judged: signatures and roles are the business of
 * tests/lib/aws_standin.py.
 */
#include <ev.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/form.h"
#include "core/json.h"
#include "core/moment.h"
#include "core/stream.h"
#include "core/tls.h"
#include "gateway/listener.h"

enum { ANSWER_MAX_BYTES = 1024 * 1024, BODY_MAX_BYTES = 2 * 1024 * 1024, SESSION_MS = 3600 * 1000 };

struct kind {
    const char *name;
    size_t sample_bytes; /* of the fullest body so far */
};

static struct {
    FILE *log;
    const char *samples;
    uint64_t event_count;
    struct kind sqs, lambda, https;
    struct buf text; /* of the message at hand */
} far = {.sqs = {"sqs", 0}, .lambda = {"lambda", 0}, .https = {"https", 0}};

/* ---- what arrived ------------------------------------------------------------------------- */

/* The envelope's own id is its first or second member, and a string without escapes. */
static void note_event(struct slice event)
{
    static const char mark[] = "\"id\":";
    const char *at = memmem(event.data, event.len, mark, sizeof(mark) - 1);
    struct slice id;

    CHECK(at != NULL);
    id = slice_from(event, (size_t)(at - event.data) + sizeof(mark) - 1);
    (void)slice_cut(&id, '"');
    id = slice_cut(&id, '"');
    (void)fprintf(far.log, "%.*s %llu\n", SLICE_ARG(id), (unsigned long long)moment_steady_us());
    far.event_count++;
}

static void keep_sample(struct kind *kind, const struct request *request)
{
    char path[4096];
    FILE *file;

    if (request->body.len <= kind->sample_bytes) {
        return;
    }
    kind->sample_bytes = request->body.len;
    (void)snprintf(path, sizeof(path), "%s/%s", far.samples, kind->name);
    file = fopen(path, "w");
    CHECK(file != NULL);
    for (size_t i = 0; i < request->header_count; i++) {
        (void)fprintf(file, "%.*s: %.*s\n", SLICE_ARG(request->headers[i].name),
                      SLICE_ARG(request->headers[i].value));
    }
    (void)fprintf(file, "\n%.*s", SLICE_ARG(buf_slice(&request->body)));
    (void)fclose(file);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void answer(struct request *request, unsigned status, const struct buf *body)
{
    request->response.status = status;
    request->response.content_type = SLICE("application/x-amz-json-1.0");
    if (body != NULL) {
        request->response.body = arena_copy(&request->arena, buf_slice(body));
    }
    request_respond(request);
}

static void assume_role(struct request *request)
{
    char expiration[MOMENT_ISO_CHARS];
    struct slice role = {0};
    struct slice account = {0};
    struct form form;
    struct buf out;

    CHECK(form_read(buf_slice(&request->body), true, &request->arena, &form) == ERR_OK);
    CHECK(form_get(&form, SLICE("RoleArn"), &role));
    for (size_t i = 0; i < 5; i++) {
        account = slice_cut(&role, ':');
    }
    moment_to_iso(moment_now_ms() + SESSION_MS, expiration);
    buf_init(&out, ANSWER_MAX_BYTES);
    CHECK(
        buf_printf(&out,
                   "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser>"
                   "<Arn>arn:aws:sts::%.*s:assumed-role/weir-dispatch/weir</Arn>"
                   "</AssumedRoleUser><Credentials><AccessKeyId>ASIAFAREND0000000001</AccessKeyId>"
                   "<SecretAccessKey>far-end-secret</SecretAccessKey>"
                   "<SessionToken>%0400d</SessionToken><Expiration>%.*s</Expiration>"
                   "</Credentials></AssumeRoleResult></AssumeRoleResponse>",
                   SLICE_ARG(account), 0, MOMENT_ISO_CHARS, expiration) == ERR_OK);
    answer(request, 200, &out);
    buf_clean_up(&out);
}

static void queue_url(struct request *request)
{
    struct buf out;

    buf_init(&out, ANSWER_MAX_BYTES);
    CHECK(buf_printf(&out, "{\"QueueUrl\":\"http://%.*s/000000000000/queue\"}",
                     SLICE_ARG(request->authority)) == ERR_OK);
    answer(request, 200, &out);
    buf_clean_up(&out);
}

/* Every message of a SendMessage or SendMessageBatch, answered with its MD5. */
static void send_messages(struct request *request, bool is_batch)
{
    struct json_reader reader;
    struct json_token token;
    struct slice id = {0};
    struct buf out;
    char md5[32];
    bool is_first = true;

    buf_init(&out, ANSWER_MAX_BYTES);
    CHECK(buf_append(&out, is_batch ? SLICE("{\"Successful\":[") : SLICE("")) == ERR_OK);
    json_reader_init(&reader, buf_slice(&request->body), 16);
    while (json_next(&reader, &token) != JSON_TYPE_END) {
        const struct slice key = token.raw;

        CHECK(token.type != JSON_TYPE_ERROR);
        if (token.type != JSON_TYPE_KEY) {
            continue;
        }
        (void)json_next(&reader, &token);
        if (slice_eq(key, SLICE("Id"))) {
            id = token.raw;
        } else if (slice_eq(key, SLICE("MessageBody"))) {
            buf_clear(&far.text);
            CHECK(json_unescape(token.raw, &far.text) == ERR_OK);
            note_event(buf_slice(&far.text));
            digest_md5_hex(buf_slice(&far.text), md5);
            CHECK(buf_printf(&out,
                             "%s{\"Id\":\"%.*s\",\"MessageId\":\"%036llu\","
                             "\"MD5OfMessageBody\":\"%.32s\"}",
                             is_first ? "" : ",", SLICE_ARG(id),
                             (unsigned long long)far.event_count, md5) == ERR_OK);
            is_first = false;
        }
    }
    CHECK(buf_append(&out, is_batch ? SLICE("],\"Failed\":[]}") : SLICE("")) == ERR_OK);
    answer(request, 200, &out);
    buf_clean_up(&out);
}

static void flush(struct request *request)
{
    struct buf out;

    (void)fflush(far.log);
    buf_init(&out, ANSWER_MAX_BYTES);
    CHECK(buf_printf(&out, "%llu", (unsigned long long)far.event_count) == ERR_OK);
    answer(request, 200, &out);
    buf_clean_up(&out);
}

static void on_request(void *context, struct request *request)
{
    const struct slice action = request_header(request, SLICE("x-amz-target"));
    const struct slice body = buf_slice(&request->body);

    (void)context;
    if (slice_has_prefix(action, SLICE("AmazonSQS.SendMessage"))) {
        keep_sample(&far.sqs, request);
        send_messages(request, slice_eq(action, SLICE("AmazonSQS.SendMessageBatch")));
    } else if (slice_eq(action, SLICE("AmazonSQS.GetQueueUrl"))) {
        queue_url(request);
    } else if (slice_has_prefix(request->path, SLICE("/2015-03-31/functions/"))) {
        keep_sample(&far.lambda, request);
        note_event(body);
        answer(request, 202, NULL);
    } else if (slice_eq(request->path, SLICE("/hook"))) {
        keep_sample(&far.https, request);
        note_event(body);
        answer(request, 200, NULL);
    } else if (slice_eq(request->path, SLICE("/flush"))) {
        flush(request);
    } else if (slice_has_prefix(body, SLICE("Action=AssumeRole&"))) {
        assume_role(request);
    } else {
        request_respond_error(request, ERR_BAD_VALUE, "the far end has no such thing");
    }
}

static enum err on_head(void *context, struct request *request, size_t *body_max)
{
    (void)context;
    (void)body_max;
    request->skips_body_digest = true;
    return ERR_OK;
}

/* ---- the process -------------------------------------------------------------------------- */

static bool listen_at(struct ev_loop *loop, struct stream_loop *streams, const char *address,
                      struct tls_context *tls)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct listener *listener;
    struct err_why why = {{0}};

    limits.body_max_bytes = BODY_MAX_BYTES;
    if (listener_open(
            &(struct listener_options){
                .loop = loop,
                .streams = streams,
                .address = slice_of(address),
                .tls = tls,
                .limits = &limits,
                .handler = {.on_head = on_head, .on_request = on_request},
            },
            &listener, &why) != ERR_OK) {
        (void)fprintf(stderr, "far_end: %s\n", why.text);
        return false;
    }
    (void)printf("%.*s\n", SLICE_ARG(listener_address(listener)));
    return true;
}

int main(int argc, char **argv)
{
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    struct stream_loop_options options = stream_loop_defaults(loop);
    struct stream_loop *streams = stream_loop_new(&options);
    struct tls_context *tls = NULL;
    struct err_why why = {{0}};

    if (argc != 4 && argc != 7) {
        (void)fprintf(stderr, "usage: far_end LOG SAMPLES ADDRESS [ADDRESS CERTIFICATE KEY]\n");
        return 2;
    }
    digest_init();
    far.log = fopen(argv[1], "w");
    far.samples = argv[2];
    buf_init(&far.text, BODY_MAX_BYTES);
    if (far.log == NULL || !listen_at(loop, streams, argv[3], NULL)) {
        return 1;
    }
    if (argc == 7) {
        const struct tls_options files = {.certificate_path = argv[5], .key_path = argv[6]};

        if (tls_context_new(&files, &tls, &why) != ERR_OK) {
            (void)fprintf(stderr, "far_end: %s\n", why.text);
            return 1;
        }
        if (!listen_at(loop, streams, argv[4], tls)) {
            return 1;
        }
    }
    (void)fflush(stdout);
    (void)ev_run(loop, 0);
    return 0;
}
