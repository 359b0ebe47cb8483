/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_url.c - where Redis is, out of the one text of the configuration.
 *
 * Only what weir can honour is accepted: a user or password in the URL is refused with a reason,
 * because a configuration is read by more people than a secret may be.
 */
#include "storage/redis_url.h"

enum { PORT_DEFAULT = 6379, PORT_MAX = 65535, DB_MAX = 65535, HOST_CHARS_MAX = 253 };

static enum err take_scheme(struct slice *rest, bool *is_tls, struct err_why *why)
{
    const struct slice plain = SLICE("redis://");
    const struct slice tls = SLICE("rediss://");

    *is_tls = slice_has_prefix(*rest, tls);
    if (!*is_tls && !slice_has_prefix(*rest, plain)) {
        return err_because(ERR_BAD_CONFIG, why, "a Redis URL begins with redis:// or rediss://");
    }
    *rest = slice_from(*rest, *is_tls ? tls.len : plain.len);
    return ERR_OK;
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT.  *port is NULL when none is named. */
static enum err split_host(struct slice text, struct slice *host, struct slice *port,
                           struct err_why *why)
{
    *port = (struct slice){NULL, 0};
    if (text.len > 0 && text.data[0] == '[') {
        struct slice rest = slice_from(text, 1);

        *host = slice_cut(&rest, ']');
        if (rest.data == NULL || (rest.len > 0 && rest.data[0] != ':')) {
            return err_because(ERR_BAD_CONFIG, why, "the address in brackets does not end right");
        }
        *port = rest.len > 0 ? slice_from(rest, 1) : *port;
    } else {
        *host = slice_cut(&text, ':');
        *port = text;
    }
    if (host->len == 0 || host->len > HOST_CHARS_MAX) {
        return err_because(ERR_BAD_CONFIG, why, "a Redis URL names a host of up to %d characters",
                           HOST_CHARS_MAX);
    }
    for (size_t i = 0; i < host->len; i++) {
        if (host->data[i] <= ' ' || host->data[i] > '~' || strchr("?#%\\\"", host->data[i])) {
            return err_because(ERR_BAD_CONFIG, why,
                               "the host of a Redis URL has a character that "
                               "no host has");
        }
    }
    return ERR_OK;
}

enum err redis_url_parse(struct slice text, struct redis_url *url, struct err_why *why)
{
    struct slice port;
    struct slice rest = text;
    struct slice place;
    uint64_t number = PORT_DEFAULT;

    *url = (struct redis_url){.port = PORT_DEFAULT};
    TRY(take_scheme(&rest, &url->is_tls, why));
    place = slice_cut(&rest, '/');
    if (slice_find(place, '@') != place.len) {
        return err_because(ERR_BAD_CONFIG, why,
                           "a Redis URL carries no user and no password: use redis.user and "
                           "redis.password_file");
    }
    TRY(split_host(place, &url->host, &port, why));
    if (port.data != NULL && (!slice_to_u64(port, &number) || number == 0 || number > PORT_MAX)) {
        return err_because(ERR_BAD_CONFIG, why, "the port of a Redis URL is 1 to 65535");
    }
    url->port = (uint16_t)number;
    number = 0;
    if (rest.len > 0 && (!slice_to_u64(rest, &number) || number > DB_MAX)) {
        return err_because(ERR_BAD_CONFIG, why, "what follows the host is the database's number");
    }
    url->db = (unsigned)number;
    return ERR_OK;
}
