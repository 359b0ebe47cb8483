# SPDX-License-Identifier: Apache-2.0
"""Compare what callers were told with what arrived, from two logs that weir never touches.

A caller writes one line *after* it has read a success (ClientLog); the stand-in writes one line
before it answers.  Every EventId that a caller was told must have arrived at each target that its
event matches, or be dead or live at weir; nothing may arrive anywhere else.
"""

import collections
import dataclasses
import json


class ClientLog:
    """Append-only NDJSON of successes; one line per accepted entry, flushed."""

    def __init__(self, path):
        self._path = path
        self._file = open(path, "a", encoding="utf-8")

    def told(self, event_id, **fields):
        self._file.write(json.dumps({"event_id": event_id, **fields}) + "\n")
        self._file.flush()

    def close(self):
        self._file.close()


def read_log(path):
    """Each whole line of an NDJSON file; a torn last line was never told to anybody."""
    with open(path, "rb") as file:
        whole = file.read()
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]


@dataclasses.dataclass
class Comparison:
    """What differs; `lost` and `misrouted` must be empty, `repeats` within the caller's bound."""

    accepted: int = 0
    owed: int = 0
    delivered: int = 0
    lost: list = dataclasses.field(default_factory=list)
    misrouted: list = dataclasses.field(default_factory=list)
    repeats: int = 0

    def __str__(self):
        return (f"{self.accepted} accepted, {self.owed} owed, {self.delivered} delivered, "
                f"{len(self.lost)} lost, {len(self.misrouted)} misrouted, {self.repeats} repeats")


def compare(told, messages, wants, excused=frozenset()):
    """Comparison of the callers' lines `told` with the stand-in's `messages`.

    `wants(entry)` is the set of (queue ARN, role ARN or None) owed to one told entry.  `excused`
    holds (event_id, queue ARN) pairs that weir reports as dead or live.  An event that arrived but
    whose caller was told nothing (the answer was lost) is no fault: it may be anything accepted.
    """
    result = Comparison()
    owed = {}
    for entry in told:
        owed.setdefault(entry["event_id"], set()).update(wants(entry))
        result.accepted += 1
    result.owed = sum(map(len, owed.values()))

    arrived = collections.Counter()
    for message in messages:
        event_id = json.loads(message["body"])["id"]
        arrival = (message["queue"], message["role"])
        arrived[(event_id, *arrival)] += 1
        if event_id in owed and arrival not in owed[event_id]:
            result.misrouted.append((event_id, *arrival))
    result.repeats = sum(count - 1 for count in arrived.values())

    for event_id, targets in owed.items():
        for queue, role in targets:
            if arrived[(event_id, queue, role)]:
                result.delivered += 1
            elif (event_id, queue) not in excused:
                result.lost.append((event_id, queue, role))
    return result
