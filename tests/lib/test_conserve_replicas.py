# SPDX-License-Identifier: Apache-2.0
"""What conserve adds for replicas on one Redis: take-overs, restarts and recoveries are judged, and
nothing is called explained that is not."""

import contextlib
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conserve_faults import draw_faults  # noqa: E402
from conserve_fleet import Balancer, Fleet  # noqa: E402
from conserve_history import Spans  # noqa: E402
from conserve_judge import Judge  # noqa: E402
from conserve_stats import ENTRIES, Sampler, check_entries  # noqa: E402
from conserve_storm import Recovery, ReplicatedStorm, overdue  # noqa: E402
from test_conserve import ALWAYS, CHANGE, history, message, sent, stats  # noqa: E402

CLAIM_S = 10
HINDERED = ("hindered", 100.9, 104)
FROZEN = ("frozen", 105, 118)


def faults_of(steps, one, messages, spans, claim_s=CLAIM_S):
    noted = Spans()
    for name, begin_s, end_s in spans:
        noted.add(name, begin_s, end_s)
    return set(Judge(history(*steps), noted, claim_s).judge([one], messages, []).faults)


@pytest.mark.parametrize("again_s, spans, claim_s, faults", [
    (103, [], CLAIM_S, {"repeated"}),
    (103, [HINDERED], CLAIM_S, set()),
    (124, [HINDERED], CLAIM_S, set()),
    (130, [HINDERED], CLAIM_S, {"repeated"}),
    (103, [HINDERED], None, {"repeated"}),
    # it was written down before anything hindered, or while nothing did any more
    (112, [("hindered", 102.5, 104)], CLAIM_S, {"repeated"}),
    (112, [("hindered", 90, 100.5)], CLAIM_S, {"repeated"}),
    # one hindrance after the other, and a kill at the end of them
    (130, [HINDERED, ("hindered", 104.5, 110)], CLAIM_S, set()),
    (200, [HINDERED, ("hindered", 104.5, 110), ("kill", 110.5, 110.6)], CLAIM_S, set()),
    (200, [HINDERED, ("hindered", 104.5, 110), ("kill", 112, 112.1)], CLAIM_S, {"repeated"}),
])
def test_a_repeat_by_take_over_needs_a_hindrance(again_s, spans, claim_s, faults):
    messages = [message(), message(time=again_s)]
    assert faults_of(ALWAYS, sent(), messages, spans, claim_s) == faults


def test_a_lost_event_is_lost_whatever_was_broken():
    spans = [HINDERED, FROZEN, ("kill", 101, 102), ("disturbed", 90, 200)]
    assert faults_of(ALWAYS, sent(), [], spans) == {"lost"}


@pytest.mark.parametrize("spans, faults", [([FROZEN], set()), ([], {"misrouted"})])
def test_who_was_stopped_may_work_on_it_when_he_goes_on(spans, faults):
    steps = [CHANGE[0], (CHANGE[1][0], 119, 120)]
    assert faults_of(steps, sent(verdict="open"), [message(time=121)], spans) == faults


def sampled(sampler, replica, age=0, **counters):
    part = stats(**counters)
    return sampler._look({**part, "replica": {"id": replica}}, age)


def test_counters_never_fall_within_a_process_nor_in_the_store():
    sampler = Sampler(None)
    sampled(sampler, "a", received=9, committed=9)
    sampled(sampler, "b", received=3, committed=3)
    assert sampler.failure is None
    sampled(sampler, "b", received=2, committed=2)
    assert "committed fell from 3 to 2" in sampler.failure
    sampler = Sampler(None)
    sampled(sampler, "a", delivered=4, created=5)
    sampled(sampler, "a", delivered=3, created=4)
    assert "delivered fell from 4 to 3" in sampler.failure


def test_after_a_failover_the_store_may_have_gone_back_once():
    sampler = Sampler(None)
    sampled(sampler, "a", delivered=4, created=5)
    sampler.forget()
    sampled(sampler, "a", delivered=4, created=5)  # asked before
    sampled(sampler, "a", age=1, delivered=3, created=4)
    sampled(sampler, "a", age=1, delivered=3, created=4)
    assert sampler.failure is None
    sampled(sampler, "a", age=1, delivered=2, created=3)
    assert sampler.failure


def test_a_commit_too_many_is_seen_over_replicas_and_restarts():
    def with_commits(**replicas):
        sampler = Sampler(None)
        sampler.entries = {name: {**dict.fromkeys(ENTRIES, 0), "committed": count}
                           for name, count in replicas.items()}
        return sampler

    entries = [sent(), sent("n2", verdict="open"), sent("n3", verdict="refused")]
    assert check_entries([with_commits(a=1), with_commits(b=1)], entries) == []
    assert check_entries([with_commits(a=1, c=1), with_commits(b=1)], entries)


def test_a_recovery_that_took_too_long_is_told_unless_the_machine_stood_still():
    spans = Spans()
    recoveries = [Recovery("kill", 0, 100, 4.9, 5), Recovery("slow", 1, 200, 5.1, 5)]
    assert ["slow" in line for line in overdue(recoveries, spans)] == [True]
    spans.add("late", 203, 204)
    assert overdue(recoveries, spans) == []


def test_every_fault_of_replicas_is_drawn_and_can_be_done():
    kinds = ReplicatedStorm.kinds
    assert {one.kind for one in draw_faults(1, 0.1, kinds)} == set(kinds)
    assert all(callable(getattr(ReplicatedStorm, f"_{kind}")) for kind in kinds)


class Replicas:
    """A Fleet's weirs, each with the revisions that it will say when asked."""

    def __init__(self, monkeypatch, *revisions):
        self.fleet = Fleet.__new__(Fleet)
        self.fleet.weirs = [SimpleNamespace(process=object(), folder=Path(f"weir-{index}"))
                            for index in range(len(revisions))]
        answers = {id(weir): list(told) for weir, told in zip(self.fleet.weirs, revisions)}
        self.asked = []

        def revision(weir):
            self.asked.append(weir)
            told = answers[id(weir)]
            return told.pop(0) if len(told) > 1 else told[0]
        monkeypatch.setattr(self.fleet, "revision", revision, raising=False)


def test_a_change_is_obeyed_when_the_last_replica_has_it(monkeypatch):
    latest = []
    world = Replicas(monkeypatch, [7], [6, None, 7], [8])
    world.fleet.wait_until_obeyed(7, lambda: latest.append(len(world.asked)))
    assert latest == [5]


def test_a_replica_that_is_silent_must_refuse_when_its_catalog_is_old(monkeypatch):
    monkeypatch.setattr("conserve_fleet.STALE_S", 0.05)
    world, latest = Replicas(monkeypatch, [None]), []
    (weir,) = world.fleet.weirs

    def restart():
        latest.append(True)
        weir.process = object()
    world.fleet.wait_until_obeyed(7, restart)
    assert latest == [True]


def test_a_change_that_one_never_sees_is_an_error(monkeypatch):
    monkeypatch.setattr("conserve_fleet.OBEY_DEADLINE_S", 0.05)
    with pytest.raises(TimeoutError, match="weir-1"):
        Replicas(monkeypatch, [7], [6]).fleet.wait_until_obeyed(7, lambda: None)


@contextlib.contextmanager
def echo_server():
    """Says "I heard " and what it got, once the other has said all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    with link:
                        heard = b"".join(iter(lambda: link.recv(4096), b""))
                        link.sendall(b"I heard " + heard)
        threading.Thread(target=serve, daemon=True).start()
        yield SimpleNamespace(data_port=listener.getsockname()[1], ca=None)
        listener.shutdown(socket.SHUT_RDWR)


def test_the_balancer_finds_who_lives():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = SimpleNamespace(data_port=gone.getsockname()[1], ca=None)
    with echo_server() as alive, contextlib.closing(Balancer([dead, alive], 1)) as balancer:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", balancer.data_port), 5) as link:
                link.sendall(b"you")
                link.shutdown(socket.SHUT_WR)
                assert b"".join(iter(lambda: link.recv(4096), b"")) == b"I heard you"


def test_the_balancer_refuses_when_nobody_lives():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = SimpleNamespace(data_port=gone.getsockname()[1], ca=None)
    with contextlib.closing(Balancer([dead], 1)) as balancer:
        with socket.create_connection(("127.0.0.1", balancer.data_port), 5) as link:
            assert link.recv(1) == b""
