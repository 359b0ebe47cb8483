# SPDX-License-Identifier: Apache-2.0
"""What one 1 KB event costs at the front door: weir beside nghttpd and nginx, interleaved.

Every server has one thread on one CPU and the same certificate; the load generator has the other
CPU.  Each round runs every case once, so that whatever else the machine does hits all alike; the
table shows medians and ratios to nghttpd, which reads the body and answers a constant.  CPU is the
server process's own, user and system, from /proc.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402
from catalogs import account, queue_arn, roles, rule, target  # noqa: E402
from weir import REGION, AwsStandinProcess, Weir, binary, free_port, wait_until  # noqa: E402

QUIET, MATCHED = "111122223333", "444455556666"
EVENT_BYTES = 1024
SERVER_CPU, CLIENT_CPU = "0", "1"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
NGINX = """
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 1; daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_buffer_size 64k; keepalive_requests 100000000;
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  server {{
    listen 127.0.0.1:{1} ssl http2 reuseport;
    ssl_certificate {0}/server.pem; ssl_certificate_key {0}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
    location / {{ content_by_lua_block {{
      ngx.req.read_body()
      ngx.header.content_type = "application/json"
      ngx.say('{{"entries":[],"failed":0}}')
    }} }}
  }}
}}
"""


def event(account_id, source):
    """An envelope of exactly EVENT_BYTES."""
    body = {"version": "0", "id": "6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10",
            "detail-type": "GuardDuty Finding", "source": source, "account": account_id,
            "time": "2026-01-01T00:00:00Z", "region": REGION, "resources": [],
            "detail": {"severity": 8, "type": "Recon:EC2/Portscan", "pad": ""}}
    body["detail"]["pad"] = "x" * (EVENT_BYTES - len(json.dumps(body)))
    return json.dumps(body)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def pin(pid, cpu):
    subprocess.run(["taskset", "-pac", cpu, str(pid)], check=True, capture_output=True)


class Case:
    """One thing to load: a server's pid, a URL, the body and headers."""

    def __init__(self, name, pid, url, body, headers=()):
        self.name, self.pid, self.url = name, pid, url
        self.body, self.headers = body, list(headers)
        self.rate, self.cpu_us, self.p50_ms, self.p99_ms = [], [], [], []

    def run(self, folder, requests):
        log = folder / "h2load.tsv"
        log.unlink(missing_ok=True)
        before = cpu_seconds(self.pid)
        command = ["taskset", "-c", CLIENT_CPU, "h2load", "-n", str(requests), "-c", "16", "-m", "32",
                   "-d", str(self.body), f"--log-file={log}"]
        for header in self.headers:
            command += ["-H", header]
        output = subprocess.run([*command, self.url], check=True, capture_output=True,
                                text=True).stdout
        used = cpu_seconds(self.pid) - before
        succeeded = int(re.search(r"status codes: (\d+) 2xx", output).group(1))
        if succeeded != requests:
            raise RuntimeError(f"{self.name}: {succeeded} of {requests} succeeded\n{output}")
        times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
        self.rate.append(float(re.search(r"([\d.]+) req/s", output).group(1)))
        self.cpu_us.append(used / requests * 1e6)
        self.p50_ms.append(times[len(times) // 2] / 1000)
        self.p99_ms.append(times[len(times) * 99 // 100] / 1000)


def start_nghttpd(folder, port):
    (folder / "www").mkdir(exist_ok=True)
    (folder / "www/events").write_text('{"entries":[],"failed":0}')
    return subprocess.Popen(
        ["nghttpd", "-d", str(folder / "www"), "-n1", str(port), str(folder / "server.key"),
         str(folder / "server.pem")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_nginx(folder, port):
    (folder / "nginx.conf").write_text(NGINX.format(folder, port))
    return subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])


def sigv4_headers(weir, key, body):
    request = AWSRequest("POST", weir.url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"})
    SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]), "events",
              REGION).add_auth(request)
    return [f"{name}: {value}" for name, value in request.headers.items()]


def fresh_connections(case, folder, requests, resume):
    """Server CPU (us) of an event on a connection of its own, and events/s, by one curl process."""
    config = folder / "curl.conf"
    one = [f'url = "{case.url}"', f'cacert = "{folder / "ca.pem"}"', "http1.1", "silent", "fail",
           f'data-binary = "@{case.body}"', 'header = "Connection: close"', "output = /dev/null",
           *(f'header = "{header}"' for header in case.headers)]
    if not resume:
        one.append("no-sessionid")
    config.write_text("\nnext\n".join(["\n".join(one)] * requests))
    before, start = cpu_seconds(case.pid), time.monotonic()
    subprocess.run(["taskset", "-c", CLIENT_CPU, "curl", "--fail-early", "-K", str(config)],
                   check=True)
    elapsed = time.monotonic() - start
    return (cpu_seconds(case.pid) - before) / requests * 1e6, requests / elapsed


def print_fresh(cases, folder, requests):
    print("\na fresh TLS connection per event (HTTP/1.1, Connection: close), one client at a time:")
    for resume in (False, True):
        base = None
        for case in cases:
            cpu_us, rate = fresh_connections(case, folder, requests, resume)
            base = base or cpu_us
            print(f"{case.name:34} {'resumed' if resume else 'full':8} {cpu_us:8.1f} us CPU "
                  f"{cpu_us / base:6.2f} {rate:8.0f}/s")


def median(values):
    return statistics.median(values)


def print_table(cases, base):
    print(f"{'case':34} {'req/s':>8} {'ratio':>6} {'CPU us':>7} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7}")
    for case in cases:
        print(f"{case.name:34} {median(case.rate):8.0f} {median(case.rate) / median(base.rate):6.2f} "
              f"{median(case.cpu_us):7.2f} {median(case.cpu_us) / median(base.cpu_us):6.2f} "
              f"{median(case.p50_ms):7.2f} {median(case.p99_ms):7.2f}")


def make_cases(folder, weir, nghttpd, nginx, ports):
    plain = folder / "plain.json"
    plain.write_text(event(QUIET, "aws.guardduty"))
    matched = folder / "matched.json"
    matched.write_text(event(MATCHED, "aws.guardduty"))
    put = folder / "put.json"
    detail = json.dumps({"severity": 8, "pad": "x" * 850})
    put.write_text(json.dumps({"Entries": [{"Source": "com.example", "DetailType": "GuardDuty Finding",
                                            "Detail": detail}]}))
    json_type = "content-type: application/json"
    keys = {one: "x-api-key: " + weir.issue(one, "api-key")["key"] for one in (QUIET, MATCHED)}
    signed = sigv4_headers(weir, weir.issue(QUIET, "sigv4"), put.read_text())
    pid = weir.process.pid
    return [
        Case("nghttpd", nghttpd.pid, f"https://localhost:{ports[0]}/events", plain, [json_type]),
        Case("nginx + Lua, reads the body", nginx.pid, f"https://localhost:{ports[1]}/events", plain,
             [json_type]),
        Case("weir, API key, no match", pid, weir.url + "/events", plain,
             [json_type, keys[QUIET]]),
        Case("weir, SigV4 PutEvents, no match", pid, weir.url + "/", put, signed),
        Case("weir, API key, one match, flushed", pid, weir.url + "/events", matched,
             [json_type, keys[MATCHED]]),
    ]


def run(arguments, folder):
    for tool in ("h2load", "nghttpd", "nginx", "curl"):
        if not shutil.which(tool):
            raise SystemExit(f"ingest.sh: {tool} is missing")
    aws = AwsStandinProcess(folder, roles(QUIET, MATCHED), [queue_arn("findings")]).start()
    weir = Weir(folder, aws=aws, config={"workers": 1})
    ports = [free_port(), free_port()]
    nghttpd = start_nghttpd(folder, ports[0])
    nginx = start_nginx(folder, ports[1])
    try:
        for port in ports:
            wait_until(lambda: is_open(port), f"port {port} is open", 10)
        weir.start()
        weir.apply({
            "accounts": [account(QUIET), account(MATCHED, dedup={"by": []})],
            "rules": [rule("severe", {"account": [MATCHED],
                                      "detail": {"severity": [{"numeric": [">=", 7]}]}},
                           target("findings"))]})
        # The one match is to cost a commit, not the Python queue: deliveries wait until the end.
        aws.fault(queue_arn("findings"), "hang", seconds=120)
        for process in (weir.process, nghttpd, nginx):
            pin(process.pid, SERVER_CPU)
        cases = make_cases(folder, weir, nghttpd, nginx, ports)
        for round_number in range(arguments.rounds):
            for case in cases:
                case.run(folder, arguments.requests // (5 if "flushed" in case.name else 1))
            print(f"round {round_number + 1} of {arguments.rounds}", file=sys.stderr)
        print(f"{EVENT_BYTES}-byte events over TLS HTTP/2, 16 connections x 32 streams, one server "
              f"thread; store guarantee: {weir.stats()['store']['guarantee']}")
        print_table(cases, cases[0])
        print_fresh(cases[1:3], folder, max(arguments.requests // 50, 100))
    finally:
        for process in (nghttpd, nginx):
            process.send_signal(signal.SIGKILL)
            process.wait()
        weir.kill9()
        aws.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100000)
    arguments = parser.parse_args()
    print(f"binary {binary()}")
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        run(arguments, Path(folder))


if __name__ == "__main__":
    main()
