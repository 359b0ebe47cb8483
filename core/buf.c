/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.c - growable bytes with a maximum.  Grows by doubling, so appending is linear in total.
 */
#include "core/buf.h"

#include <stdarg.h>
#include <openssl/crypto.h>

#include "core/check.h"

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_clean_up(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

void buf_wipe(struct buf *buf)
{
    if (buf->data != NULL) {
        OPENSSL_cleanse(buf->data, buf->cap);
    }
    buf_clean_up(buf);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

enum err buf_reserve(struct buf *buf, size_t len, char **room)
{
    CHECK(buf->len <= buf->max);
    if (len > buf->max - buf->len) {
        return ERR_TOO_LARGE;
    }
    if (buf->len + len > buf->cap) {
        const size_t wanted = MAX_OF(buf->len + len, buf->cap * 2);

        buf->cap = MIN_OF(MAX_OF(wanted, 64), buf->max);
        buf->data = xrealloc(buf->data, buf->cap);
    }
    *room = buf->data != NULL ? buf->data + buf->len : NULL;
    return ERR_OK;
}

enum err buf_append(struct buf *buf, struct slice bytes)
{
    char *room;

    if (bytes.len == 0) {
        return ERR_OK;
    }
    TRY(buf_reserve(buf, bytes.len, &room));
    CHECK(room != NULL);
    memcpy(room, bytes.data, bytes.len);
    buf->len += bytes.len;
    return ERR_OK;
}

enum err buf_append_byte(struct buf *buf, char byte)
{
    char *room;

    TRY(buf_reserve(buf, 1, &room));
    CHECK(room != NULL);
    *room = byte;
    buf->len++;
    return ERR_OK;
}

enum err buf_printf(struct buf *buf, const char *format, ...)
{
    char small[512];
    va_list arguments;
    enum err err;
    char *large;
    int len;

    va_start(arguments, format);
    len = vsnprintf(small, sizeof(small), format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    if ((size_t)len < sizeof(small)) {
        return buf_append(buf, (struct slice){small, (size_t)len});
    }
    /* not into the buf itself: the terminating NUL may be one byte over its maximum */
    large = xmalloc((size_t)len + 1);
    va_start(arguments, format);
    (void)vsnprintf(large, (size_t)len + 1, format, arguments);
    va_end(arguments);
    err = buf_append(buf, (struct slice){large, (size_t)len});
    free(large);
    return err;
}

void buf_consume(struct buf *buf, size_t len)
{
    CHECK(len <= buf->len);
    if (len > 0) {
        memmove(buf->data, buf->data + len, buf->len - len);
        buf->len -= len;
    }
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->len};
}
