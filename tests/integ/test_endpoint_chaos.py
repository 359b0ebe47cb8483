# SPDX-License-Identifier: Apache-2.0
"""However an HTTPS endpoint fails, each event is delivered or dead, and which of both its policy says.

The far side is hostile.py, which does on the wire what no server should; then TLS that cannot be
trusted, and names that lead where nobody may go.
"""

import contextlib
import json
import subprocess

import pytest
from catalogs import CENTRAL, MEMBER, rule
from hostile import Hostile
from test_target_chaos import EVENTS, dead, send
from weir import REGION, ROOT, Weir, make_certificate, make_certificates, wait_until

ARN = f"arn:aws:events:{REGION}:{CENTRAL}:"
DELIVERED, SPENT = None, "attempts-exhausted"
# How each ends that may not be tried again.  A 2xx is taken whatever follows it, if that is only more
# than weir reads; what breaks off or takes too long has not answered.
STORIES = {
    "well": DELIVERED, "slow-down": DELIVERED, "short": DELIVERED, "liar": DELIVERED,
    "endless-head": DELIVERED, "endless-body": DELIVERED, "huge": DELIVERED,
    "broken": SPENT, "hang": SPENT, "reset": SPENT, "drip": SPENT, "long": SPENT,
    "garbage": SPENT, "many-continues": SPENT,
    "redirect": "SDK_CLIENT_ERROR",
}
KEPT = ("well", "slow-down")  # the others do not say what they took
TLS = {"wrong-authority": "other", "wrong-name": "name", "expired": "over"}


def catalog(urls, policy=lambda name: {}):
    """An API destination for each name, at its URL."""
    return {
        "accounts": [{"id": MEMBER, "name": "member", "sources": ["*"]}, {"id": CENTRAL}],
        "connections": [{"account": CENTRAL, "name": "far", "authorization_type": "API_KEY",
                         "auth_parameters": {"api_key_auth_parameters": {
                             "api_key_name": "x-api-key", "api_key_value": {"file": "key"}}}}],
        "api_destinations": [{
            "account": CENTRAL, "name": name, "connection_arn": ARN + "connection/far",
            "invocation_endpoint": url, "http_method": "POST"} for name, url in urls.items()],
        "rules": [rule(name, {"detail-type": [name]}, {
            "id": name, "arn": f"{ARN}api-destination/{name}", "retry_policy": policy(name)})
            for name in urls]}


def no_retry(name):
    return {} if name == "slow-down" else {"maximum_retry_attempts": 0}


def port_of(url):
    return int(url.rsplit(":", 1)[1])


@contextlib.contextmanager
def running(folder, ports, allow=("127.0.0.0/8", "::1"), **options):
    """A weir that trusts the folder's authority and may dial these ports."""
    (folder / "key").write_text("a key\n")
    (folder / "key").chmod(0o600)
    with Weir(folder, config={"egress": {"allow": list(allow), "ports": list(ports),
                                         "ca": "ca.pem"}}, **options) as weir:
        yield weir


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    """(endpoint, weir, what was sent), once everything has ended."""
    folder = tmp_path_factory.mktemp("chaos")
    make_certificates(folder)
    with Hostile(folder / "server.pem", folder / "server.key") as far:
        with running(folder, [port_of(far.url)]) as weir:
            weir.apply(catalog({name: f"{far.url}/hooks/{name}" for name in STORIES}, no_retry))
            sent = send(weir, STORIES)
            weir.drain(120)
            yield far, weir, sent


@pytest.mark.parametrize("name", STORIES)
def test_each_event_ends_as_its_policy_says(chaos, name):
    far, weir, sent = chaos
    letters = dead(weir, name)
    assert far.calls[name] >= 1
    if STORIES[name] is DELIVERED:
        assert letters == []
        assert name not in KEPT or sorted(set(far.ids(name))) == sent[name]
    else:
        assert sorted(letter["event_id"] for letter in letters) == sent[name]
        assert {(letter["reason"], letter["attempts"]) for letter in letters} == {(STORIES[name], 1)}


def test_the_ledger_balances_and_no_redirect_is_followed(chaos):
    far, weir, sent = chaos
    lost = sum(len(ids) for name, ids in sent.items() if STORIES[name])
    stats = weir.stats()
    assert stats["ledger"]["balanced"] and not far.strangers
    assert (stats["totals"]["dead"], stats["totals"]["live"]) == (lost, 0)
    assert stats["totals"]["delivered"] == len(sent) * EVENTS - lost


def test_tls_that_cannot_be_trusted_gets_nothing(tmp_path):
    """Another authority, another name, a certificate that is over: no byte of a request is sent."""
    (tmp_path / "far").mkdir()
    make_certificates(tmp_path)
    make_certificates(tmp_path / "far")
    make_certificate(tmp_path, "name", "DNS:elsewhere.example")
    make_certificate(tmp_path, "over", days=-1)
    pairs = {"well": "server", "wrong-authority": "far/server", "wrong-name": "name",
             "expired": "over"}
    with contextlib.ExitStack() as stack:
        far = {name: stack.enter_context(Hostile(tmp_path / f"{pair}.pem", tmp_path / f"{pair}.key"))
               for name, pair in pairs.items()}
        weir = stack.enter_context(running(tmp_path, [port_of(one.url) for one in far.values()]))
        weir.apply(catalog({name: f"{one.url}/hooks/well" for name, one in far.items()},
                           lambda name: {"maximum_retry_attempts": 0}))
        sent = send(weir, pairs)
        weir.drain(120)
        assert sorted(set(far["well"].ids("well"))) == sent["well"] and not dead(weir, "well")
        for name in set(pairs) - {"well"}:
            letters = dead(weir, name)
            assert sorted(letter["event_id"] for letter in letters) == sent[name]
            assert {letter["reason"] for letter in letters} == {SPENT}
            assert not far[name].calls and not far[name].taken


INSIDE = {"loopback": "127.0.0.1", "private": "10.0.0.1", "shared": "100.64.0.1",
          "metadata": "169.254.169.254", "containers": "169.254.170.2", "mapped": "::ffff:10.0.0.1",
          "metadata6": "fd00:ec2::254"}


def test_names_that_lead_inside_are_not_dialled(tmp_path):
    """Whatever a name leads to is judged, and where a range is opened, metadata stay shut."""
    make_certificates(tmp_path)
    shim = tmp_path / "dial_shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", shim,
                    ROOT / "tests/accept/dial_shim.c", "-ldl"], check=True)
    (tmp_path / "names").write_text("".join(
        f"{name}.amazonaws.com {address}\n" for name, address in INSIDE.items()))
    dialled = tmp_path / "dialled"
    dialled.touch()
    env = {"LD_PRELOAD": shim, "DIAL_NAMES": tmp_path / "names", "DIAL_LOG": dialled}
    with running(tmp_path, [443], allow=["169.254.0.0/16", "fd00::/8"], env=env) as weir:
        weir.apply(catalog({name: f"https://{name}.amazonaws.com/hook" for name in INSIDE},
                           lambda name: {"maximum_retry_attempts": 0}))
        sent = send(weir, INSIDE)
        weir.drain(120)
        for name in INSIDE:
            letters = dead(weir, name)
            assert sorted(letter["event_id"] for letter in letters) == sent[name]
            assert all("may not be dialled" in letter["message"] for letter in letters), name
    assert dialled.read_text() == ""
