# SPDX-License-Identifier: Apache-2.0
"""The judge is judged first: real clients against the stand-in, and forgeries it must refuse."""

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

sys.path.insert(0, str(Path(__file__).parent))
from aws_standin import AwsStandin  # noqa: E402
from weir import make_certificates  # noqa: E402

REGION = "us-east-1"
KEY, SECRET = "AKIASTANDINTEST00001", "stand-in-secret"
ROLE = "arn:aws:iam::111122223333:role/weir-dispatch"
PLAIN = "arn:aws:sqs:us-east-1:999999999999:findings"
FIFO = "arn:aws:sqs:us-east-1:999999999999:ordered.fifo"
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=2, parameter_validation=False)


@pytest.fixture
def standin(tmp_path):
    server = AwsStandin(log_path=tmp_path / "log.ndjson")
    server.sts.add_caller(KEY, SECRET, "999999999999")
    server.sts.add_role(ROLE, "x-7f3a")
    server.sqs.add_queue(PLAIN)
    server.sqs.add_queue(FIFO)
    with server:
        yield server


def client(standin, service, key=KEY, secret=SECRET, token=None, region=REGION):
    return boto3.client(service, endpoint_url=standin.url, region_name=region, config=ONCE,
                        aws_access_key_id=key, aws_secret_access_key=secret,
                        aws_session_token=token)


def assumed(standin, service="sqs", external_id="x-7f3a", **more):
    answer = client(standin, "sts").assume_role(
        RoleArn=ROLE, RoleSessionName="weir-dispatch", ExternalId=external_id, **more)
    keys = answer["Credentials"]
    return client(standin, service, keys["AccessKeyId"], keys["SecretAccessKey"],
                  keys["SessionToken"])


def control(standin, **order):
    request = urllib.request.Request(standin.url + "/_control", json.dumps(order).encode())
    return json.load(urllib.request.urlopen(request))


def code_of(caught):
    return caught.value.response["Error"]["Code"]


def lines(standin, kind):
    text = urllib.request.urlopen(standin.url + "/_log").read().decode()
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def json_call(standin, action, params, key=KEY, secret=SECRET, change=None, unsigned=None, at=None):
    """One SQS JSON 1.0 request signed by botocore, then altered by `change(headers, body)`."""
    body = json.dumps(params).encode()
    request = AWSRequest("POST", standin.url + "/", {
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}, body)
    SigV4Auth(Credentials(key, secret), "sqs", REGION).add_auth(request)
    headers = dict(request.headers.items())
    headers.update(unsigned or {})
    if change:
        body = change(headers, body)
    sent = urllib.request.Request(standin.url + "/", body, headers)
    try:
        answer = urllib.request.urlopen(sent)
        return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_role_signs_and_the_log_tells_which(standin):
    tags = [{"Key": "weir-account", "Value": "111122223333"}]
    sqs = assumed(standin, Tags=tags, SourceIdentity="weir")
    url = sqs.get_queue_url(QueueName="findings", QueueOwnerAWSAccountId="999999999999")["QueueUrl"]
    body = '{"a": "é\\n"}'
    attributes = {"RULE": {"DataType": "String", "StringValue": "high"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    (line,) = lines(standin, "message")
    assert (line["queue"], line["body"], line["message_id"]) == (PLAIN, body, sent["MessageId"])
    assert (line["role"], line["session"]) == (ROLE, "weir-dispatch")
    assert line["session_tags"] == {"weir-account": "111122223333"}
    (line,) = lines(standin, "assume_role")
    assert line["allowed"] and line["external_id"] == "x-7f3a"
    assert line["source_identity"] == "weir"
    assert SECRET not in Path(standin.log._file.name).read_text()


@pytest.mark.parametrize("role, external_id", [
    (ROLE, "x-wrong"), (ROLE, None), (ROLE + "-2", "x-7f3a")])
def test_a_role_is_not_assumed_on_wrong_terms(standin, role, external_id):
    more = {"ExternalId": external_id} if external_id else {}
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(standin, "sts").assume_role(RoleArn=role, RoleSessionName="weir-dispatch", **more)
    assert code_of(caught) == "AccessDenied"
    assert [line["allowed"] for line in lines(standin, "assume_role")] == [False]


@pytest.mark.parametrize("role_tags, caller_tags, passed, allowed", [
    (["weir-account"], ["weir-account"], "weir-account", True), ([], None, "weir-account", False),
    (None, [], "weir-account", False), (["weir-account"], None, "team", False),
    ([], [], None, True)])
def test_session_tags_are_granted_by_both_sides(standin, role_tags, caller_tags, passed, allowed):
    control(standin, roles=[{"arn": ROLE, "external_id": "x-7f3a", "tags": role_tags}],
            callers=[{"access_key": KEY, "secret": SECRET, "account": "999999999999",
                      "tags": caller_tags}])
    more = {"Tags": [{"Key": passed, "Value": "111122223333"}]} if passed else {}
    if allowed:
        assumed(standin, **more)
    else:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            assumed(standin, **more)
        assert code_of(caught) == "AccessDenied" and "sts:TagSession" in str(caught.value)
    assert [line["allowed"] for line in lines(standin, "assume_role")] == [allowed]


@pytest.mark.parametrize("key, secret, code", [
    (KEY, "wrong", "SignatureDoesNotMatch"), ("AKIANOBODY", SECRET, "InvalidClientTokenId")])
def test_a_wrong_key_is_refused(standin, key, secret, code):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(standin, "sqs", key, secret).get_queue_url(QueueName="findings")
    assert code_of(caught) == code


def test_a_role_key_needs_its_own_token_and_ends_in_time(standin):
    control(standin, lifetime_max_s=1)
    keys = client(standin, "sts").assume_role(
        RoleArn=ROLE, RoleSessionName="weir-dispatch", ExternalId="x-7f3a")["Credentials"]
    for token in (None, "another"):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client(standin, "sqs", keys["AccessKeyId"], keys["SecretAccessKey"],
                   token).list_queues()
        assert code_of(caught) == "InvalidClientTokenId"
    standin.sts.identities[keys["AccessKeyId"]].expires = time.time() - 1
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(standin, "sqs", keys["AccessKeyId"], keys["SecretAccessKey"],
               keys["SessionToken"]).list_queues()
    assert code_of(caught) == "ExpiredToken"


def replaced(name, value):
    def change(headers, body):
        headers[name] = value
        return body
    return change


@pytest.mark.parametrize("alter, status", [
    (dict(), 200),
    (dict(change=lambda headers, body: body + b" "), 403),
    (dict(change=replaced("X-Amz-Target", "AmazonSQS.ListQueues")), 403),
    (dict(change=replaced("X-Amz-Date", "20260101T000000Z")), 403),
    (dict(change=replaced("Authorization", "AWS4-HMAC-SHA256 Credential=x")), 403),
    (dict(unsigned={"X-Amz-Anything": "1"}), 403),
    (dict(unsigned={"X-Amzn-Trace-Id": "1"}), 200),
    (dict(unsigned={"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}), 403),
    (dict(secret="wrong"), 403),
])
def test_an_altered_request_is_refused(standin, alter, status):
    assert json_call(standin, "GetQueueUrl", {"QueueName": "findings"}, **alter)[0] == status


def test_json_errors_name_the_type_and_the_old_code(standin):
    status, answer = json_call(standin, "GetQueueUrl", {"QueueName": "nowhere"})
    assert (status, answer["__type"]) == (400, "com.amazonaws.sqs#QueueDoesNotExist")


def test_a_batch_reports_each_entry(standin):
    queue_url = f"{standin.url}/999999999999/findings"
    entries = [{"Id": str(i), "MessageBody": f"m{i}"} for i in range(4)]
    entries.append({"Id": "bad", "MessageBody": "\x01"})
    control(standin, fault={"target": PLAIN, "mode": "partial", "count": 1})
    status, answer = json_call(standin, "SendMessageBatch",
                               {"QueueUrl": queue_url, "Entries": entries})
    assert status == 200
    assert [one["Id"] for one in answer["Successful"]] == ["1", "3"]
    assert [(one["Id"], one["SenderFault"]) for one in answer["Failed"]] == [
        ("0", False), ("2", False), ("bad", False)]
    status, answer = json_call(standin, "SendMessageBatch",
                               {"QueueUrl": queue_url, "Entries": entries})
    assert [(one["Id"], one["SenderFault"]) for one in answer["Failed"]] == [("bad", True)]
    assert [line["body"] for line in lines(standin, "message")] == [
        "m1", "m3", "m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("entries, name", [
    ([], "EmptyBatchRequest"),
    ([{"Id": str(i), "MessageBody": "x"} for i in range(11)], "TooManyEntriesInBatchRequest"),
    ([{"Id": "a", "MessageBody": "x"}] * 2, "BatchEntryIdsNotDistinct"),
    ([{"Id": str(i), "MessageBody": "x" * 600000} for i in range(2)], "BatchRequestTooLong"),
    ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
])
def test_a_bad_batch_is_refused_whole(standin, entries, name):
    status, answer = json_call(standin, "SendMessageBatch", {
        "QueueUrl": f"{standin.url}/999999999999/findings", "Entries": entries})
    assert (status, answer["__type"]) == (400, f"com.amazonaws.sqs#{name}")
    assert lines(standin, "message") == []


def test_fifo_wants_group_and_deduplicates(standin):
    sqs = client(standin, "sqs")
    url = sqs.get_queue_url(QueueName="ordered.fifo")["QueueUrl"]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="a", MessageDeduplicationId="d")
    assert code_of(caught) == "MissingParameter"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    assert code_of(caught) == "InvalidParameterValue"
    one, two = (sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g",
                                 MessageDeduplicationId="d") for _ in range(2))
    assert one["MessageId"] == two["MessageId"] and one["SequenceNumber"] == two["SequenceNumber"]
    assert [line["duplicate"] for line in lines(standin, "message")] == [False, True]
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    assert [message["Attributes"]["MessageGroupId"] for message in got["Messages"]] == ["g"]


def test_a_person_can_create_receive_and_delete(standin):
    sqs = client(standin, "sqs")
    url = sqs.create_queue(QueueName="mine")["QueueUrl"]
    sqs.send_message_batch(QueueUrl=url, Entries=[
        {"Id": "a", "MessageBody": "<one>"}, {"Id": "b", "MessageBody": "two"}])
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in got] == ["<one>", "two"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "1"


def test_a_bare_key_may_not_use_a_queue_of_another_account(standin):
    control(standin, queues=["arn:aws:sqs:us-east-1:444455556666:theirs"])
    sqs = client(standin, "sqs")
    url = sqs.get_queue_url(QueueName="theirs", QueueOwnerAWSAccountId="444455556666")["QueueUrl"]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert code_of(caught) == "AccessDenied"


def test_the_region_is_part_of_the_queue(standin):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(standin, "sqs", region="eu-west-1").get_queue_url(QueueName="findings")
    assert code_of(caught) == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize("fault, code", [
    ({"mode": "fail"}, "InternalFailure"),
    ({"mode": "fail", "code": "KmsDisabled", "status": 400}, "KmsDisabled"),
    ({"mode": "throttle"}, "RequestThrottled"),
    ({"mode": "deny"}, "AccessDenied"),
])
def test_a_fault_strikes_count_times(standin, fault, code):
    control(standin, fault={"target": PLAIN, "count": 2, **fault})
    sqs = client(standin, "sqs")
    url = f"{standin.url}/999999999999/findings"
    for _ in range(2):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            sqs.send_message(QueueUrl=url, MessageBody="x")
        assert code_of(caught) == code
    assert lines(standin, "message") == []
    sqs.send_message(QueueUrl=url, MessageBody="x")
    assert len(lines(standin, "message")) == 1


@pytest.mark.parametrize("fault, arrives", [
    ({"mode": "reset"}, 0), ({"mode": "swallow"}, 1), ({"mode": "hang", "seconds": 5}, 0),
    ({"mode": "drip", "seconds": 2.5}, 1)])
def test_a_broken_answer_tells_what_was_accepted(standin, fault, arrives):
    control(standin, fault={"target": PLAIN, **fault})
    url = f"{standin.url}/999999999999/findings"
    with pytest.raises(botocore.exceptions.BotoCoreError):
        client(standin, "sqs").send_message(QueueUrl=url, MessageBody="x")
    assert len(lines(standin, "message")) == arrives
    control(standin, clear="*")
    client(standin, "sqs").send_message(QueueUrl=url, MessageBody="x")


def test_a_lie_accepts_and_promises_too_much(standin):
    control(standin, fault={"target": "sqs", "mode": "lie"})
    url = f"{standin.url}/999999999999/findings"
    client(standin, "sqs").send_message(QueueUrl=url, MessageBody="x")  # boto3 does not count
    assert len(lines(standin, "message")) == 1
    signed = AWSRequest("POST", standin.url + "/", data=b'{"QueueName":"findings"}', headers={
        "X-Amz-Target": "AmazonSQS.GetQueueUrl", "Content-Type": "application/x-amz-json-1.0"})
    SigV4Auth(Credentials(KEY, SECRET), "sqs", "us-east-1").add_auth(signed)
    request = urllib.request.Request(signed.url, signed.data, dict(signed.headers.items()))
    with urllib.request.urlopen(request, timeout=10) as answer:
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_a_hook_wants_its_key_and_shows_the_certificate_it_is_told(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        make_certificates(tmp_path / name)
    pair = [tuple(str(tmp_path / name / file) for file in ("server.pem", "server.key"))
            for name in ("first", "second")]
    server = AwsStandin(certificates=[pair[1]])
    server.hook_key = "the key"
    server.targets.add_resource(server.targets.hook_arn("a"))
    trust = ssl.create_default_context(cafile=str(tmp_path / "first/ca.pem"))

    def post(name, key="the key"):
        request = urllib.request.Request(f"{server.tls_urls[0]}/hook/{name}", b'{"id": "1"}',
                                         {"x-api-key": key})
        try:
            with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    with server:
        with pytest.raises(urllib.error.URLError):
            post("a")
        server.control({"certificates": [[0, *pair[0]]]})
        assert (post("a"), post("b"), post("a", "another")) == (200, 404, 401)
        server.control({"fault": {"target": server.targets.hook_arn("a"), "mode": "throttle"}})
        assert post("a") == 429
        assert [line["body"] for line in server.log.lines if line["kind"] == "call"] == [
            '{"id": "1"}']


def test_sts_faults_are_its_own(standin):
    control(standin, fault={"target": "sts", "mode": "throttle", "count": 1})
    client(standin, "sqs").get_queue_url(QueueName="findings")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(standin, "sts").get_caller_identity()
    assert code_of(caught) == "Throttling"
    assert client(standin, "sts").get_caller_identity()["Account"] == "999999999999"


def test_a_bad_control_document_is_refused(standin):
    for order in ({"fault": {"target": "*", "mode": "melt"}}, {"queue": []}, {"queues": ["x"]}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            control(standin, **order)
        assert caught.value.code == 400


def test_nonsense_on_the_wire_harms_nobody(standin):
    for junk in (b"\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\x00" * 70000):
        with socket.create_connection((standin.host, standin.port)) as raw:
            raw.sendall(junk)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(5)
            try:
                raw.recv(1)
            except ConnectionError:
                pass
    assert json.load(urllib.request.urlopen(standin.url + "/_health")) == {"ok": True}


def test_the_command_says_where_it_listens_and_keeps_its_log_after_a_kill(tmp_path):
    log = tmp_path / "log.ndjson"
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "aws_standin.py"), "--log", str(log),
         "--caller", f"{KEY}:{SECRET}", "--role", f"{ROLE}=x-7f3a", "--queue", PLAIN, "--verbose"],
        stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[-1]
        sqs = boto3.client("sqs", endpoint_url=url, region_name=REGION, config=ONCE,
                           aws_access_key_id=KEY, aws_secret_access_key=SECRET)
        sqs.send_message(QueueUrl=f"{url}/999999999999/findings", MessageBody="hello")
        assert "findings <- hello" in process.stdout.readline()
    finally:
        process.kill()
        process.wait()
    assert [json.loads(line)["body"] for line in log.read_text().splitlines()] == ["hello"]
