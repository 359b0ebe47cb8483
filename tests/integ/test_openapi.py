# SPDX-License-Identifier: Apache-2.0
"""deploy/reference/openapi.json against the running gateway.

Goal:   what is described answers, as it is described; what answers is described.
Method: one good call and one bad call of every operation; each answer is held against the schema of
        its status.  docs_fresh.sh holds the file against the table of routes.
"""

import json
import re
import urllib.error
import urllib.request

import pytest
from catalogs import MEMBER, entry
from clients import Boto3
from weir import ROOT

API = json.loads((ROOT / "deploy/reference/openapi.json").read_text())
OPERATIONS = {f"{method.upper()} {path}": operation for path, methods in API["paths"].items()
              for method, operation in methods.items()}
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
         "null": type(None)}
FRESH = "333322221111"


def resolve(node):
    while "$ref" in node:
        found = API
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def has_type(value, name):
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def mistakes(value, schema, where="$"):
    """Where the value is not what the schema says."""
    schema = resolve(schema)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(has_type(value, kind) for kind in kinds):
        return [f"{where}: no {'/'.join(kinds)}"]
    found = [] if value in schema.get("enum", [value]) else [f"{where}: none of the enum"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{where}: not as the pattern")
    if isinstance(value, dict):
        members = schema.get("properties", {})
        found += [f"{where}.{name}: missing" for name in schema.get("required", ())
                  if name not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{where}.{name}: not described" for name in value if name not in members]
        for name in members.keys() & value.keys():
            found += mistakes(value[name], members[name], f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, one in enumerate(value):
            found += mistakes(one, schema["items"], f"{where}[{index}]")
    return found


def ask(weir, method, path, body=None, token=None):
    data = None if body is None else json.dumps(body).encode()
    if data is None and method in ("POST", "PUT"):
        data = b""
    request = urllib.request.Request(weir.admin_url + path, data, method=method, headers={
        "Authorization": f"Bearer {weir.token() if token is None else token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def check(operation, answer):
    """The answer is one that the operation describes; its parsed body."""
    status, content_type, text = answer
    described = operation["responses"].get(str(status), operation["responses"].get("default"))
    assert described, f"{status} is not described: {text}"
    content = described["content"].get(content_type.split(";")[0])
    assert content, f"{content_type} is not described"
    value = text if content_type.startswith("text/") else json.loads(text)
    assert mistakes(value, content["schema"]) == []
    return value


@pytest.fixture(scope="module")
def good(weir, key, tmp_path_factory):
    """operation -> (path, body) of a call that is answered 200; called in this order."""
    event_id = Boto3(weir, key).put([entry()]).event_ids[0]
    weir.drain()
    spare = weir.issue(MEMBER, "api-key")["credential"]
    copy = tmp_path_factory.mktemp("copy") / "weir.db"
    rules = {"rules": []}
    return {
        "GET /healthz": ("/healthz", None),
        "GET /readyz": ("/readyz", None),
        "GET /metrics": ("/metrics", None),
        "GET /v1/stats": ("/v1/stats", None),
        "GET /v1/stats/{part}": (f"/v1/stats/accounts/{MEMBER}", None),
        "GET /v1/trace/{event_id}": (f"/v1/trace/{event_id}", None),
        "GET /v1/catalog": ("/v1/catalog", None),
        "POST /v1/catalog": ("/v1/catalog?name=openapi&dry_run=true", rules),
        "GET /v1/accounts": ("/v1/accounts?limit=1", None),
        "PUT /v1/accounts/{account}": (f"/v1/accounts/{FRESH}", {"name": "fresh"}),
        "GET /v1/accounts/{account}": (f"/v1/accounts/{MEMBER}", None),
        "POST /v1/accounts/{account}/suspend": (f"/v1/accounts/{FRESH}/suspend", None),
        "POST /v1/accounts/{account}/resume": (f"/v1/accounts/{FRESH}/resume", None),
        "POST /v1/accounts/{account}/credentials": (
            f"/v1/accounts/{FRESH}/credentials", {"kind": "sigv4", "expires": "1d"}),
        "DELETE /v1/accounts/{account}": (f"/v1/accounts/{FRESH}", None),
        "DELETE /v1/credentials/{credential}": (f"/v1/credentials/{spare}", None),
        "GET /v1/explain": ("/v1/explain?rule=central/pings&event=%7B%7D", None),
        "POST /v1/explain": ("/v1/explain", {"rule": "central/pings", "event": {}}),
        "GET /v1/dead": ("/v1/dead?payload=true", None),
        "POST /v1/dead/redrive": ("/v1/dead/redrive?all=true&dry_run=true", None),
        "POST /v1/dead/drop": ("/v1/dead/drop?all=true&dry_run=true", None),
        "GET /v1/parks": ("/v1/parks", None),
        "POST /v1/parks/lift": ("/v1/parks/lift?all=true", None),
        "GET /v1/audit": ("/v1/audit?limit=5", None),
        "GET /v1/audit/verify": ("/v1/audit/verify", None),
        "POST /v1/backup": ("/v1/backup", {"path": str(copy)}),
    }


def test_every_operation_answers_as_described(weir, good):
    # A store that has a catalog is not restored: its answer is looked at in test_restore.py.
    assert good.keys() == OPERATIONS.keys() - {"POST /v1/restore"}
    for name, (path, body) in good.items():
        method = name.split()[0]
        answer = ask(weir, method, path, body)
        assert answer[0] == 200, f"{name}: {answer}"
        check(OPERATIONS[name], answer)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_refusal_is_described(weir, name):
    method, path = name.split()
    operation = OPERATIONS[name]
    path = re.sub(r"\{\w+\}", "no-such-thing", path)
    if operation.get("security") != []:
        answer = ask(weir, method, path, token="none")
        assert answer[0] == 401 and check(operation, answer)["error"]["code"]
    if method in ("POST", "PUT", "DELETE"):
        answer = ask(weir, method, path, [])
        assert answer[0] in (400, 404), answer
        check(operation, answer)


def test_every_parameter_and_schema_is_used():
    text = json.dumps(API)
    for kind in ("schemas", "parameters"):
        unused = [name for name in API["components"][kind]
                  if f'"#/components/{kind}/{name}"' not in text]
        assert unused == []
    for name, operation in OPERATIONS.items():
        for parameter in operation.get("parameters", []):
            assert resolve(parameter)["name"], name
