# SPDX-License-Identifier: Apache-2.0
"""What is set aside because its target keeps failing is shown, and lifted by hand, on both engines.

The target asks for five minutes of peace with its failure, so that whatever arrives here within a
minute came by the hand and not by time.
"""

import json

import pytest
from catalogs import MEMBER, OTHER, entry, queue_arn
from clients import Boto3
from redis_server import RedisServer
from weir import AdminError, wait_until

FINDINGS = queue_arn("findings")


@pytest.fixture(scope="module", params=["embedded", "redis"])
def parked(request, tmp_path_factory, gateway_in):
    """(gateway, id of the event that failed, id of the one behind it)"""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "redis":
        with RedisServer(tmp_path_factory.mktemp("server")) as redis, \
                gateway_in(folder, store=redis.url) as gateway:
            yield park(gateway)
    else:
        with gateway_in(folder) as gateway:
            yield park(gateway)


def park(gateway):
    client = Boto3(gateway.weir, gateway.weir.issue(MEMBER, "sigv4"))
    gateway.aws.fault(FINDINGS, "fail", headers={"Retry-After": "300"})
    (failed,) = client.put([entry()]).event_ids
    wait_until(lambda: gateway.weir.stats()["totals"]["retried"] >= 1, "the failure", 60)
    (behind,) = client.put([entry()]).event_ids
    wait_until(lambda: parks(gateway), "the park", 60)
    gateway.aws.heal()
    return gateway, failed, behind


def parks(gateway):
    return gateway.weir.admin("GET", "/v1/parks")["parks"]


def test_a_park_is_shown_and_lifted(parked):
    gateway, failed, behind = parked
    (row,) = parks(gateway)
    assert (row["account"], row["rule"], row["target"]) == (MEMBER, "central/pings", FINDINGS)
    totals = gateway.weir.stats()["totals"]
    assert totals["parks"] - totals["parks_ended"] == 1 and totals["parks_lifted"] == 0

    with pytest.raises(AdminError, match="name a filter"):
        gateway.weir.admin("POST", "/v1/parks/lift")
    assert gateway.weir.cli("parks", "lift", check=False).returncode == 1
    assert json.loads(gateway.weir.cli("parks", "lift", "--account", OTHER).stdout)["count"] == 0
    assert FINDINGS in gateway.weir.cli("parks", "list", "--rule", "central/pings").stdout

    gateway.weir.cli("parks", "lift", "--account", MEMBER, "--target", FINDINGS)
    wait_until(lambda: gateway.arrived(behind), "what waited behind the park", 60)
    assert not gateway.arrived(failed)  # its own next attempt is minutes away
    totals = gateway.weir.stats()["totals"]
    assert totals["parks_lifted"] == 1 and parks(gateway) == []
