# SPDX-License-Identifier: Apache-2.0
"""A store that lost its catalog is given it back by one command: from what a gateway remembers, or
from a file.  Keys work again, what was suspended or revoked stays so, on every replica.
"""

import json

import pytest
import redis
from catalogs import MEMBER, OTHER, account, envelope, rule, target
from clients import curl
from replicas import Replicas
from weir import Weir, wait_until

CATALOG = {"accounts": [account(MEMBER), account(OTHER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]}
SECONDS = 10  # what is in force within a quarter of a second, on a machine that is busy


def post(weir, key):
    return curl(weir, "/events", data=json.dumps(envelope(source="com.example.app", detail_type="Ping")),
                headers=["Content-Type: application/json", f"{key['header']}: {key['key']}"])


def status(weir, key):
    return post(weir, key).status


class Stage:
    """Gateways whose catalog has a good key, a revoked one and a suspended account."""

    def __init__(self, weirs):
        first = weirs[0]
        self.weirs = weirs
        first.apply(CATALOG)
        self.good = first.issue(MEMBER, "api-key")
        self.basic = first.issue(MEMBER, "basic")
        self.revoked = first.issue(MEMBER, "api-key")
        self.suspended = first.issue(OTHER, "api-key")
        first.revoke(self.revoked["credential"])
        first.cli("account", "suspend", OTHER)
        self.export = first.export()
        self.check()

    def check(self):
        """All of it is in force on every gateway."""
        for weir in self.weirs:
            wait_until(lambda one=weir: status(one, self.good) == 200
                       and status(one, self.revoked) == 403
                       and status(one, self.suspended) == 403, "the catalog is in force", SECONDS)
            wait_until(lambda one=weir: one.export() == self.export, "it is whole", SECONDS)
            basic = curl(weir, "/events", "--user", f"{self.basic['user']}:{self.basic['password']}",
                         data=json.dumps(envelope(source="com.example.app")),
                         headers=["Content-Type: application/json"])
            assert basic.status == 200


def redis_of(world):
    return redis.Redis(port=world.redis.port)


def next_uid(world):
    """What the next target is known by, in deliveries and archives that outlive the catalog."""
    stored = redis_of(world).hget("{catalog}:d", "meta/uid")  # behind a head of its own
    return json.loads(stored[stored.index(b"{"):])["next"]


def flush(world):
    redis_of(world).flushall()
    for weir in world.weirs:
        wait_until(lambda one=weir: "catalog.lost" in one.log_tail(400), "the loss is seen", SECONDS)


def refused(weir, *arguments):
    done = weir.cli("restore", *arguments, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.fixture(name="world")
def make_world(tmp_path):
    with Replicas(tmp_path, 2) as running:
        yield running


def test_an_emptied_redis_gets_back_what_a_gateway_remembers(world):
    stage = Stage(world.weirs)
    first, second = world.weirs
    rev = first.stats()["replica"]["catalog_rev"]
    acts = first.admin("GET", "/v1/audit?limit=1000")["records"]
    assert "the store has a catalog" in refused(first)
    assert "the store has a catalog" in refused(second)
    identity = redis_of(world).hget("g:meta", "uuid")
    flush(world)
    # Records are checked by the identity of the store: the one that was emptied keeps it.
    wait_until(lambda: redis_of(world).hget("g:meta", "uuid") == identity, "it is the same", SECONDS)
    assert first.apply({"rules": []}, check=False).returncode != 0
    assert "revision" in first.cli("restore").stdout
    stage.check()
    for weir in world.weirs:
        assert weir.stats()["replica"]["catalog_rev"] > rev
        assert weir.admin("GET", "/v1/audit/verify")["mistakes"] == []
    after = second.admin("GET", "/v1/audit?limit=1000")["records"]
    assert [one["action"] for one in after[:-len(acts)]].count("POST /v1/restore") >= 1
    assert after[-len(acts):] == acts
    assert "the store has a catalog" in refused(second)
    # What follows is as if nothing had been: a change, and a gateway that starts on what was restored.
    new = second.issue(MEMBER, "api-key")
    second.revoke(stage.good["credential"])
    wait_until(lambda: status(first, new) == 200 and status(first, stage.good) == 403,
               "a change is seen", SECONDS)
    second.restart()
    assert status(second, new) == 200
    assert status(second, stage.good) == 403
    assert second.export() == stage.export
    assert [weir.drain()["ledger"]["balanced"] for weir in world.weirs] == [True, True]


def test_a_lost_redis_gets_back_what_a_file_holds(world, tmp_path):
    stage = Stage(world.weirs)
    first, second = world.weirs
    backup = tmp_path / "catalog.backup"
    first.cli("backup", "--catalog", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o600
    assert first.cli("backup", "--catalog", str(backup), check=False).returncode == 1
    text = backup.read_text()
    for secret in (stage.good["key"], stage.basic["password"]):
        assert secret not in text
    for weir in world.weirs:
        assert weir.stop() == 0
    redis_of(world).flushall()
    for weir in world.weirs:
        weir.start()
    assert status(first, stage.good) == 403
    assert "remembers no catalog" in refused(first)
    backup.write_text(text.replace('"events"', '"event5"').replace(MEMBER, OTHER))
    assert "was changed, or written under another seal key" in refused(first, str(backup))
    backup.write_text(text[:-20])
    assert "cut off" in refused(first, str(backup))
    backup.write_text(text)
    done = second.cli("restore", str(backup))
    assert "what was revoked since is good again" in done.stdout
    stage.check()
    assert first.admin("GET", "/v1/audit/verify")["mistakes"] == []


def test_a_file_that_is_older_than_what_is_remembered_must_be_asked_for(world, tmp_path):
    stage = Stage(world.weirs)
    first = world.weirs[0]
    backup = str(tmp_path / "catalog.backup")
    first.cli("backup", "--catalog", backup)
    later = first.issue(MEMBER, "api-key")
    first.revoke(stage.basic["credential"])
    first.apply({**CATALOG, "rules": [*CATALOG["rules"], rule("later", {"source": ["later"]},
                                                              target("findings"))]})
    given = next_uid(world)
    flush(world)
    assert "remembers a newer catalog" in refused(first, backup)
    first.cli("restore", backup, "--older")
    stage.check()  # the basic credential among it: the command says so
    assert next_uid(world) > given, "a number that was given is given to nobody else"
    for weir in world.weirs:
        assert status(weir, later) == 403


def test_a_restore_that_was_broken_off_counts_as_nothing_and_is_run_again(world):
    """While the store holds a part, replicas keep what they have in memory and change nothing."""
    stage = Stage(world.weirs)
    first, second = world.weirs
    flush(world)
    world.relays[0].cut_behind = b"meta/restoring"  # the first step is done, and nobody is told
    assert "broken off" in refused(first)
    marked = redis_of(world).hget("{catalog}:d", "meta/restoring")
    assert marked.endswith(b"}") and redis_of(world).hlen("{catalog}:d") == 1
    assert status(second, stage.good) == 200
    assert status(second, stage.revoked) == 403
    assert second.apply({"rules": []}, check=False).returncode != 0
    assert second.export() == stage.export
    world.relays[0].mend()
    second.cli("restore")
    stage.check()
    assert redis_of(world).hget("{catalog}:d", "meta/restoring").endswith(b"}") is False


def test_an_embedded_store_that_is_new_gets_the_catalog_too(tmp_path):
    with Weir(tmp_path / "old") as weir:
        stage = Stage([weir])
        backup = str(tmp_path / "catalog.backup")
        weir.cli("backup", "--catalog", backup)
        seal_key = (weir.folder / "seal.key").read_bytes()
        assert "the store has a catalog" in refused(weir)
        stage.check()
    with Weir(tmp_path / "foreign") as weir:
        assert "another seal key" in refused(weir, backup)
        weir.stop()
        (weir.folder / "seal.key").write_bytes(seal_key)
        weir.start()
        weir.cli("restore", backup)
        stage.weirs = [weir]
        stage.check()
        weir.restart()
        stage.check()
