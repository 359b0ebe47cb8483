# SPDX-License-Identifier: Apache-2.0
"""The stand-in's places of credentials against botocore, which finds them as the SDKs do."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

import botocore.exceptions
import botocore.session
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from aws_standin import AwsStandin  # noqa: E402

ROLE = "arn:aws:iam::999999999999:role/weir-central"


@pytest.fixture
def standin(tmp_path):
    with AwsStandin(log_path=tmp_path / "log.ndjson") as server:
        yield server


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment in which botocore finds nothing by itself."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def who_am_i(standin):
    session = botocore.session.Session()
    return session.create_client("sts", region_name="us-east-1",
                                 endpoint_url=standin.url).get_caller_identity()["Arn"]


def test_instance_metadata(standin, bare):
    bare.setenv("AWS_EC2_METADATA_DISABLED", "false")
    bare.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", standin.url + "/")
    with pytest.raises(botocore.exceptions.NoCredentialsError):
        who_am_i(standin)  # no role is attached
    standin.control({"instance_role": ROLE})
    assert who_am_i(standin).endswith(":assumed-role/weir-central/i-0123456789abcdef0")
    asked = [line["asked"] for line in standin.log.lines if line["kind"] == "own"]
    assert asked[-3:] == ["PUT /latest/api/token",
                          "GET /latest/meta-data/iam/security-credentials/",
                          "GET /latest/meta-data/iam/security-credentials/weir-central"]


def test_instance_metadata_wants_its_token(standin):
    standin.control({"instance_role": ROLE})
    request = urllib.request.Request(
        standin.url + "/latest/meta-data/iam/security-credentials/weir-central",
        headers={"x-aws-ec2-metadata-token": "guessed"})
    for ask in (request, request.full_url):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(ask)
        assert caught.value.code == 401


def test_container_endpoint(standin, bare):
    standin.control({"container": {"role": ROLE, "authorization": "secret"}})
    bare.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", standin.url + "/container/credentials")
    with pytest.raises(botocore.exceptions.BotoCoreError):
        who_am_i(standin)
    bare.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret")
    assert who_am_i(standin).endswith(":assumed-role/weir-central/container")


def test_web_identity(standin, bare):
    standin.control({"web_identities": {"good": ROLE}})
    bare.setenv("AWS_ACCESS_KEY_ID", "unused")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "unused")
    client = botocore.session.Session().create_client("sts", region_name="us-east-1",
                                                      endpoint_url=standin.url)
    for token, code in (("good", None), ("forged", "InvalidIdentityToken")):
        try:
            answer = client.assume_role_with_web_identity(
                RoleArn=ROLE, RoleSessionName="pod", WebIdentityToken=token)
            assert code is None and answer["Credentials"]["AccessKeyId"].startswith("ASIA")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == code
    told = [line for line in standin.log.lines
            if line["kind"] == "assume_role_with_web_identity"]
    assert [line["allowed"] for line in told] == [True, False]
