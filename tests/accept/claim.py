# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder share: a gateway beside its stand-in, a verdict, one line.

    def main():
        with gateway() as (aws, weir):
            ...
            expect(lost == 0, f"{lost} events were lost")
        return "what was measured, in one line"

    run(main)

Import it first: it finds tests/lib.  run() prints that line and ends with 0, or says "does not
hold" and why on stderr and ends with 1.  Any other end (2 from run) means that the script itself
failed, which proves nothing either way.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from catalogs import (  # noqa: E402
    MEMBER, OTHER, account, envelope, queue_arn, roles, rule, target)
from weir import AwsStandinProcess, Weir, binary  # noqa: E402

QUICK = bool(os.environ.get("WEIR_QUICK"))
ERROR = 2
FINDINGS = queue_arn("findings")
QUEUES = (FINDINGS, queue_arn("ordered.fifo"))
# Whatever a script sends as a Ping arrives in one queue, and nothing else arrives anywhere.
CATALOG = {
    "accounts": [account(MEMBER), account(OTHER)],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}


class Broken(Exception):
    """The claim does not hold."""


def expect(holds, otherwise):
    """Go on only when `holds`; `otherwise` says what was seen instead."""
    if not holds:
        raise Broken(otherwise)


def size(full, quick):
    """How much to do: `quick` under WEIR_QUICK=1."""
    return quick if QUICK else full


@contextlib.contextmanager
def gateway(catalog=None, queues=QUEUES, accounts=(MEMBER, OTHER), resources=(), more_roles=None,
            **options):
    """(stand-in, weir): both run on a folder of their own, with the catalog applied."""
    with tempfile.TemporaryDirectory(prefix="weir-claim-") as folder:
        trusted = {**roles(*accounts), **(more_roles or {})}
        with AwsStandinProcess(folder, trusted, queues, resources) as aws:
            weir = Weir(Path(folder) / "weir", aws=aws, **options)
            with weir:
                weir.apply(catalog or CATALOG)
                yield aws, weir


class SlowDisk:
    """A shim before weir's flushes: each takes `delay_ms` longer and leaves a line in a diary."""

    def __init__(self, folder, delay_ms):
        self._log = Path(folder) / "flushes"
        library = Path(folder) / "flush_shim.so"
        source = Path(__file__).with_name("flush_shim.c")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"],
                       check=True)
        self.env = {"LD_PRELOAD": library, "FLUSH_LOG": self._log, "FLUSH_DELAY_MS": delay_ms}

    def flushes(self):
        """(begin, end) of each flush so far, in seconds of time.monotonic()."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [tuple(int(part) / 1e9 for part in line.split()) for line in lines]


class Caller:
    """POST /events with an API key over one kept connection of HTTP/1.1."""

    def __init__(self, weir, api_key, timeout_s=60):
        self._http = http.client.HTTPSConnection(
            "localhost", weir.data_port, timeout=timeout_s,
            context=ssl.create_default_context(cafile=str(weir.ca)))
        self._headers = {"Content-Type": "application/json", api_key["header"]: api_key["key"]}

    def post(self, events, **headers):
        """(status, headers, parsed body) of one request with one event or a list of them."""
        self._http.request("POST", "/events", json.dumps(events), {**self._headers, **headers})
        answer = self._http.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def close(self):
        self._http.close()


def accepted(answer):
    """The event ids that one answer of Caller.post accepted."""
    return [one["event_id"] for one in answer[2].get("entries", []) if "event_id" in one]


def ping(**more):
    """A small event that CATALOG routes, with a fresh id."""
    return envelope(**{"source": "com.example.app", "detail_type": "Ping", **more})


def ids(messages):
    """The event ids that arrived, in order."""
    return [json.loads(message["body"])["id"] for message in messages]


def in_parallel(count, work):
    """The results of work(0) to work(count - 1), each in a thread, all let go at once."""
    barrier = threading.Barrier(count)

    def one(index):
        barrier.wait()
        return work(index)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def percentile(values, per_cent):
    """The nearest-rank percentile of some numbers."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * per_cent // 100)]


def run(main):
    """Carry out a script: its line and 0, or why not and 1."""
    name = Path(sys.argv[0]).name.removesuffix(".py")
    start = time.monotonic()
    if not binary().exists():
        sys.exit(f"{name}: {binary()} is not built")
    try:
        line = main()
    except (Broken, TimeoutError) as broken:
        sys.exit(f"{name}: does not hold: {broken}")
    except Exception:
        traceback.print_exc()
        print(f"{name}: could not be shown", file=sys.stderr)
        sys.exit(ERROR)
    print(f"{name}: {line} ({time.monotonic() - start:.0f} s)")
