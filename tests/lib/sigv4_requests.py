# SPDX-License-Identifier: Apache-2.0
"""Random requests signed by botocore, as they look on the wire, and ways to spoil them.

`signed_request(rng)` gives a request that a correct verifier accepts: every SDK habit that we know
of, from unsigned invocation ids to a signed `:authority`.  `mutants` are functions that change one
such request so that a correct verifier must refuse it.  Nothing here shares code with weir.

A request is a dict that travels as one line of JSON:
  method, path, query   as on the wire
  http2, authority      HTTP/2, and its :authority ("" if none is sent)
  headers               [[name, value], ...] in order of arrival
  body                  text, sent as UTF-8
  now                   what the verifier's clock says, 20260101T000000Z
"""

import copy
import hashlib
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION, SERVICE = "eu-west-1", "events"
KEY_ID, SECRET = "AKIDWEIREXAMPLE", "weir-example-secret-0001"
HOST = "weir.example.net"
TIMES = ("20260101T000000Z", "20260228T235959Z", "20280229T120000Z")


class Signer(SigV4Auth):
    """botocore's signer at a chosen moment; `skip` names headers to leave unsigned, `host_name`
    is what the host is called among the signed headers."""

    def __init__(self, secret=SECRET, key_id=KEY_ID, region=REGION, service=SERVICE, token=None,
                 skip=(), host_name="host"):
        super().__init__(Credentials(key_id, secret, token), service, region)
        self.skip = {name.lower() for name in skip}
        self.host_name = host_name

    def headers_to_sign(self, request):
        headers = super().headers_to_sign(request)
        if self.host_name != "host":
            headers[self.host_name] = headers["host"]
            del headers["host"]
        for name in self.skip:
            del headers[name]
        return headers

    def sign(self, request, timestamp):
        """What add_auth() does, but for the clock."""
        request.context["timestamp"] = timestamp
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        to_sign = self.string_to_sign(request, canonical)
        self._inject_signature_to_request(request, self.signature(to_sign, request))
        return canonical, to_sign


def text(rng, alphabet, least, most):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(least, most)))


UNRESERVED = "abcXYZ019-_.~"
VALUE = "abcXYZ019 -_.~!#$%&'*+^`|:;=,()\"/?@[]{}<>\\  \t"
TOKEN = "abcdefxyz019-_"


def random_value(rng):
    value = text(rng, VALUE, 0, 30)
    if rng.random() < 0.1:
        value += rng.choice("éüñ日本")
    return value


def random_path(rng):
    if rng.random() < 0.5:
        return "/"
    segments = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.15:
            segments.append(rng.choice((".", "..", "")))
        elif kind < 0.6:
            segments.append(text(rng, UNRESERVED, 1, 8))
        else:
            segments.append(urllib.parse.quote(text(rng, "a b/é:+=&%@日;", 1, 6), safe="~"))
    return "/" + "/".join(segments) + rng.choice(("", "/"))


def random_query(rng):
    if rng.random() < 0.6:
        return ""
    pairs = []
    for _ in range(rng.randint(1, 5)):
        name = urllib.parse.quote(text(rng, "abAB01-_.~ é+/&=", 1, 4), safe="~")
        value = urllib.parse.quote(text(rng, "abAB01-_.~ é+/&=日", 0, 6), safe="~")
        pairs.append(name if value == "" and rng.random() < 0.5 else f"{name}={value}")
    return "&".join(pairs)


def random_body(rng):
    if rng.random() < 0.1:
        return ""
    detail = text(rng, "abc019 \"\\{}[]:,é日😀\n\t", 0, 80)
    return '{"Entries":[{"Source":"app","DetailType":"t","Detail":"%s"}]}' % detail


def extra_headers(rng):
    """Headers of the kinds that clients sign."""
    headers = []
    for _ in range(rng.randint(0, 4)):
        name = rng.choice(("x-amz-", "X-Amz-Meta-", "x-custom-", "X-")) + text(rng, TOKEN, 1, 8)
        if name.lower() in ("x-amz-date", "x-amz-target", "x-amz-security-token"):
            continue
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            headers.append([name, random_value(rng)])
    return headers


def unsigned_headers(rng):
    """Headers that clients and proxies add after signing."""
    choices = (
        ["amz-sdk-invocation-id", text(rng, "0123456789abcdef-", 36, 36)],
        ["amz-sdk-request", "attempt=1; max=3"],
        ["User-Agent", "Boto3/1.26 md/Botocore"],
        ["X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678"],
        ["Accept-Encoding", "identity"],
        ["x-forwarded-for", "203.0.113.7"],
        ["Connection", "keep-alive"],
    )
    return [list(header) for header in choices if rng.random() < 0.4]


def wire_order(rng, headers):
    """Another order of arrival; headers of one name keep theirs."""
    names = list(dict.fromkeys(name.lower() for name, _ in headers))
    rng.shuffle(names)
    ordered = []
    for wanted in names:
        ordered += [header for header in headers if header[0].lower() == wanted]
    return ordered


def wire_spelling(rng, name, http2):
    if http2:
        return name.lower()
    return rng.choice((name, name.lower(), name.upper(), name.title()))


def wire_value(rng, value):
    """Blanks that do not count."""
    value = rng.choice(("", "", " ", "\t ")) + value + rng.choice(("", "", "  "))
    return value.replace(" ", rng.choice((" ", " ", "   ")))


def draft(rng):
    """Everything about a request but its signature."""
    body = random_body(rng)
    headers = [["Content-Type", rng.choice(("application/x-amz-json-1.1",
                                            "application/json; charset=UTF-8"))],
               ["X-Amz-Target", "AWSEvents." + rng.choice(("PutEvents", "PutRule"))]]
    headers += extra_headers(rng)
    if rng.random() < 0.3:
        headers.append(["Content-Length", str(len(body.encode()))])
    if rng.random() < 0.3:
        headers.append(["X-Amz-Content-SHA256", hashlib.sha256(body.encode()).hexdigest()])
    if rng.random() < 0.2:
        headers.append(["amz-sdk-invocation-id", text(rng, "0123456789abcdef", 32, 32)])
    host = HOST + rng.choice(("", ":8443"))
    return {"method": rng.choice(("POST", "POST", "POST", "GET", "PUT")),
            "path": random_path(rng), "query": random_query(rng), "host": host,
            "headers": headers, "body": body, "time": rng.choice(TIMES),
            "http2": rng.random() < 0.4}


def finish(rng, plan, signer):
    """Sign the draft and give it the look of the wire."""
    url = f"https://{plan['host']}{plan['path']}" + (f"?{plan['query']}" if plan["query"] else "")
    request = AWSRequest(method=plan["method"], url=url, data=plan["body"].encode())
    for name, value in plan["headers"]:
        request.headers.add_header(name, value)
    canonical, to_sign = signer.sign(request, plan["time"])
    headers = [[name, value] for name, value in request.headers.items()]
    http2 = plan["http2"]
    authority = ""
    if http2 and (signer.host_name == ":authority" or rng.random() < 0.6):
        authority = plan["host"]
        if rng.random() < 0.2:
            headers.append(["host", plan["host"]])
    else:
        headers.append(["Host", plan["host"]])
    taken = {name.lower() for name, _ in headers}
    headers += [header for header in unsigned_headers(rng) if header[0].lower() not in taken]
    # A "Connection" has no place in HTTP/2.
    headers = [header for header in headers if not (http2 and header[0] == "Connection")]
    wire = [[wire_spelling(rng, name, http2),
             value if name.lower() == "authorization" else wire_value(rng, value)]
            for name, value in wire_order(rng, headers)]
    return {"method": plan["method"], "path": plan["path"], "query": plan["query"],
            "http2": http2, "authority": authority, "headers": wire, "body": plan["body"],
            "now": plan["time"], "canonical": canonical, "string_to_sign": to_sign}


def signer_for(rng, plan, **options):
    if plan["http2"] and rng.random() < 0.4:
        options.setdefault("host_name", ":authority")
    return Signer(**options)


def signed_request(rng):
    plan = draft(rng)
    return finish(rng, plan, signer_for(rng, plan))


# ---- ways to spoil a request; each returns a spoiled one, or None where it does not apply ----

def values(request, name):
    return [value for n, value in request["headers"] if n.lower() == name]


def change(request, name, edit):
    """Apply `edit` to the value of the first header of that name."""
    for header in request["headers"]:
        if header[0].lower() == name:
            header[1] = edit(header[1])
            return request
    return None


def edit_authorization(request, old, new):
    value = values(request, "authorization")[0]
    return change(request, "authorization", lambda _: value.replace(old, new, 1)) \
        if old in value else None


def signed_names(request):
    return values(request, "authorization")[0].split("SignedHeaders=")[1].split(",")[0].split(";")


def other_char(rng, char, alphabet):
    return rng.choice([other for other in alphabet if other != char])


def wrong_signature_digit(rng, request):
    value = values(request, "authorization")[0]
    at = len(value) - rng.randint(1, 64)
    return change(request, "authorization", lambda v: v[:at] + other_char(
        rng, v[at], "0123456789abcdef") + v[at + 1:])


def short_signature(rng, request):
    return change(request, "authorization", lambda v: v[:-rng.randint(1, 63)])


def upper_signature(_rng, request):
    value = values(request, "authorization")[0]
    upper = value[:-64] + value[-64:].upper()
    return change(request, "authorization", lambda _: upper) if upper != value else None


def changed_body(rng, request):
    body = request["body"]
    at = rng.randint(0, len(body))
    request["body"] = body[:at] + "x" + body[at:]
    return request


def no_body(_rng, request):
    if request["body"] == "":
        return None
    request["body"] = ""
    return request


def other_method(rng, request):
    request["method"] = other_char(rng, request["method"], ("GET", "POST", "PUT", "DELETE"))
    return request


def other_path(rng, request):
    request["path"] = request["path"].rstrip("/") + rng.choice(("/x", "/%20", "/a/b"))
    return request


def other_query(rng, request):
    request["query"] += ("&" if request["query"] else "") + rng.choice(("x", "x=1", "+=", "%26="))
    return request


def broken_query(rng, request):
    request["query"] += ("&" if request["query"] else "") + rng.choice(("%", "a=%1", "%zz=1"))
    return request


def changed_signed_header(rng, request):
    names = [n for n in signed_names(request) if values(request, n)]
    return change(request, rng.choice(names), lambda v: v + "x")


def lost_signed_header(rng, request):
    names = [n for n in signed_names(request) if values(request, n)]
    if request["http2"] and request["authority"]:
        names = [n for n in names if n != "host"]
    if not names:
        return None
    name = rng.choice(names)
    request["headers"] = [h for h in request["headers"] if h[0].lower() != name]
    return request


def other_host(_rng, request):
    if request["authority"]:
        request["authority"] = "evil.example.net"
        return request
    return change(request, "host", lambda _: "evil.example.net")


def second_host(_rng, request):
    request["headers"].append(["host", "evil.example.net"])
    return request


def added_amz_header(rng, request):
    name = rng.choice(("x-amz-acl", "X-Amz-Meta-Added", "x-amz-decoded-content-length", "X-AMZ-Q"))
    request["headers"].append([name, "1"])
    return request


def repeated_header(rng, request):
    once = [name for name in ("x-amz-date", "x-amz-content-sha256", "content-length", "host",
                              "content-type", "x-amz-target", "authorization")
            if values(request, name)]
    name = rng.choice(once)
    request["headers"].append([name, values(request, name)[0]])
    return request


def swapped_values(_rng, request):
    for name in signed_names(request):
        found = [h for h in request["headers"] if h[0].lower() == name]
        if len(found) > 1 and " ".join(found[0][1].split()) != " ".join(found[1][1].split()):
            found[0][1], found[1][1] = found[1][1], found[0][1]
            return request
    return None


def shorter_list(rng, request):
    names = signed_names(request)
    name = rng.choice(names)
    left = ";".join(n for n in names if n != name)
    return edit_authorization(request, "SignedHeaders=" + ";".join(names), "SignedHeaders=" + left)


def unsorted_list(_rng, request):
    names = signed_names(request)
    return edit_authorization(request, ";".join(names), ";".join(reversed(names)))


def upper_list(_rng, request):
    names = ";".join(signed_names(request))
    return edit_authorization(request, names, names.upper())


def longer_list(rng, request):
    names = signed_names(request)
    more = sorted(set(names + [rng.choice(("x-absent", "accept", "zz"))]))
    return edit_authorization(request, ";".join(names), ";".join(more)) if more != names else None


def other_scope(rng, request):
    return edit_authorization(request, *rng.choice((
        ("/eu-west-1/", "/us-east-1/"), ("/events/", "/sqs/"), ("aws4_request", "aws5_request"),
        (KEY_ID, "AKIDUNKNOWN"), (KEY_ID, KEY_ID.lower()), ("/" + request["now"][:8], "/20250101"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        ("Credential=", "credential="), ("Signature=", "Signature=0"), ("SignedHeaders", "Signed"),
    )))


def late(rng, request):
    day, hour, minute = request["now"][:8], int(request["now"][9:11]), int(request["now"][11:13])
    moved = hour * 60 + minute + rng.choice((6, 60, -6, -60))
    if not 0 <= moved < 24 * 60:
        return None
    request["now"] = f"{day}T{moved // 60:02}{moved % 60:02}{request['now'][13:]}"
    return request


def no_authorization(_rng, request):
    request["headers"] = [h for h in request["headers"] if h[0].lower() != "authorization"]
    return request


def presigned_too(_rng, request):
    request["query"] = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
    return request


CHANGES = (
    wrong_signature_digit, short_signature, upper_signature, changed_body, no_body, other_method,
    other_path, other_query, broken_query, changed_signed_header, lost_signed_header, other_host,
    second_host, added_amz_header, repeated_header, swapped_values, shorter_list, unsorted_list,
    upper_list, longer_list, other_scope, late, no_authorization, presigned_too)


# ---- requests that are signed properly, and must be refused all the same ----

def signed_wrongly(rng):
    """(what, request): the signature is right for what was signed, but that is not enough."""
    plan = draft(rng)
    kind = rng.choice(("secret", "key", "region", "service", "unsigned", "payload", "token"))
    options = {}
    if kind == "secret":
        options = {"secret": SECRET + "x"}
    elif kind == "key":
        options = {"key_id": "AKIDOTHER"}
    elif kind == "region":
        options = {"region": rng.choice(("eu-west-2", "EU-WEST-1", "us-east-1"))}
    elif kind == "service":
        options = {"service": rng.choice(("sqs", "sts", "Events", "event"))}
    elif kind == "unsigned":
        amz = [n for n, _ in plan["headers"] if n.lower().startswith("x-amz-")]
        options = {"skip": [rng.choice(["host", "x-amz-date", "x-amz-target", "content-type"]
                                       + amz)]}
        plan["http2"] = False
    elif kind == "payload":
        plan["headers"] = [h for h in plan["headers"] if h[0] != "X-Amz-Content-SHA256"]
        plan["headers"].append(["X-Amz-Content-SHA256", rng.choice((
            "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER", hashlib.sha256(b"other").hexdigest()))])
    else:
        options = {"token": "a-token-that-weir-never-issued"}
    return kind, finish(rng, plan, signer_for(rng, plan, **options))


def mutant(rng):
    """(what, request) of one request that must be refused."""
    while True:
        if rng.random() < 0.3:
            return signed_wrongly(rng)
        spoil = rng.choice(CHANGES)
        spoiled = spoil(rng, copy.deepcopy(signed_request(rng)))
        if spoiled is not None:
            return spoil.__name__, spoiled
