# SPDX-License-Identifier: Apache-2.0
"""The kinds of target that conserve delivers to: how a catalog names one, and where it arrives.

A *place* is the ARN under which the stand-in writes an arrival down, and at which a fault is aimed.
It follows from the target and the account alone, so a place tells which target was meant.
"""

import json
import re

from catalogs import arn
from weir import CENTRAL

# How a target of each kind is named; {name} and {owner} are filled in, {account} stays weir's.
ARNS = {
    "sqs": ("sqs", "{name}"), "sqs-fifo": ("sqs", "{name}.fifo"),
    "sns": ("sns", "{name}"), "sns-fifo": ("sns", "{name}.fifo"),
    "lambda": ("lambda", "function:{name}"),
    "states": ("states", "stateMachine:{name}"), "express": ("states", "stateMachine:{name}-Express"),
    "ssm": ("ssm", "automation-definition/{name}"),
    "bus": ("events", "event-bus/{name}"),
    "universal": ("sns", "called-{name}"),
    "https": ("events", "api-destination/{name}"),
}
KINDS = tuple(ARNS)
BATCHING = ("sqs", "sns", "bus")
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:sns:publish"
# Whose words say too little about the event to hold them against it: its id and number only.
RUNBOOK_INPUT = {
    "input_paths_map": {"id": "$.id", "n": "$.detail.n"},
    "input_template": '{"Id": [<id>], "Number": [<n>]}'}
UNIVERSAL_INPUT = '{{"TopicArn": "{topic}", "Message": "<n> <id>"}}'
_TOPIC = re.compile(r'"TopicArn": "([^"]+)"')


def make_target(kind, name, owner=CENTRAL, **more):
    """A target as a catalog has it, without an id.  Runbooks belong to the event's account."""
    service, resource = ARNS[kind]
    resource = resource.format(name=name)
    if kind == "universal":
        topic = arn(service, resource, owner)
        return {"arn": UNIVERSAL, "input_transformer": {
            "input_paths_map": RUNBOOK_INPUT["input_paths_map"],
            "input_template": UNIVERSAL_INPUT.format(topic=topic)}, **more}
    if kind == "ssm":
        return {"arn": arn(service, resource, "{account}"), "input_transformer": RUNBOOK_INPUT,
                **more}
    target = {"arn": arn(service, resource, owner), **more}
    if kind == "sqs-fifo":
        target["sqs_parameters"] = {"message_group_id": "one"}
    return target


def place_of(target, account):
    """Where an event of that account arrives."""
    if target["arn"] == UNIVERSAL:
        return _TOPIC.search(target["input_transformer"]["input_template"]).group(1)
    return target["arn"].replace("{account}", account).replace(
        ":automation-definition/", ":document/")


def is_queue(place):
    return place.startswith("arn:aws:sqs:")


def is_hook(arn):
    return ":api-destination/" in arn


def hooks(arns, url_of, key_path):
    """The sections of a catalog without which targets of these ARNs would lead nowhere; `url_of` a
    name is the endpoint's."""
    owner = {"account": CENTRAL}
    names = sorted(one.rsplit("/", 1)[1] for one in arns)
    return {
        "connections": [{**owner, "name": "hooks", "authorization_type": "API_KEY",
                         "auth_parameters": {"api_key_auth_parameters": {
                             "api_key_name": "x-api-key",
                             "api_key_value": {"file": str(key_path)}}}}],
        "api_destinations": [{**owner, "name": name, "http_method": "POST",
                              "connection_arn": arn("events", "connection/hooks"),
                              "invocation_endpoint": url_of(name)} for name in names]}


def arrivals(aws):
    """What arrived, repetitions that a service recognised left out, each as {"place", "role",
    "session_tags", "time", "body", "event"}: `body` is the text if it is to be the event's own,
    `event` what can be told of the event."""
    return [{"place": line.get("queue") or line["resource"], "role": line["role"],
             "session_tags": line["session_tags"], "time": line["time"], **_read(line)}
            for line in aws.lines() if line["kind"] in ("message", "call")
            and not line["duplicate"]]


def _read(line):
    if line["kind"] == "message" or line["service"] in ("lambda", "states", "https"):
        return _read_whole(line["body"])
    if line["service"] == "events":
        return _read_entry(line["params"])
    if line["service"] == "ssm":
        given = line["params"]["Parameters"]
        return _few(given["Number"][0], given["Id"][0])
    if line["resource"].rsplit(":", 1)[-1].startswith("called-"):
        return _few(*line["body"].split(" "))
    return _read_whole(line["body"])


def _read_whole(text):
    try:
        event = json.loads(text)
    except ValueError:
        event = {}
    return {"body": text, "event": event if isinstance(event, dict) else {}}


def _read_entry(entry):
    """An entry for another bus; there an event of AWS travels inside another, without loss."""
    detail = json.loads(entry["Detail"])
    if entry["Source"].startswith("weir."):
        return {"body": None, "event": detail["original"]}
    return {"body": None, "event": {
        "source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail}}


def _few(number, event_id):
    return {"body": None, "event": {"id": event_id, "detail": {"n": number}}}
