# SPDX-License-Identifier: Apache-2.0
"""What the stores make durable a second, and what an event costs them, beside two peers.

The peers: `redis-benchmark` with XADD of the same 1 KiB to a Redis with `appendfsync always`, and
a bare loop of write and fdatasync.  Everything lies on one disk and takes turns within a round, so
that whatever else the machine does hits all alike; the table shows medians and ratios.  DEPTH is
how many operations are under way: what one flush can carry at most.  Each program that measures
also asks its store at the end what it holds, and fails if that is not what was answered.
"""

import argparse
import collections
import csv
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from redis_server import RedisServer  # noqa: E402
from weir import ROOT  # noqa: E402

BENCH = ROOT / "build/release/bench_store"
DEPTHS = (1, 16, 256)
JOBS = ("commit", "settle", "both")
EVENT = "b" * 1024
Figure = collections.namedtuple("Figure", "rate p50_ms p99_ms")


def bench(*arguments):
    """The words that bench_store prints."""
    return subprocess.run([BENCH, *map(str, arguments)], check=True, capture_output=True,
                          text=True).stdout.split()


def figure(words):
    count, seconds, p50_us, p99_us = words
    return Figure(int(count) / float(seconds), int(p50_us) / 1000, int(p99_us) / 1000)


def xadd(redis, depth, ms, guess):
    """redis-benchmark for about `ms`: it wants a number of requests, `guess` is a rate."""
    count = max(depth * 4, int(guess * ms / 1000))
    redis.client().delete("stream")
    output = subprocess.run(
        ["redis-benchmark", "-p", str(redis.port), "-c", str(depth), "-n", str(count), "--csv",
         "XADD", "stream", "*", "e", EVENT], check=True, capture_output=True, text=True).stdout
    held = redis.client().xlen("stream")
    if held != count:
        raise RuntimeError(f"the stream holds {held} of {count} entries")
    redis.client().delete("stream")
    row = next(csv.DictReader(io.StringIO(output)))
    return Figure(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))


def speeds(folder, rounds, ms):
    """{(what, depth): [Figure per round]}"""
    found = collections.defaultdict(list)
    with RedisServer(folder / "peer") as peer, RedisServer(folder / "redis") as redis:
        stores = {"embedded": f"embedded:{folder / 'embedded'}", "redis": redis.url}
        for number in range(rounds):
            for depth in DEPTHS:
                found["bare", depth].append(
                    figure(bench("bare", folder / "bare", depth, ms)))
                last = found["XADD", depth] or found["bare", depth]
                found["XADD", depth].append(xadd(peer, depth, ms, last[-1].rate))
                for what in JOBS:
                    for name, store in stores.items():
                        found[f"{name} {what}", depth].append(
                            figure(bench("speed", store, what, depth, ms)))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


def disk_bytes(folder):
    return sum(one.stat().st_size for one in folder.iterdir() if one.name.startswith("weir.db"))


def embedded_bytes(folder, kind, count):
    """(bytes on disk, bytes of memory) of one."""
    store = f"embedded:{folder}"
    bench("bytes", store, kind, 1)
    before = disk_bytes(folder)
    memory = int(bench("bytes", store, kind, count)[0])
    return (disk_bytes(folder) - before) / count, memory / count


def redis_bytes(folder, kind, count):
    """(bytes of its file, bytes of Redis's memory) of one."""
    with RedisServer(folder) as redis:
        def held():
            files = sum(one.stat().st_size for one in folder.rglob("*.aof"))
            return files, redis.client().info("memory")["used_memory"]

        bench("bytes", redis.url, kind, 1)
        before = held()
        bench("bytes", redis.url, kind, count)
        return tuple((now - then) / count for now, then in zip(held(), before))


def print_speeds(found):
    print(f"{'case':18} {'depth':>5} {'a second':>9} {'to bare':>8} {'to XADD':>8} {'p50 ms':>8} "
          f"{'p99 ms':>8}")
    rows = ["bare", "XADD", *(f"{name} {what}" for what in JOBS for name in ("embedded", "redis"))]
    for depth in DEPTHS:
        middle = {case: Figure(*map(statistics.median, zip(*found[case, depth]))) for case in rows}
        for case in rows:
            one = middle[case]
            print(f"{case:18} {depth:5} {one.rate:9.0f} {one.rate / middle['bare'].rate:8.2f} "
                  f"{one.rate / middle['XADD'].rate:8.2f} {one.p50_ms:8.2f} {one.p99_ms:8.2f}")


def print_bytes(folder, count):
    print(f"\n{'one of':24} {'bytes on disk':>14} {'bytes of memory':>16}")
    for name, measure in (("embedded", embedded_bytes), ("redis", redis_bytes)):
        for kind, label in (("mark", "mark"), ("event", "queued event, 1 KiB")):
            own = folder / f"{name}-{kind}"
            own.mkdir(mode=0o700)
            on_disk, in_memory = measure(own, kind, count)
            print(f"{label + ', ' + name:28} {on_disk:10.0f} {in_memory:16.0f}")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ms", type=int, default=1000, help="of one measurement")
    parser.add_argument("--count", type=int, default=50000, help="marks and events to weigh")
    parser.add_argument("--folder", default=ROOT / "build", help="on the disk that is meant")
    arguments = parser.parse_args()
    print(f"1 KiB events; {machine()}; disk of {Path(arguments.folder).resolve()}")
    with tempfile.TemporaryDirectory(prefix="weir-bench-", dir=arguments.folder) as folder:
        print_speeds(speeds(Path(folder), arguments.rounds, arguments.ms))
        print_bytes(Path(folder), arguments.count)


if __name__ == "__main__":
    main()
