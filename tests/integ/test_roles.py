# SPDX-License-Identifier: Apache-2.0
"""The dispatch role of each account is known to work, or not, before an event needs it."""

import pytest
from catalogs import MEMBER, OTHER, account, role_arn, roles, rule, target
from conftest import Gateway
from weir import wait_until

NO_ROLE = "777777777777"
CATALOG = {
    "accounts": [account(MEMBER), account(OTHER), {"id": NO_ROLE, "sources": ["*"]}],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}
EVERY = {"aws": {"role_check_every": "2s"}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("gateway"), catalog=CATALOG, config=EVERY) as running:
        yield running


def health(gateway, one):
    return gateway.weir.admin("GET", f"/v1/accounts/{one}")["dispatch_role_health"]


def becomes(gateway, one, state):
    return wait_until(lambda: (found := health(gateway, one))["state"] == state and found,
                      f"{one} is {state}", 60, 0.1)


def events(gateway, name):
    return [line for line in gateway.weir.log_path.read_text().splitlines() if name in line]


def test_roles_are_checked_although_nothing_was_sent(gateway):
    for one in (MEMBER, OTHER):
        found = becomes(gateway, one, "healthy")
        assert found["error"] is None
        assert found["checked_at"] >= found["since"]
    assert health(gateway, NO_ROLE) is None
    stats = gateway.weir.stats()
    assert stats["roles"]["healthy"] == 2 and stats["roles"]["unchecked"] == 0
    assert stats["roles"]["sts_calls"] >= 2
    assert stats["totals"]["received"] == 0
    for call in gateway.aws.lines("assume_role"):
        assert call["session"] == "weir-dispatch"
        assert call["tags"] == {"weir-account": call["role"].split(":")[4]}


def test_a_role_that_breaks_and_heals_is_told(gateway):
    becomes(gateway, OTHER, "healthy")
    gateway.aws.control(remove_roles=[role_arn(OTHER)])
    found = becomes(gateway, OTHER, "broken")
    assert found["error"]["code"] == "REMOTE_DENIED"
    assert "AccessDenied" in found["error"]["message"]
    shown = gateway.weir.cli("account", "show", OTHER).stdout
    assert '"broken"' in shown and "AccessDenied" in shown
    assert gateway.weir.stats("/accounts/" + OTHER)["role_broken"] == 1
    assert 'weir_roles_broken 1' in gateway.weir.admin("GET", "/metrics")
    assert health(gateway, MEMBER)["state"] == "healthy"
    assert len(events(gateway, "role.broken")) == 1
    assert OTHER in events(gateway, "role.broken")[0]

    (trust,) = [{"arn": arn, "external_id": external} for arn, external in roles(OTHER).items()]
    gateway.aws.control(roles=[trust])
    assert becomes(gateway, OTHER, "healthy")["error"] is None
    (line,) = events(gateway, "role.healed")
    assert OTHER in line
    assert gateway.weir.stats()["roles"]["broken"] == 0


def test_an_sts_that_does_not_answer_says_nothing_of_roles(gateway):
    checked = becomes(gateway, MEMBER, "healthy")["checked_at"]
    broken = len(events(gateway, "role.broken"))
    gateway.aws.fault("sts", "fail")
    try:
        found = wait_until(lambda: (one := health(gateway, MEMBER))["error"] and one,
                           "the failure shows", 60, 0.1)
        assert found["state"] == "healthy" and found["checked_at"] >= checked
        assert found["error"]["code"] == "REMOTE_FAILED"
    finally:
        gateway.aws.heal()
    wait_until(lambda: health(gateway, MEMBER)["error"] is None, "it answers again", 60, 0.1)
    assert len(events(gateway, "role.broken")) == broken

