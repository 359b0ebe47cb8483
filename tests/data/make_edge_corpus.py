#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the HTTP fuzz targets into tests/fuzz/corpus.

Run from the root of the tree; the files are committed, this says where they come from.
"""
import pathlib
import struct

CORPUS = pathlib.Path("tests/fuzz/corpus")

HOST = b"Host: weir\r\n"
HEADS = {
    "get": b"GET /a?b HTTP/1.1\r\n" + HOST + b"\r\n",
    "post": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}",
    "close": b"POST / HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    "chunked": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
               b"2\r\n{}\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "pipelined": (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 3,
    "both": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked"
            b"\r\n\r\n0\r\n\r\n",
    "expect": b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "upgrade": b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "bare_lf": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "head": b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT weir:443 HTTP/1.1\r\n" + HOST + b"\r\n",
}

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
GET = b"\x82\x87\x84\x41\x04weir"
POST = b"\x83\x87\x84\x41\x04weir"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


FRAMES = {
    "get": frame(HEADERS, 5, 1, GET),
    "post": frame(HEADERS, 4, 1, POST) + frame(DATA, 1, 1, b"{}"),
    "padded": frame(HEADERS, 4, 1, POST) + frame(DATA, 9, 1, b"\3{}\0\0\0"),
    "continued": frame(HEADERS, 1, 1, GET[:3]) + frame(CONTINUATION, 4, 1, GET[3:]),
    "trailers": frame(HEADERS, 4, 1, POST) + frame(DATA, 0, 1, b"{}")
                + frame(HEADERS, 5, 1, b"\x00\x01a\x01b"),
    "reset": frame(HEADERS, 4, 1, POST) + frame(RST, 0, 1, b"\0\0\0\x08"),
    "settings": frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64\0\x04\0\0\xff\xff"),
    "settings_ack": frame(SETTINGS, 1, 0),
    "ping": frame(PING, 0, 0, b"12345678") * 3,
    "priority": frame(PRIORITY, 0, 3, b"\0\0\0\1\x10") + frame(16, 0, 0, b"\0\0\0\1u=1"),
    "window": frame(WINDOW, 0, 0, b"\0\0\x10\0") + frame(HEADERS, 4, 1, POST)
              + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"),
    "goaway": frame(HEADERS, 5, 1, GET) + frame(GOAWAY, 0, 0, b"\0" * 8),
    "push": frame(PUSH, 4, 1, b"\0\0\0\2" + GET),
    "altsvc_after_end": frame(WINDOW, 0, 0, b"\0\0\0\0") + frame(10, 0, 0, b"\0\1a") + frame(12, 0, 0),
    "skipped": frame(HEADERS, 5, 5, GET) + frame(HEADERS, 5, 3, GET),
    "table": frame(HEADERS, 5, 1, GET + b"\x40\x01a\x7f\x10" + b"v" * 143)
             + frame(HEADERS, 5, 3, b"\x82\x87\x84\xbf" + b"\xbe" * 50),
    "expect": frame(HEADERS, 4, 1, POST + b"\x00\x06expect\x0c100-continue") + frame(DATA, 1, 1, b"{}"),
    "length": frame(HEADERS, 4, 1, POST + b"\x00\x0econtent-length\x011") + frame(DATA, 1, 1, b"{}"),
    "unknown": frame(0x42, 0, 0, b"grease"),
    "many": b"".join(frame(HEADERS, 4, 2 * i + 1, POST) for i in range(20))
            + b"".join(frame(DATA, 1, 2 * i + 1, b"{}") for i in range(20)),
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def main():
    for name, text in HEADS.items():
        write("h1_head", name, text)
        write("h1", name, b"\x00" + text)
        write("h1", name + "_pieces", b"\x0f" + text)
    for name, frames in FRAMES.items():
        write("h2_scan", name, PREFACE + frame(SETTINGS, 0, 0) + frames)
        write("h2", name, b"\x00" + frames)
        write("h2", name + "_pieces", b"\x8f" + frames)


main()
