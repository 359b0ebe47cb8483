# SPDX-License-Identifier: Apache-2.0
"""The EventBridge API configures weir: by boto3, the AWS CLI and the JavaScript SDK, unmodified."""

import json
import uuid

import botocore.exceptions
import pytest
from catalogs import MEMBER, OTHER, account, entry, queue_arn, role_arn, rule, target
from clients import AwsCli, Curl, JavaScript, session_client
from weir import CENTRAL, REGION, wait_until

PATTERN = {"detail-type": ["Pong"], "detail": {"severity": [{"numeric": [">=", 7]}]}}
OWN_QUEUE = queue_arn("own", MEMBER)


def bus_arn(name, owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:event-bus/{name}"


def rule_arn(path, owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:rule/{path}"


@pytest.fixture(scope="module")
def gateway(gateway_in, tmp_path_factory):
    catalog = {
        "accounts": [account(MEMBER), account(OTHER), account(CENTRAL)],
        "rules": [rule("everything", {"source": [{"prefix": ""}]}, target("findings"))],
    }
    with gateway_in(tmp_path_factory.mktemp("gateway"), catalog,
                    queues=[OWN_QUEUE]) as running:
        yield running


@pytest.fixture(scope="module")
def api(weir, key):
    return session_client(weir, key)


@pytest.fixture(scope="module")
def other(weir):
    return session_client(weir, weir.issue(OTHER, "sigv4"))


@pytest.fixture(scope="module")
def operator(weir):
    return session_client(weir, weir.issue(CENTRAL, "sigv4", "--operator"))


@pytest.fixture
def name():
    return f"rule-{uuid.uuid4().hex[:12]}"


def refused(code, call, **arguments):
    """The message of the error that a call must end in."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    return error["Error"]["Message"]


def test_a_rule_made_by_boto3_routes_the_next_event(gateway, api, name):
    answer = api.put_rule(Name=name, EventPattern=json.dumps(PATTERN), Description="severe pongs")
    assert answer["RuleArn"] == rule_arn(name)
    answer = api.put_targets(Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])
    sent = api.put_events(Entries=[
        entry(detail_type="Pong", detail=json.dumps({"severity": 8, "name": name})),
        entry(detail_type="Pong", detail=json.dumps({"severity": 2, "name": name}))])
    severe, mild = [one["EventId"] for one in sent["Entries"]]
    (message,) = wait_until(lambda: gateway.arrived(severe, OWN_QUEUE), "the severe one arrived")
    assert message["role"] == role_arn(MEMBER)
    wait_until(lambda: gateway.arrived(mild, queue_arn("findings")), "the mild one went centrally")
    gateway.weir.drain()
    assert gateway.arrived(mild, OWN_QUEUE) == []


def test_what_was_put_is_described_and_listed(api, name):
    text = json.dumps(PATTERN, indent=1)
    api.put_rule(Name=name, EventPattern=text, RoleArn=role_arn(MEMBER),
                 Tags=[{"Key": "team", "Value": "blue"}])
    described = api.describe_rule(Name=name)
    described.pop("ResponseMetadata")
    assert described == {
        "Name": name, "Arn": rule_arn(name), "EventPattern": text, "State": "ENABLED",
        "RoleArn": role_arn(MEMBER), "EventBusName": "default", "CreatedBy": MEMBER}
    (listed,) = api.list_rules(NamePrefix=name)["Rules"]
    described.pop("CreatedBy")
    assert listed == described
    assert api.list_tags_for_resource(ResourceARN=rule_arn(name))["Tags"] == [
        {"Key": "team", "Value": "blue"}]


def test_putting_a_rule_again_replaces_all_but_targets_and_tags(api, name):
    api.put_rule(Name=name, EventPattern=json.dumps(PATTERN), Description="first",
                 Tags=[{"Key": "a", "Value": "1"}])
    api.put_targets(Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])
    api.put_rule(Name=name, EventPattern='{"source":["b"]}', State="DISABLED",
                 Tags=[{"Key": "a", "Value": "2"}])
    described = api.describe_rule(Name=name)
    assert (described["EventPattern"], described["State"]) == ('{"source":["b"]}', "DISABLED")
    assert "Description" not in described
    assert [one["Id"] for one in api.list_targets_by_rule(Rule=name)["Targets"]] == ["own"]
    assert api.list_tags_for_resource(ResourceARN=rule_arn(name))["Tags"] == [
        {"Key": "a", "Value": "1"}]


def test_a_disabled_rule_matches_nothing_until_it_is_enabled(gateway, api, name):
    api.put_rule(Name=name, EventPattern=json.dumps({"detail": {"name": [name]}}))
    api.put_targets(Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])

    def send():
        return api.put_events(Entries=[entry(detail=json.dumps({"name": name}))]
                              )["Entries"][0]["EventId"]

    api.disable_rule(Name=name)
    missed = send()
    api.enable_rule(Name=name)
    seen = send()
    wait_until(lambda: gateway.arrived(seen, OWN_QUEUE), "the second arrived")
    wait_until(lambda: gateway.arrived(missed, queue_arn("findings")), "the first went centrally")
    gateway.weir.drain()
    assert gateway.arrived(missed, OWN_QUEUE) == []


def test_targets_are_updated_in_place_listed_in_pages_and_removed(api, name):
    api.put_rule(Name=name, EventPattern=json.dumps(PATTERN))
    ids = [f"t{i}" for i in range(5)]
    api.put_targets(Rule=name, Targets=[{"Id": one, "Arn": OWN_QUEUE} for one in ids])
    assert refused("LimitExceededException", api.put_targets, Rule=name,
                   Targets=[{"Id": "one-more", "Arn": OWN_QUEUE}]) == (
        "The requested resource exceeds the maximum number allowed.")
    policy = {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}
    api.put_targets(Rule=name, Targets=[{"Id": "t1", "Arn": OWN_QUEUE, "RetryPolicy": policy}])
    pages = list(api.get_paginator("list_targets_by_rule").paginate(
        Rule=name, PaginationConfig={"PageSize": 2})) if api.can_paginate(
            "list_targets_by_rule") else [api.list_targets_by_rule(Rule=name)]
    targets = [one for page in pages for one in page["Targets"]]
    assert [one["Id"] for one in targets] == ids
    assert targets[1] == {"Id": "t1", "Arn": OWN_QUEUE, "RetryPolicy": policy}
    assert name in api.list_rule_names_by_target(TargetArn=OWN_QUEUE)["RuleNames"]
    assert refused("ValidationException", api.delete_rule, Name=name) == (
        "Rule can't be deleted since it has targets.")
    api.remove_targets(Rule=name, Ids=[*ids, "unknown"])
    assert api.list_targets_by_rule(Rule=name)["Targets"] == []
    api.delete_rule(Name=name)
    api.delete_rule(Name=name)
    assert refused("ResourceNotFoundException", api.describe_rule, Name=name) == (
        f"Rule {name} does not exist on EventBus default.")


def test_a_transformed_input_is_kept_and_delivered(gateway, api, name):
    transformer = {"InputPathsMap": {"theName": "$.detail.name"},
                   "InputTemplate": '{"heard": <theName>}'}
    api.put_rule(Name=name, EventPattern=json.dumps({"detail": {"name": [name]}}))
    target = {"Id": "own", "Arn": OWN_QUEUE, "InputTransformer": transformer}
    api.put_targets(Rule=name, Targets=[target])
    assert api.list_targets_by_rule(Rule=name)["Targets"] == [target]
    api.put_events(Entries=[entry(detail=json.dumps({"name": name}))])
    wait_until(lambda: [one for one in gateway.aws.messages(OWN_QUEUE)
                        if one["body"] == f'{{"heard": "{name}"}}'], "the input arrived")


def test_long_lists_come_in_pages(api):
    api.create_event_bus(Name="pages")
    names = [f"page-{i:02}" for i in range(7)]
    for one in names:
        api.put_rule(Name=one, EventBusName="pages", EventPattern='{"source":["x"]}')
    seen, token, pages = [], None, 0
    while True:
        more = {"NextToken": token} if token else {}
        page = api.list_rules(EventBusName="pages", Limit=3, **more)
        seen += [one["Name"] for one in page["Rules"]]
        pages += 1
        token = page.get("NextToken")
        if token is None:
            break
    assert (seen, pages) == (names, 3)
    refused("InvalidToken", api.list_rules, EventBusName="pages", NextToken="bm9uZQ==")


def test_a_bus_of_ones_own(gateway, api):
    assert api.create_event_bus(Name="team", Tags=[{"Key": "a", "Value": "1"}])[
        "EventBusArn"] == bus_arn("team")
    assert refused("ResourceAlreadyExistsException", api.create_event_bus, Name="team") == (
        "Event bus team already exists.")
    assert refused("ResourceAlreadyExistsException", api.create_event_bus, Name="default")
    assert api.describe_event_bus(Name="team")["Arn"] == bus_arn("team")
    assert api.list_tags_for_resource(ResourceARN=bus_arn("team"))["Tags"] == [
        {"Key": "a", "Value": "1"}]
    assert {"default", "team"} <= {one["Name"] for one in api.list_event_buses()["EventBuses"]}
    arn = api.put_rule(Name="on-team", EventBusName=bus_arn("team"),
                       EventPattern='{"source":[{"prefix":"com."}]}')["RuleArn"]
    assert arn == rule_arn("team/on-team")
    api.put_targets(Rule="on-team", EventBusName="team", Targets=[{"Id": "own", "Arn": OWN_QUEUE}])
    (event_id,) = [one["EventId"] for one in api.put_events(
        Entries=[entry(EventBusName="team")])["Entries"]]
    wait_until(lambda: gateway.arrived(event_id, OWN_QUEUE), "it arrived by the bus's rule")
    assert "has rules" in refused("ValidationException", api.delete_event_bus, Name="team")
    api.remove_targets(Rule="on-team", EventBusName="team", Ids=["own"])
    api.delete_rule(Name="on-team", EventBusName="team")
    api.delete_event_bus(Name="team")
    api.delete_event_bus(Name="team")
    assert refused("ResourceNotFoundException", api.describe_event_bus, Name="team") == (
        "Event bus team does not exist.")
    assert refused("ValidationException", api.delete_event_bus, Name="default") == (
        "Cannot delete event bus default.")
    assert refused("ResourceNotFoundException", api.put_rule, Name="x", EventBusName="team",
                   EventPattern='{"source":["x"]}') == "Event bus team does not exist."


def test_tags_of_rules_and_buses(api, name):
    api.put_rule(Name=name, EventPattern='{"source":["x"]}')
    for arn in (rule_arn(name), bus_arn("default")):
        api.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"},
                                                {"Key": "b", "Value": ""}])
        api.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}])
        api.untag_resource(ResourceARN=arn, TagKeys=["b", "absent"])
        assert api.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "2"}]
    refused("ResourceNotFoundException", api.list_tags_for_resource,
            ResourceARN=rule_arn("no-such-rule"))
    refused("ValidationException", api.list_tags_for_resource, ResourceARN="arn:aws:s3:::bucket")


def test_a_pattern_is_tried_against_an_event(api):
    event = {"id": "1", "account": MEMBER, "source": "s", "time": "2026-01-01T00:00:00Z",
             "region": REGION, "detail-type": "Pong", "resources": [], "detail": {"severity": 9}}
    text = json.dumps(PATTERN)
    assert api.test_event_pattern(EventPattern=text, Event=json.dumps(event))["Result"] is True
    mild = {**event, "detail": {"severity": 1}}
    assert api.test_event_pattern(EventPattern=text, Event=json.dumps(mild))["Result"] is False
    event.pop("region")
    for bad in (json.dumps(event), "[]", "{"):
        assert refused("ValidationException", api.test_event_pattern, EventPattern=text,
                       Event=bad) == "Parameter Event is not valid."
    assert refused("InvalidEventPatternException", api.test_event_pattern,
                   EventPattern='{"a":[]}', Event="{}").startswith(
        "Event pattern is not valid. Reason: Empty arrays are not allowed")


@pytest.mark.parametrize("arguments, code, message", [
    ({"Name": "a b", "EventPattern": "{}"}, "ValidationException",
     "1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: "
     "Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"),
    ({"Name": "x" * 65, "State": "ON"}, "ValidationException",
     "2 validation errors detected: Value '" + "x" * 65 + "' at 'name' failed to satisfy "
     "constraint: Member must have length less than or equal to 64; Value 'ON' at 'state' failed "
     "to satisfy constraint: Member must satisfy enum value set: [ENABLED, DISABLED, "
     "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]"),
    ({}, "ValidationException",
     "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must "
     "not be null"),
    ({"Name": "x"}, "ValidationException",
     "Parameter(s) EventPattern or ScheduleExpression must be specified."),
    ({"Name": "x", "EventPattern": '{"a":[{"nope":1}]}'}, "InvalidEventPatternException",
     "Event pattern is not valid. Reason: Unrecognized match type nope\n at [Source: "
     '(String)"{"a":[{"nope":1}]}"; line: 1, column: 16]'),
])
def test_what_is_wrong_with_a_rule_is_said(api, arguments, code, message):
    assert refused(code, api.put_rule, **arguments) == message


@pytest.mark.parametrize("change, part", [
    ({"Arn": "nonsense"}, "Parameter targets[0].arn is not valid. Reason: is not an ARN"),
    ({"Arn": queue_arn("findings", OTHER)}, "it must be of account " + MEMBER),
    ({"RoleArn": role_arn(OTHER)}, "it must be of account " + MEMBER),
    ({"DeadLetterConfig": {"Arn": queue_arn("dead", OTHER)}}, "it must be of account " + MEMBER),
    ({"InputTransformer": {"InputTemplate": "<x>", "InputPathsMap": {"a" * 94 + "é": "$.x"}}},
     "targets[0].input_transformer.input_paths_map."),
    ({"SqsParameters": {"MessageGroupId": "g"}}, "message_group_id is for FIFO queues"),
    ({"Id": "a b"}, "'targets.1.member.id' failed to satisfy constraint"),
    ({"RetryPolicy": {"MaximumEventAgeInSeconds": 1}},
     "'targets.1.member.retryPolicy.maximumEventAgeInSeconds' failed to satisfy constraint"),
])
def test_what_is_wrong_with_a_target_is_said(api, name, change, part):
    api.put_rule(Name=name, EventPattern='{"source":["x"]}')
    good = {"Id": "own", "Arn": OWN_QUEUE}
    assert part in refused("ValidationException", api.put_targets, Rule=name,
                           Targets=[{**good, **change}])
    assert api.list_targets_by_rule(Rule=name)["Targets"] == []


def test_control_bytes_and_long_words_are_answered(weir, api, key, name):
    api.put_rule(Name=name, EventPattern='{"source":["x"]}')
    curl = Curl(weir, key)
    for target in ({"Id": "ok", "Arn": queue_arn("q", OTHER), "id": "\u0001" * 4000},
                   {"Id": "ok", "Arn": "\u0001" * 1600},
                   {"Id": "ok", "Arn": "é" * 1599},
                   {"Id": "ok", "Arn": f"arn:aws:{'a' * 63}é:us-east-1:{MEMBER}:x"}):
        answer = curl.call("PutTargets", {"Rule": name, "Targets": [target]})
        assert (answer.status, answer.json["__type"]) == (400, "ValidationException")
    assert api.describe_rule(Name=name)["Name"] == name


def test_whose_a_rule_is_it_stays(weir, api, operator, name):
    api.put_rule(Name=name, EventPattern='{"source":["x"]}')
    api.put_targets(Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])
    bus = bus_arn("default")
    refused("ManagedRuleException", operator.remove_targets, Rule=name, EventBusName=bus,
            Ids=["own"])
    operator.remove_targets(Rule=name, EventBusName=bus, Ids=["own"], Force=True)
    assert api.list_targets_by_rule(Rule=name)["Targets"] == []
    api.put_targets(Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])


def test_nobody_manages_what_is_anothers(weir, api, other, operator, name):
    api.put_rule(Name=name, EventPattern='{"source":["x"]}')
    before = weir.export()
    for call, arguments in [
        (other.put_rule, {"Name": name, "EventPattern": '{"source":["y"]}'}),
        (other.describe_rule, {"Name": name}),
        (other.list_rules, {}),
        (other.disable_rule, {"Name": name}),
        (other.delete_rule, {"Name": name}),
        (other.put_targets, {"Rule": name, "Targets": [{"Id": "a", "Arn": OWN_QUEUE}]}),
        (other.remove_targets, {"Rule": name, "Ids": ["a"]}),
        (other.list_targets_by_rule, {"Rule": name}),
        (other.list_rule_names_by_target, {"TargetArn": OWN_QUEUE}),
    ]:
        assert bus_arn("default") in refused("AccessDeniedException", call,
                                             EventBusName=bus_arn("default"), **arguments)
    for call, more in [(other.tag_resource, {"Tags": [{"Key": "k", "Value": "v"}]}),
                       (other.untag_resource, {"TagKeys": ["k"]}),
                       (other.list_tags_for_resource, {})]:
        refused("AccessDeniedException", call, ResourceARN=rule_arn(name), **more)
    refused("AccessDeniedException", other.describe_event_bus, Name=bus_arn("default"))
    refused("AccessDeniedException", api.put_rule, Name="x", EventPattern='{"source":["x"]}',
            EventBusName=bus_arn("central", CENTRAL))
    assert weir.export() == before
    assert operator.describe_rule(Name=name, EventBusName=bus_arn("default"))["Name"] == name


def test_an_operator_manages_the_central_bus(gateway, operator, api, name):
    assert "central" in {one["Name"] for one in operator.list_event_buses()["EventBuses"]}
    answer = operator.put_rule(Name=name, EventBusName="central",
                               EventPattern=json.dumps({"detail": {"name": [name]}}))
    assert answer["RuleArn"] == rule_arn(f"central/{name}", CENTRAL)
    operator.put_targets(Rule=name, EventBusName="central",
                         Targets=[{"Id": "findings", "Arn": queue_arn("findings")}])
    (event_id,) = [one["EventId"] for one in api.put_events(
        Entries=[entry(detail=json.dumps({"name": name}))])["Entries"]]
    wait_until(lambda: len(gateway.arrived(event_id)) == 2, "both central rules sent it")


def test_what_a_file_manages_is_changed_by_the_file_alone(weir, operator):
    listed = {one["Name"]: one for one in operator.list_rules(EventBusName="central")["Rules"]}
    assert listed["everything"]["ManagedBy"] == "apply:default"
    assert refused("ManagedRuleException", operator.disable_rule, Name="everything",
                   EventBusName="central") == "Rule everything is managed by apply:default."
    refused("ManagedRuleException", operator.remove_targets, Rule="everything",
            EventBusName="central", Ids=["findings"])


def test_rules_of_the_api_are_exported_and_left_alone_by_a_file(weir, api, name):
    api.put_rule(Name=name, EventPattern=json.dumps(PATTERN))
    exported = [one for one in weir.export()["rules"] if one["name"] == name]
    assert exported[0]["bus"] == f"{MEMBER}/default"
    weir.apply({"rules": [rule("everything", {"source": [{"prefix": ""}]}, target("findings"))]})
    assert api.describe_rule(Name=name)["Name"] == name


def test_the_aws_cli_configures_and_feeds_it(gateway, weir, key, name):
    cli = AwsCli(weir, key)

    def events(*arguments):
        done = cli.run("events", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    arn = events("put-rule", "--name", name, "--event-pattern",
                 json.dumps({"detail": {"name": [name]}}))["RuleArn"]
    assert arn == rule_arn(name)
    assert events("put-targets", "--rule", name, "--targets", f"Id=own,Arn={OWN_QUEUE}")[
        "FailedEntryCount"] == 0
    assert events("list-targets-by-rule", "--rule", name)["Targets"] == [
        {"Id": "own", "Arn": OWN_QUEUE}]
    (event_id,) = cli.put([entry(detail=json.dumps({"name": name}))]).event_ids
    wait_until(lambda: gateway.arrived(event_id, OWN_QUEUE), "the event arrived")
    events("remove-targets", "--rule", name, "--ids", "own")
    events("delete-rule", "--name", name)
    assert events("list-rules", "--name-prefix", name)["Rules"] == []


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_the_javascript_sdk_configures_it(weir, key, version):
    name = f"js-{version}"
    api = JavaScript(weir, key, version)
    assert api.call("PutRule", Name=name, EventPattern=json.dumps(PATTERN))["RuleArn"] == (
        rule_arn(name))
    assert api.call("PutTargets", Rule=name, Targets=[{"Id": "own", "Arn": OWN_QUEUE}])[
        "FailedEntryCount"] == 0
    assert api.call("DescribeRule", Name=name)["State"] == "ENABLED"
    assert api.call("CreateEventBus", Name=name, Description="ours")["Description"] == "ours"
    assert api.call("UpdateEventBus", Name=name, Description="theirs")["Arn"] == bus_arn(name)
    assert api.call("DescribeEventBus", Name=name)["Description"] == "theirs"
    error = api.call("DescribeRule", Name="absent")
    assert error["error"]["code"] == "ResourceNotFoundException"
