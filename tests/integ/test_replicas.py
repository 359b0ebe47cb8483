# SPDX-License-Identifier: Apache-2.0
"""Replicas on one Redis: what one accepts, changes or drops, the others know and pay."""

import json
import threading
import signal
import time

import pytest
from catalogs import MEMBER, OTHER, account, entry, envelope, queue_arn, rule, target
from clients import Boto3, curl
from replicas import Replicas
from weir import AdminError, wait_until

CATALOG = {"accounts": [account(MEMBER), account(OTHER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]}
HEARD = rule("heard", {"detail-type": ["Heard"]}, target("findings"))
CLAIM_S = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Replicas(tmp_path_factory.mktemp("replicas"), 2) as running:
        running.weirs[0].apply(CATALOG)
        yield running


@pytest.fixture(scope="module")
def api_key(world):
    return world.weirs[0].issue(MEMBER, "api-key")


def post(weir, api_key, events):
    return curl(weir, "/events", data=json.dumps(events), headers=[
        "Content-Type: application/json", f"{api_key['header']}: {api_key['key']}"])


def arrived(world, event_id):
    return [line for line in world.aws.messages() if f'"{event_id}"' in line["body"]]


def ping(**more):
    return envelope(source="com.example.app", detail_type="Ping", **more)


def test_an_event_sent_to_each_replica_is_one_event(world, api_key):
    first, second = world.weirs
    wait_until(lambda: post(second, api_key, ping()).status == 200, "the key is known", 1)
    events = [ping() for _ in range(20)]
    for event in events:
        answers = [post(weir, api_key, event).json["entries"][0] for weir in (first, second)]
        assert [one["event_id"] for one in answers] == [event["id"]] * 2
        assert [one["duplicate"] for one in answers] == [False, True]
    second.drain()
    assert [len(arrived(world, event["id"])) for event in events] == [1] * len(events)


def test_a_rule_applied_at_one_is_used_by_the_other_within_a_second(world):
    first, second = world.weirs
    client = Boto3(second, first.issue(MEMBER, "sigv4"))
    wait_until(lambda: client.put([entry()]).ok, "the key is known", 1)
    committed = second.stats()["totals"]["committed"]
    first.apply({"rules": [HEARD]}, "--name", "extra")
    wait_until(lambda: client.put([entry(detail_type="Heard")]).ok
               and second.stats()["totals"]["committed"] > committed, "the rule is used", 1)
    second.apply({"rules": []}, "--name", "extra")
    assert len(second.export()["rules"]) == 1
    wait_until(lambda: len(first.export()["rules"]) == 1, "the removal is seen", 1)


def test_suspension_and_revocation_at_one_are_obeyed_by_the_other_within_a_second(world):
    first, second = world.weirs
    key = first.issue(OTHER, "sigv4")
    client = Boto3(second, key)
    wait_until(lambda: client.put([entry()]).ok, "the key is known", 1)
    first.cli("account", "suspend", OTHER)
    wait_until(lambda: client.put([entry()]).status == 403, "the account is refused", 1)
    first.cli("account", "resume", OTHER)
    wait_until(lambda: client.put([entry()]).ok, "the account is served", 1)
    first.revoke(key["credential"])
    wait_until(lambda: client.put([entry()]).status == 403, "the key is refused", 1)


def get_token(weir, client):
    return curl(weir, "/oauth/token", "--user", f"{client['client_id']}:{client['client_secret']}",
                data="grant_type=client_credentials",
                headers=["Content-Type: application/x-www-form-urlencoded"])


def send(weir, *options, headers=()):
    return curl(weir, "/events", *options, data=json.dumps(ping()),
                headers=["Content-Type: application/json", *headers]).status


def test_revocation_of_basic_and_oauth_at_one_is_obeyed_by_the_other(world):
    """A token that was given out before it ends with the client it speaks for, wherever it is shown."""
    first, second = world.weirs
    basic, client = first.issue(MEMBER, "basic"), first.issue(MEMBER, "oauth")
    login = ("--user", f"{basic['user']}:{basic['password']}")
    for weir in world.weirs:
        wait_until(lambda one=weir: send(one, *login) == 200, "the password is known", 10)
        wait_until(lambda one=weir: get_token(one, client).status == 200, "the client is known", 10)
    bearers = [f"Authorization: Bearer {get_token(weir, client).json['access_token']}"
               for weir in world.weirs]
    assert [send(weir, headers=[bearer]) for weir in world.weirs for bearer in bearers] == [200] * 4
    first.revoke(basic["credential"])
    wait_until(lambda: send(second, *login) in (401, 403), "the password is refused", 10)
    assert send(first, *login) in (401, 403)
    second.revoke(client["credential"])
    wait_until(lambda: all(send(first, headers=[bearer]) in (401, 403) for bearer in bearers),
               "both tokens are refused", 10)
    assert all(send(second, headers=[bearer]) in (401, 403) for bearer in bearers)
    assert get_token(first, client).status == 401 == get_token(second, client).status


def test_changes_at_both_at_once_lose_nothing(world):
    first, second = world.weirs
    for turn in range(5):
        names = [f"{side}-{turn}" for side in ("left", "right")]
        for weir, name in zip((first, second), names):
            weir.apply({"rules": [rule(name, {"detail-type": [name]}, target("findings"))]},
                       "--name", name)
        for weir in (first, second):
            wait_until(lambda one=weir: set(names) <= {
                found["name"] for found in one.export()["rules"]}, "both rules are there", 1)


def test_acts_at_both_at_once_stand_in_one_audit_log(world):
    def issue(weir, found):
        for _ in range(10):
            found.append(weir.admin("POST", f"/v1/accounts/{MEMBER}/credentials",
                                    {"kind": "api-key"})["credential"])

    issued = ([], [])
    threads = [threading.Thread(target=issue, args=pair) for pair in zip(world.weirs, issued)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {f"credential/{one}" for one in issued[0] + issued[1]}
    assert len(names) == 20
    for weir in world.weirs:
        wait_until(lambda one=weir: names <= {
            changed["name"] for record in one.admin("GET", "/v1/audit?limit=1000")["records"]
            for changed in record["changes"]}, "every act is on record", 10)
        assert weir.admin("GET", "/v1/audit/verify")["mistakes"] == []


def test_statistics_name_the_store_and_the_replica(world):
    stats = [weir.stats() for weir in world.weirs]
    assert all(one["store"]["kind"] == "redis" and one["store"]["guarantee"] for one in stats)
    assert len({one["replica"]["id"] for one in stats}) == 2
    wait_until(lambda: all(weir.stats()["store"]["replicas"] == 2 for weir in world.weirs),
               "each knows of the other", 10)
    assert world.weirs[0].stats()["store"]["guarantee"] in world.weirs[0].cli("stats").stdout


def refusal(weir, api_key):
    return post(weir, api_key, ping()).status


def reasons(weir):
    """Why it is not ready; none when it is."""
    try:
        return weir.admin("GET", "/readyz")["reasons"]
    except AdminError as unready:
        return json.loads(unready.body)["reasons"]


def test_a_replica_that_is_cut_off_stops_accepting_and_comes_back(world, api_key):
    first, second = world.weirs
    relay = world.relays[1]
    wait_until(lambda: refusal(second, api_key) == 200, "it serves", 5)
    relay.cut()
    cut_at = time.monotonic()
    wait_until(lambda: "catalog stale" in reasons(second), "it says that it is stale", 5)
    answer = post(second, api_key, ping())
    assert answer.status == 503 and time.monotonic() - cut_at < 10
    assert refusal(first, api_key) == 200, "the other goes on"
    relay.mend()
    wait_until(lambda: second.is_ready() and refusal(second, api_key) == 200, "it is back", 5)


def test_a_redis_that_hangs_ends_no_process(world, api_key):
    world.redis.signal(signal.SIGSTOP)
    try:
        for weir in world.weirs:
            wait_until(lambda one=weir: not one.is_ready(), "not ready", 5)
            assert refusal(weir, api_key) == 503
    finally:
        world.redis.signal(signal.SIGCONT)
    for weir in world.weirs:
        wait_until(lambda one=weir: one.is_ready() and refusal(one, api_key) == 200, "back", 5)
        assert weir.process.poll() is None


def test_what_a_killed_replica_held_is_paid_by_another(tmp_path):
    with Replicas(tmp_path, 2, config={"limits": {"claim_time": f"{CLAIM_S}s"}}) as world:
        first, second = world.weirs
        first.apply(CATALOG)
        key = first.issue(MEMBER, "api-key")
        world.aws.fault(queue_arn("findings"), "hang")
        events = [ping() for _ in range(50)]
        assert post(first, key, events).status == 200
        first.kill9()
        world.aws.heal()
        for event in events:
            wait_until(lambda one=event: arrived(world, one["id"]), "it arrived", CLAIM_S + 10)
        assert second.drain()["ledger"]["balanced"] is True


def test_a_start_without_redis_says_so(tmp_path):
    with Replicas(tmp_path, 1) as world:
        weir = world.weirs[0]
        assert weir.stop() == 0
        world.redis.stop()
        world.relays[0].close()
        start = time.monotonic()
        weir.spawn()
        assert weir.process.wait(30) == 1
        assert 8 < time.monotonic() - start < 20
        assert "redis" in weir.log_tail().lower()
        weir.process = None
