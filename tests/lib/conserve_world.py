# SPDX-License-Identifier: Apache-2.0
"""The organization that conserve plays: twenty accounts, their rules, and how they change.

Rules come in four kinds, each with queues of its own, so that an arrival names its slot:

    calm      never touched, and their queues always answer at once: they show what a healthy
              target gets while everything around it breaks
    ailing    their queues throttle, hang, drip, swallow or fail in part all the time
    doomed    their queues die now and then, as a fault says
    restless  they appear, change their pattern or their queue, are disabled and vanish

All draws come from the Random that the caller brings.
"""

import copy

from catalogs import external_id, queue_arn, role_arn
from conserve_history import Version
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
FEW_TRIES = {"maximum_retry_attempts": 4}

# How the queues of ailing rules misbehave, all the time.
AILMENTS = {
    "throttle": {"mode": "throttle", "probability": 0.5},
    "hang": {"mode": "hang", "probability": 0.2, "seconds": 8},
    "drip": {"mode": "drip", "probability": 0.3, "seconds": 0.3},
    "swallow": {"mode": "swallow", "probability": 0.3},
    "partial": {"mode": "partial", "probability": 0.5},
}
# The modes that accept without saying so in time, or after the caller may be gone.
DEAF = ("drip", "swallow", "delay")
ROUTES = (*AILMENTS, "doomed", "fifo", "none", "none", "none")


def role_of(account, name):
    return f"arn:aws:iam::{account}:role/{name}"


def all_roles():
    """{role ARN: external id} that the stand-in must trust."""
    return {role_of(account, name): external_id(account) for account in ACCOUNTS
            for name in ("weir-dispatch", "weir-second", "weir-other")}


def _target(arn, **more):
    return {"id": "t1", "arn": arn, **more}


def _rule(name, pattern, *targets, bus="central"):
    targets = [{**target, "id": f"t{index + 1}"} for index, target in enumerate(targets)]
    return {"bus": bus, "name": name, "pattern": pattern, "targets": targets}


def _calm_rules():
    own = f"arn:aws:sqs:{REGION}:{{account}}:own"
    rules = [
        _rule("severe", {"source": ["aws.guardduty", "com.example.scanner"],
                         "detail": {"level": [{"numeric": [">=", 7]}]}},
              _target(queue_arn("severe")), _target(own)),
        _rule("wide", {"source": [{"prefix": "com."}],
                       "detail": {"level": [{"numeric": [">", 2, "<=", 6]}]}},
              _target(queue_arn("wide"), role_arn="arn:aws:iam::{account}:role/weir-other")),
        _rule("ordered", {"detail": {"route": ["fifo"]}},
              _target(queue_arn("ordered.fifo"), sqs_parameters={"message_group_id": "one"})),
    ]
    return rules + [
        _rule("report", {"detail-type": ["Report"], "detail": {"color": [{"anything-but": "red"}]}},
              _target(queue_arn("report", account)), bus=f"{account}/default")
        for account in WITH_OWN_RULE]


def _ailing_rules():
    patterns = {
        "throttle": ["throttle"], "hang": [{"prefix": "han"}], "drip": [{"suffix": "rip"}],
        "swallow": [{"equals-ignore-case": "SWALLOW"}],
        "partial": [{"anything-but": sorted(set(ROUTES) - {"partial"})}]}
    return [_rule(f"ailing-{name}", {"detail": {"route": pattern}},
                  _target(queue_arn(f"ailing-{name}"), retry_policy=FEW_TRIES))
            for name, pattern in patterns.items()]


def _doomed_rules():
    return [_rule(f"doomed-{index}", {"detail": {"doom": [index]}},
                  _target(queue_arn(f"doomed-{index}"))) for index in range(DOOMED_COUNT)]


class World:
    """The catalog as it is wanted now."""

    def __init__(self):
        self.accounts = {one: self._account(one) for one in ACCOUNTS}
        self._rules = {rule["bus"] + "/" + rule["name"]: rule
                       for rule in _calm_rules() + _ailing_rules() + _doomed_rules()}
        for index in range(RESTLESS_COUNT // 2):
            self._put(self._restless(index, COLORS[index], "a"))

    @staticmethod
    def _account(account):
        more = {"limits": {"events_per_second": 2, "burst": 4}} if account == LIMITED else {}
        return {"id": account, "name": f"account-{account}", "sources": ["*"],
                "dispatch_role": {"arn": role_arn(account), "external_id": external_id(account)},
                **more}

    @staticmethod
    def _restless(index, color, place):
        pattern = {"detail": {"color": [color], "shape": [{"exists": True}]}}
        return _rule(f"restless-{index}", pattern,
                     _target(queue_arn(f"restless-{index}-{place}")))

    def _put(self, rule):
        self._rules[rule["bus"] + "/" + rule["name"]] = rule

    def catalog(self):
        return copy.deepcopy({"accounts": list(self.accounts.values()),
                              "rules": list(self._rules.values())})

    def version(self):
        return Version(self.catalog())

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
            rule["targets"][0]["arn"] = queue_arn(f"restless-{index}-{place}")
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


def all_queues():
    """Every queue that some version of this world may lead to."""
    names = ["severe", "wide", "ordered.fifo", *(f"ailing-{name}" for name in AILMENTS),
             *(f"doomed-{index}" for index in range(DOOMED_COUNT)),
             *(f"restless-{index}-{place}" for index in range(RESTLESS_COUNT) for place in "ab")]
    return [queue_arn(name, CENTRAL) for name in names] + [
        queue_arn("own", account) for account in ACCOUNTS] + [
        queue_arn("report", account) for account in WITH_OWN_RULE]


def is_calm(slot, account):
    """Is this a slot whose target is healthy whatever fault was drawn?"""
    return (slot.rule in ("severe", "wide", "report", "ordered") and account not in UNLUCKY
            and account not in RESTLESS_ROLE)


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
    if random.random() < 0.3:
        detail["shape"] = "round"
    return {"account": account, "source": random.choice(sources),
            "detail-type": random.choice(("Ping", "Report", "Finding")), "detail": detail}
