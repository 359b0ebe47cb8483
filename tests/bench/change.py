#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What PutRule and ListRules cost one account beside the rules of all others.

    tests/bench/change.py [ACCOUNTS]        default 10000, five rules each

boto3 makes the same calls through two gateways on the embedded store: one whose catalog holds that
one account's five rules, and one that holds everybody's.  Medians in milliseconds and the ratio.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from catalogs import account  # noqa: E402
from clients import session_client  # noqa: E402
from weir import Weir  # noqa: E402

RULES, CALLS, FILE_ACCOUNTS = 5, 10, 2000
CALLER = 0


def account_id(index):
    return f"{100000000000 + index}"


def rules_of(index):
    return [{"bus": f"{account_id(index)}/default", "name": f"r{rule}", "targets": [],
             "pattern": {"source": [f"s{index}-{rule}"],
                         "detail": {"n": [{"numeric": [">", index % 97]}]}}}
            for rule in range(RULES)]


def fill(weir, count):
    """In several files: a file has a maximum."""
    for start in range(0, count, FILE_ACCOUNTS):
        part = range(start, min(start + FILE_ACCOUNTS, count))
        path = weir.folder / "catalog.json"
        path.write_text(json.dumps({
            "accounts": [account(account_id(index)) for index in part],
            "rules": [rule for index in part for rule in rules_of(index)]}))
        weir.cli("apply", "-f", path, "--name", f"from-{start}", timeout_s=600)


def timed(call):
    start = time.monotonic()
    answer = call()
    return (time.monotonic() - start) * 1000, answer


def measure(count):
    """Medians of PutRule and ListRules beside the rules of `count` accounts."""
    puts, lists = [], []
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        with Weir(folder, aws="http://127.0.0.1:9") as weir:
            fill(weir, count)
            api = session_client(weir, weir.issue(account_id(CALLER), "sigv4"))
            for n in range(CALLS):
                pattern = json.dumps({"source": [f"own-{n}"]})
                puts.append(timed(lambda p=pattern: api.put_rule(Name="own", EventPattern=p))[0])
                took, found = timed(api.list_rules)
                lists.append(took)
                names = {rule["Name"] for rule in found["Rules"]}
                if names != {"own", *(f"r{rule}" for rule in range(RULES))}:
                    raise RuntimeError(f"ListRules found {sorted(names)}")
    return statistics.median(puts), statistics.median(lists)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    alone, beside = measure(1), measure(count)
    print(f"medians of {CALLS} calls, {RULES} rules alone and beside {count * RULES - RULES} others")
    for name, one, other in zip(("PutRule", "ListRules"), alone, beside):
        print(f"{name:10} {one:8.1f} ms  {other:8.1f} ms  {other / one:6.1f} times")


if __name__ == "__main__":
    main()
