# SPDX-License-Identifier: Apache-2.0
"""What an operator does with dead letters reaches those that he means, and no others."""

import json

import pytest
from catalogs import MEMBER, account, entry, envelope, queue_arn, rule, target
from clients import Boto3, curl
from weir import AdminError

ONE_TRY = {"retry_policy": {"maximum_retry_attempts": 0}}
CATALOG = {"accounts": [account(MEMBER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings", **ONE_TRY))]}


@pytest.fixture(scope="module")
def graveyard(tmp_path_factory, gateway_in):
    """A gateway that has given up three deliveries."""
    with gateway_in(tmp_path_factory.mktemp("graveyard"), CATALOG) as gateway:
        gateway.aws.fault(queue_arn("findings"), "deny")
        Boto3(gateway.weir, gateway.weir.issue(MEMBER, "sigv4")).put([entry()] * 3)
        assert gateway.weir.drain(60)["totals"]["dead"] == 3
        yield gateway.weir


def listed(weir, *filters):
    return len(json.loads(weir.cli("dead", "list", *filters).stdout)["dead"])


@pytest.mark.parametrize("wrong", [
    ["drop", "12x"], ["drop", "0"], ["drop", ""], ["drop", "--account", ""],
    ["drop", "--rule", ""], ["redrive", "all"], ["drop", "--since", "yesterday"],
    ["drop"], ["redrive"], ["drop", "--dry-run"], ["drop", "--all", "--rule", "pings"],
    ["drop", "--all", "--limit", "1"], ["redrive", "--all", "--next", "1"],
    ["drop", "--until", "yesterday"], ["drop", "--all", "--until", "1h"], ["list", "--all"]])
def test_a_mistake_in_the_filter_touches_nothing(graveyard, wrong):
    done = graveyard.cli("dead", *wrong, check=False)
    assert done.returncode in (1, 2), done.stdout
    assert done.stderr.startswith("weir: ")
    assert listed(graveyard) == 3


def test_a_letter_that_is_not_there_is_no_success(graveyard):
    done = graveyard.cli("dead", "show", "999999", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "weir: dead show: there is no dead letter 999999\n"


@pytest.mark.parametrize("query", ["limit=many", "next=0", "since_ms=-1", "id="])
def test_a_malformed_number_is_refused(graveyard, query):
    with pytest.raises(AdminError) as refused:
        graveyard.admin("GET", f"/v1/dead?{query}")
    assert refused.value.status == 400
    assert query.split("=")[0] in refused.value.body


@pytest.mark.parametrize("path", [
    "drop", "redrive", "drop?dry_run=true", "drop?all=false", "drop?all=1", "drop?al=true",
    "drop?all=true&rule=pings", "drop?rule=pings&rules=111122223333", "redrive?rule=pings&limit=1"])
def test_the_api_wants_a_filter_or_all_and_knows_its_parameters(graveyard, path):
    with pytest.raises(AdminError) as refused:
        graveyard.admin("POST", f"/v1/dead/{path}")
    assert refused.value.status == 400
    assert listed(graveyard) == 3


def test_a_misspelt_parameter_of_the_list_is_refused(graveyard):
    with pytest.raises(AdminError) as refused:
        graveyard.admin("GET", "/v1/dead?rules=111122223333")
    assert (refused.value.status, "rules" in refused.value.body) == (400, True)


def test_since_looks_back_from_now(graveyard):
    assert listed(graveyard, "--since", "1h") == 3
    assert listed(graveyard, "--since", "1ms") == 0
    assert listed(graveyard, "--until", "1h") == 0
    assert listed(graveyard, "--until", "1ms") == 3
    assert listed(graveyard, "--since", "1h", "--until", "1ms") == 3


def test_pages_of_the_list_hold_each_letter_once(graveyard):
    pages, after = [], []
    while after is not None:
        page = json.loads(graveyard.cli("dead", "list", "--limit", "2", *after).stdout)
        pages.append([letter["id"] for letter in page["dead"]])
        after = ["--next", page["next"]] if "next" in page else None
    assert [len(page) for page in pages] == [2, 1]
    assert len(set(sum(pages, []))) == 3


def test_one_letter_is_dropped_by_its_id(graveyard):
    first = json.loads(graveyard.cli("dead", "list", "--limit", "1").stdout)["dead"][0]["id"]
    assert json.loads(graveyard.cli("dead", "drop", first).stdout)["count"] == 1
    assert listed(graveyard) == 2


def test_all_that_is_left_is_dropped_by_all(graveyard):
    count = listed(graveyard)
    dry = json.loads(graveyard.cli("dead", "drop", "--all", "--dry-run").stdout)
    assert dry == {"count": count, "dry_run": True}
    assert json.loads(graveyard.cli("dead", "drop", "--all").stdout)["count"] == count
    assert listed(graveyard) == 0


def test_a_page_ends_before_it_is_too_large(tmp_path, gateway_in):
    """Whatever limit is asked for, every letter is on exactly one page, with its event."""
    count, pad, page_max = 40, "x" * 250_000, 4 * 1024 * 1024
    with gateway_in(tmp_path, CATALOG) as gateway:
        gateway.aws.fault(queue_arn("findings"), "deny")
        key = gateway.weir.issue(MEMBER, "api-key")
        for _ in range(count):
            event = envelope(detail_type="Ping", detail={"pad": pad})
            assert curl(gateway.weir, "/events", data=event, headers=[
                "content-type: application/json", f"{key['header']}: {key['key']}"]).status == 200
        assert gateway.weir.drain(120)["totals"]["dead"] == count
        pages, after = [], ""
        while after is not None:
            page = gateway.weir.admin("GET", "/v1/dead?payload=true&limit=1000" + after)
            pages.append(page["dead"])
            after = f"&next={page['next']}" if "next" in page else None
        letters = [letter for page in pages for letter in page]
        assert len(pages) == 3 and len({letter["id"] for letter in letters}) == count
        assert all(letter["event"]["detail"]["pad"] == pad for letter in letters)
        assert all(len(json.dumps(page)) <= page_max + 300_000 for page in pages)  # one more at most
