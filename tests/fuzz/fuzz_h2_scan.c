/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: h2_scan_next
 *
 * The pieces are the input, in order and complete, and no piece crosses the end of a frame; the
 * verdict does not depend on how the bytes were cut. */
#include <stddef.h>
#include <stdint.h>

#include "core/check.h"
#include "gateway/h2_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum h2_verdict verdict;
    size_t fed;
};

/* Scan everything, given in steps of `step` bytes. */
static struct outcome scan_all(struct slice bytes, size_t step)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct outcome outcome = {H2_FINE, 0};
    const struct slice whole = bytes;
    struct h2_scan scan;

    h2_scan_init(&scan);
    while (bytes.len > 0) {
        struct slice part = slice_first(bytes, step);

        bytes = slice_from(bytes, part.len);
        while (part.len > 0) {
            struct slice piece;

            outcome.verdict = h2_scan_next(&scan, &limits, 1000, &part, &piece);
            if (outcome.verdict != H2_FINE) {
                CHECK(scan.reason != NULL);
                return outcome;
            }
            CHECK(slice_eq(piece, slice_first(slice_from(whole, outcome.fed), piece.len)));
            outcome.fed += piece.len;
        }
    }
    CHECK(outcome.fed + scan.header_len == whole.len);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = {(const char *)data, size};
    const struct outcome whole = scan_all(bytes, size + 1);
    const struct outcome pieces = scan_all(bytes, 1 + size / 3);

    /* A frame that is padding and nothing else is told by its first byte, if that is at hand. */
    CHECK(whole.verdict == pieces.verdict || whole.verdict == H2_FLOOD);
    CHECK(whole.fed <= pieces.fed || pieces.verdict == whole.verdict);
    return 0;
}
