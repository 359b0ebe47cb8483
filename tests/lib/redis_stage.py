# SPDX-License-Identifier: Apache-2.0
"""A gateway on a Redis that will fail: what its callers were told, and whether that came true.

    with stage_in(folder) as stage:
        stage.proxy.refuse()
        assert not stage.post(event)
        stage.heal(event)

The gateway reaches its Redis through a RespProxy, which spoils the way or, as an address does that
moves, leads to another Redis: stage.lead_to(replica).  Settings are looked at every second, claims
last ten, so that a test need not wait long for either.
"""

import contextlib
import http.client
import json
import ssl

from catalogs import MEMBER, account, envelope, queue_arn, roles, rule, target
from redis_server import RedisServer, seconds_until
from resp_proxy import RespProxy
from weir import AwsStandinProcess, Weir, merge, wait_until

RECOVERY_S = 5
FINDINGS = queue_arn("findings")
CATALOG = {"accounts": [account(MEMBER)],
           "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings"))]}
RETRYABLE = {"InternalFailure", "ThrottlingException"}
CONFIG = {"workers": 2, "limits": {"claim_time": "10s"}, "redis": {"check_every": "1s"}}


class Stage:
    """Redis, proxy, stand-in and gateway, and what its callers were told."""

    def __init__(self, redis, proxy, aws, weir):
        self.redis, self.proxy, self.aws, self.weir = redis, proxy, aws, weir
        self.told, self.refusals, self._key = [], [], None

    def prepare(self):
        self.weir.apply(CATALOG)
        self._key = self.weir.issue(MEMBER, "api-key")
        return self

    def post(self, event):
        """Was it told stored?  If not, the answer must be one that asks for a repetition."""
        caller = http.client.HTTPSConnection(
            "localhost", self.weir.data_port, timeout=15,
            context=ssl.create_default_context(cafile=str(self.weir.ca)))
        with contextlib.closing(caller):
            caller.request("POST", "/events", json.dumps(event), {
                "Content-Type": "application/json", self._key["header"]: self._key["key"]})
            answer = caller.getresponse()
            body = answer.read()
        if answer.status != 200:
            assert answer.status in (429, 503), (answer.status, body)
            assert int(answer.headers["Retry-After"]) >= 1
            self.refusals.append(answer.status)
            return False
        (one,) = json.loads(body)["entries"]
        if "error" in one:
            assert one["error"]["code"] in RETRYABLE, one
            self.refusals.append(one["error"]["code"])
            return False
        assert one["event_id"] == event["id"]
        self.told.append(event["id"])
        return True

    def send(self, event):
        """As a real caller does: repeat while the answer asks for it, until it is told stored."""
        wait_until(lambda: self.post(event), "told stored")

    def heal(self, *events):
        """End the faults of the proxy; each event is taken soon, and nothing is lost or doubled."""
        self.proxy.heal()
        self.recover(*events)

    def recover(self, *events):
        for event in events:
            assert seconds_until(lambda one=event: self.post(one), "taken again") <= RECOVERY_S
        self.check()

    def lead_to(self, redis):
        """From now on the gateway's address for Redis is this one."""
        self.proxy.redis_port = redis.port
        self.proxy.cut_all()

    def arrivals(self):
        return [json.loads(line["body"])["id"] for line in self.aws.messages()]

    def check(self, repeats=0):
        """Everything told has arrived, with so many repeats at most."""
        due = set(self.told)
        wait_until(lambda: due <= set(self.arrivals()), "what was told stored has arrived", 120)
        stats = self.weir.drain(120)
        assert stats["ledger"]["balanced"] is True
        arrived = self.arrivals()
        assert len(arrived) - len(set(arrived)) <= repeats, arrived
        return stats

    def guarantee(self):
        return self.weir.stats()["store"]["guarantee"]

    def logged(self, event, **fields):
        """The lines of the log about this, with these fields."""
        lines = [json.loads(line) for line in self.weir.log_path.read_text().splitlines()
                 if line.startswith("{")]
        return [line for line in lines if line.get("name") == event
                and all(line.get(name) == value for name, value in fields.items())]


def ping():
    return envelope(source="com.example.app", detail_type="Ping")


def secret_file(folder, password="secret"):
    path = folder / "password"
    path.touch(mode=0o600)
    path.write_text(password + "\n")
    return str(path)


@contextlib.contextmanager
def stage_in(folder, redis=None, store=None, config=None):
    """`redis`: one that runs already; `store`: its URL, for a gateway without a proxy."""
    with contextlib.ExitStack() as stack:
        redis = redis or stack.enter_context(RedisServer(folder / "redis", maxmemory="200mb"))
        proxy = stack.enter_context(RespProxy(redis.port))
        aws = stack.enter_context(AwsStandinProcess(folder, roles(MEMBER), [FINDINGS]))
        weir = Weir(folder / "weir", aws=aws, store=store or proxy.url,
                    config=merge(CONFIG, config or {}))
        try:
            weir.start()
            yield Stage(redis, proxy, aws, weir).prepare()
            assert weir.stop() == 0
        finally:
            weir.kill9()
