# SPDX-License-Identifier: Apache-2.0
"""What the `run` scripts of these examples share: a response, shown from finding to end.

show() starts weir and a stand-in of AWS that verifies each signature, role and input, applies the
example's catalog.json, sends its event.json, prints each call in its order and the time from the
finding to the calls that matter, and ends with 1 when the calls were not those of the response, in
its order, with the member account's role and with what they had to say.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/lib"))
from catalogs import MEMBER, entry, role_arn, roles  # noqa: E402
from clients import Boto3  # noqa: E402
from weir import AwsStandinProcess, Weir, wait_until  # noqa: E402

DEADLINE_S = 90


def name_of(line):
    """"ec2:DescribeTags" of one line of the stand-in's log."""
    return f"{line['service']}:{line['action']}"


def calls_of(aws):
    return [line for line in aws.calls() if line["service"] != "sts"]


def says(line, text):
    """Does this call say so, in a member of its input or in its message?"""
    return text in json.dumps(line.get("params") or line["body"], ensure_ascii=False)


def read(name):
    """One of the files beside the script that runs."""
    return json.loads((Path(sys.argv[0]).resolve().parent / name).read_text())


def respond(folder, aws, wanted, goal):
    """(calls in their order, seconds from the finding to the call `goal`)"""
    with Weir(Path(folder) / "weir", aws=aws) as weir:
        weir.apply(read("catalog.json"))
        event = read("event.json")
        client = Boto3(weir, weir.issue(MEMBER, "sigv4", forwarder=True))
        begun = time.monotonic()
        client.put([entry(source=event["source"], detail_type=event["detail-type"],
                          detail=json.dumps(event["detail"]))])
        wait_until(lambda: goal in map(name_of, calls_of(aws)), goal, DEADLINE_S)
        took_s = time.monotonic() - begun
        wait_until(lambda: len(calls_of(aws)) >= len(wanted), "the last call", DEADLINE_S)
        weir.drain(DEADLINE_S)
        return calls_of(aws), took_s


def show(wanted, goal, what, answers, resources=(), broken=()):
    """`wanted`: (call, texts that it must say) in order; `goal`: the call that `what` names;
    `answers`: what the stand-in's services answer; `broken`: resources that only fail."""
    with tempfile.TemporaryDirectory(prefix="weir-example-") as folder, \
            AwsStandinProcess(folder, roles(MEMBER), resources=resources) as aws:
        aws.control(answers=answers)
        for resource in broken:
            aws.fault(resource, "fail")
        lines, took_s = respond(folder, aws, wanted, goal)
    for line in lines:
        print(f"{name_of(line)} as {line['role']}")
    seen = [name_of(line) for line in lines]
    if seen != [name for name, _ in wanted] or {line["role"] for line in lines} != {role_arn(MEMBER)}:
        sys.exit(f"not the response: {seen}")
    for line, (name, texts) in zip(lines, wanted):
        for text in texts:
            if not says(line, text):
                sys.exit(f"{name} does not say {text!r}: {line.get('params') or line['body']}")
    print(f"{took_s:.3f} s from finding to {what}")
