# SPDX-License-Identifier: Apache-2.0
"""What an account calls the same event: by name, by content, by finding, by paths; and its trace.

One account for each way, so that what one test sends is no other's repeat.
"""

import json
import time
import uuid

import pytest
from catalogs import MEMBER, OTHER, account, entry, envelope, rule, target
from clients import AwsCli, Boto3, curl
from weir import AdminError, wait_until

CONTENT, FINDING, PATHS, NAMED = MEMBER, OTHER, "777788889999", "121212121212"
CATALOG = {
    "accounts": [
        account(CONTENT, dedup={"window": "5m", "by": ["content"]}),
        account(FINDING, dedup={"window": "5m", "by": ["finding", "id"]}),
        account(PATHS, dedup={"window": "5m", "by": ["detail.order.id", "detail.order.version"]}),
        account(NAMED, dedup={"window": "1s", "by": ["explicit", "id"]}),
    ],
    # An account's trace is about what came of its events, not about targets: none can be reached
    # without a role, so those without one are dead at once.
    "rules": [rule("all", {"account": [{"exists": True}]}, target("findings"))],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("dedup"), CATALOG) as running:
        yield running


def post(weir, key, event, *headers):
    """(EventId, is it a duplicate) of one event over POST /events; the error's entry instead."""
    answer = curl(weir, "/events", data=event, headers=[
        f"{key['header']}: {key['key']}", "Content-Type: application/json", *headers])
    one = answer.json["entries"][0]
    return (one["event_id"], one["duplicate"]) if "event_id" in one else one["error"]


def trace(weir, event_id):
    return weir.admin("GET", f"/v1/trace/{event_id}")


def steps(weir, event_id):
    return [step["step"] for step in trace(weir, event_id)["steps"]]


def created(weir, account_id):
    return weir.stats(f"/accounts/{account_id}").get("created", 0)


# -- content ---------------------------------------------------------------------------------------

def test_equal_content_is_one_event_by_any_client(gateway, weir):
    key = weir.issue(CONTENT, "sigv4")
    detail = {"n": uuid.uuid4().hex, "list": [1, 2]}
    first = Boto3(weir, key).put([entry(detail=json.dumps(detail))])
    spaced = AwsCli(weir, key).put([entry(detail=json.dumps(detail, indent=3))])
    other = Boto3(weir, key).put([entry(detail=json.dumps({**detail, "list": [1, 3]}))])
    assert first.ok and spaced.ok and other.ok
    assert spaced.event_ids == first.event_ids != other.event_ids
    whole = envelope("com.example.app", "Ping", CONTENT, detail=detail)
    assert post(weir, weir.issue(CONTENT, "api-key"), whole) == (first.event_ids[0], True)
    wait_until(lambda: gateway.arrived(first.event_ids[0]), "the event arrived")
    assert created(weir, CONTENT) == 2


# -- findings --------------------------------------------------------------------------------------

def test_a_finding_that_two_calls_bring_is_delivered_once(gateway, weir):
    sigv4 = weir.issue(FINDING, "sigv4", forwarder=True)
    detail = {"id": uuid.uuid4().hex, "updatedAt": "2026-01-01T09:58:00.000Z", "severity": 8}
    before = created(weir, FINDING)
    put = [entry("aws.guardduty", "GuardDuty Finding", json.dumps(one))
           for one in (detail, {**detail, "title": "seen by the administrator too"})]
    first, second = (Boto3(weir, sigv4).put([one]) for one in put)
    assert first.ok and second.event_ids == first.event_ids
    copy = envelope(account_id=FINDING, detail=detail)
    assert post(weir, weir.issue(FINDING, "api-key"), copy) == (first.event_ids[0], True)
    update = {**detail, "updatedAt": "2026-01-01T15:58:00.000Z"}
    third = Boto3(weir, sigv4).put([entry("aws.guardduty", "GuardDuty Finding",
                                          json.dumps(update))])
    assert third.ok and third.event_ids != first.event_ids
    for event_id in first.event_ids + third.event_ids:
        wait_until(lambda one=event_id: gateway.arrived(one), "the finding arrived")
        assert len(gateway.arrived(event_id)) == 1
    assert created(weir, FINDING) == before + 2


def test_what_is_no_finding_falls_through_to_the_next_layer(weir):
    key = weir.issue(FINDING, "api-key")
    event = envelope("com.example.app", "Ping", FINDING, detail={"id": "f", "updatedAt": "t"})
    assert post(weir, key, event) == (event["id"], False)
    assert post(weir, key, event) == (event["id"], True)
    other = {**event, "id": str(uuid.uuid4())}
    assert post(weir, key, other) == (other["id"], False)


# -- paths -----------------------------------------------------------------------------------------

def test_values_at_paths_are_the_identity(weir):
    key = weir.issue(PATHS, "api-key")

    def order(**more):
        return envelope("com.example.shop", "Order", PATHS, detail={"order": {
            "id": "o-1", "version": 1, **more}, "sent": uuid.uuid4().hex})
    first = order()
    assert post(weir, key, first) == (first["id"], False)
    assert post(weir, key, order(note="other")) == (first["id"], True)
    assert post(weir, key, order(version=2))[1] is False
    for _ in range(2):  # without a value the layer does not apply, and there is no other
        assert post(weir, key, order(version=None))[1] is False


def test_nobody_suppresses_another_accounts_event(weir):
    """Goal: the same finding under two accounts is two events."""
    detail = {"id": uuid.uuid4().hex, "updatedAt": "t", "order": {"id": "x", "version": 1}}
    for account_id in (CONTENT, FINDING, PATHS):
        event = envelope(account_id=account_id, detail=detail)
        assert post(weir, weir.issue(account_id, "api-key"), event)[1] is False


# -- names -----------------------------------------------------------------------------------------

def test_the_same_name_with_other_content_is_a_counted_conflict(weir):
    key = weir.issue(NAMED, "api-key")
    header = f"x-weir-deduplication-id: {uuid.uuid4()}"
    first, second = (envelope("com.example.app", "Ping", NAMED) for _ in range(2))
    assert post(weir, key, first, header) == (first["id"], False)
    assert post(weir, key, first, header) == (first["id"], True)
    assert post(weir, key, second, header) == (second["id"], False)
    assert weir.stats(f"/accounts/{NAMED}")["dedup_conflict"] == 1
    assert weir.stats()["totals"]["dedup_conflict"] >= 1
    assert "conflict" in steps(weir, second["id"])
    assert "conflict" not in steps(weir, first["id"])


def test_a_window_ends(weir):
    key = weir.issue(NAMED, "api-key")
    event = envelope("com.example.app", "Ping", NAMED)
    assert post(weir, key, event) == (event["id"], False)
    time.sleep(1.1)  # the rule is about time that passes
    assert post(weir, key, event) == (event["id"], False)


@pytest.mark.parametrize("bad", ["x" * 129, "a b", "caf\u00e9"])
def test_a_name_that_cannot_be_kept_is_refused(weir, bad):
    event = envelope("com.example.app", "Ping", NAMED)
    error = post(weir, weir.issue(NAMED, "api-key"), event, f"x-weir-deduplication-id: {bad}")
    assert error["code"] == "InvalidArgument"
    assert "x-weir-deduplication-id" in error["message"] and "128" in error["message"]
    assert steps(weir, event["id"]) == ["received", "refused"]


@pytest.mark.parametrize("dedup, place", [
    ({"by": ["finding", "magic"]}, "dedup.by[1]"),
    ({"by": ["detail.id", "detail..x"]}, "dedup.by[1]"),
    ({"by": [{"paths": [f"detail.a{n}" for n in range(9)]}]}, "dedup.by[0].paths"),
    ({"window": "25h"}, "dedup.window"),
])
def test_a_mistake_is_named_by_its_path(weir, dedup, place):
    done = weir.apply({"accounts": [account(MEMBER, dedup=dedup)]}, check=False)
    assert done.returncode == 1 and f"accounts[0].{place}: " in done.stderr


# -- the trace -------------------------------------------------------------------------------------

def test_a_trace_tells_one_events_story(gateway, weir):
    key = weir.issue(CONTENT, "api-key")
    event = envelope("com.example.app", "Ping", CONTENT, detail={"n": uuid.uuid4().hex})
    assert [post(weir, key, event)[1] for _ in range(3)] == [False, True, True]
    wait_until(lambda: "delivered" in steps(weir, event["id"]), "the delivery was noted")
    told = trace(weir, event["id"])
    assert told["event_id"] == event["id"]
    assert told["stands_for"] == 3 and told["omitted"] == 0
    names = [step["step"] for step in told["steps"]]
    assert names[:3] == ["received", "matched", "committed"]
    assert names.count("delivered") == 1
    assert [step["stands_for"] for step in told["steps"] if step["step"] == "duplicate"] == [2, 3]
    assert names.index("claimed") < names.index("sent") < names.index("delivered")
    times = [step["at_ms"] for step in told["steps"]]
    assert times == sorted(times)
    assert {step["account"] for step in told["steps"]} == {CONTENT}
    delivered = told["steps"][names.index("delivered")]
    assert delivered["rule"] == "central/all" and delivered["attempt"] == 1
    assert delivered["target"].endswith(":findings")
    assert event["detail"]["n"] not in json.dumps(told)
    readable = weir.cli("trace", event["id"]).stdout
    assert "delivered" in readable and "stands for 3" in readable
    assert json.loads(weir.cli("trace", event["id"], "--json").stdout) == told


def test_a_trace_shows_failures_and_retries(gateway, weir):
    key = weir.issue(CONTENT, "api-key")
    event = envelope("com.example.app", "Ping", CONTENT, detail={"n": uuid.uuid4().hex})
    gateway.aws.fault("sqs", "fail", count=1)
    assert post(weir, key, event)[1] is False
    wait_until(lambda: "delivered" in steps(weir, event["id"]), "it was delivered in the end")
    names = steps(weir, event["id"])
    assert "retried" in names
    told = trace(weir, event["id"])["steps"]
    retried = told[names.index("retried")]
    assert retried["error"] and retried["until"] and retried["attempt"] == 1


def test_an_unknown_event_has_no_trace(weir):
    with pytest.raises(AdminError) as refused:
        trace(weir, "no-such-event")
    assert refused.value.status == 404
    done = weir.cli("trace", "no-such-event", check=False)
    assert done.returncode == 1 and "no trace" in done.stderr
    assert weir.cli("trace", check=False).returncode == 2
