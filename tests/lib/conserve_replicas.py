# SPDX-License-Identifier: Apache-2.0
"""One run of conserve on replicas that share a Redis."""

import collections

from conserve_clients import make_senders
from conserve_fleet import CLAIM_S, Balancer, Fleet
from conserve_judge import Judge, percentile
from conserve_probe import Probe
from conserve_run import Run, SHOWN_MAX, egress
from conserve_stats import check_entries
from conserve_storm import ReplicatedStorm, overdue, undisturbed
from conserve_world import ACCOUNTS, may_die
from weir import wait_until

# Gateways, Redis, clients and the proxies between them share the machine, perhaps with others; the
# bound catches a healthy target that waits for a sick one, or for a claim to end.
P99_MAX_S = {"calm": 3.0}
REPEATS_BY_CLAIM_SHARE_MAX = 0.05
# Connections of clients gather at whoever was up when the others were not, and each replica comes
# to know every target.
FD_GROWTH_MAX = 150


class ReplicatedRun(Run):
    """As Run, with a fleet instead of one gateway."""

    name = "redis-"
    kinds = ReplicatedStorm.kinds
    p99_max_s = P99_MAX_S
    fd_growth_max = FD_GROWTH_MAX

    def __init__(self, seed, minutes, count):
        super().__init__(seed, minutes)
        self._count = count
        self.fleet = self.front = None

    def _build(self):
        self.fleet = Fleet(self.folder, self.aws, self._count, egress(self.folder, self.aws))
        self.weirs = self.fleet.weirs
        self.fleet.start()
        self.front = Balancer(self.weirs, self.seed)
        clients = make_senders(self.front, self.journal, ACCOUNTS, self.seed)
        self.probes = [
            Probe(weir, [one for one in self.weirs if one is not weir], self.journal, index,
                  self.seed) for index, weir in enumerate(self.weirs)]
        self.senders = clients + self.probes
        self.storm = ReplicatedStorm(
            self.fleet, self.probes, self.samplers, self.aws, None, self.world, self.history,
            self.spans, clients, self.operator)

    def _tear_down(self):
        if self.front:
            self.front.close()
        if self.fleet:
            self.fleet.stop()

    def _make_judge(self):
        return Judge(self.history, self.spans, CLAIM_S, may_die)

    def _is_prompt(self, one):
        """What was first answered "perhaps" may have been stored then, and claimed by somebody who
        does not know; it is due when that claim ends."""
        return one.error is None

    def _prepare(self):
        super()._prepare()
        rev = wait_until(lambda: self.fleet.revision(self.weirs[0]), "the revision is told")
        self.fleet.wait_until_obeyed(rev, lambda: None)

    def _judge_more(self):
        self.failures += check_entries(self.samplers, self.journal.sent)
        self._assert(sum(probe.echo_count for probe in self.probes) > 0,
                     "no event was ever told again to another replica")
        self._assert(self.verdict.repeats_by_claim <= max(
            REPEATS_BY_CLAIM_SHARE_MAX * self.verdict.arrived, 10),
            f"{self.verdict.repeats_by_claim} repeats for ended claims are too many")
        self.failures += overdue(self.storm.recoveries, self.spans)[:SHOWN_MAX]

    def report(self):
        super().report()
        by_what = collections.defaultdict(list)
        judged = undisturbed(self.storm.recoveries, self.spans)
        print(f"recoveries: {len(judged)}, the machine stood still during "
              f"{len(self.storm.recoveries) - len(judged)} more")
        for one in judged:
            by_what[one.what].append(one.took_s)
        for what, seconds in sorted(by_what.items()):
            print(f"recovery, {what}: p50 {percentile(seconds, 0.5):.2f} s, "
                  f"most {max(seconds):.2f} s of {len(seconds)}")
        if self.storm.spreads_s:
            print(f"changes in force everywhere: p50 {percentile(self.storm.spreads_s, 0.5):.2f} s,"
                  f" most {max(self.storm.spreads_s):.2f} s of {len(self.storm.spreads_s)}")
        print(f"events told again to another replica: "
              f"{sum(probe.echo_count for probe in self.probes)}")
