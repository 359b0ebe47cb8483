# SPDX-License-Identifier: Apache-2.0
"""Queues and STS that fail in every way: retried until they answer, or dead with a reason."""

import json

import pytest
from catalogs import MEMBER, OTHER, account, entry, queue_arn, role_arn, rule, target
from clients import Boto3
from weir import wait_until

FIFO_RULE = rule("ordered", {"detail-type": ["Ordered"]}, target(
    "ordered.fifo", sqs_parameters={"message_group_id": "group-1"}))
ONE_TRY = {"retry_policy": {"maximum_retry_attempts": 0}}


def put(gateway, key, count=1, **more):
    client = Boto3(gateway.weir, key)
    told = []
    while len(told) < count:
        told += client.put([entry(**more) for _ in range(min(10, count - len(told)))]).event_ids
    assert all(told)
    return told


@pytest.fixture
def healed(gateway):
    yield
    gateway.aws.heal()
    gateway.aws.control(lifetime_max_s=None)


@pytest.mark.usefixtures("healed")
@pytest.mark.parametrize("mode, more", [
    ("fail", {"count": 3}),
    ("fail", {"count": 2, "status": 503, "code": "ServiceUnavailable"}),
    ("throttle", {"count": 3}),
    ("partial", {"count": 2}),
    ("reset", {"count": 3}),
    ("swallow", {"count": 1}),
    ("hang", {"count": 1, "seconds": 30}),
    ("drip", {"count": 1, "seconds": 0.2}),
])
def test_a_queue_in_trouble_gets_every_event_in_the_end(gateway, key, mode, more):
    gateway.aws.fault(queue_arn("findings"), mode, **more)
    told = put(gateway, key, 20)
    for event_id in told:
        wait_until(lambda one=event_id: gateway.arrived(one), f"{event_id} arrived", 60)
    stats = gateway.weir.drain()
    assert stats["ledger"]["balanced"] is True
    assert stats["totals"]["dead"] == 0


@pytest.mark.usefixtures("healed")
@pytest.mark.parametrize("mode, more", [
    ("throttle", {"count": 2}), ("fail", {"count": 2}), ("reset", {"count": 2})])
def test_sts_in_trouble_only_delays(gateway, mode, more):
    # A role that nobody has assumed yet, so that this test needs STS.
    fresh = {"throttle": "700000000001", "fail": "700000000002", "reset": "700000000003"}[mode]
    gateway.aws.control(roles=[{"arn": role_arn(fresh), "external_id": f"weir-{fresh}-x7f3a"}])
    gateway.weir.apply({"accounts": [account(MEMBER), account(OTHER), account(fresh)]})
    gateway.aws.fault("sts", mode, **more)
    (event_id,) = put(gateway, gateway.weir.issue(fresh, "sigv4"))
    (message,) = wait_until(lambda: gateway.arrived(event_id), "the event arrived", 60)
    assert message["role"] == role_arn(fresh)


@pytest.mark.usefixtures("healed")
def test_a_role_is_assumed_once_for_many_events(gateway, key):
    put(gateway, key)
    gateway.weir.drain()
    before = len(gateway.aws.lines("assume_role"))
    put(gateway, key, 100)
    gateway.weir.drain()
    assert len(gateway.aws.lines("assume_role")) == before


def test_each_assumption_carries_the_external_id_and_the_account(gateway, key):
    put(gateway, key)
    gateway.weir.drain()
    for line in gateway.aws.lines("assume_role"):
        member = line["role"].split(":")[4]
        assert line["allowed"] and line["external_id"] == f"weir-{member}-x7f3a"
        assert (line["session"], line["tags"]) == ("weir-dispatch", {"weir-account": member})


def test_many_events_of_one_queue_share_calls(gateway, key):
    gateway.aws.fault(queue_arn("findings"), "delay", count=1, seconds=1)
    told = set(put(gateway, key, 60))
    gateway.weir.drain()
    calls = {line["request"] for line in gateway.aws.messages()
             if json.loads(line["body"])["id"] in told}
    assert len(calls) <= 30, f"60 events took {len(calls)} calls"


def test_fifo_carries_group_and_deduplication(tmp_path, gateway_in):
    catalog = {"accounts": [account(MEMBER)], "rules": [FIFO_RULE]}
    with gateway_in(tmp_path, catalog) as gateway:
        key = gateway.weir.issue(MEMBER, "sigv4")
        gateway.aws.fault(queue_arn("ordered.fifo"), "swallow", count=1)
        told = put(gateway, key, 5, detail_type="Ordered")
        gateway.weir.drain()
        lines = gateway.aws.lines("message")
        assert {line["group"] for line in lines} == {"group-1"}
        # The swallowed call was repeated with the same deduplication ids.
        assert len({line["dedup"] for line in lines}) == 5
        assert sum(1 for line in lines if not line["duplicate"]) == 5
        assert {json.loads(line["body"])["id"] for line in lines} == set(told)


@pytest.mark.parametrize("spoil", [
    lambda aws: aws.fault(queue_arn("findings"), "deny"),
    lambda aws: aws.control(remove_queues=[queue_arn("findings")]),
    lambda aws: aws.control(remove_roles=[role_arn(MEMBER)]),
    lambda aws: aws.fault(queue_arn("findings"), "fail"),
], ids=["denied", "no-queue", "no-role", "budget-spent"])
def test_what_cannot_be_delivered_is_kept_as_a_dead_letter(tmp_path, gateway_in, spoil):
    catalog = {"accounts": [account(MEMBER)],
               "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings", **ONE_TRY))]}
    with gateway_in(tmp_path, catalog) as gateway:
        spoil(gateway.aws)
        put(gateway, gateway.weir.issue(MEMBER, "sigv4"), 3)
        stats = gateway.weir.drain(120)
        assert (stats["totals"]["dead"], stats["totals"]["delivered"]) == (3, 0)
        assert stats["ledger"]["balanced"] is True
        gateway.weir.restart()
        stats = gateway.weir.stats()
        assert stats["ledger"]["deliveries"]["dead"] == 3


def test_a_removed_target_buries_what_was_owed_to_it(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        gateway.aws.fault(queue_arn("findings"), "fail")
        put(gateway, gateway.weir.issue(MEMBER, "sigv4"), 3)
        gateway.weir.apply({"rules": []})
        stats = gateway.weir.drain()
        assert stats["totals"]["dead"] == 3
