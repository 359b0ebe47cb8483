# SPDX-License-Identifier: Apache-2.0
"""What the gateway may have been told at which moment, as seen from outside.

A catalog version may be in force from the moment its change was begun, and must be from the moment
its change was confirmed.  So an event that was sent at one moment and answered at another may have
met any version from the last one confirmed before it was sent to the last one begun before it was
answered.  Changes are made one after the other, so the versions form a line.  The same holds for
what opens or shuts the door: credentials and suspended accounts.

A delivery is named by its *slot* (bus, rule, target id): what an event is owed is a set of slots,
fixed when it was accepted.  Where a slot leads (place and role) is resolved when it is sent.  Of a
sequence each step is a slot of its own, and what is owed is the whole of them.
"""

import bisect
import dataclasses
import threading

from conserve_kinds import is_hook, place_of
from conserve_matcher import matches


@dataclasses.dataclass(frozen=True)
class Slot:
    """One target of one rule, or one step of it."""

    bus: str
    rule: str
    target: str
    step: str = ""

    @property
    def whole(self):
        return Slot(self.bus, self.rule, self.target)

    def __str__(self):
        return f"{self.bus}/{self.rule}#{self.target}{'.' if self.step else ''}{self.step}"


class Version:
    """One catalog, as its file says it."""

    def __init__(self, catalog):
        self._accounts = {one["id"]: one for one in catalog["accounts"] if "dispatch_role" in one}
        self._rules = catalog["rules"]
        self._targets = {}
        self.steps = {}  # {slot of a sequence: [(slot of a step, may it fail)]}
        for rule in self._rules:
            for target in rule["targets"]:
                self._add(Slot(rule["bus"], rule["name"], target["id"]), target)

    def _add(self, slot, target):
        if "steps" not in target:
            self._targets[slot] = target
            return
        self.steps[slot] = []
        for step in target["steps"]:
            part = dataclasses.replace(slot, step=step["name"])
            self._targets[part] = step["target"]
            self.steps[slot].append((part, step.get("on_failure") == "continue"))

    def owed(self, event):
        """The slots of an event; its account's default bus and the central bus see it."""
        buses = ("central", f"{event['account']}/default")
        return frozenset(
            Slot(rule["bus"], rule["name"], target["id"]) for rule in self._rules
            if rule["bus"] in buses and rule.get("state") != "DISABLED"
            and matches(rule["pattern"], event) for target in rule["targets"])

    def leads_to(self, slot, account):
        """(place, role ARN) of a slot for events of one account, or None without the slot.  An API
        destination is called under no role."""
        target = self._targets.get(slot)
        if target is None:
            return None
        if is_hook(target["arn"]):
            return target["arn"], None
        role = target.get("role_arn") or self._accounts[account]["dispatch_role"]["arn"]
        return place_of(target, account), role.replace("{account}", account)

    def places(self):
        """{place: slot} over all accounts; no two slots may share a place."""
        found = {}
        for slot in self._targets:
            for account in self._accounts:
                place, _ = self.leads_to(slot, account)
                if found.setdefault(place, slot) != slot:
                    raise ValueError(f"{place} belongs to {found[place]} and to {slot}")
        return found


class History:
    """Versions in order, each with when it was begun and when it was confirmed."""

    def __init__(self):
        self.versions = []
        self._begun = []
        self._confirmed = []
        self._lock = threading.Lock()

    def begin(self, version, now_s):
        with self._lock:
            if self.versions and self._confirmed[-1] is None:
                raise ValueError("a change begins before the last one was confirmed")
            self.versions.append(version)
            self._begun.append(now_s)
            self._confirmed.append(None)

    def confirm(self, now_s):
        with self._lock:
            self._confirmed[-1] = now_s

    def possible(self, from_s, to_s):
        """Indices of the versions that may have been in force at some moment of the span."""
        confirmed = [moment for moment in self._confirmed if moment is not None]
        first = max(bisect.bisect_right(confirmed, from_s) - 1, 0)
        last = max(bisect.bisect_right(self._begun, to_s), first + 1)
        return range(first, last)

    def owed(self, event, from_s, to_s):
        """The sets of slots that an event may be owed, one per version, without repetition."""
        return {self.versions[index].owed(event) for index in self.possible(from_s, to_s)}

    def destinations(self, slot, account, from_s, to_s):
        """Every (place, role) that a slot may have led to in the span."""
        found = {self.versions[index].leads_to(slot, account)
                 for index in self.possible(from_s, to_s)}
        return found - {None}

    def places(self):
        """{place: slot} over all versions."""
        found = {}
        for version in self.versions:
            for place, slot in version.places().items():
                if found.setdefault(place, slot) != slot:
                    raise ValueError(f"{place} belongs to {found[place]} and to {slot}")
        return found

    def sequences(self):
        """{slot: [(slot of a step, may it fail)]} over all versions; sequences do not change."""
        found = {}
        for version in self.versions:
            found.update(version.steps)
        return found


class Spans:
    """Named stretches of time; an open one has no end yet."""

    def __init__(self):
        self._spans = {}
        self._lock = threading.Lock()

    def open(self, name, now_s):
        """Begin a span of that name, unless one is open."""
        with self._lock:
            spans = self._spans.setdefault(name, [])
            if not spans or spans[-1][1] is not None:
                spans.append([now_s, None])

    def close(self, name, now_s):
        """End the last span of that name, if it is open."""
        with self._lock:
            spans = self._spans.get(name)
            if spans and spans[-1][1] is None:
                spans[-1][1] = now_s

    def add(self, name, from_s, to_s):
        with self._lock:
            self._spans.setdefault(name, []).append([from_s, to_s])

    def cover(self, name, from_s, to_s):
        """Does one span hold all of that stretch?"""
        return any(begin <= from_s and (end is None or to_s <= end)
                   for begin, end in self._spans.get(name, ()))

    def touch(self, name, from_s, to_s):
        """Does some span share a moment with that stretch?"""
        return any(begin <= to_s and (end is None or from_s <= end)
                   for begin, end in self._spans.get(name, ()))

    def end_of(self, name, from_s, to_s):
        """The last end of the spans that touch that stretch; None if none does."""
        ends = [end for begin, end in self._spans.get(name, ())
                if begin <= to_s and (end is None or from_s <= end)]
        return max((float("inf") if end is None else end for end in ends), default=None)
