# SPDX-License-Identifier: Apache-2.0
"""Compare what was sent and told with what arrived and what was buried: the verdict of conserve.

Every entry that a client sent is a Sent, with what became of it in the client's eyes:

    told      answered with an EventId: owed exactly the slots of one possible catalog version
    refused   answered with an error that says no: owed nothing, and nothing may arrive
    open      no answer, or one that says "maybe": owed all slots of one possible version or none

Arrived is what conserve_kinds reads in the stand-in's log, dead are the dead letters that weir
lists.  A sequence is delivered when its last step arrived; whatever became of it, each step that
arrived came after all before it that may not fail.  Anything else is told as a line of text with
the event in it: no line, no fault.
"""

import collections
import dataclasses
import json

from conserve_history import Slot

# A request that reached the gateway but whose client gave up may be worked on this much later.
OPEN_SLACK_S = 10
# A delivery that a target accepted is settled durably within this, unless weir is frozen.
SETTLE_S = 1.0
# weir gives a call up after this.
CALL_TIMEOUT_S = 5
# Who takes a delivery over when its claim has ended may look for such two seconds later, and then
# has it in a queue and a call; that much later may be what it did.
TAKE_OVER_S = 2 + CALL_TIMEOUT_S + 3
# A line of the stand-in's log is written before its answer leaves, a client's after it arrived.
CLOCK_SLACK_S = 0.25


@dataclasses.dataclass
class Sent:
    """One entry that a client sent, perhaps several times under one id."""

    number: str
    client: str
    account: str
    event: dict
    credential: str
    sent_s: float
    last_sent_s: float = 0
    told_s: float = None
    event_id: str = None
    verdict: str = "open"
    error: str = None
    text: str = None  # of a whole envelope, which must arrive byte for byte

    def ends_s(self):
        return self.told_s or max(self.sent_s, self.last_sent_s) + OPEN_SLACK_S

    def __str__(self):
        return (f"{self.number} of {self.account} by {self.client}, {self.verdict}"
                f" {self.event_id or ''} {self.error or ''}"
                f", sent {self.sent_s:.3f} told {self.told_s or 0:.3f}")


@dataclasses.dataclass
class Verdict:
    """Faults by kind, and what was counted on the way."""

    faults: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    told: int = 0
    refused: int = 0
    open: int = 0
    owed: int = 0
    arrived: int = 0
    dead: int = 0
    created: int = 0
    repeats: int = 0
    repeats_by_kill: int = 0
    repeats_by_target: int = 0
    repeats_by_machine: int = 0
    repeats_by_claim: int = 0
    latencies_s: list = dataclasses.field(default_factory=list)
    repeats_at: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def fault(self, kind, text):
        self.faults[kind].append(text)

    def summary(self):
        return (f"{self.told} told, {self.refused} refused, {self.open} open; {self.owed} owed, "
                f"{self.arrived} arrived, {self.dead} dead; {self.repeats} repeats, of which "
                f"{self.repeats_by_kill} in flight at a kill, {self.repeats_by_target} accepted by "
                f"a target that did not say so, {self.repeats_by_claim} whose claim ended "
                f"unsettled, {self.repeats_by_machine} while the machine stood still")


class Judge:
    """`spans` holds `kill`, `frozen` (stopped, or its disk full), `hindered` (some replica could not
    write down an outcome), `late`, and for each name `deaf:PLACE`, `revoked:CREDENTIAL` and
    `suspended:ACCOUNT`.  `claim_s`: after which another replica may take a delivery over; None
    where there is no other.  `may_die(slot, account, reason)`: may a delivery end as a dead letter
    for that reason?"""

    def __init__(self, history, spans, claim_s=None, may_die=lambda *_: True):
        self._history, self._spans, self._claim_s = history, spans, claim_s
        self._may_die = may_die
        self.verdict = Verdict()

    def judge(self, sent, arrived, dead):
        """`sent`: every Sent; `arrived`: as conserve_kinds.arrivals() tells it; `dead`: listed dead
        letters."""
        by_number = {one.number: one for one in sent}
        self._sequences = self._history.sequences()
        arrivals = self._sort_arrivals(by_number, arrived)
        buried = self._sort_dead(by_number, dead)
        for one in sent:
            self._judge_one(one, arrivals.get(one.number, {}), buried.get(one.number, {}))
        return self.verdict

    # -- what came out -----------------------------------------------------------------------

    def _sort_arrivals(self, by_number, arrived):
        """{number: {slot: [arrival, ...]}} in order of time."""
        places = self._history.places()
        found = collections.defaultdict(lambda: collections.defaultdict(list))
        for arrival in arrived:
            sent = by_number.get(arrival["event"].get("detail", {}).get("n"))
            if sent is None:
                self.verdict.fault("unknown", f"nobody sent {str(arrival)[:300]}")
                continue
            slot = places.get(arrival["place"])
            if slot is None:
                self.verdict.fault("misrouted", f"{sent} at a place of no rule, {arrival['place']}")
                continue
            self._check_arrival(sent, slot, arrival)
            found[sent.number][slot].append(arrival)
        return found

    def _check_arrival(self, sent, slot, arrival):
        """Is it what was sent, at a place and under a role that its slot may have led to?"""
        where = (arrival["place"], arrival["role"])
        allowed = self._history.destinations(slot, sent.account, sent.sent_s, arrival["time"])
        if where not in allowed:
            self.verdict.fault("misrouted", f"{sent}: {slot} at {where}, not at {sorted(allowed)}")
        if arrival["role"] and arrival["session_tags"] != {"weir-account": sent.account}:
            self.verdict.fault("misrouted", f"{sent}: session tagged {arrival['session_tags']}")
        self._check_content(sent, arrival["body"], arrival["event"], str(slot))

    def _check_content(self, sent, text, event, where):
        """`text`: None where the target is told something else than the event itself, of which only
        what it was told can be compared."""
        if text is not None and sent.text is not None and text != sent.text:
            self.verdict.fault("altered", f"{sent} at {where}: {text[:300]} is not "
                               f"{sent.text[:300]}")
        names = ("source", "detail-type", "account", "detail")
        if text is None:
            names = [name for name in names if name in event]
        wanted = {name: sent.event[name] for name in names}
        seen = {name: event.get(name) for name in names}
        if text is None and set(seen.get("detail", ())) == {"n"}:
            wanted["detail"] = {"n": sent.number}
        if seen != wanted:
            self.verdict.fault("altered", f"{sent} at {where}: {seen} is not {wanted}")
        if sent.event_id is not None and (text or "id" in event) and \
                event.get("id") != sent.event_id:
            self.verdict.fault("altered", f"{sent} at {where} has the id {event.get('id')}")

    def _sort_dead(self, by_number, dead):
        """{number: {slot: letter}}; each dead letter must hold its payload and a fit reason."""
        found = collections.defaultdict(dict)
        for letter in dead:
            event = letter.get("event") or {}
            sent = by_number.get(event.get("detail", {}).get("n"))
            slot = Slot(letter["bus"], letter["rule"], letter["target"])
            if sent is None:
                self.verdict.fault("unknown", f"a dead letter without a known payload: {letter}")
                continue
            if letter["account"] != sent.account or not letter["reason"]:
                self.verdict.fault("altered", f"{sent}: its dead letter says {letter}")
            if slot in found[sent.number]:
                self.verdict.fault("buried twice", f"{sent}: {slot}")
            if not self._may_die(slot, sent.account, letter["reason"]):
                self.verdict.fault("buried wrongly", f"{sent}: {slot} for {letter['reason']}, "
                                   f"{letter.get('message')}")
            self._check_content(sent, sent.text or json.dumps(event), event, f"dead letter {slot}")
            found[sent.number][slot] = letter
            self.verdict.dead += 1
        return found

    # -- one entry ---------------------------------------------------------------------------

    def _judge_one(self, sent, arrivals, buried):
        verdict = self.verdict
        delivered = {slot.whole for slot in arrivals if not slot.step
                     or slot == self._sequences[slot.whole][-1][0]}
        got = frozenset(delivered | set(buried))
        verdict.arrived += len(delivered)
        verdict.created += len(got)
        setattr(verdict, sent.verdict, getattr(verdict, sent.verdict) + 1)
        if sent.verdict == "refused":
            if got or arrivals:
                verdict.fault("refused yet delivered", f"{sent}: {_names(got)}")
            return
        options = self._history.owed(sent.event, sent.sent_s, self._ends_s(sent))
        if sent.verdict == "told":
            self._judge_told(sent, got, options)
        elif got and got not in options:
            kind = "misrouted" if got - frozenset().union(*options) else "torn apart"
            verdict.fault(kind, f"{sent}: {_names(got)}, not {_any(options)}")
        for whole in {slot.whole for slot in arrivals if slot.step} | (
                set(buried) & set(self._sequences)):
            self._judge_steps(sent, whole, arrivals, buried.get(whole))
        self._judge_repeats(sent, arrivals)

    def _judge_steps(self, sent, whole, arrivals, letter):
        """Did each step come after all that may not fail before it, and did it end somewhere?"""
        came_s, reached, missing = 0, None, None
        for slot, may_fail in self._sequences[whole]:
            first = arrivals.get(slot)
            died_here = letter is not None and letter.get("step") == slot.step
            if (first or died_here) and missing:
                self.verdict.fault("out of order", f"{sent}: {slot} without {missing}")
            if first and not may_fail:
                if first[0]["time"] < came_s:
                    self.verdict.fault("out of order", f"{sent}: {slot} came at "
                                       f"{first[0]['time']:.3f}, before what goes before")
                came_s = first[0]["time"]
            reached = slot if first else reached
            missing = missing or (None if first or may_fail else slot)
        if self._sequences[whole][-1][0] not in arrivals and letter is None:
            self.verdict.fault("lost", f"{sent}: after {reached} nothing more came of {whole}")

    def _ends_s(self, sent):
        """Until when weir may have worked on it: who was stopped meanwhile goes on afterwards."""
        if sent.told_s is not None:
            return sent.told_s
        thawed_s = self._spans.end_of("frozen", sent.sent_s, sent.ends_s())
        return max(sent.ends_s(), (thawed_s or 0) + OPEN_SLACK_S)

    def _judge_told(self, sent, got, options):
        verdict = self.verdict
        verdict.owed += min(map(len, options))
        if got not in options:
            surplus = got - frozenset().union(*options)
            kind = "misrouted" if surplus else "lost"
            verdict.fault(kind, f"{sent}: got {_names(got)}, owed {_any(options)}")
        if self._spans.cover(f"revoked:{sent.credential}", sent.last_sent_s or sent.sent_s,
                             sent.told_s):
            verdict.fault("accepted", f"{sent}: its credential {sent.credential} was revoked")
        if self._spans.cover(f"suspended:{sent.account}", sent.last_sent_s or sent.sent_s,
                             sent.told_s):
            verdict.fault("accepted", f"{sent}: its account was suspended")

    def _judge_repeats(self, sent, arrivals):
        """Each arrival but the first of a slot needs a reason why weir may have sent it again."""
        for slot, times in arrivals.items():
            for before, after in zip(times, times[1:]):
                self.verdict.repeats += 1
                self.verdict.repeats_at[str(slot)] += 1
                if self._spans.touch(f"deaf:{before['place']}", before["time"] - CLOCK_SLACK_S,
                                     before["time"] + CLOCK_SLACK_S):
                    self.verdict.repeats_by_target += 1
                elif self._was_in_flight(before["time"], after["time"]):
                    self.verdict.repeats_by_kill += 1
                elif self._was_taken_over(before["time"], after["time"]):
                    self.verdict.repeats_by_claim += 1
                elif self._spans.touch("late", before["time"] - CALL_TIMEOUT_S,
                                       before["time"] + CALL_TIMEOUT_S):
                    self.verdict.repeats_by_machine += 1
                else:
                    self.verdict.fault("repeated", f"{sent}: {slot} at {before['time']:.3f} and "
                                       f"{after['time']:.3f}, and nothing explains it")

    def _was_in_flight(self, first_s, again_s):
        """Was a delivery that arrived at `first_s` still unsettled at a kill before `again_s`?"""
        return self._spans.touch("kill", first_s - CLOCK_SLACK_S,
                                 min(self._settled_s(first_s, "frozen", "hindered"), again_s))

    def _settled_s(self, first_s, *names):
        """When a delivery that arrived at `first_s` is settled at the latest: soon, or soon after
        the last of the spans of these names that hold it up one after the other."""
        settled_s, moved = first_s, True
        while moved:
            moved = False
            for name in names:
                end_s = self._spans.end_of(name, settled_s - CLOCK_SLACK_S, settled_s + SETTLE_S)
                if end_s is not None and end_s > settled_s:
                    settled_s, moved = end_s, True
        return settled_s + SETTLE_S

    def _was_taken_over(self, first_s, again_s):
        """Could its holder not write down that it was delivered, until its claim had ended?"""
        if self._claim_s is None or not self._spans.touch(
                "hindered", first_s - CLOCK_SLACK_S, first_s + SETTLE_S):
            return False
        settled_s = self._settled_s(first_s, "hindered")
        return again_s <= settled_s + self._claim_s + TAKE_OVER_S


def percentile(values, share):
    """The value below which `share` of the values lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def _names(slots):
    return "{" + ", ".join(sorted(map(str, slots))) + "}"


def _any(options):
    return " or ".join(sorted(map(_names, options)))
