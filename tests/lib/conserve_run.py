# SPDX-License-Identifier: Apache-2.0
"""One run of conserve, from a fresh folder to the verdict; here on one gateway with the embedded
store, whose parts conserve_replicas.py replaces.
"""

import shutil
import threading
import time

from conserve_clients import KINDS, Journal, make_senders
from conserve_faults import RESERVE_BYTES, Disk, Operator, Storm, draw_faults
from conserve_history import History, Spans
from conserve_judge import Judge, percentile
from conserve_kinds import arrivals
from conserve_stats import Heartbeat, Sampler, check_against
from conserve_world import ACCOUNTS, UNTRUSTED, World, all_roles, is_calm, may_die
from weir import ROOT, AwsStandinProcess, Weir, make_certificates, wait_until

DISK_SIZE = "96m"
CALM_S = 6
# A machine that stands still again and again needs more time to show a calm.
CALM_TRIES = 10
CALM_TOLD_MIN = 50
DRAIN_S = 150
HEARD_S = 90
TOLD_PER_MINUTE_MIN = 300
SAMPLES_PER_MINUTE_MIN = 100
# Faults come every half second and the machine may be shared, so the figure of the chaos only
# catches what is far off: a healthy target that waits for a sick one waits for many seconds.
P99_MAX_S = {"calm": 1.0, "chaos": 2.0}
# Of a machine that stood still for half of the time no speed can be said.
STOOD_STILL_S_PER_MINUTE = 30
RSS_GROWTH_MAX_BYTES = 64 << 20
# Kept connections: ten kinds of target of twenty accounts, of which many hang, hold more calls under
# way at once than the first calm did.  A descriptor lost with each call would be thousands.
FD_GROWTH_MAX = 150
SHOWN_MAX = 15
HOOK_KEY = "the-key-of-the-hooks"


def egress(folder, aws):
    """What a gateway must be told to reach the stand-in's HTTPS endpoints."""
    ports = [int(url.rsplit(":", 1)[1]) for url in aws.tls_urls]
    return {"egress": {"allow": ["127.0.0.0/8", "::1"], "ports": ports,
                       "ca": str(folder / "ca.pem")}}


class Run:
    """One run, from a fresh folder to the verdict."""

    name = ""
    kinds = Storm.kinds
    p99_max_s = P99_MAX_S
    fd_growth_max = FD_GROWTH_MAX

    def __init__(self, seed, minutes):
        self.seed, self.minutes = seed, minutes
        self.folder = ROOT / "build/conserve" / f"{self.name}{seed}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.faults = draw_faults(seed, minutes * 60, self.kinds)
        self.history, self.spans, self.world = History(), Spans(), World(seed)
        self.journal = Journal(self.folder / "told.ndjson")
        self.operator = Operator()
        self.failures = []
        self.storm = self.verdict = None
        self.samplers = []

    def go(self):
        stranger = self.folder / "stranger"
        stranger.mkdir()
        for folder in (self.folder, stranger):
            make_certificates(folder)
        key = self.folder / "hook.key"
        key.write_text(HOOK_KEY)
        key.chmod(0o600)
        more = ["--hook-key", HOOK_KEY]
        for folder in (self.folder, stranger):
            more += ["--tls", folder / "server.pem", folder / "server.key"]
        with AwsStandinProcess(self.folder, all_roles(), *self.world.standing(), more) as aws:
            self.aws = aws
            self.world.use_hooks(aws.tls_urls, key)
            try:
                self._build()
                self._go()
            finally:
                self._tear_down()

    def _go(self):
        self._prepare()
        self.samplers += [Sampler(weir) for weir in self.weirs]
        self.heartbeat = Heartbeat(self.aws, self.spans)
        for watcher in (*self.samplers, self.heartbeat):
            watcher.start()
        try:
            self._load()
        finally:
            for watcher in (*self.samplers, self.heartbeat):
                watcher.stop()
        self._judge()

    # -- what stands on the stage --------------------------------------------------------------

    def _build(self):
        """Start what is tested; afterwards there are `weirs`, `senders` and a `storm`."""
        disk = Disk(self.folder / "weir/state", DISK_SIZE)
        weir = Weir(self.folder / "weir", aws=self.aws, config={
            "workers": 2, "limits": {"store_reserve": str(RESERVE_BYTES)},
            **egress(self.folder, self.aws)})
        self.weirs = [weir]
        weir.start()
        self.senders = make_senders(weir, self.journal, ACCOUNTS, self.seed)
        self.storm = Storm(weir, self.aws, disk, self.world, self.history, self.spans,
                           self.senders, self.operator)

    def _tear_down(self):
        for weir in self.weirs:
            if weir.process:
                weir.sigcont()
                weir.kill9()

    def _is_prompt(self, _one):
        """Is an entry that was told stored on its way at once?"""
        return True

    def _make_judge(self):
        return Judge(self.history, self.spans, may_die=may_die)

    def _judge_more(self):
        """What else must hold."""

    # -- the course ----------------------------------------------------------------------------

    def _prepare(self):
        self.storm.apply()
        self.operator.finish()
        # Half of the seeds have executions that are over before anybody asks for them again.
        self.aws.control(executions_end=self.seed % 2 == 0)
        for place, fault in self.world.ailing():
            self.storm.ail(place, **fault)
        for sender in self.senders:
            sender.credential = self.operator.insist(f"issue {sender.name}", sender.issue)

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
        for place, _ in self.world.ailing():
            self.storm.recover(place)
        self.trusted_s = time.time()
        self.aws.control(certificates=[[1, str(self.folder / "server.pem"),
                                        str(self.folder / "server.key")]])
        for sender in self.senders:
            sender.join()
        # A new process knows nothing of lanes that failed before, so the drain is short; and all
        # that is owed must be known to it.
        self.storm.kill_all()
        begin_s = time.time()
        self.stats = self.weirs[0].drain(DRAIN_S)
        self.drained_s = time.time() - begin_s
        self._check()

    def _everybody_was_heard(self):
        self._check()
        heard = {one.client for one in list(self.journal.sent) if one.verdict == "told"}
        return len(heard) == len(self.senders)

    def _calm(self, name):
        # Let what the storm delayed pass before the figures of the calm are taken.
        begin_s = time.time() + CALM_S / 2
        for _ in range(CALM_TRIES):
            threading.Event().wait(CALM_S)
            self.spans.add("calm", begin_s, time.time())
            self._check()
            if self._told_in_calm(begin_s) >= CALM_TOLD_MIN:
                break
        for sampler in self.samplers:
            sampler.mark(name)
        self._check()

    def _told_in_calm(self, begin_s):
        """How many were told stored since, while the machine did not stand still."""
        return sum(one.verdict == "told" and one.sent_s > begin_s
                   and self._phase(one.last_sent_s or one.sent_s) == "calm"
                   for one in list(self.journal.sent))

    def _check(self):
        """Has some thread found what must end the run?"""
        found = [one.failure for one in (self.operator, *self.samplers, *self.senders)]
        for failure in filter(None, found):
            raise RuntimeError(failure)

    # -- the verdict -------------------------------------------------------------------------

    def _dead_letters(self):
        letters, page = [], {"next": None}
        while "next" in page:
            after = f"&next={page['next']}" if page["next"] else ""
            page = self.weirs[0].admin("GET", f"/v1/dead?payload=true&limit=1000{after}")
            letters += page["dead"]
        return letters

    def _judge_trust(self):
        """Nothing may go to whom nobody vouches for."""
        there = self.world.places(UNTRUSTED)
        early = [one for one in self.arrived
                 if one["place"] in there and one["time"] < self.trusted_s]
        self._assert(not early, f"sent to a stranger: {early[:SHOWN_MAX]}")

    def _judge(self):
        dead = self._dead_letters()
        for weir in self.weirs:
            status = weir.stop()
            self._assert(status == 0, f"weir ended with {status} when asked to")
            self.failures += self._strange_lines(weir)
        self.arrived = arrivals(self.aws)
        self._judge_trust()
        judge = self._make_judge()
        self.verdict = judge.judge(self.journal.sent, self.arrived, dead)
        for kind, texts in self.verdict.faults.items():
            self.failures.append(f"{kind}: {len(texts)}")
            self.failures += [f"    {text}" for text in texts[:SHOWN_MAX]]
        self.failures += check_against(self.stats, self.verdict)
        self._judge_latency()
        self._judge_floors()
        self._judge_growth()
        self._judge_more()

    @staticmethod
    def _strange_lines(weir):
        """weir's log is one JSON object a line; anything else is a failed check or a sanitizer."""
        lines = weir.log_path.read_text(errors="replace").splitlines()
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
        return "chaos" if is_whole and "chaos" in self.p99_max_s else None

    def _judge_latency(self):
        """From a client's answer to the arrival at calm slots, by the clock of both logs; and from
        request to answer, for clients that keep a connection."""
        places, first = self.history.places(), {}
        for arrival in self.arrived:
            number = arrival["event"].get("detail", {}).get("n")
            first.setdefault((number, places.get(arrival["place"])), arrival["time"])
        sent = {one.number: one for one in self.journal.sent if one.verdict == "told"}
        waits = {(what, phase): [] for what in ("answer", "arrival")
                 for phase in self.p99_max_s}
        for one in sent.values():
            phase = self._phase(one.last_sent_s or one.sent_s)
            if phase and one.client.startswith(("boto3", "http2")):
                waits["answer", phase].append(
                    (one.told_s - (one.last_sent_s or one.sent_s), "an answer", str(one)))
        for (number, slot), arrived_s in first.items():
            one = sent.get(number)
            phase = (one and slot and is_calm(slot, one.account) and self._is_prompt(one)
                     and self._phase(one.told_s))
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
        stood_still = self.heartbeat.late_s > self.minutes * STOOD_STILL_S_PER_MINUTE
        self._assert(found or stood_still, f"no {what} in {phase}")
        self._assert(p99_s < self.p99_max_s[phase], "\n      ".join([
            f"p99 of {what}s in {phase} is {p99_s:.2f} s, {self.p99_max_s[phase]} s allowed",
            *(f"{one[0]:.3f} s to {one[1]}: {one[2]}"
              for one in sorted(found, reverse=True)[:SHOWN_MAX])]))

    def _judge_floors(self):
        """A run in which little happened proves little."""
        told_min = TOLD_PER_MINUTE_MIN * self.minutes
        samples_min = SAMPLES_PER_MINUTE_MIN * self.minutes
        self._assert(self.verdict.told >= told_min,
                     f"only {self.verdict.told} entries were accepted, {told_min:.0f} are needed")
        count = sum(sampler.count for sampler in self.samplers)
        self._assert(count >= samples_min, f"only {count} samples, {samples_min:.0f} are needed")
        self._assert(all(self.storm.counts.values()), f"not every fault: {self.storm.counts}")
        kinds = {one.client.split("-")[0] for one in self.journal.sent if one.verdict == "told"}
        wanted = {kind.kind for kind in KINDS}
        self._assert(kinds >= wanted, f"only these clients were ever accepted: {sorted(kinds)}")
        for name in ("refused", "open", "dead", "repeats"):
            self._assert(getattr(self.verdict, name) > 0, f"nothing was ever {name}")

    def _judge_growth(self):
        for sampler in self.samplers:
            (rss, fds), (rss_end, fds_end) = sampler.marks["first"], sampler.marks["last"]
            print(f"memory {rss >> 20} MiB at first, {rss_end >> 20} MiB at last; "
                  f"descriptors {fds} and {fds_end}")
            self._assert(rss_end - rss < RSS_GROWTH_MAX_BYTES,
                         f"memory grew to {rss_end >> 20} MiB")
            self._assert(fds_end - fds < self.fd_growth_max,
                         f"descriptors grew from {fds} to {fds_end}")

    def report(self):
        counts = ", ".join(f"{count} {kind}" for kind, count in self.storm.counts.items())
        print(f"faults: {counts}")
        print("kinds: " + ", ".join(f"{name} {kind}" for name, kind in
                                    sorted(self.world.kinds.items())))
        if self.storm.restarts_s:
            print(f"restarts: p50 {percentile(self.storm.restarts_s, 0.5):.2f} s, "
                  f"max {max(self.storm.restarts_s):.2f} s")
        count = sum(sampler.count for sampler in self.samplers)
        print(f"ledger: {count} samples, {len(self.history.versions)} catalogs; the "
              f"machine stood still for {self.heartbeat.late_s:.1f} s")
        if self.verdict:
            print(self.verdict.summary())
            print("repeats at " + ", ".join(
                f"{slot} {count}" for slot, count in self.verdict.repeats_at.most_common(SHOWN_MAX)))
            print(f"drained in {self.drained_s:.1f} s")
