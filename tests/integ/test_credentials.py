# SPDX-License-Identifier: Apache-2.0
"""Who may call POST /events, and how: Basic, OAuth clients and their tokens, certificates."""

import base64
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import urllib.parse

import pytest
from catalogs import MEMBER, OTHER, envelope
from clients import curl
from weir import wait_until

VERSIONS = {"1.1": "--http1.1", "2": "--http2"}
FORM = "Content-Type: application/x-www-form-urlencoded"


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def post(weir, *headers, event=None, version="--http2"):
    return curl(weir, "/events", data=event or envelope(), version=version,
                headers=["Content-Type: application/json", *headers])


def ask_token(weir, *headers, version="--http2", **form):
    return curl(weir, "/oauth/token", data=urllib.parse.urlencode(form), version=version,
                headers=[FORM, *headers])


def token_of(weir, client):
    answer = ask_token(weir, client_id=client["client_id"], client_secret=client["client_secret"])
    assert answer.status == 200, answer
    return answer.json["access_token"]


def bearer(token):
    return f"Authorization: Bearer {token}"


@pytest.fixture(scope="module")
def user(weir):
    return weir.issue(MEMBER, "basic")


@pytest.fixture(scope="module")
def client(weir):
    return weir.issue(MEMBER, "oauth")


def test_what_issue_prints(weir, user, client):
    assert user["kind"] == "basic" and user["credential"] == user["user"]
    assert client["kind"] == "oauth" and client["credential"] == client["client_id"]
    shown = weir.cli("account", "show", MEMBER).stdout
    assert user["user"] in shown and user["password"] not in shown
    assert client["client_id"] in shown and client["client_secret"] not in shown


@pytest.mark.parametrize("name", VERSIONS)
def test_basic_sends_events(gateway, weir, user, name):
    event = envelope()
    answer = post(weir, basic(user["user"], user["password"]), event=event, version=VERSIONS[name])
    assert (answer.status, answer.version) == (200, name)
    (message,) = wait_until(lambda: gateway.arrived(event["id"]), "the event arrived")
    assert json.loads(message["body"])["account"] == MEMBER


def test_basic_relays_only_for_its_account(weir, user):
    answer = post(weir, basic(user["user"], user["password"]), event=envelope(account=OTHER))
    assert answer.status == 403


def test_every_refusal_of_basic_is_the_same(weir, user):
    answers = [post(weir, *headers) for headers in (
        (), (basic(user["user"], "x" * 43),), (basic("wb_aaaaaaaaaa", user["password"]),),
        (basic(user["user"], ""),), ("Authorization: Basic !!!",), ("Authorization: Negotiate x",))]
    assert {answer.status for answer in answers} == {403}
    assert len({json.dumps(answer.json) for answer in answers}) == 1


# As connections of EventBridge may send it: by form, by Basic, with what their owner added.
WAYS = {
    "form": lambda c: ((), {"grant_type": "client_credentials", "client_id": c["client_id"],
                            "client_secret": c["client_secret"]}),
    "form without a grant": lambda c: ((), {"client_id": c["client_id"],
                                            "client_secret": c["client_secret"]}),
    "basic": lambda c: ((basic(c["client_id"], c["client_secret"]),),
                        {"grant_type": "client_credentials"}),
    "basic and the id again": lambda c: ((basic(c["client_id"], c["client_secret"]),),
                                         {"client_id": c["client_id"]}),
    "with extra parameters": lambda c: (("x-custom: 1",), {
        "client_id": c["client_id"], "client_secret": c["client_secret"], "scope": "events put",
        "audience": "https://weir.example.net/", "grant_type": "client_credentials"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_gets_a_token_and_sends_events(gateway, weir, client, way):
    name = list(VERSIONS)[list(WAYS).index(way) % 2]
    headers, form = WAYS[way](client)
    answer = ask_token(weir, *headers, version=VERSIONS[name], **form)
    assert answer.status == 200
    assert answer.json["token_type"] == "Bearer"
    assert 0 < answer.json["expires_in"] <= 3600
    assert answer.headers["cache-control"] == "no-store"
    event = envelope()
    sent = post(weir, bearer(answer.json["access_token"]), event=event, version=VERSIONS[name])
    assert sent.status == 200
    assert wait_until(lambda: gateway.arrived(event["id"]), "the event arrived")


def test_every_refusal_of_a_client_is_the_same(weir, client, user):
    forms = [{}, {"client_id": client["client_id"]},
             {"client_id": client["client_id"], "client_secret": "x" * 43},
             {"client_id": "wa_aaaaaaaaaa", "client_secret": client["client_secret"]},
             {"client_id": user["user"], "client_secret": user["password"]}]
    answers = [ask_token(weir, **form) for form in forms]
    answers.append(ask_token(weir, "Authorization: Basic !!!"))
    assert {answer.status for answer in answers} == {401}
    assert {answer.json["error"] for answer in answers} == {"invalid_client"}
    assert len({json.dumps(answer.json) for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Basic realm="weir"'}


def test_what_the_token_endpoint_does_not_take(weir, client):
    good = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    twice = urllib.parse.urlencode([*good.items(), ("client_id", client["client_id"])])
    two_ways = ask_token(weir, basic(client["client_id"], client["client_secret"]), **good)
    assert (two_ways.status, two_ways.json["error"]) == (400, "invalid_request")
    answer = curl(weir, "/oauth/token", data=twice, headers=[FORM])
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    answer = ask_token(weir, **good, grant_type="password")
    assert (answer.status, answer.json["error"]) == (400, "unsupported_grant_type")
    answer = curl(weir, "/oauth/token", data=json.dumps(good), headers=[
        "Content-Type: application/json"])
    assert answer.status == 415
    assert curl(weir, "/oauth/token?" + urllib.parse.urlencode(good)).status == 405
    assert curl(weir, "/oauth/token", data="a=" + "x" * 17000, headers=[FORM]).status == 413


def test_a_token_that_is_not_good_is_401_with_a_challenge(weir, client):
    token = token_of(weir, client)
    for bad in ("x", token[:-1], token + "x", token.replace(MEMBER, OTHER)):
        answer = post(weir, bearer(bad))
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="weir", error="invalid_token"'


def test_an_expired_token_is_401_so_that_a_new_one_is_fetched(tmp_path, gateway_in):
    with gateway_in(tmp_path, config={"limits": {"token_time": "1s"}}) as gateway:
        client = gateway.weir.issue(MEMBER, "oauth")
        token = token_of(gateway.weir, client)
        answer = wait_until(lambda: (lambda a: a if a.status != 200 else None)(
            post(gateway.weir, bearer(token))), "the token has expired")
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="weir", error="invalid_token"'
        # A slow machine may let one expire on its way; EventBridge then asks again, as here.
        wait_until(lambda: post(gateway.weir, bearer(token_of(gateway.weir, client))).status == 200,
                   "a fresh token speaks")


@pytest.mark.parametrize("kind", ["basic", "oauth"])
def test_revoking_ends_a_credential_and_its_tokens(weir, kind):
    old, new = weir.issue(MEMBER, kind), weir.issue(MEMBER, kind)

    def header(one):
        return (basic(one["user"], one["password"]) if kind == "basic"
                else bearer(token_of(weir, one)))
    headers = [header(old), header(new)]
    assert [post(weir, one).status for one in headers] == [200, 200]
    weir.revoke(old["credential"])
    assert [post(weir, one).status for one in headers] == [403 if kind == "basic" else 401, 200]


def test_a_token_ends_with_its_client(weir):
    client = weir.issue(MEMBER, "oauth", "--expires", "10m")
    answer = ask_token(weir, client_id=client["client_id"], client_secret=client["client_secret"])
    assert 0 < answer.json["expires_in"] <= 600


def test_a_suspended_account_is_refused(weir):
    user, client = weir.issue(OTHER, "basic"), weir.issue(OTHER, "oauth")
    token = token_of(weir, client)
    weir.cli("account", "suspend", OTHER)
    try:
        assert post(weir, basic(user["user"], user["password"])).status == 403
        assert post(weir, bearer(token)).status == 401
        refused = ask_token(weir, client_id=client["client_id"],
                            client_secret=client["client_secret"])
        assert refused.status == 401
    finally:
        weir.cli("account", "resume", OTHER)
    assert post(weir, bearer(token), event=envelope(account=OTHER)).status == 200


# ---- client certificates --------------------------------------------------------------------------

def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_client(folder, name, ca="client-ca", usage="clientAuth", days=30, key=None):
    """NAME.pem and NAME.key for a caller, vouched for by an authority that is made on demand."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not (folder / f"{ca}.pem").exists():
        openssl(folder, "req", "-x509", *curve, "-keyout", f"{ca}.key", "-out", f"{ca}.pem",
                "-days", "30", "-subj", f"/CN={ca}", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
    made = ["-new", "-key", f"{key}.key"] if key else [*curve, "-keyout", f"{name}.key"]
    openssl(folder, "req", *made, "-out", f"{name}.csr", "-subj", "/CN=anything")
    (folder / f"{name}.ext").write_text(f"basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
            f"{ca}.key", "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out",
            f"{name}.pem")
    return folder / f"{name}.pem", folder / f"{key or name}.key"


class Caller:
    """One TLS client, with a certificate, and its session for the next connection."""

    def __init__(self, weir, certificate=None, key=None):
        self._weir, self.session, self.resumed = weir, None, False
        self._context = ssl.create_default_context(cafile=str(weir.ca))
        # Under TLS 1.2 the session is there with the handshake, whatever else is sent.
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        if certificate:
            self._context.load_cert_chain(certificate, key)

    def connect(self):
        link = self._context.wrap_socket(
            socket.create_connection(("localhost", self._weir.data_port), 30),
            server_hostname="localhost", session=self.session)
        self.session, self.resumed = link.session, link.session_reused
        return link

    def post(self, link=None, *headers):
        """The status of one event, on a connection of its own unless given one."""
        own = link or self.connect()
        body = json.dumps(envelope()).encode()
        own.sendall("\r\n".join(["POST /events HTTP/1.1", "Host: localhost", *headers,
                                 f"Content-Length: {len(body)}", "", ""]).encode() + body)
        answer = http.client.HTTPResponse(own)
        answer.begin()
        answer.read()
        if link is None:
            own.close()
        return answer.status


@pytest.fixture(scope="module")
def mutual(tmp_path_factory, gateway_in):
    """A gateway that takes certificates, and two callers' certificates bound to the member."""
    folder = tmp_path_factory.mktemp("mutual")
    make_client(folder, "one")
    make_client(folder, "two")
    config = {"listen": {"data": {"client_ca": str(folder / "client-ca.pem")}}}
    with gateway_in(folder, config=config) as running:
        running.files = folder
        running.issued = {name: running.weir.issue(MEMBER, "certificate", "--certificate",
                                                   folder / f"{name}.pem") for name in ("one", "two")}
        yield running


def caller_of(mutual, name, key=None):
    return Caller(mutual.weir, mutual.files / f"{name}.pem", mutual.files / f"{key or name}.key")


@pytest.mark.parametrize("name", VERSIONS)
def test_a_certificate_sends_events_as_its_account(mutual, name):
    event = envelope()
    answer = curl(mutual.weir, "/events", "--cert", mutual.files / "one.pem", "--key",
                  mutual.files / "one.key", data=event, version=VERSIONS[name],
                  headers=["Content-Type: application/json"])
    assert (answer.status, answer.version) == (200, name)
    assert wait_until(lambda: mutual.arrived(event["id"]), "the event arrived")
    forged = curl(mutual.weir, "/events", "--cert", mutual.files / "one.pem", "--key",
                  mutual.files / "one.key", data=envelope(account=OTHER), version=VERSIONS[name],
                  headers=["Content-Type: application/json"])
    assert forged.status == 403


def test_a_key_is_bound_once_and_renewals_keep_it(mutual):
    with pytest.raises(RuntimeError, match="exists"):
        mutual.weir.issue(OTHER, "certificate", "--certificate", mutual.files / "one.pem")
    make_client(mutual.files, "renewed", key="one")
    assert caller_of(mutual, "renewed", "one").post() == 200


def test_without_a_certificate_other_credentials_still_count(mutual):
    user = mutual.weir.issue(MEMBER, "basic")
    assert Caller(mutual.weir).post() == 403
    header = basic(user["user"], user["password"])
    assert Caller(mutual.weir).post(None, header) == 200
    assert caller_of(mutual, "one").post(None, header) == 200
    assert caller_of(mutual, "one").post(None, basic(user["user"], "x" * 43)) == 403


def test_a_certificate_that_is_bound_to_nobody_is_refused(mutual):
    make_client(mutual.files, "nobody")
    assert caller_of(mutual, "nobody").post() == 403


@pytest.mark.parametrize("wrong", [{"ca": "other-ca"}, {"usage": "serverAuth"}],
                         ids=["authority", "usage"])
def test_a_certificate_that_is_not_good_ends_the_handshake(mutual, wrong):
    name = "wrong-" + "".join(wrong)
    make_client(mutual.files, name, key="one", **wrong)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        caller_of(mutual, name, "one").post()


def test_revoking_ends_it_on_open_connections_and_resumed_sessions(mutual):
    make_client(mutual.files, "brief")
    issued = mutual.weir.issue(MEMBER, "certificate", "--certificate", mutual.files / "brief.pem")
    caller, bystander = caller_of(mutual, "brief"), caller_of(mutual, "two")
    link = caller.connect()
    assert caller.post(link) == 200
    assert caller.post() == 200 and caller.resumed, "a resumed session brings its certificate"
    mutual.weir.revoke(issued["credential"])
    assert caller.post(link) == 403
    assert caller.post() == 403 and caller.resumed
    link.close()
    assert bystander.post() == 200


def test_tickets_do_not_outlive_the_authorities(mutual):
    """Another file of authorities: no session that the old one vouched for is resumed."""
    caller = caller_of(mutual, "two")
    assert caller.post() == 200
    make_client(mutual.files, "stranger", ca="new-ca")
    shutil.copy(mutual.files / "client-ca.pem", mutual.files / "old.pem")
    shutil.copy(mutual.files / "new-ca.pem", mutual.files / "client-ca.pem")
    try:
        mutual.weir.stop()
        mutual.weir.start()
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            caller.post()
    finally:
        shutil.copy(mutual.files / "old.pem", mutual.files / "client-ca.pem")
        mutual.weir.stop()
        mutual.weir.start()
    assert caller_of(mutual, "two").post() == 200
