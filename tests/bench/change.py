#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one change costs beside the rules of everybody else: a PutRule answers when the rule is in
force on every worker.

    tests/bench/change.py [ACCOUNTS [RULES [BUS]]]

ACCOUNTS accounts (default 10,000) with RULES rules each (20); then one account with BUS rules on
its default bus (100,000), of which so many change that the bus is compiled anew meanwhile.  boto3
makes the same calls through gateways on the embedded store; the peer is a gateway that holds that
one account's few rules only.  Milliseconds, their ratio, how long applying took, and the memory.
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

CALLS, FILE_RULES = 200, 20000
LIMITS = {"limits": {"bus_rules": 1000000, "store": "64GiB"}}


def account_id(index):
    return f"{100000000000 + index}"


def rules_of(index, start, stop):
    return [{"bus": f"{account_id(index)}/default", "name": f"r{rule:06}", "targets": [],
             "pattern": {"source": [f"s{index}-{rule}"],
                         "detail": {"n": [{"numeric": [">", index % 97]}]}}}
            for rule in range(start, stop)]


def files(accounts, rules):
    """In several files: a file has a maximum."""
    for start in range(0, accounts, max(1, FILE_RULES // rules)):
        part = range(start, min(start + max(1, FILE_RULES // rules), accounts))
        yield {"accounts": [account(account_id(index)) for index in part],
               "rules": [rule for index in part
                         for rule in rules_of(index, 0, min(rules, FILE_RULES))]}
    for start in range(FILE_RULES, rules, FILE_RULES):
        yield {"rules": rules_of(0, start, min(start + FILE_RULES, rules))}


def fill(weir, accounts, rules):
    """Seconds."""
    start = time.monotonic()
    for number, file in enumerate(files(accounts, rules)):
        path = weir.folder / "catalog.json"
        path.write_text(json.dumps(file))
        weir.cli("apply", "-f", path, "--name", f"from-{number}", timeout_s=600)
    return time.monotonic() - start


def timed(call):
    start = time.monotonic()
    answer = call()
    return (time.monotonic() - start) * 1000, answer


def memory_mib(weir):
    status = Path(f"/proc/{weir.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(accounts, rules):
    """Beside that many rules: PutRule, ListRules, seconds of filling, MiB."""
    puts, lists = [], []
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        with Weir(folder, aws="http://127.0.0.1:9", config=LIMITS) as weir:
            filled_s = fill(weir, accounts, rules)
            api = session_client(weir, weir.issue(account_id(0), "sigv4"))
            api.list_rules(Limit=1)  # connected
            for n in range(CALLS):
                pattern = json.dumps({"source": [f"own-{n}"]})
                puts.append(timed(
                    lambda p=pattern, n=n: api.put_rule(Name=f"own-{n:03}", EventPattern=p))[0])
                took, found = timed(lambda: api.list_rules(NamePrefix="own-", Limit=100))
                lists.append(took)
                if len(found["Rules"]) != min(n + 1, 100):
                    raise RuntimeError(f"ListRules found {len(found['Rules'])} of {n + 1}")
            return puts, lists, filled_s, memory_mib(weir)


def tell(name, alone, beside):
    for half, one, other in ((f"{name} p50", statistics.median(alone), statistics.median(beside)),
                             (f"{name} p99", sorted(alone)[int(len(alone) * .99)],
                              sorted(beside)[int(len(beside) * .99)])):
        print(f"  {half:14} {one:8.1f} ms  {other:8.1f} ms  {other / one:6.2f} times")


def main():
    accounts, rules, bus = (int(given) if given else default for given, default in
                            zip([*sys.argv[1:4], *[""] * 3], (10000, 20, 100000)))
    alone = measure(1, 5)
    for title, beside in (
            (f"{accounts:,} accounts of {rules} rules", measure(accounts, rules)),
            (f"one bus of {bus:,} rules", measure(1, bus))):
        print(f"{title}: applied in {beside[2]:.1f} s, {beside[3]:.0f} MiB; {CALLS} calls alone "
              f"and beside them")
        tell("PutRule", alone[0], beside[0])
        tell("ListRules", alone[1], beside[1])


if __name__ == "__main__":
    main()
