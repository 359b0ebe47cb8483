# SPDX-License-Identifier: Apache-2.0
"""A gateway whose Redis fails in every way: what it cannot store it refuses, and what it told stored
arrives; a refused event sent again is the same event.

Each test has its own Redis, a proxy that spoils the way to it, and a gateway.
"""

import contextlib
import http.client
import json
import ssl

import pytest
from catalogs import MEMBER, account, envelope, queue_arn, roles, rule, target
from redis_server import RedisServer, seconds_until
from resp_proxy import RespProxy, error
from weir import AwsStandinProcess, Weir, wait_until

RECOVERY_S = 5
CATALOG = {"accounts": [account(MEMBER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]}
RETRYABLE = {"InternalFailure", "ThrottlingException"}


COMMIT = "-- commit.lua"


class Stage:
    """Redis, proxy, stand-in and gateway, and what its callers were told."""

    def __init__(self, folder, redis, proxy, aws, weir):
        self.folder, self.redis, self.proxy, self.aws, self.weir = folder, redis, proxy, aws, weir
        self.told, self._key = [], None

    def prepare(self):
        self.weir.apply(CATALOG)
        self._key = self.weir.issue(MEMBER, "api-key")
        return self

    def post(self, event):
        """Was it told stored?  If not, the answer must be one that asks for a repetition."""
        caller = http.client.HTTPSConnection(
            "localhost", self.weir.data_port, timeout=15,
            context=ssl.create_default_context(cafile=str(self.weir.ca)))
        with contextlib.closing(caller):
            caller.request("POST", "/events", json.dumps(event), {
                "Content-Type": "application/json", self._key["header"]: self._key["key"]})
            answer = caller.getresponse()
            body = answer.read()
        if answer.status != 200:
            assert answer.status in (429, 503), (answer.status, body)
            assert int(answer.headers["Retry-After"]) >= 1
            return False
        (one,) = json.loads(body)["entries"]
        if "error" in one:
            assert one["error"]["code"] in RETRYABLE, one
            return False
        assert one["event_id"] == event["id"]
        self.told.append(event["id"])
        return True

    def heal(self, *events):
        """End the faults of the proxy; each event is taken soon, and nothing is lost or doubled."""
        self.proxy.heal()
        self.recover(*events)

    def recover(self, *events):
        for event in events:
            assert seconds_until(lambda one=event: self.post(one), "taken again") <= RECOVERY_S
        self.check()

    def arrivals(self):
        return [json.loads(line["body"])["id"] for line in self.aws.messages()]

    def check(self, repeats=0):
        """Everything told has arrived, with so many repeats at most."""
        due = set(self.told)
        wait_until(lambda: due <= set(self.arrivals()), "what was told stored has arrived", 120)
        stats = self.weir.drain(120)
        assert stats["ledger"]["balanced"] is True
        arrived = self.arrivals()
        assert len(arrived) - len(set(arrived)) <= repeats, arrived
        return stats


def ping():
    return envelope(source="com.example.app", detail_type="Ping")


@contextlib.contextmanager
def stage_in(folder, redis=None, **options):
    with contextlib.ExitStack() as stack:
        redis = redis or stack.enter_context(RedisServer(folder / "redis", maxmemory="200mb"))
        proxy = stack.enter_context(RespProxy(redis.port))
        aws = stack.enter_context(AwsStandinProcess(folder, roles(MEMBER),
                                                    [queue_arn("findings")]))
        weir = Weir(folder / "weir", aws=aws, store=proxy.url, **options)
        try:
            weir.start()
            yield Stage(folder, redis, proxy, aws, weir).prepare()
            assert weir.stop() == 0
        finally:
            weir.kill9()


@pytest.fixture
def stage(tmp_path):
    with stage_in(tmp_path) as running:
        assert running.post(ping())
        yield running


@pytest.mark.parametrize("fault", [
    lambda proxy: proxy.refuse(),
    lambda proxy: proxy.stall(),
    lambda proxy: proxy.stall(replies=False),
    lambda proxy: proxy.stall(requests=False),
    lambda proxy: proxy.spoil("garbage", proxy.runs(COMMIT)),
    lambda proxy: proxy.spoil("oversize", proxy.runs(COMMIT)),
    lambda proxy: proxy.spoil("half", proxy.runs(COMMIT)),
    lambda proxy: proxy.spoil("cut", proxy.runs(COMMIT)),
    lambda proxy: proxy.spoil("cut_before", proxy.runs(COMMIT)),
], ids=["refused", "partition", "requests-lost", "replies-lost", "garbage", "oversize", "half",
        "cut-after", "cut-before"])
def test_no_answer_of_redis_is_no_success(stage, fault):
    """And the caller's repetition is exact, whether the commit had been made or not."""
    event = ping()
    fault(stage.proxy)
    assert not stage.post(event)
    stage.proxy.heal()
    assert seconds_until(lambda: stage.post(event), "taken again") <= RECOVERY_S
    # A commit whose reply was lost is due when the claim that it made has ended, which is later
    # than this test waits; that it is there, and once, is seen at once.
    stats = stage.weir.stats()
    assert stats["totals"]["created"] == len(stage.told) == 2
    assert stats["ledger"]["balanced"] is True
    assert stage.arrivals().count(event["id"]) <= 1


@pytest.mark.parametrize("text", [
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
    "TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN The cluster is down",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Errors writing to the AOF file", "NOREPLICAS Not enough good replicas to write.",
    "BUSY Redis is busy running a script.", "NOAUTH Authentication required.",
    "NOPERM this user has no permissions", "CROSSSLOT Keys in request don't hash to the same slot",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
], ids=lambda text: text.split()[0])
def test_an_error_of_redis_is_no_success(stage, text):
    event = ping()
    rule = stage.proxy.spoil("answer", stage.proxy.runs(COMMIT), data=error(text))
    assert not stage.post(event)
    assert rule.hits >= 1
    stage.heal(event)
    assert stage.arrivals().count(event["id"]) == 1


def test_a_slow_redis_is_waited_for(stage):
    rule = stage.proxy.spoil("delay", stage.proxy.runs(COMMIT), seconds=1.0)
    assert stage.post(ping())
    assert rule.hits == 1
    stage.heal()


def test_redis_is_killed_and_comes_back_with_its_file(stage):
    stage.aws.fault(queue_arn("findings"), "fail")
    events = [ping() for _ in range(10)]
    assert all(stage.post(one) for one in events)
    stage.redis.kill9()
    late = ping()
    assert not stage.post(late)
    stage.aws.heal()
    stage.redis.start()
    stage.recover(late)
