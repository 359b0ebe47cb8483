# SPDX-License-Identifier: Apache-2.0
"""What a delivery costs weir, and how soon it comes, beside libcurl sending the same requests.

weir has one worker and one CPU; the far end and the callers have the other.  Each round does, for
each kind of target, one after another, so that whatever else the machine does hits all alike:

    drain    the far end is stopped while some thousand events are accepted; then it goes on, and so
             again until COUNT came: deliveries a second, and weir's CPU for claiming, signing,
             sending, judging and settling one
    bare     bench_caller sends the fullest request that weir sent, byte for byte, as often: what
             libcurl alone makes of it, on weir's CPU, without a store, a signature or a judgement
    through  COUNT events as fast as they are accepted: events a second from the caller to the
             target, both ways durable, and weir's CPU for all of it
    half     half as many a second: from the caller's 200 to the target's call

Events have 1 KiB and come from ACCOUNTS accounts, each with a role of its own, so no batch mixes
two.  The store is embedded and flushes.  What is counted is what the far end wrote down, and a
round fails unless that is every event exactly once.
"""

import argparse
import collections
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from catalogs import account, arn, queue_arn, rule  # noqa: E402
from weir import CENTRAL, REGION, ROOT, Weir, binary, wait_until  # noqa: E402

BUILD = ROOT / "build/release"
ACCOUNTS = 16
MEMBERS = [f"{100000000000 + index}" for index in range(ACCOUNTS)]
WEIR_CPU, OTHER_CPU = "0", "1"
DEPTH, BARE_DEPTH = 256, 64
HALF_S = 5
# weir gives a call up after five seconds: what is held back must go on before.
HOLD_MAX_S, HELD_COUNT = 4, 2000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# {kind: (deliveries in a request at most, its target)}
KINDS = {
    "sqs": (10, {"id": "t1", "arn": queue_arn("findings")}),
    "lambda": (1, {"id": "t1", "arn": arn("lambda", "function:triage")}),
    "https": (1, {"id": "t1", "arn": arn("events", "api-destination/hook")}),
}
KEY_OF_HOOK = "the-key-of-the-hook"


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def pin(pid, cpu):
    subprocess.run(["taskset", "-pac", cpu, str(pid)], check=True, capture_output=True)


def read_log(path):
    """[(event id, microseconds)]"""
    return [(words[0], int(words[1])) for words in map(str.split, path.read_text().splitlines())]


class FarEnd:
    """bench_far_end as a process."""

    def __init__(self, folder):
        self._log = folder / "far.log"
        self.samples = folder / "samples"
        self.samples.mkdir()
        self._process = subprocess.Popen(
            ["taskset", "-c", OTHER_CPU, BUILD / "bench_far_end", self._log, self.samples,
             "127.0.0.1:0", "127.0.0.1:0", folder / "server.pem", folder / "server.key"],
            stdout=subprocess.PIPE, text=True)
        plain, secure = (self._process.stdout.readline().strip() for _ in range(2))
        self.url, self.tls_port = f"http://{plain}", int(secure.rsplit(":", 1)[1])
        self._seen = 0

    def count(self):
        with urllib.request.urlopen(self.url + "/flush", timeout=60) as answer:
            return int(answer.read())

    def wait_for(self, count):
        """Until it has `count` more than when this was called last; those arrivals."""
        wait_until(lambda: self.count() >= self._seen + count, f"{count} deliveries arrived", 300)
        arrivals = read_log(self._log)[self._seen:]
        self._seen += len(arrivals)
        if len({one for one, _ in arrivals}) != count or len(arrivals) != count:
            raise RuntimeError(f"{len(arrivals)} arrivals of {count} deliveries")
        return arrivals

    def forget(self):
        """What arrived until now is not weir's."""
        self._seen = self.count()

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class Bench:
    """One weir with one kind of target, beside a far end."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.batch, target = KINDS[kind]
        self.weir = Weir(folder, config={"workers": 1})
        self.folder = folder
        self.far = FarEnd(folder)
        self.hook = f"https://localhost:{self.far.tls_port}/hook"
        self.weir.config["aws"]["endpoint"] = self.far.url
        self.weir.config["egress"] = {"allow": ["127.0.0.0/8", "::1"],
                                      "ports": [self.far.tls_port], "ca": "ca.pem"}
        self.weir.write_config()
        self.weir.start()
        secret = folder / "hook.key"
        secret.write_text(KEY_OF_HOOK)
        secret.chmod(0o600)
        self.weir.apply({
            **self._hook_catalog(),
            "accounts": [account(one) for one in MEMBERS] + [
                {"id": CENTRAL, "name": "central", "may_forward_for": ["*"]}],
            "rules": [rule("all", {"source": ["com.example.bench"]}, target)]})
        key = self.weir.issue(CENTRAL, "api-key", forwarder=True)
        self.header = f"{key['header']}: {key['key']}"
        pin(self.weir.process.pid, WEIR_CPU)

    def _hook_catalog(self):
        named = {"account": CENTRAL, "name": "hook"}
        return {
            "connections": [{**named, "authorization_type": "API_KEY", "auth_parameters": {
                "api_key_auth_parameters": {"api_key_name": "x-api-key",
                                            "api_key_value": {"file": "hook.key"}}}}],
            "api_destinations": [{
                **named, "connection_arn": f"arn:aws:events:{REGION}:{CENTRAL}:connection/hook",
                "invocation_endpoint": self.hook, "http_method": "POST"}]}

    def close(self):
        self.weir.kill9()
        self.far.stop()

    def events(self, count, rate=0):
        """Send them; when each was answered, {event id: microseconds}."""
        log = self.folder / "told.log"
        subprocess.run(
            ["taskset", "-c", OTHER_CPU, BUILD / "bench_caller", "events",
             self.weir.url + "/events", self.weir.ca, self.header, *map(str, (
                 ACCOUNTS, DEPTH, count, int(rate))), log], check=True, capture_output=True)
        return dict(read_log(log))

    def cpu(self):
        return cpu_seconds(self.weir.process.pid)

    def drain(self, count):
        """(deliveries/s, CPU us of one)"""
        parts = [self._drain_part() for _ in range(max(count // HELD_COUNT, 1))]
        seconds, cpu_s = map(sum, zip(*parts))
        return len(parts) * HELD_COUNT / seconds, cpu_s / len(parts) / HELD_COUNT * 1e6

    def _drain_part(self):
        """(seconds, CPU seconds) for what was held back."""
        self.far.signal(signal.SIGSTOP)
        try:
            start = time.monotonic()
            self.events(HELD_COUNT)
            held_s = time.monotonic() - start
            before = self.cpu()
        finally:
            self.far.signal(signal.SIGCONT)
        if held_s > HOLD_MAX_S:
            raise RuntimeError(f"{HELD_COUNT} events took {held_s:.1f} s to accept: the machine is "
                               "too busy")
        times = [when for _, when in self.far.wait_for(HELD_COUNT)]
        self.weir.drain()
        return (max(times) - min(times)) / 1e6, self.cpu() - before

    def bare(self, count):
        """The same of libcurl alone."""
        path = {"sqs": "/", "lambda": "/2015-03-31/functions/f/invocations"}
        url = self.hook if self.kind == "https" else self.far.url + path[self.kind]
        output = subprocess.run(
            ["taskset", "-c", WEIR_CPU, BUILD / "bench_caller", "bare", url, self.weir.ca,
             self.far.samples / self.kind, str(BARE_DEPTH), str(count // self.batch)], check=True, capture_output=True, text=True).stdout
        self.far.forget()
        seconds, cpu_s = map(float, output.split())
        return count / seconds, cpu_s / count * 1e6

    def through(self, count):
        """(events/s, CPU us of one)"""
        before = self.cpu()
        told = self.events(count)
        times = [when for _, when in self.far.wait_for(count)]
        self.weir.drain()
        rate = count / (max(times) - min(told.values())) * 1e6
        return rate, (self.cpu() - before) / count * 1e6

    def half(self, rate):
        """p50 and p99 in ms from the caller's answer to the target's call."""
        count = int(rate * HALF_S)
        told = self.events(count, rate)
        waits = sorted(max(0, when - told[one]) for one, when in self.far.wait_for(count))
        self.weir.drain()
        return waits[count // 2] / 1000, waits[count * 99 // 100] / 1000


def measure(kind, folder, rounds, count, found):
    bench = Bench(kind, folder)
    try:
        guarantee = bench.weir.stats()["store"]["guarantee"]
        bench.events(ACCOUNTS * 100)
        bench.far.wait_for(ACCOUNTS * 100)
        for number in range(rounds):
            found[kind, "drain"].append(bench.drain(count))
            found[kind, "bare"].append(bench.bare(count))
            through = bench.through(count)
            found[kind, "through"].append(through)
            found[kind, "half"].append(bench.half(through[0] / 2))
            print(f"{kind}: round {number + 1} of {rounds}", file=sys.stderr)
    finally:
        bench.close()
    return guarantee


def middle(values):
    return tuple(map(statistics.median, zip(*values)))


def show(found, kinds):
    print(f"{'target':8} {'':8} {'a second':>9} {'to bare':>8} {'CPU us':>7} {'to bare':>8} "
          f"{'p50 ms':>7} {'p99 ms':>7}")
    for kind in kinds:
        bare_rate, bare_us = middle(found[kind, "bare"])
        for what in ("bare", "drain", "through"):
            rate, cpu_us = middle(found[kind, what])
            print(f"{kind:8} {what:8} {rate:9.0f} {rate / bare_rate:8.2f} {cpu_us:7.1f} "
                  f"{cpu_us / bare_us:8.2f}")
        p50_ms, p99_ms = middle(found[kind, "half"])
        rate = middle(found[kind, "through"])[0] / 2
        print(f"{kind:8} {'half':8} {rate:9.0f} {'':8} {'':7} {'':8} {p50_ms:7.2f} {p99_ms:7.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--folder", help="where stores lie; a real disk")
    parser.add_argument("--kind", action="append", choices=KINDS)
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    found = collections.defaultdict(list)
    print(f"binary {binary()}; {platform.machine()}, {os.cpu_count()} CPUs, load "
          f"{os.getloadavg()[0]:.1f}")
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="weir-bench-", dir=arguments.folder) as folder:
            guarantee = measure(kind, Path(folder), arguments.rounds, arguments.count, found)
    print(f"1 KiB events of {ACCOUNTS} accounts; one worker; store guarantee: {guarantee}")
    show(found, kinds)


if __name__ == "__main__":
    main()
