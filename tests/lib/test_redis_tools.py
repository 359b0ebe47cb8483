# SPDX-License-Identifier: Apache-2.0
"""The Redis that tests start fails as it is told to, and the proxy before it does what it says."""

import socket
import sys
import time
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))
from redis_server import RedisCluster, RedisServer  # noqa: E402
from resp_proxy import RespProxy, calls, error, mentions  # noqa: E402
from weir import wait_until  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def proxy(server):
    server.call("FLUSHALL")
    with RespProxy(server.port) as running:
        yield running


def through(proxy, timeout_s=5):
    """A connection that retries nothing."""
    return redis.Redis("127.0.0.1", proxy.port, socket_timeout=timeout_s,
                       single_connection_client=True, retry=None)


def test_what_was_answered_survives_a_kill(tmp_path):
    with RedisServer(tmp_path) as server:
        with server.client() as client:
            for number in range(200):
                client.set(f"k{number}", number)
        server.kill9()
        assert not server.answers()
        server.start()
        assert server.call("DBSIZE") == 200


def test_a_stopped_server_answers_nobody_until_it_goes_on(tmp_path):
    with RedisServer(tmp_path) as server:
        server.sigstop()
        with pytest.raises(redis.TimeoutError):
            server.client(socket_timeout=0.2).ping()
        server.sigcont()
        assert server.answers()


def test_a_replica_follows_and_is_promoted(tmp_path):
    with RedisServer(tmp_path / "a") as primary:
        with RedisServer(tmp_path / "b", replica_of=primary) as replica:
            replica.wait_for_link()
            primary.call("SET", "k", "v")
            replica.catch_up_with(primary)
            with pytest.raises(redis.ReadOnlyError):
                replica.call("SET", "k", "w")
            before = primary.info("replication")["master_replid"]
            primary.kill9()
            replica.promote()
            assert replica.call("GET", "k") == b"v"
            assert replica.call("SET", "k", "w")
            assert replica.info("replication")["master_replid"] != before


def test_password_users_memory_and_settings(tmp_path):
    users = ["user weir on >other ~m:* +get +set"]
    with RedisServer(tmp_path, password="secret", maxmemory="5mb", config_lines=users) as server:
        with pytest.raises(redis.AuthenticationError):
            server.client(password=None).ping()
        weir = server.client(username="weir", password="other")
        assert weir.set("m:1", "x")
        with pytest.raises(redis.ResponseError):
            weir.set("x:1", "x")
        server.config_set(maxmemory="1mb", maxmemory_policy="allkeys-lru")
        assert server.config_get("maxmemory-policy") == "allkeys-lru"


def test_tls_only(tmp_path):
    with RedisServer(tmp_path, tls=True) as server:
        assert server.url.startswith("rediss://localhost:")
        assert server.call("SET", "k", "v")
        with pytest.raises(redis.RedisError):
            server.client(ssl=False, socket_timeout=1).ping()


def test_a_cluster_shares_the_slots(tmp_path):
    with RedisCluster(tmp_path) as cluster:
        moved = 0
        for number in range(30):
            try:
                cluster.nodes[0].call("SET", f"k{number}", "v")
            except redis.ResponseError as refused:
                assert "MOVED" in str(refused)
                moved += 1
        assert 0 < moved < 30


def test_a_server_that_cannot_start_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-setting"):
        RedisServer(tmp_path, no_such_setting="1").start()


def test_the_proxy_changes_nothing_unasked(proxy):
    client = through(proxy)
    assert client.set("k", b"\r\n\x00$3") and client.get("k") == b"\r\n\x00$3"
    assert client.get("none") is None
    pipe = client.pipeline(transaction=True)
    for number in range(100):
        pipe.rpush("list", number)
    assert pipe.execute() == list(range(1, 101))
    assert client.lrange("list", 0, 2) == [b"0", b"1", b"2"]
    with pytest.raises(redis.ResponseError):
        client.incr("list")


def test_a_cut_comes_after_the_command_was_executed(proxy, server):
    rule = proxy.spoil("cut", calls("INCRBY"), count=1)
    with pytest.raises(redis.ConnectionError):
        through(proxy).incr("n")
    assert (server.call("GET", "n"), rule.hits) == (b"1", 1)
    assert through(proxy).incr("n") == 2


def test_a_cut_before_keeps_the_command_from_redis(proxy, server):
    proxy.spoil("cut_before", calls("INCRBY"), count=1)
    with pytest.raises(redis.ConnectionError):
        through(proxy).incr("n")
    assert server.call("GET", "n") is None


@pytest.mark.parametrize("text", [
    "READONLY x", "LOADING x", "OOM x", "MISCONF x", "NOREPLICAS x", "BUSY x", "NOAUTH x",
    "WRONGTYPE x", "CROSSSLOT x", "TRYAGAIN x"])
def test_an_error_is_answered_in_its_place(proxy, server, text):
    rule = proxy.spoil("answer", calls("INCRBY"), count=1, data=error(text))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as raw:
        raw.sendall(b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\nINCRBY n 1\r\n"
                    b"*2\r\n$4\r\nECHO\r\n$1\r\nb\r\nQUIT\r\n")
        with raw.makefile("rb") as stream:
            assert stream.read() == b"$1\r\na\r\n" + error(text) + b"$1\r\nb\r\n+OK\r\n"
    assert server.call("GET", "n") is None and rule.hits == 1


@pytest.mark.parametrize("mode", ["garbage", "oversize", "half"])
def test_spoiled_replies_are_no_replies(proxy, server, mode):
    proxy.spoil(mode, mentions("secret-key"), count=1)
    with pytest.raises((redis.RedisError, ValueError)):
        through(proxy, timeout_s=0.5).set("secret-key", "v")
    assert server.call("GET", "secret-key") == b"v"


def test_a_reply_is_delayed_and_one_rewritten(proxy):
    proxy.spoil("delay", calls("GET"), count=1, seconds=0.3)
    proxy.spoil("rewrite", calls("INFO"), change=lambda reply: b"+old\r\n")
    client, begin_s = through(proxy), time.monotonic()
    assert client.get("k") is None
    assert time.monotonic() - begin_s >= 0.3
    client.set_response_callback("INFO", lambda reply: reply)
    assert client.info() == b"old"


def test_one_rule_ends_and_another_stays(proxy):
    first, second = (proxy.spoil("answer", calls(name), data=error("BUSY"))
                     for name in ("GET", "SET"))
    proxy.unspoil(first)
    with through(proxy) as client:
        assert client.get("a") is None
        with pytest.raises(redis.ResponseError):
            client.set("a", 1)
    proxy.unspoil(first)
    assert (first.hits, second.hits) == (0, 1)


def test_a_script_is_known_by_its_text(proxy):
    client = through(proxy)
    first = client.script_load("-- first\nreturn 1")
    second = client.script_load("-- second\nreturn 2")
    rule = proxy.spoil("answer", proxy.runs("-- first"), data=b":7\r\n")
    assert (client.evalsha(first, 0), client.evalsha(second, 0), rule.hits) == (7, 2, 1)


@pytest.mark.parametrize("requests, replies, executed", [
    (True, True, None), (True, False, None), (False, True, b"1")])
def test_a_stall_holds_one_direction_or_both(proxy, server, requests, replies, executed):
    client = through(proxy, timeout_s=0.3)
    client.ping()
    proxy.stall(requests, replies)
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    assert server.call("GET", "n") == executed
    proxy.heal()
    wait_until(lambda: through(proxy).ping(), "the proxy lets through again", 5)


def test_refused_is_refused_until_healed(proxy):
    client, port = through(proxy), proxy.port
    assert client.ping()
    proxy.refuse()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    with pytest.raises(redis.ConnectionError):
        through(proxy)
    proxy.heal()
    assert proxy.port == port and through(proxy).ping()


def test_the_end_of_redis_is_passed_on(tmp_path):
    with RedisServer(tmp_path) as server, RespProxy(server.port) as proxy:
        client = through(proxy)
        assert client.ping()
        server.kill9()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()
        assert through(proxy).ping()
