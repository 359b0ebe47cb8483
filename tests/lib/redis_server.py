# SPDX-License-Identifier: Apache-2.0
"""A real Redis on a folder and a port of its own, and the ways in which one fails.

    with RedisServer(folder) as redis, Weir(folder / "weir", store=redis.url) as weir:
        redis.kill9()
        redis.start()            the same port, and what its file kept

By default as weir wants it: append-only file, flushed at every write, nothing evicted.  Any
setting of redis.conf may be given by name, dashes as underscores.  The file is not called redis.py,
for that is the name of the client library that it uses.
"""

import re
import signal
import subprocess
import time
from pathlib import Path

import redis

from weir import environment, free_port, make_certificates, wait_until

BINARY = "/usr/bin/redis-server"
START_S = 30
DEFAULTS = {
    "bind": "127.0.0.1", "protected-mode": "no", "daemonize": "no", "save": '""',
    "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction",
    # A replica that follows at once, and a test that need not wait for one.
    "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}


class RedisServer:
    """One redis-server; start() after an end brings it back with its file."""

    def __init__(self, folder, password=None, tls=False, replica_of=None, cluster=False,
                 config_lines=(), **settings):
        """`password`: of the default user; `tls`: only TLS, with ca.pem and a certificate for
        localhost in the folder; `replica_of`: another RedisServer; `config_lines`: more lines of
        redis.conf, such as users."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log_path = self.folder / "redis.log"
        self.ca = self.folder / "ca.pem" if tls else None
        self._password, self._config_lines = password, list(config_lines)
        self._primary = replica_of
        self._settings = {**DEFAULTS, "dir": str(self.folder),
                          **{name.replace("_", "-"): value for name, value in settings.items()}}
        if password:
            self._settings |= {"requirepass": password, "masterauth": password}
        if replica_of:
            self._settings["replicaof"] = f"127.0.0.1 {replica_of.port}"
        if cluster:
            self._settings |= {"cluster-enabled": "yes", "cluster-port": free_port(),
                               "cluster-node-timeout": "2000",
                               "cluster-require-full-coverage": "no"}
        self._settings |= self._ports(tls)
        self.process = None

    def _ports(self, tls):
        if not tls:
            return {"port": self.port}
        if not self.ca.exists():
            make_certificates(self.folder)
        return {"port": 0, "tls-port": self.port, "tls-cert-file": self.folder / "server.pem",
                "tls-key-file": self.folder / "server.key", "tls-ca-cert-file": self.ca,
                "tls-auth-clients": "no"}

    @property
    def url(self):
        """For weir's `store`."""
        return f"rediss://localhost:{self.port}/0" if self.ca else f"redis://127.0.0.1:{self.port}/0"

    # -- process -----------------------------------------------------------------------------

    def spawn(self):
        """Start without waiting."""
        lines = [f"{name} {value}" for name, value in self._settings.items()]
        path = self.folder / "redis.conf"
        path.write_text("\n".join([*lines, *self._config_lines]) + "\n")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env=environment())

    def start(self):
        self.spawn()
        try:
            wait_until(self._answers_or_dead, "Redis answers PING", START_S)
        except BaseException:
            self.kill9()
            raise
        return self

    def _answers_or_dead(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"Redis ended with {self.process.returncode}\n{self.log_tail()}")
        return self.answers()

    def answers(self):
        """Does it say PONG: is it up, and has it loaded its file?"""
        try:
            with self.client() as client:
                return client.ping()
        except redis.RedisError:
            return False

    def stop(self):
        """SIGTERM, and its end."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(START_S)
            except subprocess.TimeoutExpired:
                self.kill9()
            self.process = None

    def kill9(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.kill9()
        return self.start()

    def sigstop(self):
        self.process.send_signal(signal.SIGSTOP)

    def sigcont(self):
        self.process.send_signal(signal.SIGCONT)

    __enter__ = start

    def __exit__(self, *_):
        self.kill9()

    def log_tail(self, lines=30):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # -- what a test asks of it --------------------------------------------------------------

    def client(self, **options):
        """A connection of one's own, as an administrator."""
        more = {"ssl": True, "ssl_ca_certs": str(self.ca)} if self.ca else {}
        return redis.Redis("localhost" if self.ca else "127.0.0.1", self.port, **{
            "socket_timeout": 10, "password": self._password, **more, **options})

    def call(self, *words):
        """One command; its answer, or redis.RedisError."""
        with self.client() as client:
            return client.execute_command(*words)

    def info(self, section="everything"):
        with self.client() as client:
            return client.info(section)

    def config_get(self, name):
        with self.client() as client:
            return client.config_get(name)[name]

    def config_set(self, **settings):
        """Change settings while it runs; a restart forgets them."""
        with self.client() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)

    # -- replication -------------------------------------------------------------------------

    def wait_for_link(self):
        """Until this replica follows its primary, and the primary counts on it: which it does only
        at the first acknowledgement after the copy, up to a second later."""
        wait_until(lambda: self.info("replication").get("master_link_status") == "up",
                   "the replica follows", START_S)
        wait_until(lambda: self._primary is None or self._primary.counts_on(self),
                   "its primary counts on it", START_S)
        return self

    def counts_on(self, replica):
        """Does WAIT of this primary hear of that replica?"""
        state = self.info("replication")
        return any(one["port"] == replica.port and one["state"] == "online"
                   for name, one in state.items() if re.fullmatch(r"slave\d+", name))

    def catch_up_with(self, primary):
        """Until this replica has all that `primary` had written when this was called."""
        offset = primary.info("replication")["master_repl_offset"]
        wait_until(lambda: self.info("replication")["slave_repl_offset"] >= offset,
                   "the replica has caught up", START_S)

    def follow(self, primary):
        """Be a replica of that one, now if it runs, and in a restart."""
        self._primary = primary
        self._settings["replicaof"] = f"127.0.0.1 {primary.port}"
        if self.process:
            self.call("REPLICAOF", "127.0.0.1", primary.port)

    def hand_over(self, replica):
        """As an operator does before an upgrade: the replica catches up, then they change places."""
        self.call("FAILOVER", "TO", "127.0.0.1", replica.port)
        wait_until(lambda: replica.info("replication")["role"] == "master"
                   and self.info("replication")["role"] == "slave", "they change places", START_S)
        replica._settings.pop("replicaof", None)
        self._settings["replicaof"] = f"127.0.0.1 {replica.port}"

    def promote(self):
        """Make this replica a primary, now and in a restart."""
        self.call("REPLICAOF", "NO", "ONE")
        self._settings.pop("replicaof", None)


class RedisCluster:
    """Primaries that share the slots among them."""

    def __init__(self, folder, count=3, **options):
        self.nodes = [RedisServer(Path(folder) / f"node-{index}", cluster=True, **options)
                      for index in range(count)]

    @property
    def url(self):
        return self.nodes[0].url

    def __enter__(self):
        try:
            for node in self.nodes:
                node.start()
            self._join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.kill9()

    def _join(self):
        slots, count = 16384, len(self.nodes)
        for index, node in enumerate(self.nodes):
            first, last = slots * index // count, slots * (index + 1) // count - 1
            node.call("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for node in self.nodes[1:]:
            node.call("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port,
                      self.nodes[0].config_get("cluster-port"))
        wait_until(lambda: all(self._is_whole(node) for node in self.nodes),
                   "the cluster is whole", START_S)

    def _is_whole(self, node):
        info = set(node.call("CLUSTER", "INFO").decode().split())
        return info >= {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}",
                        "cluster_slots_ok:16384"}


def client_certificate(folder):
    """For weir's `redis`: a certificate by the authority of a TLS server's folder."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            "client.key", "-out", "client.csr", "-subj", "/CN=weir")
    openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-out", "client.pem")
    return {"ca": str(folder / "ca.pem"), "certificate": str(folder / "client.pem"),
            "key": str(folder / "client.key")}


def seconds_until(probe, what, timeout_s=30):
    """How long it took until `probe` held."""
    begin_s = time.monotonic()
    wait_until(probe, what, timeout_s)
    return time.monotonic() - begin_s
