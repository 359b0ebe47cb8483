#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write aws_calls.inc: the AWS calls that universal targets may make, out of botocore's models.

    delivery/generate_calls.py [--out FILE]      needs Debian's python3-botocore

Every call of every service that speaks JSON is there, for such a call is its name and the input as
it stands.  Of services with other protocols the table must know each member of the input, so CALLS
lists what a response to security events needs; add a name and run the script.  Calls whose input
is an XML document are left out, and so are uploads.
"""

import argparse
import sys
from pathlib import Path

import botocore.session

HERE = Path(__file__).resolve().parent
CALLS = {
    "accessanalyzer": "GetFinding UpdateFindings ApplyArchiveRule",
    "autoscaling": "SetInstanceHealth EnterStandby ExitStandby DetachInstances SuspendProcesses "
                   "SetInstanceProtection",
    "cloudwatch": "PutMetricData SetAlarmState DisableAlarmActions EnableAlarmActions",
    "ec2": "DescribeInstances StopInstances StartInstances RebootInstances TerminateInstances "
           "ModifyInstanceAttribute MonitorInstances CreateSnapshot CreateSnapshots CreateTags "
           "DeleteTags DescribeTags DescribeSecurityGroups CreateSecurityGroup "
           "AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress RevokeSecurityGroupEgress "
           "DescribeNetworkInterfaces ModifyNetworkInterfaceAttribute DetachNetworkInterface "
           "DescribeIamInstanceProfileAssociations AssociateIamInstanceProfile "
           "DisassociateIamInstanceProfile ReplaceIamInstanceProfileAssociation DescribeVolumes "
           "ModifySnapshotAttribute ModifyImageAttribute CreateNetworkAclEntry DisassociateAddress",
    "guardduty": "GetFindings ArchiveFindings UnarchiveFindings UpdateFindingsFeedback",
    "iam": "PutRolePolicy DeleteRolePolicy GetRole GetRolePolicy ListRolePolicies ListRoleTags "
           "ListAttachedRolePolicies AttachRolePolicy DetachRolePolicy UpdateAssumeRolePolicy "
           "TagRole UntagRole GetInstanceProfile RemoveRoleFromInstanceProfile PutUserPolicy "
           "DeleteUserPolicy AttachUserPolicy DetachUserPolicy GetUser TagUser UpdateAccessKey "
           "DeleteAccessKey ListAccessKeys DeleteLoginProfile DeactivateMFADevice",
    "lambda": "Invoke GetFunctionConfiguration PutFunctionConcurrency DeleteFunctionConcurrency "
              "RemovePermission",
    "macie2": "GetFindings",
    "rds": "DescribeDBInstances ModifyDBInstance StopDBInstance CreateDBSnapshot "
           "ModifyDBSnapshotAttribute",
    "s3": "GetPublicAccessBlock GetBucketPolicyStatus GetBucketReplication GetBucketPolicy "
          "GetBucketLocation GetBucketTagging GetObjectTagging HeadObject DeleteBucketPolicy "
          "GetBucketAcl GetObjectAcl ListObjectVersions GetBucketVersioning",
    "securityhub": "BatchUpdateFindings BatchImportFindings GetFindings",
    "sns": "Publish PublishBatch",
    "sts": "GetCallerIdentity",
}
PROTOCOLS = {"json": "AWS_JSON", "query": "AWS_QUERY", "ec2": "AWS_EC2",
             "rest-json": "AWS_REST_JSON", "rest-xml": "AWS_REST_XML"}
PLACES = {"uri": "AWS_IN_PATH", "querystring": "AWS_IN_QUERY", "header": "AWS_IN_HEADER",
          "headers": "AWS_IN_HEADERS", None: "AWS_IN_BODY"}
WIDTH = 96


def text(value):
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def renames(shape, seen):
    """Does anything in this shape travel under another name or place than the input gives it?"""
    if shape.name in seen:
        return False
    seen.add(shape.name)
    if shape.type_name == "structure":
        return bool(shape.serialization.get("payload")) or any(
            member.serialization.get("name", name) != name or member.serialization.get("location")
            or renames(member, seen) for name, member in shape.members.items())
    if shape.type_name == "list":
        return renames(shape.member, seen)
    return shape.type_name == "map" and renames(shape.value, seen)


class Tables:
    """Shapes and members of all calls, each shape of a service once."""

    def __init__(self):
        self.shapes, self.members, self._known = [], [], {}

    def shape(self, model, shape):
        key = (model.service_name, shape.name)
        if key in self._known:
            return self._known[key]
        index = self._known[key] = len(self.shapes)
        self.shapes.append(None)
        if model.metadata["protocol"] == "rest-json" and not renames(shape, set()):
            self.shapes[index] = ("AWS_RAW", 0, 0, "", "", "")
            return index
        self.shapes[index] = getattr(self, "_" + shape.type_name, self._scalar)(model, shape)
        return index

    @staticmethod
    def _scalar(_model, shape):
        return ("AWS_BLOB" if shape.type_name == "blob" else "AWS_SCALAR", 0, 0, "", "", "")

    def _structure(self, model, shape):
        rows = [(name, self._wire(model, member, name),
                 PLACES[member.serialization.get("location")], self.shape(model, member))
                for name, member in shape.members.items()]
        first = len(self.members)
        self.members += rows
        return ("AWS_STRUCTURE", first, len(rows), "", "", "")

    @staticmethod
    def _wire(model, member, name):
        protocol = model.metadata["protocol"]
        if protocol == "ec2":
            wire = member.serialization.get("queryName") or member.serialization.get("name")
            return wire[0].upper() + wire[1:] if wire else name
        if protocol == "query" and member.type_name == "list" and member.serialization.get(
                "flattened") and member.member.serialization.get("name"):
            return member.member.serialization["name"]
        return member.serialization.get("name", name)

    def _list(self, model, shape):
        is_flat = model.metadata["protocol"] == "ec2" or shape.serialization.get("flattened")
        item = "" if is_flat else shape.member.serialization.get("name", "member")
        return ("AWS_LIST", self.shape(model, shape.member), 0, item, "", "")

    def _map(self, model, shape):
        item = "" if shape.serialization.get("flattened") else "entry"
        return ("AWS_MAP", self.shape(model, shape.value), 0, item,
                shape.key.serialization.get("name", "key"),
                shape.value.serialization.get("name", "value"))


def sdk_name(model):
    return "".join(c for c in str(model.service_id).lower() if c.isalnum())


def token_of(operation):
    shape = operation.input_shape
    for name, member in (shape.members if shape else {}).items():
        if member.metadata.get("idempotencyToken") and not member.serialization.get("location"):
            return name
    return None


def usable(operation):
    """Can the engine write this call's input?"""
    shape = operation.input_shape
    if operation.has_event_stream_input:
        return False
    if operation.service_model.metadata["protocol"] != "rest-xml" or shape is None:
        return True
    return not any(member.serialization.get("location") is None
                   for member in shape.members.values())


def lists_of(operation):
    """How lists stand in this call's XML reply: "Wrapper/Item", or "Item" where they have none
    around them.  A name that stands for something else elsewhere in the reply is left out."""
    found, others, seen = set(), set(), set()

    def walk(shape, name):
        if (shape.name, name) in seen:
            return
        seen.add((shape.name, name))
        if shape.type_name == "list":
            item = shape.member.serialization.get("name")
            flat = shape.serialization.get("flattened")
            found.add(item or name if flat else f"{name}/{item or 'member'}")
            walk(shape.member, item or name)
        elif shape.type_name == "structure":
            for key, member in shape.members.items():
                wire = member.serialization.get("name", key)
                if member.type_name != "list":
                    others.add(wire)
                walk(member, wire)

    if operation.service_model.metadata["protocol"] in ("query", "ec2", "rest-xml") and (
            operation.output_shape is not None):
        walk(operation.output_shape, "")
    return " ".join(sorted(one for one in found if one.split("/")[0] not in others))


def global_endpoint(session, model):
    """(host, Region) of a service that has one endpoint for the whole partition, or Nones."""
    for partition in session.get_data("endpoints")["partitions"]:
        entry = partition["services"].get(model.endpoint_prefix, {})
        if partition["partition"] == "aws" and entry.get("isRegionalized") is False and (
                "partitionEndpoint" in entry):
            end = entry["endpoints"].get(entry["partitionEndpoint"], {})
            return (end.get("hostname", f"{model.endpoint_prefix}.amazonaws.com"),
                    end.get("credentialScope", {}).get("region", "us-east-1"))
    return None, None


def wrapped(words):
    """One C string per line, each a part of "a b c "."""
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) + 1 > WIDTH - 8:
            lines.append(line)
            line = ""
        line += word + " "
    return "\n".join(f"     {text(part)}" for part in [*lines, line] if part)


def service_row(session, model, calls):
    metadata = model.metadata
    host, region = global_endpoint(session, model)
    is_json = metadata["protocol"] == "json"
    fields = [text(sdk_name(model)), text(model.signing_name), text(model.endpoint_prefix),
              PROTOCOLS[metadata["protocol"]],
              text(metadata["jsonVersion"] if is_json else model.api_version),
              text(metadata["targetPrefix"] if is_json else ""), text(host), text(region)]
    words = [name + (f":{token}" if token else "") for name, token in calls] if is_json else []
    return "    {" + ", ".join(fields) + (",\n" + wrapped(words) if words else ", \"\"") + "},"


def call_row(tables, model, operation):
    shape = operation.input_shape
    index = tables.shape(model, shape) if shape is not None else -1
    payload = shape.serialization.get("payload") if shape is not None else None
    uri = operation.http.get("requestUri", "/")
    fields = [text(sdk_name(model)), text(operation.name), text(operation.http["method"]),
              text(uri), str(index), text(payload), text(token_of(operation))]
    lists = wrapped(lists_of(operation).split())
    return "    {" + ", ".join(fields) + (",\n" + lists if lists else ", \"\"") + "},"


def generate():
    session, tables = botocore.session.get_session(), Tables()
    services, calls = [], []
    for name in session.get_available_services():
        model = session.get_service_model(name)
        is_json = model.metadata["protocol"] == "json"
        if (not is_json and name not in CALLS) or model.signature_version not in ("v4", "s3"):
            continue
        wanted = model.operation_names if is_json else CALLS[name].split()
        operations = [model.operation_model(one) for one in wanted]
        if bad := [one.name for one in operations if not is_json and not usable(one)]:
            sys.exit(f"{name}: {bad} have inputs that cannot be written")
        services.append((sdk_name(model), service_row(
            session, model, [(one.name, token_of(one)) for one in operations])))
        if not is_json:
            calls += [call_row(tables, model, one) for one in operations]
    lines = ["/* SPDX-License-Identifier: Apache-2.0",
             " *",
             f" * botocore {botocore.__version__} knows these calls; made by "
             "delivery/generate_calls.py, which is run instead of",
             " * editing this. */", "", "static const struct aws_service services[] = {"]
    lines += [row for _, row in sorted(services)]
    lines += ["};", "", "static const struct aws_call calls[] = {", *calls, "};", "",
              "static const struct aws_member members[] = {"]
    lines += ["    {" + f"{text(name)}, {text(wire)}, {place}, {shape}" + "},"
              for name, wire, place, shape in tables.members]
    lines += ["};", "", "static const struct aws_shape shapes[] = {"]
    lines += ["    {" + f"{kind}, {first}, {count}, {text(item)}, {text(key)}, {text(value)}" + "},"
              for kind, first, count, item, key, value in tables.shapes]
    return "\n".join([*lines, "};", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "aws_calls.inc")
    arguments = parser.parse_args()
    arguments.out.write_text(generate())


if __name__ == "__main__":
    main()
