# SPDX-License-Identifier: Apache-2.0
"""A sender that speaks to one replica only, and so knows when that one accepts and when not.

Its events always match a rule, for what matches none is accepted without the store.  Now and then it
sends what was told stored to another replica as well: there it must be the same event.
"""

import http.client
import json
import ssl
import threading
import time

from conserve_clients import Http2Sender
from conserve_world import ACCOUNTS, draw_event

ECHO_SHARE = 0.15
ECHO_TIMEOUT_S = 8
ECHOES_MAX = 4


class Probe(Http2Sender):
    """`last_told_s`: when it was last told stored; `refused_s`: when it was last answered, but not
    that; both moments of an answer."""

    kind = "probe"
    pause_s = (0.1, 0.25)
    entries_max = 1

    def __init__(self, weir, others, journal, index, seed):
        super().__init__(weir, journal, ACCOUNTS[index], seed)
        self._others = others
        self.last_told_s = self.refused_s = 0.0
        self.echo_count = 0
        self._echoes = threading.Semaphore(ECHOES_MAX)

    def _draw(self, count):
        entries = super()._draw(count)
        for sent in entries:
            sent.event = {**draw_event(self._random, self.account, sent.number, True),
                          "source": "com.example.scanner"}
            sent.event["detail"].update(level=8, route="none")
            sent.event["detail"].pop("doom", None)
        return entries

    def _settle(self, entries, status, answer, was_tried):
        is_final = super()._settle(entries, status, answer, was_tried)
        now_s = time.time()
        if all(sent.verdict == "told" for sent in entries):
            self.last_told_s = now_s
        elif status is not None:
            self.refused_s = now_s
        return is_final

    def _send(self, entries, credential):
        super()._send(entries, credential)
        if entries[0].verdict == "told" and self._random.random() < ECHO_SHARE:
            self._begin_echo(entries[0], self._random.choice(self._others))

    def _begin_echo(self, sent, other):
        # In a thread, for the other may be stopped, and that says nothing about this one.
        if self._echoes.acquire(blocking=False):
            threading.Thread(target=self._guard_echo, args=(sent, other), daemon=True).start()

    def _guard_echo(self, sent, other):
        try:
            self._echo(sent, other)
        except Exception as error:  # told to the main thread, which ends the run
            self.failure = f"{self.name}: {type(error).__name__}: {error}"
        finally:
            self._echoes.release()

    def _echo(self, sent, other):
        """What is stored is known to all who share the store."""
        credential = self.credential
        connection = http.client.HTTPSConnection(
            "localhost", other.data_port, timeout=ECHO_TIMEOUT_S,
            context=ssl.create_default_context(cafile=str(other.ca)))
        try:
            connection.request("POST", "/events", sent.text, {
                "Content-Type": "application/json", credential["header"]: credential["key"]})
            answer = connection.getresponse()
            entry = json.loads(answer.read())["entries"][0] if answer.status == 200 else {}
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        if "event_id" in entry and "error" not in entry:
            self.echo_count += 1
            if not entry.get("duplicate") or entry["event_id"] != sent.event_id:
                raise RuntimeError(f"{sent} is stored, but {other.folder.name} says {entry}")
