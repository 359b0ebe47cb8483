# SPDX-License-Identifier: Apache-2.0
"""The catalog by apply and export: what is written is live, what is wrong is named by its path."""

import json
import urllib.parse

import pytest
from catalogs import MEMBER, OTHER, account, entry, rule, target
from clients import Boto3
from weir import AdminError, wait_until

HEARD = rule("heard", {"detail-type": ["Heard"]}, target("findings"))


def without_revisions(catalog):
    """A catalog as one would write it: `manager` and `rev` say who and when, not what."""
    if isinstance(catalog, dict):
        return {name: without_revisions(value) for name, value in catalog.items()
                if name not in ("manager", "rev")}
    if isinstance(catalog, list):
        return [without_revisions(value) for value in catalog]
    return catalog


def test_what_is_exported_applies_as_nothing_new(weir):
    exported = weir.export()
    assert {one["id"] for one in exported["accounts"]} == {MEMBER, OTHER}
    again = weir.apply(without_revisions(exported))
    assert again.returncode == 0
    assert without_revisions(weir.export()) == without_revisions(exported)


def test_a_dry_run_changes_nothing(weir):
    before = weir.export()
    done = weir.apply({"rules": [HEARD]}, "--dry-run")
    assert "heard" in done.stdout
    assert weir.export() == before


def test_a_new_rule_is_live_within_a_second(gateway, weir, key):
    weir.apply({"rules": [HEARD]}, "--name", "extra")
    client = Boto3(weir, key)

    def heard():
        (event_id,) = client.put([entry(detail_type="Heard")]).event_ids
        try:
            return wait_until(lambda: gateway.arrived(event_id), "the event arrived", 0.5)
        except TimeoutError:
            return None

    wait_until(heard, "an event matched the new rule", 1)
    # What another manager applied stays; what this one leaves out goes.
    assert len(weir.export()["rules"]) == 3
    weir.apply({"rules": []}, "--name", "extra")
    assert len(weir.export()["rules"]) == 2


def test_another_managers_rule_is_taken_over_only_on_request(weir):
    weir.apply({"rules": [HEARD]}, "--name", "first")
    refused = weir.apply({"rules": [HEARD]}, "--name", "second", check=False)
    assert refused.returncode == 1 and "heard" in refused.stderr
    weir.apply({"rules": [HEARD]}, "--name", "second", "--take-over")
    weir.apply({"rules": []}, "--name", "second")
    assert len(weir.export()["rules"]) == 2


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "é"])
def test_a_name_that_cannot_be_one_is_refused_whole(weir, name):
    before = weir.export()
    done = weir.apply({"rules": [HEARD]}, "--name", name, check=False)
    assert done.returncode == 2 and done.stderr.startswith("weir: --name: ")
    with pytest.raises(AdminError) as refused:
        weir.admin("POST", f"/v1/catalog?name={urllib.parse.quote(name)}", {"rules": [HEARD]})
    assert (refused.value.status, "name: " in refused.value.body) == (400, True)
    assert weir.export() == before


def test_a_name_of_64_characters_is_one(weir):
    weir.apply({"rules": [HEARD]}, "--name", "x" * 64)
    weir.apply({"rules": []}, "--name", "x" * 64)


@pytest.mark.parametrize("catalog, path", [
    ({"rule": []}, "rule"),
    ({"accounts": [{"id": "12"}]}, "accounts[0].id"),
    ({"accounts": [account(MEMBER, limits={"events_per_second": -1})]},
     "accounts[0].limits.events_per_second"),
    ({"accounts": [account(MEMBER), account(MEMBER)]}, "accounts[1]"),
    ({"rules": [rule("a", {"x": []}, target())]}, "rules[0].pattern"),
    ({"rules": [rule("a", {"x": ["y"]}, {"id": "t", "arn": "nonsense"})]},
     "rules[0].targets[0].arn"),
    ({"rules": [rule("a b", {"x": ["y"]}, target())]}, "rules[0].name"),
    ({"rules": [rule("a", {"x": ["y"]}, *[target(target_id=str(i)) for i in range(6)])]},
     "rules[0].targets"),
])
def test_a_mistake_is_named_by_its_path_and_changes_nothing(weir, catalog, path):
    before = weir.export()
    done = weir.apply(catalog, "--name", "wrong", check=False)
    assert done.returncode == 1
    assert path in done.stderr
    assert weir.export() == before


def test_each_mistake_of_a_file_is_named(weir):
    done = weir.apply({"accounts": [{"id": "12"}, {"id": "13"}], "rules": [{"bus": "central"}]},
                      check=False)
    assert all(path in done.stderr for path in ("accounts[0].id", "accounts[1].id", "rules[0]."))


def test_a_file_that_is_not_json_is_refused(weir):
    path = weir.folder / "broken.json"
    for text in ("{", '{"rules": [], "rules": []}', "[]"):
        path.write_text(text)
        done = weir.cli("apply", "-f", path, check=False)
        assert done.returncode == 1 and done.stderr.strip()


def test_a_suspended_account_is_refused_until_it_is_resumed(weir):
    key = weir.issue(OTHER, "sigv4")
    client = Boto3(weir, key)
    assert client.put([entry()]).ok
    weir.cli("account", "suspend", OTHER)
    wait_until(lambda: not client.put([entry()]).ok, "the account is refused", 1)
    weir.cli("account", "resume", OTHER)
    wait_until(lambda: client.put([entry()]).ok, "the account is served", 1)


def test_a_revoked_sigv4_key_is_refused_within_a_second(weir):
    key = weir.issue(MEMBER, "sigv4")
    client = Boto3(weir, key)
    assert client.put([entry()]).ok
    weir.revoke(key["credential"])
    wait_until(lambda: client.put([entry()]).status == 403, "the key is refused", 1)


def test_an_account_that_comes_back_does_not_revive_its_old_keys(weir):
    gone = "777788889999"
    weir.apply({"accounts": [account(gone)]}, "--name", "passing")
    client = Boto3(weir, weir.issue(gone, "sigv4"))
    assert client.put([entry()]).ok
    removed = weir.apply({"accounts": []}, "--name", "passing")
    assert removed.stdout.count("delete") == 2 and "credential/" in removed.stdout
    weir.apply({"accounts": [account(gone)]}, "--name", "passing")
    assert client.put([entry()]).status == 403
    fresh = Boto3(weir, weir.issue(gone, "sigv4"))
    assert fresh.put([entry()]).ok
    weir.apply({"accounts": []}, "--name", "passing")


def test_a_credential_is_shown_once_and_never_again(weir):
    issued = weir.issue(MEMBER, "sigv4")
    assert set(issued) >= {"credential", "account", "kind", "access_key_id", "secret_access_key"}
    shown = weir.cli("account", "show", MEMBER).stdout
    assert issued["credential"] in shown
    for text in (shown, json.dumps(weir.export()), weir.log_path.read_text()):
        assert issued["secret_access_key"] not in text


def test_accounts_are_listed_by_pages_each_with_its_own_credentials(weir):
    key, other = weir.issue(MEMBER, "sigv4"), weir.issue(OTHER, "sigv4")
    pages, after = [], ""
    while after is not None:
        page = weir.admin("GET", "/v1/accounts?limit=1" + after)
        pages.append(page["accounts"])
        after = f"&next={page['next']}" if "next" in page else None
    assert [[one["id"] for one in page] for page in pages] == [[MEMBER], [OTHER]]
    shown = [{one["id"] for one in page[0]["credentials"]} for page in pages]
    assert key["credential"] in shown[0] - shown[1] and other["credential"] in shown[1] - shown[0]
    whole = json.loads(weir.cli("account", "list").stdout)
    assert whole == {"accounts": [one for page in pages for one in page]}
    for query in ("limit=0", "limit=x"):
        with pytest.raises(AdminError) as refused:
            weir.admin("GET", f"/v1/accounts?{query}")
        assert refused.value.status == 400


def test_the_catalog_survives_a_restart(tmp_path, gateway_in):
    with gateway_in(tmp_path) as gateway:
        before = gateway.weir.export()
        key = gateway.weir.issue(MEMBER, "sigv4")
        gateway.weir.restart()
        assert gateway.weir.export() == before
        assert Boto3(gateway.weir, key).put([entry()]).ok
