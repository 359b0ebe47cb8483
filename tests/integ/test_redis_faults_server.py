# SPDX-License-Identifier: Apache-2.0
"""A gateway whose Redis hangs, forgets its scripts, fails over, or is full: what was told stored
arrives, but for what a failover loses as published; and it is taken again within seconds.
"""

import json

import pytest
from catalogs import rule, target
from redis_server import RedisServer, seconds_until
from redis_stage import CATALOG, FINDINGS, RECOVERY_S, ping, stage_in
from weir import AdminError, wait_until

POLICY = {"min_replicas_to_write": "1", "min_replicas_max_lag": "3"}


@pytest.fixture
def stage(tmp_path):
    with stage_in(tmp_path) as running:
        assert running.post(ping())
        yield running


def unready(stage):
    """Why the gateway is not ready; none when it is."""
    try:
        return stage.weir.admin("GET", "/readyz")["reasons"]
    except AdminError as error:
        return json.loads(error.body)["reasons"]


def wait_for_replicas(stage, count):
    """Until the gateway knows how many replicas its Redis has: then commits wait for one."""
    wanted = "relaxed: commits wait for no replica" if count else "aof"
    wait_until(lambda: stage.guarantee() == wanted, f"{count} replicas are known")


def test_a_redis_that_hangs_is_refused_and_used_again(stage):
    event = ping()
    stage.redis.sigstop()
    assert not stage.post(event)
    stage.redis.sigcont()
    stage.recover(event)
    assert stage.arrivals().count(event["id"]) == 1


def test_a_redis_that_forgets_its_scripts_learns_them_again(stage):
    """Between any two commits: nobody is refused for it."""
    for _ in range(20):
        stage.redis.call("SCRIPT", "FLUSH")
        assert stage.post(ping())
    assert stage.check()["totals"]["failed"] == 0


def test_a_failover_to_a_replica_with_the_write_loses_nothing(tmp_path):
    with RedisServer(tmp_path / "primary", maxmemory="200mb", **POLICY) as primary, \
            RedisServer(tmp_path / "replica", maxmemory="200mb", replica_of=primary) as replica:
        replica.wait_for_link()
        with stage_in(tmp_path, primary) as stage:
            assert stage.guarantee() == "aof"
            assert stage.weir.stats()["totals"]["replid_changes"] == 0
            stage.aws.fault(FINDINGS, "fail")
            for _ in range(10):
                stage.send(ping())
            primary.kill9()
            late = ping()
            assert not stage.post(late)
            replica.promote()
            stage.lead_to(replica)
            stage.aws.heal()
            stage.recover(late)
            assert stage.guarantee() == "aof"
            assert stage.weir.stats()["totals"]["replid_changes"] == 1
            assert stage.logged("redis.replid_changed", level="error", changes=1)


def test_commits_are_refused_while_the_replica_does_not_acknowledge(tmp_path):
    with RedisServer(tmp_path / "primary", maxmemory="200mb") as primary, \
            RedisServer(tmp_path / "replica", maxmemory="200mb", replica_of=primary) as replica:
        replica.wait_for_link()
        with stage_in(tmp_path, primary) as stage:
            assert stage.guarantee() == "relaxed: min-replicas-to-write is 0"
            stage.send(ping())
            replica.sigstop()
            event = ping()
            assert not stage.post(event)
            replica.sigcont()
            assert seconds_until(lambda: stage.post(event), "taken again") <= RECOVERY_S
            stats = stage.weir.stats()  # the first commit was made, and the repetition is no second
            assert stats["totals"]["created"] == len(stage.told) == 2
            assert stats["ledger"]["balanced"] is True


def test_a_failover_keeps_an_answered_change_of_the_catalog(tmp_path):
    """Which waits for the replica as an event does: without one that acknowledges it is an error."""
    with RedisServer(tmp_path / "primary", maxmemory="200mb") as primary, \
            RedisServer(tmp_path / "replica", maxmemory="200mb", replica_of=primary) as replica:
        replica.wait_for_link()
        with stage_in(tmp_path, primary) as stage:
            assert stage.guarantee() == "relaxed: min-replicas-to-write is 0"
            replica.sigstop()
            more = {**CATALOG, "rules": [*CATALOG["rules"], rule(
                "pongs", {"detail-type": ["Pong"]}, target("findings"))]}
            assert stage.weir.apply(more, check=False).returncode != 0
            replica.sigcont()
            pongs = {**CATALOG, "rules": [rule(
                "pongs", {"detail-type": ["Ping", "Pong"]}, target("findings"))]}
            wait_until(lambda: stage.weir.apply(pongs, check=False).returncode == 0, "applied")
            primary.kill9()
            replica.promote()
            stage.lead_to(replica)
            wait_until(lambda: stage.logged("redis.replid_changed", changes=1), "the failover")
            assert not stage.logged("catalog.lost")
            stage.weir.restart()  # with nothing but what the replica holds
            assert [one["name"] for one in stage.weir.export()["rules"]] == ["pongs"]


def test_fewer_replicas_than_commits_wait_for_refuse_events(tmp_path):
    """And are alarmed, when some are there; with the one that was missing events are taken again."""
    with RedisServer(tmp_path / "primary", maxmemory="200mb", min_replicas_to_write="1") as primary, \
            RedisServer(tmp_path / "one", replica_of=primary) as one, \
            RedisServer(tmp_path / "two", replica_of=primary) as two:
        one.wait_for_link()
        two.wait_for_link()
        with stage_in(tmp_path, primary, config={"redis": {"wait_replicas": 2}}) as stage:
            first, event = ping(), ping()
            stage.send(first)
            two.kill9()
            assert not stage.post(event)
            wait_until(lambda: stage.logged("redis.replicas_short", level="error", connected=1,
                                            wait_replicas=2), "the alarm")
            assert not stage.post(event), "it does not make do with fewer"
            two.start()
            assert seconds_until(lambda: stage.post(event), "taken again") <= RECOVERY_S
            assert stage.weir.stats()["totals"]["created"] == len(stage.told) == 2


def test_a_redis_that_is_emptied_is_alarmed_and_used(stage):
    """What it held is lost, outside of what is claimed; the catalog in memory stays in force, and no
    change is made on top of one that is not stored."""
    assert stage.post(ping())
    stage.check()
    stage.redis.call("FLUSHALL")
    wait_until(lambda: stage.logged("catalog.lost", level="error", rev=0), "the alarm")
    stage.told.clear()
    event = ping()
    assert stage.post(event)
    wait_until(lambda: event["id"] in stage.arrivals(), "it is delivered by the known rules")
    assert stage.weir.drain()["ledger"]["balanced"] is True
    assert stage.weir.apply({"rules": []}, check=False).returncode != 0
    assert stage.weir.stop() == 0  # what the reference says is to be done then
    stage.weir.start()
    assert stage.prepare().post(ping())


def test_a_failover_to_a_replica_without_the_write_is_alarmed(tmp_path):
    """What only the old primary had is lost, as published; the caller's repetition is stored."""
    with RedisServer(tmp_path / "primary", maxmemory="200mb") as primary, \
            RedisServer(tmp_path / "replica", maxmemory="200mb", replica_of=primary) as replica:
        replica.wait_for_link()
        with stage_in(tmp_path, primary, config={"redis": {"wait_replicas": 0}}) as stage:
            wait_for_replicas(stage, 1)
            assert stage.logged("redis.guarantee", guarantee="relaxed: commits wait for no replica")
            replica.catch_up_with(primary)
            replica.promote()  # the old primary does not know, and is still asked
            stage.aws.fault(FINDINGS, "fail")
            lost = ping()
            assert stage.post(lost)
            assert stage.weir.stats()["totals"]["live"] == 1
            primary.kill9()
            stage.lead_to(replica)
            wait_until(lambda: stage.logged("redis.replid_changed", level="error", changes=1),
                       "the alarm")
            assert stage.weir.stats()["totals"]["replid_changes"] == 1
            assert "weir_replid_changes_total 1" in stage.weir.admin("GET", "/metrics")
            assert stage.weir.stats()["totals"]["live"] == 0
            assert seconds_until(lambda: stage.post(lost), "taken again") <= RECOVERY_S
            assert stage.weir.stats()["totals"]["live"] == 1
            stage.aws.heal()
            stage.check(repeats=1)


def test_a_full_redis_refuses_events_and_lets_deliveries_go_on(stage):
    stage.aws.fault(FINDINGS, "fail")
    assert all(stage.post(ping()) for _ in range(10))
    stage.redis.config_set(maxmemory=stage.redis.info("memory")["used_memory"] // 2)
    event = ping()
    assert not stage.post(event)
    wait_until(lambda: unready(stage) == ["store full"], "it says that the store is full")
    assert not stage.post(event)
    assert stage.refusals[-1] == 503
    assert stage.logged("redis.memory", level="error", above_percent=95)
    stage.aws.heal()
    stage.check()
    assert unready(stage) == ["store full"]
    stage.redis.config_set(maxmemory="200mb")
    stage.recover(event)
    assert unready(stage) == []
