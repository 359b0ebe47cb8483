/* SPDX-License-Identifier: Apache-2.0
 *
 * edge_server.c - weir's front door without the gateway behind it, for real clients to try.
 *
 * Answers every request, after its whole body, with what arrived:
 *
 *     {"version":2,"method":"POST","path":"/a","query":"","authority":"…","body_bytes":3,
 *      "sha256":"…","headers":5}
 *
 * GET /bytes?N is answered with N bytes instead, /ok with a constant, /later?MS after so many
 * milliseconds, and a request with the header x-refuse is refused when its head is complete.
 * SIGTERM drains and ends.
 *
 *     edge_server ADDRESS [CERTIFICATE KEY]      prints the address it is bound to, then serves
 */
#include <signal.h>
#include <ev.h>

#include "core/digest.h"
#include "core/json_write.h"
#include "core/stream.h"
#include "core/tls.h"
#include "gateway/listener.h"

enum { ANSWER_MAX_BYTES = 1024 * 1024, BYTES_MAX = 16 * 1024 * 1024 };

struct server {
    struct ev_loop *loop;
    struct listener *listener;
};

/* An answer that waits. */
struct later {
    ev_timer timer;
    struct request *request;
};

static enum err on_head(void *context, struct request *request, size_t *body_max)
{
    (void)context;
    (void)body_max;
    return request_header(request, SLICE("x-refuse")).len > 0 ? ERR_BAD_CREDENTIAL : ERR_OK;
}

static void write_facts(struct request *request, struct buf *out)
{
    struct json_writer writer;
    char hex[DIGEST_HEX_CHARS];

    digest_hex(&request->body_digest, hex);
    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key_u64(&writer, SLICE("version"), request->is_http2 ? 2 : 1);
    json_write_key_string(&writer, SLICE("method"), request->method);
    json_write_key_string(&writer, SLICE("path"), request->path);
    json_write_key_string(&writer, SLICE("query"), request->query);
    json_write_key_string(&writer, SLICE("authority"), request->authority);
    json_write_key_u64(&writer, SLICE("body_bytes"), request->body.len);
    json_write_key_string(&writer, SLICE("sha256"), (struct slice){hex, sizeof(hex)});
    json_write_key_u64(&writer, SLICE("headers"), request->header_count);
    json_write_object_end(&writer);
    if (json_write_end(&writer) != ERR_OK) {
        buf_clear(out);
    }
}

static void answer(struct request *request)
{
    struct buf out;

    buf_init(&out, ANSWER_MAX_BYTES);
    write_facts(request, &out);
    request->response.status = 200;
    request->response.content_type = SLICE("application/json");
    request->response.body = arena_copy(&request->arena, buf_slice(&out));
    buf_clean_up(&out);
    request_respond(request);
}

static void answer_bytes(struct request *request, size_t len)
{
    char *bytes = arena_alloc(&request->arena, len);

    memset(bytes, 'x', len);
    request->response.status = 200;
    request->response.content_type = SLICE("application/octet-stream");
    request->response.body = (struct slice){bytes, len};
    request_respond(request);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct later *later = (struct later *)(void *)timer;
    struct request *request = later->request;

    (void)loop;
    (void)events;
    xfree(later);
    answer(request);
}

static void answer_later(struct server *server, struct request *request, uint64_t delay_ms)
{
    struct later *later = xcalloc(1, sizeof(*later));

    later->request = request;
    ev_timer_init(&later->timer, on_later, (double)delay_ms / 1000.0, 0.0);
    ev_timer_start(server->loop, &later->timer);
}

static void on_request(void *context, struct request *request)
{
    uint64_t number = 0;

    (void)slice_to_u64(request->query, &number);
    if (slice_eq(request->path, SLICE("/bytes"))) {
        answer_bytes(request, (size_t)MIN_OF(number, (uint64_t)BYTES_MAX));
    } else if (slice_eq(request->path, SLICE("/ok"))) {
        request->response.status = 200;
        request->response.content_type = SLICE("text/plain");
        request->response.body = SLICE("ok");
        request_respond(request);
    } else if (slice_eq(request->path, SLICE("/later"))) {
        answer_later(context, request, number);
    } else {
        answer(request);
    }
}

static void on_drained(void *context)
{
    const struct server *server = context;

    ev_break(server->loop, EVBREAK_ALL);
}

static void on_term(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct server *server = signal->data;

    (void)events;
    ev_signal_stop(loop, signal);
    listener_drain(server->listener, on_drained, server);
}

static int serve(struct server *server, const char *address, struct tls_context *tls)
{
    const struct stream_loop_options streams = stream_loop_defaults(server->loop);
    struct stream_loop *stream_loop = stream_loop_new(&streams);
    struct err_why why = {{0}};
    ev_signal term;

    if (listener_open(
            &(struct listener_options){
                .loop = server->loop,
                .streams = stream_loop,
                .address = slice_of(address),
                .tls = tls,
                .handler = {.on_head = on_head, .on_request = on_request, .context = server},
            },
            &server->listener, &why) != ERR_OK) {
        (void)fprintf(stderr, "edge_server: %s\n", why.text);
        stream_loop_destroy(stream_loop);
        return 1;
    }
    ev_signal_init(&term, on_term, SIGTERM);
    term.data = server;
    ev_signal_start(server->loop, &term);
    (void)printf("%.*s\n", SLICE_ARG(listener_address(server->listener)));
    (void)fflush(stdout);
    (void)ev_run(server->loop, 0);
    stream_loop_destroy(stream_loop);
    listener_destroy(server->listener);
    return 0;
}

int main(int argc, char **argv)
{
    struct tls_context *tls = NULL;
    struct err_why why = {{0}};
    struct server server;
    int status;

    if (argc != 2 && argc != 4) {
        (void)fprintf(stderr, "usage: edge_server ADDRESS [CERTIFICATE KEY]\n");
        return 2;
    }
    digest_init();
    if (argc == 4 &&
        tls_context_new(&(struct tls_options){.certificate_path = argv[2], .key_path = argv[3]},
                        &tls, &why) != ERR_OK) {
        (void)fprintf(stderr, "edge_server: %s\n", why.text);
        return 1;
    }
    server = (struct server){.loop = ev_default_loop(EVFLAG_AUTO)};
    status = serve(&server, argv[1], tls);
    if (tls != NULL) {
        tls_context_release(tls);
    }
    ev_loop_destroy(server.loop);
    return status;
}
