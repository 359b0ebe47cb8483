# SPDX-License-Identifier: Apache-2.0
"""A target that is out to hurt its caller: what one may do on the wire, by the name of its queue.

    with Hostile() as hostile:
        weir = Weir(folder, config={"aws": {"endpoints": {"sqs": hostile.url}}}, ...)

The name of the queue picks what happens to each request for it; `hostile.taken[name]` are the bodies
of the messages that it took, `hostile.calls[name]` counts requests.  It speaks no more of SQS than
GetQueueUrl, SendMessage and SendMessageBatch, and checks nothing: aws_standin.py is for that.  As an
HTTPS endpoint it is called at /hooks/NAME, and takes one event a request.

  well            takes everything
  slow-down       429 with Retry-After: 1 to the first call of each, then takes it
  broken          500
  hang            never answers
  reset           resets the connection
  drip            one byte of the answer each 0.2 s, for ever
  long            promises 100 bytes more than it sends, then closes
  short           promises fewer bytes than it sends
  endless-head    headers without end
  endless-body    a body without end, without a length
  huge            promises 10 GiB and sends them
  many-continues  100 Continue for ever
  garbage         bytes that are no HTTP
  redirect        307 to `elsewhere`
  liar            200, with the MD5 of something else
"""

import collections
import hashlib
import json
import socket
import socketserver
import ssl
import struct
import threading
import uuid

NOISE = b"x" * 65536


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # the caller hung up: that is the point


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.one():
            pass

    def one(self):
        head = self.rfile.readline(65536)
        if not head:
            return False
        length = 0
        while (line := self.rfile.readline(65536)) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        text, path = self.rfile.read(length).decode(), head.split()[1].decode()
        if path.startswith("/hooks/"):
            name, body = path.removeprefix("/hooks/"), {"MessageBody": text}
        else:
            body = json.loads(text or "{}")
            name = body.get("QueueName") or body.get("QueueUrl", "").rsplit("/", 1)[-1]
        hostile = self.server.hostile
        if "QueueName" in body:
            return self.reply({"QueueUrl": f"{hostile.url}/000000000000/{name}"})
        with hostile.lock:
            hostile.calls[name] += 1
        return getattr(self, "be_" + name.replace("-", "_"))(name, body)

    def reply(self, answer, status=200, headers=(), length=None):
        text = json.dumps(answer).encode()
        lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/x-amz-json-1.0",
                 f"Content-Length: {len(text) if length is None else length}", *headers]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text)
        return True

    def answer(self, name, body, md5=None, keep=True):
        """What SQS would say; the messages count as taken if `keep`."""
        def one(entry):
            text = entry["MessageBody"]
            if keep:
                with self.server.hostile.lock:
                    self.server.hostile.taken[name].append(text)
            return {"MessageId": str(uuid.uuid4()),
                    "MD5OfMessageBody": md5 or hashlib.md5(text.encode()).hexdigest()}

        if "Entries" in body:
            return {"Successful": [{"Id": entry["Id"], **one(entry)} for entry in body["Entries"]],
                    "Failed": []}
        return one(body)

    def forever(self, *chunks):
        while True:
            for chunk in chunks:
                self.wfile.write(chunk)

    def be_well(self, name, body):
        return self.reply(self.answer(name, body))

    def be_slow_down(self, name, body):
        entries = [entry["MessageBody"] for entry in body.get("Entries", [body])]
        with self.server.hostile.lock:
            new = set(entries) - self.server.hostile.known
            self.server.hostile.known |= new
        if new:
            return self.reply({}, 429, ["Retry-After: 1"])
        return self.be_well(name, body)

    def be_broken(self, name, body):
        return self.reply({"message": "it is broken"}, 500)

    def be_hang(self, name, body):
        self.server.hostile.stopped.wait(60)
        return False

    def be_reset(self, name, body):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def be_drip(self, name, body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        while not self.server.hostile.stopped.wait(0.2):
            self.wfile.write(b" ")
        return False

    def be_long(self, name, body):
        answer = self.answer(name, body, keep=False)
        self.reply(answer, length=len(json.dumps(answer)) + 100)
        return False

    def be_short(self, name, body):
        self.reply(self.answer(name, body, keep=False), length=7)
        return False

    def be_endless_head(self, name, body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self.forever(b"X-Noise: " + NOISE[:1000] + b"\r\n")

    def be_endless_body(self, name, body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        self.forever(NOISE)

    def be_huge(self, name, body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
        self.forever(NOISE)

    def be_many_continues(self, name, body):
        self.forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    def be_garbage(self, name, body):
        self.wfile.write(b"\x00\x01\x02 this is no HTTP at all\r\n\r\n")
        return False

    def be_redirect(self, name, body):
        return self.reply({}, 307, [f"Location: {self.server.hostile.elsewhere}"])

    def be_liar(self, name, body):
        return self.reply(self.answer(name, body, md5="0" * 32, keep=False))


class Hostile:
    """The service and, at `elsewhere`, a server that nobody should ever call."""

    def __init__(self, certificate=None, key=None):
        """With a certificate it speaks TLS: one that weir does not trust makes bad TLS."""
        self.lock = threading.Lock()
        self.taken = collections.defaultdict(list)
        self.calls = collections.Counter()
        self.known = set()
        self.stopped = threading.Event()
        self.strangers = []
        self._server = Server(("127.0.0.1", 0), Handler, bind_and_activate=True)
        self._server.hostile = self
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}"
        self._canary = socket.create_server(("127.0.0.1", 0))
        self.elsewhere = f"http://127.0.0.1:{self._canary.getsockname()[1]}/"

    def _watch(self):
        while True:
            try:
                caller, _ = self._canary.accept()
            except OSError:
                return
            self.strangers.append(caller.recv(65536))
            caller.close()

    def __enter__(self):
        for work in (self._server.serve_forever, self._watch):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._canary.shutdown(socket.SHUT_RDWR)
        self._canary.close()

    def ids(self, name):
        """The ids of the events that this queue took, in order."""
        with self.lock:
            return [json.loads(body)["id"] for body in self.taken[name]]
