# SPDX-License-Identifier: Apache-2.0
"""What breaks, when, and who mends it: the faults of conserve, all drawn from the seed beforehand.

    kill      kill -9 and restart, sometimes in the middle of a catalog change
    stop      SIGSTOP for 0.2 to 2 seconds
    full      the store's file system is filled, to under the reserve or to the last byte
    change    a rule, a target or a role changes through `weir apply`
    revoke    a credential is revoked and another issued, in either order
    suspend   an account is suspended, and resumed later
    target    a target dies in one of many ways, and recovers later
    sts       roles are denied, or STS throttles, fails or hangs, and recovers later

The storm runs in the caller's thread.  What an operator does runs in another, one order after the
other, each repeated until it is confirmed: so a kill may strike in the middle of it.
"""

import dataclasses
import heapq
import itertools
import os
import queue
import random
import subprocess
import threading
import time

from conserve_world import DEAF, DOOMED_COUNT, UNLUCKY, role_of
from weir import wait_until

KINDS = ("kill", "stop", "full", "change", "revoke", "suspend", "target", "sts")
PAUSE_S = (0.2, 0.8)
DEATHS = {
    "fail": {}, "throttle": {}, "deny": {}, "reset": {}, "swallow": {}, "lie": {},
    "drip": {"seconds": 0.3}, "hang": {"seconds": 7}, "delay": {"seconds": 2}}
STS_DEATHS = {"deny": {}, "throttle": {}, "fail": {}, "hang": {"seconds": 3}}
ORDER_DEADLINE_S = 90
RESERVE_BYTES = 8 << 20


@dataclasses.dataclass
class Fault:
    """One drawn fault: after `pause_s`, `kind`, with a Random for its details."""

    pause_s: float
    kind: str
    random: random.Random


def draw_faults(seed, duration_s, kinds=KINDS):
    """The faults of a run: every kind once in each round, rounds shuffled."""
    draw = random.Random(f"{seed} faults")
    faults, at_s, bag = [], 0.0, []
    while at_s < duration_s or len(faults) < len(kinds):
        if not bag:
            bag = list(kinds)
            draw.shuffle(bag)
        pause_s = draw.uniform(*PAUSE_S)
        faults.append(Fault(pause_s, bag.pop(), random.Random(draw.getrandbits(64))))
        at_s += pause_s
    return faults


class Operator:
    """Runs orders one after the other; each is called again until it does not raise."""

    def __init__(self):
        self.failure = None
        self._orders = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        self._thread.start()

    def order(self, what, action):
        self._orders.put((what, action))

    def finish(self):
        """Wait for every order that was given."""
        self._orders.join()

    def _run(self):
        while True:
            what, action = self._orders.get()
            try:
                self.insist(what, action)
            except Exception as error:  # told to the main thread, which ends the run
                self.failure = self.failure or f"{what}: {error}"
            finally:
                self._orders.task_done()

    @staticmethod
    def insist(what, action):
        """Call it until it does not raise; what it returns."""
        deadline = time.monotonic() + ORDER_DEADLINE_S
        while True:
            try:
                return action()
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{what} was never confirmed: {error}") from error
                time.sleep(0.05)


class Disk:
    """The file system of the store, a small one of its own, and the file that fills it."""

    def __init__(self, folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "weir-conserve",
                        str(folder)], check=True)
        self._filler = folder / "filler"
        self._folder = folder

    def fill(self, left_bytes):
        """Leave so many bytes free at most; what the filler got."""
        with open(self._filler, "ab") as file:
            while (free := self._free() - left_bytes) > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                except OSError:
                    break
            return os.fstat(file.fileno()).st_size

    def _free(self):
        status = os.statvfs(self._folder)
        return status.f_bavail * status.f_frsize

    def free(self):
        self._filler.unlink(missing_ok=True)


class Storm:
    """Carries the faults out, and knows how to mend everything."""

    kinds = KINDS

    def __init__(self, weir, aws, disk, world, history, spans, senders, operator):
        self.weir, self.aws, self.disk = weir, aws, disk
        self.world, self.history, self.spans = world, history, spans
        self.senders, self.operator = senders, operator
        self.told = []  # one line per fault, for the report
        self.counts = dict.fromkeys(self.kinds, 0)
        self.restarts_s = []
        self._mends = []
        self._tie = itertools.count()
        self.start_s = time.time()

    def run(self, faults, duration_s, check):
        """As many of the faults as the time allows, but each kind once.  `check()` is asked between
        them, and raises to end the run."""
        end_s = time.monotonic() + duration_s
        for fault in faults:
            if time.monotonic() > end_s and all(self.counts.values()):
                return
            self._pause(fault.pause_s)
            check()
            what = getattr(self, f"_{fault.kind}")(fault.random)
            self.counts[fault.kind] += 1
            self._tell(f"{fault.kind}: {what}")
            self._check_alive(what)

    def _check_alive(self, what):
        if self.weir.process.poll() is not None:
            raise RuntimeError(f"weir ended by itself with {self.weir.process.returncode} "
                               f"after {what}\n{self.weir.log_tail()}")

    def _tell(self, text):
        self.told.append(f"{time.time() - self.start_s:8.3f} s  {text}")

    def _pause(self, pause_s):
        """Wait, and mend what is due meanwhile."""
        end_s = time.monotonic() + pause_s
        while True:
            self._mend_due()
            now_s = time.monotonic()
            if now_s >= end_s:
                return
            next_s = self._mends[0][0] if self._mends else end_s
            time.sleep(max(min(next_s, end_s) - now_s, 0))

    def _mend_after(self, delay_s, action):
        heapq.heappush(self._mends, (time.monotonic() + delay_s, next(self._tie), action))

    def _mend_due(self):
        while self._mends and self._mends[0][0] <= time.monotonic():
            self._mend()

    def _mend(self):
        heapq.heappop(self._mends)[2]()

    def mend_all(self):
        """End every fault that is still on, and wait for the operator."""
        while self._mends:
            self._mend()
        self.operator.finish()

    # -- the process and its disk --------------------------------------------------------------

    def _kill(self, draw):
        what = ""
        if draw.random() < 0.4:
            what = "while " + self._change(draw)
            time.sleep(draw.uniform(0, 0.05))
        self.kill()
        return f"{what} up again after {self.restarts_s[-1]:.2f} s"

    def kill_all(self):
        """Nobody is left who knows more than the store; then all are back."""
        self.kill()

    def kill(self):
        """kill -9 and restart."""
        begin_s = time.time()
        self.weir.kill9()
        # What it had sent arrives although it is dead.
        self.aws.settle()
        dead_s = time.time()
        self.spans.add("kill", begin_s, dead_s)
        self.spans.open("disturbed", begin_s)
        self.weir.spawn()
        # Rightly not ready while the disk is full, so the mending goes on.
        wait_until(self._is_up, "weir is ready", 60)
        self.restarts_s.append(time.time() - dead_s)
        self.spans.close("disturbed", time.time() + 0.5)

    def _is_up(self):
        self._mend_due()
        if self.weir.process.poll() is not None:
            raise RuntimeError(f"weir ended with {self.weir.process.returncode} at its start\n"
                               f"{self.weir.log_tail()}")
        return self.weir.is_ready()

    def _stop(self, draw):
        delay_s, begin_s = draw.uniform(0.2, 2), time.time()
        process = self.weir.process
        self.spans.add("disturbed", begin_s, begin_s + delay_s + 0.5)
        self.weir.sigstop()

        def go_on():
            if self.weir.process is process:
                self.weir.sigcont()
            self.spans.add("frozen", begin_s, time.time())
        self._mend_after(delay_s, go_on)
        return f"{delay_s:.2f} s"

    def _full(self, draw):
        left_bytes = draw.choice((0, 0, RESERVE_BYTES * 3 // 4))
        delay_s, begin_s = draw.uniform(0.3, 1.5), time.time()
        filled = self.disk.fill(left_bytes)

        def free():
            self.disk.free()
            self.spans.add("frozen", begin_s, time.time())
        self._mend_after(delay_s, free)
        self.spans.add("disturbed", begin_s, begin_s + delay_s + 0.5)
        return f"{delay_s:.2f} s, {filled >> 20} MiB of filler, {left_bytes >> 20} MiB left"

    # -- the operator ------------------------------------------------------------------------

    def _weir_to_ask(self):
        """Whom the operator gives an order to."""
        return self.weir

    def _obeyed(self, _weir, at_the_latest=lambda: None):
        """Return when the change just confirmed by `weir` is in force everywhere;
        `at_the_latest()` is called when nobody may act any more as if it were not."""
        at_the_latest()

    def apply(self):
        """Bring the world as it is now into force."""
        catalog, version = self.world.catalog(), self.world.version()
        begun = []

        def action():
            if not begun:
                begun.append(True)
                self.history.begin(version, time.time())
            weir = self._weir_to_ask()
            weir.apply(catalog)
            self._obeyed(weir)
            self.history.confirm(time.time())
        self.operator.order("apply", action)

    def _change(self, draw):
        what = self.world.change(draw)
        self.apply()
        return what

    def _revoke(self, draw):
        sender = draw.choice(self.senders)
        rotate = draw.random() < 0.5
        issue, revoke = self._rotation(sender)
        for order in (issue, revoke) if rotate else (revoke, issue):
            self.operator.order(f"{order.__name__} {sender.name}", order)
        return f"{sender.name}, {'issue' if rotate else 'revoke'} first"

    def _rotation(self, sender):
        """Two orders that go in either order: a new credential, and the end of the old one."""
        old = []

        def issue():
            weir = self._weir_to_ask()
            fresh = sender.issue(weir)
            self._obeyed(weir)
            old.append(sender.credential)
            sender.credential = fresh

        def revoke():
            old.append(sender.credential)
            name = old[0]["credential"]
            weir = self._weir_to_ask()
            try:
                weir.revoke(name)
            except RuntimeError as error:
                if "does not exist" not in str(error):  # an attempt before this one did it
                    raise
            self._obeyed(weir, lambda: self.spans.open(f"revoked:{name}", time.time()))
        return issue, revoke

    def _suspend(self, draw):
        account = draw.choice(UNLUCKY)
        delay_s = draw.uniform(0.5, 2)
        name = f"suspended:{account}"

        def suspend():
            weir = self._weir_to_ask()
            weir.cli("account", "suspend", account)
            self._obeyed(weir, lambda: self.spans.open(name, time.time()))

        def resume():
            self.spans.close(name, time.time())
            self._weir_to_ask().cli("account", "resume", account)
        self.operator.order(f"suspend {account}", suspend)
        self._mend_after(delay_s, lambda: self.operator.order(f"resume {account}", resume))
        return f"{account} for {delay_s:.2f} s"

    # -- AWS -----------------------------------------------------------------------------------

    def ail(self, target, mode, **more):
        """A fault at the stand-in, noted if the target then accepts without saying so."""
        if mode in DEAF:
            self.spans.open(f"deaf:{target}", time.time())
        self.aws.fault(target, mode, **more)

    def recover(self, target):
        self.aws.heal(target)
        self.spans.close(f"deaf:{target}", time.time())

    def _target(self, draw):
        name = f"doomed-{draw.randrange(DOOMED_COUNT)}"
        mode = draw.choice(sorted(DEATHS))
        delay_s = draw.uniform(0.3, 2)
        places = self.world.places(name)
        for place in places:
            self.ail(place, mode, **DEATHS[mode])
        self._mend_after(delay_s, lambda: [self.recover(place) for place in places])
        return f"{name}, {self.world.kinds[name]}, {mode} for {delay_s:.2f} s"

    def _sts(self, draw):
        account = draw.choice(UNLUCKY)
        mode = draw.choice(sorted(STS_DEATHS))
        delay_s = draw.uniform(1, 3)
        roles = [role_of(account, name) for name in ("weir-dispatch", "weir-other")]
        for role in roles:
            self.ail(role, mode, **STS_DEATHS[mode])
        self._mend_after(delay_s, lambda: [self.recover(role) for role in roles])
        return f"{account} {mode} for {delay_s:.2f} s"
