# SPDX-License-Identifier: Apache-2.0
"""The judge of the other services is judged first: boto3 and the AWS CLI speak to it, and what
breaks a service's model or its own rules is refused."""

import json
import os
import subprocess
import sys
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

REGION, ACCOUNT = "us-east-1", "999999999999"
KEY, SECRET = "AKIASTANDINTEST00001", "stand-in-secret"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:triage"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Contain"
EXPRESS = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:ContainExpress"
DOCUMENT = f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/Isolate"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/partner"
TOKEN = "5d0e4a51-6f0b-5b7e-8a55-0f4f0a1b2c3d"
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=5)
LOOSE = Config(retries={"total_max_attempts": 1}, parameter_validation=False)


@pytest.fixture
def standin():
    server = AwsStandin()
    server.sts.add_caller(KEY, SECRET, ACCOUNT)
    for arn in (FUNCTION, MACHINE, EXPRESS, DOCUMENT, TOPIC, TOPIC + ".fifo", BUS):
        server.targets.add_resource(arn)
    with server:
        yield server


def client(standin, service, config=ONCE, secret=SECRET, region=REGION):
    return boto3.client(service, endpoint_url=standin.url, region_name=region, config=config,
                        aws_access_key_id=KEY, aws_secret_access_key=secret)


def calls(standin, service):
    return [line for line in standin.log.lines
            if line["kind"] == "call" and line["service"] == service]


def refused(call, **params):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**params)
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def test_lambda_takes_an_asynchronous_call(standin):
    aws = client(standin, "lambda")
    answer = aws.invoke(FunctionName=FUNCTION, InvocationType="Event", Payload=b'{"a":1}',
                        Qualifier="live")
    assert answer["StatusCode"] == 202
    (line,) = calls(standin, "lambda")
    assert (line["resource"], line["qualifier"], line["body"]) == (FUNCTION, "live", '{"a":1}')
    assert line["asynchronous"] and line["account"] == ACCOUNT
    assert refused(aws.invoke, FunctionName=FUNCTION + "x", InvocationType="Event") == (
        "ResourceNotFoundException", 404)
    assert refused(aws.invoke, FunctionName=FUNCTION, InvocationType="Event", Payload=b"{") == (
        "InvalidRequestContentException", 400)
    assert refused(aws.invoke, FunctionName=FUNCTION, InvocationType="Event",
                   Payload=b'"' + b"x" * (1 << 20) + b'"') == ("RequestTooLargeException", 413)
    standin.control({"fault": {"target": FUNCTION, "mode": "throttle", "count": 1}})
    assert refused(aws.invoke, FunctionName=FUNCTION) == ("TooManyRequestsException", 429)


def test_step_functions_know_their_executions_by_name(standin):
    aws = client(standin, "stepfunctions")
    first = aws.start_execution(stateMachineArn=MACHINE, name="n", input='{"a":1}')
    again = aws.start_execution(stateMachineArn=MACHINE, name="n", input='{"a":1}')
    assert first["executionArn"] == again["executionArn"]
    assert refused(aws.start_execution, stateMachineArn=MACHINE, name="n", input="{}") == (
        "ExecutionAlreadyExists", 400)
    standin.control({"executions_end": True})
    assert refused(aws.start_execution, stateMachineArn=MACHINE, name="n", input='{"a":1}') == (
        "ExecutionAlreadyExists", 400)
    for _ in range(2):
        aws.start_execution(stateMachineArn=EXPRESS, name="n", input="{}")
    assert [line["duplicate"] for line in calls(standin, "states")] == [
        False, True, True, True, False, False]
    assert refused(aws.start_execution, stateMachineArn=MACHINE, input="{") == (
        "InvalidExecutionInput", 400)
    assert refused(aws.start_execution, stateMachineArn=MACHINE + "x") == (
        "StateMachineDoesNotExist", 400)
    assert refused(client(standin, "stepfunctions", LOOSE).start_execution,
                   stateMachineArn=MACHINE, name="n" * 81) == ("ValidationException", 400)


def test_automation_is_started_once_for_each_token(standin):
    aws = client(standin, "ssm")
    wanted = {"DocumentName": "Isolate", "ClientToken": TOKEN,
              "Parameters": {"InstanceId": ["i-1"]}}
    first = aws.start_automation_execution(**wanted)
    assert aws.start_automation_execution(**wanted)["AutomationExecutionId"] == first[
        "AutomationExecutionId"]
    assert refused(aws.start_automation_execution, **{**wanted, "Parameters": {}})[0] in (
        "IdempotentParameterMismatch", "ValidationException")
    aws.start_automation_execution(DocumentName=DOCUMENT)
    aws.start_automation_execution(DocumentName="AWS-StopEC2Instance", TargetLocations=[
        {"Accounts": ["111122223333"], "Regions": [REGION], "ExecutionRoleName": "r"}])
    assert refused(aws.start_automation_execution, DocumentName="Nothing") == (
        "AutomationDefinitionNotFoundException", 400)
    assert refused(client(standin, "ssm", LOOSE).start_automation_execution,
                   DocumentName="Isolate", ClientToken="no uuid") == ("ValidationException", 400)
    assert calls(standin, "ssm")[0]["resource"] == DOCUMENT


def test_sns_takes_one_message_and_batches(standin):
    aws = client(standin, "sns")
    aws.publish(TopicArn=TOPIC, Message="é & <b>", Subject="s")
    answer = aws.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[
        {"Id": "0", "Message": "a"}, {"Id": "1", "Message": ""}])
    assert [one["Id"] for one in answer["Successful"]] == ["0"]
    assert [one["Code"] for one in answer["Failed"]] == ["InvalidParameter"]
    assert [line["body"] for line in calls(standin, "sns")] == ["é & <b>", "a"]
    assert refused(aws.publish, TopicArn=TOPIC + "x", Message="a") == ("NotFound", 404)
    assert refused(aws.publish, TopicArn=TOPIC, Message="x" * 262145) == ("InvalidParameter", 400)
    assert refused(aws.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=[
        {"Id": "0", "Message": "a"}] * 2) == ("BatchEntryIdsNotDistinct", 400)
    standin.control({"fault": {"target": TOPIC, "mode": "partial", "count": 1}})
    answer = aws.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[
        {"Id": str(i), "Message": "a"} for i in range(4)])
    assert [one["Id"] for one in answer["Failed"]] == ["0", "2"]


def test_a_fifo_topic_needs_its_parameters_and_drops_repetitions(standin):
    aws = client(standin, "sns")
    fifo = {"TopicArn": TOPIC + ".fifo", "Message": "a", "MessageGroupId": "g",
            "MessageDeduplicationId": "d"}
    assert aws.publish(**fifo)["MessageId"] == aws.publish(**fifo)["MessageId"]
    assert [line["duplicate"] for line in calls(standin, "sns")] == [False, True]
    for missing in ("MessageGroupId", "MessageDeduplicationId"):
        less = {key: value for key, value in fifo.items() if key != missing}
        assert refused(aws.publish, **less) == ("InvalidParameter", 400)


def test_a_bus_answers_for_each_entry(standin):
    aws = client(standin, "events")
    good = {"Source": "weir.aws.x", "DetailType": "t", "Detail": "{}", "EventBusName": BUS}
    answer = aws.put_events(Entries=[
        good, {**good, "Source": "aws.x"}, {**good, "Detail": "[]"}, {"Source": "s"},
        {**good, "EventBusName": BUS + "x"}])
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [
        None, "NotAuthorizedForSourceException", "MalformedDetail", "InvalidArgument", None]
    assert answer["FailedEntryCount"] == 3
    assert len(calls(standin, "events")) == 1
    assert refused(aws.put_events, Entries=[{**good, "Detail": '{"a":"%s"}' % ("x" * 262144)}]) == (
        "ValidationException", 400)


def test_other_services_are_judged_by_their_models(standin):
    standin.control({"answers": {
        "securityhub:BatchUpdateFindings": {"ProcessedFindings": [], "UnprocessedFindings": [
            {"FindingIdentifier": {"Id": "i", "ProductArn": "p"}, "ErrorCode": "FindingNotFound"}]},
        "ec2:DescribeInstances": {"Reservations": [{"OwnerId": ACCOUNT, "Instances": [
            {"InstanceId": "i-1", "Tags": [{"Key": "Owner", "Value": "a & b"}]}]}]},
        "iam:GetInstanceProfile": {"InstanceProfile": {
            "Path": "/", "InstanceProfileName": "web", "InstanceProfileId": "AIPA", "Arn": "arn",
            "CreateDate": 1767225600, "Roles": []}}}})
    finding = {"Id": "i", "ProductArn": "p"}
    answer = client(standin, "securityhub").batch_update_findings(
        FindingIdentifiers=[finding], Workflow={"Status": "NOTIFIED"})
    assert answer["UnprocessedFindings"][0]["ErrorCode"] == "FindingNotFound"
    answer = client(standin, "ec2").describe_instances(
        InstanceIds=["i-1"], Filters=[{"Name": "tag:a", "Values": ["b", "c"]}])
    assert answer["Reservations"][0]["Instances"][0]["Tags"][0]["Value"] == "a & b"
    (line,) = calls(standin, "ec2")
    assert line["params"] == {"InstanceIds": ["i-1"],
                              "Filters": [{"Name": "tag:a", "Values": ["b", "c"]}]}
    iam = client(standin, "iam")
    iam.put_role_policy(RoleName="app", PolicyName="deny", PolicyDocument='{"a": "é"}')
    assert calls(standin, "iam")[0]["params"]["PolicyDocument"] == '{"a": "é"}'
    assert iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]["Path"] == "/"
    client(standin, "cloudtrail").lookup_events(MaxResults=5, LookupAttributes=[
        {"AttributeKey": "EventName", "AttributeValue": "PutObject"}])
    assert calls(standin, "cloudtrail")[0]["action"] == "LookupEvents"
    assert refused(client(standin, "cloudtrail", LOOSE).lookup_events,
                   MaxResults=5000)[0] == "ValidationException"


def send(standin, service, target, headers, body, method="POST"):
    request = AWSRequest(method, standin.url + target, headers, body)
    SigV4Auth(Credentials(KEY, SECRET), service, REGION).add_auth(request)
    sent = urllib.request.Request(standin.url + target, body or None,
                                  dict(request.headers.items()), method=method)
    try:
        return urllib.request.urlopen(sent).status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("service, target, headers, body, status", [
    ("states", "/", {"Content-Type": "application/x-amz-json-1.0",
                     "X-Amz-Target": "AWSStepFunctions.StartExecution"},
     json.dumps({"stateMachineArn": MACHINE}).encode(), 200),
    ("states", "/", {"Content-Type": "application/x-amz-json-1.1",
                     "X-Amz-Target": "AWSStepFunctions.StartExecution"},
     json.dumps({"stateMachineArn": MACHINE}).encode(), 404),
    ("states", "/", {"Content-Type": "application/x-amz-json-1.0",
                     "X-Amz-Target": "AWSStepFunctions.StartExecution"},
     json.dumps({"stateMachineArn": MACHINE, "surplus": 1}).encode(), 400),
    ("ssm", "/", {"Content-Type": "application/x-amz-json-1.0",
                  "X-Amz-Target": "AWSStepFunctions.StartExecution"},
     json.dumps({"stateMachineArn": MACHINE}).encode(), 404),
    ("sns", "/", {"Content-Type": "application/x-www-form-urlencoded"},
     b"Action=Publish&Version=2010-03-31&TopicArn=" + TOPIC.encode() + b"&Message=a", 200),
    ("sns", "/", {"Content-Type": "application/x-www-form-urlencoded"},
     b"Action=Publish&Version=2010-03-30&TopicArn=" + TOPIC.encode() + b"&Message=a", 400),
    ("sns", "/", {"Content-Type": "application/x-www-form-urlencoded"},
     b"Action=Publish&Version=2010-03-31&TopicArn=" + TOPIC.encode() + b"&Message=a&X=1", 400),
    ("lambda", "/2015-03-31/functions/f/invocation", {"Content-Type": "a/b"}, b"{}", 404),
    ("nosuch", "/", {"Content-Type": "a/b"}, b"{}", 404),
])
def test_what_no_client_would_send_is_refused(standin, service, target, headers, body, status):
    assert send(standin, service, target, headers, body) == status


def test_a_fault_is_aimed_at_one_document(standin):
    standin.control({"fault": {"target": DOCUMENT, "mode": "throttle", "count": 1},
                     "resources": [DOCUMENT + "2"]})
    aws = client(standin, "ssm")
    aws.start_automation_execution(DocumentName="Isolate2")
    assert refused(aws.start_automation_execution, DocumentName="Isolate") == (
        "ThrottlingException", 400)
    aws.start_automation_execution(DocumentName="Isolate")
    assert [line["resource"] for line in calls(standin, "ssm")] == [DOCUMENT + "2", DOCUMENT]


def test_the_signature_counts_here_too(standin):
    for service, call in (("lambda", "list_functions"), ("sns", "list_topics"),
                          ("stepfunctions", "list_state_machines")):
        code, status = refused(getattr(client(standin, service, secret="wrong"), call))
        assert status == 403 and code in ("InvalidSignatureException", "SignatureDoesNotMatch")


def test_the_aws_cli_speaks_to_it(standin, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": "",
                   "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
                   "AWS_DEFAULT_REGION": REGION}

    def aws(*arguments):
        done = subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", standin.url, "--no-cli-pager", *arguments],
            env=environment, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout or "{}")

    assert aws("sns", "publish", "--topic-arn", TOPIC, "--message", "hello")["MessageId"]
    assert aws("lambda", "invoke", "--function-name", FUNCTION, "--invocation-type", "Event",
               "--cli-binary-format", "raw-in-base64-out", "--payload", "{}",
               str(tmp_path / "out"))["StatusCode"] == 202
    assert [line["body"] for line in standin.log.lines] == ["hello", "{}"]
