# SPDX-License-Identifier: Apache-2.0
"""`weir onboard` from the member's side: what was written is deployed by a stand-in, and events of the
six services arrive.  The central side's templates and policies are held to the same measure."""

import json
import ssl
import stat

import pytest
from catalogs import CENTRAL, account, rule, target
from member_stack import CloudFormation, Terraform, session_tags, strict, takers
from weir import OWN_KEY, OWN_SECRET, ROOT, wait_until

FORMATS = ("cloudformation", "terraform")
MEMBERS = {"cloudformation": "222211110000", "terraform": "222211110001"}
SERVICES = {
    "weir-guardduty": ("aws.guardduty", "GuardDuty Finding", {"severity": 8}),
    "weir-securityhub": ("aws.securityhub", "Security Hub Findings - Imported", {"findings": [{}]}),
    "weir-macie": ("aws.macie", "Macie Finding", {"category": "POLICY"}),
    "weir-cloudtrail": ("aws.iam", "AWS API Call via CloudTrail",
                        {"eventName": "CreateAccessKey", "readOnly": False}),
    "weir-access-analyzer": ("aws.access-analyzer", "Access Analyzer Finding", {"status": "ACTIVE"}),
    "weir-config": ("aws.config", "Config Rules Compliance Change", {"configRuleName": "x"}),
}
ROLE = f"arn:aws:iam::{CENTRAL}:role/weir"


def event(owner, name):
    source, detail_type, detail = SERVICES[name]
    return {"version": "0", "id": f"{owner}-{name}", "detail-type": detail_type, "source": source,
            "account": owner, "time": "2026-01-01T10:00:05Z", "region": "us-east-1",
            "resources": [], "detail": detail}


def read(folder, kind):
    """The stack that the member would have, and the text of the template."""
    if kind == "cloudformation":
        template = (folder / "member.json").read_text()
        return CloudFormation(template, json.loads((folder / "parameters.json").read_text())), template
    template = (folder / "main.tf.json").read_text()
    return Terraform(template, json.loads((folder / "terraform.tfvars.json").read_text())), template


def central(kind):
    """The stack of weir's own role."""
    if kind == "cloudformation":
        return CloudFormation((ROOT / "deploy/cloudformation/central.json").read_text(),
                              [{"ParameterKey": "OrganizationId",
                                "ParameterValue": "o-a1b2c3d4e5"}])
    return Terraform((ROOT / "deploy/terraform/central/main.tf.json").read_text(),
                     {"organization_id": "o-a1b2c3d4e5"})


@pytest.fixture(scope="module", params=FORMATS)
def onboarded(request, gateway, tmp_path_factory):
    """(kind, account, what the command printed, its folder)."""
    kind, folder = request.param, tmp_path_factory.mktemp("onboard") / "out"
    done = gateway.weir.cli("onboard", MEMBERS[kind], "--format", kind, "--out", folder, "--url",
                            gateway.weir.url)
    return kind, MEMBERS[kind], json.loads(done.stdout), folder


def test_events_of_every_service_arrive(gateway, onboarded):
    kind, owner, _, folder = onboarded
    gateway.weir.apply({"rules": [rule(kind, {"account": [owner]}, target("findings"))]},
                       "--name", f"onboard-{kind}")
    stack, _ = read(folder, kind)
    policy = central(kind).roles[{"cloudformation": "Role", "terraform": "weir"}[kind]]["policies"][0]
    gateway.aws.control(roles=[stack.dispatch_role(owner)],
                        callers=[{"access_key": OWN_KEY, "secret": OWN_SECRET, "account": CENTRAL,
                                  "tags": session_tags(policy)}])
    context = ssl.create_default_context(cafile=str(gateway.weir.ca))
    assert stack.rules.keys() == SERVICES.keys()
    for name in SERVICES:
        assert stack.forward(event(owner, name), context) == [(name, 200)]
    wait_until(lambda: all(gateway.arrived(f"{owner}-{name}") for name in SERVICES),
               "the events of all services arrive", 60)


def test_nothing_else_is_forwarded(onboarded):
    kind, owner, _, folder = onboarded
    rules = read(folder, kind)[0].rules
    for other in ({"source": "com.example.app"}, {"detail-type": "Something"}):
        assert takers(rules, {**event(owner, "weir-guardduty"), **other}) == []


def test_the_key_stands_in_the_private_parameters_alone(onboarded):
    kind, _, printed, folder = onboarded
    stack, template = read(folder, kind)
    assert stack.key.startswith(printed["credential"]) and stack.key not in template
    assert stack.key not in json.dumps(printed)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert printed["files"] == [str(path) for path in sorted(folder.iterdir())]
    if kind == "cloudformation":
        assert stack.template["Parameters"]["WeirApiKey"]["NoEcho"] is True
        assert "Default" not in stack.template["Parameters"]["WeirApiKey"]
    else:
        assert stack.module["variable"]["weir_api_key"]["sensitive"] is True


def test_the_template_is_everybodys(onboarded, gateway, tmp_path):
    kind, owner, _, folder = onboarded
    other = json.loads(gateway.weir.cli("onboard", "222211119999", "--format", kind, "--out", tmp_path,
                                        "--url", gateway.weir.url).stdout)
    template = other["files"][0].rsplit("/", 1)[1]
    assert (tmp_path / template).read_text() == (folder / template).read_text()
    assert owner not in (folder / template).read_text()
    kept = {"cloudformation": "deploy/cloudformation/member.json",
            "terraform": "deploy/terraform/member/main.tf.json"}[kind]
    assert (folder / template).read_text() == (ROOT / kept).read_text()


def role_named(stack, word):
    return next(role for name, role in stack.roles.items() if word in name.lower())


def test_only_weir_assumes_the_dispatch_role_and_only_with_the_external_id(onboarded, gateway):
    kind, owner, printed, folder = onboarded
    stack, _ = read(folder, kind)
    shown = gateway.weir.admin("GET", f"/v1/accounts/{owner}")["dispatch_role"]
    trust = role_named(stack, "dispatch")["trust"]
    assert trust["Statement"] == [
        {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "sts:AssumeRole",
         "Condition": {"StringEquals": {"sts:ExternalId": shown["external_id"]}}},
        {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "sts:TagSession",
         "Condition": {"StringLike": {"aws:RequestTag/weir-account": "*"},
                       "ForAllValues:StringEquals": {"aws:TagKeys": ["weir-account"]}}}]
    written = (ROOT / "deploy/iam/dispatch-role-trust.json").read_text()
    assert strict(written.replace("arn:aws:iam::CENTRAL_ACCOUNT:role/weir", ROLE)
                  .replace("EXTERNAL_ID", shown["external_id"])) == trust
    assert len(shown["external_id"]) == 32
    assert printed["dispatch_role"] == shown["arn"] == f"arn:aws:iam::{owner}:role/weir-dispatch"


def check_least(policy):
    """Named actions on named resources, each bound to one account."""
    for statement in policy["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        assert statement["Effect"] == "Allow" and isinstance(actions, list)
        assert not [one for one in actions if "*" in one], actions
        for resource in resources if isinstance(resources, list) else [resources]:
            text = resource if isinstance(resource, str) else json.dumps(resource)
            assert text.startswith("<") or text.count(":") >= 5, text
            name = text.rsplit(":", 1)[-1].rsplit("/", 1)[-1]
            assert name not in ("*", ""), text


def test_roles_may_do_no_more_than_they_must(onboarded):
    kind, _, _, folder = onboarded
    stack, _ = read(folder, kind)
    assert len(stack.roles) == 2
    for role in stack.roles.values():
        for policy in role["policies"]:
            check_least(policy)
    invoke = role_named(stack, "invoke")
    assert [one["Action"] for one in invoke["policies"][0]["Statement"]] == [
        ["events:InvokeApiDestination"]]
    assert "aws:SourceAccount" in invoke["trust"]["Statement"][0]["Condition"]["StringEquals"]


def test_what_cannot_be_forwarded_is_kept(onboarded):
    kind, _, _, folder = onboarded
    stack, _ = read(folder, kind)
    for one in stack.targets:
        text = json.dumps(one).lower()
        assert "deadletter" in text.replace("_", "") and "86400" in text and "185" in text


def test_onboarding_again_gives_a_new_key_and_keeps_the_rest(onboarded, gateway, tmp_path):
    kind, owner, printed, folder = onboarded
    again = json.loads(gateway.weir.cli("onboard", owner, "--format", kind, "--out", tmp_path, "--url",
                                        gateway.weir.url).stdout)
    assert again["credential"] != printed["credential"]
    first, second = (read(one, kind)[0] for one in (folder, tmp_path))
    assert role_named(first, "dispatch") == role_named(second, "dispatch")
    context = ssl.create_default_context(cafile=str(gateway.weir.ca))
    for stack in (first, second):  # until the old one is revoked
        assert stack.forward(event(owner, "weir-macie"), context) == [("weir-macie", 200)]
    gateway.weir.revoke(again["credential"])
    assert second.forward(event(owner, "weir-macie"), context) == [("weir-macie", 403)]


@pytest.mark.parametrize(("arguments", "code", "word"), [
    (["12"], 2, "12-digit"), ([], 2, "usage"), (["222211110009", "--format", "yaml"], 2, "--format"),
    (["222211110009"], 2, "public_url"), (["222211110009", "--url", "http://x"], 2, "https"),
    (["222211110009", "--url", "https://x/path"], 2, "path"),
    (["222211110009", "--url", "https://x", "--out", "/proc/no"], 1, "--out")])
def test_what_cannot_be_meant_is_said(gateway, arguments, code, word):
    done = gateway.weir.cli("onboard", *arguments, check=False)
    assert done.returncode == code and word in done.stderr
    assert "222211110009" not in gateway.weir.cli("account", "list").stdout


def test_a_role_that_a_file_manages_is_left_to_the_file(gateway, tmp_path):
    gateway.weir.apply({"accounts": [{"id": "222211110005"}]}, "--name", "file")
    done = gateway.weir.cli("onboard", "222211110005", "--out", tmp_path, "--url", gateway.weir.url,
                            check=False)
    assert done.returncode == 1 and "apply:file" in done.stderr
    gateway.weir.apply({"accounts": [account("222211110005")]}, "--name", "file")
    gateway.weir.cli("onboard", "222211110005", "--out", tmp_path, "--url", gateway.weir.url)
    gateway.weir.apply({"accounts": []}, "--name", "file")


@pytest.mark.parametrize("name", ["member-role", "weir-dispatch"])
def test_a_role_that_somebody_chose_is_not_put_over(gateway, tmp_path, name):
    owner = {"member-role": "222211110006", "weir-dispatch": "222211110007"}[name]
    chosen = {"arn": f"arn:aws:iam::{owner}:role/{name}"}
    gateway.weir.admin("PUT", f"/v1/accounts/{owner}", {"sources": ["*"], "dispatch_role": chosen})
    done = gateway.weir.cli("onboard", owner, "--out", tmp_path, "--url", gateway.weir.url,
                            check=False)
    shown = gateway.weir.admin("GET", f"/v1/accounts/{owner}")["dispatch_role"]
    if name == "weir-dispatch":  # what the member is to deploy: it only gains the external id
        assert done.returncode == 0 and shown["arn"] == chosen["arn"]
        assert len(shown["external_id"]) == 32
        return
    assert done.returncode == 1 and chosen["arn"] in done.stderr
    assert f"arn:aws:iam::{owner}:role/weir-dispatch" in done.stderr
    assert shown == chosen and list(tmp_path.iterdir()) == []
    assert not gateway.weir.admin("GET", f"/v1/accounts/{owner}").get("credentials")


def test_the_central_side_assumes_dispatch_roles_of_its_organization_only():
    stack, module = central("cloudformation"), central("terraform")
    written = strict((ROOT / "deploy/iam/weir-role-policy.json").read_text())
    for policy in (stack.roles["Role"]["policies"][0], module.roles["weir"]["policies"][0], written):
        check_least(policy)
        assume = [one for one in policy["Statement"] if one["Action"] == ["sts:AssumeRole"]]
        assert len(assume) == 1 and assume[0]["Resource"][0].endswith(":role/weir-dispatch")
        assert "aws:ResourceOrgID" in assume[0]["Condition"]["StringEquals"]
        tag = [one for one in policy["Statement"] if one["Action"] == ["sts:TagSession"]]
        assert len(tag) == 1 and tag[0]["Resource"] == assume[0]["Resource"]
        assert session_tags(policy) == ["weir-account"]
    for name in ("dispatch-role-policy.json", "dispatch-role-trust.json"):
        document = strict((ROOT / "deploy/iam" / name).read_text())
        assert document["Version"] == "2012-10-17"
    check_least(strict((ROOT / "deploy/iam/dispatch-role-policy.json").read_text()))


def test_the_terraform_example_speaks_to_weir():
    module = strict((ROOT / "deploy/examples/terraform-rules/main.tf.json").read_text())
    assert module["provider"]["aws"]["endpoints"] == {"cloudwatchevents": "${var.weir_url}"}
    high = module["resource"]["aws_cloudwatch_event_rule"]["high"]
    pattern = {"high": strict(high["event_pattern"])}
    assert takers(pattern, event("1", "weir-guardduty")) == ["high"]
