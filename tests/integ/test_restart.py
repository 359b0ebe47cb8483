# SPDX-License-Identifier: Apache-2.0
"""What was answered survives kill -9; what is owed is paid after the restart."""

from catalogs import MEMBER, entry, queue_arn
from clients import Boto3
from weir import wait_until


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
        # The key was issued before the kill, and still opens the door.
        assert Boto3(gateway.weir, key).put([entry()]).ok


def test_a_clean_stop_leaves_nothing_undone(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        told = put_some(gateway, gateway.weir.issue(MEMBER, "sigv4"), 5)
        assert gateway.weir.stop() == 0
        gateway.weir.start()
        gateway.weir.drain()
        assert all(gateway.arrived(event_id) for event_id in told)
