# SPDX-License-Identifier: Apache-2.0
"""Twenty senders that never stop: boto3, the JavaScript and Go SDKs, the AWS CLI, curl and a bare
HTTP/2 client, each with an account, a credential and a Random of its own.

A sender draws an event, writes a Sent, sends, and notes what it was told.  The SDKs and the CLI
send once.  Who posts envelopes to /events does as a forwarder must: as long as the outcome is
unknown it sends the same envelope again, with the same id.
"""

import json
import random
import threading
import time
import uuid

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from catalogs import envelope
from clients import AwsCli, Boto3, Go, JavaScript, curl
from conserve_judge import Sent
from conserve_world import draw_event
from raw import connect

# Errors that say no: the entry was not accepted and never will be.  All others say "maybe".
NO = ("AccessDenied", "Throttling", "UnrecognizedClient", "IncompleteSignature", "Validation",
      "InvalidArgument", "NotAuthorized", "InvalidSignature", "MissingAuthentication")
NO_STATUS = (400, 401, 403, 413, 429)
POST_TRIES = 40
POST_TIMEOUT_S = 10


class Journal:
    """Every Sent, and one line per success in a file, written after the client has read it."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8")
        self._lock = threading.Lock()
        self.sent = []

    def open(self, sent):
        with self._lock:
            self.sent.append(sent)

    def told(self, sent, event_id, now_s):
        sent.event_id, sent.told_s, sent.verdict = event_id, now_s, "told"
        with self._lock:
            self._file.write(json.dumps({"event_id": event_id, "n": sent.number, "time": now_s,
                                         "account": sent.account}) + "\n")
            self._file.flush()

    def close(self):
        self._file.close()


def note_error(sent, code, may_have_been_taken=False):
    """The client was told an error for this entry."""
    sent.error = code
    is_no = code is not None and code.startswith(NO)
    sent.verdict = "refused" if is_no and not may_have_been_taken else "open"


class Sender:
    """One client of one account, in a thread.  `credential` may be swapped at any moment."""

    kind = None
    pause_s = (0.2, 0.9)
    entries_max = 3
    credential_kind = "sigv4"
    forwarder = False

    def __init__(self, weir, journal, account, seed):
        self.weir, self.journal, self.account = weir, journal, account
        self.name = f"{self.kind}-{account[-2:]}"
        self.credential = None
        self._random = random.Random(f"{seed} {self.name}")
        self._count = 0
        self._stop = threading.Event()
        self.failure = None
        self._thread = threading.Thread(target=self._guard, name=self.name, daemon=True)

    def issue(self, weir=None):
        """A new credential for it; `weir`: which gateway is asked, where there are several."""
        options = {"forwarder": True} if self.forwarder else {}
        return (weir or self.weir).issue(self.account, self.credential_kind, **options)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()

    def join(self, timeout_s=60):
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self.name} did not end")

    def _guard(self):
        try:
            self._run()
        except Exception as error:  # told to the main thread, which ends the run
            self.failure = f"{self.name}: {type(error).__name__}: {error}"

    def _run(self):
        while not self._stop.is_set():
            self._send(self._draw(self._random.randint(1, self.entries_max)), self.credential)
            self._stop.wait(self._random.uniform(*self.pause_s))

    def _draw(self, count):
        """Fresh entries, written into the journal before they are sent."""
        drawn = []
        for _ in range(count):
            self._count += 1
            number = f"{self.name}-{self._count:06d}"
            event = draw_event(self._random, self.account, number, self._speaks_for_aws())
            drawn.append(Sent(number, self.name, self.account, event, None, time.time()))
        return drawn

    def _speaks_for_aws(self):
        return self.forwarder or self.credential_kind == "api-key"

    def _open(self, entries, credential):
        now_s = time.time()
        for sent in entries:
            sent.sent_s, sent.credential = now_s, credential["credential"]
            self.journal.open(sent)

    def _note(self, entries, answer, now_s):
        """What a PutEvents was answered."""
        for index, sent in enumerate(entries):
            if answer.error is not None:
                note_error(sent, answer.error["code"])
            elif answer.entries[index].get("EventId"):
                self.journal.told(sent, answer.entries[index]["EventId"], now_s)
            else:
                note_error(sent, answer.entries[index].get("ErrorCode"))


def put_entry(sent):
    event = sent.event
    return {"Source": event["source"], "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"])}


class OncePerCall(Sender):
    """A client object that is made anew for each credential and puts once per call."""

    make = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._made_for, self._client = None, None

    def _send(self, entries, credential):
        if self._made_for is not credential:
            self._made_for, self._client = credential, type(self).make(self.weir, credential)
        self._open(entries, credential)
        try:
            answer = self._client.put([put_entry(sent) for sent in entries])
        except Exception as error:  # whatever a broken connection becomes in this client
            for sent in entries:
                note_error(sent, type(error).__name__)
            return
        self._note(entries, answer, time.time())


class Boto3Sender(OncePerCall):
    kind = "boto3"
    make = Boto3


class CliSender(OncePerCall):
    """Costs a second of a core per call, so it speaks rarely."""

    kind = "cli"
    make = AwsCli
    pause_s = (8, 15)
    entries_max = 5


class StreamSender(Sender):
    """An SDK in a process of its own, one request a line; a new credential needs a new process."""

    make = None
    concurrency = 4
    forwarder = True

    def _run(self):
        while not self._stop.is_set():
            self._run_process(self.credential)

    def _run_process(self, credential):
        process = type(self).make(self.weir, credential).open(self.concurrency)
        waiting, lock = {}, threading.Lock()
        reader = threading.Thread(target=self._read, args=(process, waiting, lock), daemon=True)
        reader.start()
        line = 0
        while self.credential is credential and not self._stop.is_set():
            entries = self._draw(self._random.randint(1, self.entries_max))
            self._open(entries, credential)
            with lock:
                waiting[line] = entries
            process.stdin.write(json.dumps({"Entries": [put_entry(sent) for sent in entries]})
                                + "\n")
            process.stdin.flush()
            line += 1
            self._stop.wait(self._random.uniform(*self.pause_s))
        process.stdin.close()
        reader.join(40)
        process.kill()
        process.wait()
        process.stdout.close()

    def _read(self, process, waiting, lock):
        for text in process.stdout:
            outcome, now_s = json.loads(text), time.time()
            with lock:
                entries = waiting.pop(outcome["line"])
            self._note(entries, type(self).make._answer(outcome), now_s)


class JavaScriptSender(StreamSender):
    kind = "javascript"
    make = JavaScript


class GoSender(StreamSender):
    kind = "go"
    make = Go


class PostSender(Sender):
    """Posts envelopes to /events: one, an array, or lines."""

    credential_kind = "api-key"

    def _send(self, entries, credential):
        for sent in entries:
            whole = envelope(account_id=self.account, id=str(uuid.UUID(int=self._random.getrandbits(
                128), version=4)))
            whole.update(sent.event)
            sent.text = json.dumps(whole, separators=(",", ":"))
        self._open(entries, credential)
        body, kind = self._body(entries)
        for attempt in range(POST_TRIES):
            credential = self.credential
            now_s = time.time()
            for sent in entries:
                if sent.verdict != "told":
                    sent.last_sent_s, sent.credential = now_s, credential["credential"]
            status, answer = self._post(body, kind, credential)
            if self._settle(entries, status, answer, attempt > 0) or self._stop.is_set():
                return
            self._stop.wait(self._random.uniform(0.05, 0.3))

    def _body(self, entries):
        texts = [sent.text for sent in entries]
        form = self._random.choice(("array", "lines"))
        if len(texts) == 1 and form == "array":
            return texts[0], "application/json"
        if form == "array":
            return "[" + ",".join(texts) + "]", "application/json"
        return "\n".join(texts) + "\n", "application/x-ndjson"

    def _settle(self, entries, status, answer, was_tried):
        """Note the outcome; True when every entry's is final."""
        now_s, final = time.time(), True
        for index, sent in enumerate(entries):
            if sent.verdict == "told":
                continue
            told = (answer or {}).get("entries")
            error = told[index].get("error") if told else {"code": f"status {status}"}
            if error is None:
                self.journal.told(sent, told[index]["event_id"], now_s)
                continue
            says_no = status in NO_STATUS if not told else error["code"].startswith(NO)
            note_error(sent, error["code"], was_tried)
            if says_no and not was_tried:
                sent.verdict = "refused"
            final = final and says_no
        return final

    def _post(self, body, kind, credential):
        """(status or None, parsed answer or None)."""
        raise NotImplementedError


def parse_answer(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


class CurlSender(PostSender):
    kind = "curl"
    pause_s = (0.3, 0.9)

    def _post(self, body, kind, credential):
        try:
            answer = curl(self.weir, "/events", data=body, headers=[
                f"{credential['header']}: {credential['key']}", f"Content-Type: {kind}"])
        except ConnectionError:
            return None, None
        return answer.status, parse_answer(answer.body)


class Http2Sender(PostSender):
    """Posts over one HTTP/2 connection for as long as it lasts."""

    kind = "http2"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._socket = self._state = None

    def _post(self, body, kind, credential):
        try:
            if self._socket is None:
                self._connect()
            return self._exchange(body.encode(), kind, credential)
        except (OSError, h2.exceptions.ProtocolError):
            self._drop()
            return None, None

    def _connect(self):
        self._socket = connect(self.weir, ("h2",), POST_TIMEOUT_S)
        self._state = h2.connection.H2Connection(h2.config.H2Configuration())
        self._state.initiate_connection()

    def _drop(self):
        if self._socket is not None:
            self._socket.close()
        self._socket = self._state = None

    def _exchange(self, body, kind, credential):
        stream = self._state.get_next_available_stream_id()
        self._state.send_headers(stream, [
            (":method", "POST"), (":path", "/events"), (":scheme", "https"),
            (":authority", "localhost"), ("content-type", kind),
            ("content-length", str(len(body))), (credential["header"], credential["key"])])
        for start in range(0, len(body), 16384):
            self._state.send_data(stream, body[start:start + 16384])
        self._state.end_stream(stream)
        self._socket.sendall(self._state.data_to_send())
        return self._answer_of(stream)

    def _answer_of(self, stream):
        status, text = None, b""
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the connection ended")
            ended = False
            for event in self._state.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    self._state.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id)
                    text += event.data
                elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    raise ConnectionError("the stream was reset")
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    ended = True
            self._socket.sendall(self._state.data_to_send())
            if ended:
                return status, parse_answer(text)


KINDS = ([Boto3Sender] * 6 + [JavaScriptSender] * 3 + [GoSender] * 3 + [Http2Sender] * 5
         + [CurlSender] * 2 + [CliSender])


def make_senders(weir, journal, accounts, seed):
    """One sender per account, the kinds dealt so that each meets lucky and unlucky accounts."""
    dealt = list(KINDS)
    random.Random(f"{seed} deal").shuffle(dealt)
    return [kind(weir, journal, account, seed) for kind, account in zip(dealt, accounts)]
