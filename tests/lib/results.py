#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Show the failures of a JUnit file (ctest's or pytest's) and count it.

    results.py JUNIT.xml        failures on stderr; "PASSED FAILED SKIPPED" on stdout

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


def main(path):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(path).iter("testcase"):
        outcome = verdict(case)
        counts[outcome] += 1
        if outcome == "failed":
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            print(f"  FAILED {name}", *story(case), sep="\n    ", file=sys.stderr)
    print(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    main(sys.argv[1])
