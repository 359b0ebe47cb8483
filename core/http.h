/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - outgoing HTTP calls: libcurl's multi_socket interface driven by libev.
 *
 * One client per thread and loop.  A call is the caller's struct; it must live until on_done, which
 * never runs inside http_start().  No redirects, no proxies, no netrc, no cookies; only http and
 * https; replies are bounded in size and time; the address dialled is shown to `may_connect` first.
 */
#pragma once

#include <sys/socket.h>
#include <ev.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/header.h"
#include "core/list.h"
#include "core/slice.h"

struct http_client;

enum { HTTP_HEADERS_MAX = 32768, HTTP_HEADERS_TOTAL_MAX = 4 * HTTP_HEADERS_MAX };

struct http_client_options {
    struct ev_loop *loop;
    struct slice ca_path;          /* PEM of trusted CAs; empty: the system's */
    unsigned connections_max;      /* open at once */
    unsigned host_connections_max; /* open at once to one host */
    /* May a call to `url` dial this address? NULL: every address may. */
    bool (*may_connect)(void *context, const char *url, const struct sockaddr *address);
    void *context;
};

struct http_call {
    /* in */
    const char *method; /* a constant such as "POST" */
    const char *url;    /* NUL-terminated, valid until on_done */
    const struct header *headers;
    size_t header_count;
    struct slice body;
    unsigned timeout_ms; /* for the whole call */
    size_t response_max; /* bytes of body kept; a longer reply is ERR_TOO_LARGE */
    bool fresh_connection;
    void (*on_done)(struct http_call *call);

    /* out, valid inside on_done and until http_call_clean_up() */

    /* ERR_OK              a complete reply of any status
     * REMOTE_UNREACHABLE  no connection: the target has seen nothing of it
     * REMOTE_TIMEOUT      `timeout_ms` passed; the target may have acted
     * REMOTE_FAILED       anything else on the way; the target may have acted
     * TOO_LARGE           a reply over `response_max`, headers over HTTP_HEADERS_MAX, or over
     *                     HTTP_HEADERS_TOTAL_MAX together with interim replies and trailers
     * ACCESS_DENIED       `may_connect` refused an address
     * BAD_VALUE           no http(s) URL, or a header that cannot be sent
     * STOPPING            the client was destroyed */
    enum err err;
    unsigned status;
    struct buf response;
    struct buf response_headers; /* "name: value\n" lines, names in lower case */
    uint64_t elapsed_us;
    char error_text[256]; /* for a person, when err is not ERR_OK; may name the host */

    /* private */
    void *handle;
    void *header_list;
    struct http_client *client;
    struct list node;
    uint64_t deadline_tick;
    char denied_address[48]; /* empty: none was denied */
    size_t header_bytes;     /* that have arrived, of interim replies and trailers too */
    bool is_too_large;
    bool has_body_begun;
};

/* Copies the options.  Makes the process ignore SIGPIPE. */
struct http_client *http_client_new(const struct http_client_options *options);
/* Cancels what runs (their on_done is called with ERR_STOPPING, and may start nothing) and frees.
 * NULL is fine.  Not from on_done. */
void http_client_destroy(struct http_client *client);
/* Send it.  The headers are copied; method, URL and body are borrowed until on_done.  Nothing is
 * added to the headers but Host, Content-Length and, when given no other, Connection handling: no
 * User-Agent, Accept, Content-Type or Expect. */
void http_start(struct http_client *client, struct http_call *call);
/* Frees what a finished call holds. Safe on a zeroed call and safe twice. */
void http_call_clean_up(struct http_call *call);
/* The value of the first reply header of that lower-case name, trimmed; empty if absent. */
struct slice http_response_header(const struct http_call *call, struct slice name);
