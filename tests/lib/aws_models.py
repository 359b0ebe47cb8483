# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of any AWS service, read and written by botocore's own service models.

A model says which members a call has, of which type and size, and how they travel; so the stand-in
can judge a call of a service that nobody described to it.  botocore only knows the client's half:
here is the server's, for JSON, query, EC2, REST-JSON and REST-XML.

parse() gives a ModelCall with plain values (str, int, list, dict; blobs as bytes), or raises
Refusal.  Stricter than a service: a member that the model does not know is refused, for weir must
not send what nobody asked for.
"""

import base64
import functools
import json
import re
import time
import urllib.parse
import uuid
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import botocore.session

from aws_signature import AUTHORIZATION, Refusal

# Services whose signatures carry another name than their model's folder.
FOLDERS = {"states": "stepfunctions", "monitoring": "cloudwatch", "logs": "logs"}


@functools.lru_cache
def _session():
    return botocore.session.get_session()


@functools.lru_cache
def service_of(signing_name):
    """The model of the service that signs under that name, or None."""
    try:
        return _session().get_service_model(FOLDERS.get(signing_name, signing_name))
    except botocore.exceptions.DataNotFoundError:
        return None


def scope_service(headers):
    """The service that a request's signature names, or None."""
    match = AUTHORIZATION.match(dict(headers).get("authorization", ""))
    return match.group(4) if match else None


class ModelCall:
    """One request, understood."""

    def __init__(self, service, operation, params):
        self.service = service.signing_name
        self.action = operation.name
        self.params = params
        self.model = service
        self.operation = operation
        self.protocol = service.metadata["protocol"]
        self.is_json = self.protocol in ("json", "rest-json")


def parse(signing_name, method, target, headers, body):
    """The call of that service; Refusal when it is none."""
    model = service_of(signing_name)
    if model is None:
        raise Refusal("UnknownOperationException", f"no service signs as {signing_name}", 404)
    reader = {"json": _parse_json, "query": _parse_query, "ec2": _parse_query,
              "rest-json": _parse_rest, "rest-xml": _parse_rest}[model.metadata["protocol"]]
    operation, params = reader(model, method, target, dict(headers), body)
    if operation.input_shape is not None:
        _check(operation.input_shape, params, "input")
    return ModelCall(model, operation, params)


def _operation(model, name):
    if name not in model.operation_names:
        raise Refusal("UnknownOperationException", f"{model.service_name} has no {name}", 404,
                      query_code="InvalidAction")
    return model.operation_model(name)


# -- reading ---------------------------------------------------------------------------------


def _json_object(body):
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal("SerializationException", "the body is not a JSON object", 400)
    return value


def _parse_json(model, method, target, fields, body):
    prefix, _, name = fields.get("x-amz-target", "").rpartition(".")
    wanted = f"application/x-amz-json-{model.metadata['jsonVersion']}"
    if prefix != model.metadata["targetPrefix"] or (method, target) != ("POST", "/"):
        raise Refusal("UnknownOperationException", f"{method} {target} {prefix}.{name}", 404)
    if fields.get("content-type") != wanted:
        raise Refusal("UnknownOperationException", f"Content-Type must be {wanted}", 404)
    operation = _operation(model, name)
    return operation, _from_json(operation.input_shape, _json_object(body))


def _from_json(shape, value):
    """Turn blobs into bytes, wherever the shape has them."""
    if shape is None or value is None:
        return value
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        return {name: _from_json(shape.members.get(name), item) for name, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_from_json(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _from_json(shape.value, item) for key, item in value.items()}
    return value


def _parse_query(model, _method, _target, fields, body):
    if not fields.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refusal("InvalidAction", "the body is not a form", 400)
    pairs = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refusal("MalformedQueryString", "a parameter stands there twice", 400)
    name, version = form.pop("Action", ""), form.pop("Version", None)
    if version != model.api_version:
        raise Refusal("InvalidAction", f"Version {version} is not {model.api_version}", 400)
    operation = _operation(model, name)
    is_ec2 = model.metadata["protocol"] == "ec2"
    params = _from_form(operation.input_shape, "", form, is_ec2) or {}
    if form:
        raise Refusal("UnknownParameter", f"{sorted(form)} mean nothing to {name}", 400)
    return operation, params


def _form_name(shape, member, default, is_ec2):
    if is_ec2:
        name = member.serialization.get("queryName") or member.serialization.get("name")
        return name[0].upper() + name[1:] if name else default
    return member.serialization.get("name", default)


def _from_form(shape, prefix, form, is_ec2):
    """The value at `prefix`, taken out of the form; None if nothing is there."""
    if shape is None:
        return None
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            part = _form_name(shape, member, name, is_ec2)
            value = _from_form(member, f"{prefix}.{part}" if prefix else part, form, is_ec2)
            if value is not None:
                found[name] = value
        return found or None
    if shape.type_name in ("list", "map"):
        return _rows_from_form(shape, prefix, form, is_ec2)
    text = form.pop(prefix, None)
    if text is None:
        return None
    return _from_text(shape, text)


def _rows_from_form(shape, prefix, form, is_ec2):
    is_flat = is_ec2 or shape.serialization.get("flattened")
    if form.get(prefix) == "":  # how an empty list travels
        del form[prefix]
        return [] if shape.type_name == "list" else {}
    if shape.type_name == "list":
        if is_flat and not is_ec2 and shape.member.serialization.get("name"):
            prefix = ".".join([*prefix.split(".")[:-1], shape.member.serialization["name"]])
        elif not is_flat:
            prefix += "." + shape.member.serialization.get("name", "member")
    elif not is_flat:
        prefix += ".entry"
    rows, number = [], 1
    while any(key == f"{prefix}.{number}" or key.startswith(f"{prefix}.{number}.")
              for key in form):
        at = f"{prefix}.{number}"
        if shape.type_name == "list":
            rows.append(_from_form(shape.member, at, form, is_ec2))
        else:
            key = form.pop(f"{at}.{shape.key.serialization.get('name', 'key')}", None)
            rows.append((key, _from_form(
                shape.value, f"{at}.{shape.value.serialization.get('name', 'value')}", form,
                is_ec2)))
        number += 1
    if not rows:
        return None
    return rows if shape.type_name == "list" else dict(rows)


def _from_text(shape, text):
    """One scalar that travelled as text."""
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (ValueError, KeyError):
        raise Refusal("ValidationException", f"{text!r} is no {kind}", 400) from None
    return text


def _parse_rest(model, method, target, fields, body):
    path = urllib.parse.urlsplit(target)
    for name in model.operation_names:
        operation = model.operation_model(name)
        values = _match_uri(operation, method, path)
        if values is not None:
            return operation, _rest_params(operation, values, path, fields, body)
    raise Refusal("UnknownOperationException", f"{method} {target} is no call of "
                  f"{model.service_name}", 404)


def _match_uri(operation, method, path):
    """The values of the template's names, or None if this path is not it."""
    template = urllib.parse.urlsplit(operation.http["requestUri"])
    if operation.http["method"] != method:
        return None
    pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}",
                     lambda m: f"(?P<{m.group(1)}>{'.+' if m.group(2) else '[^/]+'})",
                     re.escape(template.path))
    match = re.fullmatch(pattern, path.path)
    if match is None and template.path != "/":
        match = re.fullmatch(pattern, path.path.rstrip("/"))
    query = dict(urllib.parse.parse_qsl(path.query, keep_blank_values=True))
    fixed = dict(urllib.parse.parse_qsl(template.query, keep_blank_values=True))
    if match is None or any(query.get(key) != value for key, value in fixed.items()):
        return None
    others = {"publicAccessBlock", "policyStatus", "replication", "policy", "acl", "versions",
              "versioning"} - set(fixed)
    if operation.service_model.service_name == "s3" and others & set(query):
        return None
    return {key: urllib.parse.unquote(value) for key, value in match.groupdict().items()}


def _rest_params(operation, uri_values, path, fields, body):
    shape = operation.input_shape
    query = urllib.parse.parse_qs(path.query, keep_blank_values=True)
    for key in urllib.parse.parse_qs(urllib.parse.urlsplit(operation.http["requestUri"]).query,
                                     keep_blank_values=True):
        query.pop(key, None)
    params, in_body = {}, {}
    for name, member in (shape.members if shape else {}).items():
        place = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        if place == "uri":
            params[name] = uri_values[wire]
        elif place == "querystring" and wire in query:
            values = query.pop(wire)
            params[name] = values if member.type_name == "list" else _from_text(member, values[0])
        elif place == "header" and wire.lower() in fields:
            params[name] = _from_text(member, fields[wire.lower()])
        elif place is None:
            in_body[wire] = (name, member)
    if query:
        raise Refusal("ValidationException", f"{sorted(query)} mean nothing here", 400)
    payload = shape.serialization.get("payload") if shape else None
    if payload:
        return {**params, **_payload(shape.members[payload], payload, body)}
    if in_body and body:
        for wire, value in _json_object(body).items():
            if wire not in in_body:
                raise Refusal("ValidationException", f"{wire} means nothing here", 400)
            name, member = in_body[wire]
            params[name] = _from_json(member, value)
    elif body:
        raise Refusal("ValidationException", "this call has no body", 400)
    return params


def _payload(member, name, body):
    if member.type_name == "blob":
        return {name: body} if body else {}
    if member.type_name == "string":
        return {name: body.decode()}
    if body.startswith(b"<"):
        return {name: _from_xml(member, ElementTree.fromstring(body))}
    return {name: _from_json(member, _json_object(body))}


def _from_xml(shape, element):
    def local(node):
        return node.tag.rsplit("}", 1)[-1]

    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            wire = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                wire = member.member.serialization.get("name", wire)
                rows = [_from_xml(member.member, node) for node in element if local(node) == wire]
                if rows:
                    found[name] = rows
                continue
            nodes = [node for node in element if local(node) == wire]
            if nodes:
                found[name] = _from_xml(member, nodes[0])
        return found
    if shape.type_name == "list":
        return [_from_xml(shape.member, node) for node in element]
    return _from_text(shape, element.text or "")


# -- judging ---------------------------------------------------------------------------------

KINDS = {"structure": dict, "map": dict, "list": list, "string": str, "character": str,
         "integer": int, "long": int, "float": (int, float), "double": (int, float),
         "boolean": bool, "blob": (bytes, str), "timestamp": (int, float, str)}


def _check(shape, value, where):
    """Refuse what the model does not allow: names, types, sizes, patterns, enumerations."""
    def refuse(what):
        raise Refusal("ValidationException", f"1 validation error detected: Value at '{where}' "
                      f"failed to satisfy constraint: {what}", 400)

    if getattr(shape, "is_document_type", False):
        return
    if not isinstance(value, KINDS[shape.type_name]) or (
            shape.type_name in ("integer", "long", "float", "double") and value is True):
        refuse(f"Member must be a {shape.type_name}")
    raw = shape._shape_model
    size = value if isinstance(value, (int, float)) else len(value)
    if shape.type_name == "string":
        size = len(value)
        pattern, known = raw.get("pattern"), raw.get("enum")
        if pattern and not _fits(pattern, value):
            refuse(f"Member must satisfy regular expression pattern: {pattern}")
        if known and value not in known:
            refuse(f"Member must satisfy enum value set: {known}")
    if shape.type_name not in ("boolean", "timestamp"):
        if "min" in raw and size < raw["min"]:
            refuse(f"Member must have length greater than or equal to {raw['min']}")
        if "max" in raw and size > raw["max"]:
            refuse(f"Member must have length less than or equal to {raw['max']}")
    _check_parts(shape, value, where, refuse)


def _fits(pattern, value):
    try:
        return re.fullmatch(pattern, value) is not None or re.search(
            f"^(?:{pattern})$", value) is not None
    except re.error:  # a Java pattern that Python cannot read
        return True


def _check_parts(shape, value, where, refuse):
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                refuse(f"Member {name} must not be null")
        for name, item in value.items():
            if name not in shape.members:
                refuse(f"there is no member {name}")
            _check(shape.members[name], item, f"{where}.{name}")
    elif shape.type_name == "list":
        for number, item in enumerate(value, 1):
            _check(shape.member, item, f"{where}.{number}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            _check(shape.key, key, f"{where}.key")
            _check(shape.value, item, f"{where}.{key}")


# -- writing ---------------------------------------------------------------------------------


def _xml(shape, value, name):
    kind = shape.type_name
    if kind == "structure":
        inner = "".join(_xml(shape.members[key], item,
                             shape.members[key].serialization.get("name", key))
                        for key, item in value.items())
        return f"<{name}>{inner}</{name}>"
    if kind == "list":
        item_name = shape.member.serialization.get("name", "member")
        if shape.serialization.get("flattened"):
            return "".join(_xml(shape.member, item, name) for item in value)
        return f"<{name}>{''.join(_xml(shape.member, i, item_name) for i in value)}</{name}>"
    if kind == "map":
        return f"<{name}>" + "".join(
            f"<entry>{_xml(shape.key, key, 'key')}{_xml(shape.value, item, 'value')}</entry>"
            for key, item in value.items()) + f"</{name}>"
    if kind == "boolean":
        value = str(value).lower()
    if kind == "timestamp" and not isinstance(value, str):
        value = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    return f"<{name}>{escape(str(value))}</{name}>"


def _payload_of(call, answer):
    shape = call.operation.output_shape
    payload = shape.serialization.get("payload") if shape is not None else None
    return shape, payload, answer.get(payload) if payload else None


def render(call, answer, status=200):
    """(status, content type, body, headers) of a success."""
    shape, payload, content = _payload_of(call, answer)
    status = answer.pop("_status", call.operation.http.get("responseCode", status))
    if call.protocol == "json":
        kind = f"application/x-amz-json-{call.model.metadata['jsonVersion']}"
        return status, kind, json.dumps(answer).encode(), {}
    if call.protocol == "rest-json":
        headers, inside = {}, {}
        for name, value in answer.items():
            member = shape.members[name]
            if member.serialization.get("location") == "header":
                headers[member.serialization["name"]] = value
            elif member.serialization.get("location") != "statusCode":
                inside[member.serialization.get("name", name)] = value
        if payload:
            body = content if isinstance(content, bytes) else b""
        else:
            body = b"" if status in (202, 204) else json.dumps(inside).encode()
        return status, "application/json", body, headers
    return status, "text/xml", _xml_document(call, answer, shape, payload, content), {}


def _xml_document(call, answer, shape, payload, content):
    namespace = call.model.metadata.get("xmlNamespace") or (
        f"http://ec2.amazonaws.com/doc/{call.model.api_version}/")
    name = call.action
    if call.protocol == "rest-xml":
        if shape is None:
            return b""
        if payload:
            member = shape.members[payload]
            return _xml(member, content or {}, member.serialization.get("name", payload)).encode()
        return _xml(shape, answer, shape.name).encode()
    inside = "" if shape is None else "".join(
        _xml(shape.members[key], item, shape.members[key].serialization.get("name", key))
        for key, item in answer.items())
    if call.protocol == "ec2":
        return (f'<{name}Response xmlns="{namespace}"><requestId>{uuid.uuid4()}</requestId>'
                f"{inside}</{name}Response>").encode()
    wrapper = shape.serialization.get("resultWrapper", f"{name}Result") if shape else None
    result = f"<{wrapper}>{inside}</{wrapper}>" if wrapper else ""
    return (f'<{name}Response xmlns="{namespace}">{result}<ResponseMetadata><RequestId>'
            f"{uuid.uuid4()}</RequestId></ResponseMetadata></{name}Response>").encode()


def render_refusal(call, protocol, refusal):
    """(content type, body, headers) of an error in the form of its protocol."""
    kind = "Sender" if refusal.sender else "Receiver"
    if protocol == "json":
        version = call.model.metadata["jsonVersion"] if call else "1.1"
        body = {"__type": refusal.code, "message": refusal.message}
        return f"application/x-amz-json-{version}", json.dumps(body).encode(), refusal.headers
    if protocol == "rest-json":
        body = {"Type": "User" if refusal.sender else "Service", "Message": refusal.message}
        return ("application/json", json.dumps(body).encode(),
                {"x-amzn-errortype": refusal.code, **refusal.headers})
    code = f"<Code>{escape(refusal.query_code)}</Code>"
    text = f"{code}<Message>{escape(refusal.message)}</Message>"
    if protocol == "ec2":
        text = (f"<Response><Errors><Error>{text}</Error></Errors>"
                f"<RequestID>{uuid.uuid4()}</RequestID></Response>")
    elif protocol == "rest-xml":
        text = f"<Error>{text}<RequestId>{uuid.uuid4()}</RequestId><HostId>h</HostId></Error>"
    else:
        text = (f"<ErrorResponse><Error><Type>{kind}</Type>{text}</Error>"
                f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>")
    return "text/xml", text.encode(), refusal.headers
