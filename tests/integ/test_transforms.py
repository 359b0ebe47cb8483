# SPDX-License-Identifier: Apache-2.0
"""Targets that ask for something else than the event get it, over a real gateway."""

import json
import subprocess

import pytest
from catalogs import MEMBER, account, envelope, queue_arn, rule, target
from clients import Boto3, curl
from weir import binary, wait_until

TEXT = {"input_paths_map": {"who": "$.account", "what": "$.detail.what", "all": "$.detail"},
        "input_template": '"<who> said <what>"\n"<all>"'}
JSON = {"input_paths_map": {"what": "$.detail.what", "first": "$.resources[0]",
                            "names": "$.detail.rows[*].name"},
        "input_template": '{"what": <what>, "text": "it was <what>", "first": <first>,'
                          ' "names": <names>, "rule": "<aws.events.rule-arn>",'
                          ' "event": <aws.events.event.json>}'}
INSIDE = {"input_paths_map": {"all": "$.detail"}, "input_template": '{"a": "<all>"}'}
CATALOG = {
    "accounts": [account()],
    "rules": [
        rule("shapes", {"detail-type": ["Shape"]},
             target("findings", "constant", input='{"fixed": [1, 2.50]}'),
             target("findings", "part", input_path="$.detail.what"),
             target("findings", "text", input_transformer=TEXT),
             target("findings", "json", input_transformer=JSON)),
        rule("inside", {"detail-type": ["Inside"]},
             target("findings", "inside", input_transformer=INSIDE)),
        rule("grouped", {"detail-type": ["Grouped"]},
             target("ordered.fifo", input_path="$.detail.what",
                    sqs_parameters={"message_group_id": "$.detail.group"})),
    ],
}


@pytest.fixture(scope="module")
def shaped(tmp_path_factory, gateway_in):
    with gateway_in(tmp_path_factory.mktemp("shaped"), CATALOG) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(shaped):
    return Boto3(shaped.weir, shaped.weir.issue(MEMBER, "sigv4"))


def send(client, detail_type, detail, resources=()):
    (event_id,) = client.put([{"Source": "com.example.app", "DetailType": detail_type,
                               "Detail": json.dumps(detail, separators=(",", ":")),
                               "Resources": list(resources)}]).event_ids
    return event_id


def test_each_target_gets_its_shape(shaped, client):
    detail = {"what": 'a "quote" \\ and a\nline', "rows": [{"name": "x"}, {"name": 2}]}
    event_id = send(client, "Shape", detail, ["arn:1"])
    shaped.weir.drain(30)
    bodies = [line["body"] for line in shaped.aws.messages(queue_arn("findings"))]
    assert len(bodies) == 4
    assert '{"fixed": [1, 2.50]}' in bodies
    assert json.dumps(detail["what"]) in bodies
    (text,) = [body for body in bodies if body.startswith(f'"{MEMBER} said ')]
    said, whole = text.split("\n")
    assert json.loads(said) == f'{MEMBER} said {detail["what"]}'
    assert json.loads(whole) == '{what:%s,rows:[{name:x},{name:2}]}' % detail["what"]
    (whole,) = [json.loads(body) for body in bodies if body.startswith('{"what"')]
    event = whole.pop("event")
    assert (event["id"], event["account"], event["detail"]) == (event_id, MEMBER, detail)
    assert whole == {"what": detail["what"], "text": f'it was {detail["what"]}', "first": "arn:1",
                     "names": ["x", 2],
                     "rule": "arn:aws:events:us-east-1:999999999999:rule/central/shapes"}


def test_an_event_posted_whole_is_inserted_byte_for_byte(shaped):
    key = shaped.weir.issue(MEMBER, "api-key")
    text = json.dumps(envelope("com.example.app", "Shape", detail={"what": 1.0}), indent=1)
    answer = curl(shaped.weir, "/events", data=text, headers=[
        f"{key['header']}: {key['key']}", "content-type: application/json"])
    assert answer.status == 200, answer.body
    wait_until(lambda: [line for line in shaped.aws.messages(queue_arn("findings"))
                        if f'"event": {text}}}' in line["body"]], "the event arrived", 30)


def test_an_object_inside_quotes_is_a_dead_letter_with_the_event(shaped, client):
    event_id = send(client, "Inside", {"x": 1})
    wait_until(lambda: shaped.weir.drain(30)["totals"]["dead"] == 1, "a dead letter", 10)
    (letter,) = json.loads(shaped.weir.cli("dead", "list", "--rule", "inside").stdout)["dead"]
    assert letter["reason"] == "invalid-input"
    assert "<all> stands inside quotes, where no object may be inserted" in letter["message"]
    (shown,) = json.loads(shaped.weir.cli("dead", "show", str(letter["id"])).stdout)["dead"]
    event = shown["event"]
    assert (event["id"], event["detail"]) == (event_id, {"x": 1})


def test_a_template_that_is_put_right_heals_a_dead_letter(shaped, client):
    send(client, "Inside", {"healed": True})
    shaped.weir.drain(30)
    better = {**INSIDE, "input_template": '{"a": <all>}'}
    rules = [one for one in CATALOG["rules"] if one["name"] != "inside"]
    shaped.weir.apply({**CATALOG, "rules": rules + [
        rule("inside", {"detail-type": ["Inside"]},
             target("findings", "inside", input_transformer=better))]})
    shaped.weir.cli("dead", "redrive", "--rule", "inside")
    wait_until(lambda: '{"a": {"healed":true}}' in
               [line["body"] for line in shaped.aws.messages(queue_arn("findings"))],
               "the dead letter arrived", 30)


def test_a_message_group_may_be_a_path(shaped, client):
    for group in ("g-1", 7, None):
        send(client, "Grouped", {"what": f"in {group}", "group": group})
    shaped.weir.drain(30)
    groups = {json.loads(line["body"]): line["group"]
              for line in shaped.aws.messages(queue_arn("ordered.fifo"))}
    assert groups == {"in g-1": "g-1", "in 7": "7", "in None": MEMBER}


def test_inputs_are_exported_as_they_were_written(shaped):
    exported = {one["name"]: one for one in shaped.weir.export()["rules"]}
    for written in CATALOG["rules"][:1] + CATALOG["rules"][2:]:
        assert exported[written["name"]]["targets"] == written["targets"]


@pytest.mark.parametrize("wrong, where", [
    ({"input": "text"}, ".input: "),
    ({"input": "{}", "input_path": "$"}, ": only one of"),
    ({"input_path": "$.a["}, ".input_path: a bracket is not closed"),
    ({"input_transformer": {"input_paths_map": {"a": "$.id"}, "input_template": '{"a": <b>}'}},
     ".input_transformer.input_template: contains invalid placeholder b"),
    ({"input_transformer": {"input_paths_map": {"aws.x": "$.id"}, "input_template": "{}"}},
     ".input_transformer.input_paths_map.aws.x: names that begin with AWS. are reserved"),
])
def test_a_mistake_is_refused_with_its_path(shaped, wrong, where):
    done = shaped.weir.apply({"rules": [rule("w", {"a": [1]}, target("findings", **wrong))]},
                             "--name", "other", check=False)
    assert done.returncode == 1
    assert f"rules[0].targets[0]{where}" in done.stderr


@pytest.mark.parametrize("wrong, why", [
    ({"Input": "{}", "InputPath": "$"},
     "Only one of Input, InputPath, or InputTransformer must be provided for target t-1."),
    ({"InputTransformer": {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '{"a": <b>}'}},
     "InputTemplate for target t-1 contains invalid placeholder b."),
])
def test_put_targets_refuses_in_the_services_words(client, wrong, why):
    client.api.put_rule(Name="mine", EventPattern='{"source": ["x"]}')
    with pytest.raises(client.api.exceptions.ClientError) as refused:
        client.api.put_targets(Rule="mine", Targets=[
            {"Id": "t-1", "Arn": queue_arn("own", MEMBER), **wrong}])
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert refused.value.response["Error"]["Message"] == why
    assert client.api.list_targets_by_rule(Rule="mine")["Targets"] == []


def rendered(tmp_path, one, *events, options=()):
    """What `weir transform` says of a target and some events."""
    (tmp_path / "target.json").write_text(json.dumps(one))
    return subprocess.run(
        [binary(), "transform", "--target", tmp_path / "target.json", *options],
        input="".join(json.dumps(event) + "\n" for event in events), capture_output=True, text=True,
        timeout=60)


def test_the_command_shows_what_the_catalogs_target_gets(tmp_path):
    one = {"input_transformer": {**JSON, "input_template": '{"w": <what>, "n": <names>, '
                                                           '"r": "<aws.events.rule-name>"}'}}
    events = [{"detail": {"what": "a\nb", "rows": [{"name": 1}]}}, {"detail": {}}]
    done = rendered(tmp_path, one, *events, options=["--rule-arn", "arn:x:rule/bus/mine"])
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"w": "a\nb", "n": [1], "r": "mine"}, {"w": "", "n": "", "r": "mine"}]


def test_the_command_takes_a_target_as_eventbridge_prints_it(tmp_path):
    one = {"Id": "1", "Arn": "arn:aws:lambda:us-east-1:111122223333:function:f",
           "InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": '"<a>"'}}
    done = rendered(tmp_path, one, {"detail": {"k": [1]}})
    assert (done.returncode, done.stdout) == (0, '"{k:[1]}"\n')
    done = rendered(tmp_path, {"Id": "1", "InputPath": "$.detail.k"}, {"detail": {"k": "v"}})
    assert (done.returncode, done.stdout) == (0, '"v"\n')


def test_the_command_says_why_not(tmp_path):
    done = rendered(tmp_path, {"input_transformer": INSIDE}, {"detail": {"k": 1}}, {"detail": "s"})
    assert (done.returncode, done.stdout.splitlines()) == (1, [
        '{"error":"<all> stands inside quotes, where no object may be inserted"}', '{"a": "s"}'])
    done = rendered(tmp_path, {"input_path": "detail", "inptu": 1})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "weir: target: inptu: unknown member\n"
    done = rendered(tmp_path, {"input_path": "detail"})
    assert done.stderr == "weir: target: input_path: a path begins with $, as in $.detail.id\n"
    assert rendered(tmp_path, {}, {"a": 1}).stdout == '{"a": 1}\n'
