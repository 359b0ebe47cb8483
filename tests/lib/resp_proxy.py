# SPDX-License-Identifier: Apache-2.0
"""A proxy between a client and Redis that understands RESP well enough to spoil it.

    with RespProxy(redis.port) as proxy, Weir(folder, store=proxy.url) as weir:
        rule = proxy.spoil("cut", match=calls("EVALSHA"), count=1)
        ...
        assert rule.hits == 1
        proxy.heal()

Each command is read whole and meets the oldest rule that matches and is not used up; replies leave
in the order of the commands.  Modes:

    cut         the command is executed, its reply is read, and the connection is reset instead
    cut_before  the connection is reset and Redis never sees the command
    delay       the reply leaves `seconds` later, and what follows it too
    answer      Redis never sees the command; `data` is the reply (error("READONLY ..."))
    garbage     instead of the reply comes what is no RESP
    oversize    instead of the reply begins one of a terabyte
    half        half of the reply, then the end of the connection
    rewrite     `change(reply bytes)` is the reply

Besides: refuse() lets nobody in, stall() holds bytes back in either direction or both as a network
does that drops packets (they arrive after heal(), if the connection still stands), cut_all() resets
what is open.  Nothing of weir is used here.
"""

import dataclasses
import hashlib
import queue
import socket
import struct
import threading
import typing

MODES = ("cut", "cut_before", "delay", "answer", "garbage", "oversize", "half", "rewrite")
GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\n"
OVERSIZE = b"$1099511627776\r\nxxxxxxxx"
POLL_S = 0.02


def error(text):
    """An error reply."""
    return f"-{text}\r\n".encode()


def calls(name):
    """Does a command have this name?"""
    return lambda words: words[0].upper() == name.upper().encode()


def mentions(text):
    """Does some word of a command contain this?"""
    return lambda words: any(text.encode() in word for word in words)


@dataclasses.dataclass
class Rule:
    """What happens to commands that match, `count` times at most (None: until healed)."""

    mode: str
    match: typing.Callable
    count: int = None
    seconds: float = 1.0
    data: bytes = b""
    change: typing.Callable = None
    hits: int = 0

    def takes(self, words):
        return (self.count is None or self.hits < self.count) and self.match(words)


def read_line(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the stream ended")
    return line


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise ConnectionError("the stream ended")
    return data


def read_value(stream):
    """The bytes of one RESP value."""
    line = read_line(stream)
    kind, rest = line[:1], line[1:-2]
    if kind == b"$":
        return line if int(rest) < 0 else line + read_exactly(stream, int(rest) + 2)
    if kind == b"*":
        return line + b"".join(read_value(stream) for _ in range(max(int(rest), 0)))
    if kind not in (b"+", b"-", b":"):
        raise ConnectionError(f"no RESP: {line[:80]}")
    return line


def read_command(stream):
    """(its words, its bytes)"""
    line = read_line(stream)
    if line[:1] != b"*":
        return line.split() or [b""], line
    words, raw = [], line
    for _ in range(int(line[1:-2])):
        head = read_line(stream)
        body = read_exactly(stream, int(head[1:-2]) + 2)
        words.append(body[:-2])
        raw += head + body
    return words, raw


class Link:
    """One client's connection and its twin to Redis; a thread for each direction."""

    def __init__(self, proxy, client, upstream):
        self._proxy, self._client, self._upstream = proxy, client, upstream
        self._pending = queue.Queue()  # one rule or None per command whose reply is due
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                         for work in (self._requests, self._replies)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except (OSError, ValueError):
            pass
        finally:
            self.reset()

    def reset(self):
        """End both connections at once; the client sees a reset."""
        self._ended.set()
        for one in (self._client, self._upstream):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        self._proxy.forget(self)

    def _requests(self):
        with self._client.makefile("rb") as stream:
            while True:
                words, raw = read_command(stream)
                self._wait_for(self._proxy.requests_flow)
                rule = self._proxy.meet(words)
                if rule and rule.mode == "cut_before":
                    return
                if not (rule and rule.mode == "answer"):
                    self._upstream.sendall(raw)
                self._pending.put(rule)

    def _replies(self):
        with self._upstream.makefile("rb") as stream:
            while True:
                rule = self._next_pending()
                if rule and rule.mode == "answer":
                    reply = rule.data
                else:
                    reply = read_value(stream)
                if rule and not self._spoil(rule, reply):
                    return
                if rule is None:
                    self._send(reply)

    def _next_pending(self):
        while True:
            try:
                return self._pending.get(timeout=POLL_S)
            except queue.Empty:
                if self._ended.is_set() or self._upstream_ended():
                    raise ConnectionError("the connection ended") from None

    def _upstream_ended(self):
        try:
            return self._upstream.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False

    def _spoil(self, rule, reply):
        """Send what the rule makes of a reply; False ends the connection."""
        if rule.mode == "cut":
            return False
        if rule.mode == "half":
            self._send(reply[:len(reply) // 2])
            return self._end_gently()
        if rule.mode == "delay":
            self._ended.wait(rule.seconds)
        self._send({"garbage": GARBAGE, "oversize": OVERSIZE}.get(
            rule.mode, rule.change(reply) if rule.change else reply))
        return True

    def _end_gently(self):
        """So that the client reads what was sent before it sees the end."""
        self._client.shutdown(socket.SHUT_WR)
        self._ended.wait(1)
        return False

    def _send(self, data):
        self._wait_for(self._proxy.replies_flow)
        self._client.sendall(data)

    def _wait_for(self, flow):
        while not flow.wait(POLL_S):
            if self._ended.is_set():
                raise ConnectionError("the connection ended")


class RespProxy:
    """Listens on a port of its own, which stays the same through refuse() and heal()."""

    def __init__(self, redis_port):
        self.redis_port = redis_port  # may be changed: where the next connection leads
        self.requests_flow, self.replies_flow = threading.Event(), threading.Event()
        self.port = 0
        self.connection_count = 0
        self._lock = threading.Lock()
        self._links, self._rules = set(), []
        self._scripts = {}  # text by digest, as seen in SCRIPT LOAD
        self._listener = None
        self._is_closed = False

    @property
    def url(self):
        """For weir's `store`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        self.heal()
        return self

    def __exit__(self, *_):
        self._is_closed = True
        self.refuse()

    def runs(self, text):
        """A match for scripts that contain this, once they were loaded through this proxy."""
        def match(words):
            return words[0].upper() == b"EVALSHA" and text.encode() in self._scripts.get(
                words[1].lower(), b"")
        return match

    # -- faults ------------------------------------------------------------------------------

    def spoil(self, mode, match=lambda words: True, **more):
        """Add a rule; it counts its hits."""
        if mode not in MODES:
            raise ValueError(f"no such mode: {mode}")
        rule = Rule(mode, match, **more)
        with self._lock:
            self._rules.append(rule)
        return rule

    def unspoil(self, rule):
        """End that rule, and no other fault."""
        with self._lock:
            self._rules = [one for one in self._rules if one is not rule]

    def stall(self, requests=True, replies=True):
        """Hold back what is sent from now on."""
        for flow, holds in ((self.requests_flow, requests), (self.replies_flow, replies)):
            if holds:
                flow.clear()

    def refuse(self):
        """Whoever is connected is reset, whoever comes is refused."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener:
            # shutdown() wakes the thread that accepts; close() alone would leave it listening.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut_all()

    def cut_all(self):
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()

    def heal(self):
        """End every fault."""
        with self._lock:
            self._rules.clear()
            needs_listener = self._listener is None
        if needs_listener:
            self._listen()
        self.requests_flow.set()
        self.replies_flow.set()

    # -- machinery ---------------------------------------------------------------------------

    def _listen(self):
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._welcome(client)

    def _welcome(self, client):
        try:
            upstream = socket.create_connection(("127.0.0.1", self.redis_port), timeout=5)
        except OSError:
            client.close()
            return
        upstream.settimeout(None)
        for one in (client, upstream):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, client, upstream)
        with self._lock:
            self._links.add(link)
            self.connection_count += 1
            is_refused = self._listener is None
        if is_refused or self._is_closed:
            link.reset()
        else:
            link.start()

    def forget(self, link):
        with self._lock:
            self._links.discard(link)

    def meet(self, words):
        """The rule for a command, which counts it; or None."""
        with self._lock:
            if [word.upper() for word in words[:2]] == [b"SCRIPT", b"LOAD"]:
                self._scripts[hashlib.sha1(words[2]).hexdigest().encode()] = words[2]
            for rule in self._rules:
                if rule.takes(words):
                    rule.hits += 1
                    return rule
        return None
