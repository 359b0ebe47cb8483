/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: h2_open, h2_read, and everything between a socket and the handler
 *
 * The input is what follows a client's greeting; its first byte says into how many pieces it is
 * cut, and whether the handler answers at once or after the connection.  Whatever is sent, the work
 * done is bounded by the frames that came, every answer belongs to a request, and nothing stays
 * behind: no body in the quota, no byte with nghttp2 (listener_destroy checks that). */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/gateway/door.h"
#include "tests/unit/gateway/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data + 1, size - 1};
    struct heard heard;
    struct door door;
    struct buf greeting;
    size_t step;

    if (size < 2 || size > 64 * 1024) {
        return 0;
    }
    step = 1 + rest.len / (1 + data[0] % 16);
    door_open(&door);
    door.holds = (data[0] & 0x80) != 0;
    buf_init(&greeting, FRAMES_MAX);
    add_greeting(&greeting);
    (void)door_send(&door, buf_slice(&greeting));
    buf_clean_up(&greeting);
    while (rest.len > 0) {
        (void)door_send(&door, slice_first(rest, step));
        (void)ev_run(door.loop, EVRUN_NOWAIT);
        rest = slice_from(rest, step);
    }
    door_pump(&door);
    heard = hear(door_received(&door));
    CHECK(door.request_count <= size / 9);
    CHECK(heard.count[SETTINGS] >= 1);
    CHECK(heard.status_count <= STATUS_MAX);
    CHECK(door.is_closed || listener_connection_count(door.listener) == 1);
    door_close(&door);
    return 0;
}
