# SPDX-License-Identifier: Apache-2.0
"""The admin listener: health for anybody, the rest for who holds the token."""

import json
import urllib.error
import urllib.request

import pytest
from catalogs import MEMBER, entry
from clients import Boto3
from weir import AdminError

ENTRIES = ("received", "refused", "throttled", "failed", "duplicate", "unmatched", "committed")
DELIVERIES = ("created", "delivered", "retried", "dead", "dropped", "expired", "redriven", "live")


def plain(weir, path, **headers):
    request = urllib.request.Request(weir.admin_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_needs_no_token(weir):
    assert plain(weir, "/healthz")[0] == 200
    assert plain(weir, "/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/v1/stats", "/metrics", "/v1/accounts", "/v1/dead"])
@pytest.mark.parametrize("headers", [
    {}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer "}])
def test_the_rest_needs_the_token(weir, path, headers):
    assert plain(weir, path, **headers)[0] == 401


def test_a_foreign_host_and_a_foreign_origin_are_refused(weir):
    token = {"Authorization": f"Bearer {weir.token()}"}
    assert plain(weir, "/v1/stats", **token)[0] == 200
    assert plain(weir, "/v1/stats", Host="evil.example", **token)[0] in (403, 421)
    assert plain(weir, "/v1/stats", Origin="https://evil.example", **token)[0] == 403


def test_the_token_file_is_private(weir):
    assert (weir.state / "admin.token").stat().st_mode & 0o777 == 0o600


def test_stats_tell_what_happened(weir, key):
    before = weir.drain()
    Boto3(weir, key).put([entry(), entry(source=""), entry(detail_type="Unheard")])
    after = weir.drain()
    moved = {name: after["totals"][name] - before["totals"][name] for name in ENTRIES + DELIVERIES}
    assert moved == {**dict.fromkeys(ENTRIES + DELIVERIES, 0), "received": 3, "refused": 1,
                     "unmatched": 1, "committed": 1, "created": 1, "delivered": 1}
    assert after["ledger"]["balanced"] is True
    assert after["store"]["kind"] == "embedded"
    own = weir.stats(f"/accounts/{MEMBER}")
    assert own == {**own, **{name: after["accounts"][MEMBER][name] for name in ENTRIES}}
    assert after["rules"]["central/pings"]
    for stage in ("auth", "match", "commit", "call", "end_to_end"):
        assert set(after["latency"][stage]) == {"count", "p50_us", "p90_us", "p99_us", "max_us"}


def test_the_command_shows_the_same_document(weir):
    assert json.loads(weir.cli("stats", "--json").stdout).keys() == weir.stats().keys()


def test_metrics_are_in_prometheus_form(weir):
    text = weir.admin("GET", "/metrics")
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2, line
    assert "weir_" in text


def test_an_unknown_path_is_told_so(weir):
    with pytest.raises(AdminError) as caught:
        weir.admin("GET", "/v1/nowhere")
    assert caught.value.status == 404
    assert set(json.loads(caught.value.body)["error"]) == {"code", "message"}
