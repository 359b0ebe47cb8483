# SPDX-License-Identifier: Apache-2.0
"""One gateway per test file, with a stand-in for AWS, two member accounts and one rule.

Files that kill or reconfigure a gateway make their own with `gateway_in(folder)`.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from catalogs import MEMBER, OTHER, account, queue_arn, roles, rule, target  # noqa: E402
from weir import AwsStandinProcess, Weir, binary  # noqa: E402

QUEUES = [queue_arn("findings"), queue_arn("ordered.fifo")]
CATALOG = {
    "accounts": [account(MEMBER), account(OTHER)],
    # Whatever a test sends with detail-type Ping or a severity of 7 and more arrives in one queue.
    "rules": [rule("pings", {"detail-type": ["Ping"]}, target("findings")),
              rule("severe", {"detail": {"severity": [{"numeric": [">=", 7]}]}},
                   target("findings", "severe"))],
}


def pytest_configure(config):
    if not binary().exists():
        pytest.exit(f"{binary()} is not built: cmake --workflow --preset release", 3)


class Gateway:
    """weir, its stand-in, and what a test asks of both."""

    def __init__(self, folder, catalog=None, queues=(), resources=(), **options):
        self.aws = AwsStandinProcess(folder, roles(MEMBER, OTHER), [*QUEUES, *queues], resources)
        self.weir = None
        self._folder, self._catalog, self._options = folder, catalog or CATALOG, options

    def __enter__(self):
        self.aws.start()
        try:
            self.weir = Weir(self._folder / "weir", aws=self.aws, **self._options)
            self.weir.start()
            self.weir.apply(self._catalog)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, *why):
        try:
            if self.weir is not None:
                self.weir.__exit__(*why)
        finally:
            self.aws.stop()

    def arrived(self, event_id, queue=None):
        """The messages that carry one event."""
        return [line for line in self.aws.messages(queue) if f'"{event_id}"' in line["body"]]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="session")
def gateway_in():
    """Make a gateway of one's own: `with gateway_in(tmp_path, catalog=...) as gateway:`."""
    return Gateway


@pytest.fixture(scope="module")
def weir(gateway):
    return gateway.weir


@pytest.fixture(scope="module")
def key(weir):
    """A SigV4 key of the member account."""
    return weir.issue(MEMBER, "sigv4")


@pytest.fixture(scope="module")
def api_key(weir):
    """An API key of the member account, as its API destination would use it."""
    return weir.issue(MEMBER, "api-key")
