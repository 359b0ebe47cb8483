# SPDX-License-Identifier: Apache-2.0
"""What was answered survives kill -9; what is owed is paid after the restart."""

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catalogs import MEMBER, account, entry, queue_arn, rule, target
from clients import Boto3
from weir import Weir, wait_until

RECOVERED = ("recovery_ms", "recovered_events", "recovered_deliveries")


def put_some(gateway, key, count=20):
    client = Boto3(gateway.weir, key)
    return [event_id for _ in range(count) for event_id in client.put([entry()] * 5).event_ids]


def test_what_is_owed_is_paid_after_a_kill(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        key = gateway.weir.issue(MEMBER, "sigv4")
        gateway.aws.fault(queue_arn("findings"), "fail")
        told = put_some(gateway, key)
        gateway.weir.kill9()
        gateway.aws.heal()
        gateway.weir.start()
        for event_id in told:
            wait_until(lambda one=event_id: gateway.arrived(one), f"{event_id} arrived", 60)
        stats = gateway.weir.drain()
        assert stats["ledger"]["balanced"] is True
        found = {name: stats["store"][name] for name in RECOVERED}
        assert found["recovered_events"] == found["recovered_deliveries"] == len(told)
        opened = [json.loads(line) for line in gateway.weir.log_path.read_text().splitlines()
                  if '"store.open"' in line]
        assert len(opened) == 2 and found.items() <= opened[1].items()
        # The key was issued before the kill, and still opens the door.
        assert Boto3(gateway.weir, key).put([entry()]).ok


def test_a_clean_stop_leaves_nothing_undone(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        told = put_some(gateway, gateway.weir.issue(MEMBER, "sigv4"), 5)
        assert gateway.weir.stop() == 0
        gateway.weir.start()
        gateway.weir.drain()
        assert all(gateway.arrived(event_id) for event_id in told)


def gateway_on_a_moody_disk(tmp_path):
    """(weir, the switch that makes flushes fail, the one that makes them hang)"""
    shim, fails, hangs = tmp_path / "fail_flush.so", tmp_path / "fail", tmp_path / "hang"
    source = Path(__file__).with_name("fail_flush.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    env = {"LD_PRELOAD": str(shim), "FAIL_FLUSH": str(fails), "HANG_FLUSH": str(hangs),
           "ASAN_OPTIONS": "verify_asan_link_order=0"}
    weir = Weir(tmp_path / "weir", env=env, config={"workers": 1})
    weir.start()
    weir.apply({"accounts": [account(MEMBER)],
                "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]})
    return weir, fails, hangs


def test_a_failed_flush_ends_the_process_for_a_new_one_to_recover(tmp_path):
    weir, fails, _ = gateway_on_a_moody_disk(tmp_path)
    try:
        client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
        assert client.put([entry()] * 3).ok
        fails.touch()
        assert not client.put([entry()]).ok
        assert weir.process.wait(30) == 1, weir.log_tail()
        fails.unlink()
        weir.start()
        # Nobody was told that the fourth is stored; the disk may have kept it all the same.
        assert weir.stats()["totals"]["live"] in (3, 4)
        assert client.put([entry()]).ok
    finally:
        weir.kill9()


def test_a_store_that_hangs_gathers_nothing(tmp_path):
    weir, _, hangs = gateway_on_a_moody_disk(tmp_path)
    try:
        client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
        hangs.touch()
        late = client.put([entry()])  # answered at the deadline, with its commit still out
        assert late.entries[0]["ErrorCode"] == "InternalFailure"
        start = time.monotonic()
        refused = client.put([entry()] * 10)
        assert time.monotonic() - start < 2, "what follows is refused at once"
        assert {one["ErrorCode"] for one in refused.entries} == {"InternalFailure"}
        hangs.unlink()
        wait_until(lambda: client.put([entry()]).ok, "the store is served again", 10)
        totals = weir.stats()["totals"]
        # The late one was stored after all, the ten refused ones were not.
        assert totals["created"] == totals["committed"] + 1
        assert weir.stats()["ledger"]["balanced"] is True
    finally:
        hangs.unlink(missing_ok=True)
        weir.kill9()


def test_a_backup_under_load_pays_what_was_owed_when_it_began(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        key = gateway.weir.issue(MEMBER, "sigv4")
        gateway.aws.fault(queue_arn("findings"), "fail")
        told = put_some(gateway, key)
        with ThreadPoolExecutor() as pool:
            later = pool.submit(put_some, gateway, key)
            done = gateway.weir.cli("backup", "copy.db")
            later.result()
        copy = gateway.weir.folder / "copy.db"
        assert f"copy.db: {copy.stat().st_size} bytes in " in done.stdout
        again = gateway.weir.cli("backup", copy, check=False)
        assert again.returncode == 1 and "File exists" in again.stderr
        gateway.weir.kill9()
        gateway.aws.heal()
        before = {event_id for event_id in told if gateway.arrived(event_id)}
        assert not before
        # The copy alone, in an empty folder; the seal key lies beside the configuration.
        shutil.move(gateway.weir.state, tmp_path / "lost")
        gateway.weir.state.mkdir(mode=0o700)
        shutil.copy(copy, gateway.weir.state / "weir.db")
        gateway.weir.start()
        for event_id in told:
            wait_until(lambda one=event_id: gateway.arrived(one), f"{event_id} arrived", 60)
        assert gateway.weir.drain()["ledger"]["balanced"] is True
