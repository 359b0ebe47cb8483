# SPDX-License-Identifier: Apache-2.0
"""However a queue fails, each event is delivered or dead, and which of both its policy says.

The stand-in checks every signature and fails on order; hostile.py does on the wire what no server
should; last, TLS that cannot be trusted.
"""

import json
import shutil

import pytest
from catalogs import MEMBER, account, envelope, queue_arn, roles, rule, target
from clients import curl
from hostile import Hostile
from weir import AwsStandinProcess, Weir, make_certificates, wait_until

EVENTS = 3
# What fails, how often (None: for ever), with what retry policy, and how that ends.
DELIVERED, SPENT = None, "attempts-exhausted"
STORIES = {
    "fails-twice": ({"mode": "fail", "count": 2}, {}, DELIVERED),
    "throttles": ({"mode": "throttle", "count": 2}, {}, DELIVERED),
    "asks-to-wait": ({"mode": "fail", "status": 429, "code": "TooManyRequests", "count": 1,
                      "headers": {"Retry-After": "1"}}, {}, DELIVERED),
    "resets-once": ({"mode": "reset", "count": 1}, {}, DELIVERED),
    "swallows-once": ({"mode": "swallow", "count": 1}, {}, DELIVERED),
    "half-fails": ({"mode": "partial", "count": 1}, {}, DELIVERED),
    "fails": ({"mode": "fail", "count": None}, {"maximum_retry_attempts": 0}, SPENT),
    "always-throttles": ({"mode": "throttle", "count": None}, {"maximum_retry_attempts": 0}, SPENT),
    "waits-for-ever": ({"mode": "fail", "status": 503, "code": "SlowDown", "count": None,
                        "headers": {"Retry-After": "99999"}}, {"maximum_retry_attempts": 0}, SPENT),
    "hangs": ({"mode": "hang", "count": None}, {"maximum_retry_attempts": 0}, SPENT),
    "resets": ({"mode": "reset", "count": None}, {"maximum_retry_attempts": 0}, SPENT),
    "drips": ({"mode": "drip", "count": None}, {"maximum_retry_attempts": 0}, SPENT),
    "denies": ({"mode": "deny", "count": None}, {}, "NO_PERMISSIONS"),
    "rejects": ({"mode": "fail", "status": 400, "code": "SomethingNew", "count": None}, {},
                "SDK_CLIENT_ERROR"),
}
# The message arrived although the call failed: not delivered, as far as weir can know.
ARRIVES_ALL_THE_SAME = {"drips"}


def catalog(names, policy=lambda name: {}):
    return {"accounts": [{"id": MEMBER, "name": "member", "sources": ["*"],
                          "dispatch_role": account()["dispatch_role"]}],
            "rules": [rule(name, {"detail-type": [name]},
                           target(name, retry_policy=policy(name))) for name in names]}


def send(weir, names):
    """{name: ids} of EVENTS events for each."""
    key = weir.issue(MEMBER, "api-key")
    sent = {}
    for name in names:
        events = [envelope(detail_type=name, **{"source": "com.example.app"})
                  for _ in range(EVENTS)]
        assert curl(weir, "/events", data=events, headers=[
            "content-type: application/json", f"{key['header']}: {key['key']}"]).status == 200
        sent[name] = sorted(event["id"] for event in events)
    return sent


def dead(weir, name):
    return weir.admin("GET", f"/v1/dead?limit=1000&rule={name}")["dead"]


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    """(stand-in, weir, what was sent), once everything has ended."""
    folder = tmp_path_factory.mktemp("chaos")
    with AwsStandinProcess(folder, roles(MEMBER), map(queue_arn, STORIES)) as aws:
        with Weir(folder / "weir", aws=aws) as weir:
            weir.apply(catalog(STORIES, lambda name: STORIES[name][1]))
            for name, (fault, _, _) in STORIES.items():
                aws.fault(queue_arn(name), **fault)
            sent = send(weir, STORIES)
            weir.drain(120)
            yield aws, weir, sent


@pytest.mark.parametrize("name", STORIES)
def test_each_event_ends_as_its_policy_says(chaos, name):
    aws, weir, sent = chaos
    arrived = {json.loads(line["body"])["id"] for line in aws.messages(queue_arn(name))}
    letters = dead(weir, name)
    if STORIES[name][2] is DELIVERED:
        assert (sorted(arrived), letters) == (sent[name], [])
    else:
        assert sorted(letter["event_id"] for letter in letters) == sent[name]
        assert {letter["reason"] for letter in letters} == {STORIES[name][2]}
        assert {letter["attempts"] for letter in letters} == {1}
        assert name in ARRIVES_ALL_THE_SAME or not arrived


def test_the_ledger_balances(chaos):
    _, weir, sent = chaos
    stats = weir.stats()
    lost = sum(len(ids) for name, ids in sent.items() if STORIES[name][2])
    assert stats["ledger"]["balanced"]
    assert (stats["totals"]["dead"], stats["totals"]["live"]) == (lost, 0)
    assert stats["totals"]["delivered"] == len(sent) * EVENTS - lost


def test_a_retry_after_is_waited_for(chaos):
    """By what was refused; what another call had under way at that moment arrives with it."""
    aws, _, _ = chaos
    queue = queue_arn("asks-to-wait")
    refused = [line["time"] for line in aws.lines("refused") if line["code"] == "TooManyRequests"]
    waits = [line["time"] - refused[0] for line in aws.messages(queue)]
    assert max(waits) >= 0.99
    assert not [wait for wait in waits if 0.5 < wait < 0.99]


LIES = ("long", "short", "garbage", "endless-head", "huge", "redirect", "liar")


def test_lies_on_the_wire(tmp_path):
    member = {"id": MEMBER, "name": "member", "sources": ["*"]}
    no_retry = {"maximum_retry_attempts": 0}
    with Hostile() as hostile, Weir(
            tmp_path, config={"aws": {"endpoints": {"sqs": hostile.url}}}) as weir:
        weir.apply({**catalog((*LIES, "well"), lambda name: {} if name == "well" else no_retry),
                    "accounts": [member]})
        sent = send(weir, (*LIES, "well"))
        weir.drain(120)
        assert sorted(hostile.ids("well")) == sent["well"] and not dead(weir, "well")
        for name in LIES:
            assert sorted(letter["event_id"] for letter in dead(weir, name)) == sent[name]
        assert not hostile.strangers


def test_tls_that_cannot_be_trusted_gets_nothing(tmp_path):
    """No request is sent to it; trusted, it gets what waited."""
    (tmp_path / "far").mkdir()
    make_certificates(tmp_path / "far")
    member = {"id": MEMBER, "name": "member", "sources": ["*"]}
    with Hostile(tmp_path / "far/server.pem", tmp_path / "far/server.key") as hostile:
        weir = Weir(tmp_path / "weir", config={"aws": {"endpoints": {"sqs": hostile.url}}})
        with weir:
            weir.apply({**catalog(["well"]), "accounts": [member]})
            sent = send(weir, ["well"])
            wait_until(lambda: weir.stats()["totals"]["retried"] >= EVENTS, "an attempt has failed")
            assert not hostile.calls and not hostile.taken
            weir.stop()
            shutil.copy(tmp_path / "far/ca.pem", tmp_path / "weir/far.pem")
            weir.config["egress"] = {"ca": "far.pem"}
            weir.write_config()
            weir.start()
            weir.drain(60)
        assert sorted(set(hostile.ids("well"))) == sent["well"]
