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
MACHINE = arn("states", "stateMachine:Contain")
EXPRESS = arn("states", "stateMachine:ContainExpress")
RUNBOOK = "arn:aws:ssm:us-east-1:{account}:automation-definition/Isolate"
DOCUMENT = arn("ssm", "document/Isolate", MEMBER)
SHARED = arn("ssm", "document/Shared")
BUS = arn("events", "event-bus/partner", OTHER, "eu-west-1")
RESOURCES = [FUNCTION, TOPIC, FIFO_TOPIC, MACHINE, EXPRESS, DOCUMENT, SHARED, BUS,
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
        to("Machine", MACHINE),
        to("Express", EXPRESS + ":live"),
        to("Runbook", RUNBOOK + ":$LATEST", input_transformer={
            "input_paths_map": {"n": "$.detail.n", "id": "$.id"},
            "input_template": '{"InstanceId": <n>, "Events": [<id>], "Hard": true}'}),
        to("Plain", RUNBOOK),
        to("Shared", SHARED, input=json.dumps({
            "Parameters": {"A": "x"}, "TargetLocations": [
                {"Accounts": [MEMBER, OTHER], "Regions": ["us-east-1"],
                 "ExecutionRoleName": "weir-runbook"}]})),
        to("BadInput", RUNBOOK, input_transformer={
            "input_paths_map": {"n": "$.detail.n"}, "input_template": '{"A": {"b": <n>}}'}),
        to("Bus", BUS),
    ],
}
ARNS = {"Lambda": FUNCTION, "Topic": TOPIC, "FifoTopic": FIFO_TOPIC, "Machine": MACHINE,
        "Bus": BUS}


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
    ("Lambda", FUNCTION, "lambda"), ("Topic", TOPIC, "sns"), ("FifoTopic", FIFO_TOPIC, "sns"),
    ("Machine", MACHINE, "states"), ("Express", EXPRESS + ":live", "states")])
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


def test_a_lost_answer_starts_no_second_execution(gateway, key, healed):
    put(gateway, key, "Machine")
    gateway.weir.drain()
    for ended in (False, True):
        gateway.aws.control(executions_end=ended)
        gateway.aws.fault(MACHINE, "swallow", count=1)
        (event_id,) = told = put(gateway, key, "Machine")
        arrived(gateway, told)
        assert gateway.weir.drain()["totals"]["live"] == 0
        lines = [line for line in gateway.aws.lines("call") if event_id in str(line["body"])]
        assert [line["duplicate"] for line in lines] == [False, True]
        assert len({line["name"] for line in lines}) == 1
    gateway.aws.control(executions_end=False)


def test_a_runbook_gets_lists_of_texts_and_a_token(gateway, key, healed):
    (event_id,) = put(gateway, key, "Runbook")
    ((line,),) = arrived(gateway, [event_id]).values()
    detail = json.loads(line["body"])
    assert detail == {"InstanceId": detail["InstanceId"], "Events": [event_id], "Hard": ["true"]}
    assert len(detail["InstanceId"]) == 1
    assert (line["resource"], line["version"], line["role"]) == (
        DOCUMENT, "$LATEST", role_arn(MEMBER))
    assert len(line["params"]["ClientToken"]) == 36


def test_a_lost_answer_starts_no_second_runbook(gateway, key, healed):
    gateway.weir.drain()
    gateway.aws.fault("ssm", "swallow", count=1)
    (event_id,) = put(gateway, key, "Runbook")
    arrived(gateway, [event_id])
    gateway.weir.drain()
    lines = [line for line in gateway.aws.lines("call") if event_id in str(line["body"])]
    assert [line["duplicate"] for line in lines] == [False, True]


def test_a_runbook_without_input_gets_no_parameters(gateway, key):
    before = len(gateway.aws.calls("ssm", DOCUMENT))
    put(gateway, key, "Plain")
    gateway.weir.drain()
    line = gateway.aws.calls("ssm", DOCUMENT)[before]
    assert set(line["params"]) == {"DocumentName", "ClientToken"}


def test_a_shared_runbook_runs_in_many_accounts(gateway, key):
    put(gateway, key, "Shared")
    gateway.weir.drain()
    (line,) = gateway.aws.calls("ssm", SHARED)
    assert line["params"]["Parameters"] == {"A": ["x"]}
    assert line["params"]["TargetLocations"][0]["Accounts"] == [MEMBER, OTHER]


def test_an_input_that_is_no_parameters_dies_at_once(gateway, key):
    (letter,) = dead(gateway, put(gateway, key, "BadInput")).values()
    assert (letter["reason"], letter["attempts"]) == ("invalid-input", 0)


def test_a_bus_gets_the_event_with_a_mark(gateway, key):
    (event_id,) = put(gateway, key, "Bus")
    gateway.weir.drain()
    line = gateway.aws.calls("events", BUS)[-1]
    assert (line["region"], line["role"]) == ("eu-west-1", role_arn(MEMBER))
    entry_sent = line["params"]
    assert (entry_sent["Source"], entry_sent["DetailType"]) == ("com.example.app", "Bus")
    assert entry_sent["Resources"] == ["weir:sent-on:central/bus/target"]
    assert event_id not in json.dumps(entry_sent)


def test_an_event_of_aws_goes_on_whole_and_never_in_a_loop(gateway):
    relay = gateway.weir.issue(MEMBER, "sigv4", forwarder=True)
    client = Boto3(gateway.weir, relay)
    (event_id,) = client.put([entry(source="aws.guardduty", detail_type="Bus")]).event_ids
    gateway.weir.drain()
    line = gateway.aws.calls("events", BUS)[-1]
    assert line["params"]["Source"] == "weir.aws.guardduty"
    original = json.loads(line["body"])["original"]
    assert (original["id"], original["source"]) == (event_id, "aws.guardduty")
    # The partner's bus forwards all it gets, and so the event comes back under another id.
    (again,) = client.put([entry(source="weir.aws.guardduty", detail_type="Bus",
                                 Resources=line["params"]["Resources"])]).event_ids
    (letter,) = dead(gateway, [again]).values()
    assert (letter["reason"], letter["attempts"]) == ("loop", 0)


@pytest.mark.parametrize("detail_type", [one for one in ARNS if one != "Bus"])
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


def test_entries_for_a_bus_fail_alone(gateway, key, healed):
    gateway.weir.drain()
    before = len(gateway.aws.calls("events", BUS))
    gateway.aws.fault(BUS, "delay", count=1, seconds=1)
    put(gateway, key, "Bus")
    gateway.aws.fault(BUS, "partial", count=2)
    put(gateway, key, "Bus", 19)
    stats = gateway.weir.drain()
    lines = gateway.aws.calls("events", BUS)[before:]
    assert len(lines) == 20 and stats["ledger"]["balanced"] is True
    assert len({line["body"] for line in lines}) == 20


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


@pytest.mark.parametrize("detail_type", [one for one in ARNS if one != "Bus"])
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
    ("arn:aws:states:us-east-1:999999999999:activity:a", "a Step Functions ARN is"),
    ("arn:aws:ssm:us-east-1:999999999999:parameter/a", "an ARN of an Automation runbook is"),
    ("arn:aws:events:us-east-1:999999999999:rule/a", "an ARN of a bus is"),
    ("arn:aws:nosuch:us-east-1:999999999999:x", 'service "nosuch"'),
    ("triage", "is not an ARN"),
])
def test_a_bad_arn_is_refused_with_path_and_reason(gateway, target_arn, why):
    bad = {**CATALOG, "rules": [*CATALOG["rules"], to("Bad", target_arn)]}
    done = gateway.weir.apply(bad, "--dry-run", check=False)
    assert done.returncode == 1
    assert f"rules[{len(CATALOG['rules'])}].targets[0].arn: " in done.stderr
    assert why in done.stderr
