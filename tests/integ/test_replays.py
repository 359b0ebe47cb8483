# SPDX-License-Identifier: Apache-2.0
"""Replays by the EventBridge API: what comes back, to whom, how it is stopped, and what a kill costs."""

import json
import time
import uuid
from datetime import datetime, timezone

import botocore.exceptions
import pytest
from catalogs import MEMBER, OTHER, account, entry, queue_arn, rule, target
from clients import AwsCli, session_client
from weir import CENTRAL, REGION, wait_until

OWN, SECOND, WIDE = queue_arn("own", MEMBER), queue_arn("second", MEMBER), queue_arn("wide")
NOON = int(datetime(2026, 1, 2, 12, tzinfo=timezone.utc).timestamp())
CATALOG = {"accounts": [account(MEMBER), account(OTHER), account(CENTRAL)],
           "rules": [rule("all", {"source": [{"prefix": ""}]}, target("wide"))]}


def bus_arn(name="default", owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:event-bus/{name}"


def arn(kind, name, owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:{kind}/{name}"


@pytest.fixture(scope="module")
def gateway(gateway_in, tmp_path_factory):
    with gateway_in(tmp_path_factory.mktemp("gateway"), CATALOG,
                    queues=[OWN, SECOND, WIDE]) as running:
        yield running


@pytest.fixture(scope="module")
def key(gateway):
    return gateway.weir.issue(MEMBER, "sigv4")


@pytest.fixture(scope="module")
def api(gateway, key):
    return session_client(gateway.weir, key)


@pytest.fixture(scope="module")
def other(gateway):
    return session_client(gateway.weir, gateway.weir.issue(OTHER, "sigv4"))


@pytest.fixture(scope="module")
def operator(gateway):
    return session_client(gateway.weir, gateway.weir.issue(CENTRAL, "sigv4", "--operator"))


@pytest.fixture
def name():
    return f"r-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bus(api, name):
    """A bus of its own with an archive of the same name."""
    api.create_event_bus(Name=name)
    api.create_archive(ArchiveName=name, EventSourceArn=bus_arn(name))
    return name


def put(client, bus, moments, **more):
    answer = client.put_events(Entries=[
        entry(EventBusName=bus, Time=moment, **more) for moment in moments])
    assert answer["FailedEntryCount"] == 0
    return [one["EventId"] for one in answer["Entries"]]


def add_rule(client, bus, queue, name="rule"):
    client.put_rule(Name=name, EventBusName=bus, EventPattern='{"source":[{"prefix":""}]}')
    client.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "own", "Arn": queue}])


def start(client, bus, replay, first=NOON, last=NOON + 3600, rules=(), **more):
    wanted = {"ReplayName": replay, "EventSourceArn": arn("archive", bus),
              "EventStartTime": first, "EventEndTime": last,
              "Destination": {"Arn": bus_arn(bus), **({"FilterArns": rules} if rules else {})}}
    return client.start_replay(**{**wanted, **more})


def ended(client, replay):
    """The replay's description once it is over."""
    def look():
        described = client.describe_replay(ReplayName=replay)
        return described if described["State"] in ("COMPLETED", "CANCELLED", "FAILED") else None
    return wait_until(look, f"{replay} has ended", 60, 0.05)


def refused(code, call, *arguments, **more):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **more)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    return error["Error"]["Message"]


def plain(answer):
    answer.pop("ResponseMetadata")
    return answer


def test_what_is_archived_comes_back_to_the_rules_of_its_bus(gateway, api, bus):
    first, second, third = put(api, bus, [NOON, NOON + 60, NOON + 120])
    wait_until(lambda: gateway.arrived(third, WIDE), "the central rule had them")
    add_rule(api, bus, OWN)
    before = time.time()
    answer = plain(start(api, bus, bus, last=NOON + 60, Description="again"))
    started = answer.pop("ReplayStartTime")
    assert answer == {"ReplayArn": arn("replay", bus), "State": "STARTING"}
    assert before - 2 < started.timestamp() < time.time() + 2
    described = plain(ended(api, bus))
    finished = described.pop("ReplayEndTime")
    assert started <= finished
    assert described == {
        "ReplayName": bus, "ReplayArn": arn("replay", bus), "Description": "again",
        "State": "COMPLETED", "EventSourceArn": arn("archive", bus),
        "Destination": {"Arn": bus_arn(bus)},
        "EventStartTime": datetime.fromtimestamp(NOON, started.tzinfo),
        "EventEndTime": datetime.fromtimestamp(NOON + 60, started.tzinfo),
        # Both ends of the time range belong to it.
        "EventLastReplayedTime": datetime.fromtimestamp(NOON + 60, started.tzinfo),
        "ReplayStartTime": started}
    gateway.weir.drain()
    for event_id in (first, second):
        (message,) = gateway.arrived(event_id, OWN)
        event = json.loads(message["body"])
        assert event["id"] == event_id and event["replay-name"] == bus
        keys = list(event)
        assert keys[keys.index("region"):] == ["region", "replay-name", "resources", "detail"]
        assert len(gateway.arrived(event_id, WIDE)) == 1  # the central bus is another
    assert gateway.arrived(third, OWN) == []
    # What came back is not archived again.
    assert api.describe_archive(ArchiveName=bus)["EventCount"] == 3


def test_only_the_rules_that_it_names_get_it_and_never_as_duplicates(gateway, api, bus):
    add_rule(api, bus, OWN, "one")
    add_rule(api, bus, SECOND, "two")
    (event_id,) = put(api, bus, [NOON])
    wait_until(lambda: gateway.arrived(event_id, OWN) and gateway.arrived(event_id, SECOND),
               "both had it")
    for index in range(2):
        start(api, bus, f"{bus}-{index}", rules=[arn("rule", f"{bus}/two")])
        described = ended(api, f"{bus}-{index}")
        assert described["State"] == "COMPLETED"
        assert described["Destination"]["FilterArns"] == [arn("rule", f"{bus}/two")]
    gateway.weir.drain()
    assert len(gateway.arrived(event_id, OWN)) == 1
    assert sorted(json.loads(one["body"]).get("replay-name", "") for one in
                  gateway.arrived(event_id, SECOND)) == ["", f"{bus}-0", f"{bus}-1"]


def test_an_operator_replays_the_central_bus(gateway, operator, api, other, name):
    central = f"arn:aws:events:{REGION}:{CENTRAL}:event-bus/central"
    operator.create_archive(ArchiveName=name, EventSourceArn=central)
    sent = put(api, "default", [NOON]) + put(other, "default", [NOON])
    for event_id in sent:
        wait_until(lambda one=event_id: gateway.arrived(one, WIDE), "it arrived")
    order = {"ReplayName": name, "EventSourceArn": arn("archive", name, CENTRAL),
             "EventStartTime": NOON, "EventEndTime": NOON + 1, "Destination": {"Arn": central}}
    refused("AccessDeniedException", api.start_replay, **order)
    operator.start_replay(**order)
    assert ended(operator, name)["State"] == "COMPLETED"
    gateway.weir.drain()
    assert [len(gateway.arrived(event_id, WIDE)) for event_id in sent] == [2, 2]
    refused("ResourceNotFoundException", api.describe_replay, ReplayName=name)
    operator.delete_archive(ArchiveName=name)


def test_nobody_reaches_the_replay_of_another_account(api, other, operator, bus):
    start(api, bus, bus)
    theirs = arn("replay", bus)
    for call in (other.describe_replay, other.cancel_replay):
        assert refused("AccessDeniedException", call, ReplayName=theirs).endswith(theirs)
        refused("ResourceNotFoundException", call, ReplayName=bus)
    refused("AccessDeniedException", start, other, bus, f"{bus}-x")
    refused("AccessDeniedException", other.list_replays, EventSourceArn=arn("archive", bus))
    assert other.list_replays()["Replays"] == []
    assert operator.describe_replay(ReplayName=theirs)["ReplayName"] == bus
    assert [one["ReplayName"] for one in
            operator.list_replays(EventSourceArn=arn("archive", bus))["Replays"]] == [bus]
    ended(api, bus)


MISTAKES = [
    ({"Destination": {"Arn": "nowhere"}}, "ValidationException",
     "Parameter Destination.Arn is not valid. Reason: Must contain an event bus ARN."),
    ({"Destination": {"Arn": bus_arn("missing")}}, "ResourceNotFoundException",
     "Event bus missing does not exist."),
    ({"Destination": {"Arn": bus_arn("default")}}, "ValidationException",
     "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted."),
    ({"EventSourceArn": "x"}, "ValidationException",
     "Parameter EventSourceArn is not valid. Reason: Must contain an archive ARN."),
    ({"EventSourceArn": arn("archive", "missing")}, "ValidationException",
     "Parameter EventSourceArn is not valid. Reason: Archive missing does not exist."),
    ({"EventEndTime": NOON}, "ValidationException",
     "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."),
    ({"EventEndTime": NOON - 1}, "ValidationException",
     "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."),
    ({"ReplayName": "a b"}, "ValidationException",
     "1 validation error detected: Value 'a b' at 'replayName' failed to satisfy constraint: "
     r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"),
]


def test_what_is_wrong_with_a_replay_is_said(api, bus):
    for change, code, message in MISTAKES:
        assert refused(code, start, api, bus, bus, **change) == message
    foreign = arn("rule", f"{bus}/x", OTHER)
    message = refused("ValidationException", start, api, bus, bus, rules=[foreign])
    assert message == ("Parameter Destination.FilterArns is not valid. Reason: "
                       f"{foreign} is not the ARN of a rule of the event bus.")
    for call in (api.describe_replay, api.cancel_replay):
        assert refused("ResourceNotFoundException", call,
                       ReplayName="none") == "Replay none does not exist."
    start(api, bus, bus)
    assert refused("ResourceAlreadyExistsException", start, api, bus,
                   bus) == f"Replay {bus} already exists."
    assert ended(api, bus)["State"] == "COMPLETED"
    assert refused("IllegalStatusException", api.cancel_replay, ReplayName=bus) == (
        f"Replay {bus} is not in a valid state for this operation.")
    message = refused("ValidationException", api.list_replays, State="COMPLETED", NamePrefix="r")
    assert message == ("At most one filter is allowed for ListReplays. Use either : State, "
                       "EventSourceArn, or NamePrefix.")
    (listed,) = api.list_replays(NamePrefix=bus)["Replays"]
    assert set(listed) == {"ReplayName", "EventSourceArn", "State", "EventStartTime",
                           "EventEndTime", "ReplayStartTime", "ReplayEndTime"}
    api.delete_archive(ArchiveName=bus)


def test_the_aws_cli_replays(gateway, api, key, bus):
    def events(*arguments):
        done = AwsCli(gateway.weir, key).run("events", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    started = events("start-replay", "--replay-name", bus, "--event-source-arn",
                     arn("archive", bus), "--event-start-time", "2026-01-02T12:00:00Z",
                     "--event-end-time", "2026-01-02T13:00:00Z", "--destination",
                     json.dumps({"Arn": bus_arn(bus)}))
    assert started["State"] == "STARTING"
    ended(api, bus)
    assert events("describe-replay", "--replay-name", bus)["State"] == "COMPLETED"
    assert [one["ReplayName"] for one in
            events("list-replays", "--name-prefix", bus)["Replays"]] == [bus]
    done = AwsCli(gateway.weir, key).run("events", "cancel-replay", "--replay-name", bus)
    assert "IllegalStatusException" in done.stderr


def test_replays_are_cancelled_bounded_and_survive_a_kill(tmp_path, gateway_in):
    count = 40
    with gateway_in(tmp_path, CATALOG, queues=[OWN, WIDE],
                    config={"limits": {"replay_rate": 2}}) as gateway:
        api = session_client(gateway.weir, gateway.weir.issue(MEMBER, "sigv4"))
        api.create_archive(ArchiveName="all", EventSourceArn=bus_arn())
        sent = [event_id for index in range(0, count, 10)
                for event_id in put(api, "default", range(NOON + index, NOON + index + 10))]
        add_rule(api, "default", OWN)

        def run(replay):
            return api.start_replay(
                ReplayName=replay, EventSourceArn=arn("archive", "all"), EventStartTime=NOON,
                EventEndTime=NOON + count, Destination={"Arn": bus_arn()})

        run("killed")
        wait_until(lambda: len(gateway.aws.messages(OWN)) >= 5, "some came back", 60)
        assert api.describe_replay(ReplayName="killed")["State"] == "RUNNING"
        gateway.weir.kill9()
        assert len(gateway.aws.messages(OWN)) < count
        gateway.weir.config["limits"]["replay_rate"] = 20
        gateway.weir.write_config()
        gateway.weir.start()
        described = ended(api, "killed")
        assert described["State"] == "COMPLETED"
        assert described["EventLastReplayedTime"].timestamp() == NOON + count - 1
        gateway.weir.drain()
        assert all(gateway.arrived(event_id, OWN) for event_id in sent)
        # Ten at once; one that is cancelled ends early, and makes room.
        for index in range(10):
            run(f"r{index}")
        assert refused("LimitExceededException", run, "r10") == (
            "The requested resource exceeds the maximum number allowed.")
        answer = plain(api.cancel_replay(ReplayName="r3"))
        assert answer == {"ReplayArn": arn("replay", "r3"), "State": "CANCELLING"}
        cancelled = ended(api, "r3")
        assert cancelled["State"] == "CANCELLED" and "ReplayEndTime" in cancelled
        run("r10")
        # One whose archive goes away cannot be finished.
        api.delete_archive(ArchiveName="all")
        failed = ended(api, "r10")
        assert (failed["State"], failed["StateReason"]) == ("FAILED", "Archive all does not exist.")
        assert gateway.weir.stats()["ledger"]["balanced"]
