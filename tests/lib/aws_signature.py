# SPDX-License-Identifier: Apache-2.0
"""Check a received request's Signature Version 4 with botocore's own signer.

The stand-in judges weir, so it must not share weir's idea of a canonical request: the request as
it arrived is rebuilt as a botocore request, signed again with the secret that belongs to the
claimed key, and the two signatures are compared.

Stricter than botocore where AWS is: the host, the content type and every arriving x-amz-* header
must be among the signed headers, a declared payload hash must be that of the body, a temporary key
needs its own session token, and the date may be off by five minutes at most.
"""

import calendar
import dataclasses
import hashlib
import hmac
import re
import time

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SKEW_MAX_S = 300
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request, *"
    r"SignedHeaders=([a-z0-9;:_-]+), *Signature=([0-9a-f]{64})$"
)


@dataclasses.dataclass
class Identity:
    """Who a key belongs to: a long-lived caller, or one session of an assumed role."""

    access_key: str
    secret: str
    account: str
    principal: str
    token: str = None
    role: str = None
    session: str = None
    tags: dict = dataclasses.field(default_factory=dict)
    source_identity: str = None
    expires: float = None

    def record(self):
        """What may be written down about the signer; never the secret or the token."""
        return {
            "access_key": self.access_key,
            "account": self.account,
            "principal": self.principal,
            "role": self.role,
            "session": self.session,
            "session_tags": self.tags,
            "source_identity": self.source_identity,
        }


class Refusal(Exception):
    """A request that the service answers with an error: code, HTTP status and message."""

    def __init__(self, code, message, status=400, sender=True, query_code=None, headers=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.sender = sender
        self.query_code = query_code or code
        self.headers = headers or {}


def _parse(headers):
    values = [value for name, value in headers if name == "authorization"]
    if not values:
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    match = AUTHORIZATION.match(values[0]) if len(values) == 1 else None
    if match is None:
        raise Refusal("IncompleteSignature", "The Authorization header is not complete SigV4", 403)
    return match.groups()


def _check_coverage(headers, signed):
    names = {name for name, _ in headers}
    must = {"host"} | {n for n in names if n == "content-type" or n.startswith("x-amz-")}
    unsigned = sorted(must - set(signed))
    if unsigned:
        raise Refusal(
            "SignatureDoesNotMatch", f"headers must be signed: {', '.join(unsigned)}", 403)
    absent = sorted(set(signed) - names)
    if absent:
        raise Refusal(
            "SignatureDoesNotMatch", f"signed headers are absent: {', '.join(absent)}", 403)
    if signed != sorted(set(signed)):
        raise Refusal("SignatureDoesNotMatch", "SignedHeaders are not sorted and distinct", 403)


def _check_date(timestamp, scope_date, now_s):
    try:
        when = calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except (TypeError, ValueError):
        raise Refusal("IncompleteSignature", "X-Amz-Date is not a date", 403) from None
    if timestamp[:8] != scope_date:
        raise Refusal("SignatureDoesNotMatch", "the scope's date is not X-Amz-Date's day", 403)
    if abs(now_s - when) > SKEW_MAX_S:
        raise Refusal("SignatureDoesNotMatch", f"Signature expired or not yet current: {timestamp}",
                      403)


def _check_body(headers, body):
    declared = [value for name, value in headers if name == "x-amz-content-sha256"]
    if declared and declared != [hashlib.sha256(body).hexdigest()]:
        raise Refusal("SignatureDoesNotMatch", "x-amz-content-sha256 is not the body's hash", 403)


def _resign(method, target, headers, body, identity, region, service, signed, timestamp):
    request = AWSRequest(method=method, url="http://unused.invalid" + target, data=body)
    for name, value in headers:
        if name in signed:
            request.headers.add_header(name, value)
    request.context["timestamp"] = timestamp
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(Credentials(identity.access_key, identity.secret), service, region)
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


def verify(method, target, headers, body, find_identity, service, now_s):
    """Return (identity, region) of a well-signed request, or raise Refusal.

    `headers` are (lower-case name, value) pairs as received, `target` is path and query as
    received, `find_identity` maps an access key to an Identity or None.
    """
    access_key, scope_date, region, scope_service, names, signature = _parse(headers)
    if scope_service != service:
        raise Refusal("SignatureDoesNotMatch",
                      f"Credential should be scoped to correct service: '{service}'", 403)
    signed = names.split(";")
    _check_coverage(headers, signed)
    timestamp = dict(headers).get("x-amz-date")
    _check_date(timestamp, scope_date, now_s)
    _check_body(headers, body)

    identity = find_identity(access_key)
    if identity is None or dict(headers).get("x-amz-security-token") != identity.token:
        raise Refusal("UnrecognizedClientException",
                      "The security token included in the request is invalid.", 403,
                      query_code="InvalidClientTokenId")
    expected = _resign(method, target, headers, body, identity, region, service, signed, timestamp)
    if not hmac.compare_digest(expected, signature):
        raise Refusal("InvalidSignatureException",
                      "The request signature we calculated does not match the signature you "
                      "provided. Check your AWS Secret Access Key and signing method.", 403,
                      query_code="SignatureDoesNotMatch")
    if identity.expires is not None and now_s >= identity.expires:
        raise Refusal("ExpiredTokenException",
                      "The security token included in the request is expired", 403,
                      query_code="ExpiredToken")
    return identity, region
