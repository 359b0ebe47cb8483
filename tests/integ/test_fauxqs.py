# SPDX-License-Identifier: Apache-2.0
"""Delivery to a queue service that nobody here wrote, with credentials from the stand-in's STS."""

import json

from catalogs import MEMBER, account, entry, roles, rule, target
from clients import Boto3, Fauxqs
from weir import AwsStandinProcess, Weir, wait_until


def test_events_arrive_in_a_foreign_queue(tmp_path):
    with Fauxqs() as queues, AwsStandinProcess(tmp_path, roles(MEMBER)) as aws:
        url = queues.create("findings")
        config = {"aws": {"endpoints": {"sqs": queues.url, "sts": aws.url}}}
        with Weir(tmp_path / "weir", config=config) as weir:
            weir.apply({
                "accounts": [account(MEMBER)],
                "rules": [rule("all", {"source": ["com.example.app"]}, target("findings"))]})
            client = Boto3(weir, weir.issue(MEMBER, "sigv4"))
            batch = [entry(detail='{"é":1}') for _ in range(10)]
            told = {event_id for _ in range(5) for event_id in client.put(batch).event_ids}
            arrived = []

            def all_there():
                arrived.extend(json.loads(body) for body in queues.receive(url))
                return len(arrived) >= len(told)

            wait_until(all_there, "50 messages arrived")
            assert {event["id"] for event in arrived} == told and len(arrived) == 50
            assert arrived[0]["detail"] == {"é": 1}
            totals = weir.drain()["totals"]
            assert (totals["created"], totals["delivered"], totals["dead"]) == (50, 50, 0)
