# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what, from where, what came of it, and nothing secret.

The damage is done to the database of a stopped gateway, with every checksum of the store made right
again, as somebody would who knows the store but has not the seal key.
"""

import json
import threading
import time

import pytest
from audit_ledger import Ledger, slot
from catalogs import MEMBER, OTHER, account, rule, target
from clients import session_client
from weir import REGION, AdminError, Weir, wait_until

def records(weir, count=1000):
    return weir.admin("GET", f"/v1/audit?limit={count}")["records"]


def verify(weir):
    return weir.admin("GET", "/v1/audit/verify")


def test_every_change_and_every_act_is_there(weir, key):
    before = records(weir, 1)[0]["seq"]
    events = session_client(weir, key)
    issued = weir.issue(MEMBER, "api-key")
    weir.revoke(issued["credential"])
    weir.cli("account", "suspend", OTHER)
    weir.cli("account", "resume", OTHER)
    events.put_rule(Name="seen", EventPattern='{"source":["x"]}')
    events.delete_rule(Name="seen")
    weir.admin("POST", "/v1/dead/drop?all=true&dry_run=true")
    with pytest.raises(AdminError):
        weir.admin("POST", "/v1/accounts/000000000000/suspend")
    seen = [(one["actor"], one["action"], one["object"], one["result"])
            for one in reversed(records(weir)) if one["seq"] > before]
    assert seen == [
        ("operator", "POST /v1/accounts/*/credentials", MEMBER, "ok"),
        ("operator", "DELETE /v1/credentials/*", issued["credential"], "ok"),
        ("operator", "POST /v1/accounts/*/suspend", OTHER, "ok"),
        ("operator", "POST /v1/accounts/*/resume", OTHER, "ok"),
        (key["credential"], "PutRule", "seen", "ok"),
        (key["credential"], "DeleteRule", "seen", "ok"),
        ("operator", "POST /v1/dead/drop", "all=true&dry_run=true", "ok"),
        ("operator", "POST /v1/accounts/*/suspend", "000000000000", "NOT_FOUND")]
    assert all(one["from"] == "127.0.0.1" for one in records(weir))
    put = next(one for one in records(weir) if one["action"] == "PutRule")
    changed = {one["name"]: one for one in put["changes"]}[f"rule/{MEMBER}/default/seen"]
    assert changed["before"] is None and len(changed["after"]) == 16


def test_a_change_is_recorded_with_the_object_that_its_action_reads(weir, key):
    """A permission's is the bus; a member that the action does not read cannot take its place."""
    before = records(weir, 1)[0]["seq"]
    events = session_client(weir, key)
    grant = {"StatementId": "S", "Principal": OTHER, "Action": "events:PutEvents"}

    def add_decoys(params, **_):
        decoys = {"Name": "decoy", "Rule": "decoy", "ResourceARN": "decoy"}
        params["body"] = json.dumps({**decoys, **json.loads(params["body"])}).encode()

    events.create_event_bus(Name="granted")
    events.meta.events.register("before-call", add_decoys)
    events.put_permission(EventBusName="granted", **grant)
    events.remove_permission(EventBusName="granted", StatementId="S")
    events.put_permission(**grant)
    events.remove_permission(StatementId="S")
    events.put_rule(Name="real", EventPattern='{"source":["x"]}')
    events.put_targets(Rule="real", Targets=[
        {"Id": "t", "Arn": f"arn:aws:sqs:{REGION}:{MEMBER}:own"}])
    events.remove_targets(Rule="real", Ids=["t"])
    events.delete_rule(Name="real")
    events.delete_event_bus(Name="granted")
    assert [(one["action"], one["object"]) for one in reversed(records(weir))
            if one["seq"] > before] == [
        ("CreateEventBus", "granted"), ("PutPermission", "granted"),
        ("RemovePermission", "granted"), ("PutPermission", "default"),
        ("RemovePermission", "default"), ("PutRule", "real"), ("PutTargets", "real"),
        ("RemoveTargets", "real"), ("DeleteRule", "real"), ("DeleteEventBus", "granted")]


def test_each_end_of_the_chain_is_in_the_log_of_the_process(weir):
    """Which is kept elsewhere: it shows that a store was put back to an earlier state."""
    weir.admin("POST", "/v1/dead/drop?all=true&dry_run=true")
    newest = records(weir, 1)[0]

    def ends():
        lines = [json.loads(line) for line in weir.log_path.read_text().splitlines()
                 if '"audit.recorded"' in line]
        return [(end["seq"], end["hash"]) for end in (json.loads(one["head"]) for one in lines)]

    wait_until(lambda: (newest["seq"], newest["hash"]) in ends(), "the log has it")


def test_who_may_not_is_on_record(weir):
    token = weir.issue(MEMBER, "operator", "--role", "viewer")
    with pytest.raises(AdminError):
        weir.admin("POST", "/v1/backup", {"path": "/nowhere"}, token=token["token"])
    denied = wait_until(lambda: [one for one in records(weir)
                                 if one["actor"] == token["credential"]], "the denial is recorded")
    assert [(one["action"], one["result"]) for one in denied] == [
        ("POST /v1/backup", "ACCESS_DENIED")]


def test_denials_cannot_push_others_out(weir):
    """A token that may only read asks for what it may not, again and again: a record a second."""
    token = weir.issue(MEMBER, "operator", "--role", "viewer")

    def ask():
        with pytest.raises(AdminError):
            weir.admin("POST", "/v1/backup", {"path": "/nowhere"}, token=token["token"])

    def denials():
        return [one for one in records(weir) if one["actor"] == token["credential"]]

    begun = time.monotonic()
    for _ in range(200):
        ask()
    wait_until(lambda: ask() or denials(), "one is recorded")
    counts = [0]

    def counted():
        ask()
        counts[:] = [int(one["message"].split()[1]) for one in denials() if "message" in one]
        return counts

    wait_until(counted, "a later record counts what came before it")
    assert len(denials()) <= time.monotonic() - begun + 1
    assert counts[0] > 0


def test_the_log_holds_no_secret(weir):
    secrets = [weir.issue(MEMBER, "api-key")["key"], weir.issue(MEMBER, "oauth")["client_secret"],
               weir.issue(MEMBER, "sigv4")["secret_access_key"], weir.token()]
    text = weir.cli("audit", "list", "--json", "--limit", "1000").stdout
    assert not [one for one in secrets if one in text or one[14:] in text]


def test_the_command_lists_and_verifies(weir):
    lines = weir.cli("audit", "list", "--limit", "3").stdout.splitlines()
    assert len(lines) == 3 and [int(line.split()[0]) for line in lines] == [
        one["seq"] for one in records(weir, 3)]
    done = weir.cli("audit", "verify")
    assert json.loads(done.stdout)["verified"] is True
    assert weir.cli("audit", "list", "--limit", "x", check=False).returncode == 2


def test_pages_hold_every_record_once(weir):
    whole = [one["seq"] for one in records(weir)]
    assert whole == list(range(whole[0], 0, -1))
    paged, after = [], 0
    while True:
        page = weir.admin("GET", f"/v1/audit?limit=3&next={after}")
        paged += [one["seq"] for one in page["records"]]
        if "next" not in page:
            break
        after = page["next"]
    assert paged == whole


def test_acts_at_the_same_time_keep_one_order(weir):
    def toggle(name):
        for _ in range(5):
            weir.admin("PUT", f"/v1/accounts/{name}", {})
            weir.admin("DELETE", f"/v1/accounts/{name}")

    threads = [threading.Thread(target=toggle, args=(f"77777777777{n}",)) for n in range(4)]
    before = records(weir, 1)[0]["seq"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert records(weir, 1)[0]["seq"] == before + 4 * 10
    assert verify(weir)["verified"] is True


# ---- damage


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A stopped gateway with a log of a dozen records, and a way to start it on a damaged copy."""
    weir = Weir(tmp_path_factory.mktemp("broken"))
    weir.start()
    weir.apply({"accounts": [account(MEMBER)],
                "rules": [rule("pings", {"detail-type": ["Ping"]}, target())]})
    for _ in range(6):
        weir.cli("account", "suspend", MEMBER)
        weir.cli("account", "resume", MEMBER)
    assert verify(weir)["last"] == 13
    weir.stop()
    files = {path: path.read_bytes() for path in weir.state.iterdir() if path.is_file()}

    def hurt(damage):
        for path in weir.state.iterdir():
            path.unlink()
        for path, text in files.items():
            path.write_bytes(text)
            path.chmod(0o600)
        with Ledger(weir.state) as ledger:
            damage(ledger)
        weir.start()
        try:
            done = weir.cli("audit", "verify", check=False)
            return done.returncode, {
                (one["record"], one["problem"]) for one in verify(weir)["mistakes"]}
        finally:
            weir.stop()

    yield hurt
    weir.kill9()


def swap(ledger, one, other):
    first, second = ledger.read(slot(one))[1], ledger.read(slot(other))[1]
    ledger.write(slot(one), second)
    ledger.write(slot(other), first)


def forge_head(ledger, seq):
    kept = json.loads(ledger.read(slot(seq))[1])
    ledger.change("meta/audit", seq=seq, hash=kept["hash"])


@pytest.mark.parametrize(("damage", "found"), [
    (lambda ledger: None, set()),
    (lambda ledger: ledger.change(slot(5), actor="nobody"), {(5, "was changed")}),
    (lambda ledger: ledger.change(slot(5), result="NOT_FOUND"), {(5, "was changed")}),
    (lambda ledger: ledger.change(slot(1), at_ms=1), {(1, "was changed")}),
    (lambda ledger: ledger.change(slot(13), object="x"), {(13, "was changed")}),
    (lambda ledger: ledger.change(slot(7), hash="0" * 64), {(7, "was changed")}),
    (lambda ledger: ledger.delete(slot(5)), {(5, "is missing")}),
    (lambda ledger: ledger.delete(slot(1)), {(1, "is missing")}),
    (lambda ledger: ledger.delete(slot(13)), {(13, "is missing")}),
    (lambda ledger: swap(ledger, 4, 5), {(4, "was moved"), (5, "was moved")}),
    (lambda ledger: ledger.write(slot(5), ledger.read(slot(6))[1]),
     {(5, "is missing"), (6, "is there twice"), (6, "was moved")}),
    (lambda ledger: forge_head(ledger, 12), {(13, "is beyond the head of the log")}),
    (lambda ledger: ledger.change("meta/audit", hash="0" * 64),
     {(13, "is not the one that the head names")}),
])
def test_damage_is_found_and_named(broken, damage, found):
    code, mistakes = broken(damage)
    # A record that stands twice may be told by either of its two places.
    assert mistakes == found or (found and mistakes | {(6, "was moved")} == found), mistakes
    assert code == (1 if found else 0)


def test_the_log_keeps_the_configured_number(tmp_path):
    weir = Weir(tmp_path, config={"limits": {"audit_records": 100}})
    with weir:
        weir.apply({"accounts": [account(MEMBER)]})

        def act(count):
            for _ in range(count):
                weir.admin("POST", "/v1/dead/drop?all=true&dry_run=true")
            told = verify(weir)
            assert told["mistakes"] == []
            return told["records"], told["first"], told["last"]

        assert act(120) == (100, 22, 121)
        assert len(records(weir)) == 100
        for most, expected in ((150, (101, 22, 122)), (110, (102, 22, 123)), (100, (100, 25, 124))):
            weir.config["limits"]["audit_records"] = most
            weir.write_config()
            weir.restart()
            assert act(1) == expected, most
            assert [one["seq"] for one in records(weir)] == list(
                range(expected[2], expected[1] - 1, -1))
