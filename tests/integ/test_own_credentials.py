# SPDX-License-Identifier: Apache-2.0
"""weir finds its own credentials wherever the SDKs would, assumes roles with them, and tells which
source it was, but never a secret."""

import pytest
from catalogs import MEMBER, OTHER, account, queue_arn, roles, rule, target
from conftest import CATALOG
from clients import Boto3
from weir import CENTRAL, OWN_KEY, OWN_SECRET, AwsStandinProcess, Weir, wait_until

OWN_ROLE = f"arn:aws:iam::{CENTRAL}:role/weir-central"
SESSION = "arn:aws:sts::" + CENTRAL + ":assumed-role/weir-central/"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3ZWlyIn0.c2lnbmF0dXJl"
NOT_SET = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aws")
    with AwsStandinProcess(folder, roles(MEMBER, OTHER), [queue_arn("findings")]) as running:
        running.control(instance_role=OWN_ROLE, web_identities={TOKEN: OWN_ROLE},
                        container={"role": OWN_ROLE, "authorization": "Bearer very-secret"})
        yield running


def instance(aws, _folder):
    return {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url}


def container(aws, folder):
    (folder / "authorization").write_text("Bearer very-secret\n")
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.url + "/container/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": folder / "authorization"}


def web_identity(_aws, folder):
    (folder / "token").write_text(TOKEN + "\n")
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": folder / "token", "AWS_ROLE_ARN": OWN_ROLE,
            "AWS_ROLE_SESSION_NAME": "weir-pod"}


def config_file(_aws, folder):
    (folder / "config").write_text(f"[profile central]\naws_access_key_id = {OWN_KEY}\n"
                                   f"aws_secret_access_key = {OWN_SECRET}\n")
    return {"AWS_CONFIG_FILE": folder / "config", "AWS_PROFILE": "central"}


@pytest.mark.parametrize("set_up, source, caller", [
    (instance, "instance metadata", SESSION + "i-0123456789abcdef0"),
    (container, "container endpoint", SESSION + "container"),
    (web_identity, "web identity", SESSION + "weir-pod"),
    (config_file, "config file", f"arn:aws:iam::{CENTRAL}:user/weir"),
])
def test_roles_are_assumed_with_what_the_source_gave(aws, tmp_path, set_up, source, caller):
    with Weir(tmp_path / "weir", aws=aws, env={**NOT_SET, **set_up(aws, tmp_path)}) as weir:
        weir.apply(CATALOG)
        client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
        (event_id,) = client.put([{"Source": "com.example.app", "DetailType": "Ping",
                                   "Detail": f'{{"source": "{source}"}}'}]).event_ids
        wait_until(lambda: any(event_id in line["body"] for line in aws.messages()), "it arrived")
        weir.drain()
        log = weir.log_path.read_text()
    assert aws.lines("assume_role")[-1]["caller"] == caller
    assert "own_credentials.loaded" in log and source in log
    for secret in (TOKEN, "very-secret", OWN_SECRET):
        assert secret not in log


def test_without_a_source_events_wait_and_the_log_says_why(aws, tmp_path):
    absent = tmp_path / "token"
    env = {**NOT_SET, "AWS_WEB_IDENTITY_TOKEN_FILE": absent, "AWS_ROLE_ARN": OWN_ROLE}
    with Weir(tmp_path / "weir", aws=aws, env=env) as weir:
        weir.apply({"accounts": [account(MEMBER)],
                    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]})
        client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
        assert all(client.put([{"Source": "com.example.app", "DetailType": "Ping",
                                "Detail": '{"waits": true}'}]).event_ids)
        wait_until(lambda: "own_credentials.failed" in weir.log_path.read_text(), "it is told")
        assert str(absent) in weir.log_path.read_text()
        assert weir.stats()["totals"]["live"] == 1
