# SPDX-License-Identifier: Apache-2.0
"""A member account that deploys what `weir onboard` wrote, and then forwards its events.

    stack = CloudFormation(template, parameters)   strict: whatever refers to nothing is an error
    stack.forward(event, context)                  what the stack's rules and destination would send

Written against AWS's documents, sharing nothing with weir.  Terraform(module, values) is the same for
the Terraform module.
"""

import http.client
import json
import re
import subprocess
import urllib.parse

from weir import binary, environment

ACCOUNT_VALUES = {"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
# The members that a resource of each kind must have, and may have, as AWS documents them.
KINDS = {
    "AWS::Events::Connection": ({"AuthorizationType", "AuthParameters"}, {"Description", "Name"}),
    "AWS::Events::ApiDestination": (
        {"ConnectionArn", "HttpMethod", "InvocationEndpoint"},
        {"Description", "InvocationRateLimitPerSecond", "Name"}),
    "AWS::Events::Rule": ({"EventPattern", "Targets"}, {"Name", "Description", "State",
                                                        "EventBusName"}),
    "AWS::SQS::Queue": (set(), {"MessageRetentionPeriod", "SqsManagedSseEnabled", "QueueName"}),
    "AWS::SQS::QueuePolicy": ({"Queues", "PolicyDocument"}, set()),
    "AWS::IAM::Role": ({"AssumeRolePolicyDocument"}, {"RoleName", "Description", "Policies",
                                                      "MaxSessionDuration"}),
    "AWS::IAM::InstanceProfile": ({"Roles"}, {"InstanceProfileName"}),
}
ATTRIBUTES = {"AWS::Events::Connection": {"Arn"}, "AWS::Events::ApiDestination": {"Arn"},
              "AWS::SQS::Queue": {"Arn", "QueueName"}, "AWS::IAM::Role": {"Arn"},
              "AWS::Events::Rule": {"Arn"}}
API_DESTINATION = {
    "User-Agent": "Amazon/EventBridge/ApiDestinations",
    "Content-Type": "application/json; charset=utf-8", "Range": "bytes=0-1048575",
    "Accept-Encoding": "gzip,deflate", "Connection": "close"}


def strict(text):
    """JSON in which no member comes twice."""
    def pairs(members):
        assert len(dict(members)) == len(members), f"a member comes twice: {members}"
        return dict(members)
    return json.loads(text, object_pairs_hook=pairs)


def takers(rules, event):
    """The names of the rules, {name: pattern}, that take the event."""
    lines = "".join(json.dumps({"id": name, "pattern": pattern, "event": event}) + "\n"
                    for name, pattern in rules.items())
    done = subprocess.run([binary(), "test-pattern"], input=lines, capture_output=True, text=True,
                          timeout=60, env=environment(), check=True)
    return [one["id"] for one in map(json.loads, done.stdout.splitlines()) if one["match"]]


def session_tags(policy):
    """The keys that the policy grants sts:TagSession for."""
    keys = []
    for statement in policy["Statement"]:
        actions = statement["Action"]
        if "sts:TagSession" in ([actions] if isinstance(actions, str) else actions):
            # sts:ExternalId and aws:ResourceOrgID are not documented for this action.
            condition = statement.get("Condition", {})
            known = {"StringLike": {"aws:RequestTag/weir-account": "*"}}
            limit = condition.get("ForAllValues:StringEquals", {})
            assert statement["Effect"] == "Allow" and limit.keys() == {"aws:TagKeys"}, statement
            assert condition == {**known, "ForAllValues:StringEquals": limit}, statement
            keys += limit["aws:TagKeys"]
    return keys


class Stack:
    """What both formats come to: `rules` {name: pattern}, `endpoint`, `header`, `key`, `roles`."""

    def forward(self, event, context):
        """(name of the rule, status) for each rule that takes the event, as API destinations call."""
        return [(name, self._call(event, context)) for name in takers(self.rules, event)]

    def dispatch_role(self, account):
        """The role that the stack would make, as the stand-in of STS keeps it."""
        trust = self.roles[self.DISPATCH]["trust"]
        statement = next(one for one in trust["Statement"] if one["Action"] == "sts:AssumeRole")
        return {"arn": f"arn:aws:iam::{account}:role/weir-dispatch", "tags": session_tags(trust),
                "external_id": statement["Condition"]["StringEquals"]["sts:ExternalId"]}

    def _call(self, event, context):
        url = urllib.parse.urlsplit(self.endpoint)
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=context)
        connection.request("POST", url.path, json.dumps(event),
                           {**API_DESTINATION, self.header: self.key})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status


class CloudFormation(Stack):
    DISPATCH = "DispatchRole"

    def __init__(self, template, parameters=(), account="111122223333", region="us-east-1"):
        self.template = strict(template)
        given = {one["ParameterKey"]: one["ParameterValue"] for one in parameters}
        declared = self.template["Parameters"]
        assert given.keys() <= declared.keys(), "a parameter is given that is not declared"
        self.values = {**ACCOUNT_VALUES, "AWS::AccountId": account, "AWS::Region": region}
        for name, parameter in declared.items():
            assert name in given or "Default" in parameter, f"{name} is not given"
            value = given.get(name, parameter.get("Default"))
            if "AllowedPattern" in parameter:
                assert re.fullmatch(parameter["AllowedPattern"], value), f"{name}: {value}"
            assert len(str(value)) >= parameter.get("MinLength", 0), f"{name} is too short"
            self.values[name] = value
        resources = self.template["Resources"]
        self.resources = {name: self._resource(name, one) for name, one in resources.items()}
        for output in self.template["Outputs"].values():
            self._value(output["Value"])
        self._read()

    def _resource(self, name, resource):
        assert resource.keys() <= {"Type", "Properties", "Condition", "DependsOn"}, name
        assert set(resource.get("DependsOn", ())) <= self.template["Resources"].keys(), name
        assert resource.get("Condition") in {None, *self.template.get("Conditions", ())}, name
        must, may = KINDS[resource["Type"]]
        members = resource["Properties"].keys()
        assert must <= members <= must | may, f"{name}: {members}"
        return {"Type": resource["Type"], **self._value(resource["Properties"])}

    def _value(self, node):
        """The node with its references resolved; a resource is known by its logical name."""
        if isinstance(node, list):
            return [self._value(one) for one in node]
        if not isinstance(node, dict):
            return node
        if node.keys() == {"Ref"}:
            return self._reference(node["Ref"])
        if node.keys() == {"Fn::GetAtt"}:
            name, attribute = node["Fn::GetAtt"]
            kind = self.template["Resources"][name]["Type"]
            assert attribute in ATTRIBUTES[kind], (name, attribute)
            return f"<{name}.{attribute}>"
        if node.keys() == {"Fn::Sub"}:
            return re.sub(r"\$\{([^}]+)\}", lambda one: self._reference(one[1]), node["Fn::Sub"])
        if node.keys() == {"Fn::If"}:
            condition, yes, _ = node["Fn::If"]
            assert condition in self.template["Conditions"]
            return self._value(yes)
        assert not any(key.startswith("Fn::") for key in node), node
        return {key: self._value(one) for key, one in node.items()}

    def _reference(self, name):
        if name in self.values:
            return self.values[name]
        assert name in self.template["Resources"], f"{name} is neither parameter nor resource"
        return f"<{name}>"

    def of(self, kind):
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}

    def _read(self):
        self.rules = {one["Name"]: one["EventPattern"] for one in self.of("AWS::Events::Rule").values()}
        self.targets = [target for one in self.of("AWS::Events::Rule").values()
                        for target in one["Targets"]]
        self.roles = {name: {"trust": one["AssumeRolePolicyDocument"],
                             "policies": [policy["PolicyDocument"] for policy in one["Policies"]]}
                      for name, one in self.of("AWS::IAM::Role").items()}
        for one in self.of("AWS::Events::ApiDestination").values():
            self.endpoint = one["InvocationEndpoint"]
        for one in self.of("AWS::Events::Connection").values():
            auth = one["AuthParameters"]["ApiKeyAuthParameters"]
            self.header, self.key = auth["ApiKeyName"], auth["ApiKeyValue"]


class Terraform(Stack):
    """The module with `var.NAME` filled in; other references must name what the module has."""

    DISPATCH = "dispatch"

    def __init__(self, module, values=None):
        self.module = strict(module)
        self.values = {name: one["default"] for name, one in self.module["variable"].items()
                       if "default" in one}
        values = values or {}
        assert values.keys() <= self.module["variable"].keys(), "a value without its variable"
        self.values.update(values)
        self.resources = self._value(self.module.get("resource", {}))
        self._value(self.module.get("output", {}))
        self._read()

    def _value(self, node):
        if isinstance(node, list):
            return [self._value(one) for one in node]
        if isinstance(node, dict):
            return {key: self._value(one) for key, one in node.items()}
        if isinstance(node, str):
            return re.sub(r"\$\{([^}]+)\}", lambda one: self._expression(one[1]), node)
        return node

    def _expression(self, text):
        if text.startswith("var.") and " " not in text:
            assert text[4:] in self.values, f"{text} is not given"
            return str(self.values[text[4:]])
        for kind, name in re.findall(r"\b(aws_\w+)\.(\w+)", text.replace("data.", "data_")):
            assert name in self.module["resource"][kind], text
        for kind, name in re.findall(r"\bdata\.(\w+)\.(\w+)", text):
            assert name in self.module["data"][kind], text
        for name in re.findall(r"\bvar\.(\w+)", text):
            assert name in self.values, text
        for name in re.findall(r"\blocal\.(\w+)", text):
            assert name in self.module["locals"], text
        return f"<{text}>"

    def _read(self):
        kinds = self.resources
        rules = self.module.get("locals", {}).get("rules", {})
        self.rules = {f"weir-{name}": strict(text) for name, text in rules.items()}
        self.targets = list(kinds.get("aws_cloudwatch_event_target", {}).values())
        policies = kinds.get("aws_iam_role_policy", {})
        self.roles = {name: {"trust": strict(one["assume_role_policy"]),
                             "policies": [strict(policies[name]["policy"])]}
                      for name, one in kinds.get("aws_iam_role", {}).items()}
        for one in kinds.get("aws_cloudwatch_event_api_destination", {}).values():
            self.endpoint = one["invocation_endpoint"]
        for one in kinds.get("aws_cloudwatch_event_connection", {}).values():
            auth = one["auth_parameters"]["api_key"]
            self.header, self.key = auth["key"], auth["value"]
