# SPDX-License-Identifier: Apache-2.0
"""Small builders for catalogs and events, so that a test shows only what it is about."""

import json
import uuid

from weir import CENTRAL, REGION

MEMBER, OTHER = "111122223333", "444455556666"
GUARDDUTY_HIGH = {"source": ["aws.guardduty"], "detail": {"severity": [{"numeric": [">=", 7]}]}}


def role_arn(account):
    return f"arn:aws:iam::{account}:role/weir-dispatch"


def external_id(account):
    return f"weir-{account}-x7f3a"


def queue_arn(name, account=CENTRAL):
    return f"arn:aws:sqs:{REGION}:{account}:{name}"


def arn(service, resource, account=CENTRAL, region=REGION):
    """Of a function, topic, state machine, ..., in the central account unless told."""
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def account(account_id=MEMBER, **more):
    """An account that may send anything, dispatched with its own role."""
    return {"id": account_id, "name": f"account-{account_id}", "sources": ["*"],
            "dispatch_role": {"arn": role_arn(account_id), "external_id": external_id(account_id)},
            **more}


def target(name="findings", target_id=None, **more):
    return {"id": target_id or name.replace(".", "-"), "arn": queue_arn(name), **more}


def rule(name, pattern, *targets, bus="central"):
    return {"bus": bus, "name": name, "pattern": pattern, "targets": list(targets)}


def roles(*accounts):
    """What the stand-in must trust for these accounts."""
    return {role_arn(one): external_id(one) for one in accounts}


def entry(source="com.example.app", detail_type="Ping", detail=None, **more):
    """One PutEvents entry; fresh content unless told, for two equal calls of the AWS CLI within one
    second have one signature and so are one event."""
    detail = json.dumps({"n": uuid.uuid4().hex}) if detail is None else detail
    return {"Source": source, "DetailType": detail_type, "Detail": detail, **more}


def envelope(source="aws.guardduty", detail_type="GuardDuty Finding", account_id=MEMBER, **more):
    """One event as EventBridge forwards it, with a fresh id."""
    return {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": detail_type, "source": source,
        "account": account_id, "time": "2026-01-01T00:00:00Z", "region": REGION, "resources": [],
        "detail": {"severity": 8, "type": "UnauthorizedAccess:IAMUser/Example"}, **more}
