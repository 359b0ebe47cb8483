/* SPDX-License-Identifier: Apache-2.0
 *
 * api_destination.c - the lifetime of an API destination, and what may stand in one.
 *
 * A URL comes from an account and is dialled by the gateway, so its shape is narrow: https, a host
 * that is a name (an address in whichever spelling is none), and the characters that need no
 * escape.  Where the name leads is judged when it is dialled (core/egress.h).
 *
 * Memory: the destination lives in its own arena, secrets and all; the last release wipes it.
 */
#include "accounts/api_destination.h"

#include "core/check.h"

enum { HOST_CHARS_MAX = 253, LABEL_CHARS_MAX = 63 };

struct api_destination *api_destination_new(void)
{
    struct arena arena = {0};
    struct api_destination *destination = ARENA_NEW(&arena, struct api_destination);

    destination->references = 1;
    destination->arena = arena;
    return destination;
}

struct api_destination *api_destination_acquire(struct api_destination *destination)
{
    CHECK(atomic_fetch_add_explicit(&destination->references, 1, memory_order_relaxed) > 0);
    return destination;
}

void api_destination_release(struct api_destination *destination)
{
    struct arena arena;

    if (destination == NULL ||
        atomic_fetch_sub_explicit(&destination->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    arena = destination->arena; /* the destination lives in it */
    arena_wipe(&arena);
}

const char *api_method(struct slice text)
{
    static const char *const methods[] = {"POST", "GET",   "HEAD",  "OPTIONS",
                                          "PUT",  "PATCH", "DELETE"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_eq(text, slice_of(methods[i]))) {
            return methods[i];
        }
    }
    return NULL;
}

/* ---- URLs --------------------------------------------------------------------------------- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_CHARS_MAX || label.data[0] == '-' ||
        label.data[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        if (!is_alnum(label.data[i]) && label.data[i] != '-') {
            return false;
        }
    }
    return true;
}

/* Addresses end in a number, in decimal, octal or hex; no top-level domain begins with a digit. */
static bool is_host_name(struct slice host)
{
    struct slice label = {NULL, 0};

    if (host.len > HOST_CHARS_MAX) {
        return false;
    }
    do {
        label = slice_cut(&host, '.');
        if (!is_label(label)) {
            return false;
        }
    } while (host.data != NULL);
    return label.data[0] < '0' || label.data[0] > '9';
}

static bool is_url_text(struct slice text)
{
    static const char marks[] = "-()_.!~*';/?:@&=+$,%";

    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum(text.data[i]) &&
            (text.data[i] == '\0' || strchr(marks, text.data[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

const char *api_endpoint_fault(struct slice url)
{
    struct slice rest = url;
    struct slice authority;
    struct slice port;
    uint64_t number = 0;
    size_t end;

    if (url.len > API_ENDPOINT_CHARS_MAX || !slice_has_prefix(url, SLICE("https://"))) {
        return "must be an https:// URL of at most 2048 characters";
    }
    rest = slice_from(url, strlen("https://"));
    end = MIN_OF(slice_find(rest, '/'), slice_find(rest, '?'));
    authority = slice_first(rest, end);
    rest = slice_from(rest, end);
    port = authority;
    if (slice_find(authority, '@') < authority.len) {
        return "must not hold a user or a password";
    }
    if (!is_host_name(slice_cut(&port, ':'))) {
        return "must name a host, not an address";
    }
    if (port.data != NULL && (!slice_to_u64(port, &number) || number < 1 || number > UINT16_MAX)) {
        return "must have a port from 1 to 65535, or none";
    }
    return is_url_text(rest) ? NULL : "must escape all but letters, digits and -()_.!~*';/?:@&=+$,";
}

/* ---- headers ------------------------------------------------------------------------------ */

bool api_header_is_reserved(struct slice name)
{
    static const char *const names[] = {
        "a-im",
        "accept-charset",
        "accept-datetime",
        "accept-encoding",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-md5",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "user-agent",
        "upgrade",
        "via",
        "warning",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_ignore_case(name, slice_of(names[i]))) {
            return true;
        }
    }
    return slice_eq_ignore_case(slice_first(name, 3), SLICE("if-"));
}

bool api_header_name_is_good(struct slice name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < name.len; i++) {
        if (!is_alnum(name.data[i]) &&
            (name.data[i] == '\0' || strchr(marks, name.data[i]) == NULL)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= API_PARAMETER_CHARS_MAX;
}

bool api_header_value_is_good(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        const unsigned char c = (unsigned char)value.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}
