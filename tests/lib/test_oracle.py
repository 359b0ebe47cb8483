# SPDX-License-Identifier: Apache-2.0
"""The oracle finds each kind of fault, and calls nothing a fault that is none."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from oracle import ClientLog, compare, read_log  # noqa: E402

QUEUE, OTHER, ROLE = "arn:q", "arn:other", "arn:role"


def message(event_id, queue=QUEUE, role=ROLE):
    return {"body": json.dumps({"id": event_id}), "queue": queue, "role": role}


def wants(entry):
    return {(QUEUE, ROLE)} if entry["matches"] else set()


@pytest.mark.parametrize("told, messages, excused, lost, misrouted, repeats", [
    (["a"], [message("a")], set(), 0, 0, 0),
    (["a"], [], set(), 1, 0, 0),
    (["a"], [], {("a", QUEUE)}, 0, 0, 0),
    (["a"], [message("a"), message("a")], set(), 0, 0, 1),
    (["a"], [message("a", OTHER)], set(), 1, 1, 0),
    (["a"], [message("a", QUEUE, "arn:another-role")], set(), 1, 1, 0),
    (["a"], [message("a"), message("unanswered")], set(), 0, 0, 0),
    (["a", "a"], [message("a")], set(), 0, 0, 0),
    (["-none"], [message("-none")], set(), 0, 1, 0),
])
def test_each_fault_is_found(told, messages, excused, lost, misrouted, repeats):
    lines = [{"event_id": one, "matches": not one.startswith("-")} for one in told]
    found = compare(lines, messages, wants, excused)
    assert (len(found.lost), len(found.misrouted), found.repeats) == (lost, misrouted, repeats)


def test_a_torn_line_was_never_told(tmp_path):
    path = tmp_path / "client.ndjson"
    log = ClientLog(path)
    log.told("a", account="111122223333")
    log.close()
    with open(path, "a") as file:
        file.write('{"event_id": "b"')
    assert read_log(path) == [{"event_id": "a", "account": "111122223333"}]
