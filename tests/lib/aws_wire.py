# SPDX-License-Identifier: Apache-2.0
"""The two wire forms that the stand-in speaks: JSON 1.0 (SQS) and query with XML (STS, SQS).

Old clients (AWS CLI 2.9, boto3 1.26) send SQS in the query form, current ones and weir in JSON.
Both come to the same action and parameters, and go back from the same answer or Refusal.
"""

import json
import urllib.parse
import uuid
from xml.sax.saxutils import escape

from aws_signature import Refusal

STS_ACTIONS = ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity")
STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
SQS_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"

# How SQS's query form spells what its JSON form calls otherwise: lists and maps are flat there.
FLAT_LISTS = {"SendMessageBatchRequestEntry": "Entries", "AttributeName": "AttributeNames"}
FLAT_MAPS = {"MessageAttribute": "MessageAttributes", "Attribute": "Attributes"}
FLAT_ANSWERS = {"Successful": "SendMessageBatchResultEntry", "Failed": "BatchResultErrorEntry",
                "Messages": "Message", "QueueUrls": "QueueUrl"}


class Call:
    """One request, understood: which service, which action, which parameters, which form."""

    def __init__(self, service, action, params, is_json):
        self.service = service
        self.action = action
        self.params = params
        self.is_json = is_json


def _nest(pairs):
    """Turn a.1.b=c pairs into dicts; all-digit keys become a list in their order."""
    root = {}
    for name, value in pairs:
        node = root
        *path, last = name.split(".")
        for key in path:
            node = node.setdefault(key, {})
        node[last] = value

    def settle(node):
        if not isinstance(node, dict):
            return node
        if node and all(key.isdigit() for key in node):
            return [settle(node[key]) for key in sorted(node, key=int)]
        if list(node) == ["member"]:
            return settle(node["member"])
        return {key: settle(value) for key, value in node.items()}

    return settle(root)


def _unflatten(params):
    for flat, name in FLAT_LISTS.items():
        if flat in params:
            params[name] = [_unflatten(item) if isinstance(item, dict) else item
                            for item in params.pop(flat)]
    for flat, name in FLAT_MAPS.items():
        if flat in params:
            params[name] = {item["Name"]: item["Value"] for item in params.pop(flat)}
    return params


def parse(headers, body):
    """Read one request body; Refusal when it is neither form."""
    fields = dict(headers)
    target = fields.get("x-amz-target")
    if target is not None:
        prefix, _, action = target.partition(".")
        if prefix != "AmazonSQS":
            raise Refusal("UnknownOperationException", f"{target} is not served here", 400)
        try:
            params = json.loads(body or b"{}")
        except ValueError:
            params = None
        if not isinstance(params, dict):
            raise Refusal("SerializationException", "the body is not a JSON object", 400)
        if not fields.get("content-type", "").startswith("application/x-amz-json-1.0"):
            raise Refusal("UnknownOperationException", "Content-Type must be JSON 1.0", 404)
        return Call("sqs", action, params, True)
    pairs = urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    params = _unflatten(_nest(pairs))
    action = params.get("Action")
    if not isinstance(action, str):
        raise Refusal("MissingAction", "the request has neither X-Amz-Target nor an Action", 400)
    service = "sts" if action in STS_ACTIONS else "sqs"
    return Call(service, action, params, False)


def _xml(name, value):
    if isinstance(value, list):
        return "".join(_xml(FLAT_ANSWERS.get(name, name), item) for item in value)
    if name in ("Attributes", "MessageAttributes"):
        return "".join(f"<{name[:-1]}>{_xml('Name', key)}{_xml('Value', item)}</{name[:-1]}>"
                       for key, item in value.items())
    if isinstance(value, dict):
        return f"<{name}>{''.join(_xml(key, item) for key, item in value.items())}</{name}>"
    if isinstance(value, bool):
        value = str(value).lower()
    return f"<{name}>{escape(str(value))}</{name}>"


def render(call, answer):
    """(content type, body) of a success."""
    if call.is_json:
        return "application/x-amz-json-1.0", json.dumps(answer).encode()
    namespace = STS_NAMESPACE if call.service == "sts" else SQS_NAMESPACE
    result = "".join(_xml(key, value) for key, value in answer.items())
    text = (f'<{call.action}Response xmlns="{namespace}"><{call.action}Result>{result}'
            f"</{call.action}Result><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId>"
            f"</ResponseMetadata></{call.action}Response>")
    return "text/xml", text.encode()


def render_refusal(is_json, namespace, refusal):
    """(content type, body, extra headers) of an error."""
    kind = "Sender" if refusal.sender else "Receiver"
    if is_json:
        body = {"__type": refusal.code if "#" in refusal.code
                else f"com.amazon.coral.service#{refusal.code}", "message": refusal.message}
        headers = {"x-amzn-query-error": f"{refusal.query_code};{kind}", **refusal.headers}
        return "application/x-amz-json-1.0", json.dumps(body).encode(), headers
    text = (f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type>'
            f"<Code>{escape(refusal.query_code)}</Code>"
            f"<Message>{escape(refusal.message)}</Message></Error>"
            f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>")
    return "text/xml", text.encode(), refusal.headers
