# SPDX-License-Identifier: Apache-2.0
"""POST /events with an API key: one envelope, an array, NDJSON; over both versions of HTTP."""

import json

import pytest
from catalogs import CENTRAL, MEMBER, OTHER, account, envelope, queue_arn, role_arn, rule, target
from clients import curl
from weir import wait_until

VERSIONS = {"1.1": "--http1.1", "2": "--http2"}


def post(weir, api_key, data, *headers, version="--http2", query="", kind="application/json"):
    return curl(weir, "/events" + query, data=data, version=version, headers=[
        f"Content-Type: {kind}", f"{api_key['header']}: {api_key['key']}", *headers])


@pytest.mark.parametrize("name", VERSIONS)
def test_an_envelope_arrives_byte_for_byte(gateway, weir, api_key, name):
    event = envelope()
    text = json.dumps(event, indent=1)
    answer = post(weir, api_key, text, version=VERSIONS[name])
    assert (answer.status, answer.version) == (200, name)
    assert answer.json == {"entries": [{"event_id": event["id"], "duplicate": False}], "failed": 0}
    (message,) = wait_until(lambda: gateway.arrived(event["id"]), "the event arrived")
    assert message["body"] == text
    assert message["role"] == role_arn(MEMBER)


def test_the_same_id_twice_is_delivered_once(gateway, weir, api_key):
    event = envelope()
    first, second = (post(weir, api_key, event).json["entries"][0] for _ in range(2))
    assert first == {"event_id": event["id"], "duplicate": False}
    assert second == {"event_id": event["id"], "duplicate": True}
    weir.drain()
    assert len(gateway.arrived(event["id"])) == 1


def test_the_same_id_is_known_whatever_key_brings_it(gateway, weir, api_key):
    event = envelope()
    other_key = weir.issue(MEMBER, "api-key")
    answers = [post(weir, one, event).json["entries"][0] for one in (api_key, other_key)]
    assert [one["duplicate"] for one in answers] == [False, True]
    weir.drain()
    assert len(gateway.arrived(event["id"])) == 1


def test_the_same_id_on_another_bus_is_another_event(tmp_path, gateway_in):
    buses = {"default": "findings", "team": "ordered.fifo"}
    rules = [rule(bus, {"detail-type": ["GuardDuty Finding"]}, target(queue), bus=f"{MEMBER}/{bus}")
             for bus, queue in buses.items()]
    catalog = {"accounts": [account(MEMBER)], "buses": [{"account": MEMBER, "name": "team"}],
               "rules": rules}
    with gateway_in(tmp_path, catalog) as gateway:
        api_key = gateway.weir.issue(MEMBER, "api-key")
        event = envelope()
        for known in (False, True):
            for bus in buses:
                answer = post(gateway.weir, api_key, event, query=f"?bus={bus}").json
                assert answer["entries"] == [{"event_id": event["id"], "duplicate": known}]
        gateway.weir.drain()
        for queue in buses.values():
            assert len(gateway.arrived(event["id"], queue_arn(queue))) == 1


def array(events):
    return json.dumps(events), "application/json"


def ndjson(events):
    return "".join(json.dumps(event) + "\n" for event in events), "application/x-ndjson"


@pytest.mark.parametrize("form", [array, ndjson])
def test_many_envelopes_in_one_request(gateway, weir, api_key, form):
    events = [envelope() for _ in range(5)]
    data, kind = form(events)
    answer = post(weir, api_key, data, kind=kind)
    assert answer.status == 200
    assert [one["event_id"] for one in answer.json["entries"]] == [one["id"] for one in events]
    for event in events:
        (message,) = wait_until(lambda one=event: gateway.arrived(one["id"]), "all arrived")
        assert json.loads(message["body"]) == event


def test_what_is_absent_is_filled_in(gateway, weir, api_key):
    event = {"source": "com.example.app", "detail-type": "Ping", "detail": {"n": 1}}
    (entry,) = post(weir, api_key, event).json["entries"]
    (message,) = wait_until(lambda: gateway.arrived(entry["event_id"]), "the event arrived")
    filled = json.loads(message["body"])
    assert {name: filled[name] for name in event} == event
    assert (filled["account"], filled["version"], filled["resources"]) == (MEMBER, "0", [])
    assert filled["id"] == entry["event_id"] and filled["time"] and filled["region"]


def test_good_entries_proceed_beside_bad_ones(gateway, weir, api_key):
    good, forged = envelope(), envelope(account_id=OTHER)
    broken = {"source": "com.example.app", "detail": {}}
    answer = post(weir, api_key, [broken, good, forged])
    assert (answer.status, answer.json["failed"]) == (200, 2)
    kinds = ["error" if "error" in one else "ok" for one in answer.json["entries"]]
    assert kinds == ["error", "ok", "error"]
    wait_until(lambda: gateway.arrived(good["id"]), "the good one arrived")
    assert gateway.arrived(forged["id"]) == []


def test_a_forwarder_may_speak_for_an_account_it_is_trusted_with(tmp_path, gateway_in):
    import conftest
    from catalogs import account
    catalog = {**conftest.CATALOG, "accounts": [
        account(MEMBER), account(OTHER, may_forward_for=[MEMBER])]}
    with gateway_in(tmp_path, catalog) as gateway:
        relay = gateway.weir.issue(OTHER, "api-key", forwarder=True)
        event, foreign = envelope(account_id=MEMBER), envelope(account_id=CENTRAL)
        answer = post(gateway.weir, relay, [event, foreign])
        assert ["error" in one for one in answer.json["entries"]] == [False, True]
        (message,) = wait_until(lambda: gateway.arrived(event["id"]), "the event arrived")
        assert message["role"] == role_arn(MEMBER)


def test_a_revoked_key_is_refused_within_a_second(weir):
    key = weir.issue(MEMBER, "api-key")
    assert post(weir, key, envelope()).status == 200
    weir.revoke(key["credential"])
    wait_until(lambda: post(weir, key, envelope()).status == 403, "the key is refused", 1)
