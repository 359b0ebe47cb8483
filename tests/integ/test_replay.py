# SPDX-License-Identifier: Apache-2.0
"""Whoever captured a signed request and sends it again makes no second event of it.

boto3 leaves the invocation id unsigned, so the copy may bear any.  What makes a copy a copy is its
signature: a fresh one is the client's own retry, or a new call.
"""

import time
import uuid

import pytest
from catalogs import MEMBER, OTHER, account, entry, rule, target
from clients import Boto3, curl
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from weir import REGION, wait_until

GRACE_S = 2
CATALOG = {
    "accounts": [account(MEMBER), account(OTHER, dedup={"by": []})],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}
INVOCATION = "amz-sdk-invocation-id"
LEFT_TO_CURL = ("content-length", "host", "user-agent")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("replay"), CATALOG) as running:
        yield running


def captured(weir, key, entries):
    """(EventIds, headers, body) of one call of boto3, as it was on the wire."""
    client = Boto3(weir, key)
    seen = []
    client.api.meta.events.register(
        "before-send", lambda request, **_: seen.append((dict(request.headers), request.body)))
    answer = client.put(entries)
    assert answer.ok and len(seen) == 1
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else value
               for name, value in seen[0][0].items()}
    assert INVOCATION not in headers["authorization"]
    return answer.event_ids, headers, seen[0][1]


def send(weir, headers, body, **changed):
    """The EventIds that answer these headers with some changed; None leaves one out."""
    merged = {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
    answer = curl(weir, "/", data=body, version="--http1.1", headers=[
        f"{name}: {value}" for name, value in merged.items()
        if value is not None and name not in LEFT_TO_CURL])
    assert answer.status == 200 and answer.json["FailedEntryCount"] == 0, answer.body
    return [one["EventId"] for one in answer.json["Entries"]]


def signed_again(weir, key, headers, body):
    """What the SDK sends when it tries again: a new signature, the same invocation id."""
    request = AWSRequest("POST", weir.url + "/", {
        name: value for name, value in headers.items()
        if name in ("content-type", "x-amz-target")}, body)
    SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]), "events",
              REGION).add_auth(request)
    again = {name.lower(): value for name, value in request.headers.items()}
    assert again["authorization"] != headers["authorization"]
    return {**again, INVOCATION: headers[INVOCATION]}


def wait_out_the_grace():
    time.sleep(GRACE_S + 0.1)  # the rule is about time that passes


def expect_each_once(gateway, event_ids, counters):
    """Each event arrived once, and no other was created since `counters`."""
    for event_id in event_ids:
        wait_until(lambda one=event_id: gateway.arrived(one), "the event arrived")
    totals = gateway.weir.drain()["totals"]
    assert totals["created"] == counters["created"] + len(event_ids)
    for event_id in event_ids:
        assert len(gateway.arrived(event_id)) == 1


@pytest.mark.parametrize("account_id", [MEMBER, OTHER])  # the second has no dedup layer on
def test_a_captured_request_is_no_second_event(gateway, weir, account_id):
    before = weir.stats()["totals"]
    key = weir.issue(account_id, "sigv4")
    event_ids, headers, body = captured(weir, key, [entry(), entry(detail='{"n":2}')])
    wait_out_the_grace()
    replays = [{INVOCATION.replace("-", "_"): str(uuid.uuid4())},
               {INVOCATION.replace("-", "_"): str(uuid.uuid4())},
               {INVOCATION.replace("-", "_"): None},
               {"x_weir_deduplication_id": "another"},
               {}]
    for replay in replays:
        assert send(weir, headers, body, **replay) == event_ids, replay
    expect_each_once(gateway, event_ids, before)
    assert weir.stats()["totals"]["duplicate"] == before["duplicate"] + 2 * len(replays)


def test_a_retry_is_one_event_and_cannot_be_replayed_either(gateway, weir, key):
    before = weir.stats()["totals"]
    event_ids, headers, body = captured(weir, key, [entry()])
    wait_out_the_grace()
    retry = signed_again(weir, key, headers, body)
    assert send(weir, retry, body) == event_ids
    wait_out_the_grace()
    assert send(weir, retry, body, amz_sdk_invocation_id=str(uuid.uuid4())) == event_ids
    expect_each_once(gateway, event_ids, before)


def test_equal_calls_of_one_moment_are_events_of_their_own(gateway, weir, key):
    elapsed_s = GRACE_S
    while elapsed_s >= GRACE_S:  # on a slow machine, again
        before, start = weir.drain()["totals"], time.monotonic()
        first, headers, body = captured(weir, key, [entry()])
        second = send(weir, headers, body, amz_sdk_invocation_id=str(uuid.uuid4()))
        elapsed_s = time.monotonic() - start
    assert first != second
    expect_each_once(gateway, first + second, before)


def test_a_new_call_with_an_old_body_is_a_new_event(gateway, weir, key):
    before = weir.stats()["totals"]
    first, headers, body = captured(weir, key, [entry()])
    wait_out_the_grace()
    call = {**signed_again(weir, key, headers, body), INVOCATION: str(uuid.uuid4())}
    second = send(weir, call, body)
    assert first != second
    expect_each_once(gateway, first + second, before)


def test_a_replay_after_a_restart_is_known(gateway, weir, key):
    event_ids, headers, body = captured(weir, key, [entry()])
    weir.restart()
    wait_out_the_grace()
    assert send(weir, headers, body, amz_sdk_invocation_id=str(uuid.uuid4())) == event_ids
    assert weir.stats()["totals"]["duplicate"] == 1
