# SPDX-License-Identifier: Apache-2.0
"""conserve's judge finds each kind of fault, and calls nothing a fault that is none."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from catalogs import account, queue_arn, role_arn, rule, target  # noqa: E402
from conserve_faults import KINDS, draw_faults  # noqa: E402
from conserve_history import History, Slot, Spans, Version  # noqa: E402
from conserve_judge import Judge, Sent, percentile  # noqa: E402
from conserve_kinds import KINDS as TARGET_KINDS  # noqa: E402
from conserve_kinds import arrivals, make_target, place_of  # noqa: E402
from conserve_matcher import matches  # noqa: E402
from conserve_stats import DELIVERIES, ENTRIES, check_against, imbalances  # noqa: E402
from conserve_world import (  # noqa: E402
    ACCOUNTS, UNLUCKY, UNTRUSTED, World, draw_event, is_calm, may_die)

A, B = ACCOUNTS[:2]
QUEUE, MOVED = queue_arn("one"), queue_arn("two")
SLOT = Slot("central", "pings", "one")


@pytest.mark.parametrize("pattern, event, expected", [
    ({"a": ["x"]}, {"a": "x"}, True),
    ({"a": ["x"]}, {"a": "y"}, False),
    ({"a": ["x"]}, {}, False),
    ({"a": ["x", "y"]}, {"a": ["z", "y"]}, True),
    ({"a": ["x"]}, {"a": []}, False),
    ({"a": [1]}, {"a": 1}, True),
    ({"a": [1]}, {"a": "1"}, False),
    ({"a": {"b": [True]}}, {"a": {"b": True}}, True),
    ({"a": {"b": [1]}}, {"a": {"b": True}}, False),
    ({"a": {"b": ["x"]}}, {"a": "x"}, False),
    ({"a": ["x"], "b": ["y"]}, {"a": "x"}, False),
    ({"a": [{"prefix": "ab"}]}, {"a": "abc"}, True),
    ({"a": [{"prefix": "ab"}]}, {"a": "cab"}, False),
    ({"a": [{"suffix": "bc"}]}, {"a": "abc"}, True),
    ({"a": [{"equals-ignore-case": "ABC"}]}, {"a": "aBc"}, True),
    ({"a": [{"exists": True}]}, {"a": None}, True),
    ({"a": [{"exists": True}]}, {}, False),
    ({"a": [{"exists": False}]}, {}, True),
    ({"a": {"b": [{"exists": False}]}}, {}, True),
    ({"a": [{"anything-but": "x"}]}, {"a": "y"}, True),
    ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "y"}, False),
    ({"a": [{"anything-but": "x"}]}, {}, False),
    ({"a": [{"numeric": [">", 2, "<=", 6]}]}, {"a": 6}, True),
    ({"a": [{"numeric": [">", 2, "<=", 6]}]}, {"a": 2}, False),
    ({"a": [{"numeric": [">=", 7]}]}, {"a": "7"}, False),
])
def test_the_matcher_knows_its_kinds(pattern, event, expected):
    assert matches(pattern, event) is expected


def test_the_matcher_does_not_guess():
    with pytest.raises(ValueError):
        matches({"a": [{"wildcard": "*"}]}, {"a": "x"})


def catalog(arn=QUEUE, *extra, state="ENABLED"):
    pings = {**rule("pings", {"detail-type": ["Ping"]}, {**target("one"), "arn": arn}),
             "state": state}
    return {"accounts": [account(A), account(B)], "rules": [pings, *extra]}


def history(*steps):
    """A history of (catalog, begun, confirmed or None)."""
    made = History()
    for one, begun_s, confirmed_s in steps:
        made.begin(Version(one), begun_s)
        if confirmed_s is not None:
            made.confirm(confirmed_s)
    return made


EMPTY = {"accounts": [account(A), account(B)], "rules": []}
CHANGE = [(EMPTY, 0, 1), (catalog(), 10, 20)]


@pytest.mark.parametrize("from_s, to_s, possible", [
    (2, 3, [0]), (2, 9.9, [0]), (2, 10, [0, 1]), (12, 13, [0, 1]), (12, 25, [0, 1]),
    (20, 21, [1]), (25, 26, [1]), (19.9, 30, [0, 1])])
def test_a_change_counts_from_its_beginning_and_for_sure_from_its_end(from_s, to_s, possible):
    assert list(history(*CHANGE).possible(from_s, to_s)) == possible


def test_a_change_never_confirmed_stays_possible():
    assert list(history(CHANGE[0], (catalog(), 10, None)).possible(50, 60)) == [0, 1]


def test_a_disabled_rule_owes_nothing_but_still_leads_somewhere():
    version = Version(catalog(state="DISABLED"))
    assert version.owed({"account": A, "detail-type": "Ping"}) == frozenset()
    assert version.leads_to(SLOT, A) == (QUEUE, role_arn(A))


def test_an_account_rule_sees_its_own_account_only():
    own = rule("own", {"detail-type": ["Ping"]}, target("two"), bus=f"{A}/default")
    version = Version(catalog(QUEUE, own))
    assert len(version.owed({"account": A, "detail-type": "Ping"})) == 2
    assert version.owed({"account": B, "detail-type": "Ping"}) == {SLOT}


def sent(number="n1", verdict="told", kind="Ping", **more):
    event = {"account": A, "source": "s", "detail-type": kind, "detail": {"n": number}}
    fields = {"sent_s": 100, "told_s": 101 if verdict == "told" else None,
              "event_id": f"id-{number}" if verdict == "told" else None, **more}
    return Sent(number, "test", A, event, "key-1", verdict=verdict, **fields)


def body(number="n1", kind="Ping", **more):
    return json.dumps({"id": f"id-{number}", "account": A, "source": "s", "detail-type": kind,
                       "detail": {"n": number}, **more})


def message(number="n1", queue=QUEUE, role=role_arn(A), time=101, text=None, tag=A, **more):
    text = text or body(number, **more)
    event = json.loads(text) if text.startswith("{") else {}
    return {"place": queue, "role": role, "time": time, "session_tags": {"weir-account": tag},
            "body": text, "event": event}


def letter(number="n1", **more):
    return {"account": A, "bus": SLOT.bus, "rule": SLOT.rule, "target": SLOT.target,
            "reason": "target-removed", "event": json.loads(body(number)), **more}


ALWAYS = [(catalog(), 0, 1)]
TWO = [(catalog(QUEUE, rule("also", {"detail-type": ["Ping"]}, target("two"))), 0, 1)]
KILL, DEAF, FROZEN = ("kill", 101.2, 101.3), (f"deaf:{QUEUE}", 90, 110), ("frozen", 100, 150)


@pytest.mark.parametrize("steps, one, messages, dead, spans, faults", [
    (ALWAYS, sent(), [message()], [], [], {}),
    (ALWAYS, sent(), [], [letter()], [], {}),
    (ALWAYS, sent(), [], [], [], {"lost"}),
    (ALWAYS, sent(kind="Pong"), [], [], [], {}),
    (ALWAYS, sent(kind="Pong"), [message(kind="Pong")], [], [], {"misrouted"}),
    (TWO, sent(), [message()], [], [], {"lost"}),
    (TWO, sent(), [message(), message(queue=MOVED)], [], [], {}),
    # wrong place, account, role or content
    (ALWAYS, sent(), [message(queue=queue_arn("other"))], [], [], {"misrouted", "lost"}),
    (ALWAYS, sent(), [message(role=role_arn(B))], [], [], {"misrouted"}),
    (ALWAYS, sent(), [message(tag=B)], [], [], {"misrouted"}),
    (ALWAYS, sent(), [message(account=B)], [], [], {"altered"}),
    (ALWAYS, sent(), [message(id="id-n2")], [], [], {"altered"}),
    (ALWAYS, sent(text=body() + " "), [message()], [], [], {"altered"}),
    (ALWAYS, sent(), [message(), message("n2")], [], [], {"unknown"}),
    (ALWAYS, sent(), [message(), message(text="not json")], [], [], {"unknown"}),
    # a change under way: one version or the other, never a mixture
    ([*ALWAYS, (catalog(MOVED), 100.5, 120)], sent(), [message()], [], [], {}),
    ([*ALWAYS, (catalog(MOVED), 90, 95)], sent(), [message()], [], [], {"misrouted"}),
    ([*ALWAYS, (catalog(MOVED), 130, 140)], sent(), [message(queue=MOVED, time=150)], [], [], {}),
    ([(EMPTY, 0, 1), (catalog(), 100.5, 110)], sent(), [], [], [], {}),
    ([(EMPTY, 0, 1), (TWO[0][0], 100.5, 110)], sent(), [message()], [], [], {"lost"}),
    # told no, told nothing
    (ALWAYS, sent(verdict="refused"), [], [], [], {}),
    (ALWAYS, sent(verdict="refused"), [message()], [], [], {"refused yet delivered"}),
    (ALWAYS, sent(verdict="open"), [], [], [], {}),
    (ALWAYS, sent(verdict="open"), [message()], [], [], {}),
    (TWO, sent(verdict="open"), [message()], [], [], {"torn apart"}),
    # who may speak
    (ALWAYS, sent(), [message()], [], [("revoked:key-1", 99, None)], {"accepted"}),
    (ALWAYS, sent(), [message()], [], [("revoked:key-1", 100.5, None)], {}),
    (ALWAYS, sent(), [message()], [], [(f"suspended:{A}", 99, 102)], {"accepted"}),
    (ALWAYS, sent(), [message()], [], [(f"suspended:{A}", 99, 100.5)], {}),
    # repeats
    (ALWAYS, sent(), [message(), message(time=103)], [], [], {"repeated"}),
    (ALWAYS, sent(), [message(), message(time=103)], [], [KILL], {}),
    (ALWAYS, sent(), [message(), message(time=101.1)], [], [KILL], {"repeated"}),
    (ALWAYS, sent(), [message(time=99), message(time=103)], [], [KILL], {"repeated"}),
    (ALWAYS, sent(), [message(), message(time=103)], [], [DEAF], {}),
    (ALWAYS, sent(), [message(time=101), message(time=145)], [],
     [FROZEN, ("kill", 140, 140)], {}),
    (ALWAYS, sent(), [message(time=101), message(time=165)], [],
     [FROZEN, ("frozen", 150.5, 160), ("kill", 160.5, 160.5)], {}),
    (ALWAYS, sent(), [message(time=101), message(time=165)], [],
     [FROZEN, ("frozen", 152, 160), ("kill", 160.5, 160.5)], {"repeated"}),
    (ALWAYS, sent(), [message(), message(time=107)], [], [("late", 104, 105)], {}),
    # dead letters
    (ALWAYS, sent(), [], [letter(), letter()], [], {"buried twice"}),
    (ALWAYS, sent(), [], [letter(event=None)], [], {"unknown", "lost"}),
    (ALWAYS, sent(), [], [letter(account=B)], [], {"altered"}),
    (ALWAYS, sent(), [], [letter(reason="")], [], {"altered"}),
])
def test_the_judge_finds_each_fault(steps, one, messages, dead, spans, faults):
    noted = Spans()
    for name, begin_s, end_s in spans:
        noted.add(name, begin_s, end_s)
    verdict = Judge(history(*steps), noted).judge([one], messages, dead)
    assert set(verdict.faults) == set(faults), dict(verdict.faults)


STEPS = [queue_arn(f"step-{index}") for index in range(3)]
SEQUENCE = [(catalog(QUEUE, rule("seq", {"detail-type": ["Steps"]}, {"id": "all", "steps": [
    {"name": "a", "target": {"arn": STEPS[0]}},
    {"name": "b", "target": {"arn": STEPS[1]}, "on_failure": "continue"},
    {"name": "c", "target": {"arn": STEPS[2]}}]})), 0, 1)]


def stepped(index, time):
    return message(queue=STEPS[index], time=time, kind="Steps")


def died_at(step):
    return {"account": A, "bus": "central", "rule": "seq", "target": "all", "step": step,
            "reason": "attempts-exhausted", "event": json.loads(body(kind="Steps"))}


@pytest.mark.parametrize("arrived, dead, spans, faults", [
    ([stepped(0, 101), stepped(1, 102), stepped(2, 103)], [], [], {}),
    ([stepped(0, 101), stepped(2, 103)], [], [], {}),  # the second may fail
    ([stepped(0, 101), stepped(2, 102), stepped(1, 103)], [], [], {}),
    ([stepped(0, 101)], [died_at("c")], [], {}),
    ([], [died_at("a")], [], {}),
    ([], [], [], {"lost"}),
    ([stepped(0, 101), stepped(1, 102)], [], [], {"lost"}),
    ([stepped(1, 102), stepped(2, 103)], [], [], {"out of order"}),
    ([stepped(0, 104), stepped(2, 103)], [], [], {"out of order"}),
    ([stepped(2, 103)], [died_at("a")], [], {"out of order"}),
    ([], [died_at("c")], [], {"out of order"}),
    ([stepped(0, 101), stepped(0, 102), stepped(2, 103)], [], [], {"repeated"}),
    ([stepped(0, 101), stepped(0, 102), stepped(2, 103)], [], [KILL], {}),
])
def test_the_judge_knows_the_order_of_steps(arrived, dead, spans, faults):
    noted = Spans()
    for name, begin_s, end_s in spans:
        noted.add(name, begin_s, end_s)
    verdict = Judge(history(*SEQUENCE), noted).judge([sent(kind="Steps")], arrived, dead)
    assert set(verdict.faults) == set(faults), dict(verdict.faults)


def test_the_judge_asks_whether_a_delivery_may_die_so():
    verdict = Judge(history(*ALWAYS), Spans(), may_die=lambda *_: False).judge(
        [sent()], [], [letter()])
    assert set(verdict.faults) == {"buried wrongly"}


@pytest.mark.parametrize("rule_name, account_id, reason, expected", [
    ("severe", A, "attempts-exhausted", False), ("severe", UNLUCKY[0], "NO_PERMISSIONS", True),
    ("ailing-hang", A, "attempts-exhausted", True), ("ailing-hang", A, "NO_RESOURCE", False),
    ("refused-1", A, "NO_RESOURCE", True), ("refused-1", A, "attempts-exhausted", False),
    ("steps", A, "attempts-exhausted", False), ("steps-ailing", A, "attempts-exhausted", True),
    ("steps-on", A, "attempts-exhausted", False), ("restless-0", A, "target-removed", True)])
def test_the_world_says_what_may_die(rule_name, account_id, reason, expected):
    assert may_die(Slot("central", rule_name, "t1"), account_id, reason) is expected


def test_spans_tell_what_they_hold_and_touch():
    spans = Spans()
    spans.open("x", 10)
    spans.open("x", 11)
    assert spans.cover("x", 10, 99) and spans.end_of("x", 50, 51) == float("inf")
    spans.close("x", 20)
    spans.close("x", 30)
    assert spans.cover("x", 12, 20) and not spans.cover("x", 12, 21)
    assert spans.touch("x", 20, 30) and not spans.touch("x", 21, 30)
    assert (spans.end_of("x", 15, 16), spans.end_of("x", 25, 26)) == (20, None)


def stats(**more):
    part = {**dict.fromkeys((*ENTRIES, *DELIVERIES, "received", "created"), 0),
            "received": 3, "committed": 3, "created": 4, "delivered": 3, "dead": 1, **more}
    return {"totals": part, "accounts": {A: dict(part)}, "ledger": {"balanced": True}}


def test_a_ledger_that_does_not_add_up_is_seen():
    assert imbalances(stats()) == []
    assert imbalances(stats(live=1)) and imbalances(stats(failed=1))
    assert imbalances({**stats(), "ledger": {"balanced": False}})
    assert imbalances({**stats(), "accounts": {}})


@pytest.mark.parametrize("more, differences", [
    ({}, 0), ({"created": 5, "live": 1}, 2), ({"created": 5, "dead": 2}, 2),
    ({"created": 5, "delivered": 4}, 2)])
def test_the_ledger_is_held_against_the_outside(more, differences):
    class Outside:
        created, dead, arrived = 4, 1, 3

    assert len(check_against(stats(**more), Outside)) == differences


def test_the_seed_decides_every_fault():
    def drawn(seed):
        return [(one.pause_s, one.kind, one.random.random()) for one in draw_faults(seed, 30)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {kind for _, kind, _ in drawn(1)} == set(KINDS)
    assert all(0.2 <= pause_s <= 0.8 for pause_s, _, _ in drawn(1))
    assert {one.kind for one in draw_faults(1, 0.1)} == set(KINDS)


def test_every_version_of_the_world_keeps_to_its_places():
    world, draw = World(1), random.Random(1)
    made = History()
    queues, others = world.standing()
    for step in range(200):
        made.begin(world.version(), step)
        made.confirm(step)
        world.change(draw)
    refused = {place for place, slot in made.places().items() if slot.rule.startswith("refused")}
    assert set(made.places()) - refused <= {*queues, *others} and refused
    assert not refused & {*queues, *others}
    assert len({one.owed(draw_event(draw, A, "n", True)) for one in made.versions}) > 3
    assert {place for place, _ in world.ailing()} <= {*queues, *others}


def test_every_https_target_has_an_api_destination():
    world = World(4)
    world.use_hooks(["https://localhost:1", "https://localhost:2"], "/key")
    made = {one["name"]: one["invocation_endpoint"] for one in world.catalog()["api_destinations"]}
    assert set(made) == {name for name, kind in world.kinds.items() if kind == "https"}
    assert {name for name, url in made.items() if ":2/" in url} == {UNTRUSTED}
    assert world.version().leads_to(Slot("central", UNTRUSTED, "t1"), A) == (
        make_target("https", UNTRUSTED)["arn"], None)


def test_each_seed_deals_every_kind_and_deals_it_again():
    assert World(1).kinds == World(1).kinds != World(2).kinds
    for seed in range(5):
        assert set(World(seed).kinds.values()) == set(TARGET_KINDS)
    assert not is_calm(Slot("central", "steps", "t1"), A)


class Log:
    """What the stand-in would have written for one event at each kind of target."""

    def __init__(self, event):
        text = json.dumps(event)
        self._texts = {
            "ssm": {"params": {"Parameters": {"Id": [event["id"]], "Number": ["n1"]}}},
            "bus": {"params": {"Source": event["source"], "DetailType": event["detail-type"],
                               "Detail": json.dumps(event["detail"])}},
            "universal": {"body": f"n1 {event['id']}"}}
        self._text = text

    def lines(self):
        for kind in TARGET_KINDS:
            place = place_of(make_target(kind, f"one-{kind}"), A)
            named = {"kind": "message", "queue": place} if ":sqs:" in place else {
                "kind": "call", "resource": place, "service": place.split(":")[2]}
            if kind == "https":
                named["service"] = kind
            yield {**named, "role": None if kind == "https" else role_arn(A), "time": 101,
                   "session_tags": {"weir-account": A},
                   "duplicate": False, "body": self._text, **self._texts.get(kind, {})}


def test_what_arrives_is_read_for_every_kind():
    event = json.loads(body())
    rules = [rule(f"to-{kind}", {"detail-type": ["Ping"]},
                  {"id": "t1", **make_target(kind, f"one-{kind}")}) for kind in TARGET_KINDS]
    made = history(({"accounts": [account(A)], "rules": rules}, 0, 1))
    verdict = Judge(made, Spans()).judge([sent()], arrivals(Log(event)), [])
    assert not verdict.faults and verdict.arrived == len(TARGET_KINDS)
    for wrong in ({**event, "id": "id-n2"}, {**event, "source": "t"}):
        verdict = Judge(made, Spans()).judge([sent()], arrivals(Log(wrong)), [])
        assert set(verdict.faults) == {"altered"}


def test_percentiles():
    assert [percentile(range(100), share) for share in (0, 0.5, 0.99)] == [0, 50, 99]
    assert percentile([], 0.5) == 0
