# SPDX-License-Identifier: Apache-2.0
"""GetCallerIdentity as a presigned URL brings it: the stand-in's STS, and a stranger's hand.

STS signs again what arrived, with botocore's own query signer, and compares.  Of the headers it
takes those that the URL lists, as they came; so a request that was made for another host, with
another header or another parameter has another signature.

Log line: {"kind": "caller_identity", "allowed", "principal", "host", "headers": {...}, "target"}
with the names of all headers that arrived and the path and query without signature and token.
"""

import calendar
import hmac
import re
import time
import urllib.parse

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws_signature import Refusal

SCOPE = re.compile(r"([^/]+)/(\d{8})/([a-z0-9-]+)/sts/aws4_request")
SECRET_PARAMETERS = ("X-Amz-Signature", "X-Amz-Security-Token")


class _Fixed(SigV4QueryAuth):
    """Signs for the moment that the request names."""

    def __init__(self, identity, region, expires, timestamp):
        super().__init__(Credentials(identity.access_key, identity.secret, identity.token), "sts",
                         region, expires=expires)
        self._timestamp = timestamp

    def add_auth(self, request):
        request.context["timestamp"] = self._timestamp
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        return self.signature(text, request)


def is_presigned(method, target):
    return method == "GET" and "X-Amz-Signature=" in target


def _refuse(code, message):
    raise Refusal(code, message, 403)


def _check(target, headers, identities, now_s):
    """The Identity that signed this; Refusal."""
    parts = urllib.parse.urlsplit(target)
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    given = dict(pairs)
    scope = SCOPE.fullmatch(given.get("X-Amz-Credential", ""))
    if len(given) != len(pairs) or scope is None or parts.path != "/":
        _refuse("IncompleteSignature", "the presigned request cannot be read")
    access_key, day, region = scope.groups()
    timestamp, expires = given.get("X-Amz-Date", ""), given.get("X-Amz-Expires", "")
    signed = given.get("X-Amz-SignedHeaders", "").split(";")
    try:
        begin = calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
        end = begin + int(expires)
    except ValueError:
        _refuse("IncompleteSignature", "the date cannot be read")
    if timestamp[:8] != day or not begin - 300 <= now_s <= end:
        _refuse("SignatureDoesNotMatch", "Signature expired or not yet current")
    # as AWS has it: host must be signed, and what is listed must be there, once
    names = [name for name, _ in headers]
    if "host" not in signed or any(names.count(name) != 1 for name in signed):
        _refuse("SignatureDoesNotMatch", "signed headers are absent, or come twice")
    identity = identities.get(access_key)
    if identity is None or given.get("X-Amz-Security-Token") != identity.token:
        _refuse("InvalidClientTokenId", "The security token included in the request is invalid.")
    rest = urllib.parse.urlencode([pair for pair in pairs if not pair[0].startswith("X-Amz-")])
    request = AWSRequest("GET", f"https://{dict(headers)['host']}/?{rest}",
                         headers={name: value for name, value in headers if name in signed})
    expected = _Fixed(identity, region, expires, timestamp).add_auth(request)
    if not hmac.compare_digest(expected, given["X-Amz-Signature"]):
        _refuse("SignatureDoesNotMatch", "The request signature we calculated does not match")
    if identity.expires is not None and now_s >= identity.expires:
        _refuse("ExpiredToken", "The security token included in the request is expired")
    if given.get("Action") != "GetCallerIdentity":
        _refuse("AccessDenied", "only GetCallerIdentity is presigned here")
    return identity


def answer(target, headers, body, sts, record):
    """What GetCallerIdentity returns; Refusal when the signature is not over what arrived."""
    shown = [pair for pair in urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query)
             if pair[0] not in SECRET_PARAMETERS]
    told = {"kind": "caller_identity", "target": sorted(map(list, shown)), "body": len(body),
            "headers": {name: value for name, value in headers}}
    try:
        identity = _check(target, headers, sts.identities, time.time())
    except (Refusal, ValueError) as error:
        record({**told, "allowed": False, "principal": None, "why": str(error)})
        raise error if isinstance(error, Refusal) else Refusal("IncompleteSignature", "?", 403)
    record({**told, "allowed": True, "principal": identity.principal})
    return {"Arn": identity.principal, "UserId": f"AIDA{identity.access_key[4:]}",
            "Account": identity.account}
