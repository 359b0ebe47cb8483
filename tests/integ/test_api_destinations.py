# SPDX-License-Identifier: Apache-2.0
"""API destinations end to end: what an HTTPS endpoint gets, and what becomes of its answers.

The far side is https_endpoint.py, which checks for itself who calls and how.  All tests share one
weir; each begins with an empty catalog and looks at what became of its own events only.
"""

import json
import time

import pytest
from catalogs import CENTRAL, MEMBER, envelope, rule
from clients import curl
from https_endpoint import Endpoint, api_key, basic, free_of_listeners
from weir import REGION, AdminError, Weir, make_certificates, wait_until

SECRETS = {"key": "the-key-of-the-endpoint", "password": "the-password-of-the-endpoint",
           "client": "the-secret-of-the-client", "query": "the-secret-in-the-query"}
ARN = f"arn:aws:events:{REGION}:{CENTRAL}:"


def api_key_connection(name, file="key", **http):
    return {"account": CENTRAL, "name": name, "authorization_type": "API_KEY", "auth_parameters": {
        "api_key_auth_parameters": {"api_key_name": "x-api-key", "api_key_value": {"file": file}},
        **({"invocation_http_parameters": http} if http else {})}}


def basic_connection(name):
    return {"account": CENTRAL, "name": name, "authorization_type": "BASIC", "auth_parameters": {
        "basic_auth_parameters": {"username": "weir", "password": {"file": "password"}}}}


def oauth_connection(name, far, method="POST"):
    return {"account": CENTRAL, "name": name, "authorization_type": "OAUTH_CLIENT_CREDENTIALS",
            "auth_parameters": {"oauth_parameters": {
                "client_parameters": {"client_id": "c-EXAMPLE", "client_secret": {"file": "client"}},
                "authorization_endpoint": far.url + "/oauth/token", "http_method": method}}}


def destination(name, connection, url, method="POST", **more):
    return {"account": CENTRAL, "name": name, "connection_arn": f"{ARN}connection/{connection}",
            "invocation_endpoint": url, "http_method": method, **more}


def target(name, target_id=None, **more):
    return {"id": target_id or name, "arn": f"{ARN}api-destination/{name}", **more}


def catalog(connections=(), destinations=(), rules=()):
    return {"accounts": [{"id": MEMBER, "sources": ["*"]}, {"id": CENTRAL}],
            "connections": list(connections), "api_destinations": list(destinations),
            "rules": list(rules)}


class Stage:
    """A weir, an endpoint that it trusts, and the member's key."""

    def __init__(self, weir, far, key):
        self.weir, self.far, self._key = weir, far, key
        self._sent = set()

    def post(self, events):
        self._sent |= {event["id"] for event in events}
        assert curl(self.weir, "/events", data=events, headers=[
            "content-type: application/json",
            f"{self._key['header']}: {self._key['key']}"]).status == 200
        return sorted(event["id"] for event in events)

    def send(self, name, count=1, **detail):
        """Events for the rule `name`; their ids."""
        return self.post([event_for(name, n=n, **detail) for n in range(count)])

    def dead(self, name):
        """The dead letters of this test's events that the rule `name` left."""
        letters = self.weir.admin("GET", f"/v1/dead?limit=1000&rule={name}")["dead"]
        return [letter for letter in letters if letter["event_id"] in self._sent]

    def refusal(self, catalog):
        """What an operator is told who applies that."""
        with pytest.raises(AdminError) as refused:
            self.weir.admin("POST", "/v1/catalog", catalog)
        return refused.value.body

    def log(self):
        return self.weir.log_path.read_text()


def event_for(name, **detail):
    return envelope(source="com.example.app", detail_type=name, detail=detail)


def write_secret(folder, name, text):
    path = folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weir")
    make_certificates(folder)
    with Endpoint(folder / "server.pem", folder / "server.key",
                  client=("c-EXAMPLE", SECRETS["client"])) as far:
        with Weir(folder, config={"egress": {"allow": ["127.0.0.0/8", "::1"],
                                             "ports": [far.port], "ca": "ca.pem"}}) as weir:
            weir.apply(catalog())
            yield weir, far, weir.issue(MEMBER, "api-key")


@pytest.fixture
def stage(shared):
    weir, far, key = shared
    far.forget()
    for name, text in SECRETS.items():
        write_secret(weir.folder, name, text)
    yield Stage(weir, far, key)
    assert not far.oddities
    weir.admin("POST", "/v1/catalog", catalog())  # nothing of it for the next one


def ids(requests):
    """Each once: a call that took too long on a busy machine is made again."""
    return sorted({request.json()["id"] for request in requests})


def test_what_an_endpoint_gets(stage):
    """Path, query, headers and body, from target, connection and event; the connection wins."""
    far, weir = stage.far, stage.weir
    far.expect("/hooks/high/x%2F..%2Fy", api_key("x-api-key", SECRETS["key"]))
    secret = {"key": "token", "value": {"file": "query"}, "is_value_secret": True}
    connection = api_key_connection(
        "soar", header_parameters=[{"key": "X-Team", "value": "sec"},
                                   {"key": "Host", "value": "evil.example"}],
        query_string_parameters=[{"key": "from", "value": "weir & co"}, secret],
        body_parameters=[{"key": "team", "value": "sec"}, {"key": "n", "value": "merged"}])
    weir.apply(catalog([connection], [
        destination("soar", "soar", far.url + "/hooks/*/*?fixed=1", "PUT")], [
        rule("soar", {"detail-type": ["soar"]}, target("soar", http_parameters={
            "path_parameter_values": ["high", "$.detail.where"],
            "header_parameters": {"x-team": "not this", "X-Account": "$.account",
                                  "Content-Type": "application/cloudevents+json",
                                  "authorization": "stolen", "content-length": "7"},
            "query_string_parameters": {"account": "$.account", "from": "not this"}}))]))
    sent = stage.send("soar", where="x/../y")
    weir.drain()
    [request] = far.taken()
    assert (request.method, request.path) == ("PUT", "/hooks/high/x%2F..%2Fy")
    assert request.query == [("fixed", "1"), ("account", MEMBER), ("from", "weir & co"),
                             ("token", SECRETS["query"])]
    assert request.header("x-team") == "sec" and request.header("x-account") == MEMBER
    assert request.header("content-type") == "application/cloudevents+json"
    assert request.header("authorization") is None
    body = request.json()
    assert [body["id"]] == sent and (body["team"], body["n"]) == ("sec", "merged")
    assert body["detail"] == {"n": 0, "where": "x/../y"}
    assert not far.strangers and not stage.dead("soar")


def test_every_authorization(stage):
    far, weir = stage.far, stage.weir
    far.expect("/basic", basic("weir", SECRETS["password"]))
    far.expect("/key", api_key("x-api-key", SECRETS["key"]))
    far.expect("/post", far.bearer)
    far.expect("/get", far.bearer)
    weir.apply(catalog(
        [basic_connection("basic"), api_key_connection("key"), oauth_connection("post", far),
         oauth_connection("get", far, "GET")],
        [destination(name, name, f"{far.url}/{name}") for name in ("basic", "key", "post", "get")],
        [rule(name, {"detail-type": [name]}, target(name))
         for name in ("basic", "key", "post", "get")]))
    sent = {name: [event_for(name, n=n) for n in range(5)]
            for name in ("basic", "key", "post", "get")}
    stage.post(sum(sent.values(), []))
    weir.drain()
    for name, events in sent.items():
        assert ids(far.taken(f"/{name}")) == sorted(event["id"] for event in events), name
    assert not far.strangers
    # One token for each destination, however many events wait for it, and one to see that it is
    # given; a call that took too long on a busy machine is made again.
    by_method = [request.method for request in far.token_requests]
    assert 1 <= by_method.count("POST") <= 4 and 1 <= by_method.count("GET") <= 4


def test_tokens_are_renewed_early_and_when_refused(stage):
    far, weir = stage.far, stage.weir
    far.expect("/hook", far.bearer)
    weir.apply(catalog([oauth_connection("soar", far)],
                       [destination("soar", "soar", far.url + "/hook")],
                       [rule("soar", {"detail-type": ["soar"]}, target("soar"))]))
    first = stage.send("soar", 3)
    weir.drain()
    wait_until(lambda: far.issued >= 2, "weir has seen that the connection is good", 60)
    before = far.issued
    far.tokens.clear()  # the endpoint forgets them all: 401, another token, and the event again
    second = stage.send("soar", 3)
    weir.drain()
    assert ids(far.taken("/hook")) == sorted(first + second)
    assert far.strangers and far.issued == before + 1
    far.lifetime_s = 1
    far.tokens.clear()
    third = stage.send("soar")
    weir.drain()
    count = far.issued
    refused = len(far.strangers)
    wait_until(lambda: stage.send("soar") and weir.drain() and far.issued > count,
               "a token that is about to end is renewed", 30, 0.3)
    assert len(far.strangers) == refused  # early: nobody was refused for it
    assert set(third) <= set(ids(far.taken("/hook")))


def test_a_token_endpoint_that_refuses_is_left_alone(stage):
    """However many events wait, it is asked once in a while; when it is put right, all arrive."""
    far, weir = stage.far, stage.weir
    far.expect("/hook", far.bearer)
    far.token_answers[:] = [(401, {"error": "invalid_client"}), (200, {"token": "none"})]
    weir.apply(catalog([oauth_connection("soar", far)],
                       [destination("soar", "soar", far.url + "/hook")],
                       [rule("soar", {"detail-type": ["soar"]}, target("soar"))]))
    sent = stage.send("soar", 40)
    weir.drain(120)
    assert ids(far.taken("/hook")) == sent and not far.strangers
    times = [request.time for request in far.token_requests]
    assert len(times) <= 8  # of the worker and of control
    assert SECRETS["client"] not in stage.log()


STATUSES = {
    # status of the first answer, its headers: how it ends
    "ok-204": (204, {}, "delivered"), "ok-299": (299, {}, "delivered"),
    "moved-301": (301, {"Location": "https://localhost/"}, "SDK_CLIENT_ERROR"),
    "moved-307": (307, {"Location": "https://localhost/"}, "SDK_CLIENT_ERROR"),
    "bad-400": (400, {}, "SDK_CLIENT_ERROR"), "denied-403": (403, {}, "SDK_CLIENT_ERROR"),
    "missing-404": (404, {}, "SDK_CLIENT_ERROR"), "slow-408": (408, {}, "SDK_CLIENT_ERROR"),
    "denied-401": (401, {}, "retried"), "proxy-407": (407, {}, "retried"),
    "conflict-409": (409, {}, "retried"), "busy-429": (429, {}, "retried"),
    "failed-500": (500, {}, "retried"), "down-503": (503, {}, "retried"),
    "wait-429": (429, {"Retry-After": "2"}, "retried"),
    "never-503": (503, {"Retry-After": "-1"}, "retry-declined"),
}


def test_statuses(stage):
    far, weir = stage.far, stage.weir
    for name, (status, headers, _) in STATUSES.items():
        far.answer(f"/{name}", (status, headers, SECRETS["key"].encode()))
    weir.apply(catalog([api_key_connection("soar")],
                       [destination(name, "soar", f"{far.url}/{name}") for name in STATUSES],
                       [rule(name, {"detail-type": [name]}, target(name)) for name in STATUSES]))
    sent = {name: event_for(name) for name in STATUSES}
    stage.post(list(sent.values()))
    weir.drain(120)
    for name, (status, _, end) in STATUSES.items():
        letters, requests = stage.dead(name), far.taken(f"/{name}")
        assert ids(requests) == [sent[name]["id"]], name
        if end in ("delivered", "retried"):
            assert not letters and len(requests) >= (2 if end == "retried" else 1), name
        else:
            assert [(letter["reason"], letter["attempts"]) for letter in letters] == [(end, 1)]
            assert len(requests) == 1 and f"HTTP {status}" in letters[0]["message"]
            assert SECRETS["key"] not in letters[0]["message"]  # it said our secret back
    refused, again = far.taken("/wait-429")[:2]
    assert again.time - refused.time >= 1.99
    assert SECRETS["key"] not in stage.log()


def test_the_rate_holds(stage):
    """20 a second and two at once: the last of 30 events is not called for before 1.4 s."""
    far, weir = stage.far, stage.weir
    weir.apply(catalog([api_key_connection("slow")],
                       [destination("slow", "slow", far.url + "/slow",
                                    invocation_rate_limit_per_second=20)],
                       [rule("slow", {"detail-type": ["slow"]}, target("slow"))]))
    before = time.time()
    sent = stage.send("slow", 30)
    weir.drain(120)
    requests = far.taken("/slow")
    assert ids(requests) == sent
    assert max(request.time for request in requests) - before >= (30 - 2) / 20 - 0.01


def test_secrets_go_nowhere_and_a_round_trip_changes_nothing(stage):
    far, weir = stage.far, stage.weir
    secret = {"key": "token", "value": {"file": "query"}, "is_value_secret": True}
    whole = catalog([api_key_connection("key", query_string_parameters=[secret]),
                     basic_connection("basic"), oauth_connection("oauth", far)],
                    [destination("key", "key", far.url + "/key")],
                    [rule("key", {"detail-type": ["key"]}, target("key"))])
    weir.apply(whole)
    exported = weir.export()
    assert "0 changes" in weir.apply(exported).stdout
    assert "0 changes" in weir.apply(whole).stdout
    assert weir.export() == exported
    stage.send("key")
    weir.drain()
    weir.stop()
    kept = [path.read_bytes() for path in weir.state.rglob("*") if path.is_file()]
    for text in SECRETS.values():
        assert text not in json.dumps(exported) and text not in stage.log()
        assert not any(text.encode() in one for one in kept)
    weir.start()
    weir.apply(exported)
    stage.send("key")  # what is stored opens again after a restart
    weir.drain()
    assert len(far.taken("/key")) == 2


def test_changes_are_live(stage):
    """Another secret behind the same file, another endpoint, no connection, no destination."""
    far, weir = stage.far, stage.weir
    whole = catalog([api_key_connection("soar")], [destination("soar", "soar", far.url + "/one")],
                    [rule("soar", {"detail-type": ["soar"]}, target("soar"))])
    weir.apply(whole)
    stage.send("soar")
    weir.drain()
    write_secret(weir.folder, "key", "another key")
    far.expect("/two", api_key("x-api-key", "another key"))
    whole["api_destinations"][0]["invocation_endpoint"] = far.url + "/two"
    assert "2 changes" in weir.apply(whole).stdout
    stage.send("soar")
    weir.drain()
    assert len(far.taken("/one")) == 1 and len(far.taken("/two")) == 1
    weir.apply({"connections": [{"account": CENTRAL, "name": "soar",
                                 "authorization_type": "API_KEY"}]})
    stage.send("soar")
    weir.drain()
    assert [letter["reason"] for letter in stage.dead("soar")] == ["NO_PERMISSIONS"]
    weir.apply({**whole, "api_destinations": []})
    stage.send("soar")
    weir.drain()
    reasons = sorted(letter["reason"] for letter in stage.dead("soar"))
    assert reasons == ["NO_PERMISSIONS", "NO_RESOURCE"]
    weir.apply(whole)
    weir.cli("dead", "redrive", "--rule", "soar")
    weir.drain()
    assert len(far.taken("/two")) == 3 and not stage.dead("soar") and not far.strangers


def test_what_cannot_be_sent_is_dead_at_once(stage):
    far, weir = stage.far, stage.weir
    weir.apply(catalog([api_key_connection("soar")], [
        destination("soar", "soar", far.url + "/a/*")], [
        rule(name, {"detail-type": [name]}, target("soar", http_parameters=parameters))
        for name, parameters in {
            "dots": {"path_parameter_values": ["$.detail.where"]},
            "nothing": {"path_parameter_values": ["$.detail.nowhere"]},
            "too-many": {"path_parameter_values": ["a", "b"]},
            "line": {"path_parameter_values": ["a"], "header_parameters": {"x-a": "$.detail.line"}},
        }.items()]))
    stage.post([event_for(name, where="..", line="a\r\nx-b: c")
                for name in ("dots", "nothing", "too-many", "line")])
    weir.drain()
    for name in ("dots", "nothing", "too-many", "line"):
        assert [letter["reason"] for letter in stage.dead(name)] == ["invalid-input"], name
    assert not far.taken()


def test_ports_and_addresses_that_are_not_open_are_not_dialled(stage):
    far, weir = stage.far, stage.weir
    no_retry = {"maximum_retry_attempts": 0}
    weir.apply(catalog([api_key_connection("soar")], [
        destination("port", "soar", f"https://localhost:{free_of_listeners()}/")], [
        rule("port", {"detail-type": ["port"]}, target("port", retry_policy=no_retry))]))
    stage.send("port")
    weir.drain()
    [letter] = stage.dead("port")
    assert "may not be dialled" in letter["message"] and not far.taken()


MISTAKES = {
    "api_destinations[0].invocation_endpoint": {"invocation_endpoint": "http://example.com/"},
    "api_destinations[0].http_method": {"http_method": "TRACE"},
    "api_destinations[0].connection_arn": {"connection_arn": "arn:aws:events:us-east-1:1:connection/x"},
    "api_destinations[0].invocation_rate_limit_per_second":
        {"invocation_rate_limit_per_second": 0},
}


def test_mistakes_of_a_destination(stage):
    for path, wrong in MISTAKES.items():
        assert path in stage.refusal(catalog([api_key_connection("a")], [
            {**destination("a", "a", "https://example.com/"), **wrong}])), path
    assert stage.weir.export()["api_destinations"] == []


def test_mistakes_of_a_connection(stage):
    key = api_key_connection("a")
    text = json.dumps(key)
    wrong = {
        "auth_parameters.api_key_auth_parameters.api_key_value":
            text.replace('{"file": "key"}', '"a secret in the file"'),
        "auth_parameters.api_key_auth_parameters.api_key_name": text.replace("x-api-key", "Host"),
        "authorization_type": text.replace("API_KEY", "KERBEROS"),
        "auth_parameters.basic_auth_parameters": text.replace("API_KEY", "BASIC"),
        "auth_parameters.api_key_auth_parameters.api_key_value ": text.replace(
            '"file": "key"', '"file": "missing"'),
        "auth_parameters.api_key_auth_parameters.api_key_value  ": text.replace(
            '{"file": "key"}', '{"stored": true}'),
    }
    for path, changed in wrong.items():
        said = stage.refusal(catalog([json.loads(changed)]))
        assert path.strip() in said, (path, said)
    assert "connection_arn" in stage.refusal(
        catalog([], [destination("a", "nobody", "https://example.com/")]))
    assert stage.weir.export()["connections"] == []
