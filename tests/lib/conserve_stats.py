# SPDX-License-Identifier: Apache-2.0
"""The ledger as weir publishes it, sampled while everything breaks, and held against the outside.

    entries     received = refused + throttled + failed + duplicate + unmatched + committed
    deliveries  created  = delivered + dropped + expired + live + dead

must hold in the totals and for each account in every single document that weir gives.  Deliveries
are counted in the store, so they never fall, not even over a kill.
"""

import http.client
import json
import os
import threading
import time

from weir import AdminError

PAUSE_S = 0.1
ENTRIES = ("refused", "throttled", "failed", "duplicate", "unmatched", "committed")
DELIVERIES = ("delivered", "dropped", "expired", "live", "dead")
MONOTONE = ("created", "delivered", "dropped", "expired")


def imbalances(stats):
    """What does not add up in one document; empty when all is well."""
    parts = {"totals": stats["totals"], **stats["accounts"]}
    found = [] if stats["ledger"]["balanced"] is True else ["weir itself says: not balanced"]
    for name, part in parts.items():
        for whole, pieces in (("received", ENTRIES), ("created", DELIVERIES)):
            total = sum(part[piece] for piece in pieces)
            if part[whole] != total:
                found.append(f"{name}: {whole} {part[whole]}, but its parts are {total}: "
                             f"{ {piece: part[piece] for piece in pieces} }")
    for whole in ("received", "created"):
        total = sum(part[whole] for part in stats["accounts"].values())
        if total != stats["totals"][whole]:
            found.append(f"totals: {whole} {stats['totals'][whole]}, accounts say {total}")
    return found


def fallen(before, now, names):
    """Which counters are lower than they were; lines of text."""
    return [f"{name} fell from {before[name]} to {now[name]}" for name in names
            if now[name] < before.get(name, 0)]


def check_entries(samplers, sent):
    """An entry is committed once at most, whichever replicas it met and however often they were
    restarted.  What was counted between the last sample of a process and its death is missing."""
    taken = sum(counts["committed"] for sampler in samplers
                for counts in sampler.entries.values())
    may_be = sum(one.verdict != "refused" for one in sent)
    return [] if taken <= may_be else [
        f"the replicas committed {taken} entries, but only {may_be} were sent and not refused"]


def check_against(stats, verdict):
    """The drained ledger against what was seen outside; lines of text, one per difference."""
    totals = stats["totals"]
    found = imbalances(stats)
    for what, inside, outside in (
            ("live", totals["live"], 0), ("dead", totals["dead"], verdict.dead),
            ("created", totals["created"], verdict.created)):
        if inside != outside:
            found.append(f"weir counts {inside} deliveries {what}, outside there are {outside}")
    if totals["delivered"] > verdict.arrived:
        found.append(f"weir counts {totals['delivered']} deliveries as delivered, "
                     f"{verdict.arrived} arrived")
    return found


def process_size(pid):
    """(resident bytes, open descriptors) of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))


class Heartbeat:
    """Notes when the machine itself, or the stand-in on it, stood still: nothing that happens then
    says anything about weir's speed, and weir may rightly give up on a call."""

    BEAT_S = 0.1
    LATE_S = 0.5

    def __init__(self, aws, spans):
        self._aws, self._spans = aws, spans
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.late_s = 0.0

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(120)

    def _run(self):
        while not self._stop.is_set():
            begin_s = time.time()
            self._stop.wait(self.BEAT_S)
            self._aws.settle()
            late_s = time.time() - begin_s - self.BEAT_S
            if late_s > self.LATE_S:
                self._spans.add("late", begin_s, begin_s + self.BEAT_S + late_s)
                self.late_s += late_s


class Sampler:
    """Asks for the stats again and again, in a thread, and ends the run when one does not hold.

    `entries` keeps the last entry counters of each process of this gateway, by its replica id."""

    def __init__(self, weir):
        self._weir = weir
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._age = 0
        self._last = 0, {}
        self.entries = {}
        self.count = 0
        self.failure = None
        self.marks = {}

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(60)

    def forget(self):
        """The store may have gone back in time, as a failover does to what no replica had."""
        self._age += 1

    def mark(self, name):
        """Remember how large the process is now."""
        self.marks[name] = process_size(self._weir.process.pid)

    def _run(self):
        while not self._stop.wait(PAUSE_S):
            age = self._age
            try:
                stats = self._weir.stats()
            except (OSError, http.client.HTTPException, AdminError):
                continue  # down, or going down
            self.count += 1
            self._look(stats, age)

    def _look(self, stats, age=0):
        found, totals = imbalances(stats), stats["totals"]
        last_age, last = self._last
        if age == self._age:  # else it went back while the question was out
            found += fallen(last if last_age == age else {}, totals, MONOTONE)
            self._last = age, totals
        replica = stats["replica"]["id"]
        found += fallen(self.entries.get(replica, {}), totals, ("received", *ENTRIES))
        self.entries[replica] = {name: totals[name] for name in ("received", *ENTRIES)}
        if found and self.failure is None:
            self.failure = "\n".join([f"sample {self.count}:", *found, json.dumps(stats)[:4000]])
