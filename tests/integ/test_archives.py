# SPDX-License-Identifier: Apache-2.0
"""Archives by the EventBridge API: what they keep, how it ends, and whose they are."""

import json
import time
import uuid

import botocore.exceptions
import pytest
from catalogs import MEMBER, OTHER, account, entry
from clients import AwsCli, session_client
from weir import CENTRAL, REGION, Weir, wait_until

DAY_S = 86400
CENTRAL_BUS = f"arn:aws:events:{REGION}:{CENTRAL}:event-bus/central"


def bus_arn(name="default", owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:event-bus/{name}"


def archive_arn(name, owner=MEMBER):
    return f"arn:aws:events:{REGION}:{owner}:archive/{name}"


@pytest.fixture(scope="module")
def weir(tmp_path_factory):
    with Weir(tmp_path_factory.mktemp("gateway"), config={"workers": 2}) as running:
        running.apply({"accounts": [account(MEMBER), account(OTHER), account(CENTRAL)]})
        yield running


@pytest.fixture(scope="module")
def key(weir):
    return weir.issue(MEMBER, "sigv4")


@pytest.fixture(scope="module")
def api(weir, key):
    return session_client(weir, key)


@pytest.fixture(scope="module")
def other(weir):
    return session_client(weir, weir.issue(OTHER, "sigv4"))


@pytest.fixture(scope="module")
def operator(weir):
    return session_client(weir, weir.issue(CENTRAL, "sigv4", "--operator"))


@pytest.fixture(scope="module")
def central(weir):
    """A caller of the central account who is no operator."""
    return session_client(weir, weir.issue(CENTRAL, "sigv4"))


@pytest.fixture
def name():
    return f"a-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def made(api, name):
    api.create_archive(ArchiveName=name, EventSourceArn=bus_arn())
    yield name
    api.delete_archive(ArchiveName=name)


def plain(answer):
    answer.pop("ResponseMetadata")
    return answer


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    return error["Error"]["Message"]


def size(client, name):
    described = client.describe_archive(ArchiveName=name)
    return described["EventCount"], described["SizeBytes"]


def put(client, **more):
    answer = client.put_events(Entries=[entry(**more)])
    assert answer["FailedEntryCount"] == 0
    return answer["Entries"][0]["EventId"]


def test_an_archive_is_created_described_updated_and_deleted(api, name):
    before = time.time()
    pattern = json.dumps({"source": ["a"]})
    answer = plain(api.create_archive(ArchiveName=name, EventSourceArn=bus_arn(),
                                      Description="all of it", RetentionDays=3,
                                      EventPattern=pattern))
    created = answer.pop("CreationTime")
    assert before - 2 < created.timestamp() < time.time() + 2
    assert answer == {"ArchiveArn": archive_arn(name), "State": "ENABLED"}
    described = plain(api.describe_archive(ArchiveName=name))
    assert described == {
        "ArchiveArn": archive_arn(name), "ArchiveName": name, "EventSourceArn": bus_arn(),
        "Description": "all of it", "EventPattern": pattern, "State": "ENABLED",
        "RetentionDays": 3, "SizeBytes": 0, "EventCount": 0, "CreationTime": created}
    assert plain(api.describe_archive(ArchiveName=archive_arn(name))) == described
    answer = plain(api.update_archive(ArchiveName=name, RetentionDays=0))
    assert answer == {"ArchiveArn": archive_arn(name), "State": "ENABLED", "CreationTime": created}
    api.update_archive(ArchiveName=name, Description="", EventPattern='{"source":["b"]}')
    described = plain(api.describe_archive(ArchiveName=name))
    assert "Description" not in described
    assert (described["RetentionDays"], described["EventPattern"]) == (0, '{"source":["b"]}')
    assert plain(api.delete_archive(ArchiveName=name)) == {}
    message = refused("ResourceNotFoundException", api.describe_archive, ArchiveName=name)
    assert message == f"Archive {name} does not exist."


def test_it_keeps_what_its_pattern_matches_once_each(weir, api, name):
    api.create_archive(ArchiveName=name, EventSourceArn=bus_arn(),
                       EventPattern='{"detail-type":["Kept"]}')
    mark = uuid.uuid4().hex
    before = weir.stats()["totals"]
    for index in range(3):
        put(api, detail_type="Kept", detail=json.dumps({"index": index, "mark": mark}))
    put(api, detail_type="Dropped")
    count, held = size(api, name)
    assert count == 3 and held > 3 * len(mark)
    after = weir.stats()["totals"]
    assert after["archived"] - before["archived"] == 3
    assert after["unmatched"] - before["unmatched"] == 4 and weir.stats()["ledger"]["balanced"]
    # To be kept is not to be matched by a rule.
    assert after["committed"] == before["committed"]
    api.delete_archive(ArchiveName=name)


def test_the_same_event_is_archived_once(weir, key, made):
    """An archive alone is reason enough to know an event again."""
    client = session_client(weir, key)
    client.meta.events.register(
        "before-sign.events.PutEvents",
        lambda request, **_: request.headers.add_header("x-weir-deduplication-id", made))
    assert put(client, detail="{}") == put(client, detail="{}")
    assert size(client, made)[0] == 1


def test_an_operator_archives_the_central_bus(api, other, operator, central, name):
    operator.create_archive(ArchiveName=name, EventSourceArn=CENTRAL_BUS)
    put(api)
    put(other)
    assert size(operator, name)[0] == 2
    described = operator.describe_archive(ArchiveName=name)
    assert described["EventSourceArn"] == CENTRAL_BUS
    assert described["ArchiveArn"] == archive_arn(name, CENTRAL)
    # Of the same account, and no operator: it is not there.
    refused("ResourceNotFoundException", central.describe_archive, ArchiveName=name)
    refused("AccessDeniedException", central.create_archive, ArchiveName=name,
            EventSourceArn=CENTRAL_BUS)
    assert central.list_archives()["Archives"] == []
    # And the name is taken on both kinds of bus, since an ARN means one archive.
    refused("ResourceAlreadyExistsException", central.create_archive, ArchiveName=name,
            EventSourceArn=bus_arn(owner=CENTRAL))
    assert [one["ArchiveName"] for one in operator.list_archives()["Archives"]] == [name]
    operator.delete_archive(ArchiveName=name)


def test_nobody_reaches_the_archive_of_another_account(api, other, operator, made):
    theirs = archive_arn(made)
    for call, more in ((other.describe_archive, {}), (other.delete_archive, {}),
                       (other.update_archive, {"RetentionDays": 1})):
        message = refused("AccessDeniedException", call, ArchiveName=theirs, **more)
        assert message.endswith(theirs)
        refused("ResourceNotFoundException", call, ArchiveName=made, **more)
    refused("AccessDeniedException", other.create_archive, ArchiveName=made,
            EventSourceArn=bus_arn())
    refused("AccessDeniedException", other.list_archives, EventSourceArn=bus_arn())
    assert other.list_archives()["Archives"] == []
    # Members that the action does not read open nothing.
    refused("AccessDeniedException", other.describe_archive, ArchiveName=theirs)
    assert operator.describe_archive(ArchiveName=theirs)["ArchiveName"] == made
    listed = operator.list_archives(EventSourceArn=bus_arn())["Archives"]
    assert made in [one["ArchiveName"] for one in listed]
    # What a member made the operator sees and leaves to the member.
    refused("ManagedRuleException", operator.delete_archive, ArchiveName=theirs)


def test_archives_are_listed_by_one_filter_in_pages(api, name):
    names = sorted(f"{name}-{index}" for index in range(5))
    for one in names:
        api.create_archive(ArchiveName=one, EventSourceArn=bus_arn())
    found, token = [], {}
    while True:
        page = api.list_archives(NamePrefix=name, Limit=2, **token)
        found += [one["ArchiveName"] for one in page["Archives"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == names
    assert {one["ArchiveName"] for one in api.list_archives(State="ENABLED")["Archives"]} >= set(names)
    assert api.list_archives(State="CREATING")["Archives"] == []
    assert {"ArchiveName", "EventSourceArn", "State", "RetentionDays", "SizeBytes", "EventCount",
            "CreationTime"} == set(api.list_archives(NamePrefix=names[0])["Archives"][0])
    message = refused("ValidationException", api.list_archives, NamePrefix=name, State="ENABLED")
    assert message == ("At most one filter is allowed for ListArchives. Use either : State, "
                       "EventSourceArn, or NamePrefix.")
    assert refused("InvalidToken", api.list_archives, NextToken="x") == "The token is not valid."
    for one in names:
        api.delete_archive(ArchiveName=one)


CREATE_MISTAKES = [
    ({"EventSourceArn": "nowhere"}, "ValidationException",
     "Parameter EventSourceArn is not valid. Reason: Must contain an event bus ARN."),
    ({"EventSourceArn": bus_arn("missing")}, "ResourceNotFoundException",
     "Event bus missing does not exist."),
    ({"ArchiveName": "x" * 49}, "ValidationException",
     f"1 validation error detected: Value '{'x' * 49}' at 'archiveName' failed to satisfy "
     "constraint: Member must have length less than or equal to 48"),
    ({"ArchiveName": "a b"}, "ValidationException",
     "1 validation error detected: Value 'a b' at 'archiveName' failed to satisfy constraint: "
     r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"),
    ({"RetentionDays": 36501}, "ValidationException",
     "1 validation error detected: Value '36501' at 'retentionDays' failed to satisfy constraint: "
     "Member must have value less than or equal to 36500"),
    ({"EventPattern": '{"source":[]}'}, "InvalidEventPatternException",
     "Event pattern is not valid. Reason: Empty arrays are not allowed\n"
     ' at [Source: (String)"{"source":[]}"; line: 1, column: 13]'),
]


@pytest.mark.parametrize(("arguments", "code", "message"), CREATE_MISTAKES)
def test_what_is_wrong_with_an_archive_is_said(api, name, arguments, code, message):
    wanted = {"ArchiveName": name, "EventSourceArn": bus_arn(), **arguments}
    assert refused(code, api.create_archive, **wanted) == message


def test_what_is_wrong_with_a_change_is_said(api, made):
    message = refused("ResourceAlreadyExistsException", api.create_archive, ArchiveName=made,
                      EventSourceArn=bus_arn())
    assert message == f"Archive {made} already exists."
    message = refused("ValidationException", api.update_archive, ArchiveName=made)
    assert message == ("At least one of EventPattern, RetentionDays or Description must be "
                       "provided.")
    refused("InvalidEventPatternException", api.update_archive, ArchiveName=made,
            EventPattern='{"a":1}')
    for call in (api.describe_archive, api.delete_archive):
        assert refused("ResourceNotFoundException", call,
                       ArchiveName="none") == "Archive none does not exist."
    assert refused("ResourceNotFoundException", api.update_archive, ArchiveName="none",
                   RetentionDays=1) == "Archive none does not exist."
    message = refused("ValidationException", api.describe_archive, ArchiveName=bus_arn())
    assert "Must be a name, or an ARN of :archive/NAME." in message
    message = refused("ValidationException", api.list_archives, State="BUSY")
    assert message == (
        "1 validation error detected: Value 'BUSY' at 'state' failed to satisfy constraint: Member "
        "must satisfy enum value set: [ENABLED, DISABLED, CREATING, UPDATING, CREATE_FAILED, "
        "UPDATE_FAILED]")


def test_the_aws_cli_manages_archives(weir, key, name):
    def events(*arguments):
        done = AwsCli(weir, key).run("events", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    made = events("create-archive", "--archive-name", name, "--event-source-arn", bus_arn(),
                  "--retention-days", "7")
    assert made["ArchiveArn"] == archive_arn(name)
    events("update-archive", "--archive-name", name, "--description", "by the CLI")
    described = events("describe-archive", "--archive-name", name)
    assert (described["Description"], described["RetentionDays"]) == ("by the CLI", 7)
    (listed,) = events("list-archives", "--name-prefix", name)["Archives"]
    assert listed["EventCount"] == 0
    events("delete-archive", "--archive-name", name)
    done = AwsCli(weir, key).run("events", "describe-archive", "--archive-name", name)
    assert "ResourceNotFoundException" in done.stderr


def test_a_file_makes_archives_and_gets_them_back(tmp_path):
    own = {"name": "own", "bus": f"{MEMBER}/default", "description": "theirs", "retention_days": 30,
           "pattern": {"source": ["a"], "detail": {"n": [{"numeric": [">", 0.10]}]}}}
    wide = {"name": "wide", "bus": "central"}
    with Weir(tmp_path, config={"workers": 1, "limits": {"archive": "1MiB"}}) as weir:
        accounts = [account(MEMBER), account(CENTRAL)]
        weir.apply({"accounts": accounts, "archives": [own, wide]})
        assert weir.export()["archives"] == [own, wide]
        operator = session_client(weir, weir.issue(CENTRAL, "sigv4", "--operator"))
        api = session_client(weir, weir.issue(MEMBER, "sigv4"))
        refused("ManagedRuleException", api.delete_archive, ArchiveName="own")
        # One that has held an event keeps it through a change, and a restart, and a kill.
        old = put(api, Time=time.time() - 3 * DAY_S)
        assert old and size(operator, "wide")[0] == 1
        weir.apply({"archives": [own, {**wide, "description": "all"}]})
        weir.kill9()
        weir.start()
        assert size(operator, "wide")[0] == 1
        # Its maximum: left out, counted and told; accepted all the same.
        for _ in range(5):
            put(api, detail=json.dumps({"x": "y" * 220_000}))
        wide_now = operator.describe_archive(ArchiveName="wide")
        assert wide_now["EventCount"] == 5 and wide_now["SizeBytes"] <= 1 << 20
        assert wide_now["StateReason"] == "1 events were left out because the archive was full."
        assert weir.stats()["totals"]["archive_left_out"] == 1
        # Retention: a start looks at once, and ends what is older, by its own time.
        weir.apply({"archives": [own, {**wide, "retention_days": 1}]})
        weir.restart()
        wait_until(lambda: size(operator, "wide")[0] == 4, "the old event has gone")
        # One that leaves the file leaves the store, with all it held.
        weir.apply({"archives": []})
        weir.restart()
        wait_until(lambda: weir.stats()["store"]["bytes"] < 100_000, "its events have gone")
        bad = weir.apply({"archives": [{"name": "x y", "bus": "nowhere", "days": 1}]}, check=False)
        assert "archives[0]" in bad.stderr + bad.stdout
