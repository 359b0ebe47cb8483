# SPDX-License-Identifier: Apache-2.0
"""Every kind of AWS target: what arrives, signed by which role, and what becomes of its failures.

The stand-in judges each call by botocore's model of the service, checks the signature, and lets a
test break any target by its ARN.
"""

import json

import pytest
from catalogs import CENTRAL, MEMBER, OTHER, account, arn, entry, queue_arn, role_arn, rule
from clients import Boto3
from weir import wait_until

FUNCTION = arn("lambda", "function:triage")
OWN_FUNCTION = "arn:aws:lambda:us-east-1:{account}:function:contain"
TOPIC = arn("sns", "alerts")
FIFO_TOPIC = arn("sns", "alerts.fifo", region="eu-west-1")
RESOURCES = [FUNCTION, TOPIC, FIFO_TOPIC,
             *(OWN_FUNCTION.replace("{account}", one) for one in (MEMBER, OTHER))]
ONE_TRY = {"maximum_retry_attempts": 0}


def to(detail_type, target_arn, **more):
    """A rule that sends one detail-type to one target."""
    return rule(detail_type.lower(), {"detail-type": [detail_type]},
                {"id": "target", "arn": target_arn, **more})


CATALOG = {
    "accounts": [account(MEMBER), account(OTHER)],
    "rules": [
        to("Lambda", FUNCTION + ":live"),
        to("OwnLambda", OWN_FUNCTION),
        to("Topic", TOPIC),
        to("FifoTopic", FIFO_TOPIC, sns_parameters={"message_group_id": "one"}),
    ],
}
ARNS = {"Lambda": FUNCTION, "Topic": TOPIC, "FifoTopic": FIFO_TOPIC}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("targets"), CATALOG, resources=RESOURCES) as running:
        yield running


@pytest.fixture
def healed(gateway):
    yield
    gateway.aws.heal()


def put(gateway, key, detail_type, count=1):
    client, told = Boto3(gateway.weir, key), []
    while len(told) < count:
        told += client.put([entry(detail_type=detail_type)
                            for _ in range(min(10, count - len(told)))]).event_ids
    assert all(told)
    return told


def arrived(gateway, told, timeout_s=60):
    """The calls that brought some events, by event id, once all have come."""
    def all_there():
        found = {}
        for line in gateway.aws.calls():
            event_id = next((one for one in told if one in json.dumps(line)), None)
            if event_id:
                found.setdefault(event_id, []).append(line)
        return found if set(found) == set(told) else None
    return wait_until(all_there, f"{len(told)} events arrived", timeout_s)


def dead(gateway, told):
    """The dead letters of some events, once each has one."""
    def all_dead():
        letters = gateway.weir.admin("GET", "/v1/dead?limit=100")["dead"]
        found = {one["event_id"]: one for one in letters if one["event_id"] in told}
        return found if set(found) == set(told) else None
    return wait_until(all_dead, "the dead letters", 60)


@pytest.mark.parametrize("detail_type, resource, service", [
    ("Lambda", FUNCTION, "lambda"), ("Topic", TOPIC, "sns"), ("FifoTopic", FIFO_TOPIC, "sns")])
def test_an_event_arrives_whole_under_the_accounts_role(gateway, key, detail_type, resource,
                                                        service):
    (event_id,) = put(gateway, key, detail_type)
    ((line,),) = arrived(gateway, [event_id]).values()
    assert (line["service"], line["resource"]) == (service, resource)
    event = json.loads(line["body"])
    assert (event["id"], event["account"]) == (event_id, MEMBER)
    assert (line["role"], line["session"]) == (role_arn(MEMBER), "weir-dispatch")
    assert line["region"] == resource.split(":")[3]


def test_lambda_is_called_asynchronously_by_its_alias(gateway, key):
    ((line,),) = arrived(gateway, put(gateway, key, "Lambda")).values()
    assert (line["asynchronous"], line["qualifier"]) == (True, "live")


def test_each_account_gets_its_own_function(gateway, key):
    keys = {MEMBER: key, OTHER: gateway.weir.issue(OTHER, "sigv4")}
    for one, its_key in keys.items():
        ((line,),) = arrived(gateway, put(gateway, its_key, "OwnLambda")).values()
        assert line["resource"] == OWN_FUNCTION.replace("{account}", one)
        assert line["role"] == role_arn(one)


def test_messages_to_a_topic_share_calls(gateway, key, healed):
    gateway.aws.fault(TOPIC, "delay", count=1, seconds=1)
    lines = [line for (line,) in arrived(gateway, put(gateway, key, "Topic", 40)).values()]
    assert len({line["request"] for line in lines}) <= 20
    assert len(lines) == 40


def test_a_fifo_topic_recognises_what_it_got_before(gateway, key, healed):
    put(gateway, key, "FifoTopic")
    gateway.weir.drain()
    gateway.aws.fault(FIFO_TOPIC, "swallow", count=1)
    told = put(gateway, key, "FifoTopic", 5)
    lines = [line for (line,) in arrived(gateway, told).values()]
    gateway.weir.drain()
    assert {line["group"] for line in lines} == {"one"}
    assert len({line["dedup"] for line in lines}) == 5
    assert any(line["duplicate"] for line in gateway.aws.lines("call"))


@pytest.mark.parametrize("detail_type", list(ARNS))
@pytest.mark.parametrize("mode, more", [
    ("throttle", {"count": 2}),
    ("fail", {"count": 2, "status": 503, "code": "ServiceUnavailable"}),
    ("reset", {"count": 1}),
])
def test_a_target_in_trouble_gets_every_event_in_the_end(gateway, key, healed, detail_type, mode,
                                                         more):
    gateway.aws.fault(ARNS[detail_type], mode, **more)
    arrived(gateway, put(gateway, key, detail_type, 3))
    stats = gateway.weir.drain()
    assert stats["ledger"]["balanced"] is True


def test_entries_of_a_batch_fail_alone(gateway, key, healed):
    gateway.aws.fault(TOPIC, "partial", count=2)
    told = put(gateway, key, "Topic", 20)
    assert all(len(lines) == 1 for lines in arrived(gateway, told).values())


@pytest.mark.parametrize("detail_type", list(ARNS))
@pytest.mark.parametrize("fault, reason", [
    ({"mode": "deny"}, "NO_PERMISSIONS"),
    ({"mode": "fail", "status": 400, "code": "SomethingNobodyKnows"}, "SDK_CLIENT_ERROR"),
])
def test_what_is_refused_for_good_dies_at_once(gateway, key, healed, detail_type, fault, reason):
    gateway.aws.fault(ARNS[detail_type], **fault)
    told = put(gateway, key, detail_type)
    (letter,) = dead(gateway, told).values()
    assert (letter["reason"], letter["attempts"]) == (reason, 1)


@pytest.mark.parametrize("detail_type", list(ARNS))
def test_a_missing_target_is_no_resource(gateway, key, detail_type):
    gateway.aws.control(remove_resources=[ARNS[detail_type]])
    try:
        (letter,) = dead(gateway, put(gateway, key, detail_type)).values()
    finally:
        gateway.aws.control(resources=[ARNS[detail_type]])
    assert letter["reason"] == "NO_RESOURCE"


@pytest.mark.parametrize("target_arn, why", [
    ("arn:aws:lambda:us-east-1:999999999999:triage", "a Lambda ARN is"),
    ("arn:aws:sns:us-east-1:9999:alerts", "an SNS ARN is"),
    ("arn:aws:nosuch:us-east-1:999999999999:x", 'service "nosuch"'),
    ("triage", "is not an ARN"),
])
def test_a_bad_arn_is_refused_with_path_and_reason(gateway, target_arn, why):
    bad = {**CATALOG, "rules": [*CATALOG["rules"], to("Bad", target_arn)]}
    done = gateway.weir.apply(bad, "--dry-run", check=False)
    assert done.returncode == 1
    assert f"rules[{len(CATALOG['rules'])}].targets[0].arn: " in done.stderr
    assert why in done.stderr
