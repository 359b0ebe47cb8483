# SPDX-License-Identifier: Apache-2.0
"""`weir explain` and /v1/explain: why an event does not match, here and in the running gateway."""

import json
import urllib.parse

import pytest
from catalogs import MEMBER, OTHER, account, envelope, role_arn, rule, target
from weir import AdminError

CATALOG = {
    "accounts": [account(MEMBER), account(OTHER)],
    "buses": [{"account": MEMBER, "name": "audit"}],
    "rules": [
        rule("pings", {"detail-type": ["Ping"]}, target("findings")),
        rule("severe", {"detail": {"severity": [{"numeric": [">=", 7]}], "type": ["A", "B"]},
                        "source": ["aws.guardduty"]}, target("findings", "severe")),
        {**rule("off", {"source": ["aws.guardduty"]}, target("findings", "off")),
         "state": "DISABLED"},
        rule("own", {"detail": {"severity": [1]}},
             target("findings", "own", role_arn=role_arn(MEMBER)), bus=f"{MEMBER}/audit"),
    ],
}
FAILURE = {"match": False, "path": "detail.severity", "operator": "numeric",
           "wanted": [{"numeric": [">=", 7]}], "seen": 6.5, "reason": "differs", "failed": 2,
           "conditions": 3}


@pytest.fixture(scope="module")
def weir(gateway_in, tmp_path_factory):
    with gateway_in(tmp_path_factory.mktemp("gateway"), catalog=CATALOG) as gateway:
        yield gateway.weir


@pytest.fixture
def event(tmp_path):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(envelope(detail={"severity": 6.5, "type": "C"})))
    return path


def failed(weir, *arguments, **options):
    done = weir.cli("explain", *arguments, check=False, **options)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_pattern_in_a_file_needs_no_gateway(weir, tmp_path, event):
    pattern = tmp_path / "pattern.json"
    pattern.write_text(json.dumps(CATALOG["rules"][1]["pattern"]) + "\n")
    here = ("--admin", "http://127.0.0.1:9")  # where nobody listens
    said = weir.cli("explain", "--rule", pattern, "--event", event, *here)
    assert said.stdout.count("\n") == 1 and json.loads(said.stdout) == FAILURE
    matching = json.dumps(envelope(detail={"severity": 7, "type": "B"}))
    said = weir.cli("explain", "--rule", pattern, "--event", "-", *here, stdin=matching)
    assert json.loads(said.stdout) == {
        **dict.fromkeys(["path", "operator", "wanted", "seen"]), "match": True, "reason": "match",
        "failed": 0, "conditions": 3}


def test_a_rule_of_the_gateway(weir, event):
    said = json.loads(weir.cli("explain", "--rule", "central/severe", "--event", event).stdout)
    assert said == {"rule": "central/severe", "enabled": True, **FAILURE}
    said = json.loads(weir.cli("explain", "--rule", "central/off", "--event", event).stdout)
    assert (said["match"], said["enabled"]) == (True, False)
    said = json.loads(weir.cli("explain", "--rule", f"{MEMBER}/audit/own", "--event", event).stdout)
    assert (said["path"], said["wanted"], said["seen"]) == ("detail.severity", [1], 6.5)


def test_the_nearest_misses_among_all(weir, event):
    said = json.loads(weir.cli("explain", "--all", "--bus", "audit", "--event", event).stdout)
    assert (said["rules"], said["examined"], said["matched"], said["matches"]) == (3, 3, 0, [])
    assert [miss["rule"] for miss in said["misses"]] == [
        f"{MEMBER}/audit/own", "central/pings", "central/severe"]
    assert said["misses"][2] == {"rule": "central/severe", **FAILURE}
    ping = json.dumps(envelope(detail_type="Ping", account_id=OTHER))
    said = json.loads(weir.cli("explain", "--all", "--event", "-", stdin=ping).stdout)
    assert (said["rules"], said["matches"]) == (2, ["central/pings"])


def test_a_question_in_a_query(weir, event):
    query = urllib.parse.urlencode({"rule": "central/severe", "event": event.read_text()})
    assert weir.admin("GET", f"/v1/explain?{query}") == {
        "rule": "central/severe", "enabled": True, **FAILURE}
    query = urllib.parse.urlencode({"all": "true", "event": event.read_text()})
    assert weir.admin("GET", f"/v1/explain?{query}")["examined"] == 2


@pytest.mark.parametrize("body, status, message", [
    ({"rule": "central/nobody", "event": {}}, 404, "there is no rule central/nobody"),
    ({"rule": "nobody", "event": {}}, 404, "there is no rule nobody"),
    ({"rule": "", "event": {}}, 400, "name a `rule`, or ask for `all`"),
    ({"rule": "central/pings", "all": True, "event": {}}, 400, "name a `rule`, or ask for `all`"),
    ({"rule": "central/pings"}, 400, "event: is missing"),
    ({"rule": "central/pings", "event": []}, 400, "the event is not a JSON object"),
    ({"all": True, "event": {}}, 400, "event: has no account"),
    ({"all": 1, "event": {}}, 400, "all: unknown member, or not of its type"),
    ({"rules": "x"}, 400, "rules: unknown member, or not of its type"),
    ([], 400, "the body must be an object"),
])
def test_a_question_that_cannot_be_answered(weir, body, status, message):
    with pytest.raises(AdminError) as caught:
        weir.admin("POST", "/v1/explain", body)
    assert caught.value.status == status
    assert message in json.loads(caught.value.body)["error"]["message"]


def test_misuse_is_told(weir, event, tmp_path):
    pattern = tmp_path / "pattern.json"
    pattern.write_text('{"a": [{"prefix": 1}]}')
    code, said = failed(weir, "--rule", pattern, "--event", event)
    assert code == 1 and "prefix match pattern must be a string" in said
    assert failed(weir, "--rule", tmp_path / "none", "--event", event)[0] == 1
    assert failed(weir, "--rule", "central/pings", "--event", "-", stdin="{")[0] == 1
    for arguments in [(), ("--rule", pattern), ("--event", event), ("--all", "--rule", "central/x"),
                      ("--rule", pattern, "--all", "--event", event),
                      ("--rule", "-", "--event", event),
                      ("--rule", pattern, "--bus", "b", "--event", event)]:
        assert failed(weir, *arguments)[0] == 2


def test_a_stranger_is_told_nothing(weir):
    with pytest.raises(AdminError) as caught:
        weir.admin("POST", "/v1/explain", {"rule": "central/pings", "event": {}}, token="nonsense")
    assert caught.value.status == 401
