# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every route of the admin listener for every role, every action of the EventBridge
API for every kind of credential and every account's bus.

Goal:   denied by default.  What is in the product's table and not in this one fails, so a new route
        or action is decided here before it is in use.
Method: each cell is one real request.  "Allowed" means that it got past the door: what is behind may
        still find it wanting (a 404, a missing member), but never 401 or 403.
"""

import json
import re
import ssl
import urllib.error
import urllib.request
from http.client import HTTPSConnection

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from catalogs import MEMBER, OTHER, account, rule, target
from weir import CENTRAL, REGION, ROOT

ROLES = ("viewer", "payload-viewer", "account-admin", "operator")
EVERYBODY, VIEWERS, PAYLOAD = ("nobody", *ROLES), ROLES, ("payload-viewer", "operator")
ACCOUNTS, OPERATORS = ("account-admin", "operator"), ("operator",)
# Decided here, not read from the product: who gets past the door of each route.
ROUTES = {
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): VIEWERS,
    ("GET", "/v1/stats"): VIEWERS,
    ("GET", "/v1/stats/*"): VIEWERS,
    ("GET", "/v1/trace/*"): VIEWERS,
    ("GET", "/v1/explain"): PAYLOAD,
    ("POST", "/v1/explain"): PAYLOAD,
    ("GET", "/v1/catalog"): VIEWERS,
    ("POST", "/v1/catalog"): OPERATORS,
    ("GET", "/v1/accounts"): VIEWERS,
    ("GET", "/v1/accounts/*"): VIEWERS,
    ("PUT", "/v1/accounts/*"): ACCOUNTS,
    ("DELETE", "/v1/accounts/*"): ACCOUNTS,
    ("POST", "/v1/accounts/*/suspend"): ACCOUNTS,
    ("POST", "/v1/accounts/*/resume"): ACCOUNTS,
    ("POST", "/v1/accounts/*/credentials"): ACCOUNTS,
    ("DELETE", "/v1/credentials/*"): ACCOUNTS,
    ("GET", "/v1/dead"): PAYLOAD,
    ("POST", "/v1/dead/redrive"): OPERATORS,
    ("POST", "/v1/dead/drop"): OPERATORS,
    ("GET", "/v1/parks"): VIEWERS,
    ("POST", "/v1/parks/lift"): OPERATORS,
    ("POST", "/v1/backup"): OPERATORS,
    ("POST", "/v1/restore"): OPERATORS,
    ("GET", "/v1/audit"): OPERATORS,
    ("GET", "/v1/audit/verify"): OPERATORS,
}
ASLEEP = "888877776666"
NOWHERE = "000000000000"  # no such account: what is allowed changes nothing


def table_of(text, pattern):
    return re.findall(pattern, text, re.MULTILINE)


def product_routes():
    text = (ROOT / "gateway/admin_routes.def").read_text()
    return set(table_of(text, r'^ROUTE\((\w+),\s+"([^"]+)"'))


def ask(weir, method, path, token=None, body=b"", **headers):
    """Status and text of one request to the admin listener."""
    bearer = {"Authorization": f"Bearer {token}"} if token is not None else {}
    data = body if method in ("POST", "PUT") else None
    request = urllib.request.Request(weir.admin_url + path, data, method=method,
                                     headers={**bearer, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def tokens(weir):
    """A token for each role, and those that open nothing."""
    def issue(role, *more, account_id=CENTRAL):
        return json.loads(weir.cli("account", "issue", account_id, "--kind", "operator", "--role",
                                   role, *more).stdout)

    held = {role: issue(role)["token"] for role in ROLES}
    revoked = issue("operator")
    weir.revoke(revoked["credential"])
    weir.admin("PUT", f"/v1/accounts/{ASLEEP}", {"name": "asleep"})
    suspended = issue("operator", account_id=ASLEEP)
    weir.cli("account", "suspend", ASLEEP)
    expired = issue("operator", "--expires", "1ms")
    whole = held["operator"]
    held["nobody"] = None
    worthless = {
        "revoked": revoked["token"], "suspended": suspended["token"], "expired": expired["token"],
        "empty": "", "short": whole[:-1], "long": whole + "x", "other case": whole.upper(),
        "another's id": held["viewer"][:14] + whole[14:],
        "an api key": weir.issue(MEMBER, "api-key")["key"],
        "a SigV4 secret": weir.issue(MEMBER, "sigv4", "--operator")["secret_access_key"]}
    return held, worthless


def test_every_route_is_decided_here():
    assert set(ROUTES) == product_routes()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_role_gets_where_it_may_and_nowhere_else(weir, tokens, method, path):
    allowed = ROUTES[method, path]
    for role in ("nobody", *ROLES):
        status, text = ask(weir, method, path.replace("*", NOWHERE), tokens[0][role])
        if role in allowed:
            assert status not in (401, 403), f"{role}: {status} {text}"
        else:
            assert status == (401 if role == "nobody" else 403), f"{role}: {status} {text}"


@pytest.mark.parametrize(("method", "path"), [key for key, who in ROUTES.items()
                                              if who is not EVERYBODY])
def test_what_is_no_token_opens_nothing(weir, tokens, method, path):
    answers = {what: ask(weir, method, path.replace("*", NOWHERE), token)
               for what, token in tokens[1].items()}
    assert {status for status, _ in answers.values()} == {401}, answers
    assert len({text for _, text in answers.values()}) == 1, "an answer tells what was wrong"


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "localhost:1"}, {"Origin": "https://evil.example"},
    {"Origin": "null"}])
def test_a_good_token_from_a_strange_place_opens_nothing(weir, tokens, headers):
    for method, path in ROUTES:
        if ROUTES[method, path] is not EVERYBODY:
            status, _ = ask(weir, method, path.replace("*", NOWHERE), tokens[0]["operator"],
                            **headers)
            assert status == 403, (method, path)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_what_is_not_in_the_table_is_refused_after_the_token(weir, tokens, method):
    for path in ("/v1/nowhere", "/", "/v1/accounts/", "/v1/backup/x"):
        if (method, path) not in ROUTES:
            assert ask(weir, method, path)[0] == 401
            assert ask(weir, method, path, tokens[0]["operator"])[0] in (404, 405)


def test_an_administrator_of_accounts_makes_itself_no_operator(weir, tokens):
    admin, path = tokens[0]["account-admin"], f"/v1/accounts/{MEMBER}/credentials"
    operators = weir.issue(MEMBER, "sigv4", "--operator")
    for body in ({"kind": "operator", "role": "viewer"}, {"kind": "operator", "role": "operator"},
                 {"kind": "sigv4", "operator": True}):
        assert ask(weir, "POST", path, admin, json.dumps(body).encode())[0] == 403
    assert ask(weir, "DELETE", f"/v1/credentials/{operators['credential']}", admin)[0] == 403
    for method, end in (("DELETE", ""), ("POST", "/suspend")):  # with it, its operator goes out
        assert ask(weir, method, f"/v1/accounts/{MEMBER}{end}", admin)[0] == 403
    body = json.dumps({"kind": "sigv4", "forwarder": True}).encode()
    status, text = ask(weir, "POST", path, admin, body)
    assert status == 200
    assert ask(weir, "DELETE", f"/v1/credentials/{json.loads(text)['credential']}",
               admin)[0] == 200


@pytest.mark.parametrize("body", [
    {"kind": "operator"}, {"kind": "operator", "role": ""}, {"kind": "operator", "role": "root"},
    {"kind": "operator", "role": 1}, {"kind": "api-key", "role": "viewer"}, {"kind": "king"}, [],
    {"kind": "operator", "role": "viewer", "forwarder": True}, {"kind": "operator", "expires": "0s",
                                                                "role": "viewer"}])
def test_a_credential_that_nobody_could_mean_is_not_issued(weir, tokens, body):
    status, text = ask(weir, "POST", f"/v1/accounts/{MEMBER}/credentials", tokens[0]["operator"],
                       json.dumps(body).encode())
    assert (status, "message" in json.loads(text)["error"]) == (400, True)


def test_a_token_is_nowhere_to_be_read(weir, tokens):
    secrets = [token[14:] for token in tokens[0].values() if token]
    said = weir.cli("account", "list").stdout + weir.cli("export").stdout
    said += weir.log_path.read_text(errors="replace")
    kept = b"".join(path.read_bytes() for path in weir.state.rglob("*") if path.is_file())
    assert not [one for one in secrets if one in said or one.encode() in kept]
    shown = json.loads(weir.cli("account", "show", MEMBER).stdout)["credentials"]
    assert all({"hash", "sealed", "key", "token"}.isdisjoint(one) for one in shown)


# ---- the EventBridge API

PATTERN = json.dumps({"source": ["x"]})


def bus_arn(owner, name="default"):
    return f"arn:aws:events:{REGION}:{owner}:event-bus/{name}"


def rule_arn(owner, name, bus="default"):
    return f"arn:aws:events:{REGION}:{owner}:rule/{'' if bus == 'default' else bus + '/'}{name}"


def on_bus(**members):
    return lambda owner, bus: {"EventBusName": bus_arn(owner, bus), **members}


def owned_arn(owner, kind="connection", end=""):
    return f"arn:aws:events:{REGION}:{owner}:{kind}/tried{end}"


def on_connection(**members):
    return lambda owner, bus: {"Name": owned_arn(owner), **members}


def on_archive(**members):
    return lambda owner, bus: {"ArchiveName": owned_arn(owner, "archive"), **members}


def on_destination(**members):
    return lambda owner, bus: {"Name": owned_arn(owner, "api-destination"), **members}


BASIC = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
# An input of each action that names what an owner has; None: it cannot name another's.
ACTIONS = {
    "PutRule": on_bus(Name="tried", EventPattern=PATTERN),
    "DescribeRule": on_bus(Name="tried"),
    "ListRules": on_bus(),
    "EnableRule": on_bus(Name="tried"),
    "DisableRule": on_bus(Name="tried"),
    "PutTargets": on_bus(Rule="tried", Targets=[
        {"Id": "t", "Arn": f"arn:aws:sqs:{REGION}:{MEMBER}:q"}]),
    "ListTargetsByRule": on_bus(Rule="tried"),
    "ListRuleNamesByTarget": on_bus(TargetArn=f"arn:aws:sqs:{REGION}:{MEMBER}:q"),
    "RemoveTargets": on_bus(Rule="tried", Ids=["t"]),
    "TagResource": lambda owner, bus: {"ResourceARN": rule_arn(owner, "tried", bus),
                                       "Tags": [{"Key": "a", "Value": "b"}]},
    "ListTagsForResource": lambda owner, bus: {"ResourceARN": rule_arn(owner, "tried", bus)},
    "UntagResource": lambda owner, bus: {"ResourceARN": rule_arn(owner, "tried", bus),
                                         "TagKeys": ["a"]},
    "DeleteRule": on_bus(Name="tried"),
    "DescribeEventBus": lambda owner, bus: {"Name": bus_arn(owner, bus)},
    "UpdateEventBus": lambda owner, bus: {"Name": bus_arn(owner, bus), "Description": "x"},
    "CreateEventBus": None,
    "DeleteEventBus": None,  # by name, so always one's own
    "ListEventBuses": None,
    "PutPermission": None,  # by name too
    "RemovePermission": None,
    "TestEventPattern": None,
    "CreateConnection": on_connection(AuthorizationType="BASIC", AuthParameters=BASIC),
    "DescribeConnection": on_connection(),
    "UpdateConnection": on_connection(Description="x"),
    "DeauthorizeConnection": on_connection(),
    "CreateApiDestination": lambda owner, bus: {
        "Name": owned_arn(owner, "api-destination"), "HttpMethod": "POST",
        "InvocationEndpoint": "https://hooks.example.com/",
        "ConnectionArn": owned_arn(owner, end="/0")},
    "DescribeApiDestination": on_destination(),
    "UpdateApiDestination": lambda owner, bus: {
        "Name": owned_arn(owner, "api-destination"), "ConnectionArn": owned_arn(owner, end="/0")},
    "DeleteApiDestination": on_destination(),
    "DeleteConnection": on_connection(),
    "CreateArchive": lambda owner, bus: {"ArchiveName": "tried",
                                         "EventSourceArn": bus_arn(owner, bus)},
    "DescribeArchive": on_archive(),
    "UpdateArchive": on_archive(Description="x"),
    "DeleteArchive": on_archive(),
    "StartReplay": lambda owner, bus: {
        "ReplayName": "tried", "EventSourceArn": owned_arn(owner, "archive"), "EventStartTime": 1,
        "EventEndTime": 2, "Destination": {"Arn": bus_arn(owner, bus)}},
    "DescribeReplay": lambda owner, bus: {"ReplayName": owned_arn(owner, "replay")},
    "CancelReplay": lambda owner, bus: {"ReplayName": owned_arn(owner, "replay")},
    "ListReplays": None,
    "ListArchives": None,
    "ListConnections": None,
    "ListApiDestinations": None,
}
DENIED = {"AccessDeniedException"}
UNPROVEN = {"UnrecognizedClientException", "InvalidSignatureException",
            "MissingAuthenticationTokenException", "IncompleteSignatureException"}
BUSES = {"own": (MEMBER, "default"), "other": (OTHER, "default"),
         "central account's": (CENTRAL, "default"), "central": (CENTRAL, "central")}
# Which buses each credential gets past the door of.
KEYS = {"sigv4": {"own"}, "forwarder": {"own"}, "operator": set(BUSES), "stranger": {"other"},
        "revoked": set(), "expired": set(), "wrong secret": set(), "api-key": set()}


def product_actions():
    found = set()
    for path in (ROOT / "gateway").glob("api_*.c"):
        found |= set(table_of(path.read_text(), r'^const struct api_action \w+ = \{\s*(?:\.name = )?'
                                                r'SLICE_INIT\("(\w+)"\)'))
    return found


def test_every_action_is_decided_here():
    table = re.search(r"const actions\[\] = \{(.*?)\};", (ROOT / "gateway/api.c").read_text(),
                      re.DOTALL).group(1)
    assert len(re.findall(r"&api_\w+", table)) == len(ACTIONS)
    assert product_actions() == set(ACTIONS)


@pytest.fixture(scope="module")
def keys(weir):
    held = {
        "sigv4": weir.issue(MEMBER, "sigv4"), "forwarder": weir.issue(MEMBER, "sigv4", "--forwarder"),
        "operator": weir.issue(MEMBER, "sigv4", "--operator"), "stranger": weir.issue(OTHER, "sigv4"),
        "revoked": weir.issue(MEMBER, "sigv4"),
        "expired": weir.issue(MEMBER, "sigv4", "--expires", "1ms"),
        "wrong secret": {**weir.issue(MEMBER, "sigv4"), "secret_access_key": "x" * 40}}
    weir.revoke(held["revoked"]["credential"])
    key = weir.issue(MEMBER, "api-key")
    held["api-key"] = {"access_key_id": key["credential"], "secret_access_key": key["key"]}
    assert held.keys() == KEYS.keys()
    return {name: Signed(weir, key) for name, key in held.items()}


class Signed:
    """Any action by botocore's signature: boto3 itself lacks the newest ones."""

    def __init__(self, weir, key):
        self._signer = SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]),
                                 "events", REGION)
        self._url = weir.url + "/"
        self._http = HTTPSConnection("localhost", weir.data_port, timeout=60,
                                     context=ssl.create_default_context(cafile=str(weir.ca)))

    def call(self, action, given):
        """Status and parsed answer."""
        request = AWSRequest("POST", self._url, data=json.dumps(given).encode(), headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AWSEvents.{action}"})
        self._signer.add_auth(request)
        self._http.request("POST", "/", request.body, dict(request.headers))
        answer = self._http.getresponse()
        return answer.status, json.loads(answer.read())


def code_of(signed, action, given):
    """The code that one call was refused with, or None."""
    status, answer = signed.call(action, given)
    return None if status == 200 else answer["__type"]


@pytest.mark.parametrize("who", KEYS)
def test_each_credential_manages_its_own_buses_and_no_others(keys, who):
    for action, make in ACTIONS.items():
        for which, (owner, bus) in BUSES.items():
            if make is None:
                continue
            code = code_of(keys[who], action, make(owner, bus))
            if which in KEYS[who]:
                assert code not in DENIED | UNPROVEN, (action, which, code)
            else:
                assert code in (DENIED if KEYS[who] else UNPROVEN), (action, which, code)


@pytest.mark.parametrize("who", KEYS)
def test_what_can_name_no_other_bus_needs_a_proven_caller(keys, who):
    event = {"id": "1", "source": "x", "detail-type": "y", "account": MEMBER, "region": REGION,
             "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {}}
    inputs = {"CreateEventBus": {"Name": "central/default"}, "ListEventBuses": {},
              "DeleteEventBus": {"Name": "tried"},
              "PutPermission": {"EventBusName": "tried", "StatementId": "s",
                                "Principal": OTHER, "Action": "events:PutEvents"},
              "RemovePermission": {"EventBusName": "tried", "StatementId": "s"},
              "TestEventPattern": {"EventPattern": PATTERN, "Event": json.dumps(event)},
              "ListArchives": {}, "ListReplays": {}, "ListConnections": {}, "ListApiDestinations": {}}
    for action in (name for name, make in ACTIONS.items() if make is None):
        code = code_of(keys[who], action, inputs[action])
        assert (code in UNPROVEN) == (not KEYS[who]), (action, code)


@pytest.mark.parametrize(("action", "member", "decoys"), [
    # What a member that the action does not read says opens nothing.
    ("DescribeConnection", "Name", {"ConnectionArn": owned_arn(MEMBER, end="/0"),
                                    "EventBusName": "default", "ResourceARN": owned_arn(MEMBER)}),
    ("DeleteConnection", "Name", {"ConnectionName": "tried", "Rule": "tried"}),
    ("DeleteApiDestination", "Name", {"ConnectionArn": owned_arn(MEMBER, end="/0")}),
    ("CreateApiDestination", "ConnectionArn", {
        "Name": "tried", "HttpMethod": "POST", "InvocationEndpoint": "https://x.example.com/"})])
def test_an_account_is_judged_by_the_member_that_is_read(keys, action, member, decoys):
    kind = "api-destination" if action == "DeleteApiDestination" else "connection"
    end = "/0" if member == "ConnectionArn" else ""
    for owner, denied in ((OTHER, True), (MEMBER, False)):
        code = code_of(keys["sigv4"], action, {**decoys, member: owned_arn(owner, kind, end)})
        assert (code in DENIED) == denied, (owner, code)


def test_a_list_of_buses_shows_ones_own(keys):
    for who in ("sigv4", "stranger"):
        owner = MEMBER if who == "sigv4" else OTHER
        buses = keys[who].call("ListEventBuses", {})[1]["EventBuses"]
        assert {bus["Arn"].split(":")[4] for bus in buses} == {owner}


def test_a_stranger_cannot_tell_what_exists(keys, weir):
    weir.apply({"rules": [rule("secret", {"source": ["x"]}, target(), bus=f"{OTHER}/default")]},
               "--name", "matrix")
    answers = []
    for name in ("secret", "absent"):
        answers.append(keys["sigv4"].call("DescribeRule", {"Name": name,
                                                           "EventBusName": bus_arn(OTHER)}))
    assert answers[0] == answers[1]
    weir.apply({"rules": []}, "--name", "matrix")


# ---- one account, by revision

def change(weir, method, path, body=None, **headers):
    status, text = ask(weir, method, path, weir.token(), json.dumps(body or {}).encode(), **headers)
    return status, json.loads(text)


def test_an_account_is_changed_at_the_revision_that_was_read(weir):
    path = "/v1/accounts/555566667777"
    status, made = change(weir, "PUT", path, {"name": "new", "limits": {"events_per_second": 5}})
    assert (status, made["name"], made["suspended"], made["manager"]) == (
        200, "new", False, "api:operator")
    rev = made["rev"]
    assert change(weir, "PUT", path, {"name": "again"})[0] == 409  # names no revision
    assert change(weir, "PUT", path, {"name": "old"}, **{"If-Match": f'"{rev - 1}"'})[0] == 412
    assert change(weir, "PUT", path, {"name": "odd"}, **{"If-Match": "new"})[0] == 400
    status, second = change(weir, "PUT", path, {**made, "name": "second", "suspended": True})
    assert (status, second["name"], second["suspended"]) == (200, "second", True)
    assert second["rev"] > rev
    assert change(weir, "PUT", path, {**made, "name": "late"})[0] == 412
    for method, end in (("POST", "/suspend"), ("POST", "/resume"), ("DELETE", "")):
        assert change(weir, method, path + end, **{"If-Match": str(rev)})[0] == 412
    assert change(weir, "PUT", path, {"name": "any"}, **{"If-Match": "*"})[1]["suspended"] is True
    assert change(weir, "GET", path)[1]["name"] == "any"
    status, gone = change(weir, "DELETE", path)
    assert (status, gone["removed"], gone["queued"]) == (200, True, 0)
    assert change(weir, "GET", path)[0] == 404
    assert change(weir, "PUT", path, {"name": "x"}, **{"If-Match": "*"})[0] == 412
    assert change(weir, "DELETE", path)[0] == 404


@pytest.mark.parametrize(("body", "word"), [
    ({"color": "red"}, "color"), ({"id": MEMBER}, "id"), ({"suspended": "yes"}, "suspended"),
    ({"limits": {"events_per_second": -1}}, "limits.events_per_second"), ([], "object")])
def test_a_mistake_in_an_account_is_named(weir, body, word):
    status, text = ask(weir, "PUT", "/v1/accounts/555566667777", weir.token(),
                       json.dumps(body).encode())
    assert status == 400 and word in json.loads(text)["error"]["message"]


def test_what_a_file_manages_is_not_replaced_by_hand(weir):
    path = f"/v1/accounts/{MEMBER}"
    shown = change(weir, "GET", path)[1]
    status, answer = change(weir, "PUT", path, shown)
    assert status == 409 and "apply:default" in answer["error"]["message"]
    assert change(weir, "PUT", path + "?take_over=true", shown)[1]["manager"] == "api:operator"
    weir.apply({"accounts": [account(MEMBER), account(OTHER)]}, "--take-over")
    assert change(weir, "GET", path)[1]["manager"] == "apply:default"


def test_the_command_puts_and_removes_too(weir, tmp_path):
    file = tmp_path / "account.json"
    file.write_text(json.dumps({"name": "typed"}))
    shown = json.loads(weir.cli("account", "put", "555566667777", "-f", file).stdout)
    file.write_text(json.dumps({**shown, "name": "typed again"}))
    again = json.loads(weir.cli("account", "put", "555566667777", "-f", file).stdout)
    assert again["name"] == "typed again"
    stale = weir.cli("account", "put", "555566667777", "-f", file, "--rev", shown["rev"],
                     check=False)
    assert stale.returncode == 1 and "revision" in stale.stderr
    gone = json.loads(weir.cli("account", "remove", "555566667777").stdout)
    assert gone["removed"] is True and gone["credentials_revoked"] == []
