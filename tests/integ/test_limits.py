# SPDX-License-Identifier: Apache-2.0
"""An account over its rate is told to slow down, per entry or with 429, and nobody else is."""

from catalogs import MEMBER, OTHER, account, entry, envelope, rule, target
from clients import Boto3, curl
from weir import wait_until

CATALOG = {
    "accounts": [account(MEMBER, limits={"events_per_second": 5, "burst": 20}), account(OTHER)],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}


def test_over_the_rate(tmp_path, gateway_in):
    with gateway_in(tmp_path, CATALOG) as gateway:
        weir = gateway.weir
        client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
        api_key = weir.issue(MEMBER, "api-key")
        results = [one for _ in range(10) for one in client.put([entry()] * 10).entries]
        codes = {one.get("ErrorCode") for one in results}
        assert codes == {None, "ThrottlingException"}
        accepted = sum("EventId" in one for one in results)
        assert 20 <= accepted <= 40

        for _ in range(20):
            answer = curl(weir, "/events", data=[envelope() for _ in range(50)], headers=[
                "Content-Type: application/json", f"{api_key['header']}: {api_key['key']}"])
            if answer.status != 200:  # else tokens had grown back; the others were refused
                break
            assert answer.json["failed"] >= 20
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1

        other = Boto3(weir, weir.issue(OTHER, "sigv4"))
        assert all(other.put([entry()] * 10).ok for _ in range(10))
        # And the first is served again when its tokens have grown.
        wait_until(lambda: client.put([entry()]).ok, "the account is served again", 5)
        stats = weir.drain()
        assert stats["totals"]["throttled"] > 0 and stats["ledger"]["balanced"] is True
