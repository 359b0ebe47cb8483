#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost, misrouted or counted wrongly, whatever breaks.

    tests/conserve.py --seed S [--minutes M]                                one gateway, embedded
    tests/conserve.py --seed S [--minutes M] --store redis [--replicas N]   replicas on one Redis

Twenty accounts, real clients of six kinds, targets of every kind and sequences of them, healthy and
not, dealt out by the seed.  Every 200 to 800 ms a fault drawn from the seed strikes; then everything is mended and drained, and outside
logs are compared with a naive matcher over the history of the catalog:

    an entry told accepted reached exactly the slots of one catalog version that it may have met,
    each once delivered or dead with its payload; an entry refused reached none; one without an
    answer reached all or none
    a healthy target's deliveries never died, and no other died for a reason that was not its own
    of a sequence each step that arrived came after all before it that may not fail
    nothing arrived at a wrong target, where the certificate is a stranger's, for a wrong account,
    under a wrong role, or altered
    each repeat is explained by a kill that found the delivery in flight, by a target that accepted
    and did not say so, or by a claim that ended while its holder could not write down the outcome
    the ledger balanced in every sample, and at the end says what the outside says
    p99 from a client's answer to the arrival at a healthy target, and from request to answer, is
    under a second while only the ailing targets are broken (calm; three with replicas); and,
    embedded, under two between the faults that stop the whole process (chaos)
    memory and descriptors are back near where they were

With replicas, the clients come in through a balancer that knows nothing, and faults also strike the
Redis, its standby and the ways between; then

    each replica accepts again within 5 s of the moment at which the Redis is well
    a replica that alone is cut off refuses within 3 s, and the others go on
    an event told stored by one replica is the same event at another
    a credential revoked at one replica is refused by all after 3.5 s at the latest

Exit 0 when all hold.  On failure the faults and the differing events are printed, and the folder
build/conserve/SEED keeps the logs.  Embedded needs the right to mount a tmpfs in a mount namespace
of its own (root, or a user namespace).
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
from conserve_replicas import ReplicatedRun  # noqa: E402
from conserve_run import Run  # noqa: E402
from weir import AdminError, binary  # noqa: E402

NAMESPACE_MARK = "WEIR_CONSERVE_NAMESPACE"


def enter_namespace():
    """Run again in a mount namespace of one's own, where tmpfs may be mounted and goes away."""
    if os.environ.get(NAMESPACE_MARK):
        return
    options = ["--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        options.append("--map-root-user")
    os.environ[NAMESPACE_MARK] = "1"
    os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--store", choices=("embedded", "redis"), default="embedded")
    parser.add_argument("--replicas", type=int, default=3, help="with --store redis; 2 or more")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.store == "embedded":
        enter_namespace()
    sys.stdout.reconfigure(line_buffering=True)
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, {arguments.store}, {binary()}")
    if arguments.store == "redis":
        run = ReplicatedRun(arguments.seed, arguments.minutes, arguments.replicas)
    else:
        run = Run(arguments.seed, arguments.minutes)
    try:
        run.go()
    except (RuntimeError, OSError, AdminError, subprocess.SubprocessError) as error:
        run.failures.append(f"{type(error).__name__}: {error}")
    if run.storm and run.samplers:
        run.report()
    if run.failures:
        print("\nfaults of this run:", *(run.storm.told if run.storm else []), sep="\n  ")
        print("\nFAILED, logs in", run.folder, *run.failures, sep="\n  ")
        return 1
    print("nothing lost, nothing misrouted, every ledger balanced")
    shutil.rmtree(run.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
