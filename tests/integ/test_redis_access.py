# SPDX-License-Identifier: Apache-2.0
"""A gateway proves to its Redis who it is: by a password that changes, by a certificate."""

from redis_server import RedisServer, client_certificate, seconds_until
from redis_stage import RECOVERY_S, ping, secret_file, stage_in
from weir import wait_until

REREAD_S = 20  # a password is read again every 10 s, with jitter


def test_a_new_password_is_read_when_the_old_one_is_refused(tmp_path):
    with RedisServer(tmp_path / "redis", password="secret", maxmemory="200mb") as redis:
        path = secret_file(tmp_path)
        with stage_in(tmp_path, redis, config={"redis": {"password_file": path}}) as stage:
            assert stage.post(ping())
            redis.config_set(requirepass="other")
            stage.proxy.cut_all()
            event = ping()
            wait_until(lambda: not stage.post(event), "events are refused")
            wait_until(lambda: stage.logged("redis.greeting"), "the log says why")
            assert "WRONGPASS" in stage.logged("redis.greeting")[-1]["answer"]
            secret_file(tmp_path, "other")
            assert seconds_until(lambda: stage.post(event), "taken again", 60) <= REREAD_S
            stage.check()
            log = stage.weir.log_path.read_text()
            assert '"secret"' not in log and '"other"' not in log


def test_tls_with_a_client_certificate(tmp_path):
    with RedisServer(tmp_path / "redis", tls=True, maxmemory="200mb") as redis:
        tls = client_certificate(redis.folder)
        redis.config_set(tls_auth_clients="yes")
        with stage_in(tmp_path, redis, store=redis.url, config={"redis": tls}) as stage:
            assert stage.guarantee() == "aof"
            assert stage.post(ping())
            stage.check()
            redis.kill9()
            event = ping()
            assert not stage.post(event)
            redis.spawn()
            assert seconds_until(lambda: stage.post(event), "taken again") <= RECOVERY_S
            stage.check()
