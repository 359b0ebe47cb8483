# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear answer, and the honest client beside it notices nothing."""

import json

import pytest
import raw
from catalogs import MEMBER, entry, envelope
from clients import Boto3, Curl, curl

REFUSED = "InvalidSignatureException"


@pytest.fixture(autouse=True)
def an_honest_client_is_served_afterwards(weir, key):
    yield
    assert Boto3(weir, key).put([entry()]).ok


# -- who -------------------------------------------------------------------------------------

@pytest.mark.parametrize("change", [
    {"secret_access_key": "wrong"}, {"access_key_id": "AKIANOBODY0000000001"}])
def test_a_wrong_key_and_a_wrong_secret_get_one_answer(weir, key, change):
    answer = Boto3(weir, {**key, **change}).put([entry()])
    assert (answer.status, answer.error["code"]) == (403, REFUSED)
    unknown = Boto3(weir, {**key, "access_key_id": "AKIANOBODY0000000002"}).put([entry()])
    assert unknown.error == answer.error


def signed_headers(weir, key, body, **signed):
    """The headers of one request as botocore signs it."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest("POST", weir.url + "/", {
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents",
        **signed}, body)
    SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]), "events",
              "us-east-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("name, value, status, code", [
    (None, None, 200, None),
    # Answered before anyone is proven: there is no such action, no such content type here.
    ("X-Amz-Target", "AWSEvents.NoSuchAction", 400, "UnknownOperationException"),
    ("Content-Type", "text/plain", 415, None),
    ("Content-Type", "application/x-amz-json-1.1; charset=utf-8", 403, REFUSED),
    ("X-Amz-Date", "20200101T000000Z", 403, REFUSED),
    ("X-Amz-Extra", "unsigned", 403, REFUSED),
    ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", 403, REFUSED),
    ("X-Amzn-Trace-Id", "Root=1", 200, None),
    ("Authorization", "AWS4-HMAC-SHA256 nonsense", 403, "IncompleteSignatureException"),
    ("Authorization", None, 403, "MissingAuthenticationTokenException"),
])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_an_altered_header_is_refused(weir, key, version, name, value, status, code):
    body = json.dumps({"Entries": [entry()]})
    headers = signed_headers(weir, key, body.encode())
    if name is not None:
        headers = {one: text for one, text in headers.items() if one.lower() != name.lower()}
        if value is not None:
            headers[name] = value
    answer = curl(weir, "/", data=body, version=version,
                  headers=[f"{one}: {text}" for one, text in headers.items()])
    assert answer.status == status, answer.body
    if code:
        assert answer.json["__type"].split("#")[-1] == code


def test_an_altered_body_is_refused(weir, key):
    body = json.dumps({"Entries": [entry()]})
    headers = signed_headers(weir, key, body.encode())
    answer = curl(weir, "/", data=body.replace("Ping", "Pong"),
                  headers=[f"{one}: {text}" for one, text in headers.items()])
    assert (answer.status, answer.json["__type"].split("#")[-1]) == (403, REFUSED)


@pytest.mark.parametrize("headers", [[], ["x-api-key: nonsense"], ["x-api-key: "],
                                     ["Authorization: Basic bm86bm8="]])
def test_a_missing_and_a_wrong_api_key_get_one_answer(weir, headers):
    answers = [
        curl(weir, "/events", data=envelope(), headers=["Content-Type: application/json", *one])
        for one in (headers, ["x-api-key: another"])]
    assert [answer.status for answer in answers] == [403, 403]
    assert answers[0].body == answers[1].body


# -- what ------------------------------------------------------------------------------------

DEEP = '{"a":' * 1500 + "1" + "}" * 1500


@pytest.mark.parametrize("bad, code", [
    (entry(detail=DEEP), "MalformedDetail"),
    (entry(detail="{"), "MalformedDetail"),
    (entry(detail='"text"'), "MalformedDetail"),
    ({"Source": "com.example.app", "DetailType": "Ping"}, "InvalidArgument"),
    ({"Source": "com.example.app", "Detail": "{}"}, "InvalidArgument"),
    ({"DetailType": "Ping", "Detail": "{}"}, "InvalidArgument"),
    (entry(source="aws.guardduty"), "NotAuthorizedForSourceException"),
])
def test_a_bad_entry_has_its_code(weir, key, bad, code):
    answer = Boto3(weir, key).put([bad])
    assert (answer.status, answer.failed) == (200, 1)
    assert answer.entries[0]["ErrorCode"] == code


def test_a_request_over_the_limit_is_refused_whole(weir, key):
    answer = Boto3(weir, key).put([entry(detail=json.dumps({"a": "x" * 30000})) for _ in range(9)])
    assert (answer.status, answer.error) == (400, {
        "code": "ValidationException",
        "message": "Total size of the entries in the request is over the limit."})


@pytest.mark.parametrize("action, body, code", [
    ("PutEvents", "{", "SerializationException"),
    ("PutEvents", "[]", "SerializationException"),
    ("NoSuchAction", "{}", "UnknownOperationException"),
])
def test_a_bad_call_is_named(weir, key, action, body, code):
    answer = Curl(weir, key).call(action, body)
    assert answer.status == 400
    assert answer.json["__type"].split("#")[-1] == code


@pytest.mark.parametrize("data, kind, status", [
    (b"{", "application/json", 400),
    (b'{"source":"a","detail-type":"b"}', "application/json", 400),
    (b'{"source":"a","detail-type":"b","detail":1}', "application/json", 400),
    (b'{"source":"\xff","detail-type":"b","detail":{}}', "application/json", 400),
    (b'{"source":"a","detail-type":"b","detail":' + DEEP.encode() + b"}", "application/json", 400),
    (b'{"source":"a","detail-type":"b","detail":{}}', "text/plain", 415),
    (b"[]", "application/json", 400),
])
def test_a_bad_envelope_is_named(weir, api_key, data, kind, status):
    answer = curl(weir, "/events", data=data, headers=[
        f"Content-Type: {kind}", f"{api_key['header']}: {api_key['key']}"])
    assert answer.status == status, answer.body
    assert answer.body.strip(), "the answer says what is wrong"


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/", 405), ("GET", "/events", 405), ("POST", "/nowhere", 404)])
def test_a_wrong_place_or_method(weir, method, path, status):
    data = b"{}" if method == "POST" else None
    assert curl(weir, path, "--request", method, data=data).status == status


def test_an_oversized_body_is_refused_before_it_is_read(weir, api_key):
    head = ("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{api_key['header']}: {api_key['key']}\r\nContent-Length: 1000000000\r\n\r\n")
    assert raw.exchange(weir, head.encode()) == [413]


# -- how -------------------------------------------------------------------------------------

GET = b"POST /events HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("data, status", [
    (b"nonsense\r\n\r\n", 400),
    (b"POST /events HTTP/1.1\nHost: localhost\n\n", 400),
    (b"POST /events HTTP/1.1\r\n\r\n", 400),
    (b"POST /events HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 400),
    (b"POST /events HTTP/1.0\r\nHost: localhost\r\n\r\n", 505),
    (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    (GET + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    (GET + b"Content-Length: +5\r\n\r\nhello", 400),
    (GET + b"Content-Length : 5\r\n\r\nhello", 400),
    (GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400),
    (GET + b"X-Nul: a\x00b\r\nContent-Length: 0\r\n\r\n", 400),
    (GET + b"X-Large: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (GET + b"".join(b"X-%d: a\r\n" % i for i in range(100)) + b"\r\n", 431),
])
def test_a_smuggler_gets_one_answer_and_the_door(weir, data, status):
    smuggled = GET + b"Content-Length: 0\r\n\r\n"
    assert raw.exchange(weir, data + smuggled) == [status]


def test_half_a_request_harms_nobody(weir):
    for part in (b"", b"POST /eve", GET, GET + b"Content-Length: 10\r\n\r\nhal"):
        with raw.connect(weir) as connection:
            connection.sendall(part)
    assert weir.is_ready()


def test_a_flood_of_resets_ends_its_own_connection_only(weir):
    connection = raw.Http2(weir)
    try:
        for _ in range(5000):
            connection.state.reset_stream(connection.head("/events"), error_code=8)
            connection.flush()
    except (ConnectionError, OSError):
        pass
    while connection.events():
        pass
    connection.close()
    assert weir.is_ready()


def test_the_counts_stay_balanced(weir, key):
    client = Boto3(weir, key)
    client.put([entry(), entry(source="")])
    ledger = weir.drain()["ledger"]
    assert ledger["balanced"] is True, ledger
