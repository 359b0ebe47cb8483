# SPDX-License-Identifier: Apache-2.0
"""Bytes on the wire, for what no well-behaved client would send."""

import re
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions


def connect(weir, alpn=("http/1.1",), timeout_s=15):
    """A TLS connection to the data listener; `alpn` empty sends no ALPN extension."""
    context = ssl.create_default_context(cafile=str(weir.ca))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    plain = socket.create_connection(("127.0.0.1", weir.data_port), timeout=timeout_s)
    return context.wrap_socket(plain, server_hostname="localhost")


def read_all(connection):
    """Everything until the server closes (or resets)."""
    got = b""
    try:
        while chunk := connection.recv(65536):
            got += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return got


def exchange(weir, data, half_close=False):
    """Send bytes over HTTP/1.1 TLS and read until the server closes; the status of each answer."""
    with connect(weir) as connection:
        connection.sendall(data)
        if half_close:
            connection.unwrap()
        return statuses(read_all(connection))


def statuses(stream):
    """Status codes of the answers in a stream of HTTP/1.1 bytes."""
    return [int(status) for status in re.findall(rb"(?m)^HTTP/1\.1 (\d{3}) ", stream)]


class Http2:
    """One HTTP/2 connection that does as it is told."""

    def __init__(self, weir):
        self.socket = connect(weir, ("h2",))
        assert self.socket.selected_alpn_protocol() == "h2"
        # No validation on our side: bad frames are the point.
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.state.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.state.data_to_send())

    def head(self, path="/", method="POST", headers=(), end=False):
        """Open a stream; its id."""
        stream = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, [
            (":method", method), (":path", path), (":scheme", "https"),
            (":authority", "localhost"), *headers], end_stream=end)
        return stream

    def events(self):
        """What the next bytes mean; empty when the connection has ended."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return []
        if not data:
            return []
        got = self.state.receive_data(data)
        self.flush()
        return got

    def status_of(self, stream):
        """The status that one stream is answered with, or None if reset or closed."""
        while got := self.events():
            for event in got:
                if getattr(event, "stream_id", None) == stream:
                    if isinstance(event, h2.events.ResponseReceived):
                        return int(dict(event.headers)[b":status"])
                    if isinstance(event, h2.events.StreamReset):
                        return None
                if isinstance(event, h2.events.ConnectionTerminated):
                    return None
        return None

    def close(self):
        self.socket.close()
