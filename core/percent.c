/* SPDX-License-Identifier: Apache-2.0
 *
 * percent.c - percent-encoding for query strings, forms, paths and signatures.
 *
 * One encoder for all four, because a signature is made over what another place encoded: were they
 * to differ in one byte, the service would answer that the signature is wrong.
 *
 * What needs no escape is copied in runs; a form that carries an event is mostly such runs.
 */
#include "core/percent.h"

static bool is_unreserved(unsigned char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

enum err percent_encode(struct slice text, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;

    while (at < text.len) {
        size_t end = at;

        while (end < text.len && is_unreserved((unsigned char)text.data[end])) {
            end++;
        }
        if (end > at) {
            TRY(buf_append(out, (struct slice){text.data + at, end - at}));
        }
        if (end < text.len) {
            const unsigned char byte = (unsigned char)text.data[end];
            const char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};

            TRY(buf_append(out, (struct slice){escape, sizeof(escape)}));
            end++;
        }
        at = end;
    }
    return ERR_OK;
}
