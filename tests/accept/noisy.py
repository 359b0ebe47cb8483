# SPDX-License-Identifier: Apache-2.0
"""What noisy_neighbour shows of the embedded store, and noisy_neighbour_redis of Redis.

Each account is a process of its own that posts events with its key over HTTP/2 at a steady pace;
every event matches, is made durable and delivered.  The noisy one comes and goes in short turns, so
that both halves of the comparison see the same machine: "alone" is before and after each turn.

Somebody else's work on the machine can hold up one half more than the other, or a client until it
is no longer steady; then the comparison is made again, with the same gateway, three times at most.
A product that lets one account harm another does so each time.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claim import Broken, FINDINGS, expect, gateway, percentile, size

from catalogs import account, rule, target

TURN_S = 2
TURNS = 12 if "--long" in sys.argv else size(4, 3)
RATE = 40
PACE = RATE // 2
NOISE = 50
NOISY_CONNECTIONS = 4
ROUNDS = 3
JAIN_MIN = 0.97
P99_RATIO_MAX = 1.5
QUIET = [f"2{index:011}" for index in range(20)]
NOISY = "311111111111"
LIMITS = {"events_per_second": RATE, "burst": 2 * RATE}
CATALOG = {
    # The client repeats one body, and each of them is meant as an event of its own.
    "accounts": [account(one, limits=LIMITS, dedup={"by": []}) for one in [*QUIET, NOISY]],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}


class Client:
    """h2load as one account: `pace` requests a second for `seconds`."""

    def __init__(self, weir, folder, account_id, key, pace, seconds, connections=1):
        body = Path(folder) / f"{account_id}.json"
        body.write_text(json.dumps({"source": "com.example.app", "detail-type": "Ping",
                                    "account": account_id, "detail": {"severity": 8}}))
        self.account = account_id
        self._log = Path(folder) / f"{account_id}-{time.monotonic_ns()}.tsv"
        self._process = subprocess.Popen(
            ["h2load", "-D", str(seconds), "-c", str(connections), "-m", "16",
             f"--rps={pace / connections:g}", "-d", str(body), f"--log-file={self._log}",
             "-H", "content-type: application/json", "-H", f"{key['header']}: {key['key']}",
             f"{weir.url}/events"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def rows(self):
        """(begun, status, ms) of each answer, when it has ended."""
        output, _ = self._process.communicate(timeout=120)
        if self._process.returncode != 0 or not self._log.exists():
            raise RuntimeError(f"h2load of {self.account}:\n{output}")
        rows = [line.split("\t") for line in self._log.read_text().splitlines()]
        return [(int(begun) / 1e6, int(status), int(elapsed) / 1000)
                for begun, status, elapsed in (row[:3] for row in rows)]

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def ended(clients):
    try:
        yield clients
    finally:
        for client in clients:
            client.kill()


def take_turns(weir, folder, keys):
    """The rows of each account, and the (from, to) of the noisy one's turns."""
    seconds = (2 * TURNS + 1) * TURN_S + 2
    rows, turns = {NOISY: []}, []
    with ended([Client(weir, folder, one, keys[one], PACE, seconds) for one in QUIET]) as quiet:
        time.sleep(1)  # they connect; then the turns are by the clock
        for _ in range(TURNS):
            time.sleep(TURN_S)
            begin = time.time()
            with ended([Client(weir, folder, NOISY, keys[NOISY], NOISE * RATE, TURN_S,
                               NOISY_CONNECTIONS)]) as noisy:
                rows[NOISY] += noisy[0].rows()
            turns.append((begin, time.time()))
        for client in quiet:
            rows[client.account] = client.rows()
    return rows, turns


def jain(shares):
    return sum(shares) ** 2 / (len(shares) * sum(share ** 2 for share in shares))


def count(rows, status, turns):
    return sum(1 for begun, seen, _ in rows
               if seen == status and any(begin <= begun < end for begin, end in turns))


def check_shares(rows, turns):
    """Nobody else was throttled, and each got what it offered or its limit."""
    quiet = [row for one in QUIET for row in rows[one]]
    expect(all(status == 200 for _, status, _ in quiet),
           f"the twenty were answered {sorted({status for _, status, _ in quiet})}")
    offered = len(rows[NOISY]) / sum(end - begin for begin, end in turns)
    expect(offered > NOISE * RATE / 2, f"the noisy one offered only {offered:.0f} a second")
    shares = [count(rows[one], 200, turns) / (PACE * sum(end - begin for begin, end in turns))
              for one in QUIET]
    # Its burst is back after each pause.
    due = sum(RATE * (end - begin) + LIMITS["burst"] for begin, end in turns)
    shares.append(count(rows[NOISY], 200, turns) / due)
    index = jain(shares)
    expect(index >= JAIN_MIN, f"Jain's index is {index:.3f}, at least {JAIN_MIN}: the noisy one got "
           f"{shares[-1]:.1f} of its share, the others {min(shares):.2f} to {max(shares[:-1]):.2f}")
    return index, offered


def check_latency(rows, turns):
    """Medians of the twenty's p99: alone, before and after each turn, and beside the noisy one."""
    quiet = [row for one in QUIET for row in rows[one]]

    def p99(parts):
        of_each = ([ms for begun, _, ms in quiet if begin <= begun < end] for begin, end in parts)
        return statistics.median(percentile(part, 99) for part in of_each if part)

    pauses = [(begin - TURN_S, begin) for begin, _ in turns]
    pauses.append((turns[-1][1], turns[-1][1] + TURN_S))
    alone, beside = p99(pauses), p99(turns)
    expect(beside <= P99_RATIO_MAX * alone,
           f"the twenty's p99 is {beside:.1f} ms beside the noisy one, {alone:.1f} ms alone")
    return alone, beside


def one_round(weir, folder, keys):
    """The figures of a round: events of the twenty, offered by the noisy one, Jain, both p99."""
    before = throttled(weir.stats())
    rows, turns = take_turns(weir, folder, keys)
    index, offered = check_shares(rows, turns)
    now = throttled(weir.stats())
    expect(now == before, f"{now - before} events of the twenty were throttled")
    return sum(len(rows[one]) for one in QUIET), offered, index, *check_latency(rows, turns)


def throttled(stats):
    return sum(stats["accounts"].get(one, {}).get("throttled", 0) for one in QUIET)


def rounds(weir, folder, keys):
    """The figures of the first round that holds; what was wrong with the last, if none does."""
    for _ in range(ROUNDS - 1):
        with contextlib.suppress(Broken):
            return one_round(weir, folder, keys)
    return one_round(weir, folder, keys)


def show(url=None):
    """The claim's line, of a gateway that keeps its events at `url`, or on its own disk."""
    with tempfile.TemporaryDirectory(prefix="weir-noisy-") as folder, \
            gateway(CATALOG, [FINDINGS], [*QUIET, NOISY], store=url) as (_, weir):
        keys = {one: weir.issue(one, "api-key") for one in [*QUIET, NOISY]}
        told, offered, index, alone, beside = rounds(weir, folder, keys)
        stats = weir.drain()
        expect(stats["ledger"]["balanced"] and stats["totals"]["dead"] == 0,
               f"the ledger says {stats['ledger']}")
    return (f"beside {offered:.0f} a second of one account at {NOISE}x its limit, none of {told} "
            f"of twenty others throttled, Jain {index:.3f}, p99 {beside:.1f} ms, alone "
            f"{alone:.1f} ms ({stats['store']['kind']})")
