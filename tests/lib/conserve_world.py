# SPDX-License-Identifier: Apache-2.0
"""The organization that conserve plays: twenty accounts, their rules, and how they change.

Rules come in six sorts, each with places of its own, so that an arrival names its slot:

    calm      never touched, and their targets always answer at once: they show what a healthy
              target gets while everything around it breaks
    ailing    their targets throttle, hang, drip, swallow, lie or fail in part all the time
    doomed    their targets die now and then, as a fault says
    refused   their targets say no for ever
    steps     sequences, healthy, with an ailing step, and with a broken one that is gone on from
    restless  they appear, change their pattern or their target, are disabled and vanish

Which kind of target stands where is drawn from the seed, each kind as often as the others.
All other draws come from the Random that the caller brings.
"""

import copy
import random

from catalogs import external_id, queue_arn, role_arn
from conserve_history import Version
from conserve_kinds import BATCHING, KINDS, hooks, is_queue, make_target, place_of
from weir import CENTRAL, REGION

ACCOUNTS = [f"2000000000{number:02d}" for number in range(20)]
# Some accounts are suspended, denied by STS or given another role; a limit binds one of them.
UNLUCKY = ACCOUNTS[15:]
RESTLESS_ROLE = ACCOUNTS[10:15]
LIMITED = ACCOUNTS[14]
WITH_OWN_RULE = ACCOUNTS[0:16:2]

COLORS = ("red", "green", "blue", "white", "black")
RESTLESS_COUNT = 6
DOOMED_COUNT = 3
REFUSED_COUNT = 3
FEW_TRIES = {"maximum_retry_attempts": 4}

# How the targets of ailing rules misbehave, all the time.
AILMENTS = {
    "throttle": {"mode": "throttle", "probability": 0.5},
    "later": {"mode": "throttle", "probability": 0.5, "headers": {"Retry-After": "1"}},
    "fail": {"mode": "fail", "probability": 0.5},
    "hang": {"mode": "hang", "probability": 0.2, "seconds": 8},
    "reset": {"mode": "reset", "probability": 0.3},
    "drip": {"mode": "drip", "probability": 0.3, "seconds": 0.3},
    "lie": {"mode": "lie", "probability": 0.3},
    "swallow": {"mode": "swallow", "probability": 0.3},
    "partial": {"mode": "partial", "probability": 0.5},
}
PATTERNS = {
    "throttle": ["throttle"], "later": ["later"], "fail": [{"prefix": "fai"}],
    "hang": [{"prefix": "han"}], "reset": ["reset"], "drip": [{"suffix": "rip"}], "lie": ["lie"],
    "swallow": [{"equals-ignore-case": "SWALLOW"}],
}
# The modes that accept without saying so in time, or after the caller may be gone.
DEAF = ("drip", "lie", "swallow", "delay")
# An endpoint behind a certificate that nobody vouches for, until the targets are mended.
UNTRUSTED = "ailing-untrusted"
SEQUENCES = ("steps", "steps-ailing", "steps-on")
ROUTES = (*AILMENTS, "untrusted", *SEQUENCES, "doomed", "refused", "fifo", *["none"] * 5)
# Why a delivery of each sort may end as a dead letter.  A service that refuses says NO_PERMISSIONS;
# an HTTPS endpoint that says 403 to weir says no more than that.
REASONS = {
    "ailing": ("attempts-exhausted",), "steps-ailing": ("attempts-exhausted",),
    "doomed": ("NO_PERMISSIONS", "SDK_CLIENT_ERROR"), "restless": ("target-removed",),
    "refused": ("NO_RESOURCE", "SDK_CLIENT_ERROR"),
}
REASONS_OF_UNLUCKY = ("NO_PERMISSIONS",)


def role_of(account, name):
    return f"arn:aws:iam::{account}:role/{name}"


def all_roles():
    """{role ARN: external id} that the stand-in must trust."""
    return {role_of(account, name): external_id(account) for account in ACCOUNTS
            for name in ("weir-dispatch", "weir-second", "weir-other")}


def _rule(name, pattern, *targets, bus="central"):
    targets = [{"id": f"t{index + 1}", **target} for index, target in enumerate(targets)]
    return {"bus": bus, "name": name, "pattern": pattern, "targets": targets}


def _routed(route, *targets, **detail):
    return _rule(route, {"detail": {"route": [route], **detail}}, *targets)


class Kinds:
    """Deals kinds out: all of them in a drawn order, then all of them again."""

    def __init__(self, seed):
        self._draw = random.Random(f"{seed} kinds")
        self._left = []

    def deal(self, among=KINDS):
        """The next one that is among those."""
        if not set(self._left) & set(among):
            self._left += self._draw.sample(KINDS, len(KINDS))
        return self._left.pop(next(
            index for index, kind in enumerate(self._left) if kind in among))


class World:
    """The catalog as it is wanted now."""

    def __init__(self, seed):
        self._kinds = Kinds(seed)
        self.kinds = {}  # {name of a target: its kind}, for the report
        self._owned = {}
        self._hooks = {}
        self.accounts = {one: self._account(one) for one in ACCOUNTS}
        self._ailing = {}
        self._restless_targets = {
            (index, place): self._target(f"restless-{index}-{place}")
            for index in range(RESTLESS_COUNT) for place in "ab"}
        rules = [*self._calm_rules(), *self._ailing_rules(), *self._doomed_rules(),
                 *self._refused_rules(), *self._sequences()]
        self._rules = {rule["bus"] + "/" + rule["name"]: rule for rule in rules}
        for index in range(RESTLESS_COUNT // 2):
            self._put(self._restless(index, COLORS[index], "a"))

    # -- what there is -------------------------------------------------------------------------

    @staticmethod
    def _account(account):
        more = {"limits": {"events_per_second": 2, "burst": 4}} if account == LIMITED else {}
        return {"id": account, "name": f"account-{account}", "sources": ["*"],
                "dispatch_role": {"arn": role_arn(account), "external_id": external_id(account)},
                **more}

    def _target(self, name, among=KINDS, **more):
        """A target of its own, of the kind that is dealt."""
        self.kinds[name] = self._kinds.deal(among)
        self._owned[name] = make_target(self.kinds[name], name, **more)
        return self._owned[name]

    def _ailing_target(self, name, ailment, **more):
        among = BATCHING if ailment == "partial" else KINDS
        target = self._target(name, among, **more)
        self._ailing[name] = AILMENTS[ailment]
        return target

    def _calm_rules(self):
        own = {"arn": f"arn:aws:sqs:{REGION}:{{account}}:own"}
        fifo = self._target("ordered", ("sqs-fifo", "sns-fifo"))
        report = self._kinds.deal(("sqs", "sns", "lambda", "states", "express", "bus"))
        self.kinds["report"] = report
        rules = [
            _rule("severe", {"source": ["aws.guardduty", "com.example.scanner"],
                             "detail": {"level": [{"numeric": [">=", 7]}]}},
                  self._target("severe"), own),
            _rule("wide", {"source": [{"prefix": "com."}],
                           "detail": {"level": [{"numeric": [">", 2, "<=", 6]}]}},
                  self._target("wide", role_arn="arn:aws:iam::{account}:role/weir-other")),
            _rule("ordered", {"detail": {"route": ["fifo"]}}, fifo),
        ]
        return rules + [
            _rule("report", {"detail-type": ["Report"],
                             "detail": {"color": [{"anything-but": "red"}]}},
                  make_target(report, "report", account), bus=f"{account}/default")
            for account in WITH_OWN_RULE]

    def _ailing_rules(self):
        others = [{"anything-but": sorted(set(ROUTES) - {"partial"})}]
        self.kinds[UNTRUSTED] = "https"
        untrusted = make_target("https", UNTRUSTED, retry_policy=FEW_TRIES)
        self._owned[UNTRUSTED] = untrusted
        return [_rule(f"ailing-{name}", {"detail": {"route": PATTERNS.get(name, others)}},
                      self._ailing_target(f"ailing-{name}", name, retry_policy=FEW_TRIES))
                for name in AILMENTS] + [
                    _rule(UNTRUSTED, {"detail": {"route": ["untrusted"]}}, untrusted)]

    def _doomed_rules(self):
        return [_rule(f"doomed-{index}", {"detail": {"doom": [index]}},
                      self._target(f"doomed-{index}")) for index in range(DOOMED_COUNT)]

    def _refused_rules(self):
        """To what is not there; a bus that is not there takes everything."""
        rules = []
        for index in range(REFUSED_COUNT):
            name = f"refused-{index}"
            kind = self.kinds[name] = self._kinds.deal(sorted(set(KINDS) - {"bus"}))
            rules.append(_rule(name, {"detail": {"refusal": [index]}}, make_target(kind, name)))
        return rules

    def _step(self, name, ailment=None, **more):
        target = (self._ailing_target(name, ailment) if ailment else self._target(name))
        # A runbook and a call of any service are given words of their own, which a sequence may
        # only look for in the event: that is where these look.
        return {"name": name.rsplit("-", 1)[-1], "target": target, **more}

    def _sequences(self):
        kept = {"keep": {"all": "$"}}
        passes = {"when": {"event": {"detail": {"route": [{"prefix": "steps"}]}}}}
        return [
            _routed("steps", {"steps": [
                self._step("steps-first", **kept), self._step("steps-second", **passes),
                self._step("steps-third")]}),
            _routed("steps-ailing", {"steps": [
                self._step("steps-ailing-first"),
                self._step("steps-ailing-second", "throttle", retry=FEW_TRIES),
                self._step("steps-ailing-third")]}),
            _routed("steps-on", {"steps": [
                self._step("steps-on-first", "fail", on_failure="continue",
                           retry={"maximum_event_age_in_seconds": 1}),
                self._step("steps-on-second")]}),
        ]

    def _restless(self, index, color, place):
        pattern = {"detail": {"color": [color], "shape": [{"exists": True}]}}
        return _rule(f"restless-{index}", pattern, self._restless_targets[index, place])

    # -- places --------------------------------------------------------------------------------

    def places(self, name):
        """Where what is sent to a target may arrive: a runbook is each account's own."""
        return sorted({place_of(self._owned[name], account) for account in ACCOUNTS})

    def ailing(self):
        """[(place, fault)]"""
        return [(place, fault) for name, fault in self._ailing.items()
                for place in self.places(name)]

    def standing(self):
        """(queues, other places) that must be there, over all versions of this world."""
        found = {queue_arn("own", account) for account in ACCOUNTS}
        for name in self._owned:
            found.update(self.places(name))
        for account in WITH_OWN_RULE:
            found.add(place_of(make_target(self.kinds["report"], "report", account), account))
        return ([one for one in sorted(found) if is_queue(one)],
                [one for one in sorted(found) if not is_queue(one)])

    def use_hooks(self, urls, key_path):
        """Where HTTPS endpoints are: (trusted, untrusted) addresses, and the key for both."""
        names = [name for name, kind in self.kinds.items() if kind == "https"]
        self._hooks = hooks([make_target("https", name)["arn"] for name in names],
                            lambda name: f"{urls[name == UNTRUSTED]}/hook/{name}", key_path)

    def catalog(self):
        central = {"id": CENTRAL, "name": "central"}
        return copy.deepcopy({"accounts": [*self.accounts.values(), central],
                              "rules": list(self._rules.values()), **self._hooks})

    def version(self):
        return Version(self.catalog())

    # -- change --------------------------------------------------------------------------------

    def _put(self, rule):
        self._rules[rule["bus"] + "/" + rule["name"]] = rule

    def change(self, random):
        """Change one thing, as the draw says; what was changed, for the report."""
        if random.random() < 0.2:
            return self._change_role(random)
        index = random.randrange(RESTLESS_COUNT)
        name = f"central/restless-{index}"
        color, place = random.choice(COLORS), random.choice("ab")
        how = random.choice(("pattern", "target", "state", "remove"))
        rule = self._rules.get(name)
        if rule is None:
            self._put(self._restless(index, color, place))
            return f"add {name} {color} {place}"
        if how == "pattern":
            rule["pattern"]["detail"]["color"] = [color]
            return f"{name} now wants {color}"
        if how == "target":
            rule["targets"] = self._restless(index, color, place)["targets"]
            return f"{name} now leads to {place}"
        if how == "state":
            rule["state"] = "ENABLED" if rule.get("state") == "DISABLED" else "DISABLED"
            return f"{name} is now {rule['state']}"
        del self._rules[name]
        return f"remove {name}"

    def _change_role(self, random):
        account = random.choice(RESTLESS_ROLE)
        role = self.accounts[account]["dispatch_role"]
        first, second = role_of(account, "weir-dispatch"), role_of(account, "weir-second")
        role["arn"] = second if role["arn"] == first else first
        return f"{account} now dispatches as {role['arn']}"


def is_calm(slot, account):
    """Is this a slot whose target is healthy whatever fault was drawn?"""
    return (slot.rule in ("severe", "wide", "report", "ordered") and account not in UNLUCKY
            and account not in RESTLESS_ROLE)


def may_die(slot, account, reason):
    """May a delivery of this slot end as a dead letter for that reason?"""
    if account in UNLUCKY and reason in REASONS_OF_UNLUCKY:
        return True
    sort = slot.rule if slot.rule in REASONS else slot.rule.split("-")[0]
    return reason in REASONS.get(sort, ())


def draw_event(random, account, number, may_speak_for_aws):
    """The content of one event: {"account", "source", "detail-type", "detail"}."""
    sources = ["com.example.app", "com.example.scanner", "org.example.other"]
    if may_speak_for_aws:
        sources.append("aws.guardduty")
    detail = {"n": number, "level": random.choice((0, 1, 3, 5, 6.5, 7, 8, 9.9)),
              "color": random.choice(COLORS), "route": random.choice(ROUTES),
              "note": "x" * random.choice((0, 0, 50, 400))}
    if detail["route"] == "doomed":
        detail["doom"] = random.randrange(DOOMED_COUNT)
    if detail["route"] == "refused":
        detail["refusal"] = random.randrange(REFUSED_COUNT)
    if random.random() < 0.3:
        detail["shape"] = "round"
    return {"account": account, "source": random.choice(sources),
            "detail-type": random.choice(("Ping", "Report", "Finding")), "detail": detail}
