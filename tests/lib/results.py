#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Show the failures of a JUnit file (ctest's or pytest's) and count it.

    results.py JUNIT.xml            failures on stderr; "PASSED FAILED SKIPPED" on stdout
    results.py --failed JUNIT.xml   the failed tests on stdout, a line each, as pytest takes them

A test that could not be started counts as failed: only what ran and held has passed.
"""

import sys
import xml.etree.ElementTree as ElementTree

SHOWN_MAX_LINES = 80


def verdict(case):
    """"passed", "failed" or "skipped" of one <testcase>."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.get("status") in ("fail", "notrun"):
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def story(case):
    """The end of what a failed test had to say."""
    texts = [case.find(kind) for kind in ("failure", "error", "system-out", "system-err")]
    said = "\n".join(f"{part.get('message') or ''}\n{part.text or ''}"
                     for part in texts if part is not None)
    return [line for line in said.splitlines() if line.strip()][-SHOWN_MAX_LINES:]


def failed(path):
    """FILE::NAME of each failed test of pytest; of one in a class FILE::CLASS::NAME."""
    for case in ElementTree.parse(path).iter("testcase"):
        if verdict(case) == "failed":
            parts = case.get("classname").split(".")
            depth = next((i for i, part in enumerate(parts) if part.startswith("test_")), -1) + 1
            yield "::".join(["/".join(parts[:depth]) + ".py", *parts[depth:], case.get("name")])


def count(path):
    """Show the failures and print the sums."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(path).iter("testcase"):
        outcome = verdict(case)
        counts[outcome] += 1
        if outcome == "failed":
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            print(f"  FAILED {name}", *story(case), sep="\n    ", file=sys.stderr)
    print(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    if sys.argv[1] == "--failed":
        for name in failed(sys.argv[2]):
            print(name)
    else:
        count(sys.argv[1])
