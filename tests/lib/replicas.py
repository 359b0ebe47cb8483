# SPDX-License-Identifier: Apache-2.0
"""Some gateways on one Redis, as a test wants them.

    with Replicas(folder, 2) as world:
        world.weirs[0].apply(catalog)

Each replica has a folder, ports and an admin token of its own; they share the Redis, the seal key
and the stand-in for AWS.  A replica reaches the Redis through a relay of its own, so that it alone
can be cut off.
"""

import shutil
import socket
import subprocess
import threading
from pathlib import Path

from catalogs import MEMBER, OTHER, queue_arn, roles
from weir import AwsStandinProcess, Weir, free_port, wait_until


class RedisServer:
    """redis-server as the guarantee wants it: append-only file, flushed at every write."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = None

    def start(self):
        with open(self.folder / "redis.log", "ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
                 str(self.folder), "--appendonly", "yes", "--appendfsync", "always",
                 "--maxmemory-policy", "noeviction", "--save", ""], stdout=log, stderr=log)
        wait_until(self._answers, "Redis answers", 10)
        return self

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Relay:
    """Bytes between one replica and the Redis, until it is cut: then nothing, as of a dead switch."""

    def __init__(self, port):
        self._target = port
        self._is_cut = threading.Event()
        self.cut_behind = None  # bytes: the link is cut when they have passed
        self._links = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                return
            self._links += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source, sink):
        last = b""
        try:
            while data := source.recv(65536):
                may_pass = not self._is_cut.is_set()
                if self.cut_behind and self.cut_behind in last + data:
                    self.cut_behind = None
                    self.cut()  # first, so that no answer comes back
                if may_pass:
                    sink.sendall(data)
                last = data
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """From now on no byte passes; connections stay open, as far as anybody can tell."""
        self._is_cut.set()

    def mend(self):
        """What hung is gone; new connections work."""
        links, self._links = self._links, []
        for link in links:
            link.close()
        self._is_cut.clear()

    def close(self):
        self._listener.close()
        self.mend()


class Replicas:
    """A Redis, a stand-in for AWS, and some gateways."""

    def __init__(self, folder, count, queues=(queue_arn("findings"),), accounts=(MEMBER, OTHER),
                 config=None):
        folder = Path(folder)
        self.redis = RedisServer(folder / "redis")
        self.aws = AwsStandinProcess(folder, roles(*accounts), queues)
        self.relays = []
        self.weirs = []
        self._folder, self._count, self._config = folder, count, config or {}

    def __enter__(self):
        try:
            self.redis.start()
            self.aws.start()
            for index in range(self._count):
                self._add(index)
        except BaseException:
            self.__exit__(RuntimeError)
            raise
        return self

    def _add(self, index):
        relay = Relay(self.redis.port)
        weir = Weir(self._folder / f"weir{index}", aws=self.aws,
                    store=f"redis://127.0.0.1:{relay.port}/0",
                    config={"workers": 2, **self._config})
        weir.state = weir.folder  # with a Redis the token lies beside the configuration
        self.relays.append(relay)
        if index > 0:
            shutil.copy(self.weirs[0].folder / "seal.key", weir.folder / "seal.key")
        self.weirs.append(weir)
        weir.start()

    def __exit__(self, kind, *_):
        try:
            for weir in self.weirs:
                if kind is None:
                    status = weir.stop()
                    if status != 0:
                        raise RuntimeError(f"weir ended with {status}\n{weir.log_tail()}")
                else:
                    weir.kill9()
        finally:
            for weir in self.weirs:
                weir.kill9()
            for relay in self.relays:
                relay.close()
            self.aws.stop()
            self.redis.stop()
