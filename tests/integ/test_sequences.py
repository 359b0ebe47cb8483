# SPDX-License-Identifier: Apache-2.0
"""Sequences: a target of several steps, each with its own call and role, that pass results on,
survive a kill between two of them, and go on or stop where one fails."""

import json
from pathlib import Path

import pytest
from catalogs import MEMBER, arn, entry, queue_arn, role_arn, rule, account
from clients import Boto3
from weir import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/examples/credential-exfiltration"
TOPIC = arn("sns", "responders")
FUNCTION = arn("lambda", "function:enrich")
TAGS = {"Tags": [{"Key": "Name", "Value": "n", "ResourceId": "i", "ResourceType": "instance"},
                 {"Key": "Owner", "Value": "team-a", "ResourceId": "i", "ResourceType": "instance"}]}
FINDING = {"Id": "f", "ProductArn": "p"}
ANSWERS = {
    "ec2:DescribeTags": {"Tags": [{"Key": "Owner", "Value": "team-a", "ResourceId": "i-0abc",
                                   "ResourceType": "instance"}]},
    "securityhub:BatchUpdateFindings": {"ProcessedFindings": [FINDING], "UnprocessedFindings": []},
}


def step(name, target, **more):
    return {"name": name, "target": target, **more}


def queue_step(name, queue, **more):
    return step(name, {"arn": queue_arn(queue)}, **more)


def steps_of(*steps, name="steps", detail_type="Steps"):
    return rule(name, {"detail-type": [detail_type]}, {"id": "seq", "steps": list(steps)})


FIRST, SECOND, THIRD = (queue_step(name, f"q-{name}") for name in ("first", "second", "third"))
TEMPLATED = {"arn": queue_arn("q-second"), "input_transformer": {
    "input_paths_map": {"id": "$.id", "sent": "$.steps.first.sent"},
    "input_template": '{"id": <id>, "sent": <sent>}'}}
KEPT = {"arn": queue_arn("q-first"), "input_transformer": {
    "input_paths_map": {"owner": "$.steps.tags.owner", "all": "$.steps.tags.all",
                        "none": "$.steps.tags.none", "function": "$.steps.function.sum"},
    "input_template": '{"owner": "<owner>", "all": "<all>", "none": "<none>", "sum": <function>}'}}
CATALOG = {"accounts": [account(MEMBER)], "rules": [
    steps_of(
        step("tags", {"arn": "arn:aws:scheduler:::aws-sdk:ec2:describeTags", "input": "{}"},
             keep={"owner": {"path": "$.tagSet", "where": {"key": ["Owner"]}, "take": "$.value"},
                   "all": {"path": "$.tagSet[*].key", "as": "text"},
                   "none": {"path": "$.tagSet", "where": {"key": ["None"]}, "take": "$.value"}}),
        step("function", {"arn": FUNCTION}, keep={"sum": "$.sum"}),
        step("last", KEPT), name="kept", detail_type="Kept"),
    steps_of(
        step("import", {"arn": "arn:aws:scheduler:::aws-sdk:securityhub:batchImportFindings",
                        "input": '{"Findings": []}'}, on_failure="continue"),
        queue_step("second", "q-second", when={"steps": {"import": {"error": {"reason": [
            "SDK_CLIENT_ERROR"]}}}}), name="undone", detail_type="Undone"),
    steps_of(FIRST, SECOND, THIRD),
    steps_of({**FIRST, "keep": {"sent": "$.MessageId"}},
             step("passed", {"arn": queue_arn("q-third")},
                  when={"event": {"detail": {"wants": [{"exists": True}]}}}),
             step("second", TEMPLATED, when={"steps": {"first": {"sent": [{"prefix": ""}]}}}),
             name="results", detail_type="Results"),
    steps_of(queue_step("first", "q-broken", on_failure="continue",
                        retry={"maximum_event_age_in_seconds": 1}),
             step("second", {"arn": queue_arn("q-second")},
                  when={"steps": {"first": {"error": {"reason": [{"exists": True}]}}}}),
             name="goes-on", detail_type="GoesOn"),
    steps_of(FIRST, queue_step("second", "q-missing"), THIRD, name="stops", detail_type="Stops"),
]}
QUEUES = [queue_arn(f"q-{name}") for name in ("first", "second", "third", "broken")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("sequences"), CATALOG, queues=QUEUES,
                    resources=[FUNCTION]) as running:
        yield running


def put(gateway, key, detail_type, **more):
    (event_id,) = Boto3(gateway.weir, key).put([entry(detail_type=detail_type, **more)]).event_ids
    return event_id


def arrived(gateway, event_id, name, count=1):
    def there():
        lines = gateway.arrived(event_id, queue_arn(f"q-{name}"))
        return lines if len(lines) >= count else None
    return wait_until(there, f"{event_id} at {name}", 60)


def letter_of(gateway, event_id):
    def there():
        letters = gateway.weir.admin("GET", "/v1/dead?limit=100")["dead"]
        return next((one for one in letters if one["event_id"] == event_id), None)
    return wait_until(there, "the dead letter", 60)


def trace_of(gateway, event_id):
    return [(line["step"], line.get("sequence_step"))
            for line in gateway.weir.admin("GET", f"/v1/trace/{event_id}")["steps"]]


def test_steps_are_called_in_order_and_shown(gateway, key):
    event_id = put(gateway, key, "Steps")
    lines = [arrived(gateway, event_id, name) for name in ("first", "second", "third")]
    assert [len(one) for one in lines] == [1, 1, 1]
    gateway.weir.drain()
    steps = trace_of(gateway, event_id)
    marks = [steps.index(one) for one in (("step_done", "first"), ("step_done", "second"),
                                          ("delivered", "third"))]
    assert marks == sorted(marks)
    stats = gateway.weir.stats()
    assert stats["ledger"]["balanced"] is True
    assert stats["rules"]["central/steps"]["steps_done"] == 2
    assert stats["rules"]["central/steps"]["delivered"] == 1


def test_results_are_kept_and_decide(gateway, key):
    event_id = put(gateway, key, "Results")
    (first,) = arrived(gateway, event_id, "first")
    (second,) = arrived(gateway, event_id, "second")
    assert json.loads(second["body"]) == {"id": event_id, "sent": first["message_id"]}
    gateway.weir.drain()
    assert not gateway.arrived(event_id, queue_arn("q-third"))  # its `when` did not hold


def test_lists_are_searched_and_a_function_is_waited_for(gateway, key):
    """XML's lists by the model, one element by a pattern, a list as text; and a Lambda function whose
    result is kept is called with RequestResponse, while others are called asynchronously."""
    gateway.aws.control(answers={"ec2:DescribeTags": TAGS,
                                 "lambda:Invoke": {"Payload": '{"sum": 7}'}})
    event_id = put(gateway, key, "Kept")
    line = wait_until(lambda: next((one for one in gateway.aws.messages(queue_arn("q-first"))
                                    if '"team-a"' in one["body"]), None), "what was kept", 60)
    assert json.loads(line["body"]) == {"owner": "team-a", "all": '["Name","Owner"]', "none": "",
                                        "sum": 7}
    (call,) = [one for one in gateway.aws.calls() if one["service"] == "lambda"]
    assert call["asynchronous"] is False and json.loads(call["body"])["id"] == event_id
    gateway.weir.drain()


def test_what_a_call_did_not_do_is_a_failure_of_its_step(gateway, key):
    gateway.aws.control(answers={"securityhub:BatchImportFindings": {
        "FailedCount": 1, "SuccessCount": 0, "FailedFindings": [
            {"Id": "f", "ErrorCode": "InvalidInput", "ErrorMessage": "no such type"}]}})
    event_id = put(gateway, key, "Undone")
    arrived(gateway, event_id, "second")
    gateway.weir.drain()
    assert ("step_failed", "import") in trace_of(gateway, event_id)


def test_a_failure_that_may_be_gone_on_from_is_noted(gateway, key):
    gateway.aws.fault(queue_arn("q-broken"), "fail")
    event_id = put(gateway, key, "GoesOn")
    arrived(gateway, event_id, "second")  # only when the first one's error is there to be seen
    gateway.weir.drain()
    assert ("step_failed", "first") in trace_of(gateway, event_id)
    gateway.aws.heal()


def test_a_failure_stops_and_redrive_resumes_there(gateway, key):
    event_id = put(gateway, key, "Stops")
    letter = letter_of(gateway, event_id)
    assert (letter["reason"], letter["step"]) == ("NO_RESOURCE", "second")
    assert letter["message"].startswith("step second: ")
    gateway.aws.control(queues=[queue_arn("q-missing")])
    gateway.weir.cli("dead", "redrive", "--rule", "stops")
    arrived(gateway, event_id, "missing")
    arrived(gateway, event_id, "third")
    gateway.weir.drain()
    assert len(gateway.arrived(event_id, queue_arn("q-first"))) == 1  # what was done stays done


def test_a_kill_between_two_steps_resumes_at_the_one_reached(gateway, key):
    gateway.aws.fault(queue_arn("q-second"), "fail")
    told = Boto3(gateway.weir, key).put([entry(detail_type="Steps") for _ in range(5)]).event_ids
    for event_id in told:
        arrived(gateway, event_id, "first")
        wait_until(lambda one=event_id: ("step_done", "first") in trace_of(gateway, one),
                   "the first step, durable", 60)
    gateway.weir.kill9()
    gateway.aws.heal()
    gateway.weir.start()
    for event_id in told:
        arrived(gateway, event_id, "third")
        assert len(gateway.arrived(event_id, queue_arn("q-first"))) == 1
    assert gateway.weir.drain()["ledger"]["balanced"] is True


def test_an_export_is_what_was_applied(gateway):
    exported = {one["name"]: one for one in gateway.weir.export()["rules"]}
    for wanted in CATALOG["rules"]:
        assert exported[wanted["name"]]["targets"] == wanted["targets"]


@pytest.mark.parametrize("steps, place, why", [
    ([], ".steps", "must have 1 to 16 steps"),
    ([step("a.b", {"arn": queue_arn("q")})], ".steps[0].name", "must consist of"),
    ([FIRST, FIRST], ".steps[1]", "a second time"),
    ([step("a", {"arn": "none"})], ".steps[0].target.arn", "is not an ARN"),
    ([step("a", {"arn": queue_arn("q"), "input_path": "$.steps.later.x"})],
     ".steps[0].target.input_path", "no step later before"),
    ([step("a", {"arn": queue_arn("q")}, keep="no path")], ".steps[0].keep", ""),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": 1})], ".steps[0].keep.x", "must be a path"),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": {"as": "text"}})], ".steps[0].keep.x",
     "path is required"),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": {"path": "$.x", "where": {"k": 1}}})],
     ".steps[0].keep.x.where", "not valid"),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": {"path": "$.x", "take": "x"}})],
     ".steps[0].keep.x.take", ""),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": {"path": "$.x", "as": "list"}})],
     ".steps[0].keep.x.as", "must be text"),
    ([step("a", {"arn": queue_arn("q")}, keep={"x": {"path": "$.x", "if": 1}})],
     ".steps[0].keep.x.if", "not known"),
    ([step("a", {"arn": "arn:aws:scheduler:::aws-sdk:iam:putRolePolicy", "input": '{"Role": "r"}'})],
     ".steps[0].target.input", "Role"),
    ([step("a", {"arn": queue_arn("q")}, when={"event": []})], ".steps[0].when", "not valid"),
    ([step("a", {"arn": queue_arn("q")}, on_failure="hope")], ".steps[0].on_failure", "stop or"),
    ([step("a", {"arn": queue_arn("q")}, retry={"maximum_event_age_in_seconds": 0})],
     ".steps[0].retry.maximum_event_age_in_seconds", "at least 1"),
])
def test_mistakes_are_told_with_their_path(gateway, steps, place, why):
    done = gateway.weir.apply({"rules": [steps_of(*steps, name="bad")]}, "--dry-run", check=False)
    assert done.returncode == 1
    assert f"rules[0].targets[0]{place}: " in done.stderr and why in done.stderr


def test_what_belongs_to_a_step_is_refused_beside_steps(gateway):
    bad = steps_of(FIRST, name="bad")
    bad["targets"][0]["arn"] = queue_arn("q")
    done = gateway.weir.apply({"rules": [bad]}, "--dry-run", check=False)
    assert "rules[0].targets[0].arn: belongs to a step" in done.stderr


# ---- the response to exfiltrated credentials


@pytest.fixture(scope="module")
def responder(tmp_path_factory, gateway_in):
    catalog = json.loads((EXAMPLE / "catalog.json").read_text())
    with gateway_in(tmp_path_factory.mktemp("responder"), catalog, resources=[TOPIC]) as running:
        running.aws.control(answers=ANSWERS)
        yield running


def respond(gateway, timeout_s=60):
    """Send the finding; the calls it led to once containment and status are there."""
    key = gateway.weir.issue(MEMBER, "sigv4", forwarder=True)
    event = json.loads((EXAMPLE / "event.json").read_text())
    before = len(gateway.aws.calls())
    Boto3(gateway.weir, key).put([entry(source=event["source"], detail_type=event["detail-type"],
                                        detail=json.dumps(event["detail"]))])

    def ended():
        calls = [line for line in gateway.aws.calls()[before:] if line["service"] != "sts"]
        done = any(line["service"] == "iam" for line in calls) and any(
            "Workflow" in line["params"] for line in calls if line["service"] == "securityhub")
        return calls if done else None
    return wait_until(ended, "containment", timeout_s)


def test_context_and_notice_come_before_containment(responder):
    calls = respond(responder)
    assert [(line["service"], line["action"]) for line in calls] == [
        ("ec2", "DescribeTags"), ("ec2", "DescribeTags"), ("securityhub", "BatchUpdateFindings"),
        ("sns", "Publish"), ("iam", "PutRolePolicy"), ("securityhub", "BatchUpdateFindings")]
    assert {line["role"] for line in calls} == {role_arn(MEMBER)}
    assert "owner team-a" in calls[2]["params"]["Note"]["Text"]
    assert calls[4]["params"]["RoleName"] == "web"
    statement = json.loads(calls[4]["params"]["PolicyDocument"])["Statement"][0]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "*", "*")
    assert calls[5]["params"]["Workflow"] == {"Status": "NOTIFIED"}


def test_a_dead_topic_does_not_hold_containment(responder):
    catalog = json.loads((EXAMPLE / "catalog.json").read_text())
    for one in catalog["rules"][0]["targets"][0]["steps"]:
        if one["name"] == "notify":
            one["retry"] = {"maximum_event_age_in_seconds": 1}  # else it is waited for longer
    responder.weir.apply(catalog)
    responder.aws.fault(TOPIC, "fail")
    calls = respond(responder)
    assert "sns" not in [line["service"] for line in calls]
    assert [line["action"] for line in calls][-2:] == ["PutRolePolicy", "BatchUpdateFindings"]
