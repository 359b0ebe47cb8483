# SPDX-License-Identifier: Apache-2.0
"""A gateway whose Redis fails in every way: what it cannot store it refuses, and what it told stored
arrives; a refused event sent again is the same event.

Each test has its own Redis, a proxy that spoils the way to it, and a gateway.
"""

import pytest
from catalogs import queue_arn
from redis_server import seconds_until
from redis_stage import RECOVERY_S, ping, stage_in
from resp_proxy import error

COMMIT = "-- commit.lua"


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
