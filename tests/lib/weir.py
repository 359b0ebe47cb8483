# SPDX-License-Identifier: Apache-2.0
"""The real binary on a folder of its own: configuration, certificates, process, operator's hands.

    with AwsStandinProcess(folder) as aws, Weir(folder, aws=aws) as weir:
        weir.apply(catalog)
        key = weir.issue("111122223333", "sigv4")

Each Weir has its own free ports on 127.0.0.1, so tests run side by side.  kill9() and start() keep
folder and ports: what a restart finds is what the crash left.  `$WEIR_BINARY` picks the binary,
build/release/weir otherwise.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
REGION = "us-east-1"
CENTRAL = "999999999999"
# weir's own AWS key, known to the stand-in.
OWN_KEY, OWN_SECRET = "AKIAWEIROWNKEY000001", "weir-own-secret-for-tests"
# Variables of the machine that would change what a client trusts or whom it calls.
FOREIGN = ("AWS_", "WEIR_", "SSL_CERT", "CURL_CA", "REQUESTS_CA", "NODE_EXTRA_CA", "NODE_OPTIONS",
           "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
           "ALL_PROXY", "NO_PROXY")


def binary():
    # Absolute, for each process gets a folder of its own to run in.
    return Path(os.environ.get("WEIR_BINARY", ROOT / "build/release/weir")).absolute()


def environment(**more):
    """This process's environment without what must not leak into a client or a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_DEFAULT_REGION": REGION, **{name: str(value) for name, value in more.items()}}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(probe, what, timeout_s=30, pause_s=0.02):
    """Call `probe` until it returns something true, and return that; TimeoutError names `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s} s still not: {what}")
        time.sleep(pause_s)


CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder):
    """ca.pem, and server.pem with server.key for localhost and 127.0.0.1; ECDSA P-256."""
    openssl(folder, "req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=weir test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    make_certificate(folder)


def make_certificate(folder, name="server", names="DNS:localhost,IP:127.0.0.1", days=30):
    """NAME.pem with NAME.key by the folder's authority; with days < 0 it is over already."""
    openssl(folder, "req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
            "/CN=localhost")
    (Path(folder) / f"{name}.ext").write_text(
        f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def merge(base, changes):
    """`base` with `changes` laid over it, objects merged key by key."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


class AwsStandinProcess:
    """tests/lib/aws_standin.py as a process: it outlives weir, and may be killed itself."""

    def __init__(self, folder, roles=(), queues=(), resources=(), more=()):
        """`more`: further arguments of aws_standin.py."""
        self.log_path = Path(folder) / "aws.ndjson"
        self._errors = Path(folder) / "aws.err"
        self._arguments = list(map(str, more))
        for arn, external_id in dict(roles).items():
            self._arguments += ["--role", f"{arn}={external_id}" if external_id else arn]
        for arn in queues:
            self._arguments += ["--queue", arn]
        for arn in resources:
            self._arguments += ["--resource", arn]
        self._port = 0
        self._process = None
        self.url, self.tls_urls = None, []

    def start(self):
        with open(self._errors, "ab") as errors:
            self._process = subprocess.Popen(
                [PYTHON, str(ROOT / "tests/lib/aws_standin.py"), "--port", str(self._port),
                 "--log", str(self.log_path), "--caller", f"{OWN_KEY}:{OWN_SECRET}@{CENTRAL}",
                 *self._arguments],
                stdout=subprocess.PIPE, stderr=errors, env=environment(), text=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the stand-in did not start:\n" + self._errors.read_text())
        *self.tls_urls, self.url = line.split()[2:]
        self._port = int(self.url.rsplit(":", 1)[1])
        return self

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def control(self, **order):
        """See aws_standin.py for what can be ordered."""
        request = urllib.request.Request(self.url + "/_control", json.dumps(order).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def fault(self, target, mode, count=None, **more):
        self.control(fault={"target": target, "mode": mode, "count": count, **more})

    def heal(self, target="*"):
        self.control(clear=target)

    def signal(self, number):
        """SIGSTOP holds everything that AWS would do, until SIGCONT."""
        self._process.send_signal(number)

    def settle(self):
        """Wait until it has read and written down what its connections held when this was called;
        not what a `delay` or a `drip` still holds back."""
        for _ in range(2):
            urllib.request.urlopen(self.url + "/_health", timeout=60).close()

    def lines(self, kind=None):
        """What arrived, from the log file, so also after a kill."""
        if not self.log_path.exists():
            return []
        whole = self.log_path.read_bytes()
        parsed = (json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines())
        return [line for line in parsed if kind in (None, line["kind"])]

    def calls(self, service=None, resource=None):
        """What the services beside SQS took, repetitions that they recognised left out."""
        return [line for line in self.lines("call")
                if not line["duplicate"] and service in (None, line["service"])
                and resource in (None, line["resource"])]

    def messages(self, queue=None):
        """Accepted messages (of one queue ARN), FIFO duplicates left out."""
        return [line for line in self.lines("message")
                if not line["duplicate"] and queue in (None, line["queue"])]


class AdminError(Exception):
    """The admin listener refused; `status` and the parsed `body`."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Weir:
    """One gateway process and the operator beside it."""

    def __init__(self, folder, aws=None, store=None, config=None, env=None):
        """`aws`: a stand-in or a URL for STS and SQS; `config`: laid over the default one."""
        self.folder = Path(folder)
        self.state = self.folder / "state"
        self.data_port, self.admin_port = free_port(), free_port()
        self.url = f"https://localhost:{self.data_port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.ca = self.folder / "ca.pem"
        self.config_path = self.folder / "weir.json"
        self.log_path = self.folder / "weir.log"
        self.process = None
        self._env = {"AWS_ACCESS_KEY_ID": OWN_KEY, "AWS_SECRET_ACCESS_KEY": OWN_SECRET,
                     **(env or {})}
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.ca.exists():
            make_certificates(self.folder)
        if store:
            self.state = self.folder  # of a store elsewhere only the token is here
        default = self._default_config(aws, store or f"embedded:{self.state}")
        self.config = merge(default, config or {})
        self.write_config()

    def _default_config(self, aws, store):
        endpoint = getattr(aws, "url", aws)
        return {
            "region": REGION, "central_account": CENTRAL, "store": store, "seal_key": "seal.key",
            "listen": {
                "data": {"address": f"127.0.0.1:{self.data_port}", "certificate": "server.pem",
                         "key": "server.key"},
                "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            },
            # Checks of roles would call STS at moments that no test chose.
            "aws": {"role_check_every": "0s",
                    **({"endpoint": endpoint, "endpoints": {"sqs": endpoint, "sts": endpoint}}
                       if endpoint else {})},
        }

    def write_config(self):
        self.config_path.write_text(json.dumps(self.config, indent=2) + "\n")

    # -- process -----------------------------------------------------------------------------

    def spawn(self):
        """Start without waiting."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(binary()), "serve", "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=environment(**self._env))

    def start(self, timeout_s=30):
        self.spawn()
        try:
            wait_until(self._ready_or_dead, "weir is ready", timeout_s)
        except TimeoutError as error:
            self.kill9()
            raise RuntimeError(f"{error}\n{self.log_tail()}") from None
        return self

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"weir ended with {self.process.returncode}\n{self.log_tail()}")
        return self.is_ready()

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.admin_url + "/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def stop(self, timeout_s=30):
        """SIGTERM, and the exit status; 0 is a clean end."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise RuntimeError(
                f"weir ignored SIGTERM for {timeout_s} s\n{self.log_tail()}") from None
        self.process = None
        return status

    def kill9(self):
        if self.process is not None:
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

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        # A test that failed already says more than an unclean end would.
        status = self.stop()
        if kind is None and status != 0:
            raise RuntimeError(f"weir ended with {status}\n{self.log_tail()}")

    def log_tail(self, lines=40):
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # -- the operator ------------------------------------------------------------------------

    def cli(self, *arguments, stdin="", check=True, timeout_s=60):
        """Run a weir command against this gateway; CompletedProcess with text."""
        done = subprocess.run(
            [str(binary()), *map(str, arguments)], input=stdin, capture_output=True, text=True,
            timeout=timeout_s, env=environment(WEIR_CONFIG=self.config_path), cwd=self.folder)
        if check and done.returncode != 0:
            raise RuntimeError(f"weir {' '.join(map(str, arguments))} ended with "
                               f"{done.returncode}:\n{done.stderr}{done.stdout}")
        return done

    def apply(self, catalog, *options, check=True):
        """Apply a catalog given as a dict; CompletedProcess."""
        path = self.folder / "catalog.json"
        path.write_text(json.dumps(catalog, indent=2))
        return self.cli("apply", "-f", path, *options, check=check)

    def export(self):
        return json.loads(self.cli("export").stdout)

    def issue(self, account, kind, *options, forwarder=False):
        """A new credential as `weir account issue` prints it."""
        options += ("--forwarder",) if forwarder else ()
        return json.loads(self.cli("account", "issue", account, "--kind", kind, *options).stdout)

    def revoke(self, credential):
        return self.cli("account", "revoke", credential)

    def token(self):
        return (self.state / "admin.token").read_text().strip()

    def admin(self, method, path, body=None, token=None):
        """One call to the admin listener; parsed JSON, or text when it is not JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.admin_url + path, data, method=method, headers={
            "Authorization": f"Bearer {token or self.token()}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AdminError(error.code, error.read().decode(errors="replace")) from None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def stats(self, part=""):
        return self.admin("GET", "/v1/stats" + part)

    def drain(self, timeout_s=60):
        """Wait until no delivery is live; the stats then."""
        def settled():
            stats = self.stats()
            return stats if stats["totals"]["live"] == 0 else None
        return wait_until(settled, "every delivery has settled", timeout_s, 0.05)


