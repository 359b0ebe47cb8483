# SPDX-License-Identifier: Apache-2.0
"""Copies of dead letters for a queue: set up through EventBridge's API, on Redis, and given up."""

import json

import pytest
from catalogs import MEMBER, OTHER, account, entry, queue_arn, roles, rule, target
from clients import Boto3, session_client
from redis_server import RedisServer
from weir import AwsStandinProcess, Weir, wait_until

GRAVES = queue_arn("graves")
# Refused for good, in one account's own rule as EventBridge's API makes it.
OWN_TARGET, OWN_GRAVES = queue_arn("own", MEMBER), queue_arn("own-graves", MEMBER)
QUEUES = [GRAVES, queue_arn("findings"), OWN_TARGET, OWN_GRAVES]
WITH_DLQ = {"dead_letter_config": {"arn": GRAVES}}
CATALOG = {"accounts": [account(MEMBER), account(OTHER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings", **WITH_DLQ))]}


def attributes(message):
    return {name: value["StringValue"] for name, value in message["attributes"].items()}


def event_ids(messages):
    return sorted(json.loads(message["body"])["id"] for message in messages)


@pytest.fixture
def aws(tmp_path):
    with AwsStandinProcess(tmp_path, roles(MEMBER, OTHER), QUEUES) as running:
        yield running


def test_put_targets_names_the_queue(tmp_path, aws):
    """RetryPolicy and DeadLetterConfig as every SDK sends them; the member's own role writes."""
    with Weir(tmp_path / "weir", aws=aws) as weir:
        weir.apply(CATALOG)
        key = weir.issue(MEMBER, "sigv4")
        api = session_client(weir, key)
        api.put_rule(Name="own", EventPattern=json.dumps({"detail-type": ["Own"]}))
        answer = api.put_targets(Rule="own", Targets=[{
            "Id": "t", "Arn": OWN_TARGET, "DeadLetterConfig": {"Arn": OWN_GRAVES},
            "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}}])
        assert answer["FailedEntryCount"] == 0
        shown = api.list_targets_by_rule(Rule="own")["Targets"][0]
        assert shown["DeadLetterConfig"] == {"Arn": OWN_GRAVES}
        aws.fault(OWN_TARGET, "fail", message="out of order")
        sent = Boto3(weir, key).put([entry(detail_type="Own")] * 1).event_ids
        wait_until(lambda: aws.messages(OWN_GRAVES), "the copy has arrived", 60)
        message = aws.messages(OWN_GRAVES)[0]
        told = attributes(message)
        assert event_ids([message]) == sorted(sent)
        assert message["account"] == MEMBER and message["role"]
        assert told["RULE_ARN"].endswith(f":{MEMBER}:rule/own")
        assert (told["TARGET_ARN"], told["ERROR_CODE"]) == (OWN_TARGET, "ERROR_FROM_TARGET")
        assert "out of order" in told["ERROR_MESSAGE"]
        assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
        assert told["RETRY_ATTEMPTS"] == "0"


def test_on_redis_a_kill_costs_no_copy(tmp_path, aws):
    with RedisServer(tmp_path / "redis") as redis, Weir(
            tmp_path / "weir", aws=aws, store=redis.url,
            config={"limits": {"claim_time": "10s"}}) as weir:
        weir.apply(CATALOG)
        aws.fault(queue_arn("findings"), "deny")
        aws.fault(GRAVES, "fail")
        sent = Boto3(weir, weir.issue(MEMBER, "sigv4")).put([entry() for _ in range(10)]).event_ids
        wait_until(lambda: weir.stats()["totals"]["dead"] == 10, "every event is dead", 60)
        assert weir.stats()["totals"]["live"] == 10
        weir.restart()
        aws.heal(GRAVES)
        stats = weir.drain(120)
        assert sorted(set(event_ids(aws.messages(GRAVES)))) == sorted(sent)
        assert stats["ledger"]["balanced"] and stats["totals"]["dead"] == 10


def test_a_queue_without_a_right_is_told_of_and_mended(tmp_path, aws):
    """Its account has no role here: the copy is a letter of its own, and goes when that is so."""
    foreign = queue_arn("graves", "777788889999")
    aws.control(queues=[foreign])
    catalog = {"accounts": CATALOG["accounts"], "rules": [
        rule("pings", {"detail-type": ["Ping"]},
             target("findings", dead_letter_config={"arn": foreign}))]}
    with Weir(tmp_path / "weir", aws=aws) as weir:
        weir.apply(catalog)
        aws.fault(queue_arn("findings"), "deny")
        sent = Boto3(weir, weir.issue(MEMBER, "sigv4")).put([entry()]).event_ids
        wait_until(lambda: weir.stats()["totals"]["dead"] == 2, "both letters are there", 60)
        failed = weir.admin("GET", "/v1/dead?reason=dlq-failed&payload=true")["dead"][0]
        assert failed["event"]["event"]["id"] == sent[0]
        assert "NO_PERMISSIONS" in failed["message"]
        assert weir.stats()["totals"]["dlq_failed"] == 1
        assert "delivery.dlq_failed" in weir.log_path.read_text()
        far = account("777788889999")
        aws.control(roles=[{"arn": far["dispatch_role"]["arn"],
                            "external_id": far["dispatch_role"]["external_id"]}])
        weir.apply({**catalog, "accounts": [*catalog["accounts"], far]})
        weir.cli("dead", "redrive", "--reason", "dlq-failed")
        weir.drain(60)
        assert event_ids(aws.messages(foreign)) == sorted(sent)
        assert weir.stats()["totals"]["dead"] == 1
