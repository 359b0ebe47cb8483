# SPDX-License-Identifier: Apache-2.0
"""Any call of the AWS API as a target: the stand-in judges each by botocore's model of the service,
in each protocol, and what it understood must be what the input said."""

import json

import pytest
from catalogs import MEMBER, account, entry, role_arn, rule
from clients import Boto3
from weir import REGION, wait_until

FINDING = {"Id": "arn:aws:securityhub:us-east-1:111122223333:x/1", "ProductArn": "arn:p"}
# detail-type: (SDK's service, signing name, action, input, what must be understood)
CALLS = {
    "Note": ("securityhub", "securityhub", "batchUpdateFindings", {
        "FindingIdentifiers": [FINDING], "Note": {"Text": "é \"x\"", "UpdatedBy": "weir"},
        "Workflow": {"Status": "NOTIFIED"}, "UserDefinedFields": {"event": "<id>"}}, None),
    "Revoke": ("iam", "iam", "putRolePolicy", {
        "RoleName": "app", "PolicyName": "weir-deny",
        "PolicyDocument": '{"Version":"2012-10-17","Statement":[]}'}, None),
    "TagRole": ("iam", "iam", "tagRole", {
        "RoleName": "app", "Tags": [{"Key": "a b", "Value": "c&d"}, {"Key": "e", "Value": ""}]},
        None),
    "Profile": ("iam", "iam", "getInstanceProfile", {"InstanceProfileName": "web"}, None),
    "Instances": ("ec2", "ec2", "describeInstances", {
        "InstanceIds": ["i-1", "i-2"], "Filters": [{"Name": "tag:a", "Values": ["b", "c"]}],
        "MaxResults": 7}, None),
    "Isolate": ("ec2", "ec2", "modifyInstanceAttribute", {
        "InstanceId": "i-1", "Groups": ["sg-1"]}, None),
    "Trail": ("cloudtrail", "cloudtrail", "lookupEvents", {
        "LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": "b"}],
        "MaxResults": 5}, None),
    "Parameter": ("ssm", "ssm", "getParameter", {"Name": "/weir/x", "WithDecryption": True}, None),
    "Public": ("s3", "s3", "getPublicAccessBlock", {
        "Bucket": "data", "ExpectedBucketOwner": MEMBER}, None),
    "Policy": ("s3", "s3", "getBucketPolicyStatus", {"Bucket": "data"}, None),
    "Replica": ("s3", "s3", "getBucketReplication", {"Bucket": "data"}, None),
    "Object": ("s3", "s3", "headObject", {"Bucket": "data", "Key": "in/a b~c.csv"}, None),
    "Archive": ("guardduty", "guardduty", "archiveFindings", {
        "DetectorId": "d0", "FindingIds": ["f"]}, None),
    "Alarm": ("cloudwatch", "monitoring", "putMetricData", {
        "Namespace": "weir", "MetricData": [{"MetricName": "m", "Value": 1.5, "Dimensions": [
            {"Name": "n", "Value": "v"}]}]}, None),
    "Secret": ("secretsmanager", "secretsmanager", "rotateSecret", {"SecretId": "s"}, "token"),
}
ANSWERS = {
    "iam:GetInstanceProfile": {"InstanceProfile": {
        "Path": "/", "InstanceProfileName": "web", "InstanceProfileId": "AIPAEXAMPLE00000",
        "Arn": "arn:aws:iam::111122223333:instance-profile/web", "CreateDate": 1767225600,
        "Roles": []}},
    "securityhub:BatchUpdateFindings": {"ProcessedFindings": [FINDING], "UnprocessedFindings": []},
}


def call_arn(service, action, region=""):
    return f"arn:aws:scheduler:{region}::aws-sdk:{service}:{action}"


def to(detail_type, arn, **more):
    return rule(detail_type.lower(), {"detail-type": [detail_type]},
                {"id": "call", "arn": arn, **more})


def input_of(value):
    """The input, constant, or made by a transformer where <id> stands in it."""
    text = json.dumps(value)
    if "<id>" not in text:
        return {"input": text}
    return {"input_transformer": {"input_paths_map": {"id": "$.id"}, "input_template": text}}


CATALOG = {"accounts": [account(MEMBER)], "rules": [
    *(to(name, call_arn(service, action), **input_of(value))
      for name, (service, _, action, value, _) in CALLS.items()),
    to("Elsewhere", call_arn("ssm", "getParameter", "eu-west-1"), input='{"Name": "x"}'),
    to("Wrong", call_arn("iam", "getRole"), input_path="$.detail"),
]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("universal"), CATALOG) as running:
        running.aws.control(answers=ANSWERS)
        yield running


def put(gateway, key, detail_type, **more):
    (event_id,) = Boto3(gateway.weir, key).put([entry(detail_type=detail_type, **more)]).event_ids
    return event_id


def last_call(gateway, service, action, count):
    def there():
        lines = [line for line in gateway.aws.calls(service)
                 if line["action"].lower() == action.lower()]
        return lines[count] if len(lines) > count else None
    return wait_until(there, f"{service}:{action}", 60)


def dead(gateway, event_id):
    def there():
        letters = gateway.weir.admin("GET", "/v1/dead?limit=100")["dead"]
        return next((one for one in letters if one["event_id"] == event_id), None)
    return wait_until(there, "the dead letter", 60)


@pytest.mark.parametrize("name", list(CALLS))
def test_the_service_understands_what_the_input_said(gateway, key, name):
    service, signing, action, wanted, more = CALLS[name]
    event_id = put(gateway, key, name)
    line = last_call(gateway, signing, action, 0)
    understood = dict(line["params"])
    if more == "token":
        assert len(understood.pop("ClientRequestToken")) == 36
    assert understood == json.loads(json.dumps(wanted).replace("<id>", event_id))
    assert line["role"] == role_arn(MEMBER)
    assert line["region"] == ("us-east-1" if service == "iam" else REGION)
    gateway.weir.drain()


def test_the_region_of_the_arn_counts(gateway, key):
    put(gateway, key, "Elsewhere")
    assert last_call(gateway, "ssm", "getParameter", 1)["region"] == "eu-west-1"


def test_an_input_that_the_call_cannot_have_dies_with_the_reason(gateway, key):
    letter = dead(gateway, put(gateway, key, "Wrong"))
    assert (letter["reason"], letter["attempts"]) == ("invalid-input", 0)


@pytest.mark.parametrize("code, status, reason", [
    ("NoSuchEntity", 404, "NO_RESOURCE"), ("AccessDenied", 403, "NO_PERMISSIONS"),
    ("MalformedPolicyDocument", 400, "SDK_CLIENT_ERROR")])
def test_what_a_service_refuses_dies_at_once(gateway, key, code, status, reason):
    gateway.aws.fault("iam", "fail", count=1, code=code, status=status)
    assert dead(gateway, put(gateway, key, "Revoke"))["reason"] == reason


def test_throttling_is_retried(gateway, key):
    before = sum(line["action"] == "DescribeInstances" for line in gateway.aws.calls("ec2"))
    gateway.aws.fault("ec2", "fail", count=2, code="RequestLimitExceeded", status=503)
    put(gateway, key, "Instances")
    last_call(gateway, "ec2", "describeInstances", before)
    gateway.weir.drain()


def test_a_finding_that_was_not_updated_is_a_failure(gateway, key):
    gateway.aws.control(answers={"securityhub:BatchUpdateFindings": {
        "ProcessedFindings": [], "UnprocessedFindings": [
            {"FindingIdentifier": FINDING, "ErrorCode": "FindingNotFound", "ErrorMessage": "m"}]}})
    letter = dead(gateway, put(gateway, key, "Note"))
    gateway.aws.control(answers=ANSWERS)
    assert letter["reason"] == "NO_RESOURCE"


@pytest.mark.parametrize("arn, more, place, why", [
    (call_arn("nosuch", "do"), {"input": "{}"}, ".arn", 'no service is called "nosuch"'),
    (call_arn("iam", "doNothing"), {"input": "{}"}, ".arn", 'iam has no call "doNothing"'),
    (call_arn("iam", "getRole"), {}, "", "an AWS call needs input"),
])
def test_an_unknown_call_is_refused_with_path_and_reason(gateway, arn, more, place, why):
    bad = {"rules": [to("Bad", arn, **more)]}
    done = gateway.weir.apply(bad, "--dry-run", check=False)
    assert done.returncode == 1
    assert f"rules[0].targets[0]{place}: " in done.stderr and why in done.stderr
