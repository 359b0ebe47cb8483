# SPDX-License-Identifier: Apache-2.0
"""A full store refuses what it would have to keep, entry by entry, and answers the rest; what is
owed goes on being delivered, and makes room.
"""

import json
import signal

import pytest
from catalogs import MEMBER, OTHER, account, entry, envelope, queue_arn, roles, rule, target
from clients import Boto3, curl
from redis_server import RedisServer
from weir import AdminError, AwsStandinProcess, Weir, wait_until

FINDINGS = queue_arn("findings")
CATALOG = {"accounts": [account(MEMBER), account(OTHER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]}
BODY = {"pad": "x" * 100_000}
SECONDS = 30


class Embedded:
    """limits.store is reached."""

    def __init__(self, aws, folder):
        self.weir = Weir(folder / "weir", aws=aws, config={"limits": {"store": "1MiB"}})

    def fill(self, post):
        wait_until(lambda: post() == 503, "the store is full", SECONDS)

    def make_room(self):
        """Deliveries do."""

    def close(self):
        pass


class Redis:
    """maxmemory is."""

    def __init__(self, aws, folder):
        self.redis = RedisServer(folder / "redis", maxmemory="200mb").start()
        self.weir = Weir(folder / "weir", aws=aws, store=f"redis://127.0.0.1:{self.redis.port}/0")

    def fill(self, post):
        assert post() == 200
        self.redis.config_set(maxmemory=self.redis.info("memory")["used_memory"] // 2)
        wait_until(lambda: post() == 503, "Redis is full", SECONDS)

    def make_room(self):
        self.redis.config_set(maxmemory="200mb")

    def close(self):
        self.redis.stop()


def reasons(weir):
    try:
        return weir.admin("GET", "/readyz")["reasons"]
    except AdminError as unready:
        return json.loads(unready.body)["reasons"]


@pytest.fixture(name="full", params=[Embedded, Redis], scope="module")
def make_full(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    with AwsStandinProcess(folder, roles(MEMBER), [FINDINGS]) as aws:
        kind = request.param(aws, folder)
        try:
            with kind.weir as weir:
                weir.apply(CATALOG)
                kind.aws = aws
                kind.key = weir.issue(MEMBER, "api-key")
                kind.client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
                aws.signal(signal.SIGSTOP)
                kind.fill(lambda: post(kind, ping(detail=BODY)).status)
                wait_until(lambda: reasons(weir) == ["store full"], "it says so", SECONDS)
                yield kind
        finally:
            aws.signal(signal.SIGCONT)
            kind.close()


def ping(**more):
    return envelope(source="com.example.app", detail_type="Ping", **more)


def unmatched():
    return envelope(source="com.example.app", detail_type="Nothing")


def post(full, events):
    return curl(full.weir, "/events", data=json.dumps(events), headers=[
        "Content-Type: application/json", f"{full.key['header']}: {full.key['key']}"])


def test_put_events_answers_each_entry(full):
    answer = full.client.put([
        entry(detail_type="Ping"), entry(detail_type="Nothing"), entry(detail="no JSON"),
        entry(detail_type="Ping")])
    assert answer.status == 200
    assert [one.get("ErrorCode") for one in answer.entries] == [
        "ThrottlingException", None, "MalformedDetail", "ThrottlingException"]
    assert answer.entries[1]["EventId"]
    assert answer.entries[0]["ErrorMessage"] == "the store is full"


def test_events_are_answered_one_by_one(full):
    answer = post(full, [ping(), unmatched(), {"source": "x"}])
    assert answer.status == 200
    first, second, third = answer.json["entries"]
    assert first["error"] == {"code": "ThrottlingException", "message": "the store is full"}
    assert second["event_id"] and second["duplicate"] is False
    assert third["error"]["code"] not in ("ThrottlingException", "InternalFailure")
    assert answer.json["failed"] == 2


def test_a_request_of_nothing_else_is_to_be_sent_again(full):
    answer = post(full, [ping(), ping()])
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert [one["error"]["code"] for one in answer.json["entries"]] == ["ThrottlingException"] * 2


def test_what_needs_no_room_works(full):
    assert full.client.api.describe_event_bus(Name="default")["Name"] == "default"
    assert full.weir.export()["rules"]


def test_deliveries_make_room_and_events_are_taken_again(full):
    """Last: it ends what the others look at."""
    full.aws.signal(signal.SIGCONT)
    assert full.weir.drain(SECONDS)["ledger"]["balanced"] is True
    full.make_room()
    event = ping()
    wait_until(lambda: post(full, event).status == 200, "it is taken", SECONDS)
    wait_until(lambda: any(event["id"] in one["body"] for one in full.aws.messages()),
               "it arrives", SECONDS)
    wait_until(lambda: reasons(full.weir) == [], "it is ready", SECONDS)
