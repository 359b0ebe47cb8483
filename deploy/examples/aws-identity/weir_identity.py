#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Speak to weir as the AWS principal that one is: no secret of weir's is needed.

    weir_identity.py https://weir.example.net [--region us-east-1] [--server-id NAME] [--ca FILE]

prints a token, as {"access_token", "token_type", "expires_in"}.  It is for POST /events and the
EventBridge API, as `Authorization: Bearer TOKEN`.  The operator has let the principal in before:

    weir account issue 111122223333 --kind aws-identity \
        --principal arn:aws:iam::111122223333:role/forwarder

How it is proven: the credentials at hand (those that boto3 finds) presign GetCallerIdentity of STS,
with weir's name in a signed header, for a minute.  weir asks STS with it and learns account and
principal, and nothing else; the signature is good for no other call and for no other server.

As a module: presign(), fetch_token(), and events_client(), a boto3 client of weir by token.
"""

import argparse
import json
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

GRANT = "urn:weir:grant-type:aws-identity"
LIFE_S = 60


def presign(server_id, region, credentials=None):
    """The proof: a presigned URL that only weir of that name can use."""
    credentials = credentials or botocore.session.get_session().get_credentials()
    end = ".cn" if region.startswith("cn-") else ""
    request = AWSRequest("GET", f"https://sts.{region}.amazonaws.com{end}/"
                                "?Action=GetCallerIdentity&Version=2011-06-15",
                         headers={"x-weir-server-id": server_id})
    SigV4QueryAuth(credentials, "sts", region, expires=LIFE_S).add_auth(request)
    return request.url


def fetch_token(url, proof, ca=None):
    """What weir gives for a proof; urllib.error.HTTPError when it gives nothing."""
    form = urllib.parse.urlencode({"grant_type": GRANT, "assertion": proof})
    request = urllib.request.Request(url.rstrip("/") + "/oauth/token", form.encode())
    with urllib.request.urlopen(request, timeout=30,
                                context=ssl.create_default_context(cafile=ca)) as answer:
        return json.load(answer)


def events_client(url, token, region, ca=None):
    """boto3's client for EventBridge, which shows the token instead of signing."""
    client = boto3.client("events", endpoint_url=url, region_name=region, verify=ca,
                          config=Config(signature_version=UNSIGNED))

    def show(params, **_):
        params["headers"]["Authorization"] = f"Bearer {token}"

    client.meta.events.register("before-call.events", show)
    return client


def main():
    parser = argparse.ArgumentParser(description="Print a token of weir for the AWS principal "
                                                 "whose credentials are at hand.")
    parser.add_argument("url", help="where weir's data listener is reached")
    parser.add_argument("--region", default="us-east-1", help="whose STS proves it (us-east-1)")
    parser.add_argument("--server-id", help="weir's aws_identity.server_id; the URL's host and port")
    parser.add_argument("--ca", help="PEM file of the authority of weir's certificate")
    options = parser.parse_args()
    server_id = options.server_id or urllib.parse.urlsplit(options.url).netloc
    try:
        answer = fetch_token(options.url, presign(server_id, options.region), options.ca)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode(errors='replace')}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
