# SPDX-License-Identifier: Apache-2.0
"""An HTTPS endpoint as API destinations call it, with a token endpoint beside it.

    with Endpoint(folder / "server.pem", folder / "server.key") as far:
        far.expect("/hook", api_key("x-api-key", "the key"))
        ... far.url + "/hook" ... far.taken("/hook")

It checks for itself what it was told to expect: a request whose authorization is wrong is answered
401 and kept in `strangers`.  Every request must look as EventBridge sends it (HTTP/1.1, one body of
the announced length, `Connection: close`); what does not is kept in `oddities`.
"""

import base64
import json
import re
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

TOKEN_PATH = "/oauth/token"


def api_key(name, value):
    return lambda request: request.header(name) == value


def basic(user, password):
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return lambda request: request.header("authorization") == wanted


class Request:
    """One request as it came."""

    def __init__(self, method, target, version, headers, body):
        parts = urlsplit(target)
        self.method, self.target, self.version = method, target, version
        self.path, self.query = parts.path, parse_qsl(parts.query, keep_blank_values=True)
        self.headers, self.body = headers, body
        self.time = time.time()

    def header(self, name):
        """The only value of that name; None when it is absent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


def oddity(request):
    """What EventBridge would not have sent so; None if nothing."""
    length = request.header("content-length")
    if request.version != "HTTP/1.1":
        return f"version {request.version}"
    if request.header("transfer-encoding") or (request.body and length is None):
        return "no length"
    if not re.fullmatch(r"localhost:\d+", request.header("host") or ""):
        return f"host {request.header('host')}"
    if request.path == TOKEN_PATH:
        return None
    wanted = {"user-agent": "Amazon/EventBridge/ApiDestinations", "range": "bytes=0-1048575",
              "accept-encoding": "gzip,deflate", "connection": "close"}
    for name, value in wanted.items():
        if request.header(name) != value:
            return f"{name}: {request.header(name)}"
    return None


class Endpoint:
    """The server; all its state may be read and changed while it runs."""

    def __init__(self, certificate, key, client=("c-EXAMPLE", "a client's secret"), lifetime_s=3600):
        self.client = client
        self._lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self.forget()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.request_queue_size = 128
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._context = context
        self.port = self._server.server_address[1]
        self.url = f"https://localhost:{self.port}"

    # -- what it shall do --------------------------------------------------------------------

    def forget(self):
        """As it was at the start, for the next test."""
        self.lifetime_s = self._lifetime_s
        self.requests, self.strangers, self.oddities = [], [], []
        self.token_requests, self.token_answers, self.tokens = [], [], set()
        self.issued = 0
        self._expected, self._answers = {}, {}

    def expect(self, path, check):
        """Only requests to `path` that pass are taken."""
        self._expected[path] = check

    def bearer(self, request):
        """A check: one of the tokens that are good now."""
        return request.header("authorization") in {f"Bearer {token}" for token in self.tokens}

    def answer(self, path, *answers):
        """The next answers of `path`, each (status, headers, body, delay in s), then 200 again."""
        with self._lock:
            self._answers[path] = [(*answer, *({}, b"", 0)[len(answer) - 1:]) for answer in answers]

    def taken(self, path=None):
        with self._lock:
            return [one for one in self.requests if path in (None, one.path)]

    # -- the server --------------------------------------------------------------------------

    def _token(self, request):
        fields = request.query + parse_qsl(request.body.decode())
        with self._lock:
            self.token_requests.append(request)
            if self.token_answers:
                return self.token_answers.pop(0)
            form = dict(fields)
            if len(form) != len(fields) or form.get("grant_type") != "client_credentials":
                return 400, {"error": "invalid_request"}
            if (form.get("client_id"), form.get("client_secret")) != self.client:
                return 401, {"error": "invalid_client"}
            self.issued += 1
            token = f"token-{self.issued}-{self.port}"
            self.tokens.add(token)
            return 200, {"access_token": token, "token_type": "bearer",
                         "expires_in": self.lifetime_s}

    def _judge(self, request):
        with self._lock:
            check = self._expected.get(request.path)
            if check and not check(request):
                self.strangers.append(request)
                return 401, {}, b"who is that?", 0
            self.requests.append(request)
            waiting = self._answers.get(request.path)
            return waiting.pop(0) if waiting else (200, {}, b"", 0)

    def _handler(self):
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def setup(self):
                self.request = endpoint._context.wrap_socket(self.request, server_side=True)
                super().setup()

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, self.request_version,
                                  self.headers.items(), body)
                odd = oddity(request)
                if odd:
                    endpoint.oddities.append((request.path, odd))
                if request.path == TOKEN_PATH:
                    status, answer = endpoint._token(request)
                    self.reply(status, {}, json.dumps(answer).encode())
                else:
                    status, headers, body, delay_s = endpoint._judge(request)
                    time.sleep(delay_s)
                    self.reply(status, headers, body)

            def reply(self, status, headers, body):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve

            def log_message(self, *_):
                pass

        return Handler

    def __enter__(self):
        def quiet(*_):  # a client that goes away is no news
            pass

        self._server.handle_error = quiet
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def free_of_listeners():
    """A port on which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
