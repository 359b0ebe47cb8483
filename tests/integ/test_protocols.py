# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 and HTTP/2 on the data listener: negotiation, long and short connections, the end of
a process, and peers in bad faith beside one in good faith."""

import json
import socket
import ssl
import struct
import subprocess
import time

import pytest

import raw
from catalogs import envelope
from clients import curl
from weir import environment, wait_until

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, _, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10))
ENHANCE_YOUR_CALM = 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# :method POST, :scheme https, :path /events (literal), :authority weir (literal)
POST = b"\x83\x87\x44\x07/events\x41\x09localhost"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def frames(data):
    """(type, flags, stream, payload) of each whole frame."""
    got = []
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        if len(data) < 9 + size:
            break
        kind, flags, stream = struct.unpack(">BBI", data[3:9])
        got.append((kind, flags, stream, data[9:9 + size]))
        data = data[9 + size:]
    return got


def goaways(data):
    """(last stream, code) of each GOAWAY."""
    return [struct.unpack(">II", payload[:8]) for kind, _, _, payload in frames(data)
            if kind == GOAWAY]


def quiet(**more):
    """An event that no rule wants."""
    return envelope(source="com.example.app", detail_type="Quiet", **{"detail": {"n": 1}, **more})


def dial(weir):
    return socket.create_connection(("127.0.0.1", weir.data_port), timeout=15)


def request(api_key, close=False, body=None):
    """One event over HTTP/1.1."""
    body = json.dumps(quiet()).encode() if body is None else body
    return (f"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{api_key['header']}: {api_key['key']}\r\nContent-Length: {len(body)}\r\n"
            + ("Connection: close\r\n" if close else "") + "\r\n").encode() + body


# -- TLS -------------------------------------------------------------------------------------

@pytest.mark.parametrize("offered, chosen", [
    (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)])
def test_alpn_is_chosen(weir, offered, chosen):
    with raw.connect(weir, offered) as connection:
        assert connection.selected_alpn_protocol() == chosen


def test_an_unknown_protocol_is_refused_in_the_handshake(weir):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with raw.connect(weir, ["spdy/3"]) as connection:
            connection.recv(1)


def test_without_alpn_it_is_http1(weir, api_key):
    with raw.connect(weir, []) as connection:
        connection.sendall(request(api_key, close=True))
        assert raw.statuses(raw.read_all(connection)) == [200]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_second_connection_resumes_the_session(weir, api_key, version):
    context = ssl.create_default_context(cafile=str(weir.ca))
    context.minimum_version = context.maximum_version = version

    def once(session):
        with dial(weir) as plain:
            with context.wrap_socket(plain, server_hostname="localhost",
                                     session=session) as connection:
                connection.sendall(request(api_key, close=True))
                assert raw.statuses(raw.read_all(connection)) == [200]
                return connection.session, connection.session_reused

    session, reused = once(None)
    assert not reused
    assert once(session)[1]


def test_tls_1_1_is_refused(weir):
    context = ssl.create_default_context(cafile=str(weir.ca))
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with dial(weir) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")


# -- HTTP/1.1 --------------------------------------------------------------------------------

def test_one_connection_carries_many_requests(weir, api_key):
    with raw.connect(weir) as connection:
        for _ in range(50):
            connection.sendall(request(api_key))
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" not in answer


def test_pipelined_requests_are_all_answered(weir, api_key):
    with raw.connect(weir) as connection:
        connection.sendall(request(api_key) * 99 + request(api_key, close=True))
        got = raw.read_all(connection)  # one answer ends where the next begins, without a line end
        assert got.count(b"HTTP/1.1 200 OK\r\n") == got.count(b"HTTP/1.1 ") == 100


def test_a_fresh_connection_per_event(weir, api_key):
    for _ in range(20):
        with raw.connect(weir) as connection:
            connection.sendall(request(api_key, close=True))
            got = raw.read_all(connection)
            assert raw.statuses(got) == [200]
            assert b"connection: close\r\n" in got


def test_chunked_and_expect_continue(weir, api_key):
    body = json.dumps(quiet(detail={"text": "x" * 200_000}))
    headers = [f"{api_key['header']}: {api_key['key']}", "Content-Type: application/json"]
    for more in (["Transfer-Encoding: chunked"], ["Expect: 100-continue"],
                 ["Transfer-Encoding: chunked", "Expect: 100-continue"]):
        answer = curl(weir, "/events", data=body, headers=headers + more, version="--http1.1")
        assert answer.status == 200, answer


# -- HTTP/2 ----------------------------------------------------------------------------------

def test_load_on_many_streams(weir, api_key, tmp_path):
    """Every answer of 2,000 posts on 4 connections of 32 streams is a success."""
    (tmp_path / "event.json").write_text(json.dumps(quiet()))
    done = subprocess.run(
        ["h2load", "-n", "2000", "-c", "4", "-m", "32", "-d", str(tmp_path / "event.json"),
         "-H", f"{api_key['header']}: {api_key['key']}", "-H", "content-type: application/json",
         weir.url + "/events"], capture_output=True, text=True, timeout=120, check=True,
        env=environment())
    assert "2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
    assert "2000 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout, done.stdout


def test_two_hundred_streams_at_once_are_more_than_are_open(weir):
    """Beyond the advertised 128, streams are refused so that a client may try again."""
    with raw.connect(weir, ["h2"]) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + b"".join(
            frame(HEADERS, 4, 2 * i + 1, POST) for i in range(180)))
        connection.settimeout(2)
        refused = 0
        got = b""
        try:
            while refused < 52:
                got += connection.recv(65536)
                refused = sum(1 for kind, _, _, payload in frames(got)
                              if kind == RST_STREAM and payload == struct.pack(">I", 7))
        except TimeoutError:
            pass
        assert refused == 52
        assert not goaways(got)


FLOODS = {
    "PING": lambda i: frame(PING, 0, 0, b"12345678"),
    "SETTINGS": lambda i: frame(SETTINGS, 0, 0),
    "PRIORITY": lambda i: frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\x10"),
    "unknown type": lambda i: frame(0x42, 0, 0, b"grease"),
    "empty DATA": lambda i: (frame(HEADERS, 4, 1, POST) if i == 0 else b"") + frame(DATA, 0, 1),
    "CONTINUATION": lambda i: frame(HEADERS if i == 0 else CONTINUATION, 0, 1, b"\x83"),
    "rapid reset": lambda i: (frame(HEADERS, 4, 2 * i + 1, POST)
                              + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")),
    "rapid reset, complete": lambda i: (frame(HEADERS, 5, 2 * i + 1, POST)
                                        + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")),
    "provoked reset": lambda i: (frame(HEADERS, 4, 2 * i + 1, POST)
                                 + frame(WINDOW_UPDATE, 0, 2 * i + 1, b"\x7f\xff\xff\xff")),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_own_connection_only(weir, api_key, name):
    """100,000 rounds: told to calm down and closed; a caller beside it is served throughout."""
    was_reset = False
    got = b""
    honest = raw.connect(weir)
    with raw.connect(weir, ["h2"]) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
        try:
            for first in range(0, 100_000, 500):
                connection.sendall(b"".join(FLOODS[name](i) for i in range(first, first + 500)))
                honest.sendall(request(api_key))
                assert honest.recv(65536).startswith(b"HTTP/1.1 200 ")
            while chunk := connection.recv(65536):
                got += chunk
        except (ConnectionError, ssl.SSLError):
            was_reset = True  # it went on after the end was said, and our last words are lost
    honest.sendall(request(api_key, close=True))
    assert raw.statuses(raw.read_all(honest)) == [200]
    honest.close()
    assert was_reset or goaways(got)[-1][1] == ENHANCE_YOUR_CALM


# -- the end ---------------------------------------------------------------------------------

def test_a_stop_drains_both_protocols(tmp_path, gateway_in):
    """One worker serves both connections: what it has told the first it knows at the second."""
    with gateway_in(tmp_path, config={"workers": 1}) as gateway:
        weir = gateway.weir
        key = weir.issue("111122223333", "api-key")
        two = raw.connect(weir, ["h2"])
        two.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0))
        one = raw.connect(weir)
        one.sendall(request(key))
        assert raw.statuses(one.recv(65536)) == [200]

        weir.process.terminate()
        heard = b""
        while not goaways(heard):
            heard += two.recv(65536)
        assert goaways(heard) == [(0x7fffffff, 0)]
        one.sendall(request(key))  # it had not heard of the end
        answer = raw.read_all(one)
        assert raw.statuses(answer) == [200]
        assert b"connection: close\r\n" in answer

        token = next(payload for kind, flags, _, payload in frames(heard)
                     if kind == PING and flags == 0)
        two.sendall(frame(PING, 1, 0, token))
        heard += raw.read_all(two)
        assert goaways(heard) == [(0x7fffffff, 0), (0, 0)]
        wait_until(lambda: weir.process.poll() is not None, "weir has ended", 20)
        assert weir.process.returncode == 0


def test_a_slow_head_does_not_hold_a_connection(tmp_path, gateway_in):
    """Ten seconds for a head, whatever trickles in."""
    with gateway_in(tmp_path) as gateway:
        with raw.connect(gateway.weir, timeout_s=20) as connection:
            started = time.monotonic()
            connection.sendall(b"POST /events HT")
            assert raw.statuses(raw.read_all(connection)) == [408]
            assert 9 < time.monotonic() - started < 14
