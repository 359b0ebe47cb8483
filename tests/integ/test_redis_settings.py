# SPDX-License-Identifier: Apache-2.0
"""How a Redis is set decides what a gateway promises: its guarantee, a start that it refuses, events
that it refuses when that changes while it runs.
"""

import contextlib

import pytest
from redis_server import RedisServer, client_certificate
from redis_stage import ping, secret_file, stage_in
from resp_proxy import RespProxy, calls
from weir import Weir, wait_until


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis"), maxmemory="200mb") as running:
        yield running


@pytest.fixture(scope="module")
def stage(tmp_path_factory, redis):
    with stage_in(tmp_path_factory.mktemp("stage"), redis) as running:
        yield running


# -- while it runs -------------------------------------------------------------------------------


def test_eviction_stops_events_and_lets_deliveries_go_on(stage, redis):
    assert stage.guarantee() == "aof"
    stage.aws.fault("*", "fail")
    event = ping()
    assert stage.post(event)
    redis.config_set(maxmemory_policy="allkeys-lru")
    late = ping()
    wait_until(lambda: not stage.post(ping()), "events are refused")
    assert not stage.post(late) and stage.refusals[-1] == 503
    assert stage.logged("redis.refused", level="error")[-1]["reason"].startswith("maxmemory-policy")
    stage.aws.heal()
    stage.check()
    redis.config_set(maxmemory_policy="noeviction")
    stage.recover(late)


@pytest.mark.parametrize("name, value, before, word", [
    ("appendfsync", "no", "always", "relaxed: appendfsync no"),
    ("appendfsync", "everysec", "always", "relaxed: appendfsync everysec"),
    ("appendonly", "no", "yes", "relaxed: no append-only file"),
])
def test_a_weaker_setting_changes_the_guarantee(stage, redis, name, value, before, word):
    """In the statistics and in the log, and back."""
    assert stage.guarantee() == "aof"
    redis.config_set(**{name: value})
    wait_until(lambda: stage.guarantee() == word, "the statistics say so")
    assert stage.logged("redis.guarantee", level="warn", guarantee=word)
    assert f"guarantee {word}" in stage.weir.cli("stats").stdout
    assert stage.post(ping())
    redis.config_set(**{name: before})
    wait_until(lambda: stage.guarantee() == "aof", "and that it is as promised again")
    assert stage.logged("redis.guarantee", level="info", guarantee="aof")


# -- what it says at the start -------------------------------------------------------------------


def acl(*more):
    return ["user weir on >secret resetchannels ~* +@all " + " ".join(more)]


@pytest.mark.parametrize("durability, word", [
    ("aof", "relaxed: settings cannot be verified"), ("managed-log", "managed-log"),
    ("relaxed", "relaxed: as configured")])
def test_a_service_that_hides_its_settings_is_called_what_it_is(tmp_path, durability, word):
    with RedisServer(tmp_path / "redis", maxmemory="200mb",
                     config_lines=acl("-config")) as redis:
        with stage_in(tmp_path, redis, config={"redis": {
                "user": "weir", "password_file": secret_file(tmp_path),
                "durability": durability}}) as stage:
            assert stage.guarantee() == word
            assert stage.logged("control.ready", guarantee=word)
            assert stage.post(ping())


def says_version(proxy, old):
    """Its INFO names an older release of the same length."""
    def change(reply):
        return reply.replace(b"redis_version:7.0.", f"redis_version:{old}".encode())
    proxy.spoil("rewrite", calls("INFO"), change=change)


class Started:
    """A gateway that should not start."""

    def __init__(self, folder, store, config=None):
        self.weir = Weir(folder, store=store, config=config)
        self.weir.spawn()

    def refusal(self):
        """What it says when it ends, which it does by itself."""
        try:
            assert self.weir.process.wait(40) == 1
            self.weir.process = None
        finally:
            self.weir.kill9()
        return self.weir.log_tail()


def test_a_redis_that_must_not_be_used_ends_the_start(tmp_path):
    with contextlib.ExitStack() as stack:
        def server(name, **more):
            return stack.enter_context(RedisServer(tmp_path / f"redis-{name}", **more))

        old = stack.enter_context(RespProxy(server("old").port))
        says_version(old, "6.2.")
        primary, locked = server("primary"), server("tls", tls=True)
        tls = client_certificate(locked.folder)
        locked.config_set(tls_auth_clients="yes")
        foreign = str(Weir(tmp_path / "foreign").ca)  # of a gateway that never starts
        cases = {
            "maxmemory-policy is not noeviction": (
                server("evicts", maxmemory_policy="volatile-lru").url, None),
            "no-appendfsync-on-rewrite is yes": (
                server("rewrites", no_appendfsync_on_rewrite="yes").url, None),
            "it is older than Redis 7.0": (old.url, None),
            "INFO is forbidden to this user": (
                server("mute", config_lines=acl("-info")).url,
                {"redis": {"user": "weir", "password_file": secret_file(tmp_path)}}),
            # These may pass, so they are waited for.
            "WRONGPASS": (
                server("locked", password="right").url,
                {"redis": {"password_file": secret_file(tmp_path)}}),
            "it is a replica": (server("replica", replica_of=primary).url, None),
            "CLUSTERDOWN": (server("slotless", cluster=True).url, None),
            '"redis.closed"': (locked.url, {"redis": {"ca": tls["ca"]}}),
            "handshake_failed": (locked.url, {"redis": {**tls, "ca": foreign}}),
        }
        started = {reason: Started(tmp_path / f"weir-{index}", store, config)
                   for index, (reason, (store, config)) in enumerate(cases.items())}
        said = {reason: one.refusal() for reason, one in started.items()}
    for reason, log in said.items():
        assert reason in log, f"{reason}:\n{log}"
