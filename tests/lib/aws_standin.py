#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for AWS on a loopback port that checks every signature: STS, SQS, and by botocore's
models every other service (aws_targets.py knows those that weir delivers to).

It shares no code with weir, so it can judge weir: each request's SigV4 is recomputed with
botocore, a role is assumed only with its external id, and what was accepted is written to an
NDJSON log, flushed before the answer leaves.  The log is therefore what really arrived, whatever
happens to either process afterwards.

With `--tls CERTIFICATE KEY` it also is an HTTPS endpoint for API destinations: POST /hook/NAME with the
x-api-key of `--hook-key` is taken as a call of service "https" for the resource NAME.

Log lines (`time` in epoch seconds, `seq` from 0; secrets never appear):
  {"kind": "assume_role", "allowed", "role", "session", "external_id", "tags", "caller", ...}
  {"kind": "message", "queue", "message_id", "body", "group", "dedup", "duplicate",
                      "role", "session", "session_tags", "access_key", "account", ...}
  {"kind": "call", ...}   what the other services took, see aws_targets.py
  {"kind": "refused", "service", "action", "code", "message", "fault"}

While it runs:
  GET  /_log?since=N      the log from seq N on, as NDJSON
  GET  /_health           {"ok": true}
  POST /_control          JSON, any of:
    {"fault": {"target": TARGET, "mode": MODE, "count": N | null, ...}}
    {"clear": TARGET}       end its faults; "*" ends all.  TARGET: the ARN of a queue, role or
                            resource, sqs, sts or another name that signs, *
    {"roles": [{"arn", "external_id", "callers", "tags"}], "remove_roles": [ARN],
     "queues": [ARN], "remove_queues": [ARN],
     "callers": [{"access_key", "secret", "account", "tags", "principal", "token"}],
                            tags: keys that sts:TagSession is granted for; without it, any
                            principal: its ARN, a user's unless told; token: a session's
     "lifetime_max_s": SECONDS | null}      sessions end early although more was asked
    {"resources": [ARN], "remove_resources": [ARN]}   functions, state machines, topics, documents
                            (arn:aws:ssm:REGION:ACCOUNT:document/NAME), buses
    {"answers": {"SERVICE:ACTION": {...}}}  what calls that only their model judges get back
    {"instance_role": ARN | null, "container": {"role": ARN, "authorization": TEXT} | null,
     "web_identities": {TOKEN: ROLE_ARN}}   credentials without a key, see aws_identity.py
    {"certificates": [[N, CERTIFICATE, KEY]]}  what the Nth --tls port shows from now on
    {"executions_end": true}    Step Functions executions are over as soon as they began
  Fault modes, each for `count` requests (null: until cleared) and with `probability` (1):
    fail      error `code`, `status`, `message`, `headers`; default InternalFailure, 500
    throttle  SQS RequestThrottled, Lambda TooManyRequestsException (429), else Throttling, 400
    deny      AccessDenied, 403
    partial   SendMessageBatch, PublishBatch, PutEvents fail the entries whose position % `every` (2) is 0, the others pass;
              `code` (InternalError), `sender_fault` (false)
    delay     answer after `seconds`
    hang      take the request, do nothing for `seconds` (60), close
    drip      accept, then send the answer one byte each `seconds` (0.5)
    lie       accept, then promise 100 bytes more than the answer has, and close after it
    reset     reset the connection without doing anything
    swallow   accept and write down, then close without an answer
    answer    a presigned GetCallerIdentity gets `status` (200) and `body`, whatever it was
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

import aws_identity
import aws_models
import aws_presigned
import aws_wire
from aws_services import QUEUE_ARN, Sqs, Sts
from aws_signature import Refusal, verify
from aws_targets import Targets

HEAD_MAX_BYTES = 64 * 1024
REQUEST_MAX_BYTES = 16 * 1024 * 1024
LIE_BYTES = 100
MODES = ("fail", "throttle", "deny", "partial", "delay", "hang", "drip", "lie", "reset",
         "swallow", "answer")


class HookCall:
    """What a fault must know of a request to /hook."""

    service, action, params = "https", "POST", {}


class Log:
    """Append-only NDJSON: in the file if there is one, else in memory."""

    def __init__(self, path=None, on_line=None):
        self._file = open(path, "a+b") if path else None
        self._on_line = on_line
        self._lines = []

    def __len__(self):
        return len(self._lines)

    def append(self, line):
        line = {"seq": len(self._lines), "time": round(time.time(), 6), **line}
        text = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        self._lines.append(text if self._file is None else self._file.tell())
        if self._file:
            self._file.write(text)
            self._file.flush()
        if self._on_line:
            self._on_line(line)

    def since(self, seq):
        """The lines from `seq` on, as NDJSON bytes."""
        if self._file is None:
            return b"".join(self._lines[seq:])
        if seq >= len(self._lines):
            return b""
        self._file.seek(self._lines[seq])
        text = self._file.read()
        self._file.seek(0, os.SEEK_END)
        return text

    @property
    def lines(self):
        return [json.loads(line) for line in self.since(0).splitlines()]

    def close(self):
        if self._file:
            self._file.close()


class Faults:
    """What goes wrong next, by target."""

    def __init__(self):
        self._by_target = {}
        self._random = random.Random(1)

    def set(self, fault):
        if fault.get("mode") not in MODES:
            raise ValueError(f"mode {fault.get('mode')!r} is none of {', '.join(MODES)}")
        self._by_target[fault["target"]] = dict(fault)

    def clear(self, target):
        if target == "*":
            self._by_target.clear()
        self._by_target.pop(target, None)

    def take(self, targets):
        """The fault of the first of `targets` that has one, or None; counts it down."""
        name = next((target for target in targets if target in self._by_target), None)
        fault = self._by_target.get(name)
        if fault is None or self._random.random() >= fault.get("probability", 1):
            return None
        if fault.get("count") is not None:
            fault["count"] -= 1
            if fault["count"] <= 0:
                del self._by_target[name]
        return fault


class Drop(Exception):
    """End the connection without an answer."""

    def __init__(self, reset=False):
        super().__init__("drop")
        self.reset = reset


class AwsStandin:
    """The server.  start() returns once the port is open; also a context manager."""

    def __init__(self, port=0, host="127.0.0.1", log_path=None, on_line=None, certificates=()):
        """`certificates`: (certificate, key) paths; each opens a TLS port more."""
        self.host, self.port = host, port
        self.certificates, self.tls_urls = certificates, []
        self.hook_key = None
        self.log = Log(log_path, on_line)
        self.faults = Faults()
        self.sts = Sts(self.log.append)
        self.own_sources = aws_identity.OwnSources(self.sts, self.log.append)
        self.web_identities = {}
        self.sqs = Sqs(self.log.append, lambda: self.url)
        self.targets = Targets(self.log.append)
        self._loop = self._stopped = None
        self._thread = None
        self._server = None
        self._tls_servers, self._tls_contexts = [], []

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    async def open(self):
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, limit=HEAD_MAX_BYTES, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        for certificate, key in self.certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._tls_contexts.append(context)
            self._tls_servers.append(await asyncio.start_server(
                self._serve, self.host, 0, limit=HEAD_MAX_BYTES, backlog=512, ssl=context))
            port = self._tls_servers[-1].sockets[0].getsockname()[1]
            self.tls_urls.append(f"https://localhost:{port}")

    def start(self):
        """Serve from a thread of its own."""
        ready = threading.Event()

        async def run():
            self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
            await self.open()
            ready.set()
            await self._stopped.wait()
            for server in (self._server, *self._tls_servers):
                server.close()

        # asyncio.run cancels the open connections when run() ends.
        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the stand-in did not open its port")
        return self

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self.log.close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    # -- HTTP --------------------------------------------------------------------------------

    async def _serve(self, reader, writer):
        try:
            while await self._serve_one(reader, writer):
                pass
        except Drop as drop:
            if drop.reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError,
                ValueError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        fields = dict(headers)
        if fields.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._read_body(reader, fields)
        keep = fields.get("connection", "").lower() != "close"
        status, kind, answer, extra, fault = await self._answer(method, target, headers, body)
        mode = fault["mode"] if fault else None
        length = len(answer) + (LIE_BYTES if mode == "lie" else 0)
        out = (f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\n"
               f"Content-Type: {kind}\r\nContent-Length: {length}\r\n"
               f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}\r\n"
               + "".join(f"{name}: {value}\r\n" for name, value in extra.items())
               + ("" if keep else "Connection: close\r\n") + "\r\n").encode("latin-1") + answer
        if mode == "drip":
            for byte in out:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(fault.get("seconds", 0.5))
        else:
            writer.write(out)
            await writer.drain()
        return keep and mode != "lie"

    @staticmethod
    async def _read_body(reader, fields):
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await reader.readline()).split(b";")[0], 16):
                body += await reader.readexactly(size)
                await reader.readline()
                if len(body) > REQUEST_MAX_BYTES:
                    raise ValueError("the body is too large")
            await reader.readline()
            return body
        length = int(fields.get("content-length", "0"))
        if length > REQUEST_MAX_BYTES:
            raise ValueError("the body is too large")
        return await reader.readexactly(length)

    # -- requests ----------------------------------------------------------------------------

    async def _answer(self, method, target, headers, body):
        path = urllib.parse.urlsplit(target)
        if path.path.startswith("/_"):
            status, answer = self._own(method, path, body)
            return status, "application/json", answer, {}, None
        if path.path.startswith("/hook/"):
            return await self._answer_hook(path.path.removeprefix("/hook/"), headers, body)
        own = self.own_sources.serve(method, path.path, dict(headers))
        if own is not None:
            return own[0], "text/plain", own[1].encode(), {}, None
        if aws_presigned.is_presigned(method, target):
            return await self._answer_presigned(target, headers, body)
        scope = aws_models.scope_service(headers)
        if scope in (None, "sts", "sqs"):
            return await self._answer_old(method, target, headers, body)
        return await self._answer_modelled(scope, method, target, headers, body)

    async def _answer_presigned(self, target, headers, body):
        call = aws_wire.Call("sts", "GetCallerIdentity", {}, False)
        fault = self.faults.take(["sts", "*"])
        try:
            await self._before(call, fault)
            answer = aws_presigned.answer(target, headers, body, self.sts, self.log.append)
        except Refusal as refusal:
            return self._refuse(call, headers, refusal, fault)
        self._after(fault)
        if fault and fault["mode"] == "answer":
            return fault.get("status", 200), "text/xml", fault["body"].encode(), {}, None
        return 200, *aws_wire.render(call, answer), {}, fault

    async def _answer_old(self, method, target, headers, body):
        """STS and SQS, whose old and new clients speak differently: aws_wire.py."""
        call, fault = None, None
        try:
            call = aws_wire.parse(headers, body)
            service = self.sts if call.service == "sts" else self.sqs
            if call.action == "AssumeRoleWithWebIdentity":
                answer = aws_identity.assume_with_token(
                    self.sts, self.log.append, self.web_identities, call.params)
                return 200, *aws_wire.render(call, answer), {}, None
            identity, region = verify(method, target, headers, body, self.sts.identities.get,
                                      service.SERVICE, time.time())
            fault = self.faults.take(self._fault_targets(call, identity, region))
            partial = await self._before(call, fault)
            if partial:
                answer = service.call(call.action, call.params, identity, region, partial)
            else:
                answer = service.call(call.action, call.params, identity, region)
        except Refusal as refusal:
            return self._refuse(call, headers, refusal, fault)
        self._after(fault)
        return (200, *aws_wire.render(call, answer), {"x-amzn-RequestId": str(len(self.log))},
                fault)

    async def _answer_hook(self, name, headers, body):
        """What a web service of somebody's own would say; nobody signs there."""
        arn = self.targets.hook_arn(name)
        fault = self.faults.take([arn, "https", "*"])
        try:
            await self._before(HookCall, fault)
            if dict(headers).get("x-api-key") != self.hook_key:
                raise Refusal("Unauthorized", "the key is wrong", 401)
            self.targets.serve_hook(arn, body.decode())
        except Refusal as refusal:
            self.log.append({"kind": "refused", "service": "https", "action": name,
                             "code": refusal.code, "message": refusal.message,
                             "fault": fault["mode"] if fault else None})
            return (refusal.status, "application/json", b'{"message": "no"}',
                    refusal.headers or {}, None)
        self._after(fault)
        return 200, "application/json", b'{"ok": true}', {}, fault

    async def _answer_modelled(self, scope, method, target, headers, body):
        call, fault = None, None
        try:
            identity, region = verify(method, target, headers, body, self.sts.identities.get, scope,
                                      time.time())
            call = aws_models.parse(scope, method, target, headers, body)
            fault = self.faults.take([self.targets.resource_of(call, identity, region), scope, "*"])
            partial = await self._before(call, fault)
            answer = self.targets.serve(call, identity, region, partial)
        except Refusal as refusal:
            return self._refuse_modelled(scope, call, refusal, fault)
        self._after(fault)
        status, kind, text, extra = aws_models.render(call, answer)
        return (status, kind, text, {"x-amzn-RequestId": str(len(self.log)), **extra},
                fault)

    @staticmethod
    def _after(fault):
        if fault and fault["mode"] == "swallow":
            raise Drop()

    def _fault_targets(self, call, identity, region):
        """The names under which a fault may strike this request, the narrowest first."""
        if call.service == "sts":
            return [call.params.get("RoleArn"), "sts", "*"]
        try:
            return [self.sqs.find(call.params, identity, region).arn, "sqs", "*"]
        except Refusal:
            return ["sqs", "*"]

    async def _before(self, call, fault):
        """Do what the fault does before the service acts; the batch positions that must fail."""
        mode = fault["mode"] if fault else None
        if mode == "fail":
            raise Refusal(fault.get("code", "InternalFailure"),
                          fault.get("message", "stand-in fault"), fault.get("status", 500), sender=fault.get("status", 500) < 500,
                          headers=fault.get("headers"))
        if mode == "throttle":
            code = {"sts": "Throttling", "sqs": "com.amazonaws.sqs#RequestThrottled",
                    "lambda": "TooManyRequestsException"}.get(call.service, "ThrottlingException")
            raise Refusal(code, "Rate exceeded", 429 if call.service in ("lambda", "https") else 400,
                          query_code=code.split("#")[-1], headers=fault.get("headers"))
        if mode == "deny":
            raise Refusal("AccessDeniedException", "not authorized", 403, query_code="AccessDenied")
        if mode == "delay":
            await asyncio.sleep(fault.get("seconds", 1))
        if mode == "hang":
            await asyncio.sleep(fault.get("seconds", 60))
            raise Drop()
        if mode == "reset":
            raise Drop(reset=True)
        if mode == "partial":
            refusal = Refusal(fault.get("code", "InternalFailure" if call.service == "events"
                                        else "InternalError"),
                              "stand-in fault", sender=fault.get("sender_fault", False))
            entries = (call.params.get("Entries")
                       or call.params.get("PublishBatchRequestEntries") or [])
            count = 0 if call.action == "SendMessage" else len(entries)
            return {position: refusal for position in range(0, count, fault.get("every", 2))}
        return None

    def _refuse(self, call, headers, refusal, fault):
        is_json = call.is_json if call else "x-amz-target" in dict(headers)
        namespace = (aws_wire.SQS_NAMESPACE if call and call.service == "sqs"
                     else aws_wire.STS_NAMESPACE)
        self.log.append({
            "kind": "refused", "service": call.service if call else None,
            "action": call.action if call else None, "code": refusal.query_code,
            "message": refusal.message, "fault": fault["mode"] if fault else None})
        kind, body, extra = aws_wire.render_refusal(is_json, namespace, refusal)
        return refusal.status, kind, body, extra, None

    def _refuse_modelled(self, scope, call, refusal, fault):
        model = aws_models.service_of(scope)
        self.log.append({
            "kind": "refused", "service": scope, "action": call.action if call else None,
            "code": refusal.query_code, "message": refusal.message,
            "fault": fault["mode"] if fault else None})
        kind, body, extra = aws_models.render_refusal(
            call, model.metadata["protocol"] if model else "json", refusal)
        return refusal.status, kind, body, extra, None

    # -- control -----------------------------------------------------------------------------

    def _own(self, method, path, body):
        if method == "GET" and path.path == "/_log":
            since = int(dict(urllib.parse.parse_qsl(path.query)).get("since", 0))
            return 200, self.log.since(since)
        if method == "GET" and path.path == "/_health":
            return 200, b'{"ok": true}'
        if method == "POST" and path.path == "/_control":
            try:
                self.control(json.loads(body))
                return 200, b'{"ok": true}'
            except (ValueError, KeyError, TypeError) as error:
                return 400, json.dumps({"error": str(error)}).encode()
        return 404, b'{"error": "GET /_log, GET /_health or POST /_control"}'

    def control(self, order):
        """Carry out one control document (see the top of this file)."""
        known = {"fault", "clear", "roles", "remove_roles", "queues", "remove_queues", "callers",
                 "lifetime_max_s", "resources", "remove_resources", "answers", "executions_end",
                 "instance_role", "container", "web_identities", "certificates"}
        if unknown := set(order) - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if "clear" in order:
            self.faults.clear(order["clear"])
        if "fault" in order:
            self.faults.set(order["fault"])
        for role in order.get("roles", []):
            self.sts.add_role(role["arn"], role.get("external_id"), role.get("callers"),
                              role.get("tags"))
        for arn in order.get("remove_roles", []):
            self.sts.trust.pop(arn, None)
        for arn in order.get("queues", []):
            self.sqs.add_queue(arn)
        for arn in order.get("remove_queues", []):
            self.sqs.remove_queue(arn)
        for caller in order.get("callers", []):
            self.sts.add_caller(caller["access_key"], caller["secret"], caller["account"],
                                tags=caller.get("tags"), principal=caller.get("principal"),
                                token=caller.get("token"))
        for arn in order.get("resources", []):
            self.targets.add_resource(arn)
        self.targets.resources -= set(order.get("remove_resources", []))
        self.targets.answers.update(order.get("answers", {}))
        self.own_sources.instance_role = order.get("instance_role", self.own_sources.instance_role)
        self.own_sources.container = order.get("container", self.own_sources.container)
        self.web_identities.update(order.get("web_identities", {}))
        for number, certificate, key in order.get("certificates", []):
            self._tls_contexts[number].load_cert_chain(certificate, key)
        if "executions_end" in order:
            self.targets.executions_end = order["executions_end"]
        if "lifetime_max_s" in order:
            self.sts.lifetime_max_s = order["lifetime_max_s"]


def describe(line):
    """One readable line per arrival."""
    clock = time.strftime("%H:%M:%S", time.localtime(line["time"]))
    if line["kind"] == "assume_role":
        verdict = "assumed" if line["allowed"] else "REFUSED"
        tags = " ".join(f"{key}={value}" for key, value in line["tags"].items())
        return f"{clock}  sts   {verdict} {line['role']} session {line['session']} {tags}".rstrip()
    if line["kind"] == "own":
        return f"{clock}  {line['source']} {line['asked']}: {line['status']}"
    if line["kind"] == "assume_role_with_web_identity":
        return f"{clock}  sts   {'assumed' if line['allowed'] else 'REFUSED'} {line['role']}"
    if line["kind"] == "refused":
        fault = f" (fault {line['fault']})" if line["fault"] else ""
        service = line["service"] or "?"
        return f"{clock}  {service:<5} REFUSED {line['action']}: {line['code']}{fault}"
    what = line["body"] or json.dumps(line.get("params"))
    try:
        event = json.loads(what)
        what = (f"{event['source']} \"{event['detail-type']}\" of {event['account']} "
                f"id {event['id']}")
    except (ValueError, KeyError, TypeError):
        what = what[:80].replace("\n", " ")
    signer = line["role"] or line["principal"]
    twice = " DUPLICATE" if line["duplicate"] else ""
    service = line.get("service", "sqs")
    where = (line.get("queue") or line.get("resource") or line["action"]).split(":")[-1]
    return f"{clock}  {service:<5} {where} <- {what}, signed by {signer}{twice}"


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description="A stand-in for AWS that verifies every signature.",
        epilog="Point weir at it with \"aws\": {\"endpoints\": {\"sqs\": URL, \"sts\": URL}}; "
               "watch arrivals with --verbose or GET /_log.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one, printed at start")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--log", metavar="FILE", help="append what arrives, one JSON object a line")
    parser.add_argument("--caller", metavar="KEY:SECRET[@ACCOUNT]", action="append", default=[],
                        help="a long-lived key that may sign (account 999999999999 unless told)")
    parser.add_argument("--role", metavar="ARN[=EXTERNALID]", action="append", default=[],
                        help="a role that may be assumed, with that external id if given")
    parser.add_argument("--queue", metavar="ARN", action="append", default=[],
                        help="a queue that exists; FIFO if it ends in .fifo")
    parser.add_argument("--resource", metavar="ARN", action="append", default=[],
                        help="a function, state machine, topic, document or bus that exists")
    parser.add_argument("--tls", metavar=("CERTIFICATE", "KEY"), nargs=2, action="append", default=[],
                        help="open an HTTPS port more, for POST /hook/NAME")
    parser.add_argument("--hook-key", metavar="TEXT", help="the x-api-key that /hook wants")
    parser.add_argument("--verbose", action="store_true", help="print a line for each arrival")
    return parser.parse_args(argv)


def configure(standin, args):
    """Fill the stand-in from the command line; ValueError names the bad argument."""
    for text in args.caller:
        key, _, rest = text.partition(":")
        secret, _, account = rest.rpartition("@") if "@" in rest else (rest, "", "999999999999")
        if not key or not secret:
            raise ValueError(f"--caller {key}: KEY:SECRET or KEY:SECRET@ACCOUNT is wanted")
        standin.sts.add_caller(key, secret, account)
    for text in args.role:
        arn, _, external_id = text.partition("=")
        standin.sts.add_role(arn, external_id or None)
    for arn in args.queue:
        if not QUEUE_ARN.fullmatch(arn):
            raise ValueError(f"--queue {arn}: a queue ARN is wanted")
        standin.sqs.add_queue(arn)
    for arn in args.resource:
        standin.targets.add_resource(arn)


async def serve(standin):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await standin.open()
    print("listening on", *standin.tls_urls, standin.url, flush=True)
    await stop.wait()
    standin.log.close()


def main(argv=None):
    args = parse_arguments(argv)
    on_line = (lambda line: print(describe(line), flush=True)) if args.verbose else None
    standin = AwsStandin(args.port, args.host, args.log, on_line, args.tls)
    standin.hook_key = args.hook_key
    try:
        configure(standin, args)
        asyncio.run(serve(standin))
    except (ValueError, OSError) as error:
        print(f"aws_standin: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
