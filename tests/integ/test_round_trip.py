# SPDX-License-Identifier: Apache-2.0
"""`weir apply` and `weir export` are each other's inverse, on catalogs that nobody thought of.

Method: seeded random catalogs of every kind of object; what is exported changes nothing when it is
applied again, and makes another gateway export the same bytes.
"""

import json
import random

import pytest
from catalogs import CENTRAL, account, queue_arn, role_arn
from weir import Weir

SEEDS = range(12)
SECRET = "round-and-round-7d1"
# Spellings that a reader of numbers would lose.
NUMBERS = ("0.1", "0.10000000000000001", "1e2", "100.0", "-0", "7")
TEXTS = ("plain", "two words", "quote\"d", "back\\slash", "ünïcode", "tab\there", "")


def text(rng, most=12):
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz-_") for _ in range(rng.randint(1, most)))


def pattern(rng):
    """The text of a pattern."""
    leaf = rng.choice([
        lambda: json.dumps(rng.choice(TEXTS)), lambda: rng.choice(NUMBERS), lambda: "null",
        lambda: '{"prefix":%s}' % json.dumps(text(rng)), lambda: '{"exists":false}',
        lambda: '{"anything-but":[%s]}' % json.dumps(text(rng)),
        lambda: '{"numeric":[">=",%s]}' % rng.choice(NUMBERS)])
    fields = ",".join(f'"{text(rng)}{n}":[{leaf()}]' for n in range(rng.randint(1, 3)))
    return '{"source":["%s"],"detail":{%s}}' % (text(rng), fields)


def target(rng, number):
    made = {"id": f"t{number}", "arn": queue_arn(rng.choice(["findings", "other"]))}
    if rng.random() < 0.4:
        made["retry_policy"] = {"maximum_retry_attempts": rng.randint(0, 185),
                                "maximum_event_age_in_seconds": rng.randint(60, 86400)}
    if rng.random() < 0.3:
        made["dead_letter_config"] = {"arn": queue_arn("dead")}
    choice = rng.random()
    if choice < 0.2:
        made["input"] = json.dumps({"uid": rng.choice(TEXTS), "manager": 1})
    elif choice < 0.4:
        made["input_path"] = "$.detail"
    elif choice < 0.6:
        made["input_transformer"] = {"input_paths_map": {"uid": "$.id", "manager": "$.source"},
                                     "input_template": '"<uid> of <manager>"'}
    if rng.random() < 0.3:
        made["role_arn"] = role_arn(CENTRAL)
    return made


def catalog(rng):
    """Parts as text, so that patterns keep their spelling."""
    ids = [f"{rng.randrange(10**12):012d}" for _ in range(rng.randint(1, 4))]
    accounts = []
    for one in dict.fromkeys(ids):
        more = {}
        if rng.random() < 0.5:
            more["limits"] = {"events_per_second": rng.randint(1, 1000), "burst": 1000}
        if rng.random() < 0.5:
            more["tags"] = {rng.choice(["manager", "uid", "is_suspended", "ou"]): rng.choice(TEXTS)}
        if rng.random() < 0.5:
            more["dedup"] = {"window": "5m", "by": rng.sample(["explicit", "id", "content"], 2)}
        accounts.append(account(one, **more))
    buses = [{"account": one, "name": text(rng), "description": rng.choice(TEXTS[:-1])}
             for one in dict.fromkeys(ids) if rng.random() < 0.5]
    connections, destinations = endpoints(random.Random("".join(ids)), list(dict.fromkeys(ids)))
    rules = []
    for number in range(rng.randint(0, 6)):
        head = {"bus": "central", "name": f"rule{number}",
                "state": rng.choice(["ENABLED", "DISABLED"]), "description": rng.choice(TEXTS[:-1]),
                "targets": [target(rng, n) for n in range(rng.randint(0, 5))]}
        rules.append(json.dumps(head)[:-1] + ', "pattern": ' + pattern(rng) + "}")
    return '{"accounts": %s, "buses": %s, "connections": %s, "api_destinations": %s, ' \
        '"rules": [%s]}' % (json.dumps(accounts), json.dumps(buses), json.dumps(connections),
                            json.dumps(destinations), ",".join(rules))


def parameters(rng):
    return [{"key": f"{text(rng)}{n}", "value": rng.choice(TEXTS[:2] + NUMBERS),
             **rng.choice([{}, {"is_value_secret": False}])} for n in range(rng.randint(0, 3))]


def http_parameters(rng):
    return {key: parameters(rng) for key in rng.sample(
        ["header_parameters", "query_string_parameters", "body_parameters"], rng.randint(0, 3))}


def endpoints(rng, ids):
    """Connections, one that was deauthorized among them, and what calls by them."""
    connections, destinations = [], []
    for number, one in enumerate(ids):
        secret = {"file": "secret"}
        kind, block = rng.choice([
            ("BASIC", {"basic_auth_parameters": {"username": "u", "password": secret}}),
            ("API_KEY", {"api_key_auth_parameters": {"api_key_name": "x-k",
                                                     "api_key_value": secret}}),
            ("OAUTH_CLIENT_CREDENTIALS", {"oauth_parameters": {
                "client_parameters": {"client_id": "c", "client_secret": secret},
                "authorization_endpoint": "https://127.0.0.1.example.com/t", "http_method": "GET",
                "oauth_http_parameters": http_parameters(rng)}})])
        made = {"account": one, "name": f"c{number}", "authorization_type": kind}
        if rng.random() < 0.8:
            made["auth_parameters"] = {**block, "invocation_http_parameters": http_parameters(rng)}
        connections.append(made)
        if rng.random() < 0.7:
            destinations.append({
                "account": one, "name": text(rng), "http_method": rng.choice(["POST", "DELETE"]),
                "connection_arn": f"arn:aws:events:us-east-1:{one}:connection/c{number}",
                "invocation_endpoint": "https://hooks.example.com/*/in",
                **({"invocation_rate_limit_per_second": 7} if rng.random() < 0.5 else {})})
    return connections, destinations


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Weir(tmp_path_factory.mktemp("one")) as one, Weir(tmp_path_factory.mktemp("two")) as two:
        for weir in (one, two):
            (weir.folder / "secret").write_text(SECRET + "\n")
            (weir.folder / "secret").chmod(0o600)
        yield one, two


def apply(weir, given):
    path = weir.folder / "given.json"
    path.write_text(given)
    return weir.cli("apply", "-f", path).stdout


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_exported_is_what_was_applied(pair, seed):
    one, two = pair
    given = catalog(random.Random(seed))
    apply(one, given)
    exported = one.cli("export").stdout
    assert apply(one, exported).startswith("0 changes"), given
    assert one.cli("export").stdout == exported
    assert SECRET not in exported
    # A file says of a secret that it is stored; to another gateway it is given.
    apply(two, exported.replace('{"stored":true}', '{"file":"secret"}'))
    assert json.loads(two.cli("export").stdout) == json.loads(exported)
    kept = {(rule["bus"], rule["name"]) for rule in json.loads(given)["rules"]}
    assert {(rule["bus"], rule["name"]) for rule in json.loads(exported)["rules"]} == kept
    for number in NUMBERS:  # a number keeps its spelling
        assert given.count(f"[{number}]") == exported.count(f"[{number}]"), number
