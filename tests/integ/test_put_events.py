# SPDX-License-Identifier: Apache-2.0
"""PutEvents by each real client: told an EventId, delivered once, signed by the account's role."""

import json
import re
import uuid

import pytest
from catalogs import MEMBER, OTHER, account, entry, queue_arn, role_arn
from clients import AwsCli, Boto3, Curl, Go, JavaScript
from weir import CENTRAL, REGION, wait_until

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CLIENTS = {
    "aws-cli": AwsCli,
    "boto3": Boto3,
    "javascript-h1": lambda weir, key: JavaScript(weir, key, "h1"),
    "javascript-h2": JavaScript,
    "go-h2": Go,
    "curl-h1": lambda weir, key: Curl(weir, key, "--http1.1"),
    "curl-h2": Curl,
}


@pytest.fixture(params=CLIENTS)
def client(request, weir, key):
    return CLIENTS[request.param](weir, key)


def test_one_event_walks_the_whole_way(gateway, client):
    unique = uuid.uuid4().hex
    detail = '{"text":"h\\u00e9llo wörld","n": 1.50, "unique":"%s" }' % unique
    answer = client.put([entry(detail=detail, Time=1767225600,
                               Resources=["arn:aws:s3:::bucket"])])
    assert (answer.error, answer.failed) == (None, 0)
    (event_id,) = answer.event_ids
    assert UUID4.fullmatch(event_id)
    (message,) = wait_until(lambda: gateway.arrived(event_id), "the event arrived")
    assert (message["queue"], message["role"]) == (queue_arn("findings"), role_arn(MEMBER))
    assert message["session"] == "weir-dispatch"
    assert message["session_tags"] == {"weir-account": MEMBER}
    event = json.loads(message["body"])
    assert list(event) == ["version", "id", "detail-type", "source", "account", "time", "region",
                           "resources", "detail"]
    assert event["id"] == event_id
    assert (event["version"], event["source"], event["detail-type"]) == (
        "0", "com.example.app", "Ping")
    assert (event["account"], event["region"]) == (MEMBER, REGION)
    assert event["time"] == "2026-01-01T00:00:00Z"
    assert event["resources"] == ["arn:aws:s3:::bucket"]
    assert event["detail"] == {"text": "héllo wörld", "n": 1.5, "unique": unique}


def test_detail_keeps_every_byte_but_whitespace(gateway, weir, key):
    detail = ' {"a" : 1.50,\n"a": 1e2, "s": "x \\u00e9 é"} '
    (event_id,) = Boto3(weir, key).put([entry(detail=detail)]).event_ids
    (message,) = wait_until(lambda: gateway.arrived(event_id), "the event arrived")
    assert '"detail":{"a":1.50,"a":1e2,"s":"x \\u00e9 é"}' in message["body"]
    assert ", " not in message["body"].partition('"detail":')[0]


def test_each_entry_has_its_own_answer(gateway, client):
    answer = client.put([entry(), entry(source=""), entry(detail="[1]"), entry()])
    codes = [one.get("ErrorCode") for one in answer.entries]
    assert codes == [None, "InvalidArgument", "MalformedDetail", None]
    assert answer.failed == 2
    assert answer.entries[1]["ErrorMessage"] == (
        "Parameter Source is not valid. Reason: Source is a required argument.")
    assert answer.entries[2]["ErrorMessage"] == "Detail is malformed."
    for event_id in (answer.event_ids[0], answer.event_ids[3]):
        wait_until(lambda one=event_id: gateway.arrived(one), "the good entries arrived")


def test_another_account_is_signed_by_its_own_role(gateway, weir):
    other = Boto3(weir, weir.issue(OTHER, "sigv4"))
    (event_id,) = other.put([entry()]).event_ids
    (message,) = wait_until(lambda: gateway.arrived(event_id), "the event arrived")
    assert message["role"] == role_arn(OTHER)
    assert json.loads(message["body"])["account"] == OTHER


def test_what_matches_nothing_is_counted_and_goes_nowhere(gateway, weir, key):
    before = weir.stats()["totals"]
    (event_id,) = Boto3(weir, key).put([entry(detail_type="Unheard")]).event_ids
    after = wait_until(
        lambda: (now := weir.stats()["totals"])["received"] > before["received"] and now,
        "the event was counted")
    assert after["unmatched"] == before["unmatched"] + 1
    assert after["created"] == before["created"]
    assert gateway.arrived(event_id) == []


def test_ten_entries_are_one_request_and_eleven_are_refused(weir, key):
    boto3 = Boto3(weir, key)
    assert boto3.put([entry() for _ in range(10)]).ok
    refused = boto3.put([entry() for _ in range(11)])
    assert (refused.status, refused.error["code"]) == (400, "ValidationException")
    assert refused.error["message"].endswith(
        "at 'entries' failed to satisfy constraint: "
        "Member must have length less than or equal to 10")


def test_a_strict_gateway_knows_the_central_bus_of_its_own_account(tmp_path, gateway_in):
    catalog = {"accounts": [account(MEMBER), account(CENTRAL)]}
    with gateway_in(tmp_path, catalog, config={"strict_bus": True}) as strict:
        for owner, bus, is_known in ((CENTRAL, "central", True), (CENTRAL, "nowhere", False),
                                     (MEMBER, "default", True), (MEMBER, "central", False)):
            client = Boto3(strict.weir, strict.weir.issue(owner, "sigv4"))
            assert client.put([entry(EventBusName=bus)]).ok == is_known, (owner, bus)
