# SPDX-License-Identifier: Apache-2.0
"""What breaks where replicas share a Redis; besides change, revoke, suspend, target and sts.

    kill            kill -9 of a replica, sometimes in the middle of a catalog change; back later
    stop            SIGSTOP of a replica, at times for longer than its claims last
    drain           SIGTERM of a replica, which must end with 0; back later
    mute            a replica's outcomes do not reach the Redis, at times for longer than its claims
                    last, and at times it is killed then
    cut             the way of one replica to the Redis is dead: it refuses, the others go on
    redis_kill      kill -9 of the primary, back with its file
    redis_stop      SIGSTOP of the primary
    redis_slow      every reply comes late
    redis_reset     connections are reset, before or after the command was executed
    redis_garbage   replies that are no RESP, endless, or cut in half
    redis_error     replies that say LOADING, READONLY, BUSY, OOM and so on
    redis_scripts   SCRIPT FLUSH
    redis_full      no memory is left, and then is
    failover        the primary dies and its standby is promoted, or they change places in peace

While the Redis or a way to it is broken the storm waits, mending what is due, and afterwards until
every replica that is well has accepted an event: the time that took is the recovery.
"""

import dataclasses
import signal
import time

from conserve_faults import Storm
from conserve_fleet import MAXMEMORY
from resp_proxy import calls, error
from weir import wait_until

RECOVERY_MAX_S = 5
REFUSAL_MAX_S = 3
GIVE_UP_S = 60
READY_S = 60
DRAIN_MAX_S = 45
LOOK_S = 0.05
CLAIM_OUTLASTED_S = (11, 13)
BUSY = "BUSY Redis is busy running a script."
ERRORS = (
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    BUSY,
    "TRYAGAIN Multiple keys request during rehashing",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOREPLICAS Not enough good replicas to write.", "MISCONF Errors writing to the AOF file")


@dataclasses.dataclass
class Recovery:
    """How long a replica took from `well_s` until it did what it should."""

    what: str
    replica: int
    well_s: float
    took_s: float
    max_s: float


def undisturbed(recoveries, spans):
    """Those during which the machine did not stand still."""
    return [one for one in recoveries
            if not spans.touch("late", one.well_s, one.well_s + one.took_s)]


def overdue(recoveries, spans):
    """Those that took too long although the machine did not stand still; lines of text."""
    return [f"replica {one.replica} took {one.took_s:.2f} s, {one.max_s} s allowed: {one.what}"
            for one in undisturbed(recoveries, spans) if one.took_s > one.max_s]


class ReplicatedStorm(Storm):
    """Faults of a Fleet."""

    kinds = ("kill", "stop", "drain", "mute", "cut", "redis_kill", "redis_stop", "redis_slow",
             "redis_reset", "redis_garbage", "redis_error", "redis_scripts", "redis_full",
             "failover", "change", "revoke", "suspend", "target", "sts")

    def __init__(self, fleet, probes, samplers, *arguments):
        super().__init__(fleet.weirs[0], *arguments)
        self.fleet, self.probes, self.samplers = fleet, probes, samplers
        self.recoveries, self.spreads_s = [], []
        self._turn = 0

    # -- who is told, and who has heard --------------------------------------------------------

    def _weir_to_ask(self):
        """Each in turn, the broken as well: an operator does not know."""
        self._turn += 1
        return self.fleet.weirs[self._turn % len(self.fleet.weirs)]

    def _obeyed(self, weir, at_the_latest=lambda: None):
        rev = self.fleet.revision(weir)
        if rev is None:
            raise RuntimeError("it died, or its Redis did, before it could be asked")
        begin_s = time.time()
        took_s = self.fleet.wait_until_obeyed(rev, at_the_latest)
        if not self.spans.touch("hindered", begin_s, time.time()):
            self.spreads_s.append(took_s)

    def _check_alive(self, what):
        for weir, state in zip(self.fleet.weirs, self.fleet.state):
            if state in ("ok", "cut") and weir.process.poll() is not None:
                raise RuntimeError(f"{weir.folder.name} ended by itself with "
                                   f"{weir.process.returncode} after {what}\n{weir.log_tail()}")

    # -- replicas ------------------------------------------------------------------------------

    def _spare(self, draw):
        """Somebody to break: at least one is left that is well."""
        wait_until(self._has_spare, "two replicas are well", GIVE_UP_S, LOOK_S)
        return draw.choice(self.fleet.well())

    def _has_spare(self):
        self._mend_due()
        return len(self.fleet.well()) > 1

    def _kill(self, draw):
        index, what = self._spare(draw), ""
        if draw.random() < 0.4:
            what = ", while " + self._change(draw)
            time.sleep(draw.uniform(0, 0.05))
        self._kill_one(index)
        delay_s = draw.uniform(0, 2)
        self._mend_after(delay_s, lambda: self._raise(index))
        return f"replica {index} for {delay_s:.2f} s{what}"

    def _kill_one(self, index):
        begin_s = time.time()
        self.fleet.note(index, "down")
        self.fleet.weirs[index].kill9()
        # What it had sent arrives although it is dead.
        self.aws.settle()
        self.spans.add("kill", begin_s, time.time())

    def _raise(self, index):
        """Start it; it is well when it says that it is ready."""
        weir, begin_s = self.fleet.weirs[index], time.time()
        self.fleet.note(index, "rising")
        weir.spawn()

        def look():
            if weir.process.poll() is not None:
                raise RuntimeError(f"{weir.folder.name} ended with {weir.process.returncode} at "
                                   f"its start\n{weir.log_tail()}")
            if self.fleet.peek(weir, "/readyz"):
                self.fleet.note(index, "ok")
                self.restarts_s.append(time.time() - begin_s)
            elif time.time() - begin_s > READY_S:
                raise RuntimeError(f"{weir.folder.name} is not ready after {READY_S} s\n"
                                   f"{weir.log_tail()}")
            else:
                self._mend_after(LOOK_S, look)
        self._mend_after(0, look)

    @staticmethod
    def _draw_delay_s(draw):
        is_long = draw.random() < 0.2
        return draw.uniform(*(CLAIM_OUTLASTED_S if is_long else (0.2, 2)))

    def _stop(self, draw):
        index, begin_s = self._spare(draw), time.time()
        delay_s = self._draw_delay_s(draw)
        self.fleet.note(index, "stopped")
        self.fleet.weirs[index].sigstop()

        def go_on():
            self.fleet.weirs[index].sigcont()
            self.fleet.note(index, "ok")
            for name in ("frozen", "hindered"):
                self.spans.add(name, begin_s, time.time())
        self._mend_after(delay_s, go_on)
        return f"replica {index} for {delay_s:.2f} s"

    def _drain(self, draw):
        index = self._spare(draw)
        weir, begin_s, delay_s = self.fleet.weirs[index], time.time(), draw.uniform(0, 1)
        self.fleet.note(index, "down")
        weir.process.send_signal(signal.SIGTERM)

        def look():
            status = weir.process.poll()
            if status is None and time.time() - begin_s < DRAIN_MAX_S:
                self._mend_after(LOOK_S, look)
            elif status != 0:
                raise RuntimeError(f"{weir.folder.name} ended with {status} when asked to, after "
                                   f"{time.time() - begin_s:.1f} s\n{weir.log_tail()}")
            else:
                weir.process = None
                self._mend_after(delay_s, lambda: self._raise(index))
        self._mend_after(0, look)
        return f"replica {index}"

    def _mute(self, draw):
        """It accepts and delivers, and cannot write down that it did."""
        index, begin_s = self._spare(draw), time.time()
        delay_s, is_killed = self._draw_delay_s(draw), draw.random() < 0.5
        proxy, process = self.fleet.proxies[index], self.fleet.weirs[index].process
        rule = proxy.spoil("answer", proxy.runs("-- settle.lua"), data=error(BUSY))

        def speak():
            if is_killed and self.fleet.state[index] == "ok" and \
                    self.fleet.weirs[index].process is process:
                self._kill_one(index)
                self._mend_after(0.5, lambda: self._raise(index))
            proxy.unspoil(rule)
            self.spans.add("hindered", begin_s, time.time() + 0.5)
        self._mend_after(delay_s, speak)
        return f"replica {index} for {delay_s:.2f} s, then {'killed' if is_killed else 'heard'}"

    def kill_all(self):
        """No replica is left that knows more than the Redis; then all are back."""
        for index in range(len(self.fleet.weirs)):
            self._kill_one(index)
        for index in range(len(self.fleet.weirs)):
            self._raise(index)
        self._wait_for_all()

    def _wait_for_all(self):
        def all_well():
            self._mend_due()
            return len(self.fleet.well()) == len(self.fleet.weirs)
        wait_until(all_well, "all replicas are well", READY_S, LOOK_S)

    def mend_all(self):
        """Mending may leave more to mend: who was killed has to come up."""
        self._wait_for_all()
        super().mend_all()
        self._recover("the end of the storm", time.time())

    # -- the Redis and the ways to it ----------------------------------------------------------

    def _outage(self, what, begin, delay_s, end):
        """Break, wait, mend, and see everybody come back."""
        begin_s = time.time()
        self.spans.open("disturbed", begin_s)
        begin()
        self._pause(delay_s)
        end()
        took_s = self._recover(what, time.time())
        # A span of its own for each, since stopped replicas are hindered meanwhile, too.
        self.spans.add("hindered", begin_s, time.time() + 0.5)
        self.spans.close("disturbed", time.time() + 0.5)
        return f"{what}, {delay_s:.2f} s, accepted again after {took_s:.2f} s"

    def _recover(self, what, well_s):
        """Wait until each replica that is well accepts; the longest that one took."""
        took_s = self._accepting_since(well_s, what)
        self.recoveries += [Recovery(what, index, well_s, seconds, RECOVERY_MAX_S)
                            for index, seconds in took_s.items()]
        return max(took_s.values(), default=0)

    def _accepting_since(self, well_s, what):
        """Wait until each replica that is well has accepted since; {replica: how much later}."""
        took_s = {}

        def all_accept():
            self._mend_due()
            for index in self.fleet.well():
                since_s = self.fleet.well_since_s(index, well_s)
                if index not in took_s and self.probes[index].last_told_s >= since_s:
                    took_s[index] = self.probes[index].last_told_s - since_s
            return set(self.fleet.well()) <= set(took_s)
        try:
            wait_until(all_accept, f"every replica accepts after {what}", GIVE_UP_S, LOOK_S)
        except TimeoutError as late:
            silent = set(self.fleet.well()) - set(took_s)
            raise RuntimeError(f"{late}: not {sorted(silent)}\n" + "\n".join(
                self.fleet.weirs[index].log_tail(15) for index in silent)) from None
        return took_s

    def _cut(self, draw):
        index = self._spare(draw)
        fleet, probe, proxy = self.fleet, self.probes[index], self.fleet.proxies[index]
        delay_s, begin_s = draw.uniform(1, 3), time.time()
        proxy.stall()
        fleet.note(index, "cut")

        def has_refused():
            self._mend_due()
            return probe.refused_s > begin_s
        wait_until(has_refused, f"replica {index} refuses", GIVE_UP_S, LOOK_S)
        refused_s = probe.refused_s
        self.recoveries.append(Recovery("refusing when cut off", index, begin_s,
                                        refused_s - begin_s, REFUSAL_MAX_S))
        self._pause(delay_s)
        if begin_s < probe.last_told_s - 0.5:
            raise RuntimeError(f"replica {index} accepted {probe.last_told_s - begin_s:.2f} s after "
                               "it was cut off")
        self._accepting_since(begin_s, "another was cut off")
        proxy.heal()
        fleet.note(index, "ok")
        took_s = self._recover("cut", time.time())
        self.spans.add("hindered", begin_s, time.time() + 0.5)
        return (f"replica {index}, refusing after {refused_s - begin_s:.2f} s, accepting "
                f"{took_s:.2f} s after it was mended")

    def _redis_kill(self, draw):
        redis = self.fleet.primary
        return self._outage("killed", redis.kill9, draw.uniform(0, 1.5), redis.start)

    def _redis_stop(self, draw):
        redis = self.fleet.primary
        return self._outage("stopped", redis.sigstop, draw.uniform(0.3, 4), redis.sigcont)

    def _spoil(self, what, delay_s, rules):
        """`rules`: (mode, options) for each proxy."""
        made = []

        def begin():
            made.extend((proxy, proxy.spoil(mode, **options)) for proxy in self.fleet.proxies
                        for mode, options in rules)

        def end():
            for proxy, rule in made:
                proxy.unspoil(rule)
        return self._outage(what, begin, delay_s, end)

    def _redis_slow(self, draw):
        seconds = draw.choice((0.05, 0.3, 1))
        return self._spoil(f"replies {seconds} s late", draw.uniform(1, 3), [
            ("delay", {"match": calls("EVALSHA"), "seconds": seconds})])

    def _redis_reset(self, draw):
        rules = [(draw.choice(("cut", "cut_before")),
                  {"match": calls("EVALSHA"), "count": draw.randint(1, 3)}) for _ in range(2)]
        for proxy in self.fleet.proxies:
            proxy.cut_all()
        return self._spoil(" and ".join(mode for mode, _ in rules), draw.uniform(0.2, 1), rules)

    def _redis_garbage(self, draw):
        mode = draw.choice(("garbage", "oversize", "half"))
        return self._spoil(mode, draw.uniform(0.2, 1), [
            (mode, {"match": calls("EVALSHA"), "count": draw.randint(1, 3)})])

    def _redis_error(self, draw):
        text = draw.choice(ERRORS)
        return self._spoil(text.split()[0], draw.uniform(0.2, 1), [
            ("answer", {"match": calls("EVALSHA"), "count": draw.randint(1, 6),
                        "data": error(text)})])

    def _redis_scripts(self, draw):
        return self._outage("SCRIPT FLUSH", lambda: self.fleet.primary.call("SCRIPT", "FLUSH"), 0,
                            lambda: None)

    def _redis_full(self, draw):
        redis = self.fleet.primary
        return self._outage("no memory", lambda: redis.config_set(maxmemory="1mb"),
                            draw.uniform(0.3, 2), lambda: redis.config_set(maxmemory=MAXMEMORY))

    # -- the standby takes over ----------------------------------------------------------------

    def _failover(self, draw):
        """A replica asks for its Redis's replicas when it connects and every 30 s, and waits for
        those it knows.  What is told stored while it does not know the standby lives in one Redis,
        as published; so all ask again before that one dies."""
        fleet, old, new = self.fleet, self.fleet.primary, self.fleet.standby
        new.wait_for_link()
        for proxy in fleet.proxies:
            proxy.cut_all()
        self._recover("reconnecting", time.time())
        new.catch_up_with(old)
        in_peace = draw.random() < 0.4
        told = self._outage("in peace" if in_peace else "after a kill",
                            lambda: old.hand_over(new) if in_peace else self._kill_primary(),
                            draw.uniform(0, 1), lambda: self._promote(in_peace))
        if not in_peace:
            old.follow(new)
            old.start()
        old.wait_for_link()
        return told

    def _kill_primary(self):
        begin_s = time.time()
        self.fleet.primary.kill9()
        # An outcome that the standby does not have is forgotten.
        self.spans.add("kill", begin_s, time.time())
        for sampler in self.samplers:
            sampler.forget()

    def _promote(self, in_peace):
        new = self.fleet.standby
        if not in_peace:
            new.promote()
        self.fleet.lead_to(new)
