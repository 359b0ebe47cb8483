# SPDX-License-Identifier: Apache-2.0
"""Where a process finds its own AWS credentials, as the stand-in plays it: the metadata service of
an EC2 instance (version 2 only), the credentials endpoint of a container, and tokens that STS takes
without a signature.

    PUT  /latest/api/token                                 a session token
    GET  /latest/meta-data/iam/security-credentials/[ROLE] the role's name, its credentials
    GET  /container/credentials                            the same for a container

Log lines: {"kind": "own", "source": "instance" | "container", "asked": PATH, "status": N}
"""

import json
import secrets
import time

from aws_signature import Refusal

TOKEN_PATH = "/latest/api/token"
ROLES_PATH = "/latest/meta-data/iam/security-credentials/"
CONTAINER_PATH = "/container/credentials"


class OwnSources:
    """Sessions of `sts` for whoever stands at the right place."""

    def __init__(self, sts, record):
        self._sts = sts
        self._record = record
        self._tokens = set()
        self.instance_role = None
        self.container = None  # {"role", "authorization"}

    def serve(self, method, path, headers):
        """(status, text) for a request of theirs, or None."""
        source = "container" if path == CONTAINER_PATH else "instance"
        if source == "instance" and not path.startswith("/latest/"):
            return None
        answer = self._container if source == "container" else self._instance
        status, text = answer(method, path, headers)
        self._record({"kind": "own", "source": source, "asked": f"{method} {path}",
                      "status": status})
        return status, text

    def _instance(self, method, path, headers):
        if path == TOKEN_PATH:
            lifetime = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if method != "PUT" or not lifetime.isdigit() or not 1 <= int(lifetime) <= 21600:
                return 400, ""
            if "x-forwarded-for" in headers:
                return 403, ""
            token = secrets.token_urlsafe(40)
            self._tokens.add(token)
            return 200, token
        if headers.get("x-aws-ec2-metadata-token") not in self._tokens:
            return 401, ""
        if method != "GET" or not path.startswith(ROLES_PATH) or self.instance_role is None:
            return 404, ""
        name = self.instance_role.rsplit("/", 1)[-1]
        asked = path[len(ROLES_PATH):]
        if not asked:
            return 200, name
        if asked != name:
            return 404, ""
        return 200, self._credentials(self.instance_role, "i-0123456789abcdef0",
                                      {"Code": "Success", "Type": "AWS-HMAC"})

    def _container(self, method, _path, headers):
        if self.container is None or method != "GET":
            return 404, ""
        if headers.get("authorization", "") != self.container.get("authorization", ""):
            return 401, ""
        return 200, self._credentials(self.container["role"], "container",
                                      {"RoleArn": self.container["role"]})

    def _credentials(self, role, session, more):
        identity = self._sts.issue(role, session)
        return json.dumps({
            **more, "AccessKeyId": identity.access_key, "SecretAccessKey": identity.secret,
            "Token": identity.token,
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(identity.expires))})


def assume_with_token(sts, record, tokens, params):
    """AssumeRoleWithWebIdentity: `tokens` tells which token is good for which role."""
    arn, session = params.get("RoleArn", ""), params.get("RoleSessionName", "")
    allowed = tokens.get(params.get("WebIdentityToken")) == arn
    told = {"kind": "assume_role_with_web_identity", "allowed": allowed, "role": arn,
            "session": session}
    if not allowed:
        record(told)
        raise Refusal("InvalidIdentityToken", "The web identity token is not valid for this role")
    identity = sts.issue(arn, session)
    record({**told, "access_key": identity.access_key, "expires": identity.expires})
    return {"SubjectFromWebIdentityToken": "system:serviceaccount:weir:weir",
            **sts.answer(identity, arn, session)}
