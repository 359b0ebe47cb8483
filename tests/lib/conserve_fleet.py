# SPDX-License-Identifier: Apache-2.0
"""Replicas, the Redis and standby that they share, the ways between, and a balancer in front.

    clients -> Balancer -> gateway 0..N-1 -> a RespProxy each -> the primary Redis -> its standby

All gateways have one certificate and one seal key.  Claims are short, so that what a dead or stuck
replica held is taken over within the run.
"""

import http.client
import json
import os
import random
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request

from redis_server import RedisServer
from resp_proxy import RespProxy
from weir import Weir, make_certificates

CLAIM_S = 10
MAXMEMORY = "256mb"
# A replica that cannot read the catalog uses it no longer than 3 s; and then some, for its clock.
STALE_S = 3.5
OBEY_DEADLINE_S = 90
PEEK_S = 2
CERTIFICATE = ("ca.pem", "server.pem", "server.key")


class Balancer:
    """Passes connections on, each to the next replica whose port answers: it asks nobody for health,
    so clients meet the hung, the starting and the cut off as well.

    To a sender it looks like a gateway."""

    def __init__(self, weirs, seed):
        self._weirs = weirs
        self._random = random.Random(f"{seed} balancer")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.data_port = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.data_port}"
        self.ca = weirs[0].ca
        threading.Thread(target=self._accept, name="balancer", daemon=True).start()

    def close(self):
        # shutdown() wakes the thread that accepts; close() alone would leave it listening.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def issue(self, *arguments, **options):
        return self._weirs[0].issue(*arguments, **options)

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        far = self._connect()
        if far is None:
            near.close()
            return
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        near.close()
        far.close()

    def _connect(self):
        for weir in self._random.sample(self._weirs, len(self._weirs)):
            try:
                return socket.create_connection(("127.0.0.1", weir.data_port), 5)
            except OSError:
                continue
        return None

    @staticmethod
    def _pump(source, sink):
        source.settimeout(None)
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Fleet:
    """What serves, and what it stands on.  `state` of each replica: ok, down, rising, stopped, cut."""

    def __init__(self, folder, aws, count, config):
        """`config`: what each gateway is told besides."""
        self.primary = RedisServer(folder / "redis-0", maxmemory=MAXMEMORY)
        self.standby = RedisServer(folder / "redis-1", maxmemory=MAXMEMORY,
                                   replica_of=self.primary)
        self.proxies = [RespProxy(self.primary.port) for _ in range(count)]
        self.weirs = []
        self.state = ["ok"] * count
        self._ok_since_s = [0.0] * count
        self._folder, self._aws, self._config = folder, aws, config

    def start(self):
        self.primary.start()
        self.standby.start()
        self.standby.wait_for_link()
        for index, proxy in enumerate(self.proxies):
            proxy.heal()
            self._add(index, proxy)
        return self

    def _add(self, index, proxy):
        folder = self._folder / f"weir-{index}"
        folder.mkdir()
        self._give_secrets(folder)
        weir = Weir(folder, aws=self._aws, store=proxy.url, config={
            "workers": 2, "limits": {"claim_time": f"{CLAIM_S}s"}, **self._config})
        self.weirs.append(weir)
        weir.start()

    def _give_secrets(self, folder):
        """The first makes a certificate and a seal key, the others get copies."""
        if not self.weirs:
            make_certificates(folder)
            key = os.open(folder / "seal.key", os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(key, os.urandom(32))
            os.close(key)
            return
        for name in (*CERTIFICATE, "seal.key"):
            shutil.copy(self.weirs[0].folder / name, folder / name)

    def stop(self):
        for weir in self.weirs:
            if weir.process:
                weir.sigcont()
                weir.kill9()
        for proxy in self.proxies:
            proxy.__exit__()
        for redis in (self.primary, self.standby):
            redis.kill9()

    def note(self, index, state):
        self.state[index] = state
        self._ok_since_s[index] = time.time()

    def well_since_s(self, index, moment_s):
        """That moment, or the later one at which this replica itself became well."""
        return max(moment_s, self._ok_since_s[index])

    def well(self):
        """Indices of the replicas that nothing is wrong with."""
        return [index for index, state in enumerate(self.state) if state == "ok"]

    def lead_to(self, primary):
        """From now on that one is the primary: each way leads there."""
        if primary is not self.primary:
            self.primary, self.standby = self.standby, self.primary
        for proxy in self.proxies:
            proxy.redis_port = primary.port
            proxy.cut_all()

    # -- has it been heard everywhere? ---------------------------------------------------------

    @staticmethod
    def peek(weir, path="/v1/stats"):
        """One question to an admin listener, briefly; None when there is no good answer."""
        try:
            request = urllib.request.Request(weir.admin_url + path, headers={
                "Authorization": f"Bearer {weir.token()}"})
            with urllib.request.urlopen(request, timeout=PEEK_S) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException):
            return None

    def revision(self, weir):
        stats = self.peek(weir)
        return stats and stats["replica"]["catalog_rev"]

    def wait_until_obeyed(self, rev, at_the_latest):
        """Return when every replica has that revision, or a process that began later;
        `at_the_latest()` is called by then, or as soon as those without it must refuse."""
        begin_s = time.monotonic()
        waiting = [(weir, weir.process) for weir in self.weirs]
        is_told = False
        while waiting:
            (weir, process), age_s = waiting[0], time.monotonic() - begin_s
            if age_s > OBEY_DEADLINE_S:
                raise TimeoutError(f"revision {rev} was not seen by {weir.folder.name}")
            if age_s > STALE_S and not is_told:
                is_told = True
                at_the_latest()
            seen = self.revision(weir)
            if weir.process is not process or (seen is not None and seen >= rev):
                waiting.pop(0)
            else:
                time.sleep(0.02)
        if not is_told:
            at_the_latest()
        return time.monotonic() - begin_s
