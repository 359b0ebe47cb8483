#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write sigv4_vectors.ndjson: requests signed by botocore, with what it computed on the way.

    tests/data/make_sigv4_vectors.py > tests/data/sigv4_vectors.ndjson

The first lines are chosen shapes, the others random with a fixed seed, so the file can be made
again.  Each line is a request as tests/lib/sigv4_requests.py describes it, with botocore's
`canonical` request and `string_to_sign` for the stages of accounts/sigv4.h.
"""

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import sigv4_requests as requests  # noqa: E402

RANDOM_COUNT = 80
JSON_TYPE = ["Content-Type", "application/x-amz-json-1.1"]
TARGET = ["X-Amz-Target", "AWSEvents.PutEvents"]
BODY = '{"Entries":[{"Source":"app.demo","DetailType":"Ping","Detail":"{}"}]}'

SHAPES = {
    "the worked example": {},
    "no body": {"body": ""},
    "body beyond ASCII": {"body": '{"Entries":[{"Source":"日本","Detail":"{\\"é\\":\\"😀\\"}"}]}'},
    "GET with an encoded path": {"method": "GET", "path": "/a%20b/arn%3Aaws%3Ax/%C3%A9"},
    "dots and double slashes": {"path": "/a/./b/../c//d/"},
    "dots to the root": {"path": "/../.."},
    "reserved characters in the path": {"path": "/a+b=c;d@e:f,g"},
    "query out of order": {"query": "b=2&a=1&a=0&B=3&a-=4"},
    "query encoded": {"query": "a%20b=c%2Fd%2Be&%C3%A9=%E6%97%A5"},
    "query without values": {"query": "policyStatus&x="},
    "values that collapse": {"headers": [JSON_TYPE, TARGET, ["X-Amz-A", "  a   b \t c  "]]},
    "values that join": {"headers": [JSON_TYPE, TARGET, ["X-Amz-A", "1"], ["x-amz-a", "2"],
                                     ["X-AMZ-A", "1"]]},
    "an empty value": {"headers": [JSON_TYPE, TARGET, ["x-amz-empty", ""]]},
    "names that sort by byte": {"headers": [JSON_TYPE, TARGET, ["x-a_b", "1"], ["x-a-b", "2"],
                                            ["x-ab", "3"], ["x-a.b", "4"]]},
    "as the JavaScript SDK signs": {"http2": True, "host_name": ":authority", "headers": [
        JSON_TYPE, TARGET, ["content-length", "69"], ["amz-sdk-invocation-id", "0d2c"],
        ["amz-sdk-request", "attempt=1; max=3"], ["x-amz-user-agent", "aws-sdk-js/3.0"]]},
    "as the Go SDK sends": {"http2": True},
}


def chosen(rng, shape):
    plan = {"method": "POST", "path": "/", "query": "", "host": requests.HOST, "body": BODY,
            "headers": [JSON_TYPE, TARGET], "time": requests.TIMES[0], "http2": False}
    plan.update({name: value for name, value in shape.items() if name != "host_name"})
    signer = requests.Signer(host_name=shape.get("host_name", "host"))
    return requests.finish(rng, plan, signer)


def main():
    rng = random.Random(20260101)
    lines = [{"name": name, **chosen(rng, shape)} for name, shape in SHAPES.items()]
    lines += [{"name": f"random {i}", **requests.signed_request(rng)} for i in range(RANDOM_COUNT)]
    for line in lines:
        print(json.dumps(line, separators=(",", ":")))


if __name__ == "__main__":
    main()
