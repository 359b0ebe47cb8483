/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - what a handler may do with a request: look up a header, and answer once.
 *
 * The answer is only filled in here; the protocol below (`request->ops`) puts it on the wire, or
 * nowhere when the connection has gone.
 *
 * Memory: the text of an error answer lives in the request's arena.
 */
#include "gateway/request.h"

#include "core/check.h"
#include "core/json_write.h"

enum { ERROR_MAX_BYTES = 8192, MESSAGE_MAX_BYTES = 1024 };

void request_respond(struct request *request)
{
    CHECK(request->ops != NULL);
    CHECK(request->response.status >= 200);
    CHECK(request->response.status <= 599);
    CHECK(request->response.header_count <= ARRAY_LEN(request->response.headers));
    request->ops->respond(request);
}

struct slice request_error_body(struct arena *arena, const char *code, const char *message)
{
    struct json_writer writer;
    struct slice body;
    struct buf out;
    enum err err;

    buf_init(&out, ERROR_MAX_BYTES);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("error"));
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("code"), slice_of(code));
    json_write_key_string(&writer, SLICE("message"),
                          slice_first(slice_of(message), MESSAGE_MAX_BYTES));
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    err = json_write_end(&writer);
    CHECK(err == ERR_OK);
    body = arena_copy(arena, buf_slice(&out));
    buf_clean_up(&out);
    return body;
}

void request_respond_error(struct request *request, enum err err, const char *message)
{
    CHECK(err != ERR_OK);
    request->response.status = err_status(err);
    request->response.content_type = SLICE("application/json");
    request->response.body = request_error_body(&request->arena, err_code(err),
                                                message != NULL ? message : err_text(err));
    request_respond(request);
}

struct slice request_header(const struct request *request, struct slice name)
{
    return header_value(request->headers, request->header_count, name);
}
