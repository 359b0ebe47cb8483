# SPDX-License-Identifier: Apache-2.0
"""The policy of a bus: kept as the service keeps it, enforced on events and on rules of others."""

import json

import botocore.exceptions
import pytest
from catalogs import (CENTRAL, MEMBER, OTHER, account, entry, queue_arn, role_arn, rule, target)
from clients import session_client
from weir import REGION, wait_until

BUS = f"arn:aws:events:{REGION}:{MEMBER}:event-bus/team"
RULES = f"arn:aws:events:{REGION}:{MEMBER}:rule/team/*"
THIRD = "333344445555"
OWN_QUEUE, OTHERS_QUEUE, SHARED_QUEUE = "own", "others", "shared"


def queue(name, owner):
    return f"arn:aws:sqs:{REGION}:{owner}:{name}"


CATALOG = {
    "accounts": [
        account(MEMBER, shared_targets=[queue(SHARED_QUEUE, CENTRAL)]),
        account(OTHER, org_path="o-a1/r-b2/ou-c3"), account(THIRD, org_path="o-zz/r-b2/ou-c3")],
    "buses": [],
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, gateway_in):
    queues = [queue(OWN_QUEUE, MEMBER), queue(OTHERS_QUEUE, OTHER), queue(SHARED_QUEUE, CENTRAL)]
    with gateway_in(tmp_path_factory.mktemp("policy"), CATALOG, queues=queues) as running:
        yield running


@pytest.fixture(scope="module")
def clients(world):
    """An API client of each account; the member's has the bus `team` with one rule."""
    made = {one: session_client(world.weir, world.weir.issue(one, "sigv4"))
            for one in (MEMBER, OTHER, THIRD)}
    owner = made[MEMBER]
    owner.create_event_bus(Name="team")
    owner.put_rule(Name="own", EventBusName="team", EventPattern='{"detail-type":["Ping"]}')
    owner.put_targets(Rule="own", EventBusName="team",
                      Targets=[{"Id": "own", "Arn": queue(OWN_QUEUE, MEMBER)}])
    return made


@pytest.fixture(autouse=True)
def no_policy(clients):
    yield
    clients[MEMBER].remove_permission(EventBusName="team", RemoveAllPermissions=True)


def statement(effect="Allow", principal="*", action="events:PutEvents", resource=BUS, sid=None,
              **condition):
    return {**({"Sid": sid} if sid else {}), "Effect": effect, "Principal": principal,
            "Action": action, "Resource": resource,
            **({"Condition": condition["condition"]} if condition else {})}


def put_policy(clients, *statements):
    clients[MEMBER].put_permission(EventBusName="team", Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": list(statements)}))


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    return error.value.response["Error"]["Message"]


def put(client, bus=BUS, **more):
    (answer,) = client.put_events(Entries=[{**entry(**more), "EventBusName": bus}])["Entries"]
    return answer


def policy_of(clients):
    text = clients[MEMBER].describe_event_bus(Name="team").get("Policy")
    return json.loads(text) if text else None


# ---- the policy as a thing that is kept -----------------------------------------------------------

def test_a_permission_is_kept_as_the_service_keeps_it(clients):
    clients[MEMBER].put_permission(EventBusName="team", StatementId="S", Principal=OTHER,
                                   Action="events:PutEvents")
    assert policy_of(clients) == {"Version": "2012-10-17", "Statement": [{
        "Sid": "S", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
        "Action": "events:PutEvents", "Resource": BUS}]}
    clients[MEMBER].put_permission(
        EventBusName="team", StatementId="org", Principal="*", Action="events:PutEvents",
        Condition={"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-a1"})
    clients[MEMBER].put_permission(EventBusName="team", StatementId="S", Principal=THIRD,
                                   Action="events:PutEvents")
    kept = {one["Sid"]: one for one in policy_of(clients)["Statement"]}
    assert set(kept) == {"S", "org"}
    assert kept["S"]["Principal"] == {"AWS": f"arn:aws:iam::{THIRD}:root"}
    assert kept["org"]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-a1"}}
    buses = {bus["Name"]: bus for bus in clients[MEMBER].list_event_buses()["EventBuses"]}
    assert json.loads(buses["team"]["Policy"]) == policy_of(clients)
    clients[MEMBER].remove_permission(EventBusName="team", StatementId="org")
    clients[MEMBER].remove_permission(EventBusName="team", StatementId="S")
    assert "Policy" not in clients[MEMBER].describe_event_bus(Name="team")


def test_what_is_refused(clients):
    owner = clients[MEMBER]
    assert refused("ResourceNotFoundException", owner.remove_permission, EventBusName="team",
                   StatementId="none") == "Statement with the provided id does not exist."
    assert refused("ResourceNotFoundException", owner.put_permission, EventBusName="none",
                   StatementId="S", Principal=OTHER, Action="events:PutEvents"
                   ) == "Event bus none does not exist."
    for bad in ({}, {"StatementId": "S"}, {"StatementId": "S", "Principal": "x", "Action": "y"},
                {"StatementId": "S", "Principal": OTHER, "Action": "events:CreateEventBus"},
                {"StatementId": "S", "Principal": "*", "Action": "events:PutEvents", "Condition": {
                    "Type": "StringLike", "Key": "aws:PrincipalOrgID", "Value": "o-*"}},
                {"Policy": "{"}, {"Policy": "{}", "StatementId": "S"},
                {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
                    statement(principal={"AWS": f"arn:aws:iam::{OTHER}:role/x"})]})}):
        refused("ValidationException", owner.put_permission, EventBusName="team", **bad)
    refused("PolicyLengthExceededException", owner.put_permission, EventBusName="team",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [
                statement(sid="x" * 10240)]}))
    assert policy_of(clients) is None


def test_apply_takes_a_policy_and_checks_it(world):
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement()]})
    buses = [{"account": MEMBER, "name": "filed", "policy": text}]
    world.weir.apply({"buses": buses}, "--dry-run")
    buses[0]["policy"] = text.replace("Allow", "Maybe")
    done = world.weir.apply({"buses": buses}, "--dry-run", check=False)
    assert done.returncode == 1 and "buses[0].policy" in done.stderr + done.stdout


# ---- events ---------------------------------------------------------------------------------------

# What the policy says; whether OTHER (in o-a1) and THIRD (in o-zz) may then put events.
GRANTS = {
    "nothing": ([], False, False),
    "everybody": ([statement()], True, True),
    "one account": ([statement(principal={"AWS": f"arn:aws:iam::{OTHER}:root"})], True, False),
    "an organization": ([statement(condition={
        "StringEquals": {"aws:PrincipalOrgID": "o-a1"}})], True, False),
    "a part of it": ([statement(condition={"ForAnyValue:StringLike": {
        "aws:PrincipalOrgPaths": ["o-a1/r-b2/*"]}})], True, False),
    "another part": ([statement(condition={"ForAnyValue:StringLike": {
        "aws:PrincipalOrgPaths": ["o-a1/r-x/*"]}})], False, False),
    "an account": ([statement(condition={
        "StringEquals": {"aws:SourceAccount": THIRD}})], False, True),
    "rules only": ([statement(condition={"ArnLike": {
        "aws:SourceArn": "arn:aws:events:*:*:rule/*"}})], False, False),
    "a source": ([statement(condition={
        "StringEquals": {"events:source": "com.example.app"}})], True, True),
    "another source": ([statement(condition={
        "StringLike": {"events:source": ["com.example.a", "aws.*"]}})], False, False),
    "a detail type": ([statement(condition={
        "StringEquals": {"events:detail-type": ["Pong", "Ping"]}})], True, True),
    "all but one": ([statement(), statement("Deny", {"AWS": THIRD})], True, False),
    "another bus": ([statement(resource=BUS + "2")], False, False),
    "other actions": ([statement(action=["events:PutRule"], resource="*")], False, False),
}


@pytest.mark.parametrize("name", GRANTS)
def test_events_of_others(world, clients, name):
    statements, *allowed = GRANTS[name]
    if statements:
        put_policy(clients, *statements)
    for sender, is_allowed in zip((OTHER, THIRD), allowed):
        answer = put(clients[sender])
        if is_allowed:
            found = wait_until(lambda: [m for m in world.aws.messages(queue(OWN_QUEUE, MEMBER))
                                        if answer["EventId"] in m["body"]], "it arrived")
            # It says who sent it, and went with the role of the bus's owner.
            assert json.loads(found[0]["body"])["account"] == sender
            assert found[0]["role"] == role_arn(MEMBER)
        else:
            assert answer["ErrorCode"] == "AccessDeniedException"


def test_a_deny_binds_the_owner_too(clients):
    put_policy(clients, statement("Deny", condition={
        "StringEquals": {"events:source": "com.example.bad"}}))
    assert "EventId" in put(clients[MEMBER], bus="team")
    assert put(clients[MEMBER], bus="team", source="com.example.bad")["ErrorCode"] == \
        "AccessDeniedException"


def test_one_id_on_two_buses_of_one_name_is_two_events(clients):
    put_policy(clients, statement())
    sender = clients[OTHER]
    sender.create_event_bus(Name="team")

    def give_id(request, **_):
        request.headers["x-weir-deduplication-id"] = "the-same"

    def send(bus):
        (answer,) = sender.put_events(
            Entries=[entry(detail="{}", EventBusName=bus)])["Entries"]
        assert "ErrorCode" not in answer
        return answer["EventId"]

    sender.meta.events.register("before-sign.events.PutEvents", give_id)
    try:
        own, foreign = send("team"), send(BUS)
        assert own != foreign
        assert (send("team"), send(BUS)) == (own, foreign)
    finally:
        sender.meta.events.unregister("before-sign.events.PutEvents", give_id)
        sender.delete_event_bus(Name="team")


def test_a_bus_that_does_not_exist_looks_like_one_that_is_closed(clients):
    closed, missing = (put(clients[OTHER], bus=bus) for bus in (BUS, BUS + "-missing"))
    assert closed == missing


# ---- rules ----------------------------------------------------------------------------------------

CREATOR = {"StringEqualsIfExists": {"events:creatorAccount": "${aws:PrincipalAccount}"}}
MANAGE = statement(action=["events:*Rule", "events:*Targets*", "events:*Tag*"], resource=RULES,
                   condition=CREATOR)


def make_rule(client, name, **more):
    return client.put_rule(Name=name, EventBusName=BUS, EventPattern='{"detail-type":["Ping"]}',
                           **more)


def test_rules_of_others_send_with_their_own_roles(world, clients):
    other, owner = clients[OTHER], clients[MEMBER]
    refused("AccessDeniedException", make_rule, client=other, name="guest")
    put_policy(clients, MANAGE)
    arn = make_rule(other, "guest")["RuleArn"]
    assert arn == RULES.replace("*", "guest")
    foreign = refused("ValidationException", other.put_targets, Rule="guest", EventBusName=BUS,
                      Targets=[{"Id": "t", "Arn": queue(OWN_QUEUE, MEMBER)}])
    assert OTHER in foreign
    other.put_targets(Rule="guest", EventBusName=BUS,
                      Targets=[{"Id": "t", "Arn": queue(OTHERS_QUEUE, OTHER)}])
    assert other.describe_rule(Name="guest", EventBusName=BUS)["Arn"] == arn
    other.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert other.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    answer = put(owner, bus="team")
    found = wait_until(lambda: [m for m in world.aws.messages(queue(OTHERS_QUEUE, OTHER))
                                if answer["EventId"] in m["body"]], "it arrived")
    assert found[0]["role"] == role_arn(OTHER)
    # Each manages what is its own; the owner of the bus may only stop and end what guests made.
    refused("AccessDeniedException", clients[THIRD].delete_rule, Name="guest", EventBusName=BUS)
    refused("AccessDeniedException", other.delete_rule, Name="own", EventBusName=BUS)
    refused("ManagedRuleException", owner.put_targets, Rule="guest", EventBusName="team",
            Targets=[{"Id": "t", "Arn": queue(OWN_QUEUE, MEMBER)}])
    owner.disable_rule(Name="guest", EventBusName="team")
    owner.remove_targets(Rule="guest", EventBusName="team", Ids=["t"])
    owner.delete_rule(Name="guest", EventBusName="team")
    refused("ResourceNotFoundException", other.describe_rule, Name="guest", EventBusName=BUS)


def test_a_policy_does_not_grant_what_cannot_be_granted(clients):
    put_policy(clients, statement(action="events:*", resource="*"))
    other = clients[OTHER]
    refused("AccessDeniedException", other.describe_event_bus, Name=BUS)
    refused("AccessDeniedException", other.list_rules, EventBusName=BUS)
    refused("ResourceNotFoundException", other.put_permission, EventBusName="team",
            StatementId="S", Principal=OTHER, Action="events:PutEvents")


# ---- members that an action does not read ---------------------------------------------------------

def arn_of(name):
    return RULES.replace("*", name)


# Every action that a policy may grant: what is called, with which arguments on the rule of a name.
ACTIONS = {
    "PutRule": ("put_rule", lambda name: {
        "Name": name, "EventBusName": BUS, "EventPattern": '{"detail-type":["Ping"]}'}),
    "PutTargets": ("put_targets", lambda name: {
        "Rule": name, "EventBusName": BUS,
        "Targets": [{"Id": "t", "Arn": queue(OTHERS_QUEUE, OTHER)}]}),
    "RemoveTargets": ("remove_targets", lambda name: {
        "Rule": name, "EventBusName": BUS, "Ids": ["t"]}),
    "ListTargetsByRule": ("list_targets_by_rule", lambda name: {
        "Rule": name, "EventBusName": BUS}),
    "TagResource": ("tag_resource", lambda name: {
        "ResourceARN": arn_of(name), "Tags": [{"Key": "a", "Value": "b"}]}),
    "UntagResource": ("untag_resource", lambda name: {
        "ResourceARN": arn_of(name), "TagKeys": ["a"]}),
    "ListTagsForResource": ("list_tags_for_resource", lambda name: {"ResourceARN": arn_of(name)}),
    **{action: (method, lambda name: {"Name": name, "EventBusName": BUS})
       for action, method in (("EnableRule", "enable_rule"), ("DisableRule", "disable_rule"),
                              ("DescribeRule", "describe_rule"), ("DeleteRule", "delete_rule"))},
}
MADE_BY_GUEST = ("guest-1", "sec-x")
ALL_ACTIONS = {"action": "events:*", "condition": CREATOR}


@pytest.fixture
def guests(clients):
    """OTHER's client, which made the two rules; the owner ends them."""
    put_policy(clients, MANAGE)
    for name in MADE_BY_GUEST:
        make_rule(clients[OTHER], name)
    yield clients[OTHER]
    for name in MADE_BY_GUEST:
        if any(one["Name"] == name
               for one in clients[MEMBER].list_rules(EventBusName="team")["Rules"]):
            clients[MEMBER].remove_targets(Rule=name, EventBusName="team", Ids=["t"])
            clients[MEMBER].delete_rule(Name=name, EventBusName="team")


class Decoys:
    """While it is open, each request of the client carries members that it would not."""

    def __init__(self, client, members):
        self.events, self.members = client.meta.events, members
        self.sent = []

    def add(self, params, **_):
        body = json.loads(params["body"])
        params["body"] = json.dumps({**self.members, **body}).encode()
        self.sent.append(json.loads(params["body"]))

    def __enter__(self):
        self.events.register("before-call", self.add)
        return self

    def __exit__(self, *_):
        self.events.unregister("before-call", self.add)
        assert self.sent and all(one in sent for sent in self.sent for one in self.members)


def decoys_of(name, arguments):
    """Each member that names a rule in some action but not in this one, and all at once."""
    members = {"Rule": name, "Name": name, "ResourceARN": arn_of(name)}
    others = {one: text for one, text in members.items() if one not in arguments}
    return [{one: text} for one, text in others.items()] + [others]


def call_with_decoys(client, action, name, decoy, check):
    method, arguments_of = ACTIONS[action]
    for members in decoys_of(decoy, arguments_of(name)):
        with Decoys(client, members):
            check(getattr(client, method), **arguments_of(name))


@pytest.mark.parametrize("action", ACTIONS)
def test_a_decoy_does_not_open_what_a_policy_closes(clients, guests, action):
    def is_denied(call, **arguments):
        refused("AccessDeniedException", call, **arguments)

    put_policy(clients, statement(resource=arn_of("guest-*"), **ALL_ACTIONS))
    call_with_decoys(guests, action, "sec-x", "guest-1", is_denied)
    put_policy(clients, statement(resource=RULES, **ALL_ACTIONS),
               statement("Deny", action="events:*", resource=arn_of("sec-*")))
    call_with_decoys(guests, action, "sec-x", "guest-1", is_denied)
    # Whose the rule is, is not taken from one that is the guest's, nor from one that is not there.
    put_policy(clients, statement(resource=RULES, **ALL_ACTIONS))
    call_with_decoys(guests, action, "own", "guest-1", is_denied)
    call_with_decoys(guests, action, "own", "absent", is_denied)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_decoy_does_not_close_what_a_policy_opens(clients, guests, action):
    put_policy(clients, statement(resource=arn_of("guest-*"), **ALL_ACTIONS))
    method, arguments_of = ACTIONS[action]
    getattr(guests, method)(**arguments_of("guest-1"))
    if action == "DeleteRule":
        make_rule(guests, "guest-1")
    call_with_decoys(guests, action, "guest-1", "sec-x",
                     lambda call, **arguments: call(**arguments))


@pytest.mark.parametrize("action", ["TagResource", "UntagResource", "ListTagsForResource"])
def test_a_rule_as_decoy_does_not_open_the_bus(clients, guests, action):
    put_policy(clients, statement(resource=arn_of("guest-*"), **ALL_ACTIONS))
    method, arguments_of = ACTIONS[action]
    arguments = {**arguments_of("guest-1"), "ResourceARN": BUS}
    for members in decoys_of("guest-1", arguments):
        with Decoys(guests, members):
            refused("AccessDeniedException", getattr(guests, method), **arguments)


# ---- shared targets -------------------------------------------------------------------------------

def test_a_member_reaches_what_the_catalog_shares(world, clients):
    owner = clients[MEMBER]
    owner.put_rule(Name="share", EventBusName="team", EventPattern='{"detail-type":["Share"]}')
    shared = queue(SHARED_QUEUE, CENTRAL)
    refused("ValidationException", owner.put_targets, Rule="share", EventBusName="team",
            Targets=[{"Id": "s", "Arn": queue_arn("findings")}])
    owner.put_targets(Rule="share", EventBusName="team", Targets=[{"Id": "s", "Arn": shared}])
    answer = put(owner, bus="team", detail_type="Share")
    wait_until(lambda: [m for m in world.aws.messages(shared) if answer["EventId"] in m["body"]],
               "it arrived")
    # No longer shared: what the rule says does not help it.
    world.weir.apply({"accounts": [account(MEMBER), *CATALOG["accounts"][1:]]})
    answer = put(owner, bus="team", detail_type="Share")
    (letter,) = wait_until(lambda: [one for one in world.weir.admin("GET", "/v1/dead")["dead"]
                                    if one["event_id"] == answer["EventId"]], "it was given up")
    assert letter["reason"] == "NO_PERMISSIONS"
    assert not [m for m in world.aws.messages(shared) if answer["EventId"] in m["body"]]
    world.weir.apply(CATALOG)
