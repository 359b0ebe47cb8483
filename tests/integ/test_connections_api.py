# SPDX-License-Identifier: Apache-2.0
"""Connections and API destinations by the EventBridge API: boto3, the AWS CLI, the JavaScript SDK.

Every action and every error that it documents.  What a call made is then used: an endpoint that
checks for itself who calls is sent an event.
"""

import json
import re
import uuid

import botocore.exceptions
import pytest
from catalogs import CENTRAL, MEMBER, OTHER, envelope
from clients import AwsCliLines, JavaScript, curl, session_client
from https_endpoint import Endpoint, api_key, basic
from weir import REGION, Weir, make_certificates, wait_until

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SECRETS = {"password": "the-password-of-7d1", "key": "the-key-of-7d1",
           "client": "the-client-secret-of-7d1", "hidden": "the-hidden-value-of-7d1"}
NAME_PATTERN = r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weir")
    make_certificates(folder)
    with Endpoint(folder / "server.pem", folder / "server.key",
                  client=("c-EXAMPLE", SECRETS["client"])) as far:
        with Weir(folder, config={
                "egress": {"allow": ["127.0.0.0/8", "::1"], "ports": [far.port], "ca": "ca.pem"},
                "limits": {"account_api_destinations": 130}}) as weir:
            weir.apply({"accounts": [{"id": one, "sources": ["*"]}
                                     for one in (MEMBER, OTHER, CENTRAL)]})
            yield weir, far


@pytest.fixture
def weir(shared):
    return shared[0]


@pytest.fixture
def far(shared):
    shared[1].forget()
    yield shared[1]
    assert not shared[1].oddities


@pytest.fixture(scope="module")
def keys(shared):
    weir = shared[0]
    return {"member": weir.issue(MEMBER, "sigv4"), "other": weir.issue(OTHER, "sigv4"),
            "operator": weir.issue(CENTRAL, "sigv4", "--operator"),
            "events": weir.issue(MEMBER, "api-key")}


@pytest.fixture(scope="module")
def api(shared, keys):
    return session_client(shared[0], keys["member"])


@pytest.fixture
def name():
    return f"soar-{uuid.uuid4().hex[:12]}"


def basic_auth(**more):
    return {"BasicAuthParameters": {"Username": "weir", "Password": SECRETS["password"]}, **more}


def key_auth(**more):
    return {"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": SECRETS["key"]},
            **more}


def oauth(far, secret=SECRETS["client"], path="/oauth/token", **more):
    return {"OAuthParameters": {
        "ClientParameters": {"ClientID": "c-EXAMPLE", "ClientSecret": secret},
        "AuthorizationEndpoint": far.url + path, "HttpMethod": "POST", **more}}


def created(api, name, kind="BASIC", parameters=None, **more):
    """The ARN of a connection that is made."""
    return api.create_connection(Name=name, AuthorizationType=kind,
                                 AuthParameters=parameters or basic_auth(), **more)["ConnectionArn"]


def made(api, name, connection, url="https://hooks.example.com/", **more):
    """The ARN of an API destination that is made."""
    return api.create_api_destination(Name=name, ConnectionArn=connection, InvocationEndpoint=url,
                                      **{"HttpMethod": "POST", **more})["ApiDestinationArn"]


def plain(answer):
    answer.pop("ResponseMetadata")
    return answer


def refused(code, call, **arguments):
    """The message of the error that a call must end in."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    assert not any(secret in str(error) for secret in SECRETS.values())
    return error["Error"]["Message"]


def route(api, name, arn, **more):
    api.put_rule(Name=name, EventPattern=json.dumps({"detail-type": [name]}))
    api.put_targets(Rule=name, Targets=[{"Id": "far", "Arn": arn, **more}])


def send(weir, keys, name):
    key, event = keys["events"], envelope(source="com.example.app", detail_type=name)
    assert curl(weir, "/events", data=[event], headers=[
        "content-type: application/json", f"{key['header']}: {key['key']}"]).status == 200
    weir.drain()
    return event["id"]


# ---- connections

def test_a_connection_is_described_without_its_secrets(weir, api, name):
    before = plain(api.create_connection(
        Name=name, Description="to the SOAR", AuthorizationType="API_KEY", AuthParameters=key_auth(
            InvocationHttpParameters={
                "HeaderParameters": [{"Key": "X-Team", "Value": "sec", "IsValueSecret": False}],
                "QueryStringParameters": [
                    {"Key": "token", "Value": SECRETS["hidden"], "IsValueSecret": True}]})))
    assert re.fullmatch(f"arn:aws:events:{REGION}:{MEMBER}:connection/{name}/{UUID}",
                        before["ConnectionArn"])
    assert before["ConnectionState"] == "AUTHORIZED"
    assert set(before) == {"ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime"}
    shown = plain(api.describe_connection(Name=name))
    assert shown.pop("LastAuthorizedTime") == shown["CreationTime"]
    assert shown == {**before, "Name": name, "Description": "to the SOAR",
                     "AuthorizationType": "API_KEY", "AuthParameters": {
                         "ApiKeyAuthParameters": {"ApiKeyName": "x-api-key"},
                         "InvocationHttpParameters": {
                             "HeaderParameters": [{"Key": "X-Team", "Value": "sec",
                                                   "IsValueSecret": False}],
                             "QueryStringParameters": [{"Key": "token", "IsValueSecret": True}]}}}
    exported = weir.cli("export").stdout
    kept = b"".join(path.read_bytes() for path in weir.state.rglob("*") if path.is_file())
    for secret in SECRETS.values():
        assert secret not in exported and secret not in weir.log_path.read_text()
        assert secret.encode() not in kept


def test_an_empty_block_of_parameters_is_shown_as_it_was_sent(api, name):
    created(api, name, parameters=basic_auth(InvocationHttpParameters={}))
    assert plain(api.describe_connection(Name=name))["AuthParameters"] == {
        "BasicAuthParameters": {"Username": "weir"}, "InvocationHttpParameters": {}}


def test_an_update_changes_what_it_names(weir, keys, api, far, name):
    """The secret that is not given stays; the one that is, is used with the next event."""
    far.expect("/hook", basic("weir", SECRETS["password"]))
    arn = created(api, name, Description="first")
    route(api, name, made(api, name, arn, far.url + "/hook"))
    first = send(weir, keys, name)
    updated = plain(api.update_connection(Name=name, Description="second"))
    assert (updated["ConnectionArn"], updated["ConnectionState"]) == (arn, "AUTHORIZED")
    assert {"CreationTime", "LastModifiedTime", "LastAuthorizedTime"} < set(updated)
    api.update_connection(Name=name, AuthParameters={"BasicAuthParameters": {"Username": "other"}})
    far.expect("/hook", basic("other", SECRETS["password"]))
    second = send(weir, keys, name)
    api.update_connection(Name=name, AuthParameters={"BasicAuthParameters": {"Password": "new"}})
    far.expect("/hook", basic("other", "new"))
    third = send(weir, keys, name)
    api.update_connection(Name=name, AuthorizationType="API_KEY", AuthParameters=key_auth())
    far.expect("/hook", api_key("x-api-key", SECRETS["key"]))
    fourth = send(weir, keys, name)
    assert {one.json()["id"] for one in far.taken("/hook")} == {first, second, third, fourth}
    assert not far.strangers
    shown = api.describe_connection(Name=name)
    assert shown["Description"] == "second" and shown["AuthParameters"] == {
        "ApiKeyAuthParameters": {"ApiKeyName": "x-api-key"}}
    api.update_connection(Name=name, Description="")
    assert "Description" not in api.describe_connection(Name=name)
    assert "Reason: is required for BASIC" in refused(
        "ValidationException", api.update_connection, Name=name, AuthorizationType="BASIC")


def test_secret_parameters_stay_until_they_are_given_again(weir, keys, api, far, name):
    def parameters(*items):
        return {"InvocationHttpParameters": {"QueryStringParameters": [
            {"Key": key, "IsValueSecret": True, **({"Value": value} if value else {})}
            for key, value in items]}}

    arn = created(api, name, "API_KEY", key_auth(**parameters(("a", "1"), ("b", "2"))))
    route(api, name, made(api, name, arn, far.url + "/hook"))
    api.update_connection(Name=name, AuthParameters=parameters(("b", None), ("c", "3")))
    send(weir, keys, name)
    assert {tuple(one.query) for one in far.taken("/hook")} == {(("b", "2"), ("c", "3"))}
    assert "no secret is stored for it yet" in refused(
        "ValidationException", api.update_connection, Name=name,
        AuthParameters=parameters(("a", None)))


def test_oauth_is_authorizing_until_a_token_was_got(api, far, name):
    far.token_answers[:] = [(401, {"error": "invalid_client", "said": SECRETS["client"]})]
    answer = plain(api.create_connection(Name=name, AuthorizationType="OAUTH_CLIENT_CREDENTIALS",
                                         AuthParameters=oauth(far)))
    assert answer["ConnectionState"] == "AUTHORIZING"
    destination = made(api, name, answer["ConnectionArn"])
    assert "LastAuthorizedTime" not in answer

    def shown(state):
        one = api.describe_connection(Name=name)
        return one if one["ConnectionState"] == state else None

    one = wait_until(lambda: shown("AUTHORIZED"), "a token was got", 60, 0.1)
    assert "StateReason" not in one and "LastAuthorizedTime" in one and far.issued == 1
    assert one["AuthParameters"] == {"OAuthParameters": {
        "ClientParameters": {"ClientID": "c-EXAMPLE"},
        "AuthorizationEndpoint": far.url + "/oauth/token", "HttpMethod": "POST"}}
    assert api.describe_api_destination(Name=name)["ApiDestinationState"] == "ACTIVE"
    api.update_connection(Name=name, AuthParameters=oauth(far, "a wrong secret"))
    one = wait_until(lambda: "StateReason" in api.describe_connection(Name=name)
                     and shown("AUTHORIZING"), "it was refused", 60, 0.1)
    assert one["StateReason"] == "The token endpoint answered HTTP 401"
    assert api.describe_api_destination(Name=name)["ApiDestinationState"] == "INACTIVE"
    (listed,) = api.list_connections(NamePrefix=name, ConnectionState="AUTHORIZING")["Connections"]
    assert listed["StateReason"] == one["StateReason"] and destination
    api.update_connection(Name=name, AuthParameters=oauth(far))
    wait_until(lambda: shown("AUTHORIZED"), "it was put right", 60, 0.1)


def test_deauthorized_is_without_credentials_until_new_ones_come(weir, keys, api, far, name):
    arn = created(api, name, "API_KEY", key_auth())
    route(api, name, made(api, name, arn, far.url + "/hook"))
    answer = plain(api.deauthorize_connection(Name=name))
    assert (answer["ConnectionArn"], answer["ConnectionState"]) == (arn, "DEAUTHORIZED")
    assert "AuthParameters" not in api.describe_connection(Name=name)
    assert api.describe_api_destination(Name=name)["ApiDestinationState"] == "INACTIVE"
    send(weir, keys, name)
    letters = weir.admin("GET", f"/v1/dead?rule={name}")["dead"]
    assert [one["reason"] for one in letters] == ["NO_PERMISSIONS"] and not far.taken("/hook")
    assert "ApiKeyValue" not in str(refused(
        "ValidationException", api.update_connection, Name=name,
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key"}}))
    api.update_connection(Name=name, AuthParameters=key_auth())
    assert api.describe_api_destination(Name=name)["ApiDestinationState"] == "ACTIVE"
    send(weir, keys, name)
    assert len(far.taken("/hook")) == 1


def test_a_deleted_connection_is_gone_and_another_of_its_name_is_another(api, name):
    first = created(api, name)
    made(api, name, first)
    assert plain(api.delete_connection(Name=name))["ConnectionState"] == "DELETING"
    assert refused("ResourceNotFoundException", api.describe_connection, Name=name) == (
        f"Failed to describe the connection(s). Connection '{name}' does not exist.")
    assert created(api, name) != first
    assert api.describe_api_destination(Name=name)["ApiDestinationState"] == "INACTIVE"


def test_lists_come_in_pages(api, name):
    wanted = [f"{name}-{n}" for n in range(5)]
    arns = [created(api, one) for one in wanted]
    found, token = [], None
    while True:
        page = api.list_connections(NamePrefix=name, Limit=2,
                                    **({"NextToken": token} if token else {}))
        assert len(page["Connections"]) <= 2
        found += page["Connections"]
        token = page.get("NextToken")
        if not token:
            break
    assert [one["Name"] for one in found] == wanted and [one["ConnectionArn"] for one in found] == arns
    assert set(found[0]) == {"ConnectionArn", "Name", "ConnectionState", "AuthorizationType",
                             "CreationTime", "LastModifiedTime", "LastAuthorizedTime"}
    assert api.list_connections(NamePrefix=name, ConnectionState="DEAUTHORIZED")["Connections"] == []
    for one, arn in zip(wanted, arns):
        made(api, one, arn)
    page = api.list_api_destinations(NamePrefix=name, Limit=3)
    rest = api.list_api_destinations(NamePrefix=name, NextToken=page["NextToken"])
    listed = page["ApiDestinations"] + rest["ApiDestinations"]
    assert [one["Name"] for one in listed] == wanted and "NextToken" not in rest
    (one,) = api.list_api_destinations(ConnectionArn=arns[3])["ApiDestinations"]
    assert one["Name"] == wanted[3]
    for call in (api.list_connections, api.list_api_destinations):
        assert refused("InvalidToken", call, NextToken="nonsense")


# ---- API destinations

def test_an_api_destination_is_made_described_changed_and_deleted(api, name):
    connection = created(api, name)
    before = plain(api.create_api_destination(
        Name=name, Description="the SOAR", ConnectionArn=connection, HttpMethod="PUT",
        InvocationEndpoint="https://hooks.example.com/*/in"))
    assert re.fullmatch(f"arn:aws:events:{REGION}:{MEMBER}:api-destination/{name}/{UUID}",
                        before["ApiDestinationArn"])
    assert set(before) == {"ApiDestinationArn", "ApiDestinationState", "CreationTime",
                           "LastModifiedTime"} and before["ApiDestinationState"] == "ACTIVE"
    shown = plain(api.describe_api_destination(Name=name))
    assert shown == {**before, "Name": name, "Description": "the SOAR",
                     "ConnectionArn": connection, "HttpMethod": "PUT",
                     "InvocationEndpoint": "https://hooks.example.com/*/in",
                     "InvocationRateLimitPerSecond": 300}
    (listed,) = api.list_api_destinations(NamePrefix=name)["ApiDestinations"]
    shown.pop("Description")
    assert listed == shown
    assert plain(api.update_api_destination(Name=name, InvocationRateLimitPerSecond=5))[
        "ApiDestinationArn"] == before["ApiDestinationArn"]
    changed = api.describe_api_destination(Name=name)
    assert (changed["InvocationRateLimitPerSecond"], changed["HttpMethod"],
            changed["Description"]) == (5, "PUT", "the SOAR")
    assert plain(api.delete_api_destination(Name=name)) == {}
    for call in (api.describe_api_destination, api.delete_api_destination,
                 api.update_api_destination):
        assert refused("ResourceNotFoundException", call, Name=name) == (
            "Failed to describe the api-destination(s). An api-destination "
            f"'{name}' does not exist.")


def test_a_targets_parameters_are_put_listed_and_sent(weir, keys, api, far, name):
    parameters = {"PathParameterValues": ["high", "$.detail-type"],
                  "HeaderParameters": {"X-Account": "$.account", "x-lower": "kept as it is"},
                  "QueryStringParameters": {"SnakeCase": "1", "snake_case": "2"}}
    arn = made(api, name, created(api, name), far.url + "/hooks/*/*")
    route(api, name, arn, HttpParameters=parameters)
    assert api.list_targets_by_rule(Rule=name)["Targets"] == [
        {"Id": "far", "Arn": arn, "HttpParameters": parameters}]
    event = send(weir, keys, name)
    (request,) = far.taken(f"/hooks/high/{name}")
    assert request.json()["id"] == event and request.header("x-account") == MEMBER
    assert sorted(request.query) == [("SnakeCase", "1"), ("snake_case", "2")]
    for wrong in ({"PathParameterValues": [" "]}, {"HeaderParameters": {"a": "line\nbreak"}},
                  {"QueryStringParameters": {"a": "x" * 513}}):
        assert "targets.1.member.httpParameters." in refused(
            "ValidationException", api.put_targets, Rule=name,
            Targets=[{"Id": "far", "Arn": arn, "HttpParameters": wrong}])


# ---- errors

def test_what_exists_is_not_made_again(api, name):
    arn = created(api, name)
    assert refused("ResourceAlreadyExistsException", created, api=api, name=name) == (
        f"Connection '{name}' already exists.")
    made(api, name, arn)
    assert refused("ResourceAlreadyExistsException", made, api=api, name=name, connection=arn) == (
        f"An api-destination '{name}' already exists.")


def test_what_is_not_there_is_not_found(api, name):
    for call in (api.describe_connection, api.update_connection, api.delete_connection,
                 api.deauthorize_connection):
        assert refused("ResourceNotFoundException", call, Name=name) == (
            f"Failed to describe the connection(s). Connection '{name}' does not exist.")
    nowhere = f"arn:aws:events:{REGION}:{MEMBER}:connection/{name}/{uuid.uuid4()}"
    missing = f"Failed to describe the connection(s). Connection '{name}' does not exist."
    assert refused("ResourceNotFoundException", made, api=api, name=name,
                   connection=nowhere) == missing
    made(api, name, created(api, name))
    assert refused("ResourceNotFoundException", api.update_api_destination, Name=name,
                   ConnectionArn=nowhere) == missing  # the name exists, with another UUID


def test_there_is_a_limit_per_account(shared, keys, name):
    weir = shared[0]
    api = session_client(weir, keys["other"])
    parameters = basic_auth()
    weir.apply({"connections": [
        {"account": OTHER, "name": f"full-{n}", "authorization_type": "API_KEY"}
        for n in range(130)]}, "--name", "full")
    try:
        assert refused("LimitExceededException", api.create_connection, Name=name,
                       AuthorizationType="BASIC", AuthParameters=parameters) == (
            "The requested resource exceeds the maximum number allowed.")
        # What a file manages, no member changes.
        assert refused("AccessDeniedException", api.delete_connection, Name="full-1") == (
            "Connection 'full-1' is managed by apply:full.")
        # Nor does one get what it sends, at an endpoint of the member's own.
        arn = api.describe_connection(Name="full-1")["ConnectionArn"]
        assert refused("AccessDeniedException", api.create_api_destination, Name=name,
                       ConnectionArn=arn, InvocationEndpoint="https://mine.example.com/",
                       HttpMethod="POST") == "Connection 'full-1' is managed by apply:full."
    finally:
        weir.apply({"connections": []}, "--name", "full")


def violation(value, place, constraint):
    return (f"1 validation error detected: Value{value} at '{place}' failed to satisfy "
            f"constraint: {constraint}")


CONNECTION_FAULTS = [
    ({"Name": "a b"}, violation(" 'a b'", "name", NAME_PATTERN)),
    ({"Name": "a" * 65}, violation(f" '{'a' * 65}'", "name",
                                   "Member must have length less than or equal to 64")),
    ({"Name": None}, violation(" null", "name", "Member must not be null")),
    ({"Description": "d" * 513}, violation(
        f" '{'d' * 80}'", "description", "Member must have length less than or equal to 512")),
    ({"AuthorizationType": "KERBEROS"}, violation(
        " 'KERBEROS'", "authorizationType",
        "Member must satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]")),
    ({"AuthParameters": None}, violation(" null", "authParameters", "Member must not be null")),
    ({"AuthParameters": {"BasicAuthParameters": {"Username": "u"}}}, violation(
        " null", "authParameters.basicAuthParameters.password", "Member must not be null")),
    ({"AuthParameters": {"BasicAuthParameters": {"Username": "", "Password": "p"}}}, violation(
        " ''", "authParameters.basicAuthParameters.username",
        "Member must have length greater than or equal to 1")),
    # A secret is not said back, however wrong it is.
    ({"AuthParameters": {"BasicAuthParameters": {
        "Username": "u", "Password": SECRETS["password"] + "x" * 512}}}, violation(
        "", "authParameters.basicAuthParameters.password",
        "Member must have length less than or equal to 512")),
    ({"AuthParameters": basic_auth(InvocationHttpParameters={
        "HeaderParameters": [{"Key": "a b", "Value": "c"}]})}, violation(
        " 'a b'", "authParameters.invocationHttpParameters.headerParameters.1.member.key",
        "Member must satisfy regular expression pattern: ^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$")),
    ({"AuthParameters": basic_auth(InvocationHttpParameters={
        "BodyParameters": [{"Key": "a", "Value": "b"}] * 101})}, violation(
        "", "authParameters.invocationHttpParameters.bodyParameters",
        "Member must have length less than or equal to 100")),
    ({"KmsKeyIdentifier": "k"}, "Parameter KmsKeyIdentifier is not valid. Reason: this gateway does "
                                "not offer it."),
    ({"AuthorizationType": "API_KEY"}, None),  # with the parameters of another type
    ({"AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "Host", "ApiKeyValue": "k"}},
      "AuthorizationType": "API_KEY"}, None),
]


@pytest.mark.parametrize(("wrong", "message"), CONNECTION_FAULTS)
def test_constraints_of_a_connection(api, name, wrong, message):
    given = {"Name": name, "AuthorizationType": "BASIC", "AuthParameters": basic_auth(), **wrong}
    call = session_call(api, "CreateConnection", given) if "KmsKeyIdentifier" in wrong else (
        lambda: api.create_connection(
            **{key: value for key, value in given.items() if value is not None}))
    said = refused("ValidationException", call)
    assert message is None or said == message
    assert api.list_connections(NamePrefix=name)["Connections"] == []


def session_call(api, action, given):
    """A call with members that this boto3 does not know yet."""
    def call():
        def add(request, **_):
            request.data = json.dumps(given).encode()
        api.meta.events.register_first(f"before-sign.events.{action}", add)
        try:
            api.create_connection(Name="x", AuthorizationType="BASIC", AuthParameters={})
        finally:
            api.meta.events.unregister(f"before-sign.events.{action}", add)
    return call


DESTINATION_FAULTS = [
    ({"Name": "a/b"}, violation(" 'a/b'", "name", NAME_PATTERN)),
    ({"HttpMethod": "TRACE"}, violation(
        " 'TRACE'", "httpMethod", "Member must satisfy enum value set: [HEAD, POST, PATCH, DELETE, "
                                  "PUT, GET, OPTIONS]")),
    ({"InvocationEndpoint": "https://a b/"}, violation(
        " 'https://a b/'", "invocationEndpoint", "Member must satisfy regular expression pattern: "
        r"^((%[0-9A-Fa-f]{2}|[-()_.!~*';/?:@\x26=+$,A-Za-z0-9])+)([).!';/?:,])?$")),
    ({"InvocationEndpoint": None}, violation(" null", "invocationEndpoint",
                                             "Member must not be null")),
    ({"InvocationRateLimitPerSecond": 0}, violation(
        " '0'", "invocationRateLimitPerSecond",
        "Member must have value greater than or equal to 1")),
    ({"ConnectionArn": "soar"}, violation(
        " 'soar'", "connectionArn", "Member must satisfy regular expression pattern: "
        r"^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:connection\/[\.\-_A-Za-z0-9]+\/"
        r"[\-A-Za-z0-9]+$")),
    ({"InvocationEndpoint": "http://hooks.example.com/"}, None),
    ({"InvocationEndpoint": "https://user:pass@hooks.example.com/"}, None),
    ({"InvocationEndpoint": "https://169.254.169.254/latest/"}, None),
]


@pytest.mark.parametrize(("wrong", "message"), DESTINATION_FAULTS)
def test_constraints_of_an_api_destination(api, name, wrong, message):
    given = {"Name": name, "ConnectionArn": created(api, name), "HttpMethod": "POST",
             "InvocationEndpoint": "https://hooks.example.com/", **wrong}
    said = refused("ValidationException", api.create_api_destination,
                   **{key: value for key, value in given.items() if value is not None})
    assert said == message or (message is None and "invocation_endpoint" in said)
    assert api.list_api_destinations(NamePrefix=name)["ApiDestinations"] == []


# ---- whose it is

def test_members_manage_their_own_and_operators_everybodys(weir, keys, api, name):
    other, operator = (session_client(weir, keys[who]) for who in ("other", "operator"))
    connection = created(api, name)
    destination = made(api, name, connection)
    foreign = created(other, name)  # its own of the same name
    for call, arn in ((other.describe_connection, connection), (other.delete_connection, connection),
                      (other.describe_api_destination, destination),
                      (other.delete_api_destination, destination)):
        message = refused("AccessDeniedException", call, Name=arn)
        assert message == f"The caller is not authorized to manage the resource {arn}"
        assert refused("AccessDeniedException", call, Name=arn.replace(name, "nothing"))
    # The name is one's own, the connection is not: whoever calls by it calls with its secrets.
    assert refused("AccessDeniedException", made, api=other, name=name, connection=connection)
    made(other, name, foreign)
    assert refused("AccessDeniedException", other.update_api_destination, Name=name,
                   ConnectionArn=connection)
    assert "must be of account" in refused("ValidationException", made, api=operator, name=name,
                                           connection=connection)
    for arn in (connection, connection.rpartition("/")[0]):
        assert operator.describe_connection(Name=arn)["ConnectionArn"] == connection
    operator.update_api_destination(Name=destination, InvocationRateLimitPerSecond=7)
    assert api.describe_api_destination(Name=name)["InvocationRateLimitPerSecond"] == 7
    # Operators' keys list what their own account has, as for buses.
    assert operator.list_connections(NamePrefix=name)["Connections"] == []
    operator.delete_connection(Name=foreign)
    assert refused("ResourceNotFoundException", other.describe_connection, Name=name)
    assert "Provided Arn" in refused("ValidationException", api.describe_connection,
                                     Name=destination)


def test_another_accounts_destination_is_no_target(weir, keys, api, name):
    other = session_client(weir, keys["other"])
    arn = made(api, name, created(api, name))
    other.put_rule(Name=name, EventPattern='{"source":["x"]}')
    assert "must be of account" in refused("ValidationException", other.put_targets, Rule=name,
                                           Targets=[{"Id": "far", "Arn": arn}])


# ---- other clients

@pytest.fixture
def cli(weir, keys):
    with AwsCliLines(weir, keys["member"]) as running:
        yield running


def test_the_aws_cli_manages_both(cli, far, name):
    def events(action, *arguments):
        done = cli.run("events", action, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def fails(code, action, *arguments):
        done = cli.run("events", action, *arguments)
        assert done.returncode != 0 and f"({code})" in done.stderr, done.stderr

    connection = events("create-connection", "--name", name, "--authorization-type", "BASIC",
                        "--auth-parameters", json.dumps(basic_auth()))["ConnectionArn"]
    fails("ResourceAlreadyExistsException", "create-connection", "--name", name,
          "--authorization-type", "BASIC", "--auth-parameters", json.dumps(basic_auth()))
    events("update-connection", "--name", name, "--description", "by hand")
    assert events("describe-connection", "--name", name)["Description"] == "by hand"
    assert [one["ConnectionArn"] for one in events(
        "list-connections", "--name-prefix", name)["Connections"]] == [connection]
    destination = events("create-api-destination", "--name", name, "--connection-arn", connection,
                         "--invocation-endpoint", far.url + "/hook", "--http-method", "POST")
    assert destination["ApiDestinationState"] == "ACTIVE"
    events("update-api-destination", "--name", name, "--invocation-rate-limit-per-second", "9")
    assert events("describe-api-destination", "--name", name)["InvocationRateLimitPerSecond"] == 9
    assert len(events("list-api-destinations", "--connection-arn", connection)[
        "ApiDestinations"]) == 1
    events("delete-api-destination", "--name", name)
    fails("ResourceNotFoundException", "describe-api-destination", "--name", name)
    assert events("deauthorize-connection", "--name", name)["ConnectionState"] == "DEAUTHORIZED"
    assert events("delete-connection", "--name", name)["ConnectionState"] == "DELETING"
    fails("ResourceNotFoundException", "delete-connection", "--name", name)
    fails("ValidationException", "create-api-destination", "--name", name, "--connection-arn",
          connection, "--invocation-endpoint", "https://hooks.example.com/", "--http-method", "TRACE")
    fails("InvalidToken", "list-connections", "--next-token", "nonsense")
    fails("AccessDeniedException", "describe-connection", "--name",
          connection.replace(MEMBER, OTHER))
    fails("ResourceNotFoundException", "create-api-destination", "--name", name, "--connection-arn",
          connection, "--invocation-endpoint", "https://hooks.example.com/", "--http-method", "PUT")


def test_the_javascript_sdk_makes_both(weir, keys, name):
    api = JavaScript(weir, keys["member"], "h2")
    connection = api.call("CreateConnection", Name=name, AuthorizationType="BASIC",
                          AuthParameters=basic_auth())["ConnectionArn"]
    assert api.call("CreateApiDestination", Name=name, ConnectionArn=connection, HttpMethod="POST",
                    InvocationEndpoint="https://hooks.example.com/")["ApiDestinationState"] == "ACTIVE"
    assert api.call("DescribeConnection", Name=name)["ConnectionState"] == "AUTHORIZED"
