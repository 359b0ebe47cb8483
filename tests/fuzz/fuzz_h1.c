/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: h1_open, h1_read, and everything between a socket and the handler
 *
 * The first byte says into how many pieces the rest is cut.  Whatever is sent, each request that
 * reached the handler is answered, at most one refusal follows, a refusal is the end, and no byte
 * of a body stays behind. */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/gateway/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data + 1, size - 1};
    struct door door;
    unsigned answers;
    size_t step;

    if (size < 2 || size > 128 * 1024 || data[1] == 'P') { /* that could become HTTP/2 */
        return 0;
    }
    step = 1 + rest.len / (1 + data[0] % 16);
    door_open(&door);
    while (rest.len > 0) {
        (void)door_send(&door, slice_first(rest, step));
        (void)ev_run(door.loop, EVRUN_NOWAIT);
        rest = slice_from(rest, step);
    }
    door_pump(&door);
    answers = door_count_text(&door, SLICE("date: "));
    CHECK(answers >= door.request_count);
    CHECK(answers <= door.request_count + 1 || door.head_err != ERR_OK);
    CHECK(answers == door.request_count || door.is_closed);
    CHECK(door.is_closed || listener_connection_count(door.listener) == 1);
    (void)shutdown(door.fd, SHUT_WR);
    door_pump(&door);
    CHECK(door.is_closed);
    CHECK(listener_in_flight_bytes(door.listener) == 0);
    door_close(&door);
    return 0;
}
