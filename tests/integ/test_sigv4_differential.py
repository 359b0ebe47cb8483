# SPDX-License-Identifier: Apache-2.0
"""weir's SigV4 against botocore's, request by request.

What botocore signs, weir accepts; what is spoiled in any of some thirty ways, weir refuses; what
weir signs, botocore signs the same: 10,000, 5,000 and 2,500 of them.  `$WEIR_SEED` picks other
requests, `$WEIR_SIGV4_COUNT` (2,500) more.
"""

import collections
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.awsrequest import AWSRequest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import sigv4_requests as requests  # noqa: E402

SEED = int(os.environ.get("WEIR_SEED", "1"))
COUNT = int(os.environ.get("WEIR_SIGV4_COUNT", "2500"))


@pytest.fixture(scope="module")
def tool():
    """Ask a list of questions, get the list of answers."""
    binary = os.environ.get("WEIR_SIGV4_TOOL")
    if binary is None:
        binary = ROOT / "build/dev/tests/sigv4_tool"
        for command in (["cmake", "--preset", "dev"],
                        ["cmake", "--build", "--preset", "dev", "--target", "sigv4_tool"]):
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def ask(questions):
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        done = subprocess.run([binary, requests.KEY_ID, requests.SECRET, requests.REGION],
                              input=lines.encode(), capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(questions)
        return answers

    return ask


def show(request):
    return json.dumps(request, indent=1, ensure_ascii=False)


def test_what_botocore_signs_is_accepted(tool):
    rng = random.Random(SEED)
    asked = [requests.signed_request(rng) for _ in range(4 * COUNT)]
    answers = tool([{"op": "verify", **request} for request in asked])
    for request, answer in zip(asked, answers):
        assert answer == {"err": "OK", "head": "OK"}, show(request)
    assert sum(request["http2"] for request in asked) > COUNT


def test_mutants_are_refused(tool):
    rng = random.Random(SEED + 1)
    asked = [requests.mutant(rng) for _ in range(2 * COUNT)]
    answers = tool([{"op": "verify", **request} for _, request in asked])
    refusals = ("BAD_SIGNATURE", "INCOMPLETE_SIGNATURE", "MISSING_TOKEN")
    for (what, request), answer in zip(asked, answers):
        assert answer["err"] in refusals, f"{what}: {answer}\n{show(request)}"
    kinds = collections.Counter(what for what, _ in asked)
    assert len(kinds) == len(requests.CHANGES) + 7 and min(kinds.values()) > COUNT // 500, kinds


def test_botocore_signs_the_same_as_weir(tool):
    rng = random.Random(SEED + 2)
    plans = [requests.draft(rng) for _ in range(COUNT)]
    tokens = [rng.choice((None, "to/ken+" + requests.text(rng, "abc019", 100, 900)))
              for _ in plans]
    services = [rng.choice(("sts", "sqs", "events", "lambda")) for _ in plans]
    answers = tool([
        {"op": "sign", "method": plan["method"], "path": plan["path"], "query": plan["query"],
         "headers": plan["headers"] + [["host", plan["host"]]], "body": plan["body"],
         "now": plan["time"], "key_id": "ASIAEXAMPLE", "secret": "s/e+cret", "token": token,
         "region": "us-gov-west-1", "service": service}
        for plan, token, service in zip(plans, tokens, services)])
    for plan, token, service, answer in zip(plans, tokens, services, answers):
        request = AWSRequest(
            method=plan["method"], data=plan["body"].encode(),
            url=f"https://{plan['host']}{plan['path']}?{plan['query']}".rstrip("?"))
        for name, value in plan["headers"]:
            request.headers.add_header(name, value)
        requests.Signer("s/e+cret", "ASIAEXAMPLE", "us-gov-west-1", service, token).sign(
            request, plan["time"])
        added = {name: value for name, value in answer["headers"]}
        assert added["x-amz-date"] == plan["time"]
        assert added.get("x-amz-security-token") == token
        assert added["authorization"] == request.headers["Authorization"], show(plan)
