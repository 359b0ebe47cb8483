# SPDX-License-Identifier: Apache-2.0
"""A principal of AWS proves to be it by STS alone, and no proof does more than that.

The proofs are presigned by the client of deploy/examples, the stand-in's STS checks them with
botocore, and the tests look at both ends: what weir answers, and what reached STS.
"""

import datetime
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import ssl

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from catalogs import MEMBER, OTHER, envelope
from weir import PYTHON, REGION, ROOT, environment, wait_until

sys.path.insert(0, str(ROOT / "deploy/examples/aws-identity"))
import weir_identity  # noqa: E402

SERVER = "weir.example.net"
GONE, SUSPENDED = "555566667777", "666677778888"
FORWARDER = f"arn:aws:iam::{MEMBER}:role/audit/forwarder"
USER = f"arn:aws:iam::{MEMBER}:user/people/alice"
REFUSED = (400, "invalid_grant", "the proof was not accepted")


def session_arn(account, role, session="s1"):
    return f"arn:aws:sts::{account}:assumed-role/{role}/{session}"


# Access key id, principal that STS knows it by, session token.
CALLERS = {
    "forwarder": ("ASIAFORWARDER0000001", session_arn(MEMBER, "forwarder"), "tok/en+with=signs=="),
    "alice": ("AKIAALICE00000000001", USER, None),
    "stranger": ("AKIASTRANGER00000001", f"arn:aws:iam::{MEMBER}:user/mallory", None),
    "near": ("ASIANEAR000000000001", session_arn(MEMBER, "forwarder2"), "t"),
    "same name elsewhere": ("ASIAELSEWHERE0000001", session_arn(GONE, "forwarder"), "t"),
    "other": ("ASIAOTHER00000000001", session_arn(OTHER, "anything"), "t"),
    "suspended": ("ASIASUSPENDED0000001", session_arn(SUSPENDED, "x"), "t"),
}


def credentials(who):
    key, _, token = CALLERS[who]
    return Credentials(key, f"secret-of-{who}", token)


@pytest.fixture(scope="module")
def running(tmp_path_factory, gateway_in):
    from conftest import CATALOG
    from catalogs import account
    catalog = {**CATALOG, "accounts": [*CATALOG["accounts"], account(SUSPENDED)]}
    with gateway_in(tmp_path_factory.mktemp("identity"), catalog,
                    config={"aws_identity": {"server_id": SERVER, "calls_per_second": 1000}}) as gateway:
        gateway.aws.control(callers=[
            {"access_key": key, "secret": f"secret-of-{who}", "account": arn.split(":")[4],
             "principal": arn, "token": token} for who, (key, arn, token) in CALLERS.items()])
        for owner, principal in ((MEMBER, FORWARDER), (MEMBER, USER),
                                 (OTHER, f"arn:aws:iam::{OTHER}:root"),
                                 (SUSPENDED, f"arn:aws:iam::{SUSPENDED}:root")):
            gateway.weir.issue(owner, "aws-identity", "--principal", principal)
        gateway.weir.cli("account", "suspend", SUSPENDED)
        yield gateway


def ask(weir, proof=None, text=None, headers=None, **form):
    """(status, parsed answer) of the token endpoint."""
    form = {"grant_type": weir_identity.GRANT, **({} if proof is None else {"assertion": proof}),
            **form}
    body = (text if text is not None else urllib.parse.urlencode(form)).encode()
    request = urllib.request.Request(weir.url + "/oauth/token", body, headers=headers or {})
    context = ssl.create_default_context(cafile=str(weir.ca))
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def refusal(weir, proof, **more):
    status, answer = ask(weir, proof, **more)
    return status, answer.get("error"), answer.get("error_description")


def prove(who, server=SERVER, region=REGION):
    return weir_identity.presign(server, region, credentials(who))


def token_of(weir, who):
    status, answer = ask(weir, prove(who))
    assert status == 200, answer
    assert answer["token_type"] == "Bearer" and 0 < answer["expires_in"] <= 900
    return answer["access_token"]


def post(weir, token, account):
    body = json.dumps(envelope(source="com.example.app", detail_type="Ping", account_id=account))
    request = urllib.request.Request(weir.url + "/events", body.encode(), headers={
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    context = ssl.create_default_context(cafile=str(weir.ca))
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


# ---- who is let in

@pytest.mark.parametrize(("who", "owner"), [("forwarder", MEMBER), ("alice", MEMBER),
                                            ("other", OTHER)])
def test_a_principal_speaks_for_its_account_and_no_other(running, who, owner):
    token = token_of(running.weir, who)
    stranger = OTHER if owner == MEMBER else MEMBER
    assert post(running.weir, token, owner)[0] == 200
    assert post(running.weir, token, stranger)[0] == 403


@pytest.mark.parametrize("who", ["stranger", "near", "same name elsewhere", "suspended"])
def test_who_was_not_let_in_gets_the_one_answer(running, who):
    assert refusal(running.weir, prove(who)) == REFUSED


def test_the_api_takes_the_token_with_the_rights_of_the_account(running):
    client = weir_identity.events_client(running.weir.url, token_of(running.weir, "forwarder"),
                                         REGION, str(running.weir.ca))
    client.put_rule(Name="mine", EventPattern=json.dumps({"source": ["x"]}))
    assert [rule["Name"] for rule in client.list_rules()["Rules"]] == ["mine"]
    assert client.describe_event_bus()["Arn"].split(":")[4] == MEMBER
    answer = client.put_events(Entries=[{"Source": "com.example.app", "DetailType": "Ping",
                                         "Detail": "{}"}])
    assert answer["FailedEntryCount"] == 0
    for owner in (OTHER, "999999999999"):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.list_rules(EventBusName=f"arn:aws:events:{REGION}:{owner}:event-bus/default")


def test_sources_of_aws_need_a_forwarder(running):
    weir = running.weir
    before = token_of(weir, "alice")
    event = json.dumps(envelope(source="aws.guardduty", detail_type="x", account_id=MEMBER))
    context = ssl.create_default_context(cafile=str(weir.ca))

    def send(token):
        request = urllib.request.Request(weir.url + "/events", event.encode(), headers={
            "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=60, context=context).status
        except urllib.error.HTTPError as error:
            return error.code

    assert send(before) == 403
    shown = json.loads(weir.cli("account", "show", MEMBER).stdout)["credentials"]
    old = next(one["id"] for one in shown if one.get("principal") == USER)
    weir.revoke(old)
    assert send(before) == 401  # the token ends with what let it in
    assert refusal(weir, prove("alice")) == REFUSED
    issued = weir.issue(MEMBER, "aws-identity", "--principal", USER, forwarder=True)
    assert issued["credential"] == old and set(issued) == {"credential", "account", "kind",
                                                           "expires", "principal"}
    assert send(token_of(weir, "alice")) == 200


def test_a_clients_token_manages_no_rules(running):
    client = running.weir.issue(MEMBER, "oauth")
    status, answer = ask(running.weir, text=urllib.parse.urlencode(
        {"client_id": client["client_id"], "client_secret": client["client_secret"]}))
    assert status == 200 and post(running.weir, answer["access_token"], MEMBER)[0] == 200
    events = weir_identity.events_client(running.weir.url, answer["access_token"], REGION,
                                         str(running.weir.ca))
    with pytest.raises(ClientError) as refused:
        events.list_rules()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401


def test_the_example_prints_a_token(running, tmp_path):
    key, _, token = CALLERS["forwarder"]
    done = subprocess.run(
        [PYTHON, ROOT / "deploy/examples/aws-identity/weir_identity.py", running.weir.url,
         "--server-id", SERVER, "--ca", running.weir.ca], capture_output=True, text=True,
        timeout=60, cwd=tmp_path, env=environment(
            AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY="secret-of-forwarder",
            AWS_SESSION_TOKEN=token))
    assert done.returncode == 0, done.stderr
    assert post(running.weir, json.loads(done.stdout)["access_token"], MEMBER)[0] == 200


# ---- what reaches STS

def test_sts_is_sent_the_same_request_whatever_the_proof_is(running):
    before = len(running.aws.lines("caller_identity"))
    token_of(running.weir, "forwarder")
    sent = running.aws.lines("caller_identity")[before:]
    assert len(sent) == 1 and sent[0]["allowed"]
    assert sent[0]["headers"] == {"host": f"sts.{REGION}.amazonaws.com",
                                  "x-weir-server-id": SERVER}
    assert sent[0]["body"] == 0
    assert [name for name, _ in sent[0]["target"]] == [
        "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
        "X-Amz-SignedHeaders"]


# ---- hostile proofs

def sign(url, headers, who="forwarder", region=REGION, expires=60, service="sts", method="GET"):
    request = AWSRequest(method, url, headers=headers)
    SigV4QueryAuth(credentials(who), service, region, expires=expires).add_auth(request)
    return request.url


ACTION = "?Action=GetCallerIdentity&Version=2011-06-15"
HOST = f"https://sts.{REGION}.amazonaws.com/"
NAMED = {"x-weir-server-id": SERVER}


def swap(old, new):
    return lambda proof: proof.replace(old, new)


# Each is one a person could hope for; the word is in what weir says.
HOSTILE = {
    "host of the caller": (lambda: sign(f"https://evil.example/{ACTION}", NAMED), "must begin"),
    "host that begins well": (lambda: sign(HOST[:-1] + f".evil.example/{ACTION}", NAMED),
                              "must begin"),
    "userinfo": (lambda: sign(f"https://sts.{REGION}.amazonaws.com:443@evil.example/{ACTION}",
                              NAMED), "must begin"),
    "port": (lambda: sign(HOST[:-1] + f":8443/{ACTION}", NAMED), "must begin"),
    "no TLS": (lambda: prove("forwarder").replace("https", "http", 1), "must begin"),
    "path": (lambda: sign(HOST + "x" + ACTION, NAMED), "must begin"),
    "global host": (lambda: sign("https://sts.amazonaws.com/" + ACTION, NAMED), "must begin"),
    "region not taken": (lambda: prove("forwarder", region="eu-west-1"), "must begin"),
    "another region's scope": (lambda: sign(HOST + ACTION, NAMED, region="eu-west-1"), "REGION"),
    "another service": (lambda: sign(HOST + ACTION, NAMED, service="iam"), "sts/aws4_request"),
    "other action": (lambda: sign(
        HOST + "?Action=GetSessionToken&Version=2011-06-15", NAMED), "Action must be"),
    "AssumeRole": (lambda: sign(
        HOST + "?Action=AssumeRole&Version=2011-06-15&RoleArn=x", NAMED), "Action must be"),
    "two actions": (lambda: prove("forwarder") + "&Action=GetCallerIdentity", "twice"),
    "no action": (lambda: sign(HOST + "?Version=2011-06-15", NAMED), "Action is missing"),
    "more parameters": (lambda: sign(HOST + ACTION + "&DurationSeconds=900", NAMED), "parameter"),
    "empty parameter more": (lambda: sign(HOST + ACTION + "&x=", NAMED), "parameter"),
    "no server id": (lambda: sign(HOST + ACTION, {}), "X-Amz-SignedHeaders must be"),
    "more signed headers": (lambda: sign(HOST + ACTION, {**NAMED, "x-more": "1"}),
                            "X-Amz-SignedHeaders must be"),
    "server id in the query": (lambda: sign(HOST + ACTION + f"&x-weir-server-id={SERVER}", {}),
                               "X-Amz-SignedHeaders must be"),
    "long life": (lambda: sign(HOST + ACTION, NAMED, expires=3600), "X-Amz-Expires"),
    "no life": (lambda: sign(HOST + ACTION, NAMED, expires=0), "X-Amz-Expires"),
    "a life of signs": (lambda: sign(HOST + ACTION, NAMED, expires="+60"), "X-Amz-Expires"),
    "header smuggled by the token": (
        lambda: swap("X-Amz-Security-Token=", "X-Amz-Security-Token=%0d%0ax-evil:1")(
            prove("forwarder")), "X-Amz-Security-Token"),
    "request smuggled by the key": (
        lambda: swap("ASIAFORWARDER0000001", "ASIA%20HTTP/1.1%0d%0a%0d%0aGET")(prove("forwarder")),
        "X-Amz-Credential"),
    "a slash in the key": (lambda: swap("ASIAFORWARDER0000001", "ASIAFORWARDER0000001/x")(
        prove("forwarder")), "X-Amz-Credential"),
    "signature too short": (lambda: prove("forwarder")[:-1], "X-Amz-Signature"),
    "signature in capitals": (lambda: prove("forwarder")[:-64] + prove("forwarder")[-64:].upper()
                              + "&", "X-Amz-Signature"),
    "fragment": (lambda: prove("forwarder") + "#x", "X-Amz-Signature"),
    "bad escape": (lambda: prove("forwarder") + "%", "cannot be read"),
    "another algorithm": (lambda: swap("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")(
        prove("forwarder")), "X-Amz-Algorithm"),
    "not a URL": (lambda: "GetCallerIdentity", "must begin"),
    "huge": (lambda: prove("forwarder") + "a" * 13000, "over"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_proof_of_another_form_never_reaches_sts(running, name):
    make, word = HOSTILE[name]
    before = len(running.aws.lines("caller_identity"))
    status, error, why = refusal(running.weir, make())
    assert (status, error) == (400, "invalid_grant") and word in why, (status, error, why)
    assert len(running.aws.lines("caller_identity")) == before


def moved(seconds):
    """A proof that was signed at another time."""
    when = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    request = AWSRequest("GET", HOST + ACTION, headers=NAMED)
    signer = SigV4QueryAuth(credentials("forwarder"), "sts", REGION, expires=60)
    request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request.url


@pytest.mark.parametrize(("seconds", "word"), [(-61, "expired"), (-86400, "expired"),
                                               (400, "not valid yet"), (86400, "not valid yet")])
def test_a_proof_is_good_for_its_own_minute(running, seconds, word):
    status, error, why = refusal(running.weir, moved(seconds))
    assert (status, error) == (400, "invalid_grant") and word in why


def test_a_proof_for_another_server_is_refused_by_sts(running):
    for server in ("weir.example.org", SERVER + ".", SERVER.upper(), "x"):
        assert refusal(running.weir, prove("forwarder", server)) == REFUSED
    assert not running.aws.lines("caller_identity")[-1]["allowed"]


def test_a_signature_of_other_values_is_refused_by_sts(running):
    proof = prove("forwarder")
    other = prove("alice")
    for changed in (proof[:-64] + other[-64:], proof[:-1] + ("0" if proof[-1] != "0" else "1"),
                    proof.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
                    proof.replace("ASIAFORWARDER0000001", "ASIAFORWARDER0000002"),
                    proof.replace("X-Amz-Security-Token=tok", "X-Amz-Security-Token=tak")):
        assert changed != proof and refusal(running.weir, changed) == REFUSED


# ---- the request around it

@pytest.mark.parametrize(("more", "error"), [
    ({"client_secret": "x"}, "invalid_request"),
    ({"headers": {"Authorization": "Basic eDp5"}}, "invalid_request"),
    ({"headers": {"Authorization": "Bearer x"}}, "invalid_request"),
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"text": "grant_type=" + weir_identity.GRANT}, "invalid_request"),
    ({"text": f"grant_type={weir_identity.GRANT}&assertion=a&assertion=b"}, "invalid_request")])
def test_one_way_of_proving_a_request(running, more, error):
    status, answer = ask(running.weir, prove("forwarder"), **more)
    assert (status, answer["error"]) == (400, error)


def test_a_body_that_is_too_large_is_not_read(running):
    status, _ = ask(running.weir, "a" * 20000)
    assert status == 413


# ---- STS in trouble

NOBODY = ("<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>u</UserId>"
          "<Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")
TROUBLE = {
    "down": {"mode": "reset"},
    "an error of its own": {"mode": "fail"},
    "throttled": {"mode": "throttle"},
    "a redirect": {"mode": "fail", "status": 302, "code": "Moved",
                   "headers": {"Location": "http://127.0.0.1:1/"}},
    "something else than XML": {"mode": "answer", "body": "<html><p>hello"},
    "refused by something else": {"mode": "answer", "status": 403, "body": "go away"},
    "nothing": {"mode": "answer", "body": ""},
    "entities": {"mode": "answer", "body": "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"},
    "too much": {"mode": "answer", "body": " " * 20000 + NOBODY},
    "an account that is none": {"mode": "answer", "body": NOBODY.format(
        arn=session_arn(MEMBER, "forwarder"), account="111122223333x")},
    "two accounts": {"mode": "answer", "body": NOBODY.format(
        arn=session_arn(OTHER, "forwarder"), account=MEMBER)},
}


@pytest.mark.parametrize("name", TROUBLE)
def test_an_sts_in_trouble_refuses_nobody_and_lets_nobody_in(running, name):
    running.aws.fault("sts", **TROUBLE[name])
    try:
        status, answer = ask(running.weir, prove("forwarder"))
    finally:
        running.aws.heal()
    assert (status, answer.get("error")) == (503, "temporarily_unavailable")
    assert ask(running.weir, prove("forwarder"))[0] == 200


def test_denied_by_sts_is_the_one_answer(running):
    running.aws.fault("sts", "deny", count=1)
    assert refusal(running.weir, prove("forwarder")) == REFUSED


def test_an_sts_that_hangs_is_given_up(running):
    running.aws.fault("sts", "hang", count=1, seconds=30)
    status, answer = ask(running.weir, prove("forwarder"))
    assert (status, answer["error"]) == (503, "temporarily_unavailable")
    assert ask(running.weir, prove("forwarder"))[0] == 200


def test_a_token_ends_when_the_configuration_says(running):
    running.weir.stop()
    running.weir.config["aws_identity"]["token_time"] = "1s"
    running.weir.write_config()
    running.weir.start()
    token = token_of(running.weir, "forwarder")
    wait_until(lambda: post(running.weir, token, MEMBER)[0] == 401, "the token has ended")
    assert post(running.weir, token_of(running.weir, "forwarder"), MEMBER)[0] == 200


# ---- letting in

@pytest.mark.parametrize("principal", [
    "", "forwarder", FORWARDER.replace(MEMBER, OTHER), f"arn:aws:iam::{MEMBER}:role/*",
    f"arn:aws:iam::{MEMBER}:role/", f"arn:aws:iam::{MEMBER}:group/x", f"arn:aws:iam::{MEMBER}:*",
    f"arn:aws:sts::{MEMBER}:assumed-role/forwarder", f"arn:aws:sts::{MEMBER}:root",
    f"arn:aws:iam:{REGION}:{MEMBER}:role/x", f"arn:aws:iam::{MEMBER}:role/" + "x" * 300])
def test_a_principal_that_nobody_could_be_is_not_let_in(running, principal):
    done = running.weir.cli("account", "issue", MEMBER, "--kind", "aws-identity",
                            *(("--principal", principal) if principal else ()), check=False)
    assert done.returncode == 1 and "principal" in done.stderr


def test_a_principal_is_let_in_once(running):
    done = running.weir.cli("account", "issue", MEMBER, "--kind", "aws-identity", "--principal",
                            FORWARDER, check=False)
    assert done.returncode == 1 and "exists already" in done.stderr
    other_kind = running.weir.cli("account", "issue", MEMBER, "--kind", "basic", "--principal",
                                  FORWARDER, check=False)
    assert other_kind.returncode == 1 and "principal" in other_kind.stderr
