#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost, misrouted or counted wrongly, whatever breaks.

    tests/conserve.py --seed S [--minutes M]

One gateway on the embedded store, twenty accounts, real clients of six kinds, targets that are
healthy and targets that are not.  Every 200 to 800 ms a fault drawn from the seed strikes; then
everything is mended and drained, and outside logs are compared with a naive matcher over the
history of the catalog:

    an entry told accepted reached exactly the slots of one catalog version that it may have met,
    each once delivered or dead with its payload; an entry refused reached none; one without an
    answer reached all or none
    nothing arrived at a wrong queue, for a wrong account, under a wrong role, or altered
    each repeat is explained by a kill that found the delivery in flight, or by a target that
    accepted and did not say so
    the ledger balanced in every sample, and at the end says what the outside says
    p99 from a client's answer to the arrival at a healthy target, and from request to answer, is
    under a second while only the ailing targets are broken (calm); and under two between the faults
    that stop the whole process (chaos)
    memory and descriptors are back near where they were

Exit 0 when all hold.  On failure the faults and the differing events are printed, and the folder
build/conserve/SEED keeps the logs.  Needs the right to mount a tmpfs in a mount namespace of its
own (root, or a user namespace).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
from catalogs import queue_arn  # noqa: E402
from conserve_clients import Journal, make_senders  # noqa: E402
from conserve_faults import (  # noqa: E402
    RESERVE_BYTES, Disk, Operator, Storm, draw_faults)
from conserve_history import History, Spans  # noqa: E402
from conserve_judge import Judge, percentile  # noqa: E402
from conserve_stats import Heartbeat, Sampler, check_against  # noqa: E402
from conserve_world import (  # noqa: E402
    ACCOUNTS, AILMENTS, World, all_queues, all_roles, is_calm)
from weir import ROOT, AdminError, AwsStandinProcess, Weir, binary, wait_until  # noqa: E402

NAMESPACE_MARK = "WEIR_CONSERVE_NAMESPACE"
DISK_SIZE = "96m"
CALM_S = 6
DRAIN_S = 150
HEARD_S = 90
TOLD_PER_MINUTE_MIN = 300
SAMPLES_PER_MINUTE_MIN = 100
# Faults come every half second and the machine may be shared, so the figure of the chaos only
# catches what is far off: a healthy target that waits for a sick one waits for many seconds.
P99_MAX_S = {"calm": 1.0, "chaos": 2.0}
RSS_GROWTH_MAX_BYTES = 64 << 20
FD_GROWTH_MAX = 40
SHOWN_MAX = 15


def enter_namespace():
    """Run again in a mount namespace of one's own, where tmpfs may be mounted and goes away."""
    if os.environ.get(NAMESPACE_MARK):
        return
    options = ["--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        options.append("--map-root-user")
    os.environ[NAMESPACE_MARK] = "1"
    os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])


class Run:
    """One run, from a fresh folder to the verdict."""

    def __init__(self, seed, minutes):
        self.seed, self.minutes = seed, minutes
        self.folder = ROOT / "build/conserve" / str(seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.faults = draw_faults(seed, minutes * 60)
        self.history, self.spans, self.world = History(), Spans(), World()
        self.journal = Journal(self.folder / "told.ndjson")
        self.operator = Operator()
        self.failures = []
        self.storm = self.sampler = self.verdict = None

    def go(self):
        disk = Disk(self.folder / "weir/state", DISK_SIZE)
        with AwsStandinProcess(self.folder, all_roles(), all_queues()) as aws:
            self.aws = aws
            self.weir = Weir(self.folder / "weir", aws=aws, config={
                "workers": 2, "limits": {"store_reserve": str(RESERVE_BYTES)}})
            self.weir.start()
            try:
                self._go(disk)
            finally:
                if self.weir.process:
                    self.weir.sigcont()
                    self.weir.kill9()

    def _go(self, disk):
        self.senders = make_senders(self.weir, self.journal, ACCOUNTS, self.seed)
        self.storm = Storm(self.weir, self.aws, disk, self.world, self.history, self.spans,
                           self.senders, self.operator)
        self._prepare()
        self.sampler, self.heartbeat = Sampler(self.weir), Heartbeat(self.aws, self.spans)
        self.sampler.start()
        self.heartbeat.start()
        try:
            self._load()
        finally:
            self.sampler.stop()
            self.heartbeat.stop()
        self._judge()

    def _prepare(self):
        self.storm.apply()
        self.operator.finish()
        for name, fault in AILMENTS.items():
            self.storm.ail(queue_arn(f"ailing-{name}"), **fault)
        for sender in self.senders:
            sender.credential = sender.issue()

    def _load(self):
        """Calm, storm, calm; then mend the targets, stop sending and drain."""
        for sender in self.senders:
            sender.start()
        wait_until(self._everybody_was_heard, "every client was answered once", HEARD_S)
        self._calm("first")
        begin_s = time.time()
        self.storm.run(self.faults, self.minutes * 60, self._check)
        self.spans.add("storm", begin_s, time.time())
        self.storm.mend_all()
        self._calm("last")
        for sender in self.senders:
            sender.stop()
        for name in AILMENTS:
            self.storm.recover(queue_arn(f"ailing-{name}"))
        for sender in self.senders:
            sender.join()
        # A new process knows nothing of lanes that failed before, so the drain is short; and all
        # that is owed must be known to it.
        self.storm.kill()
        begin_s = time.time()
        self.stats = self.weir.drain(DRAIN_S)
        self.drained_s = time.time() - begin_s
        self._check()

    def _everybody_was_heard(self):
        self._check()
        heard = {one.client for one in list(self.journal.sent) if one.verdict == "told"}
        return len(heard) == len(self.senders)

    def _calm(self, name):
        # Let what the storm delayed pass before the figures of the calm are taken.
        begin_s = time.time() + CALM_S / 2
        threading.Event().wait(CALM_S)
        self.spans.add("calm", begin_s, time.time())
        self.sampler.mark(name)
        self._check()

    def _check(self):
        """Has some thread found what must end the run?"""
        found = [self.operator.failure, self.sampler.failure,
                 *(sender.failure for sender in self.senders)]
        for failure in filter(None, found):
            raise RuntimeError(failure)

    # -- the verdict -------------------------------------------------------------------------

    def _dead_letters(self):
        letters, page = [], {"next": None}
        while "next" in page:
            after = f"&next={page['next']}" if page["next"] else ""
            page = self.weir.admin("GET", f"/v1/dead?payload=true&limit=1000{after}")
            letters += page["dead"]
        return letters

    def _judge(self):
        dead = self._dead_letters()
        status = self.weir.stop()
        self._assert(status == 0, f"weir ended with {status} when asked to")
        self.failures += self._strange_lines()
        judge = Judge(self.history, self.spans)
        self.verdict = judge.judge(self.journal.sent, self.aws.messages(), dead)
        for kind, texts in self.verdict.faults.items():
            self.failures.append(f"{kind}: {len(texts)}")
            self.failures += [f"    {text}" for text in texts[:SHOWN_MAX]]
        self.failures += check_against(self.stats, self.verdict)
        self._judge_latency()
        self._judge_floors()
        self._judge_growth()

    def _strange_lines(self):
        """weir's log is one JSON object a line; anything else is a failed check or a sanitizer."""
        lines = self.weir.log_path.read_text(errors="replace").splitlines()
        return [f"in weir's log: {line[:300]}" for line in lines
                if not line.startswith('{"time":')][:SHOWN_MAX]

    def _assert(self, holds, text):
        if not holds:
            self.failures.append(text)

    def _phase(self, moment_s):
        """`calm`, `chaos`, or None where something process-wide is broken or just was."""
        if self.spans.touch("late", moment_s - 1, moment_s + 1):
            return None
        if self.spans.cover("calm", moment_s, moment_s):
            return "calm"
        is_whole = self.spans.cover("storm", moment_s, moment_s) and not self.spans.touch(
            "disturbed", moment_s - 0.5, moment_s + 1)
        return "chaos" if is_whole else None

    def _judge_latency(self):
        """From a client's answer to the arrival at calm slots, by the clock of both logs; and from
        request to answer, for clients that keep a connection."""
        queues, first = self.history.queues(), {}
        for message in self.aws.messages():
            number = json.loads(message["body"])["detail"]["n"]
            first.setdefault((number, queues.get(message["queue"])), message["time"])
        sent = {one.number: one for one in self.journal.sent if one.verdict == "told"}
        waits = {(what, phase): [] for what in ("answer", "arrival") for phase in P99_MAX_S}
        for one in sent.values():
            phase = self._phase(one.last_sent_s or one.sent_s)
            if phase and one.client.startswith(("boto3", "http2")):
                waits["answer", phase].append(
                    (one.told_s - (one.last_sent_s or one.sent_s), "an answer", str(one)))
        for (number, slot), arrived_s in first.items():
            one = sent.get(number)
            phase = one and slot and is_calm(slot, one.account) and self._phase(one.told_s)
            if phase:
                waits["arrival", phase].append(
                    (max(arrived_s - one.told_s, 0), str(slot), str(one)))
        for (what, phase), found in waits.items():
            self._judge_waits(what, phase, found)

    def _judge_waits(self, what, phase, found):
        seconds = [one[0] for one in found]
        p50_s, p99_s = percentile(seconds, 0.5), percentile(seconds, 0.99)
        print(f"{what}s in {phase}: p50 {p50_s * 1000:.0f} ms, p99 {p99_s * 1000:.0f} ms, "
              f"most {max(seconds, default=0) * 1000:.0f} ms of {len(found)}")
        self._assert(found, f"no {what} in {phase}")
        self._assert(p99_s < P99_MAX_S[phase], "\n      ".join([
            f"p99 of {what}s in {phase} is {p99_s:.2f} s, {P99_MAX_S[phase]} s allowed",
            *(f"{one[0]:.3f} s to {one[1]}: {one[2]}"
              for one in sorted(found, reverse=True)[:SHOWN_MAX])]))

    def _judge_floors(self):
        """A run in which little happened proves little."""
        told_min = TOLD_PER_MINUTE_MIN * self.minutes
        samples_min = SAMPLES_PER_MINUTE_MIN * self.minutes
        self._assert(self.verdict.told >= told_min,
                     f"only {self.verdict.told} entries were accepted, {told_min:.0f} are needed")
        self._assert(self.sampler.count >= samples_min,
                     f"only {self.sampler.count} samples, {samples_min:.0f} are needed")
        self._assert(all(self.storm.counts.values()), f"not every fault: {self.storm.counts}")
        kinds = {one.client.split("-")[0] for one in self.journal.sent if one.verdict == "told"}
        self._assert(len(kinds) == 6, f"only these clients were ever accepted: {sorted(kinds)}")
        for name in ("refused", "open", "dead", "repeats"):
            self._assert(getattr(self.verdict, name) > 0, f"nothing was ever {name}")

    def _judge_growth(self):
        (rss, fds), (rss_end, fds_end) = self.sampler.marks["first"], self.sampler.marks["last"]
        print(f"memory {rss >> 20} MiB at first, {rss_end >> 20} MiB at last; "
              f"descriptors {fds} and {fds_end}")
        self._assert(rss_end - rss < RSS_GROWTH_MAX_BYTES, f"memory grew to {rss_end >> 20} MiB")
        self._assert(fds_end - fds < FD_GROWTH_MAX, f"descriptors grew from {fds} to {fds_end}")

    def report(self):
        counts = ", ".join(f"{count} {kind}" for kind, count in self.storm.counts.items())
        print(f"faults: {counts}")
        if self.storm.restarts_s:
            print(f"restarts: p50 {percentile(self.storm.restarts_s, 0.5):.2f} s, "
                  f"max {max(self.storm.restarts_s):.2f} s")
        print(f"ledger: {self.sampler.count} samples, {len(self.history.versions)} catalogs; the "
              f"machine stood still for {self.heartbeat.late_s:.1f} s")
        if self.verdict:
            print(self.verdict.summary())
            print(f"drained in {self.drained_s:.1f} s")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    enter_namespace()
    sys.stdout.reconfigure(line_buffering=True)
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, {binary()}")
    run = Run(arguments.seed, arguments.minutes)
    try:
        run.go()
    except (RuntimeError, OSError, AdminError, subprocess.SubprocessError) as error:
        run.failures.append(f"{type(error).__name__}: {error}")
    if run.storm and run.sampler:
        run.report()
    if run.failures:
        print("\nfaults of this run:", *(run.storm.told if run.storm else []), sep="\n  ")
        print("\nFAILED, logs in", run.folder, *run.failures, sep="\n  ")
        return 1
    print("nothing lost, nothing misrouted, every ledger balanced")
    shutil.rmtree(run.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
